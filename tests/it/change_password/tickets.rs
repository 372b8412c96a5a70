//! Change tokens: single use, ten minutes, one account, one organization.

use std::time::Duration;

use guardian_auth::domain::login_password::FAILURES_UNTIL_CLOSED;
use guardian_auth::proto;
use guardian_auth::proto::login_with_password_response::Outcome;
use sqlx::AssertSqlSafe;
use tonic::{Code, Status};

use super::{NEW, change_with_ticket, must_change, of_new_password, roomy, ticket_of, violations};
use crate::session::{PASSWORD, number, pair_with, questions, sql};
use crate::support::eventually;
use crate::support::service::{Attempt, Calls, KOMMUN, Parts, Service, metadata, reason};

const LIFETIME: Duration = Duration::from_mins(10);

/// A service with the guardian `cleo`, whose password must be changed.
async fn service(parts: Parts) -> Service {
    let service = Service::start_with(parts, roomy).await;
    service.import(KOMMUN, &must_change("g-3", "cleo").await).await;
    service
}

#[track_caller]
fn assert_dead<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("the token is dead");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CHANGE_TOKEN_INVALID"));
    assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
}

async fn logs_in(portal: &Calls, password: &str) -> bool {
    match portal.log_in(Attempt::new("cleo", password)).await {
        Ok(answer) => matches!(answer.outcome, Some(Outcome::Session(_))),
        Err(status) => {
            assert_eq!(reason(&status), "INVALID_CREDENTIALS");
            false
        }
    }
}

#[tokio::test]
async fn a_change_token_changes_the_password_once_and_opens_no_session() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let (ticket, spare) = (ticket_of(&portal, "cleo").await, ticket_of(&portal, "cleo").await);
        let answer = change_with_ticket(&portal, &ticket, PASSWORD).await.unwrap_err();
        assert_eq!(violations(&answer), of_new_password(&["SAME_AS_CURRENT"]), "{parts:?}");
        let answer = change_with_ticket(&portal, &ticket, "cleo").await.unwrap_err();
        assert_eq!(violations(&answer), of_new_password(&["TOO_SHORT", "ACCOUNT_NAME"]));
        // A refused password does not use it up.
        let changed = change_with_ticket(&portal, &ticket, NEW).await.unwrap();
        assert_eq!(changed.ended_session_count, 0);
        assert_eq!(number(&service, "SELECT count(*) FROM session").await, 0);
        assert_dead(change_with_ticket(&portal, &ticket, "another-long-password-1").await);
        assert_dead(change_with_ticket(&portal, &spare, "another-long-password-1").await);
        assert!(logs_in(&portal, NEW).await, "{parts:?}");
        assert!(!logs_in(&portal, PASSWORD).await);
    }
}

#[tokio::test]
async fn b16_of_many_parallel_redeems_exactly_one_succeeds() {
    const ROUNDS: usize = 5;
    const REDEEMS: usize = 100;
    for parts in Parts::ALL {
        let pair = pair_with(parts, roomy).await;
        for round in 0..ROUNDS {
            let name = format!("cleo-{round}");
            pair.first.import(KOMMUN, &must_change(&format!("r-{round}"), &name).await).await;
            let ticket = ticket_of(&pair.here, &name).await;
            let mut redeems = tokio::task::JoinSet::new();
            for number in 0..REDEEMS {
                let portal = if number % 2 == 0 { pair.here.clone() } else { pair.there.clone() };
                let ticket = ticket.clone();
                redeems.spawn(async move {
                    let new = format!("{NEW}-{number}");
                    (change_with_ticket(&portal, &ticket, &new).await, new)
                });
            }
            let mut winners = Vec::new();
            for (answer, new) in redeems.join_all().await {
                match answer {
                    Ok(_) => winners.push(new),
                    Err(status) => {
                        assert_eq!(reason(&status), "CHANGE_TOKEN_INVALID", "{parts:?}: {status:?}");
                    }
                }
            }
            assert_eq!(winners.len(), 1, "{parts:?}, round {round}");
            pair.there.session(Attempt::new(&name, &winners[0])).await;
        }
    }
}

#[tokio::test]
async fn b17_a_change_token_lives_ten_minutes_without_any_sweep() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let second = Duration::from_secs(1);
        let (first, spare) = (ticket_of(&portal, "cleo").await, ticket_of(&portal, "cleo").await);
        let required = match portal.log_in(Attempt::new("cleo", PASSWORD)).await.unwrap().outcome.unwrap() {
            Outcome::PasswordChangeRequired(required) => required,
            Outcome::Session(_) => panic!("the password must be changed"),
        };
        let told = required.expire_time.unwrap();
        let noon = crate::support::service::NOON_MS / 1000;
        assert_eq!(told, prost_types::Timestamp { seconds: noon + 600, nanos: 0 });
        assert_eq!(required.password_rule.unwrap().min_code_points, 15);
        service.clock.advance(LIFETIME + second);
        assert_dead(change_with_ticket(&portal, &first, NEW).await);
        assert!(number(&service, "SELECT count(*) FROM change_ticket").await >= 1, "nothing swept them");
        let late = ticket_of(&portal, "cleo").await;
        service.clock.advance(LIFETIME - second);
        assert_dead(change_with_ticket(&portal, &spare, NEW).await);
        change_with_ticket(&portal, &late, NEW).await.unwrap();
        assert!(logs_in(&portal, NEW).await, "{parts:?}");
    }
}

#[tokio::test]
async fn a_change_token_dies_with_the_epoch() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let ticket = ticket_of(&portal, "cleo").await;
        let bump = "UPDATE guardian SET credential_epoch = credential_epoch + 1 WHERE source_key = 'g-3'";
        sqlx::query(AssertSqlSafe(bump)).execute(&mut sql(&service).await).await.unwrap();
        assert_dead(change_with_ticket(&portal, &ticket, NEW).await);
        let fresh = ticket_of(&portal, "cleo").await;
        change_with_ticket(&portal, &fresh, NEW).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_token_is_nothing_to_a_caller_of_another_organization() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let ticket = ticket_of(&portal, "cleo").await;
        for caller in ["voorbeeld-opvang-portal", "voorbeeld-opvang-admin"] {
            let foreign = service.caller(caller).await;
            let request = proto::ChangePasswordRequest {
                proof: Some(proto::change_password_request::Proof::ChangeToken(ticket.clone())),
                new_password: NEW.to_owned(),
                client: None,
            };
            assert_dead(foreign.password.clone().change_password(request).await);
        }
        change_with_ticket(&portal, &ticket, NEW).await.unwrap();
        assert!(logs_in(&portal, NEW).await, "{parts:?}");
    }
}

#[tokio::test]
async fn b15_no_bent_or_cut_change_token_is_taken() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let ticket = ticket_of(&portal, "cleo").await;
        for forged in crate::session::bent(&ticket) {
            assert_dead(change_with_ticket(&portal, &forged, NEW).await);
        }
        let before = questions(&service).await;
        for formless in [" ", "gct_", "\t", "null", &ticket[..ticket.len() - 1], &ticket[1..]] {
            assert_dead(change_with_ticket(&portal, formless, NEW).await);
        }
        assert!((questions(&service).await - before).abs() < 0.5, "{parts:?}: the store was asked");
        change_with_ticket(&portal, &ticket, NEW).await.unwrap();
        assert!(logs_in(&portal, NEW).await);
    }
}

#[tokio::test]
async fn the_code_of_a_dead_change_token_can_be_looked_up() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let ticket = ticket_of(&portal, "cleo").await;
        change_with_ticket(&portal, &ticket, NEW).await.unwrap();
        let status = change_with_ticket(&portal, &ticket, "another-long-password-1").await.unwrap_err();
        let code = metadata(&status, "reference_code").unwrap();
        let query = format!(
            "SELECT count(*) FROM audit_event WHERE kind = 'change_denied' AND cause = 'change_token_invalid' \
             AND organization = '{KOMMUN}' AND reference_code = '{code}'"
        );
        eventually(Duration::from_secs(5), "the refusal is in the audit log", async || {
            number(&service, &query).await == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_change_with_a_token_resets_counters_and_lanes() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let login = portal.log_in(Attempt::new("cleo", PASSWORD)).await.unwrap();
        for _ in 0..FAILURES_UNTIL_CLOSED {
            portal.log_in(Attempt::new("cleo", "wrong")).await.unwrap_err();
        }
        assert!(portal.log_in(Attempt::new("cleo", PASSWORD)).await.is_err(), "closed to strangers");
        let known = Attempt::new("cleo", PASSWORD).with_device(&login.device_token);
        let Some(Outcome::PasswordChangeRequired(required)) = portal.log_in(known).await.unwrap().outcome
        else {
            panic!("the owner's device still asks for the change");
        };
        change_with_ticket(&portal, &required.change_token, NEW).await.unwrap();
        assert!(logs_in(&portal, NEW).await, "{parts:?}: open to unknown devices again");
    }
}
