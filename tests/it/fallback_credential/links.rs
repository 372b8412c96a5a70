//! Links to choose a first password: sent to the contact on file, good once and for a day.

use std::time::Duration;

use guardian_auth::config::Sms;
use guardian_auth::domain::limits::Quota;
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::activate_credential_request::Proof;
use guardian_auth::proto::issue_fallback_credential_request::Delivery;
use serde_json::json;
use tokio::task::JoinSet;

use super::{NEW, activate, audited, confirm, fields, id_of, issue, sheet};
use crate::password_reset::{Bed, SOON};
use crate::session::number;
use crate::staff::{invitation, invite, school};
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, Parts, guardian, reason};
use crate::support::sms_gateway::{Gateway, TAKEN};
use crate::support::smtp::ReceivedMail;
use crate::support::staff::{Staff, hire};

fn by_mail() -> Delivery {
    Delivery::Link(proto::ActivationLink { channel: proto::ContactChannel::Email.into() })
}

/// `per`, who has an address and no password, with a confirmed link; and an administrator of the school.
async fn with_per(parts: Parts) -> (Bed, Staff, String) {
    let bed = Bed::start(parts).await;
    confirm(&bed.service, "g-5").await;
    let staff = hire(&bed.service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let per = id_of(&bed.service, "g-5").await;
    (bed, staff, per)
}

/// The token in the link of a mail, and the mail, once so many have come.
async fn link(bed: &Bed, count: usize) -> (String, ReceivedMail) {
    let links =
        || bed.smtp.mails().into_iter().filter(|mail| mail.plain.contains("gak_")).collect::<Vec<_>>();
    eventually(SOON, "a mail with a link comes", async || links().len() >= count).await;
    let mail = links().remove(count - 1);
    let (_, rest) = mail.plain.split_once("gak_").unwrap();
    let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    (format!("gak_{token}"), mail)
}

fn token(text: &str) -> Proof {
    Proof::LinkToken(text.to_owned())
}

#[tokio::test]
async fn a_link_is_mailed_to_the_contact_on_file_and_works_once() {
    for parts in Parts::ALL {
        let (bed, staff, per) = with_per(parts).await;
        let issued = issue(&staff, &per, by_mail()).await.unwrap();
        assert_eq!(issued.user_name, "3003", "the debtor number");
        assert_eq!((issued.activation_code, issued.activation_url, issued.sheet_text), <_>::default());
        let (shown, mail) = link(&bed, 1).await;
        assert!(mail.plain.contains("/portal/sample-kommun/parent/activate#token=gak_"), "{}", mail.plain);
        assert!(mail.plain.contains("2026-11-22 12:00 UTC"), "until when: {}", mail.plain);
        let digests = "SELECT COUNT(*) FROM activation WHERE token_digest IS NOT NULL";
        assert_eq!(number(&bed.service, digests).await, 1);

        let refused = activate(&bed.portal, token(&shown), "short").await.unwrap_err();
        assert_eq!(reason(&refused), "PASSWORD_REFUSED");
        let answer = activate(&bed.portal, token(&shown), NEW).await.unwrap();
        assert_eq!(answer.user_name, "3003");
        bed.portal.session(Attempt::new("per", NEW)).await;
        let again = activate(&bed.portal, token(&shown), NEW).await.unwrap_err();
        assert_eq!(reason(&again), "INVALID_CREDENTIALS");
        // The owner is told.
        eventually(SOON, "a notice comes", async || bed.smtp.mails().len() == 2).await;
    }
}

/// Threat: a link that staff have taken back is sent all the same.
#[tokio::test]
async fn a_link_that_was_replaced_before_it_was_sent_is_not_sent() {
    let (mut bed, staff, per) = with_per(Parts::Embedded).await;
    bed.smtp.stop();
    issue(&staff, &per, by_mail()).await.unwrap();
    issue(&staff, &per, sheet()).await.unwrap();
    bed.smtp.start_again().await;
    bed.messages("failed", 1).await;
    assert_eq!(number(&bed.service, "SELECT COUNT(*) FROM message WHERE error = 'account_changed'").await, 1);
    assert_eq!(bed.smtp.mails().len(), 0);
}

#[tokio::test]
async fn a_link_ends_after_a_day_with_a_newer_one_and_elsewhere_is_none() {
    let (bed, staff, per) = with_per(Parts::Embedded).await;
    issue(&staff, &per, by_mail()).await.unwrap();
    let (first, _) = link(&bed, 1).await;
    issue(&staff, &per, by_mail()).await.unwrap();
    let (second, _) = link(&bed, 2).await;
    let refused = async |shown: &str, cause: &str| {
        let before = audited(&bed.service, "activation_denied", cause).await;
        let refused = activate(&bed.portal, token(shown), NEW).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_CREDENTIALS");
        let written = async || audited(&bed.service, "activation_denied", cause).await == before + 1;
        eventually(SOON, cause, written).await;
    };
    refused(&first, "activation_ended").await;
    refused("gak_nonsense", "nothing_to_activate").await;
    refused(&format!("gak_{}", "A".repeat(43)), "nothing_to_activate").await;
    refused(&second.replace("gak_", "grt_"), "nothing_to_activate").await;
    bed.service.clock.advance(Duration::from_hours(24));
    refused(&second, "activation_expired").await;
}

#[tokio::test]
async fn b16_of_many_that_redeem_one_link_at_once_one_does() {
    for parts in Parts::ALL {
        let (bed, staff, per) = with_per(parts).await;
        issue(&staff, &per, by_mail()).await.unwrap();
        let (shown, _) = link(&bed, 1).await;
        let mut attempts = JoinSet::new();
        for _ in 0..100 {
            let (portal, shown) = (bed.portal.clone(), shown.clone());
            attempts.spawn(async move { activate(&portal, token(&shown), NEW).await.is_ok() });
        }
        let won = attempts.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "{parts:?}");
    }
}

#[tokio::test]
async fn a_link_needs_a_page_that_it_can_lead_to() {
    let bed = Bed::start_with(Parts::Embedded, |config| {
        for organization in &mut config.organizations {
            for page in organization.correspondence.iter_mut().flat_map(|it| it.pages.values_mut()) {
                page.activation = None;
            }
        }
    })
    .await;
    confirm(&bed.service, "g-5").await;
    let staff = hire(&bed.service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let per = id_of(&bed.service, "g-5").await;
    assert_eq!(fields(&issue(&staff, &per, by_mail()).await.unwrap_err()), ["link"]);
    // A sheet says where the portal begins.
    let issued = issue(&staff, &per, sheet()).await.unwrap();
    assert_eq!(issued.activation_url, "");
    assert!(issued.sheet_text.contains("/portal/sample-kommun/parent"), "{}", issued.sheet_text);
}

#[tokio::test]
async fn a_link_goes_by_text_message_too() {
    let gateway = Gateway::answering(200, &[], TAKEN).await;
    let base_url = format!("http://127.0.0.1:{}", gateway.port);
    let bed = Bed::start_with(Parts::Embedded, |config| {
        let quota = Quota::new(100, Duration::from_mins(1));
        config.sms = Some(Sms {
            base_url,
            user: "user".to_owned(),
            password: Secret::new("password".to_owned()),
            from: "Skolan".to_owned(),
            countries: vec!["+46".to_owned()],
            recipient: quota,
            organization: quota,
            timeout: Duration::from_secs(10),
        });
    })
    .await;
    let mut row = guardian("g-8", "tove", None);
    row["mobile"] = json!("070-174 06 35");
    bed.service.import(KOMMUN, &[row]).await;
    confirm(&bed.service, "g-8").await;
    let staff = hire(&bed.service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let tove = id_of(&bed.service, "g-8").await;
    let by_text = Delivery::Link(proto::ActivationLink { channel: proto::ContactChannel::Sms.into() });
    issue(&staff, &tove, by_text).await.unwrap();
    eventually(SOON, "a text message comes", async || gateway.heard().len() == 1).await;
    let (_, _, body) = gateway.heard().remove(0);
    let (_, rest) = body.split_once("gak_").expect("a link");
    let shown: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    activate(&bed.portal, token(&format!("gak_{shown}")), NEW).await.unwrap();
    bed.portal.session(Attempt::new("tove", NEW)).await;
}

#[tokio::test]
async fn who_is_invited_as_staff_chooses_a_password_with_the_link() {
    let bed = Bed::start(Parts::Embedded).await;
    let admin = hire(&bed.service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let school = school(&admin, "Granskolan").await;
    let invited = invitation(KOMMUN, proto::StaffRole::SupportPerson, &[&school]);
    invite(&admin, invited).await.unwrap();
    let (shown, mail) = link(&bed, 1).await;
    assert!(mail.plain.contains("/portal/sample-kommun/staff/activate#token="), "{}", mail.plain);
    let calls = bed.service.caller(&format!("{KOMMUN}-admin")).await;
    let at = |portal: proto::Portal| {
        let mut attempt = super::attempt(token(&shown), NEW);
        attempt.portal = portal.into();
        // An admin portal is not believed about addresses.
        attempt.client = None;
        attempt
    };
    let elsewhere = calls.login.clone().activate_credential(at(proto::Portal::Parent)).await;
    assert_eq!(reason(&elsewhere.unwrap_err()), "INVALID_CREDENTIALS", "at the other portal it is none");
    let answer =
        calls.login.clone().activate_credential(at(proto::Portal::Staff)).await.unwrap().into_inner();
    let attempt = Attempt { portal: proto::Portal::Staff, ip: "", ..Attempt::new(&answer.user_name, NEW) };
    calls.session(attempt).await;
}
