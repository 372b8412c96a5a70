//! B11, B14 for codes: an attempt does the same and is answered with as many bytes, whatever is true.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use guardian_auth::proto;

use super::{NEW, attempt, code, confirm, id_of, issue, sheet, with_guardians};
use crate::login_password::equal_work::{LAST_SWEEP, between, counters};
use crate::session::number;
use crate::support::eventually;
use crate::support::service::{KOMMUN, Parts, Service};
use crate::support::sql::Sql;
use crate::wire::raw::{Client, framed};

static ADDRESSES: AtomicU8 = AtomicU8::new(0);

const ACTIVATE: &str = "/guardian.auth.v1.LoginService/ActivateCredential";

/// What an attempt made the service do, and the answer without its reference code.
/// From an address of its own: the limits of one are not what is looked at.
async fn work(
    service: &Service,
    attempt: &proto::ActivateCredentialRequest,
) -> (BTreeMap<String, u64>, String) {
    let client = Client::connect(service.grpc()).await;
    let token = format!("Bearer {}", service.token(&format!("{KOMMUN}-portal")));
    let mut attempt = attempt.clone();
    let last = ADDRESSES.fetch_add(1, Ordering::Relaxed);
    attempt.client.as_mut().unwrap().ip = format!("192.0.2.{last}");
    let before = counters(&service.metrics().await);
    let answer = client.call(ACTIVATE, &[("authorization", &token)], framed(&attempt)).await.unwrap();
    let after = counters(&service.metrics().await);
    let told = format!("{} {} {} bytes", answer.code(), answer.reason(), answer.body.len());
    let details = answer.headers.get("grpc-status-details-bin").map_or(0, http::HeaderValue::len);
    (between(&before, &after), format!("{told} {details} {:?}", answer.violations()))
}

#[tokio::test]
async fn b11_b14_a_wrong_code_tells_nothing_whatever_was_issued() {
    for parts in Parts::ALL {
        let (first, staff) = with_guardians(parts).await;
        confirm(&first, "alma").await;
        confirm(&first, "bo").await;
        let alma = id_of(&first, "alma").await;
        let mut sql = Sql::open(&first).await;
        // What workers do beside the calls is not the calls' work.
        let service = first.replica_with(|config| config.workers.enabled = false).await;
        let swept = async || {
            service.metric("guardian_auth_sql_statements_total", &format!("\"{LAST_SWEEP}\"")).await > 0.5
        };
        eventually(crate::password_reset::SOON, "the first sweep is over", swept).await;

        let wrong = |name: &str| attempt(code(name, "22222-22222"), NEW);
        let mut classes = vec![("unknown name", work(&service, &wrong("nobody")).await)];
        classes.push(("nothing issued", work(&service, &wrong("bo")).await));
        let issued = issue(&staff, &alma, sheet()).await.unwrap();
        classes.push(("wrong", work(&service, &wrong("alma")).await));
        classes.push(("no code at all", work(&service, &attempt(code("alma", "U"), NEW)).await));
        classes.push((
            "wrong, and a bad password",
            work(&service, &attempt(code("alma", "22222-22222"), "x")).await,
        ));
        let right = attempt(code("alma", &issued.activation_code), NEW);
        sql.run("UPDATE guardian SET state = 'locked' WHERE source_key = 'alma'").await;
        classes.push(("right, locked", work(&service, &right).await));
        sql.run("UPDATE guardian SET state = 'active' WHERE source_key = 'alma'").await;
        sql.run("UPDATE activation SET expires_ms = 1").await;
        classes.push(("right, expired", work(&service, &right).await));
        sql.run("UPDATE activation SET ended_ms = 1, end_reason = 'used'").await;
        classes.push(("right, used", work(&service, &right).await));
        let (expected, answer) = classes[0].1.clone();
        assert!(answer.contains("INVALID_CREDENTIALS"), "{answer}");
        for (class, seen) in &classes {
            assert_eq!(seen, &(expected.clone(), answer.clone()), "{parts:?} {class}");
        }
        let count =
            |of: &str| expected.iter().filter(|(name, _)| name.contains(of)).map(|(_, n)| n).sum::<u64>();
        assert_eq!(count("hash_runs"), 1, "{expected:?}");
        assert_eq!(count("sql_statements"), 5, "look-up, and count and event in a transaction: {expected:?}");
        assert_eq!(count("limiter"), 1, "{expected:?}");
    }
}

/// Positive control: what works is seen to do other work.
#[tokio::test]
async fn b11_positive_control_a_right_code_does_other_work() {
    let (service, staff) = with_guardians(Parts::Embedded).await;
    confirm(&service, "alma").await;
    let issued = issue(&staff, &id_of(&service, "alma").await, sheet()).await.unwrap();
    let wrong = work(&service, &attempt(code("alma", "22222-22222"), NEW)).await;
    let right = work(&service, &attempt(code("alma", &issued.activation_code), NEW)).await;
    assert_ne!(wrong, right);
    assert_eq!(number(&service, "SELECT COUNT(*) FROM credential WHERE portal = 'parent'").await, 1);
}
