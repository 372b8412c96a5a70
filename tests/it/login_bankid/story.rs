//! The story told once through: begin, scan or open, sign, and the session.

use guardian_auth::proto::{BankIdDevice, BankIdStatus, Portal};

use super::bed::{Bed, message_id, nonce_of, outcome, persona, with_number};
use crate::support::service::{KOMMUN, Parts, reason};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";

#[tokio::test]
async fn a_guardian_scans_the_code_signs_and_has_a_session() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let order = bed.scan(&browser.qr_text());
        bed.bankid.identify(&order, &persona(NUMBER)).unwrap();
        assert_eq!(bed.bankid.sign(&order, &persona(NUMBER)).unwrap(), None, "a QR order returns nowhere");
        let frames = browser.watch_to_the_end().await;
        assert_eq!(outcome(&frames), BankIdStatus::Complete);
        let session = browser.complete("").await.unwrap();
        let verified = bed.portal.verify(&session.access_token, KOMMUN, Portal::Parent).await.unwrap();
        assert_eq!(verified.guardian_id, session.guardian_id);
        let again = browser.complete("").await.unwrap_err();
        assert_eq!(reason(&again), "LOGIN_ATTEMPT_INVALID", "an order becomes one session");
        let mut sql = Sql::open(&bed.service).await;
        assert_eq!(sql.number("SELECT COUNT(*) FROM session").await, 1);
        assert_eq!(sql.number("SELECT COUNT(*) FROM eid_evidence").await, 1);
        let facts = sql.texts("SELECT kind FROM audit_event WHERE cause = 'bankid'").await;
        assert_eq!(facts, ["logged_in_with_eid"]);
    }
}

#[tokio::test]
async fn a_guardian_opens_the_app_on_this_device_and_comes_back_with_the_nonce() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Same).await;
        let order = bed.open(&browser.link());
        bed.bankid.identify(&order, &persona(NUMBER)).unwrap();
        let return_url = bed.bankid.sign(&order, &persona(NUMBER)).unwrap().unwrap();
        let frames = browser.watch_to_the_end().await;
        assert_eq!(outcome(&frames), BankIdStatus::Complete);
        let without = browser.complete("").await.unwrap_err();
        assert_eq!(reason(&without), "LOGIN_ATTEMPT_INVALID");
        browser.complete(&nonce_of(&return_url)).await.unwrap();
    }
}

#[tokio::test]
async fn who_declines_is_told_so_and_gets_no_session() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let order = bed.scan(&browser.qr_text());
        bed.bankid.decline(&order).unwrap();
        let frames = browser.watch_to_the_end().await;
        assert_eq!(outcome(&frames), BankIdStatus::Failed);
        let last = frames.last().unwrap();
        assert_eq!(message_id(last), "RFA6");
        let failed = browser.complete("").await.unwrap_err();
        assert_eq!(reason(&failed), "EID_LOGIN_FAILED");
        let mut sql = Sql::open(&bed.service).await;
        let query = format!("SELECT cause FROM audit_event WHERE reference_code = '{}'", last.reference_code);
        assert_eq!(sql.texts(&query).await, ["failed"]);
    }
}
