//! What BankID thinks of an order, and where the app was: told to staff, and refused where the policy says so.

use std::net::IpAddr;

use guardian_auth::domain::bankid::{Risk, RiskPolicy};
use guardian_auth::proto::BankIdDevice;
use guardian_auth::simulators::bankid::Persona;

use super::bed::{Bed, HERE, autostart_token, bankid_of, nonce_of, persona, with_number};
use super::{audited, sessions};
use crate::support::service::{Parts, metadata, reason};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";
const ELSEWHERE: &str = "198.51.100.9";

fn of_risk(risk: Option<Risk>) -> Persona {
    Persona { risk, ..persona(NUMBER) }
}

/// A policy, and orders with what comes of them: the device, where the app was, the risk; the signals, and the cause of
/// the refusal if there is one.
struct Row(BankIdDevice, &'static str, Option<Risk>, &'static [&'static str], Option<&'static str>);

async fn assert_judged(parts: Parts, policy: RiskPolicy, rows: &[Row]) {
    let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], |config| {
        bankid_of(config).risk = policy;
    })
    .await;
    for Row(device, app, risk, signals, refused) in rows {
        let what = format!("{parts:?} {policy:?} {device:?} {app} {risk:?}");
        let mut sql = Sql::open(&bed.service).await;
        let opened = sessions(&bed.service).await;
        let before = sql.texts("SELECT id FROM audit_event").await;
        let browser = bed.begin(*device).await;
        let app: IpAddr = app.parse().unwrap();
        let order = match device {
            BankIdDevice::Same => bed.bankid.open(&autostart_token(&browser.link()), app),
            _ => bed.bankid.scan(&browser.qr_text(), app),
        };
        let return_url = bed.bankid.sign(&order.unwrap(), &of_risk(*risk)).unwrap();
        browser.watch_to_the_end().await;
        let nonce = return_url.map_or_else(String::new, |url| nonce_of(&url));
        match (browser.complete(&nonce).await, refused) {
            (Ok(_), None) => assert_eq!(sessions(&bed.service).await, opened + 1, "{what}"),
            (Err(status), Some(cause)) => {
                assert_eq!(reason(&status), "EID_LOGIN_FAILED", "{what}");
                assert_eq!(metadata(&status, "message_id").as_deref(), Some("RFA22"), "{what}");
                assert_eq!(
                    audited(&bed.service, &status).await,
                    format!("eid_login_denied {cause}"),
                    "{what}"
                );
                let again = browser.complete(&nonce).await.unwrap_err();
                assert_eq!(audited(&bed.service, &again).await, "eid_login_denied order_used", "{what}");
                assert_eq!(sessions(&bed.service).await, opened, "{what}");
            }
            (answer, _) => panic!("{what}: {:?}", answer.map(|session| session.session_id)),
        }
        let query = "SELECT id || ' ' || cause FROM audit_event WHERE kind = 'bankid_signal' ORDER BY cause";
        let told = sql.texts(query).await;
        let told = told.iter().map(|row| row.split_once(' ').unwrap());
        let told: Vec<_> = told.filter(|(id, _)| before.iter().all(|old| old != id)).collect();
        let told: Vec<_> = told.into_iter().map(|(_, cause)| cause).collect();
        assert_eq!(told, *signals, "{what}");
    }
}

#[tokio::test]
async fn by_default_high_risk_is_refused_and_the_rest_is_told() {
    use BankIdDevice::{Other, Same};
    let (low, moderate, high) = (Some(Risk::Low), Some(Risk::Moderate), Some(Risk::High));
    let rows = [
        Row(Other, HERE, low, &[], None),
        Row(Other, HERE, moderate, &["risk_moderate"], None),
        Row(Other, HERE, None, &["risk_unknown"], None),
        Row(Other, HERE, high, &["risk_high"], Some("risk")),
        // The phone with the app may be on any network; on one device the addresses are a hint.
        Row(Other, ELSEWHERE, low, &[], None),
        Row(Same, HERE, low, &[], None),
        Row(Same, ELSEWHERE, low, &["other_address"], None),
        Row(Same, "::ffff:192.0.2.7", low, &[], None),
        Row(Same, ELSEWHERE, high, &["other_address", "risk_high"], Some("risk")),
    ];
    for parts in Parts::ALL {
        assert_judged(parts, RiskPolicy::default(), &rows).await;
    }
}

#[tokio::test]
async fn each_policy_refuses_what_it_says() {
    use BankIdDevice::{Other, Same};
    let (low, moderate, high) = (Some(Risk::Low), Some(Risk::Moderate), Some(Risk::High));
    let usual = RiskPolicy::default();
    let careful = RiskPolicy { refuse_from: moderate, refuse_unknown: true, ..usual };
    let rows = [
        Row(Other, HERE, low, &[], None),
        Row(Other, HERE, moderate, &["risk_moderate"], Some("risk")),
        Row(Other, HERE, high, &["risk_high"], Some("risk")),
        Row(Other, HERE, None, &["risk_unknown"], Some("risk")),
    ];
    assert_judged(Parts::Embedded, careful, &rows).await;
    let careless = RiskPolicy { refuse_from: None, ..usual };
    assert_judged(Parts::Embedded, careless, &[Row(Other, HERE, high, &["risk_high"], None)]).await;
    let near = RiskPolicy { refuse_other_address: true, ..usual };
    let rows = [
        Row(Same, HERE, low, &[], None),
        Row(Same, ELSEWHERE, low, &["other_address"], Some("other_address")),
        Row(Other, ELSEWHERE, low, &[], None),
    ];
    assert_judged(Parts::Embedded, near, &rows).await;
}
