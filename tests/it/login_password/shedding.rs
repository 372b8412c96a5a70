//! More logins than can be hashed: nobody is charged for a password that was not looked at.

use std::time::Duration;

use guardian_auth::config::Config;
use guardian_auth::domain::limits::{LimitPolicy, Quota};
use guardian_auth::domain::password::HashParameters;
use tokio::task::JoinSet;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use super::{PASSWORD, RUNS, count, limits, refusal, service_with};
use crate::support::eventually;
use crate::support::service::{
    Attempt, Calls, KOMMUN, Parts, Service, guardian, hash_with, metadata, reason,
};
use crate::support::sql::Sql;

const SOON: Duration = Duration::from_mins(1);

/// One thread, slow hashes, and one wrong guess for each account.
async fn slow_service(parts: Parts, queue: usize) -> Service {
    let slow = HashParameters::new(32 * 1024, 9, 1).unwrap();
    let change = |config: &mut Config| {
        config.hash.parameters = slow;
        config.hash.workers = 1;
        config.hash.queue = queue;
        let one = Quota::new(1, Duration::from_hours(1));
        limits(config, LimitPolicy { account: one, account_network: one, ..LimitPolicy::default() });
    };
    let hash = hash_with(slow, PASSWORD).await;
    let rows = [guardian("g-1", "alma", Some(&hash)), guardian("g-2", "beata", Some(&hash))];
    service_with(parts, change, &rows).await
}

fn patiently(
    attempt: Attempt<'_>,
    patience: Duration,
) -> Request<guardian_auth::proto::LoginWithPasswordRequest> {
    let mut request = Request::new(attempt.request());
    request.set_timeout(patience);
    request
}

async fn running(service: &Service) {
    eventually(SOON, "a hash runs", async || count(service, "guardian_auth_hash_running", "").await == 1)
        .await;
}

fn in_background(attempts: &mut JoinSet<String>, calls: &Calls, name: &str) {
    let (calls, name) = (calls.clone(), name.to_owned());
    attempts.spawn(async move {
        let request = patiently(Attempt::new(&name, "wrong"), Duration::from_secs(30));
        reason(&calls.login.clone().login_with_password(request).await.unwrap_err())
    });
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_costs_no_hash_and_no_budget() {
    for parts in Parts::ALL {
        let service = slow_service(parts, 64).await;
        let calls = service.portal(KOMMUN).await;
        let mut first = JoinSet::new();
        in_background(&mut first, &calls, "beata");
        running(&service).await;
        // Its turn does not come before its deadline: hashing takes longer than this.
        let request = patiently(Attempt::new("alma", PASSWORD), Duration::from_millis(20));
        let status = calls.login.clone().login_with_password(request).await.unwrap_err();
        assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
        assert_eq!(first.join_next().await.unwrap().unwrap(), "INVALID_CREDENTIALS");
        eventually(SOON, "the late attempt is dropped", async || {
            count(&service, "guardian_auth_hash_refused_total", "expired").await == 1
                || count(&service, "guardian_auth_limiter_decisions_total", "").await == 1
        })
        .await;
        assert_eq!(count(&service, RUNS, "").await, 1, "{parts:?}");
        let mut sql = Sql::open(&service).await;
        assert_eq!(sql.number("SELECT count(*) FROM session").await, 0);
        assert_eq!(sql.number("SELECT MAX(failures_unknown) FROM credential").await, 1);
        // A right password is admitted and given back: only then is the one guess spent.
        let request = patiently(Attempt::new("alma", "wrong"), Duration::from_secs(30));
        let status = calls.login.clone().login_with_password(request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_CREDENTIALS", "{parts:?}");
        assert_eq!(refusal(&calls, Attempt::new("alma", PASSWORD)).await, "RATE_LIMITED", "{parts:?}");
    }
}

#[tokio::test]
async fn a_full_queue_is_overloaded_and_charges_nothing() {
    for parts in Parts::ALL {
        let service = slow_service(parts, 1).await;
        let calls = service.portal(KOMMUN).await;
        let mut busy = JoinSet::new();
        in_background(&mut busy, &calls, "beata");
        running(&service).await;
        in_background(&mut busy, &calls, "cecilia");
        eventually(SOON, "one waits", async || {
            count(&service, "guardian_auth_hash_queue_depth", "").await == 1
        })
        .await;
        let decisions = count(&service, "guardian_auth_limiter_decisions_total", "").await;
        for name in ["alma", "nobody"] {
            let status = calls.log_in(Attempt::new(name, "wrong")).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
            let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
            assert!(wait >= Duration::from_secs(1), "{wait:?}");
            assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
        }
        assert_eq!(count(&service, "guardian_auth_limiter_decisions_total", "").await, decisions);
        while let Some(answer) = busy.join_next().await {
            assert_eq!(answer.unwrap(), "INVALID_CREDENTIALS");
        }
        let mut later = JoinSet::new();
        in_background(&mut later, &calls, "alma");
        assert_eq!(later.join_next().await.unwrap().unwrap(), "INVALID_CREDENTIALS", "{parts:?}");
        assert_eq!(count(&service, RUNS, "").await, 3, "{parts:?}");
    }
}
