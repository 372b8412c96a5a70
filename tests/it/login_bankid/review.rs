//! Threats that a second reading of the BankID login found, each with its test.

use std::time::Duration;

use guardian_auth::domain::limits::{LimitPolicy, Quota};
use guardian_auth::proto::{BankIdDevice, BankIdStatus, ClientContext, Portal, StartBankIdLoginRequest};
use guardian_auth::simulators::bankid::{Endpoint, Fault};

use super::bed::{Bed, HERE, outcome, persona, with_number};
use crate::support::eventually;
use crate::support::service::{KOMMUN, Parts, reason};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";

/// A take-over that the store did, and whose answer was lost on the way: nobody else would ever take the order.
#[tokio::test]
async fn an_order_that_is_leased_to_a_process_without_its_knowledge_is_collected() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let (other, stray) = (bed.begin(BankIdDevice::Other).await, bed.begin(BankIdDevice::Other).await);
        let (other, id) = (&other.started.login_id, &stray.started.login_id);
        let mut sql = Sql::open(&bed.service).await;
        let taken = format!(
            "UPDATE bankid_order SET collector = 'another', lease_ms = lease_ms + 3600000 WHERE id = '{id}'"
        );
        assert_eq!(sql.run(&taken).await, 1);
        eventually(Duration::from_secs(20), "the process lets go of the order", async || {
            let own = bed.service.metric("guardian_auth_bankid_orders_collected", "").await;
            (own - 1.0).abs() < 0.5
        })
        .await;
        let given_back = format!(
            "UPDATE bankid_order SET collector = (SELECT collector FROM bankid_order WHERE id = '{other}') \
             WHERE id = '{id}'"
        );
        assert_eq!(sql.run(&given_back).await, 1);
        let order = bed.scan(&stray.qr_text());
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        assert_eq!(outcome(&stray.watch_to_the_end().await), BankIdStatus::Complete, "{parts:?}");
        stray.complete("").await.unwrap();
    }
}

/// Each one writes to the audit log: who began an order could go on for as long as it lives.
#[tokio::test]
async fn wrong_nonces_are_charged_to_their_network() {
    const ALLOWED: u32 = 3;
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], |config| {
            let kommun = config.organizations.iter_mut().find(|one| one.id.as_str() == KOMMUN).unwrap();
            let eid_network = Quota::new(ALLOWED, Duration::from_hours(1));
            kommun.limits = LimitPolicy { eid_network, ..LimitPolicy::default() };
        })
        .await;
        let browser = bed.begin(BankIdDevice::Same).await;
        for _ in 0..ALLOWED {
            assert_eq!(reason(&browser.complete("gbn_wrong").await.unwrap_err()), "LOGIN_ATTEMPT_INVALID");
        }
        assert_eq!(reason(&browser.complete("gbn_wrong").await.unwrap_err()), "RATE_LIMITED", "{parts:?}");
    }
}

/// The secret went to nobody: the order would be asked for, and begun anew, for as long as nobody opens the app.
#[tokio::test]
async fn an_order_that_begins_after_its_caller_gave_up_is_given_up_too() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[]).await;
        bed.bankid.inject(Endpoint::Auth, Fault::Delay(Duration::from_secs(1)));
        let mut request = tonic::Request::new(StartBankIdLoginRequest {
            organization: KOMMUN.to_owned(),
            portal: Portal::Parent.into(),
            device: BankIdDevice::Other.into(),
            client: Some(ClientContext { ip: HERE.to_owned(), ..ClientContext::default() }),
            device_identifier: String::new(),
        });
        request.set_timeout(Duration::from_millis(500));
        bed.portal.clone().bankid.start_bank_id_login(request).await.unwrap_err();
        eventually(Duration::from_secs(20), "BankID hears that it is given up", async || {
            bed.bankid.count(Endpoint::Cancel) == 1
        })
        .await;
        let mut sql = Sql::open(&bed.service).await;
        assert_eq!(sql.number("SELECT COUNT(*) FROM bankid_order").await, 0, "{parts:?}");
    }
}
