//! Limits of logins with BankID: how many are begun, and how often a secret is guessed.

use std::time::Duration;

use guardian_auth::config::Config;
use guardian_auth::domain::limits::{LimitPolicy, Quota};
use guardian_auth::proto::BankIdDevice;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::bed::{Bed, PATIENCE, begin_at, bent, kommun, persona, with_number};
use super::sessions;
use crate::support::eventually;
use crate::support::service::{Parts, Service, metadata, reason};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";
const HOUR: Duration = Duration::from_hours(1);

fn with(limits: LimitPolicy) -> impl Fn(&mut Config) {
    move |config| {
        kommun(config).limits = limits;
    }
}

fn assert_limited(status: &tonic::Status) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(wait.is_some_and(|wait| wait >= Duration::from_secs(1)), "{status:?}");
}

/// The event of a refusal is written by a batch.
async fn audited_soon(service: &Service, status: &tonic::Status) {
    let code = metadata(status, "reference_code").unwrap();
    let query = format!(
        "SELECT COUNT(*) FROM audit_event WHERE reference_code = '{code}' AND kind = 'eid_login_denied' \
         AND cause = 'rate_limited'"
    );
    let mut sql = Sql::open(service).await;
    eventually(PATIENCE, "the refusal is written down", async || sql.number(&query).await == 1).await;
}

#[tokio::test]
async fn a_network_begins_so_many_orders_and_bankid_hears_of_no_more() {
    for parts in Parts::ALL {
        let limits = LimitPolicy { eid_network: Quota::new(3, HOUR), ..LimitPolicy::default() };
        let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], with(limits)).await;
        for _ in 0..3 {
            bed.begin(BankIdDevice::Other).await;
        }
        let refused = bed.try_begin(BankIdDevice::Same).await.err().unwrap();
        assert_limited(&refused);
        assert_eq!(bed.begun(), 3, "{parts:?}");
        begin_at(&bed.portal, BankIdDevice::Other, "198.51.100.9").await.unwrap();
        // A network is a /64.
        for host in 1..=3 {
            begin_at(&bed.portal, BankIdDevice::Other, &format!("2001:db8::{host}")).await.unwrap();
        }
        let refused = begin_at(&bed.portal, BankIdDevice::Other, "2001:db8::4").await.err().unwrap();
        assert_limited(&refused);
        audited_soon(&bed.service, &refused).await;
    }
}

#[tokio::test]
async fn an_organization_begins_so_many_orders_wherever_they_come_from() {
    for parts in Parts::ALL {
        let limits = LimitPolicy { eid_organization: Quota::new(4, HOUR), ..LimitPolicy::default() };
        let bed = Bed::start_with(parts, &[], with(limits)).await;
        for host in 1..=4 {
            begin_at(&bed.portal, BankIdDevice::Other, &format!("198.51.{host}.1")).await.unwrap();
        }
        let refused = begin_at(&bed.portal, BankIdDevice::Other, "198.51.9.1").await.err().unwrap();
        assert_limited(&refused);
        assert_eq!(bed.begun(), 4, "{parts:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_charged_to_its_network_and_a_right_one_given_back() {
    const ALLOWED: usize = 3;
    for parts in Parts::ALL {
        let quota = Quota::new(u32::try_from(ALLOWED).unwrap(), HOUR);
        let limits = LimitPolicy { eid_network: quota, ..LimitPolicy::default() };
        let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], with(limits)).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let not_finished = async || {
            let status = browser.complete("").await.unwrap_err();
            reason(&status) == "LOGIN_NOT_FINISHED"
        };
        // Given back: more often than the network has places, each as soon as the one before was given back.
        for _ in 0..4 * ALLOWED {
            eventually(PATIENCE, "the place comes back", not_finished).await;
        }
        // All of them: the last one given back is on its way still.
        let wrong = browser.with_secret(&bent(&browser.started.binding_secret));
        let mut tried = 0;
        let refused = loop {
            let status = wrong.complete("").await.unwrap_err();
            if reason(&status) == "RATE_LIMITED" {
                break status;
            }
            assert_eq!(reason(&status), "LOGIN_ATTEMPT_INVALID");
            tried += 1;
            assert!(tried <= ALLOWED, "{parts:?}: a guess too many");
        };
        assert!(tried > 0);
        assert_limited(&refused);
        audited_soon(&bed.service, &refused).await;
        for limited in [
            wrong.watch().await.map(|_| ()),
            wrong.cancel().await,
            browser.complete("").await.map(|_| ()),
            browser.cancel().await,
        ] {
            assert_limited(&limited.unwrap_err());
        }
        // Elsewhere the order is as good as ever.
        let order = bed.scan(&browser.qr_text());
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        let mut at_home = browser.clone();
        "203.0.113.5".clone_into(&mut at_home.ip);
        at_home.watch_to_the_end().await;
        eventually(PATIENCE, "the session", async || at_home.complete("").await.is_ok()).await;
        assert_eq!(sessions(&bed.service).await, 1);
    }
}
