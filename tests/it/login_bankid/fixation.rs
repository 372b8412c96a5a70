//! B22: an order belongs to the browser that began it, and only a person at that browser can give it a session.

use guardian_auth::proto::{self, BankIdDevice, BankIdStatus};
use tonic::Status;

use super::bed::{Bed, Browser, PATIENCE, bent, message_id, nonce_of, outcome, persona, with_number};
use super::{audited, sessions, verdict};
use crate::support::eventually;
use crate::support::service::{OPVANG, Parts, reason};

const NUMBER: &str = "197001019806";

fn invalid(cause: &str) -> (String, String) {
    ("LOGIN_ATTEMPT_INVALID".to_owned(), format!("eid_login_denied {cause}"))
}

/// Watch, complete and cancel, each refused for the same cause.
async fn assert_refused(bed: &Bed, browser: &Browser, cause: &str) {
    let watched = browser.watch().await.err().expect("no stream");
    let answers: [Result<(), Status>; 3] =
        [Err(watched), browser.complete("").await.map(|_| ()), browser.cancel().await];
    for answer in answers {
        let status = answer.unwrap_err();
        let found = (reason(&status), audited(&bed.service, &status).await);
        assert_eq!(found, invalid(cause));
    }
}

#[tokio::test]
async fn b22_who_sends_the_link_to_somebody_else_gets_no_session() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let attacker = bed.begin(BankIdDevice::Same).await;
        // The attacker signs an order of their own too: a nonce, but of another order.
        let (own, own_nonce) = bed.signed(BankIdDevice::Same, &persona("198001011371")).await;
        let order = bed.open(&attacker.link());
        let return_url = bed.bankid.sign(&order, &persona(NUMBER)).unwrap().unwrap();
        let nonce = nonce_of(&return_url);
        assert_eq!(outcome(&attacker.watch_to_the_end().await), BankIdStatus::Complete);
        for wrong in ["", "gbn_", "anything", bent(&nonce).as_str(), own_nonce.as_str()] {
            let found = verdict(&bed.service, attacker.complete(wrong).await).await;
            assert_eq!(found, invalid("return_nonce"), "{parts:?}: {wrong}");
        }
        // The victim's browser has the nonce, and the secret of nothing or of another order.
        let another = bent(&attacker.started.binding_secret);
        for wrong in [another.as_str(), own.started.binding_secret.as_str(), "gbs_short"] {
            let victim = attacker.with_secret(wrong);
            let found = verdict(&bed.service, victim.complete(&nonce).await).await;
            assert_eq!(found, invalid("other_browser"), "{parts:?}: {wrong}");
        }
        let without = attacker.with_secret("").complete(&nonce).await.unwrap_err();
        assert_eq!(reason(&without), "INVALID_REQUEST");
        assert_eq!(sessions(&bed.service).await, 0, "{parts:?}");
        // Positive control: with both the order is as good as ever.
        attacker.complete(&nonce).await.unwrap();
    }
}

#[tokio::test]
async fn b22_an_order_is_of_no_use_without_its_own_secret() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let (browser, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        let other = bed.begin(BankIdDevice::Other).await;
        assert_refused(&bed, &browser.with_secret(&bent(&browser.started.binding_secret)), "other_browser")
            .await;
        assert_refused(&bed, &browser.with_secret(&other.started.binding_secret), "other_browser").await;
        assert_refused(&bed, &browser.with_secret("a-guess"), "other_browser").await;
        let mut unknown = browser.clone();
        unknown.started.login_id = "01KAMXJ7VQ3S8Z0H2T9B4C5D6E".to_owned();
        assert_refused(&bed, &unknown, "order_unknown").await;
        // Nothing of it has touched the order.
        browser.complete("").await.unwrap();
    }
}

#[tokio::test]
async fn an_order_is_known_in_its_organization_and_at_its_portal_only() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let (browser, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        let mut elsewhere = browser.through(&bed.service.portal(OPVANG).await);
        OPVANG.clone_into(&mut elsewhere.organization);
        assert_refused(&bed, &elsewhere, "order_unknown").await;
        let mut beside = browser.clone();
        beside.at = proto::Portal::Staff;
        assert_refused(&bed, &beside, "order_unknown").await;
        assert_eq!(sessions(&bed.service).await, 0, "{parts:?}");
        browser.complete("").await.unwrap();
    }
}

#[tokio::test]
async fn an_order_on_another_device_takes_no_nonce() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let (_, nonce) = bed.signed(BankIdDevice::Same, &persona("198001011371")).await;
        let (browser, nothing) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        assert_eq!(nothing, "", "the app returns nowhere");
        for given in [nonce.as_str(), "anything"] {
            let found = verdict(&bed.service, browser.complete(given).await).await;
            assert_eq!(found, invalid("return_nonce"), "{parts:?}");
        }
        browser.complete("").await.unwrap();
    }
}

#[tokio::test]
async fn what_is_over_stays_over() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let pending = bed.begin(BankIdDevice::Other).await;
        let early = pending.complete("").await.unwrap_err();
        assert_eq!(reason(&early), "LOGIN_NOT_FINISHED");
        pending.cancel().await.unwrap();
        pending.cancel().await.unwrap();
        assert_eq!(verdict(&bed.service, pending.complete("").await).await, invalid("cancelled"));

        let (signed, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        signed.cancel().await.unwrap();
        assert_eq!(verdict(&bed.service, signed.complete("").await).await, invalid("cancelled"));

        let (late, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        bed.advance(guardian_auth::domain::bankid::RESULT_LIFETIME);
        assert_eq!(verdict(&bed.service, late.complete("").await).await, invalid("order_expired"));

        let (used, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        used.complete("").await.unwrap();
        used.cancel().await.unwrap();
        assert_eq!(verdict(&bed.service, used.complete("").await).await, invalid("order_used"));
        let told = async || used.watch_to_the_end().await.pop().unwrap();
        eventually(PATIENCE, "nobody shows it as signed any more", async || {
            told().await.status() == BankIdStatus::Failed
        })
        .await;
        let last = told().await;
        assert_eq!((message_id(&last).as_str(), last.reference_code.as_str()), ("RFA22", ""));
        assert_eq!(sessions(&bed.service).await, 1, "{parts:?}");
    }
}
