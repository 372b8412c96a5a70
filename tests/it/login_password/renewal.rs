//! Passwords that must be changed first, and hashes that are made anew.

use std::time::Duration;

use guardian_auth::domain::password::HashParameters;
use guardian_auth::proto;
use guardian_auth::proto::login_with_password_response::Outcome;

use super::{PASSWORD, RUNS, count, refusal, service_with};
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, Parts, guardian, hash, hash_with, reason};
use crate::support::sql::Sql;

const SOON: Duration = Duration::from_secs(30);
const NEW_PASSWORD: &str = "tofsvipa-kaffe-rondell-mossa";

#[tokio::test]
async fn a_password_that_must_be_changed_opens_no_session_but_the_change() {
    for parts in Parts::ALL {
        // Shorter than any rule of today: it was set elsewhere.
        let mut row = guardian("g-1", "alma", Some(&hash("kort1").await));
        row["password"]["must_change"] = true.into();
        let service = service_with(parts, |_| {}, &[row]).await;
        let calls = service.portal(KOMMUN).await;
        let answer = calls.log_in(Attempt::new("alma", "kort1")).await.unwrap();
        let Some(Outcome::PasswordChangeRequired(required)) = answer.outcome else { panic!("{parts:?}") };
        assert!(required.password_rule.unwrap().min_code_points >= 15);
        let mut sql = Sql::open(&service).await;
        assert_eq!(sql.number("SELECT count(*) FROM session").await, 0);

        let change = proto::ChangePasswordRequest {
            proof: Some(proto::change_password_request::Proof::ChangeToken(required.change_token)),
            new_password: NEW_PASSWORD.to_owned(),
            client: None,
        };
        calls.password.clone().change_password(change.clone()).await.unwrap();
        let again = calls.password.clone().change_password(change).await.unwrap_err();
        assert_eq!(reason(&again), "CHANGE_TOKEN_INVALID", "{parts:?}");
        assert_eq!(refusal(&calls, Attempt::new("alma", "kort1")).await, "INVALID_CREDENTIALS");
        calls.session(Attempt::new("alma", NEW_PASSWORD)).await;
        let known = Attempt::new("alma", NEW_PASSWORD).with_device(&answer.device_token);
        calls.session(known).await;
        let known =
            sql.number("SELECT count(*) FROM audit_event WHERE kind = 'logged_in' AND known_device = 1");
        assert_eq!(known.await, 1, "{parts:?}: the device token was given with the change");
    }
}

#[tokio::test]
async fn a_hash_of_other_parameters_is_made_anew_after_a_login() {
    for parts in Parts::ALL {
        let imported = hash_with(HashParameters::new(128, 2, 1).unwrap(), "kort1").await;
        let service = service_with(parts, |_| {}, &[guardian("g-1", "alma", Some(&imported))]).await;
        let calls = service.portal(KOMMUN).await;
        let mut sql = Sql::open(&service).await;
        refusal(&calls, Attempt::new("alma", "wrong")).await;
        assert_eq!(sql.texts("SELECT hash_parameters FROM credential").await, ["m=128,t=2,p=1"]);
        calls.session(Attempt::new("alma", "kort1")).await;
        eventually(SOON, "the hash has the live parameters", async || {
            sql.texts("SELECT hash_parameters FROM credential").await == ["m=64,t=1,p=1"]
        })
        .await;
        assert_ne!(sql.texts("SELECT hash FROM credential").await, [imported]);
        calls.session(Attempt::new("alma", "kort1")).await;
        assert_eq!(refusal(&calls, Attempt::new("alma", "kort2")).await, "INVALID_CREDENTIALS");
        assert_eq!(count(&service, RUNS, "set").await, 1, "{parts:?}: once is enough");
    }
}

#[tokio::test]
async fn a_password_set_meanwhile_is_not_overwritten_by_a_hash_made_anew() {
    // Slow, so that the other change comes before the new hash.
    let live = HashParameters::new(32 * 1024, 9, 1).unwrap();
    let outdated = hash_with(HashParameters::new(128, 1, 1).unwrap(), PASSWORD).await;
    let set_meanwhile = hash_with(live, NEW_PASSWORD).await;
    for parts in Parts::ALL {
        let rows = [guardian("g-1", "alma", Some(&outdated))];
        let service = service_with(parts, |config| config.hash.parameters = live, &rows).await;
        let calls = service.portal(KOMMUN).await;
        let mut sql = Sql::open(&service).await;
        calls.session(Attempt::new("alma", PASSWORD)).await;
        assert_eq!(sql.run(&format!("UPDATE credential SET hash = '{set_meanwhile}'")).await, 1);
        eventually(SOON, "the old one was hashed anew", async || {
            count(&service, "guardian_auth_sql_statements_total", "replace_outdated_hash").await == 1
        })
        .await;
        assert_eq!(sql.texts("SELECT hash FROM credential").await, [set_meanwhile.as_str()], "{parts:?}");
    }
}
