//! The story from the forgotten password to the login with a new one, and what each guardian gets instead.

use guardian_auth::domain::login_password::{FAILURES_UNTIL_CLOSED, FAILURES_UNTIL_NOTICE};
use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;

use super::{Bed, MINUTE, NEW, OLD, SOON, by_email, confirm, has_link, inspect, token_in};
use crate::session::{end_reason, number};
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, Parts, reason};

#[tokio::test]
async fn a_forgotten_password_is_reset_with_messy_spellings() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let old = bed.portal.session(Attempt::new("alma", OLD)).await;
        let code = bed.ask(by_email(" 10\u{a0}234 ", "ALMA.Berg@exempel.SE;; ")).await.unwrap();
        assert_eq!(code.len(), 8);
        let mails = bed.smtp.wait_for(1).await;
        assert_eq!(mails[0].recipients, ["alma.berg@exempel.se"], "the address on file, in canonical form");
        assert!(mails[0].plain.contains(&code), "the code is in the mail");
        let token = token_in(&mails[0]);

        let good = inspect(&bed.portal, &token).await.unwrap();
        assert_eq!(good.password_rule.unwrap().min_code_points, 15);
        assert_eq!(good.expire_time.unwrap().seconds, crate::support::service::NOON_MS / 1000 + 3600);
        assert!(good.suggested_passphrase.chars().count() >= 15);

        let ended = confirm(&bed.portal, &token, NEW).await.unwrap();
        assert_eq!(ended.ended_session_count, 1);
        let verified = bed.portal.verify(&old.access_token, KOMMUN, proto::Portal::Parent).await;
        assert_eq!(reason(&verified.unwrap_err()), "SESSION_INVALID", "{parts:?}");
        assert_eq!(reason(&bed.portal.refresh(&old.refresh_token).await.unwrap_err()), "SESSION_INVALID");
        let denied = bed.portal.log_in(Attempt::new("alma", OLD)).await.unwrap_err();
        assert_eq!(reason(&denied), "INVALID_CREDENTIALS");
        bed.portal.session(Attempt::new("alma", NEW)).await;
        assert_eq!(reason(&inspect(&bed.portal, &token).await.unwrap_err()), "RESET_TOKEN_INVALID");

        let mails = bed.smtp.wait_for(2).await;
        assert_eq!(mails[1].recipients, ["alma.berg@exempel.se"], "the guardian is told");
        assert!(!has_link(&mails[1]));
        assert_eq!(end_reason(&bed.service, &old.session_id).await, "password_reset");
        let resets =
            "SELECT count(*) FROM audit_event WHERE kind = 'password_reset' AND guardian_id IS NOT NULL";
        assert_eq!(number(&bed.service, resets).await, 1);
    }
}

/// What each request leads to: whether a mail comes, whether it has a link, and the cause in the audit log.
#[tokio::test]
async fn each_request_gets_the_mail_that_helps_or_none_and_leaves_its_cause() {
    let email = |text: &str| Identification::Email(text.to_owned());
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let cases = [
            (by_email("bo", "bo@exempel.se"), Some(true), ""),
            (by_email("00123", "Bo@Exempel.se"), Some(true), ""),
            (email("mailto:<bo@exempel.se>"), Some(true), ""),
            (by_email("nobody", "bo@exempel.se"), None, "unknown_login_name"),
            (by_email("bo", "alma.berg@exempel.se"), None, "email_mismatch"),
            (by_email("siv", "siv@exempel.se"), None, "no_email"),
            (by_email("ulf", "ulf@exempel.se"), None, "email_unusable"),
            (by_email("per", "per@exempel.se"), Some(false), "no_password"),
            (email("familjen@exempel.se"), Some(false), "several_accounts"),
            (email("nobody@exempel.se"), None, "unknown_email"),
        ];
        let mut expected = 0;
        for (identification, mail, cause) in cases {
            let told = format!("{parts:?} {cause}");
            let code = bed.ask(identification).await.unwrap();
            let query = format!(
                "SELECT count(*) FROM audit_event WHERE reference_code = '{code}' AND coalesce(cause, '') = '{cause}'"
            );
            eventually(SOON, &told, async || number(&bed.service, &query).await == 1).await;
            let message = format!(
                "SELECT count(*) FROM message WHERE reference_code = '{code}' AND state {} 'void'",
                if mail.is_some() { "<>" } else { "=" }
            );
            assert_eq!(number(&bed.service, &message).await, 1, "{told}");
            if let Some(link) = mail {
                expected += 1;
                let mails = bed.smtp.wait_for(expected).await;
                assert_eq!(has_link(&mails[expected - 1]), link, "{told}");
                assert_eq!(mails[expected - 1].recipients.len(), 1);
            }
        }
        assert_eq!(bed.smtp.mails().len(), expected);
    }
}

#[tokio::test]
async fn who_was_shut_out_after_a_hundred_failures_gets_in_again() {
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, crate::change_password::roomy).await;
        for _ in 0..guardian_auth::domain::login_password::FAILURES_UNTIL_CLOSED {
            bed.portal.log_in(Attempt::new("bo", "wrong")).await.unwrap_err();
        }
        bed.portal.log_in(Attempt::new("bo", OLD)).await.unwrap_err();
        let token = bed.token_of("bo", "bo@exempel.se").await;
        confirm(&bed.portal, &token, NEW).await.unwrap();
        bed.portal.session(Attempt::new("bo", NEW)).await;
    }
}

#[tokio::test]
async fn a_refused_password_does_not_use_the_link_up() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of("bo", "bo@exempel.se").await;
        for (password, why) in [
            ("short", "TOO_SHORT"),
            ("passwordpassword", "COMMON_PASSWORD"),
            ("tab\tin-the-middle", "CONTROL_CHARACTER"),
        ] {
            let refused = confirm(&bed.portal, &token, password).await.unwrap_err();
            assert_eq!(reason(&refused), "PASSWORD_REFUSED");
            use tonic_types::StatusExt as _;
            let fields = refused.get_details_bad_request().unwrap().field_violations;
            assert!(
                fields.iter().any(|field| field.field == "new_password" && field.reason == why),
                "{fields:?}"
            );
        }
        bed.service.clock.advance(59 * MINUTE);
        confirm(&bed.portal, &token, NEW).await.unwrap();
    }
}

/// NIST SP 800-63B-4 §3.2.2: the guardian is told long before, and again when the password is closed.
#[tokio::test]
async fn b02_the_guardian_is_told_after_fifty_failures_and_when_the_password_is_closed() {
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, crate::change_password::roomy).await;
        let failures = async |times: i64| {
            for _ in 0..times {
                bed.portal.log_in(Attempt::new("bo", "wrong")).await.unwrap_err();
                bed.portal.log_in(Attempt::new("nobody", "wrong")).await.unwrap_err();
            }
        };
        failures(FAILURES_UNTIL_NOTICE - 1).await;
        assert_eq!(number(&bed.service, "SELECT count(*) FROM message").await, 0);
        failures(1).await;
        let mails = bed.smtp.wait_for(1).await;
        assert_eq!(mails[0].recipients, ["bo@exempel.se"]);
        assert!(mails[0].plain.contains("50") && !has_link(&mails[0]), "{}", mails[0].plain);
        failures(FAILURES_UNTIL_CLOSED - FAILURES_UNTIL_NOTICE + 3).await;
        let mails = bed.smtp.wait_for(2).await;
        assert!(mails[1].plain.contains("100"), "{}", mails[1].plain);
        // A second look at the same events tells nobody again.
        let replica = bed.replica().await;
        let looks = "guardian_auth_sql_statements_total";
        eventually(SOON, "the other replica looked twice", async || {
            replica.metric(looks, "find_untold_failures").await > 1.5
        })
        .await;
        assert_eq!(number(&bed.service, "SELECT count(*) FROM message").await, 2, "{parts:?}");
    }
}
