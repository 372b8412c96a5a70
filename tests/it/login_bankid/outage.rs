//! BankID, or the store, is away in the middle: told as it is, gone on with when it is back, and nobody else notices.

use std::time::{Duration, Instant};

use guardian_auth::app;
use guardian_auth::config::{Config, StoreBackend};
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto::{BankIdDevice, BankIdStatus};
use guardian_auth::simulators::bankid::{Endpoint, Fault};
use tonic::Code;

use super::audited;
use super::bed::{Bed, PATIENCE, bankid_of, message_id, outcome, persona, until, with_number};
use crate::support::eventually;
use crate::support::fault_proxy::Mode;
use crate::support::postgres::PostgresServer;
use crate::support::service::{Attempt, KOMMUN, Parts, guardian, hash, http_get, metadata, reason};

const NUMBER: &str = "197001019806";
const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const SECOND: Duration = Duration::from_secs(1);

fn impatient(config: &mut Config) {
    for access in &mut config.bankid {
        access.timeout = SECOND;
    }
}

#[tokio::test]
async fn a_bankid_that_is_away_is_called_so_and_asked_once() {
    let bed = Bed::start_with(Parts::Embedded, &[], impatient).await;
    let faults = [
        Fault::maintenance(),
        Fault::error(500, "internalError"),
        Fault::error(408, "requestTimeout"),
        Fault::error(429, "tooManyRequests"),
        Fault::error(401, "unauthorized"),
        Fault::error(404, "notFound"),
        Fault::gateway_page(),
        Fault::Delay(Duration::from_secs(10)),
        Fault::Silence,
        Fault::HalfJson,
        Fault::Dropped,
        Fault::Lost,
        Fault::json(&serde_json::json!({"orderRef": 7})),
    ];
    for device in [BankIdDevice::Other, BankIdDevice::Same] {
        for fault in &faults {
            let begun = bed.begun();
            let what = format!("{fault:?}");
            bed.bankid.inject(Endpoint::Auth, fault.clone());
            let asked = Instant::now();
            let status = bed.try_begin(device).await.err().expect("no order");
            assert!(asked.elapsed() < 5 * SECOND, "{what}: an answer is bounded");
            assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
            assert_eq!(reason(&status), "DEPENDENCY_UNAVAILABLE", "{what}");
            assert_eq!(metadata(&status, "dependency").as_deref(), Some("bankid"), "{what}");
            assert_eq!(bed.begun(), begun + 1, "{what}: never tried again by itself");
        }
    }
    // Two that BankID has refused, which is no outage.
    for (fault, message) in [
        (Fault::error(400, "alreadyInProgress"), "RFA4"),
        (Fault::error(400, "ALREADYINPROGRESS"), "RFA4"),
        (Fault::error(400, "invalidParameters"), "RFA22"),
    ] {
        bed.bankid.inject(Endpoint::Auth, fault);
        let status = bed.try_begin(BankIdDevice::Other).await.err().expect("no order");
        assert_eq!(reason(&status), "EID_LOGIN_FAILED");
        assert_eq!(metadata(&status, "message_id").as_deref(), Some(message));
        assert_eq!(audited(&bed.service, &status).await, "eid_login_denied bankid_error");
    }
    bed.begin(BankIdDevice::Other).await;
}

#[tokio::test]
async fn passwords_and_readiness_do_without_bankid() {
    for mode in [Mode::Reset, Mode::Blackhole] {
        let with_password = guardian("g-1", "alma", Some(&hash(PASSWORD).await));
        let bed = Bed::start_with(Parts::Embedded, &[with_password], impatient).await;
        let reachable = async |service: &crate::support::service::Service| {
            service.metric("guardian_auth_bankid_reachable", "organization=\"sample-kommun\"").await > 0.5
        };
        eventually(PATIENCE, "BankID lets us in", async || reachable(&bed.service).await).await;
        bed.line.set(mode);
        // As if it had been away at the start of a replica.
        let replica = bed.replica_with(impatient).await;
        let status = bed.try_begin(BankIdDevice::Other).await.err().expect("no order");
        assert_eq!(reason(&status), "DEPENDENCY_UNAVAILABLE", "{mode:?}");
        for service in [&bed.service, &replica] {
            let began = Instant::now();
            service.portal(KOMMUN).await.session(Attempt::new("alma", PASSWORD)).await;
            assert!(began.elapsed() < 5 * SECOND, "{mode:?}: a password waits for no BankID");
            assert_eq!(http_get(service.ops(), "/ready").await.0, 200);
        }
        assert!(!reachable(&replica).await, "{mode:?}");
        let mut config = bed.config();
        impatient(&mut config);
        let found = async |config: &Config| {
            let all = app::probe(config).await;
            all.into_iter().find(|(name, _)| name == "bankid (sample-kommun)").expect("asked").1
        };
        assert!(found(&config).await.is_err(), "{mode:?}: `check` says so");
        bed.line.set(Mode::Pass);
        assert_eq!(found(&config).await.as_deref(), Ok("BankID lets our certificate in"));
    }
}

#[tokio::test]
async fn an_order_goes_on_when_bankid_is_back() {
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], impatient).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let mut stream = browser.watch().await.unwrap();
        let order = bed.scan(&browser.qr_text());
        until(&mut stream, "under way", |frame| message_id(frame) == "RFA15B").await;
        // Every question that does nothing at BankID: how it ended is told once.
        for fault in [
            Fault::maintenance(),
            Fault::error(500, "internalError"),
            Fault::error(429, "tooManyRequests"),
            Fault::error(401, "unauthorized"),
            Fault::gateway_page(),
            Fault::Dropped,
            Fault::json(&serde_json::json!({"status": "gone"})),
        ] {
            bed.bankid.inject(Endpoint::Collect, fault);
        }
        bed.bankid.identify(&order, &persona(NUMBER)).unwrap();
        until(&mut stream, "asked for the code", |frame| message_id(frame) == "RFA9").await;
        bed.line.set(Mode::Reset);
        let failed = async || {
            bed.service.metric("guardian_auth_bankid_orders_total", "event=\"collect_failed\"").await
        };
        let before = failed().await;
        eventually(PATIENCE, "asked in vain", async || failed().await > before + 2.5).await;
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        let early = browser.complete("").await.unwrap_err();
        assert_eq!(reason(&early), "LOGIN_NOT_FINISHED", "{parts:?}");
        bed.line.set(Mode::Pass);
        until(&mut stream, "signed", |frame| {
            assert_ne!(frame.status(), BankIdStatus::Failed, "{parts:?}");
            frame.status() == BankIdStatus::Complete
        })
        .await;
        browser.complete("").await.unwrap();
    }
}

/// BankID tells a result once. If the answer is lost on the way there is nothing to be had, and that is said.
#[tokio::test]
async fn a_result_that_is_lost_on_its_way_fails_the_order() {
    let bed = Bed::start_with(Parts::Embedded, &[with_number("g-1", NUMBER)], impatient).await;
    for fault in [Fault::HalfJson, Fault::Lost] {
        let browser = bed.begin(BankIdDevice::Other).await;
        let order = bed.scan(&browser.qr_text());
        bed.bankid.inject(Endpoint::Collect, fault);
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        let frames = browser.watch_to_the_end().await;
        match outcome(&frames) {
            // The fault met a question before the signature.
            BankIdStatus::Complete => browser.complete("").await.map(drop).unwrap(),
            _ => {
                let status = browser.complete("").await.unwrap_err();
                assert_eq!(audited(&bed.service, &status).await, "eid_login_denied result_lost");
            }
        }
    }
}

/// On a database, with a pause between two questions.
fn on(url: &str, pause: Duration) -> impl Fn(&mut Config) {
    move |config| {
        config.store.backend =
            StoreBackend::Postgres { url: Secret::new(url.to_owned()), max_connections: 4 };
        bankid_of(config).collect_pause = pause;
    }
}

/// The store is away when the person signs, and for longer than a lease: whoever looks first when it is back takes the
/// order over.
async fn assert_result_outlives_the_outage(pause: Duration, with_replica: bool) {
    let mut postgres = PostgresServer::start().await;
    let url = postgres.url();
    let bed = Bed::start_with(Parts::Embedded, &[with_number("g-1", NUMBER)], on(&url, pause)).await;
    let replica = if with_replica { Some(bed.replica_with(on(&url, pause)).await) } else { None };
    let browser = bed.begin(BankIdDevice::Other).await;
    let order = bed.scan(&browser.qr_text());
    postgres.stop();
    bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
    let told = async || bed.bankid.list_orders().is_empty();
    eventually(PATIENCE, "BankID has told the result", told).await;
    let away = browser.complete("").await.unwrap_err();
    assert_eq!(reason(&away), "DEPENDENCY_UNAVAILABLE");
    bed.advance(10 * SECOND);
    postgres.restart().await;
    let there = match &replica {
        Some(replica) => browser.through(&replica.portal(KOMMUN).await),
        None => browser,
    };
    eventually(PATIENCE, "the session", async || match there.complete("").await {
        Ok(_) => true,
        Err(status) => {
            let waits = ["DEPENDENCY_UNAVAILABLE", "LOGIN_NOT_FINISHED"];
            assert!(waits.contains(&reason(&status).as_str()), "{status:?}");
            false
        }
    })
    .await;
}

/// Whoever takes the order over asks no sooner than after BankID's pause: until then the one that was told has saved it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_outlives_an_outage_of_the_store_among_replicas() {
    assert_result_outlives_the_outage(2 * SECOND, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_alone_takes_nothing_over_from_itself() {
    assert_result_outlives_the_outage(Duration::from_millis(5), false).await;
}
