//! The audit log says what really happened, under the code that the guardian was shown.

use std::time::Duration;

use guardian_auth::proto::Portal;
use tonic::Status;

use super::{PASSWORD, address, childminder, count};
use crate::support::eventually;
use crate::support::service::{
    Attempt, Calls, OPVANG, Parts, Service, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::sql::Sql;

const SOON: Duration = Duration::from_secs(30);
/// In every claimed name and password of this test, and nowhere in the log.
const MARK: &str = "XQZMARKXQZ";
const COLUMNS: [&str; 15] = [
    "id",
    "at_ms",
    "organization",
    "portal",
    "kind",
    "cause",
    "guardian_id",
    "session_id",
    "reference_code",
    "caller",
    "address",
    "user_agent",
    "known_device",
    "consecutive_failures",
    "password_closed",
];

fn at_parent<'a>(login_name: &'a str, password: &'a str) -> Attempt<'a> {
    Attempt { organization: OPVANG, portal: Portal::Parent, ..Attempt::new(login_name, password) }
}

/// Accounts in every state, each named after its cause.
async fn service(parts: Parts) -> Service {
    let service = Service::start(parts).await;
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    for state in ["ok", "locked", "merged", "expired", "closed", "change"] {
        rows.push(guardian(state, &format!("{MARK}{state}"), Some(&hash)));
    }
    rows.push(guardian("none", &format!("{MARK}none"), None));
    rows.push(childminder("minder", &format!("{MARK}minder"), &hash));
    service.import(OPVANG, &rows).await;
    let mut sql = Sql::open(&service).await;
    for (state, set) in [("locked", "state = 'locked'"), ("merged", "state = 'merged'")] {
        assert_eq!(sql.run(&format!("UPDATE guardian SET {set} WHERE source_key = '{state}'")).await, 1);
    }
    for (state, set) in
        [("expired", "expires_ms = 1"), ("closed", "closed_unknown_ms = 1"), ("change", "must_change = 1")]
    {
        let whose = format!("(SELECT id FROM guardian WHERE source_key = '{state}')");
        assert_eq!(sql.run(&format!("UPDATE credential SET {set} WHERE guardian_id = {whose}")).await, 1);
    }
    service
}

async fn event_of(sql: &mut Sql, status: &Status) -> String {
    let code = metadata(status, "reference_code").unwrap();
    let query = format!(
        "SELECT kind || ' ' || cause || ' ' || COALESCE(portal, '') || ' ' || caller || ' ' || address || \
         CASE WHEN guardian_id IS NULL THEN '' ELSE ' known' END \
         FROM audit_event WHERE organization = '{OPVANG}' AND reference_code = '{code}'"
    );
    let events = sql.texts(&query).await;
    assert_eq!(events.len(), 1, "{code}: {events:?}");
    events[0].clone()
}

async fn denied(calls: &Calls, name: &str, password: &str) -> Status {
    calls.log_in(at_parent(&format!("{MARK}{name}"), password)).await.unwrap_err()
}

#[tokio::test]
async fn every_outcome_is_an_event_with_its_true_cause_under_the_code_of_the_answer() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let calls = service.portal(OPVANG).await;
        let mut sql = Sql::open(&service).await;
        let wrong = format!("{MARK} is not it");
        let cases: [(&str, &str, &str, bool); 9] = [
            ("nobody", PASSWORD, "unknown_login_name", false),
            ("ok", &wrong, "wrong_password", true),
            ("none", PASSWORD, "no_password", true),
            ("locked", PASSWORD, "account_locked", true),
            ("merged", PASSWORD, "account_merged", true),
            ("expired", PASSWORD, "credential_expired", true),
            ("closed", PASSWORD, "password_closed", true),
            ("minder", PASSWORD, "wrong_portal", true),
            ("locked", &wrong, "wrong_password", true),
        ];
        for (name, password, cause, known) in cases {
            let status = denied(&calls, name, password).await;
            let known = if known { " known" } else { "" };
            let expected = format!("login_denied {cause} parent {OPVANG}-portal 192.0.2.7{known}");
            assert_eq!(event_of(&mut sql, &status).await, expected, "{parts:?} {name}");
        }
        calls.session(at_parent(&format!("{MARK}ok"), PASSWORD)).await;
        calls.log_in(at_parent(&format!("{MARK}change"), PASSWORD)).await.unwrap();
        for kind in ["logged_in", "change_required"] {
            let query =
                format!("SELECT count(*) FROM audit_event WHERE kind = '{kind}' AND guardian_id IS NOT NULL");
            assert_eq!(sql.number(&query).await, 1, "{parts:?} {kind}");
        }
        refusals_are_written_down_in_time(&calls, &mut sql, parts).await;
        for column in COLUMNS {
            let query = format!("SELECT CAST({column} AS TEXT) FROM audit_event");
            for text in sql.texts(&query).await {
                let text = text.to_uppercase();
                assert!(!text.contains(MARK) && !text.contains("LINGON"), "{parts:?} {column}: {text}");
            }
        }
        assert_eq!(count(&service, "guardian_auth_hash_runs_total", "set").await, 0);
    }
}

/// They cost no INSERT of their own, so they come a little later.
async fn refusals_are_written_down_in_time(calls: &Calls, sql: &mut Sql, parts: Parts) {
    for name in ["ok", "nobody"] {
        let name = format!("{MARK}{name}");
        let mut codes = Vec::new();
        for number in 0..30 {
            let status = calls.log_in(at_parent(&name, "wrong").from(&address(number))).await.unwrap_err();
            if reason(&status) == "RATE_LIMITED" {
                codes.push(metadata(&status, "reference_code").unwrap());
            }
        }
        assert!(codes.len() >= 19, "{parts:?}: {codes:?}");
        let query = format!(
            "SELECT count(*) FROM audit_event WHERE cause = 'rate_limited' AND reference_code IN ('{}')",
            codes.join("','")
        );
        let all = i64::try_from(codes.len()).unwrap();
        eventually(SOON, "refusals are in the audit log", async || sql.number(&query).await == all).await;
    }
}

#[tokio::test]
async fn refusals_that_wait_are_written_before_a_service_ends() {
    for parts in Parts::ALL {
        let mut service = service(parts).await;
        let calls = service.portal(OPVANG).await;
        for number in 0..40 {
            denied(&calls, "nobody", &format!("{number}")).await;
        }
        let mut sql = Sql::open(&service).await;
        service.stop().await;
        assert_eq!(
            sql.number("SELECT count(*) FROM audit_event WHERE kind = 'login_denied'").await,
            40,
            "{parts:?}"
        );
    }
}

#[tokio::test]
async fn refusals_that_cannot_be_written_are_counted() {
    let service = service(Parts::Embedded).await;
    let calls = service.portal(OPVANG).await;
    for number in 0..10 {
        let ip = address(number);
        calls.log_in(at_parent("nobody", "wrong").from(&ip)).await.unwrap_err();
    }
    let dropped = async || count(&service, "guardian_auth_refusal_events_dropped_total", "").await;
    assert_eq!(dropped().await, 0);
    let mut sql = Sql::open(&service).await;
    // Nobody else can write now.
    sql.run("BEGIN IMMEDIATE").await;
    for _ in 0..20 {
        let status = calls.log_in(at_parent("nobody", "wrong")).await.unwrap_err();
        assert_eq!(reason(&status), "RATE_LIMITED", "answered all the same");
    }
    eventually(SOON, "what was dropped is counted", async || dropped().await == 20).await;
    sql.run("ROLLBACK").await;
}
