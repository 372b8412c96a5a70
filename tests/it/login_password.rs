//! Logging in with user name or debtor number and password, through the wire, on both sets of parts.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails should stop there")]

mod audit;
mod budgets;
pub(crate) mod equal_work;
mod lanes;
mod leaky;
mod order;
mod portals;
mod refusals;
mod renewal;
mod school;
pub(crate) mod secrets;
mod shedding;

use std::time::Duration;

use guardian_auth::config::{Config, LimitsBackend};
use guardian_auth::domain::limits::{LimitPolicy, Quota};
use guardian_auth::proto;
use guardian_auth::proto::Portal;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::service::{
    Attempt, Calls, KOMMUN, Parts, Service, guardian, hash, metadata, reason, school_and_child,
};

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const RUNS: &str = "guardian_auth_hash_runs_total";

/// With `alma`, who has [`PASSWORD`].
async fn service_with_guardian(parts: Parts) -> Service {
    service_with(parts, |_| {}, &[guardian("g-1", "alma", Some(&hash(PASSWORD).await))]).await
}

/// With these guardians of the Swedish organization.
async fn service_with(parts: Parts, change: impl FnOnce(&mut Config), guardians: &[Value]) -> Service {
    let service = Service::start_with(parts, change).await;
    service.import(KOMMUN, &[school_and_child(), guardians.to_vec()].concat()).await;
    service
}

/// A childminder with a confirmed contract and this user name.
fn childminder(key: &str, user_name: &str, hash: &str) -> Value {
    json!({
        "type": "guardian",
        "key": key,
        "given_name": "Sanne",
        "family_name": "Bos",
        "user_names": [{"portal": "childminder", "name": user_name}],
        "contract": {"confirmed": true},
        "password": {"portal": "childminder", "hash": hash, "must_change": false},
    })
}

/// Another address for each number.
fn address(number: u32) -> String {
    let [_, b, c, d] = number.to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

/// The sum of a counter's samples whose labels contain `labels`.
async fn count(service: &Service, name: &str, labels: &str) -> u64 {
    let metrics = service.metrics().await;
    let samples = metrics.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
    });
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// The reason of an attempt that must fail.
async fn refusal(calls: &Calls, attempt: Attempt<'_>) -> String {
    reason(&calls.log_in(attempt).await.unwrap_err())
}

/// A device token from a right password.
async fn device_token(calls: &Calls, attempt: Attempt<'_>) -> String {
    calls.log_in(attempt).await.unwrap().device_token
}

/// Changes a password with a session.
async fn change_password(calls: &Calls, access_token: &str, old: &str, new: &str) -> Result<i32, Status> {
    let current = proto::CurrentPassword { access_token: access_token.to_owned(), password: old.to_owned() };
    let request = proto::ChangePasswordRequest {
        proof: Some(proto::change_password_request::Proof::Current(current)),
        new_password: new.to_owned(),
        client: None,
    };
    let answer = calls.password.clone().change_password(request).await?;
    Ok(answer.into_inner().ended_session_count)
}

/// Gives every organization these limits.
fn limits(config: &mut Config, policy: LimitPolicy) {
    for organization in &mut config.organizations {
        organization.limits = policy;
    }
}

/// Limits that no test reaches.
fn without_limits(config: &mut Config) {
    let endless = Quota::new(1_000_000, Duration::from_millis(1));
    limits(
        config,
        LimitPolicy {
            organization: endless,
            network: endless,
            account: endless,
            account_long: endless,
            account_network: endless,
            device: endless,
            ..LimitPolicy::default()
        },
    );
}

/// A flood on a busy machine must not look like an outage of Redis.
fn patient(config: &mut Config) {
    if let LimitsBackend::Redis(redis) = &mut config.limits.backend {
        redis.timeout = Duration::from_secs(30);
    }
}

#[tokio::test]
async fn a_guardian_logs_in_and_the_portal_verifies_refreshes_and_ends_the_session() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = portal.session(Attempt::new("alma", PASSWORD)).await;
        let verified = portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await.unwrap();
        assert_eq!(verified.guardian_id, tokens.guardian_id);
        assert_eq!(verified.authentication_methods, ["pwd"]);

        let refreshed = portal.refresh(&tokens.refresh_token).await.unwrap();
        assert_ne!(refreshed.refresh_token, tokens.refresh_token);
        assert_eq!(refreshed.session_id, tokens.session_id);

        let end = proto::EndSessionRequest {
            token: Some(proto::end_session_request::Token::RefreshToken(refreshed.refresh_token.clone())),
            session_id: String::new(),
        };
        assert_eq!(portal.session.clone().end_session(end).await.unwrap().into_inner().ended_count, 1);
        let refused = portal.verify(&refreshed.access_token, KOMMUN, Portal::Parent).await.unwrap_err();
        assert_eq!(reason(&refused), "SESSION_INVALID", "{parts:?}");
        let refused = portal.refresh(&refreshed.refresh_token).await.unwrap_err();
        assert_eq!(reason(&refused), "SESSION_INVALID", "{parts:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_gets_the_public_answer_with_a_reference_code() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let portal = service.portal(KOMMUN).await;
        for name in ["alma", "nobody"] {
            let status = portal.log_in(Attempt::new(name, "not the password")).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
            assert_eq!(reason(&status), "INVALID_CREDENTIALS");
            assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
        }
    }
}
