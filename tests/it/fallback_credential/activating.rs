//! Choosing a first password with what is on a sheet.

use std::time::Duration;

use guardian_auth::proto;
use tokio::task::JoinSet;

use super::{NEW, activate, audited, code, confirm, fields, id_of, issue, sheet, with_guardians};
use crate::session::number;
use crate::support::service::{Attempt, Calls, KOMMUN, Parts, Service, metadata, reason};
use crate::support::sql::Sql;
use crate::support::staff::Staff;

/// A password that satisfies every rule, and another one.
const OTHER: &str = "tofs-ankare-blixt-havre";

/// A service where `alma`'s link is confirmed and a sheet was handed over.
async fn with_sheet(parts: Parts) -> (Service, Staff, Calls, proto::IssueFallbackCredentialResponse) {
    let (service, staff) = with_guardians(parts).await;
    confirm(&service, "alma").await;
    let issued = issue(&staff, &id_of(&service, "alma").await, sheet()).await.unwrap();
    let portal = service.portal(KOMMUN).await;
    (service, staff, portal, issued)
}

#[tokio::test]
async fn a_guardian_with_a_sheet_chooses_a_password_and_logs_in() {
    for parts in Parts::ALL {
        let (service, _, portal, issued) = with_sheet(parts).await;
        let answer = activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap();
        assert_eq!((answer.user_name.as_str(), answer.ended_session_count), ("ALMA", 0));
        portal.session(Attempt::new("alma", NEW)).await;
        // Once.
        let again = activate(&portal, code("alma", &issued.activation_code), OTHER).await.unwrap_err();
        assert_eq!(reason(&again), "INVALID_CREDENTIALS");
        assert_eq!(audited(&service, "activation_denied", "activation_ended").await, 1);
        portal.session(Attempt::new("alma", NEW)).await;
        assert_eq!(number(&service, "SELECT COUNT(*) FROM credential WHERE rests_on = 'staff'").await, 1);
    }
}

#[tokio::test]
async fn a_code_is_taken_however_it_is_typed() {
    let (service, staff, portal, first) = with_sheet(Parts::Embedded).await;
    let alma = id_of(&service, "alma").await;
    let mut issued = first;
    let spellings: [fn(&str) -> String; 6] = [
        |code| code.to_lowercase(),
        |code| code.replace('-', ""),
        |code| code.replace('-', " "),
        |code| format!("  {} \u{2013} {}\u{a0}", &code[..5], &code[6..]),
        |code| code.replace('0', "o").replace('1', "l"),
        |code| code.replace('0', "O").replace('1', "I").chars().map(|c| format!("{c} ")).collect(),
    ];
    for spelling in spellings {
        let typed = spelling(&issued.activation_code);
        activate(&portal, code(" Alma ", &typed), NEW).await.unwrap();
        issued = issue(&staff, &alma, sheet()).await.unwrap();
    }
}

/// Threat: somebody guesses codes.
#[tokio::test]
async fn ten_wrong_codes_end_the_right_one() {
    let (service, _, portal, issued) = with_sheet(Parts::Embedded).await;
    let wrong = if issued.activation_code.starts_with('0') { "11111-11111" } else { "00000-00000" };
    for _ in 0..10 {
        let refused = activate(&portal, code("alma", wrong), NEW).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_CREDENTIALS");
        // Limits come before the count: ten at once would be refused by them.
        service.clock.advance(Duration::from_mins(10));
    }
    assert_eq!(audited(&service, "activation_denied", "wrong_activation_code").await, 10);
    let refused = activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_CREDENTIALS");
    assert!(metadata(&refused, "reference_code").is_some());
    assert_eq!(audited(&service, "activation_denied", "activation_ended").await, 1);
    assert_eq!(number(&service, "SELECT COUNT(*) FROM credential WHERE portal = 'parent'").await, 0);
}

/// Threat: many guess codes of a name from many addresses.
#[tokio::test]
async fn codes_are_guessed_at_the_expense_of_the_name_as_passwords_are() {
    let (_service, _, portal, issued) = with_sheet(Parts::Embedded).await;
    let mut reasons = Vec::new();
    for number in 0..12 {
        let mut attempt = super::attempt(code("alma", "22222-2222"), NEW);
        attempt.client.as_mut().unwrap().ip = format!("192.0.2.{number}");
        reasons.push(reason(&portal.login.clone().activate_credential(attempt).await.unwrap_err()));
    }
    assert_eq!(reasons.iter().filter(|it| *it == "RATE_LIMITED").count(), 2, "{reasons:?}");
    let login = portal.log_in(Attempt::new("alma", "wrong").from("198.51.100.1")).await.unwrap_err();
    assert_eq!(reason(&login), "RATE_LIMITED", "one budget for both");
    let refused = activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap_err();
    assert_eq!(reason(&refused), "RATE_LIMITED");
}

/// Threat: the sheet before, found in a bin.
#[tokio::test]
async fn a_replaced_code_is_dead() {
    let (service, staff, portal, old) = with_sheet(Parts::Embedded).await;
    let new = issue(&staff, &id_of(&service, "alma").await, sheet()).await.unwrap();
    let refused = activate(&portal, code("alma", &old.activation_code), NEW).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_CREDENTIALS");
    activate(&portal, code("alma", &new.activation_code), NEW).await.unwrap();
}

#[tokio::test]
async fn a_code_ends_with_its_time_its_link_and_its_account() {
    let (service, _, portal, issued) = with_sheet(Parts::Embedded).await;
    let mut sql = Sql::open(&service).await;
    let denied = async |cause: &str| {
        let before = audited(&service, "activation_denied", cause).await;
        let refused = activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_CREDENTIALS", "{cause}");
        assert_eq!(audited(&service, "activation_denied", cause).await, before + 1, "{cause}");
        service.clock.advance(Duration::from_mins(1));
    };
    sql.run("UPDATE guardian SET state = 'locked' WHERE source_key = 'alma'").await;
    denied("account_locked").await;
    sql.run("UPDATE guardian SET state = 'active', credential_epoch = credential_epoch + 1 WHERE source_key = 'alma'")
        .await;
    denied("activation_ended").await;
    sql.run("UPDATE guardian SET credential_epoch = credential_epoch - 1 WHERE source_key = 'alma'").await;
    sql.run("UPDATE child_link SET source = 'gone', confirmed_by = NULL WHERE source = 'staff'").await;
    denied("activation_ended").await;
    sql.run("UPDATE child_link SET confirmed_by = 'staff' WHERE source = 'gone'").await;
    service.clock.advance(Duration::from_hours(14 * 24));
    denied("activation_expired").await;
}

/// A password that is refused uses nothing up, and is told only to who has the code.
#[tokio::test]
async fn a_refused_password_does_not_use_the_code_up() {
    let (_service, _, portal, issued) = with_sheet(Parts::Embedded).await;
    for bad in ["short", "alma", "password1234567"] {
        let refused = activate(&portal, code("alma", &issued.activation_code), bad).await.unwrap_err();
        assert_eq!(reason(&refused), "PASSWORD_REFUSED", "{bad}");
        assert_eq!(fields(&refused).first().map(String::as_str), Some("new_password"));
        let wrong = activate(&portal, code("alma", "22222-22222"), bad).await.unwrap_err();
        assert_eq!(reason(&wrong), "INVALID_CREDENTIALS", "{bad}");
    }
    activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap();
}

/// B16: one of many wins.
#[tokio::test]
async fn b16_of_many_that_redeem_one_code_at_once_one_does() {
    for parts in Parts::ALL {
        let (service, _, portal, issued) = with_sheet(parts).await;
        let other = service.replica().await;
        let second = other.portal(KOMMUN).await;
        let mut attempts = JoinSet::new();
        for number in 0..100 {
            let portal = if number % 2 == 0 { portal.clone() } else { second.clone() };
            let typed = issued.activation_code.clone();
            attempts.spawn(async move { activate(&portal, code("alma", &typed), NEW).await.is_ok() });
        }
        let won = attempts.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "{parts:?}");
        let events = "SELECT COUNT(*) FROM audit_event WHERE kind = 'credential_activated'";
        assert_eq!(number(&service, events).await, 1);
    }
}

#[tokio::test]
async fn sessions_of_before_end_with_the_new_password() {
    let (service, staff, portal, issued) = with_sheet(Parts::Embedded).await;
    activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap();
    let session = portal.session(Attempt::new("alma", NEW)).await;
    let again = issue(&staff, &id_of(&service, "alma").await, sheet()).await.unwrap();
    // Until then, the password that is there stays.
    portal.verify(&session.access_token, KOMMUN, proto::Portal::Parent).await.unwrap();
    let answer = activate(&portal, code("alma", &again.activation_code), OTHER).await.unwrap();
    assert_eq!(answer.ended_session_count, 1);
    let ended = portal.verify(&session.access_token, KOMMUN, proto::Portal::Parent).await;
    assert_eq!(reason(&ended.unwrap_err()), "SESSION_INVALID");
    portal.log_in(Attempt::new("alma", NEW)).await.unwrap_err();
    portal.session(Attempt::new("alma", OTHER)).await;
}

#[tokio::test]
async fn every_fault_of_an_attempt_is_told_by_its_field() {
    let (_service, _, portal, _) = with_sheet(Parts::Embedded).await;
    let ask = async |attempt| fields(&portal.login.clone().activate_credential(attempt).await.unwrap_err());
    let nothing = proto::ActivateCredentialRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        ..Default::default()
    };
    assert_eq!(ask(nothing).await, ["proof", "new_password"]);
    assert_eq!(ask(super::attempt(code("", ""), NEW)).await, ["code.code", "code.user_name"]);
    assert_eq!(ask(super::attempt(code("alma@example.se", "1"), NEW)).await, ["code.user_name"]);
    assert_eq!(ask(super::attempt(code("alma", &"1".repeat(65)), NEW)).await, ["code.code"]);
}
