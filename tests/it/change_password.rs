//! Changing one's password through the wire, with a session or with a change token, on both sets of parts.

mod tickets;

use std::collections::BTreeSet;
use std::time::Duration;

use guardian_auth::config::Config;
use guardian_auth::domain::limits::{LimitPolicy, Quota};
use guardian_auth::domain::login_password::FAILURES_UNTIL_CLOSED;
use guardian_auth::proto;
use guardian_auth::proto::change_password_request::Proof;
use guardian_auth::proto::login_with_password_response::Outcome;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::session::{PASSWORD, alma, assert_invalid, audited, number, service, service_with};
use crate::support::eventually;
use crate::support::service::{
    Attempt, Calls, KOMMUN, Parts, guardian, hash, metadata, reason, school_and_child,
};

/// A password that satisfies every rule.
pub(crate) const NEW: &str = "mossa-kanel-segel-tratt";

/// Limits that no race of a test reaches.
pub(crate) fn roomy(config: &mut Config) {
    let wide = Quota::new(100_000, Duration::from_millis(1));
    for organization in &mut config.organizations {
        organization.limits = LimitPolicy {
            organization: wide,
            network: wide,
            account: wide,
            account_long: wide,
            account_network: wide,
            device: wide,
            reset_organization: wide,
            reset_network: wide,
            eid_organization: wide,
            eid_network: wide,
        };
    }
}

/// A change with any proof.
pub(crate) async fn change(
    portal: &Calls,
    proof: Proof,
    new: &str,
) -> Result<proto::ChangePasswordResponse, Status> {
    let request =
        proto::ChangePasswordRequest { proof: Some(proof), new_password: new.to_owned(), client: None };
    portal.password.clone().change_password(request).await.map(tonic::Response::into_inner)
}

/// A change with a session and the old password.
pub(crate) async fn change_with_session(
    portal: &Calls,
    session: &proto::SessionTokens,
    old: &str,
    new: &str,
) -> Result<proto::ChangePasswordResponse, Status> {
    let (access_token, password) = (session.access_token.clone(), old.to_owned());
    change(portal, Proof::Current(proto::CurrentPassword { access_token, password }), new).await
}

/// A change with a change token.
pub(crate) async fn change_with_ticket(
    portal: &Calls,
    ticket: &str,
    new: &str,
) -> Result<proto::ChangePasswordResponse, Status> {
    change(portal, Proof::ChangeToken(ticket.to_owned()), new).await
}

/// The rows of a guardian whose password must be changed.
pub(crate) async fn must_change(key: &str, user_name: &str) -> Vec<Value> {
    let mut rows = school_and_child();
    let mut row = guardian(key, user_name, Some(&hash(PASSWORD).await));
    row["password"]["must_change"] = true.into();
    rows.push(row);
    rows
}

/// Logs in and takes the change token.
pub(crate) async fn ticket_of(portal: &Calls, user_name: &str) -> String {
    match portal.log_in(Attempt::new(user_name, PASSWORD)).await.unwrap().outcome.unwrap() {
        Outcome::PasswordChangeRequired(required) => required.change_token,
        Outcome::Session(_) => panic!("the password need not be changed"),
    }
}

/// Field and reason of every violation in an answer.
fn violations(status: &Status) -> BTreeSet<(String, String)> {
    use prost::Message as _;
    let details = pb::Status::decode(status.details()).unwrap().details;
    let bad_request = details.iter().find(|any| any.type_url.ends_with("google.rpc.BadRequest")).unwrap();
    let bad_request = pb::BadRequest::decode(bad_request.value.as_slice()).unwrap();
    bad_request.field_violations.into_iter().map(|it| (it.field, it.reason)).collect()
}

fn of_new_password(reasons: &[&str]) -> BTreeSet<(String, String)> {
    reasons.iter().map(|reason| ("new_password".to_owned(), (*reason).to_owned())).collect()
}

#[tokio::test]
async fn after_a_change_the_new_password_works_and_the_old_one_does_not() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let (own, other) = (alma(&portal).await, alma(&portal).await);
        let changed = change_with_session(&portal, &own, PASSWORD, NEW).await.unwrap();
        assert_eq!(changed.ended_session_count, 1, "{parts:?}");
        assert_invalid(&portal.refresh(&other.refresh_token).await.unwrap_err());
        let own = portal.refresh(&own.refresh_token).await.unwrap();
        let status = portal.log_in(Attempt::new("alma", PASSWORD)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_CREDENTIALS");
        portal.session(Attempt::new("alma", NEW)).await;
        assert_eq!(
            number(&service, "SELECT count(*) FROM audit_event WHERE kind = 'password_changed'").await,
            1
        );
        // The session that stayed may change again, with the password of now.
        let status = change_with_session(&portal, &own, PASSWORD, "another-long-password-1").await;
        assert_eq!(reason(&status.unwrap_err()), "INVALID_CREDENTIALS");
        change_with_session(&portal, &own, NEW, "another-long-password-1").await.unwrap();
        portal.session(Attempt::new("bo", PASSWORD)).await;
    }
}

#[tokio::test]
async fn a_wrong_old_password_gets_the_public_answer_and_is_counted() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let own = alma(&portal).await;
        let status = change_with_session(&portal, &own, "wrong", NEW).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "INVALID_CREDENTIALS"));
        let code = metadata(&status, "reference_code").unwrap();
        let query = format!(
            "SELECT count(*) FROM audit_event WHERE kind = 'change_denied' \
             AND cause = 'wrong_password' AND reference_code = '{code}' AND consecutive_failures = 1"
        );
        assert_eq!(number(&service, &query).await, 1, "{parts:?}");
        let count = "SELECT failures_unknown + failures_known FROM credential c JOIN guardian g \
             ON g.id = c.guardian_id WHERE g.source_key = 'g-1'";
        assert_eq!(number(&service, count).await, 1);
        portal.refresh(&own.refresh_token).await.unwrap();
        change_with_session(&portal, &own, PASSWORD, NEW).await.unwrap();
        assert_eq!(number(&service, count).await, 0, "{parts:?}: a change resets the count");
    }
}

#[tokio::test]
async fn guesses_through_a_change_have_a_budget_of_their_own() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let (own, other) = (alma(&portal).await, alma(&portal).await);
        let bo = portal.session(Attempt::new("bo", PASSWORD)).await;
        let burst = LimitPolicy::default().device.burst;
        for number in 0..burst {
            // A second session is no second budget.
            let session = if number % 2 == 0 { &own } else { &other };
            let status = change_with_session(&portal, session, "wrong", NEW).await.unwrap_err();
            assert_eq!(reason(&status), "INVALID_CREDENTIALS", "{parts:?}, guess {number}");
        }
        let status = change_with_session(&portal, &own, PASSWORD, NEW).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
        assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
        // Neither the login nor somebody else pays for it.
        portal.session(Attempt::new("alma", PASSWORD)).await;
        change_with_session(&portal, &bo, PASSWORD, NEW).await.unwrap();
        eventually(Duration::from_secs(5), "the refusal is in the audit log", async || {
            audited(&service, "change_denied", "rate_limited", "").await == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_is_worth_a_hundred_guesses_at_most() {
    for parts in Parts::ALL {
        let service = service_with(parts, roomy).await;
        let portal = service.portal(KOMMUN).await;
        let own = alma(&portal).await;
        for _ in 0..FAILURES_UNTIL_CLOSED {
            let status = change_with_session(&portal, &own, "wrong", NEW).await.unwrap_err();
            assert_eq!(reason(&status), "INVALID_CREDENTIALS");
        }
        let status = change_with_session(&portal, &own, PASSWORD, NEW).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_CREDENTIALS", "{parts:?}: the same answer as to a wrong one");
        assert_eq!(audited(&service, "change_denied", "password_closed", "").await, 1);
    }
}

#[tokio::test]
async fn a_change_opens_a_password_that_strangers_closed() {
    for parts in Parts::ALL {
        let service = service_with(parts, roomy).await;
        let portal = service.portal(KOMMUN).await;
        let own = alma(&portal).await;
        for _ in 0..FAILURES_UNTIL_CLOSED {
            portal.log_in(Attempt::new("alma", "wrong")).await.unwrap_err();
        }
        let status = portal.log_in(Attempt::new("alma", PASSWORD)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_CREDENTIALS", "{parts:?}: closed to unknown devices");
        change_with_session(&portal, &own, PASSWORD, NEW).await.unwrap();
        portal.session(Attempt::new("alma", NEW)).await;
        let left = "SELECT count(*) FROM credential WHERE failures_unknown > 0 OR failures_known > 0 \
             OR closed_unknown_ms IS NOT NULL OR closed_known_ms IS NOT NULL";
        assert_eq!(number(&service, left).await, 0, "{parts:?}");
    }
}

#[tokio::test]
async fn all_reasons_against_a_password_are_told_at_once() {
    for parts in Parts::ALL {
        let service = service_with(parts, |config| {
            config.organizations[0].password.blocked_words = vec!["password".to_owned(), "Alma".to_owned()];
        })
        .await;
        let portal = service.portal(KOMMUN).await;
        let own = alma(&portal).await;
        let cases: [(&str, &[&str]); 6] = [
            ("password", &["TOO_SHORT", "COMMON_PASSWORD", "ORGANIZATION_WORD"]),
            ("ALMA", &["TOO_SHORT", "ORGANIZATION_WORD", "ACCOUNT_NAME"]),
            ("a\tb", &["TOO_SHORT", "CONTROL_CHARACTER"]),
            (PASSWORD, &["SAME_AS_CURRENT"]),
            ("fourteen chars", &["TOO_SHORT"]),
            ("lower-case-letters-only", &[]),
        ];
        for (new, expected) in cases {
            let answer = change_with_session(&portal, &own, PASSWORD, new).await;
            if expected.is_empty() {
                answer.unwrap();
                continue;
            }
            let status = answer.unwrap_err();
            assert_eq!(reason(&status), "PASSWORD_REFUSED", "{new:?}");
            let mut found = violations(&status);
            // Which words are common is the list's to say.
            if new == "ALMA" {
                found.remove(&("new_password".to_owned(), "COMMON_PASSWORD".to_owned()));
            }
            assert_eq!(found, of_new_password(expected), "{parts:?}: {new:?}");
        }
        for new in ["", &"x".repeat(1025), &"å".repeat(257)] {
            let status = change_with_session(&portal, &own, PASSWORD, new).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{}", new.len());
        }
    }
}

#[tokio::test]
async fn the_same_password_in_another_normal_form_is_the_same() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let own = alma(&portal).await;
        change_with_session(&portal, &own, PASSWORD, "fågel-ängel-öring-åska").await.unwrap();
        let decomposed = "fa\u{30a}gel-a\u{308}ngel-o\u{308}ring-a\u{30a}ska";
        let status = change_with_session(&portal, &own, "fågel-ängel-öring-åska", decomposed).await;
        assert_eq!(violations(&status.unwrap_err()), of_new_password(&["SAME_AS_CURRENT"]), "{parts:?}");
        portal.session(Attempt::new("alma", decomposed)).await;
    }
}
