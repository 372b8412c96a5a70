//! One order and several replicas: any of them shows it, one at a time asks BankID, and it becomes one session.

use guardian_auth::proto::{self, BankIdDevice, BankIdStatus};
use guardian_auth::simulators::bankid::{Endpoint, RecordedRequest};
use tokio::task::JoinSet;
use tonic::Status;

use super::bed::{Bed, Browser, PATIENCE, message_id, outcome, persona, until, with_number};
use super::{audited, sessions};
use crate::support::eventually;
use crate::support::service::{KOMMUN, Parts, Service, reason};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";
const ORDERS: &str = "guardian_auth_bankid_orders_total";

async fn collected_by(service: &Service) -> f64 {
    service.metric(ORDERS, "event=\"collected\"").await
}

async fn bed() -> (Bed, Service) {
    let bed = Bed::start(Parts::Shared, &[with_number("g-1", NUMBER)]).await;
    let replica = bed.replica().await;
    (bed, replica)
}

#[tokio::test]
async fn what_one_replica_begins_another_shows_and_completes_and_one_asks() {
    let (bed, replica) = bed().await;
    let browser = bed.begin(BankIdDevice::Other).await;
    let there = browser.through(&replica.portal(KOMMUN).await);
    let mut stream = there.watch().await.unwrap();
    let order = bed.scan(&browser.qr_text());
    bed.bankid.identify(&order, &persona(NUMBER)).unwrap();
    until(&mut stream, "asked for the code", |frame| message_id(frame) == "RFA9").await;
    bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
    until(&mut stream, "signed", |frame| frame.status() == BankIdStatus::Complete).await;
    there.complete("").await.unwrap();
    assert!(collected_by(&replica).await < 0.5, "the other replica has asked nothing");
    let asked = bed.bankid.count(Endpoint::Collect);
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let all = asked as f64;
    assert!((collected_by(&bed.service).await - all).abs() < 0.5, "every question was the beginner's");
    assert_eq!(sessions(&bed.service).await, 1);
}

/// The clocks stand still: no lease runs out, so it is handed over.
#[tokio::test]
async fn a_replica_that_stops_hands_its_orders_over_at_once() {
    let (mut bed, replica) = bed().await;
    let browser = bed.begin(BankIdDevice::Other).await;
    let there = browser.through(&replica.portal(KOMMUN).await);
    let mut stream = there.watch().await.unwrap();
    let order = bed.scan(&browser.qr_text());
    until(&mut stream, "under way", |frame| message_id(frame) == "RFA15B").await;
    bed.service.stop().await;
    bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
    until(&mut stream, "signed", |frame| frame.status() == BankIdStatus::Complete).await;
    assert!(collected_by(&replica).await > 0.5);
    there.complete("").await.unwrap();
    assert_eq!(sessions(&bed.service).await, 1);
}

#[tokio::test]
async fn a_cancellation_at_one_replica_ends_what_another_collects_and_shows() {
    let (bed, replica) = bed().await;
    let browser = bed.begin(BankIdDevice::Other).await;
    let order = bed.scan(&browser.qr_text());
    let here = {
        let browser = browser.clone();
        tokio::spawn(async move { browser.watch_to_the_end().await })
    };
    browser.through(&replica.portal(KOMMUN).await).cancel().await.unwrap();
    let frames = here.await.unwrap();
    let last = frames.last().unwrap();
    assert_eq!((last.status(), message_id(last).as_str()), (BankIdStatus::Failed, "RFA3"));
    bed.bankid.sign(&order, &persona(NUMBER)).unwrap_err();
    let status = browser.complete("").await.unwrap_err();
    assert_eq!(audited(&bed.service, &status).await, "eid_login_denied cancelled");
    eventually(PATIENCE, "nobody collects it", async || {
        bed.service.metric("guardian_auth_bankid_orders_collected", "").await < 0.5
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_completions_at_once_are_one_session() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let replica = bed.replica().await;
        let portals = [bed.portal.clone(), replica.portal(KOMMUN).await];
        for round in 1..=4 {
            let (browser, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
            let mut tasks = JoinSet::new();
            for number in 0..16 {
                let browser = browser.through(&portals[number % 2]);
                tasks.spawn(async move { browser.complete("").await });
            }
            let (opened, refused): (Vec<_>, Vec<_>) =
                tasks.join_all().await.into_iter().partition(Result::is_ok);
            assert_eq!((opened.len(), refused.len()), (1, 15), "{parts:?}");
            for status in refused.into_iter().filter_map(Result::err) {
                assert_eq!(reason(&status), "LOGIN_ATTEMPT_INVALID", "{parts:?}: {status:?}");
                assert_eq!(audited(&bed.service, &status).await, "eid_login_denied order_used");
            }
            assert_eq!(sessions(&bed.service).await, round, "{parts:?}");
        }
    }
}

async fn race(
    browser: &Browser,
    there: &Browser,
) -> (Result<proto::SessionTokens, Status>, Result<(), Status>) {
    tokio::join!(browser.complete(""), there.cancel())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_cancelled_or_becomes_a_session_and_never_both() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let replica = bed.replica().await;
        let there = replica.portal(KOMMUN).await;
        let mut sql = Sql::open(&bed.service).await;
        for round in 0..16 {
            sql.run("DELETE FROM session").await;
            let (browser, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
            let (completed, cancelled) = race(&browser, &browser.through(&there)).await;
            cancelled.expect("what is over is answered the same");
            let state = format!("SELECT state FROM bankid_order WHERE id = '{}'", browser.started.login_id);
            let state = sql.texts(&state).await.remove(0);
            let found = (completed.is_ok(), state.as_str(), sessions(&bed.service).await);
            assert!(
                matches!(found, (true, "used", 1) | (false, "cancelled", 0)),
                "{parts:?}, round {round}: {found:?}"
            );
            if let Err(status) = completed {
                assert_eq!(reason(&status), "LOGIN_ATTEMPT_INVALID");
            }
        }
    }
}

#[tokio::test]
async fn two_replicas_collect_each_of_twenty_orders_once_at_a_time() {
    let (bed, replica) = bed().await;
    let portals = [bed.portal.clone(), replica.portal(KOMMUN).await];
    let mut browsers = Vec::new();
    for number in 0..20 {
        browsers.push(
            super::bed::begin_at(&portals[number % 2], BankIdDevice::Other, "192.0.2.7").await.unwrap(),
        );
    }
    for (number, browser) in browsers.iter().enumerate() {
        let order = bed.scan(&browser.qr_text());
        // Twenty people: one and the same would end the others' orders.
        let who = persona(&format!("{:012}", 190_000_000_000_u64 + number as u64));
        bed.bankid.sign(&order, &who).unwrap();
    }
    for (number, browser) in browsers.iter().enumerate() {
        let frames = browser.through(&portals[(number + 1) % 2]).watch_to_the_end().await;
        // No personnummer, so nobody; but the result came, and once: it was not lost to another who asked.
        let code = &frames.last().unwrap().reference_code;
        assert_eq!(outcome(&frames), BankIdStatus::Failed);
        assert_eq!(super::audited_code(&bed.service, code).await, "eid_login_denied person_malformed");
    }
    let refused = |request: &&RecordedRequest| request.method == "POST" && request.status != 200;
    assert_eq!(
        bed.bankid.requests().iter().filter(refused).count(),
        0,
        "nobody asked for an order whose end another had been told"
    );
}
