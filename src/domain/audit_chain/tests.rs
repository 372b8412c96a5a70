//! Every byte of an event counts, and a walk finds each change where it is.

use proptest::prelude::*;

use super::*;

fn event<'a>(id: &'a str, caller: &'a str) -> LoggedEvent<'a> {
    LoggedEvent {
        id,
        at_ms: 7,
        organization: "sunnanvik",
        portal: Some("parent"),
        kind: "logged_in",
        cause: None,
        guardian_id: Some("g"),
        session_id: None,
        reference_code: None,
        caller,
        address: None,
        user_agent: "",
        known_device: 0,
        consecutive_failures: None,
        password_closed: 0,
        staff_id: None,
        child_id: None,
        detail: None,
    }
}

fn chain(count: usize) -> (Vec<StoredLink>, ChainEnd) {
    let mut end = ChainEnd::NONE;
    let links = (0..count).map(|number| {
        let id = format!("e{number}");
        let bytes = event(&id, "portal").bytes();
        end = end.after(&bytes);
        StoredLink { position: end.position, event_id: id, digest: end.digest.0.to_vec(), event: Some(bytes) }
    });
    let links = links.collect();
    (links, end)
}

fn faults_of(links: Vec<StoredLink>, head: Option<ChainEnd>, kept: Vec<ChainEnd>) -> Vec<ChainFault> {
    let (mut walk, mut faults) = (ChainWalk::new(kept), Vec::new());
    for link in links {
        walk.step(link, &mut faults);
    }
    walk.finish(head, &mut faults);
    faults
}

#[test]
fn a_chain_that_nobody_touched_has_no_faults() {
    let (links, end) = chain(50);
    let kept =
        ChainEnd { position: 20, digest: ChainDigest(links[19].digest.as_slice().try_into().unwrap()) };
    assert_eq!(faults_of(links, Some(end), vec![kept, end]), []);
    assert_eq!(faults_of(Vec::new(), None, Vec::new()), []);
}

#[test]
fn the_way_links_are_made_never_changes() {
    let first = ChainEnd::NONE.after(&event("01", "portal").bytes());
    assert_eq!(first.digest.to_string(), "ca3d4f59bbdedb32929d7a831cfe035e27962c865b4f3b1299957076f0ca1bd6");
}

#[test]
fn what_was_cut_off_is_missed_by_the_head_and_by_what_was_kept() {
    let (mut links, end) = chain(9);
    links.truncate(6);
    let cut = ChainFault::CutShort { last: 6, head: 9 };
    let gone = ChainFault::KeptHeadGone { position: 9, last: 6 };
    assert_eq!(faults_of(links.clone(), Some(end), vec![end]), [cut, gone.clone()]);
    // Someone put an older head back, which was signed too.
    let older = ChainEnd { position: 6, digest: ChainDigest(links[5].digest.clone().try_into().unwrap()) };
    assert_eq!(faults_of(links.clone(), Some(older), Vec::new()), []);
    assert_eq!(faults_of(links, Some(older), vec![end]), [gone]);
}

#[test]
fn a_chain_that_was_written_anew_is_not_that_of_its_head() {
    let (_, end) = chain(4);
    let mut forged = ChainEnd::NONE;
    let links = (0..4).map(|number| {
        let id = format!("e{number}");
        let bytes = event(&id, "somebody else").bytes();
        forged = forged.after(&bytes);
        StoredLink {
            position: forged.position,
            event_id: id,
            digest: forged.digest.0.to_vec(),
            event: Some(bytes),
        }
    });
    let links: Vec<_> = links.collect();
    assert_eq!(faults_of(links.clone(), Some(end), Vec::new()), [ChainFault::HeadDiffers { position: 4 }]);
    assert_eq!(faults_of(links, None, Vec::new()), [ChainFault::HeadGone]);
}

#[test]
fn a_kept_head_reads_back_as_it_was_written() {
    let (_, end) = chain(3);
    let kept = KeptHead { organization: OrganizationId::parse("sunnanvik").unwrap(), end };
    assert_eq!(KeptHead::parse(&kept.to_string()), Some(kept.clone()));
    for wrong in [
        String::new(),
        "sunnanvik:3".to_owned(),
        format!("{kept}:"),
        format!("{kept}0"),
        kept.to_string().to_uppercase(),
        kept.to_string().replace(":3:", ":0:"),
        kept.to_string().replace(":3:", ":+3:"),
    ] {
        assert_eq!(KeptHead::parse(&wrong), None, "{wrong}");
    }
}

/// What can be done to a chain behind the service's back.
#[derive(Clone, Debug)]
enum Tampering {
    Change(usize),
    DropEvent(usize),
    DropLink(usize),
    SwapEvents(usize, usize),
    Digest(usize, usize),
}

fn tampering(count: usize) -> impl Strategy<Value = Tampering> {
    prop_oneof![
        (0..count).prop_map(Tampering::Change),
        (0..count).prop_map(Tampering::DropEvent),
        (0..count - 1).prop_map(Tampering::DropLink),
        (0..count, 1..count).prop_map(move |(one, by)| Tampering::SwapEvents(one, (one + by) % count)),
        (0..count - 1, 0..256_usize).prop_map(|(one, bit)| Tampering::Digest(one, bit)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_is_found_where_it_was_done(what in tampering(40)) {
        let (mut links, end) = chain(40);
        let position = |index: usize| i64::try_from(index).unwrap() + 1;
        let found = match what {
            Tampering::Change(at) => {
                let id = links[at].event_id.clone();
                links[at].event = Some(event(&id, "portaL").bytes());
                vec![ChainFault::Changed { position: position(at), event_id: id }]
            }
            Tampering::DropEvent(at) => {
                links[at].event = None;
                vec![ChainFault::EventGone { position: position(at), event_id: links[at].event_id.clone() }]
            }
            Tampering::DropLink(at) => {
                links.remove(at);
                vec![ChainFault::Gap { first: position(at), last: position(at) }]
            }
            Tampering::SwapEvents(one, other) => {
                let (one, other) = (one.min(other), one.max(other));
                let (left, right) = links.split_at_mut(other);
                std::mem::swap(&mut left[one].event, &mut right[0].event);
                std::mem::swap(&mut left[one].event_id, &mut right[0].event_id);
                [one, other]
                    .map(|at| ChainFault::Changed {
                        position: position(at),
                        event_id: links[at].event_id.clone(),
                    })
                    .to_vec()
            }
            Tampering::Digest(at, bit) => {
                links[at].digest[bit / 8] ^= 1 << (bit % 8);
                [at, at + 1]
                    .map(|at| ChainFault::Changed {
                        position: position(at),
                        event_id: links[at].event_id.clone(),
                    })
                    .to_vec()
            }
        };
        prop_assert_eq!(faults_of(links, Some(end), vec![end]), found);
    }

    #[test]
    fn columns_do_not_run_into_each_other(
        one in proptest::array::uniform4("[a-c\u{0}-\u{12}]{0,3}"),
        other in proptest::array::uniform4("[a-c\u{0}-\u{12}]{0,3}"),
        holes in any::<(bool, bool, bool, bool)>(),
    ) {
        fn made(texts: &[String; 4], cause: bool, detail: bool) -> LoggedEvent<'_> {
            LoggedEvent {
                kind: &texts[0],
                cause: cause.then_some(texts[1].as_str()),
                user_agent: &texts[2],
                detail: detail.then_some(texts[3].as_str()),
                ..event("01", "portal")
            }
        }
        let (one, other) = (made(&one, holes.0, holes.1), made(&other, holes.2, holes.3));
        prop_assert_eq!(one == other, one.bytes() == other.bytes());
    }
}
