//! The chain of the audit log: every event gets its link, once, and whatever is done to the log is found.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::domain::audit::{Cause, Event, Fact};
use guardian_auth::domain::audit_chain::{ChainDigest, ChainEnd, ChainFault, KeptHead};
use guardian_auth::domain::id::AuditEventId;
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::flows::audit_head;
use guardian_auth::flows::audit_sealer::{AuditSealer, Parts};
use guardian_auth::flows::audit_verify::{AuditVerify, ChainReport};
use guardian_auth::ports::store::{AuditChainStore, AuditStore, ChainGrowth, NewLink, WorkLease};

use super::on_every_database;
use super::world::{World, at, organization, random};
use crate::support::full_size;
use crate::support::service::TestClock;

/// Half an hour after the first events.
const NOW: i64 = 130;

/// A vault over the keys of these names; a name is a key.
fn vault(ids: &[&str]) -> Arc<DerivedKeyVault> {
    let key = |id: &&str| {
        let byte = id.as_bytes()[1];
        MasterKey { id: (*id).to_owned(), key: Secret::new([byte; 32]) }
    };
    let masters: Vec<MasterKey> = ids.iter().map(key).collect();
    Arc::new(DerivedKeyVault::new(&masters).expect("a vault"))
}

fn sealer(world: &World, ids: &[&str]) -> AuditSealer {
    AuditSealer::new(Parts {
        store: Arc::clone(&world.store) as _,
        vault: vault(ids),
        clock: TestClock::at(at(NOW)),
        entropy: Arc::new(SystemEntropy),
    })
}

async fn seal(world: &World) {
    assert!(sealer(world, &["k1"]).seal_now().await.expect("it seals"), "nobody else seals");
}

async fn verify_with(world: &World, ids: &[&str], kept: &[KeptHead]) -> Vec<ChainReport> {
    let verify = AuditVerify {
        store: Arc::clone(&world.store) as _,
        vault: vault(ids),
        clock: TestClock::at(at(NOW)),
    };
    verify.run(kept).await.expect("the log is read")
}

async fn verify(world: &World) -> Vec<ChainReport> {
    verify_with(world, &["k1"], &[]).await
}

/// The faults of the one organization of most tests.
async fn faults(world: &World) -> Vec<ChainFault> {
    let mut reports = verify(world).await;
    assert_eq!(reports.len(), 1);
    reports.remove(0).faults
}

fn event_at(name: &str, time: Timestamp) -> Event {
    Event {
        id: AuditEventId::new(time, random()),
        at: time,
        organization: organization(name),
        ..super::world::event(Fact::LoginDenied(Cause::RateLimited), None)
    }
}

/// So many events, a millisecond apart, in the order of their ids.
fn events(name: &str, count: usize) -> Vec<Event> {
    let time = |number: usize| at(100).plus(Duration::from_millis(number as u64));
    (0..count).map(|number| event_at(name, time(number))).collect()
}

async fn write(world: &World, events: &[Event]) {
    for chunk in events.chunks(1000) {
        world.store.record_events(chunk).await.expect("they are written");
    }
}

/// As somebody does who has the database to himself.
async fn without_triggers(world: &World) {
    let statements: &[&str] = match world.folder() {
        "sqlite" => &[
            "DROP TRIGGER audit_event_never_changed",
            "DROP TRIGGER audit_event_never_deleted",
            "DROP TRIGGER audit_link_never_changed",
            "DROP TRIGGER audit_link_never_deleted",
            "DROP TRIGGER audit_head_never_deleted",
        ],
        _ => &[
            "DROP TRIGGER audit_event_append_only ON audit_event",
            "DROP TRIGGER audit_link_append_only ON audit_link",
            "DROP TRIGGER audit_head_not_deleted ON audit_head",
        ],
    };
    for statement in statements {
        world.change(statement).await;
    }
}

fn position(index: usize) -> i64 {
    i64::try_from(index).expect("few") + 1
}

async fn every_event_gets_its_place_in_the_chain_of_its_organization(world: World) {
    write(&world, &events("sunnanvik", 2500)).await;
    write(&world, &events("norrby", 3)).await;
    seal(&world).await;
    seal(&world).await;
    let reports = verify(&world).await;
    let told: Vec<_> = reports
        .iter()
        .map(|report| (report.organization.as_str(), report.events, report.waiting, report.faults_in_all))
        .collect();
    assert_eq!(told, [("norrby", 3, 0, 0), ("sunnanvik", 2500, 0, 0)]);
    let out_of_order = "SELECT COUNT(*) FROM audit_link a JOIN audit_link b ON b.organization = a.organization \
                        AND b.position = a.position + 1 WHERE b.event_id <= a.event_id";
    assert_eq!(world.number(out_of_order).await, 0, "as they happened");
    // Late ones come behind, whatever their ids.
    write(&world, &[event_at("sunnanvik", at(99)), event_at("sunnanvik", at(131))]).await;
    let waiting = verify(&world).await;
    assert_eq!((waiting[1].waiting, waiting[1].faults.len()), (1, 1), "one is young, one was missed");
    seal(&world).await;
    assert_eq!(verify(&world).await[1].events, 2502);
    assert_eq!(faults_in_all(&verify(&world).await), 0);
}

fn faults_in_all(reports: &[ChainReport]) -> u64 {
    reports.iter().map(|report| report.faults_in_all).sum()
}

async fn the_database_refuses_to_change_what_was_written(world: World) {
    write(&world, &events("sunnanvik", 3)).await;
    seal(&world).await;
    let mut statements = vec![
        "UPDATE audit_event SET caller = 'x'",
        "DELETE FROM audit_event",
        "UPDATE audit_link SET position = position + 1",
        "DELETE FROM audit_link",
        "DELETE FROM audit_head",
    ];
    match world.folder() {
        "sqlite" => statements.extend([
            "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event",
            "INSERT OR REPLACE INTO audit_link SELECT * FROM audit_link",
            "INSERT OR REPLACE INTO audit_link SELECT organization, position + 100, event_id, digest FROM audit_link",
        ]),
        _ => statements.extend(["TRUNCATE audit_event", "TRUNCATE audit_link", "TRUNCATE audit_head"]),
    }
    for statement in statements {
        let error = world.refused(statement).await;
        assert!(error.contains("never"), "{statement}: {error}");
    }
    assert_eq!(faults(&world).await, []);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_event").await, 3);
}

/// B36: of many events one is changed, removed, moved, cut off, put in: each is found, with its position.
async fn b36_whatever_is_done_to_the_log_is_found(world: World) {
    let count = if full_size() { 100_000 } else { 2_000 };
    let written = events("sunnanvik", count);
    write(&world, &written).await;
    seal(&world).await;
    assert_eq!(faults(&world).await, []);
    without_triggers(&world).await;
    let id = |index: usize| written[index].id.as_str().to_owned();
    let changed = |index: usize| ChainFault::Changed { position: position(index), event_id: id(index) };
    let (first, middle, last) = (0, count / 2, count - 1);

    // Each column of an event, at the beginning, within, and at the end.
    for (index, set, back) in [
        (first, "caller = 'somebody'", "caller = 'test-portal'"),
        (middle, "cause = NULL", "cause = 'rate_limited'"),
        (middle + 1, "at_ms = at_ms + 1", "at_ms = at_ms - 1"),
        (middle + 2, "known_device = 1", "known_device = 0"),
        (middle + 3, "guardian_id = ''", "guardian_id = NULL"),
        (middle + 4, "detail = 'x'", "detail = NULL"),
        (last, "user_agent = 'Suite/2'", "user_agent = 'Suite/1'"),
    ] {
        let wherever = format!("WHERE id = '{}'", id(index));
        world.change(&format!("UPDATE audit_event SET {set} {wherever}")).await;
        assert_eq!(faults(&world).await, [changed(index)], "{set}");
        world.change(&format!("UPDATE audit_event SET {back} {wherever}")).await;
    }
    // Moved to another organization.
    let wherever = format!("WHERE id = '{}'", id(middle));
    world.change(&format!("UPDATE audit_event SET organization = 'norrby' {wherever}")).await;
    let reports = verify(&world).await;
    let gone = |index: usize| ChainFault::EventGone { position: position(index), event_id: id(index) };
    assert_eq!(reports[1].faults, [gone(middle)]);
    world.change(&format!("UPDATE audit_event SET organization = 'sunnanvik' {wherever}")).await;
    // Removed.
    for index in [first, middle, last] {
        let wherever = format!("WHERE id = '{}'", id(index));
        world.change(&format!("CREATE TABLE kept AS SELECT * FROM audit_event {wherever}")).await;
        world.change(&format!("DELETE FROM audit_event {wherever}")).await;
        assert_eq!(faults(&world).await, [gone(index)]);
        world.change("INSERT INTO audit_event SELECT * FROM kept").await;
        world.change("DROP TABLE kept").await;
    }
    // Two change places.
    let place = |index: usize, event: &str| {
        format!("UPDATE audit_link SET event_id = '{event}' WHERE position = {}", position(index))
    };
    world.change(&place(first, "x")).await;
    world.change(&place(middle, &id(first))).await;
    world.change(&place(first, &id(middle))).await;
    let moved = |at: usize, event: usize| ChainFault::Changed { position: position(at), event_id: id(event) };
    assert_eq!(faults(&world).await, [moved(first, middle), moved(middle, first)]);
    world.change(&place(first, "x")).await;
    world.change(&place(middle, &id(middle))).await;
    world.change(&place(first, &id(first))).await;
    // Put in, where nobody looks for new ones any more.
    let stranger = event_at("sunnanvik", written[middle].at);
    write(&world, std::slice::from_ref(&stranger)).await;
    let not_chained =
        ChainFault::NotChained { event_id: stranger.id.as_str().to_owned(), after: position(middle) };
    assert_eq!(faults(&world).await, [not_chained]);
    world.change(&format!("DELETE FROM audit_event WHERE id = '{}'", stranger.id)).await;
    assert_eq!(faults(&world).await, [], "everything is as it was");
    cut_off(&world, &written).await;
}

/// The end is taken away, with and without the head; and the beginning.
async fn cut_off(world: &World, written: &[Event]) {
    let count = written.len();
    let kept = KeptHead { organization: organization("sunnanvik"), end: end(world).await };
    let since = written[count - 10].id.as_str();
    world.change(&format!("DELETE FROM audit_link WHERE event_id >= '{since}'")).await;
    world.change(&format!("DELETE FROM audit_event WHERE id >= '{since}'")).await;
    let (last, head) = (position(count - 11), position(count - 1));
    assert_eq!(faults(world).await, [ChainFault::CutShort { last, head }]);
    world.change("DELETE FROM audit_head").await;
    assert_eq!(faults(world).await, [ChainFault::HeadGone]);
    // An older head that was good then: only who kept a later one can tell.
    let link =
        world.store.chain_links(&kept.organization, last - 1, last, 1).await.expect("a link").remove(0);
    let digest = ChainDigest(link.digest.try_into().expect("32 bytes"));
    let older = ChainEnd { position: last, digest };
    let signed = audit_head::sign(vault(&["k1"]).as_ref(), &kept.organization, older, at(105));
    let growth = ChainGrowth { before: ChainEnd::NONE, links: Vec::new(), head: signed };
    assert!(world.store.grow_chains(&[growth]).await.expect("it is written"));
    assert_eq!(faults(world).await, []);
    let reports = verify_with(world, &["k1"], std::slice::from_ref(&kept)).await;
    assert_eq!(reports[0].faults, [ChainFault::KeptHeadGone { position: head, last }]);
    let nowhere = KeptHead { organization: organization("nowhere"), ..kept };
    assert_eq!(verify_with(world, &["k1"], &[nowhere]).await[1].faults.len(), 1);
    // The first link.
    world.change("DELETE FROM audit_link WHERE position = 1").await;
    let gap = ChainFault::Gap { first: 1, last: 1 };
    let loose = ChainFault::NotChained { event_id: written[0].id.as_str().to_owned(), after: 0 };
    assert_eq!(faults(world).await, [gap, loose]);
}

async fn end(world: &World) -> ChainEnd {
    world.store.audit_heads().await.expect("heads").remove(0).head.end
}

async fn of_two_who_add_to_one_chain_one_does(world: World) {
    write(&world, &events("sunnanvik", 1)).await;
    let page = world.store.unchained_events("", 10).await.expect("a page");
    let event = &page.events[0];
    let head = ChainEnd::NONE.after(&event.bytes);
    let links = vec![NewLink { end: head, event_id: event.id.clone() }];
    let head = audit_head::sign(vault(&["k1"]).as_ref(), &event.organization, head, at(100));
    let growth = [ChainGrowth { before: ChainEnd::NONE, links, head }];
    let replica = world.replica().await;
    let (one, other) = tokio::join!(world.store.grow_chains(&growth), replica.grow_chains(&growth));
    assert_eq!([one.expect("an answer"), other.expect("an answer")].iter().filter(|done| **done).count(), 1);
    assert_eq!(faults(&world).await, []);
    // Who knows an older end does not get past the newer one.
    write(&world, &[event_at("sunnanvik", at(101))]).await;
    seal(&world).await;
    assert!(!world.store.grow_chains(&growth).await.expect("an answer"));
    assert_eq!(faults(&world).await, []);
}

async fn many_sealers_at_once_make_one_chain(world: World) {
    write(&world, &events("sunnanvik", 500)).await;
    let sealers: Vec<_> = (0..4).map(|_| sealer(&world, &["k1"])).collect();
    let writing = async {
        for round in 0..10 {
            write(&world, &[event_at("sunnanvik", at(110 + round))]).await;
        }
    };
    let sealing = futures_util::future::join_all(sealers.iter().map(|sealer| async {
        for _ in 0..20 {
            // Another has the work, or was quicker.
            drop(sealer.seal_now().await);
        }
    }));
    tokio::join!(writing, sealing);
    seal(&world).await;
    let reports = verify(&world).await;
    assert_eq!((reports[0].events, faults_in_all(&reports)), (510, 0), "{reports:?}");
}

async fn the_work_is_one_process_s_until_its_lease_is_over(world: World) {
    let lease =
        |holder: &str, until| WorkLease { name: "audit-sealer", holder: holder.to_owned(), until: at(until) };
    let take = async |holder: &str, until, now| {
        world.store.take_work(&lease(holder, until), at(now)).await.expect("an answer")
    };
    assert!(take("one", 10, 0).await);
    assert!(!take("other", 20, 9).await);
    assert!(take("one", 12, 9).await, "renewed");
    assert!(!take("other", 20, 11).await);
    assert!(take("other", 20, 12).await, "it ran out");
    assert!(!take("one", 30, 13).await);
    world.store.release_work(&lease("one", 0)).await.expect("nothing to let go of");
    assert!(!take("one", 30, 13).await);
    world.store.release_work(&lease("other", 0)).await.expect("it lets go");
    assert!(take("one", 30, 13).await);
}

/// Else a new signature would make good what somebody did to the old one.
async fn nothing_is_added_to_a_chain_whose_head_is_not_ours(world: World) {
    write(&world, &events("sunnanvik", 5)).await;
    write(&world, &events("norrby", 5)).await;
    seal(&world).await;
    world.change("UPDATE audit_head SET at_ms = at_ms + 1 WHERE organization = 'sunnanvik'").await;
    write(&world, &[event_at("sunnanvik", at(120)), event_at("norrby", at(120))]).await;
    let sealer = sealer(&world, &["k1"]);
    assert!(sealer.seal_now().await.expect("it seals"));
    assert_eq!((sealer.gauges.refused_chains(), sealer.gauges.chained_events()), (1, 1));
    let reports = verify(&world).await;
    assert_eq!((reports[0].events, reports[0].faults_in_all), (6, 0), "the other one goes on");
    assert_eq!(reports[1].faults[0], ChainFault::HeadForged { position: 5 });
}

async fn links_without_a_head_keep_nobody_else_waiting(world: World) {
    write(&world, &events("sunnanvik", 5)).await;
    seal(&world).await;
    without_triggers(&world).await;
    world.change("DELETE FROM audit_head").await;
    write(&world, &[event_at("sunnanvik", at(120)), event_at("norrby", at(120))]).await;
    let sealer = sealer(&world, &["k1"]);
    assert!(sealer.seal_now().await.expect("it seals"));
    assert_eq!((sealer.gauges.refused_chains(), sealer.gauges.chained_events()), (1, 1));
    let reports = verify(&world).await;
    assert_eq!((reports[0].events, reports[0].faults_in_all), (1, 0), "the other one goes on");
    assert_eq!(reports[1].faults[0], ChainFault::HeadGone);
}

async fn a_head_is_signed_anew_when_the_master_key_changes(world: World) {
    write(&world, &events("sunnanvik", 5)).await;
    seal(&world).await;
    let unknown = verify_with(&world, &["k2"], &[]).await;
    assert_eq!(unknown[0].faults, [ChainFault::HeadKeyGone { key_id: "k1".to_owned() }]);
    assert!(sealer(&world, &["k2", "k1"]).seal_now().await.expect("it seals"));
    assert_eq!(faults_in_all(&verify_with(&world, &["k2"], &[]).await), 0);
    // But not what the key before has not signed.
    world.change("UPDATE audit_head SET at_ms = at_ms + 1").await;
    assert!(sealer(&world, &["k3", "k2"]).seal_now().await.expect("it seals"));
    let forged = verify_with(&world, &["k3", "k2"], &[]).await;
    assert_eq!(forged[0].faults, [ChainFault::HeadForged { position: 5 }]);
}

async fn an_event_that_waits_is_no_fault(world: World) {
    assert_eq!(verify(&world).await, []);
    write(&world, &[event_at("sunnanvik", at(NOW))]).await;
    let reports = verify(&world).await;
    assert_eq!((reports[0].events, reports[0].waiting, reports[0].end), (0, 1, None));
    assert_eq!(reports[0].faults, []);
}

on_every_database! {
    every_event_gets_its_place_in_the_chain_of_its_organization,
    the_database_refuses_to_change_what_was_written,
    b36_whatever_is_done_to_the_log_is_found,
    of_two_who_add_to_one_chain_one_does,
    many_sealers_at_once_make_one_chain,
    the_work_is_one_process_s_until_its_lease_is_over,
    nothing_is_added_to_a_chain_whose_head_is_not_ours,
    links_without_a_head_keep_nobody_else_waiting,
    a_head_is_signed_anew_when_the_master_key_changes,
    an_event_that_waits_is_no_fault,
}
