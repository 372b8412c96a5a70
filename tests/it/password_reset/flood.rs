//! B19, B03: floods of requests. One account gets three mails and then one in 20 minutes, however it is spelled and from
//! wherever it is asked for; one network and one organization have limits of their own; the answers tell nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;
use prost::Message as _;
use serde_json::json;
use tokio::sync::Barrier;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    Bed, LATEST, MINUTE, SOON, ask, by_email, has_link, on_all_parts, request, token_in, with_email,
};
use crate::change_password::roomy;
use crate::session::number;
use crate::support::service::{
    Calls, KOMMUN, OPVANG, Parts, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::{eventually, full_size};

/// Asks from an address; the answer without its code, and the code.
async fn ask_from(
    portal: &Calls,
    ip: &str,
    identification: Identification,
) -> Result<(Vec<u8>, String), Status> {
    let client = Some(proto::ClientContext { ip: ip.to_owned(), ..Default::default() });
    let request = proto::RequestPasswordResetRequest { client, ..request(identification) };
    let mut answer = portal.reset.clone().request_password_reset(request).await?.into_inner();
    let code = std::mem::take(&mut answer.reference_code);
    Ok((answer.encode_to_vec(), code))
}

fn bo() -> Identification {
    by_email("bo", "bo@exempel.se")
}

/// How many requests were denied with this cause.
async fn denied(bed: &Bed, cause: &str) -> i64 {
    let query = format!("SELECT count(*) FROM audit_event WHERE kind = 'reset_denied' AND cause = '{cause}'");
    number(&bed.service, &query).await
}

/// Waits until all requests are looked at and all mails are sent, and counts these.
async fn mails(bed: &Bed) -> usize {
    let left = "SELECT (SELECT count(*) FROM reset_request) + \
                (SELECT count(*) FROM message WHERE state = 'queued')";
    eventually(LATEST, "nothing waits", async || number(&bed.service, left).await == 0).await;
    bed.smtp.mails().len()
}

/// 120 requests for one account, or 10,000, each from another network.
#[tokio::test]
async fn b19_a_flooded_account_gets_three_mails_and_then_one_in_twenty_minutes() {
    on_all_parts(async |parts| {
        let count: usize = if full_size() { 10_000 } else { 120 };
        let bed = Bed::start_with(parts, |config| {
            if full_size() {
                roomy(config);
            }
        })
        .await;
        let (mut answers, mut codes) = (BTreeSet::new(), BTreeSet::new());
        for turn in 0..count {
            let ip = format!("198.51.{}.{}", turn / 250, turn % 250 + 1);
            let (answer, code) = ask_from(&bed.portal, &ip, bo()).await.unwrap();
            assert_eq!(code.len(), 8);
            answers.insert(answer);
            codes.insert(code);
        }
        assert_eq!((answers.len(), codes.len()), (1, count), "{parts:?}: all alike, each with its own code");
        assert_eq!(mails(&bed).await, 3, "{parts:?}");
        assert_eq!(denied(&bed, "mailed_lately").await, i64::try_from(count - 3).unwrap());
        for turn in 1..=2 {
            bed.service.clock.advance(20 * MINUTE);
            for ip in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
                assert!(answers.contains(&ask_from(&bed.portal, ip, bo()).await.unwrap().0));
            }
            assert_eq!(mails(&bed).await, 3 + turn, "{parts:?}: one more");
        }
        bed.service.clock.advance(19 * MINUTE);
        bed.ask(bo()).await.unwrap();
        assert_eq!(mails(&bed).await, 5, "{parts:?}: none before 20 minutes are over");
        // Nobody else's mails are fewer for it.
        bed.ask(by_email("alma", "alma.berg@exempel.se")).await.unwrap();
        assert_eq!(mails(&bed).await, 6);
    })
    .await;
}

/// Ten ways to write a debtor number and a user name of one account, ten ways to write its address.
fn spellings() -> Vec<Identification> {
    let names = [
        "AB-1029",
        "ab\u{2010}1029",
        "Ab\u{2013}1029",
        " aB\u{2212}1029 ",
        "'AB-10 29",
        "\u{a0}A B-1029\t",
        "kim-ek",
        "KIM\u{2014}EK",
        " k i m - e k ",
        "\u{202f}Kim\u{2011}Ek",
    ];
    let emails = [
        "kim@exämple.se",
        "KIM@EXÄMPLE.SE",
        " Kim@xn--exmple-cua.se",
        "kim@exa\u{308}mple.se",
        "kim@exämple.se;",
        "kim@exämple.se ; , ",
        "mailto:kim@exämple.se",
        "<Kim@exämple.se>",
        "\u{a0}MAILTO:<kim@XN--EXMPLE-CUA.se>;\u{202f}",
        "kim@exämple.se.",
    ];
    names.iter().flat_map(|name| emails.iter().map(move |email| by_email(name, email))).collect()
}

#[tokio::test]
async fn b03_a_hundred_spellings_of_an_account_share_one_budget_of_mails() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let row = guardian("g-20", "kim-ek", Some(&hash(super::OLD).await));
        bed.service.import(KOMMUN, &[with_email(row, "AB-1029", "Kim@Exämple.se ;")]).await;
        let all = spellings();
        assert_eq!(all.len(), 100);
        for spelling in all {
            bed.ask(spelling).await.unwrap();
        }
        assert_eq!(mails(&bed).await, 3, "{parts:?}");
        assert_eq!(denied(&bed, "mailed_lately").await, 97, "{parts:?}: each of them found the account");
        for mail in bed.smtp.mails() {
            assert_eq!(mail.recipients, ["kim@xn--exmple-cua.se"]);
        }
    })
    .await;
}

/// In the Netherlands the first zero of a BSN is left out on many papers.
#[tokio::test]
async fn b03_a_bsn_of_eight_and_of_nine_digits_is_one_and_a_wrong_one_sends_nothing() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let mut rows = school_and_child();
        let mut row = guardian("g-30", "noor", Some(&hash(super::OLD).await));
        row["national_id"] = json!("10464554");
        rows.push(with_email(row, "20451", "noor@voorbeeld.nl"));
        bed.service.import(OPVANG, &rows).await;
        let portal = bed.service.portal(OPVANG).await;
        let ask = async |name: &str, bsn: &str| {
            let (debtor_number, bsn) = (name.to_owned(), bsn.to_owned());
            let identification =
                Identification::DebtorNumberAndBsn(proto::DebtorNumberAndBsn { debtor_number, bsn });
            let request = proto::RequestPasswordResetRequest {
                organization: OPVANG.to_owned(),
                ..request(identification)
            };
            portal.reset.clone().request_password_reset(request).await.unwrap().into_inner().reference_code
        };
        ask("20451", "999990019").await;
        ask("noor", "111222333").await;
        assert_eq!(mails(&bed).await, 0, "{parts:?}: another person's number");
        assert_eq!(denied(&bed, "national_id_mismatch").await, 2);
        let spellings = [
            "10464554",
            "010464554",
            "0104.64.554",
            "1046 4554",
            "010-464-554",
            " 10.464.554\u{a0}",
            "'010464554",
        ];
        for bsn in spellings {
            ask("20 451", bsn).await;
        }
        assert_eq!(mails(&bed).await, 3, "{parts:?}");
        assert_eq!(denied(&bed, "mailed_lately").await, 4, "each of the seven found the account");
        let mails = bed.smtp.mails();
        assert!(mails.iter().all(|mail| mail.recipients == ["noor@voorbeeld.nl"] && has_link(mail)));
        assert!(mails.iter().all(|mail| !mail.raw.contains("10464554")));
        let inspected = proto::InspectResetTokenRequest {
            organization: OPVANG.to_owned(),
            portal: proto::Portal::Parent.into(),
            reset_token: token_in(&mails[0]),
            ..Default::default()
        };
        portal.reset.clone().inspect_reset_token(inspected).await.unwrap();
    })
    .await;
}

/// The refusal says when to come again and has a code for support, and leaves no request.
fn assert_limited(refused: &Status) {
    assert_eq!((refused.code(), reason(refused).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some_and(|delay| !delay.is_zero()));
    assert_eq!(metadata(refused, "reference_code").unwrap().len(), 8);
}

#[tokio::test]
async fn b19_a_network_gets_sixty_requests_in_an_hour_and_others_go_on() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        // Different names, which nobody has: a network is not told by what it finds.
        let nobody = |turn: usize| by_email(&format!("nobody{turn}"), "nobody@exempel.se");
        for turn in 0..30 {
            ask_from(&bed.portal, "192.0.2.7", nobody(turn)).await.unwrap();
        }
        assert_limited(&ask_from(&bed.portal, "192.0.2.7", nobody(30)).await.unwrap_err());
        assert_limited(&ask_from(&bed.portal, "::ffff:192.0.2.7", bo()).await.unwrap_err());
        ask_from(&bed.portal, "192.0.2.8", nobody(61)).await.unwrap();
        for turn in 0..30 {
            ask_from(&bed.portal, &format!("2001:db8:7:1:{turn:x}::1"), nobody(turn)).await.unwrap();
        }
        assert_limited(&ask_from(&bed.portal, "2001:db8:7:1:ffff::2", bo()).await.unwrap_err());
        ask_from(&bed.portal, "2001:db8:7:2::1", nobody(62)).await.unwrap();
        // Only the ones that were taken in are looked at.
        assert_eq!(mails(&bed).await, 0, "{parts:?}");
        assert_eq!(denied(&bed, "unknown_login_name").await, 62);
        eventually(SOON, "refusals are in the audit log", async || denied(&bed, "rate_limited").await == 3)
            .await;
        if parts == Parts::Embedded {
            // Thirty at once and thirty more in the hour.
            for turn in 0..30 {
                bed.service.clock.advance(2 * MINUTE);
                ask_from(&bed.portal, "192.0.2.7", nobody(turn)).await.unwrap();
                assert_limited(&ask_from(&bed.portal, "192.0.2.7", bo()).await.unwrap_err());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn b19_an_organization_gets_two_hundred_requests_from_everywhere_and_others_go_on() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let began = Instant::now();
        let mut taken = 0;
        let refused = loop {
            let ip = format!("198.51.100.{}", taken % 200 + 1);
            match ask_from(&bed.portal, &ip, by_email("nobody", "nobody@exempel.se")).await {
                Ok(_) => taken += 1,
                Err(refused) => break refused,
            }
        };
        // The clock of Redis goes on meanwhile: one more in 300 ms.
        let refilled = if parts == Parts::Shared { began.elapsed().as_millis() / 300 + 1 } else { 0 };
        assert!((200..=200 + refilled).contains(&taken), "{parts:?}: {taken} requests");
        assert_limited(&refused);
        let request = proto::RequestPasswordResetRequest {
            organization: OPVANG.to_owned(),
            ..request(by_email("noor", "noor@voorbeeld.nl"))
        };
        bed.service.portal(OPVANG).await.reset.clone().request_password_reset(request).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b19_a_hundred_requests_at_once_on_two_replicas_send_three_mails() {
    const TIMES: usize = 100;
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let replica = bed.replica().await;
        let portals = [bed.portal.clone(), replica.portal(KOMMUN).await];
        let barrier = Arc::new(Barrier::new(TIMES));
        let tries: Vec<_> = (0..TIMES)
            .map(|index| {
                let (portal, barrier) = (portals[index % 2].clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    ask(&portal, bo()).await
                })
            })
            .collect();
        for one in tries {
            one.await.unwrap().unwrap();
        }
        assert_eq!(mails(&bed).await, 3, "{parts:?}");
        assert_eq!(denied(&bed, "mailed_lately").await, 97, "{parts:?}");
    }
}
