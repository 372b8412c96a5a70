//! Who changed a password is told to its owner: one mail for each change and each reset, without a link, and after a reset
//! a text message too, to few countries and not too many.

use std::time::Duration;

use guardian_auth::config::{Config, Sms};
use guardian_auth::domain::limits::Quota;
use guardian_auth::domain::secret::Secret;
use serde_json::json;

use super::{Bed, MINUTE, NEW, OLD, SOON, confirm, has_link, on_all_parts, with_email};
use crate::change_password::{change_with_session, change_with_ticket, must_change, ticket_of};
use crate::session::number;
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, guardian, hash, reason};
use crate::support::sms_gateway::{Gateway, TAKEN};
use crate::support::sql::Sql;

const BO: &str = "bo@exempel.se";
const THIRD: &str = "tofs-ankare-blixt-havre";

/// Through this gateway, so many to one number.
fn text_messages(
    gateway: &Gateway,
    recipient: Quota,
    organization: Quota,
) -> impl FnOnce(&mut Config) + use<> {
    let base_url = format!("http://127.0.0.1:{}", gateway.port);
    move |config: &mut Config| {
        config.sms = Some(Sms {
            base_url,
            user: "user".to_owned(),
            password: Secret::new("password".to_owned()),
            from: "Skolan".to_owned(),
            countries: vec!["+46".to_owned(), "+31".to_owned()],
            recipient,
            organization,
            timeout: Duration::from_secs(10),
        });
    }
}

const MANY: Quota = Quota::new(100, MINUTE);

/// Guardians with these mobile numbers: `t0`, `t1`, ….
async fn import(bed: &Bed, mobiles: &[&str]) {
    let hash = hash(OLD).await;
    let row = |(number, mobile): (usize, &&str)| {
        let row = guardian(&format!("g-t{number}"), &format!("t{number}"), Some(&hash));
        let mut row = with_email(row, &format!("80{number:04}"), &email(number));
        row["mobile"] = json!(mobile);
        row
    };
    let rows: Vec<_> = mobiles.iter().enumerate().map(row).collect();
    bed.service.import(KOMMUN, &rows).await;
}

fn email(number: usize) -> String {
    format!("t{number}@exempel.se")
}

/// Asks for a link and uses it.
async fn reset(bed: &Bed, number: usize, new: &str) {
    let token = bed.token_of(&format!("t{number}"), &email(number)).await;
    confirm(&bed.portal, &token, new).await.unwrap();
}

/// State and fault of the text messages to a guardian, those that are sent first.
async fn texts_to(bed: &Bed, number: usize) -> Vec<String> {
    let query = format!(
        "SELECT m.state || ' ' || coalesce(m.error, '-') FROM message m JOIN guardian g ON g.id = m.guardian_id \
         WHERE m.channel = 'sms' AND g.email_canonical = '{}' ORDER BY m.state DESC",
        email(number)
    );
    Sql::open(&bed.service).await.texts(&query).await
}

async fn texts_become(bed: &Bed, number: usize, expected: &[&str]) {
    eventually(SOON, &format!("{expected:?}"), async || texts_to(bed, number).await == expected).await;
}

async fn notices(bed: &Bed) -> i64 {
    number(&bed.service, "SELECT count(*) FROM message WHERE template = 'password_changed'").await
}

#[tokio::test]
async fn each_change_and_each_reset_is_told_by_one_mail_without_a_link() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        bed.service.import(KOMMUN, &[with_ticket().await]).await;
        let session = bed.portal.session(Attempt::new("bo", OLD)).await;
        change_with_session(&bed.portal, &session, "not the old one", NEW).await.unwrap_err();
        change_with_session(&bed.portal, &session, OLD, "short").await.unwrap_err();
        assert_eq!(notices(&bed).await, 0, "{parts:?}: nothing changed");
        change_with_session(&bed.portal, &session, OLD, NEW).await.unwrap();
        // A client that repeats what was done already.
        change_with_session(&bed.portal, &session, OLD, NEW).await.unwrap_err();
        assert_eq!(notices(&bed).await, 1, "{parts:?}");
        let mails = bed.smtp.wait_for(1).await;
        assert_eq!(mails[0].recipients, [BO]);

        let token = bed.token_of("bo", BO).await;
        confirm(&bed.portal, &token, THIRD).await.unwrap();
        assert_eq!(reason(&confirm(&bed.portal, &token, THIRD).await.unwrap_err()), "RESET_TOKEN_INVALID");
        assert_eq!(notices(&bed).await, 2, "{parts:?}");

        let ticket = ticket_of(&bed.portal, "ida").await;
        change_with_ticket(&bed.portal, &ticket, NEW).await.unwrap();
        change_with_ticket(&bed.portal, &ticket, NEW).await.unwrap_err();
        assert_eq!(notices(&bed).await, 3, "{parts:?}");
        let mails = bed.smtp.wait_for(4).await;
        let told: Vec<_> = mails.iter().filter(|mail| !has_link(mail)).collect();
        let to: Vec<_> = told.iter().map(|mail| mail.recipients[0].as_str()).collect();
        assert_eq!(to, [BO, BO, "ida@exempel.se"], "{parts:?}");
        for mail in told {
            for text in [&mail.plain, &mail.html] {
                assert!(!text.contains("token") && !text.contains("new-password"), "{text}");
            }
            assert!(mail.plain.contains("2026-11-21 12:00 UTC"), "when it was: {}", mail.plain);
        }
        let keys = "SELECT count(DISTINCT idempotency_key) FROM message WHERE template = 'password_changed'";
        assert_eq!(number(&bed.service, keys).await, 3);
    })
    .await;
}

/// `ida`, who must change her password, with an address.
async fn with_ticket() -> serde_json::Value {
    let mut row = must_change("g-50", "ida").await.pop().unwrap();
    row["email"] = json!("ida@exempel.se");
    row
}

#[tokio::test]
async fn a_reset_is_told_by_a_text_message_to_swedish_and_dutch_mobiles_only() {
    on_all_parts(async |parts| {
        let gateway = Gateway::answering(200, &[], TAKEN).await;
        let bed = Bed::start_with(parts, text_messages(&gateway, MANY, MANY)).await;
        import(&bed, &["070-174 06 35", "+31612345678", "+4740612345"]).await;
        for number in 0..3 {
            reset(&bed, number, NEW).await;
        }
        texts_become(&bed, 0, &["sent -"]).await;
        texts_become(&bed, 1, &["sent -"]).await;
        texts_become(&bed, 2, &["failed country_not_allowed"]).await;
        let to: Vec<_> = gateway.heard().iter().map(|(_, _, form)| form.clone()).collect();
        assert_eq!(to.len(), 2, "{parts:?}: {to:?}");
        for number in ["to=%2B46701740635&", "to=%2B31612345678&"] {
            assert_eq!(to.iter().filter(|form| form.contains(number)).count(), 1, "{parts:?}: {to:?}");
        }
        assert!(to.iter().all(|form| !form.contains("token") && !form.contains("grt_")), "{to:?}");
        let audited = "SELECT count(*) FROM audit_event WHERE kind = 'message_undelivered' \
                       AND cause = 'country_not_allowed'";
        assert_eq!(number(&bed.service, audited).await, 1);
        // Each is told by mail as well, and a change by somebody who is logged in by mail alone.
        let session = bed.portal.session(Attempt::new("t0", NEW)).await;
        change_with_session(&bed.portal, &session, NEW, THIRD).await.unwrap();
        bed.messages("sent", 3 + 3 + 2 + 1).await;
        assert_eq!(gateway.heard().len(), 2, "{parts:?}");
    })
    .await;
}

/// Two at once and then one in 30 minutes to one number; the third waits for its turn and is not lost.
#[tokio::test]
async fn a_number_gets_no_more_text_messages_than_its_cap_and_the_rest_later() {
    on_all_parts(async |parts| {
        let gateway = Gateway::answering(200, &[], TAKEN).await;
        let cap = Quota::new(2, 30 * MINUTE);
        let bed = Bed::start_with(parts, text_messages(&gateway, cap, MANY)).await;
        // A number of two guardians is one number.
        import(&bed, &["0701740635", "+46 70 174 06 35", "070-174 06 36"]).await;
        reset(&bed, 0, NEW).await;
        reset(&bed, 1, NEW).await;
        texts_become(&bed, 1, &["sent -"]).await;
        reset(&bed, 0, THIRD).await;
        texts_become(&bed, 0, &["sent -", "queued capped"]).await;
        reset(&bed, 2, NEW).await;
        texts_become(&bed, 2, &["sent -"]).await;
        assert_eq!(gateway.heard().len(), 3, "{parts:?}: another number is not held back");
        bed.service.clock.advance(29 * MINUTE);
        reset(&bed, 2, THIRD).await;
        texts_become(&bed, 2, &["sent -", "sent -"]).await;
        assert_eq!(texts_to(&bed, 0).await, ["sent -", "queued capped"], "{parts:?}");
        bed.service.clock.advance(MINUTE);
        texts_become(&bed, 0, &["sent -", "sent -"]).await;
        assert_eq!(gateway.heard().len(), 5);
        let charged = "SELECT count(*) FROM message WHERE attempts <> 0";
        assert_eq!(number(&bed.service, charged).await, 0, "to wait is no failed try");
    })
    .await;
}

/// The organization pays: a thief who resets many accounts does not empty its purse.
#[tokio::test]
async fn an_organization_sends_no_more_text_messages_than_its_cap() {
    on_all_parts(async |parts| {
        let gateway = Gateway::answering(200, &[], TAKEN).await;
        let cap = Quota::new(2, 30 * MINUTE);
        let bed = Bed::start_with(parts, text_messages(&gateway, MANY, cap)).await;
        import(&bed, &["0701740631", "0701740632", "0701740633"]).await;
        for number in 0..2 {
            reset(&bed, number, NEW).await;
            texts_become(&bed, number, &["sent -"]).await;
        }
        reset(&bed, 2, NEW).await;
        texts_become(&bed, 2, &["queued capped"]).await;
        assert_eq!(gateway.heard().len(), 2, "{parts:?}");
        bed.service.clock.advance(30 * MINUTE);
        texts_become(&bed, 2, &["sent -"]).await;
        assert_eq!(gateway.heard().len(), 3);
    })
    .await;
}
