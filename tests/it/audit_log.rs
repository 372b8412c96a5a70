//! The audit log of a running service: chained within a second, verified by the command.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::app;
use guardian_auth::cli::audit::{self, AuditCommand};
use guardian_auth::config::Config;
use guardian_auth::domain::audit_chain::KeptHead;
use guardian_auth::flows::audit_verify::{AuditVerify, ChainReport};

use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, OPVANG, Parts, Service};
use crate::support::sql::Sql;

/// A second, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(20);

const UNCHAINED: &str = "SELECT COUNT(*) FROM audit_event e WHERE NOT EXISTS (SELECT 1 FROM audit_link l WHERE l.event_id = e.id)";

async fn chained(service: &Service) {
    eventually(SOON, "every event is chained", async || {
        Sql::open(service).await.number(UNCHAINED).await == 0
    })
    .await;
}

async fn verify(service: &Service, kept: &[KeptHead]) -> Vec<ChainReport> {
    let verify = app::audit_verify(&service.config()).await.unwrap();
    AuditVerify { clock: Arc::clone(&service.clock) as _, ..verify }.run(kept).await.unwrap()
}

async fn fail_to_log_in(service: &Service, organization: &str, times: usize) {
    let portal = service.portal(organization).await;
    for _ in 0..times {
        let attempt = Attempt { organization, ..Attempt::new("nobody", "not the password") };
        portal.log_in(attempt).await.unwrap_err();
    }
}

async fn command(config: Config, at_least: Vec<KeptHead>) -> anyhow::Result<()> {
    audit::run(config, AuditCommand::Verify { at_least }).await
}

#[tokio::test]
async fn what_happens_is_chained_and_verified() {
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        fail_to_log_in(&service, KOMMUN, 3).await;
        fail_to_log_in(&service, OPVANG, 2).await;
        chained(&service).await;
        let reports = verify(&service, &[]).await;
        let told: Vec<_> =
            reports.iter().map(|it| (it.organization.as_str(), it.events, it.faults_in_all)).collect();
        assert_eq!(told, [(KOMMUN, 3, 0), (OPVANG, 2, 0)], "{parts:?}");
        let metric = service.metric("guardian_auth_audit_chained_events_total", "").await;
        assert!((metric - 5.0).abs() < 0.5, "{metric}");
        assert!(service.metric("guardian_auth_audit_chains_refused", "").await < 0.5);

        // What the command prints can be kept, and given back.
        let mut printed = Vec::new();
        audit::print(&reports, &mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let first = printed.lines().next().unwrap();
        let (line, head) = first.split_once("head ").unwrap();
        assert_eq!(line, format!("{KOMMUN}: 3 events, "));
        let kept = KeptHead::parse(head).unwrap();
        fail_to_log_in(&service, KOMMUN, 1).await;
        chained(&service).await;
        command(service.config(), vec![kept.clone()]).await.unwrap();
        let mut later = kept.clone();
        later.end.position += 1;
        command(service.config(), vec![later]).await.unwrap_err();

        let mut sql = Sql::open(&service).await;
        for trigger in triggers(parts) {
            sql.run(trigger).await;
        }
        sql.run("UPDATE audit_event SET caller = 'somebody' WHERE id IN (SELECT MIN(id) FROM audit_event)")
            .await;
        let error = command(service.config(), Vec::new()).await.unwrap_err().to_string();
        assert_eq!(error, "the audit log is not what was written: 1 fault(s)", "{parts:?}");
    }
}

fn triggers(parts: Parts) -> [&'static str; 1] {
    match parts {
        Parts::Embedded => ["DROP TRIGGER audit_event_never_changed"],
        Parts::Shared => ["DROP TRIGGER audit_event_append_only ON audit_event"],
    }
}

#[tokio::test]
async fn of_two_replicas_one_chains_and_the_other_takes_over() {
    let mut one = Service::start(Parts::Shared).await;
    let other = one.replica().await;
    fail_to_log_in(&one, KOMMUN, 2).await;
    fail_to_log_in(&other, KOMMUN, 2).await;
    chained(&other).await;
    // The clocks stand still: no lease runs out, so it is handed over.
    one.stop().await;
    fail_to_log_in(&other, KOMMUN, 2).await;
    chained(&other).await;
    let reports = verify(&other, &[]).await;
    assert_eq!((reports[0].events, reports[0].faults_in_all), (6, 0));
    let quiet = other.replica_with(|config| config.workers.enabled = false).await;
    assert!(quiet.metric("guardian_auth_audit_chained_events_total", "").await < 0.5);
}
