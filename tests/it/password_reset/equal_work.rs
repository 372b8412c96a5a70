//! B12: a request for a link does the same and is answered with the same bytes, whatever is true.

use std::collections::BTreeMap;

use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;
use prost::Message as _;

use super::{Bed, SOON, by_email, offer_everything, request};
use crate::login_password::equal_work::{LAST_SWEEP, between, counters};
use crate::session::number;
use crate::support::eventually;
use crate::support::service::{KOMMUN, Parts, Service};
use crate::support::sql::Sql;
use crate::wire::raw::{Client, framed};

const REQUEST: &str = "/guardian.auth.v1.PasswordResetService/RequestPasswordReset";

/// Requests that differ in everything that could be told: exists, does not, another address, no password, no address, one
/// that is none, several accounts, nobody's address.
pub(super) fn classes() -> Vec<(&'static str, Identification)> {
    let email = |text: &str| Identification::Email(text.to_owned());
    vec![
        ("exists", by_email("bo", "bo@exempel.se")),
        ("unknown name", by_email("nobody", "bo@exempel.se")),
        ("another address", by_email("bo", "alma.berg@exempel.se")),
        ("no password", by_email("per", "per@exempel.se")),
        ("no address", by_email("siv", "siv@exempel.se")),
        ("an address that is none", by_email("ulf", "ulf@exempel.se")),
        ("exists, by address", email("bo@exempel.se")),
        ("several accounts", email("familjen@exempel.se")),
        ("unknown address", email("nobody@exempel.se")),
    ]
}

/// A replica that answers calls only: what is counted is the calls' work.
pub(super) async fn without_workers(bed: &Bed) -> Service {
    let service = bed
        .service
        .replica_with(|config| {
            offer_everything(config);
            config.workers.enabled = false;
        })
        .await;
    // What it does at its start is not the calls' work.
    let last = format!("\"{LAST_SWEEP}\"");
    let swept = async || service.metric("guardian_auth_sql_statements_total", &last).await > 0.5;
    eventually(SOON, "the first sweep is over", swept).await;
    let mut commits = -1.0;
    eventually(SOON, "nothing is written any more", async || {
        let before = commits;
        commits = service.metric("guardian_auth_sql_statements_total", "\"commit\"").await;
        (commits - before).abs() < 0.5
    })
    .await;
    service
}

/// What the call did, and the answer without its reference code.
pub(super) async fn vector(
    service: &Service,
    identification: Identification,
) -> (BTreeMap<String, u64>, Vec<u8>) {
    let client = Client::connect(service.grpc()).await;
    let token = format!("Bearer {}", service.token(&format!("{KOMMUN}-portal")));
    let before = counters(&service.metrics().await);
    let answer = client.call(REQUEST, &[("authorization", &token)], framed(&request(identification))).await;
    let answer = answer.unwrap();
    assert_eq!(answer.code(), 0, "{answer:?}");
    let after = counters(&service.metrics().await);
    let mut message: proto::RequestPasswordResetResponse = answer.message();
    assert_eq!(message.reference_code.len(), 8);
    "········".clone_into(&mut message.reference_code);
    (between(&before, &after), message.encode_to_vec())
}

#[tokio::test]
async fn b12_reset_enumeration_no_account_is_looked_up_and_all_answers_are_the_same_bytes() {
    for parts in Parts::ALL {
        let mut bed = Bed::start(parts).await;
        let service = without_workers(&bed).await;
        let (first, answer) = vector(&service, classes().remove(0).1).await;
        let statements: Vec<_> = first.iter().filter(|(name, _)| name.contains("statement=")).collect();
        assert_eq!(statements.len(), 1, "{parts:?}: one INSERT and no look-up: {statements:?}");
        assert!(statements[0].0.contains("add_reset_request") && *statements[0].1 == 1, "{statements:?}");
        for (class, identification) in classes() {
            assert_eq!(
                vector(&service, identification).await,
                (first.clone(), answer.clone()),
                "{parts:?} {class}"
            );
        }
        // Django CVE-2024-45231: neither does it tell when the mail server is away.
        bed.smtp.stop();
        for (class, identification) in classes() {
            let told = format!("{parts:?} {class}, no mail server");
            assert_eq!(vector(&service, identification).await, (first.clone(), answer.clone()), "{told}");
        }
    }
}

#[tokio::test]
async fn b12_positive_control_a_login_is_seen_to_look_an_account_up() {
    let bed = Bed::start(Parts::Embedded).await;
    let service = without_workers(&bed).await;
    let before = counters(&service.metrics().await);
    let attempt = crate::support::service::Attempt::new("bo", "wrong");
    service.portal(KOMMUN).await.log_in(attempt).await.unwrap_err();
    let work = between(&before, &counters(&service.metrics().await));
    assert!(work.keys().any(|name| name.contains("find_login_candidates")), "{work:?}");
}

/// What was typed is sealed while it waits, and gone when it is settled.
#[tokio::test]
async fn what_was_typed_is_sealed_while_it_waits_and_gone_afterwards() {
    const NAME: &str = "ZQCANARY17";
    for parts in Parts::ALL {
        let mut bed = Bed::start(parts).await;
        let service = without_workers(&bed).await;
        bed.service.stop().await;
        vector(&service, by_email(NAME, "zq.canary@exempel.se")).await;
        let hex = if parts == Parts::Embedded { "lower(hex(sealed))" } else { "encode(sealed, 'hex')" };
        let mut sql = Sql::open(&service).await;
        let kept = sql.texts(&format!("SELECT {hex} FROM reset_request")).await;
        assert_eq!(kept.len(), 1);
        let shown: String = NAME.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(kept[0].len() > 2 * NAME.len() && !kept[0].contains(&shown), "{parts:?}: {}", kept[0]);
        let _worker = bed.replica().await;
        eventually(SOON, "the request is settled", async || {
            number(&service, "SELECT count(*) FROM reset_request").await == 0
        })
        .await;
    }
}
