//! What goes on when another configuration is put into use: counters, what is known while the store is away, and what ends.

use std::time::Duration;

use guardian_auth::config::{Config, LimitsBackend, MasterKey, Redis, StoreBackend};
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto::{self, EndSessionRequest, Portal, end_session_request};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tonic::Code;

use crate::support::collector::Collector;
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::service::{
    Attempt, Calls, KOMMUN, OPVANG, Parts, Service, guardian, hash, reason, school_and_child,
};
use crate::support::{START_DEADLINE, eventually};

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const STOLEN: &str = "guardian_auth_refresh_reuse_stale_lineage_total";
const CHAINED: &str = "guardian_auth_audit_chained_events_total";
const FEED_AGE: &str = "guardian_auth_revocation_feed_age_seconds";

async fn import_one(service: &Service) {
    let mut rows = school_and_child();
    rows.push(guardian("g-0", "user-0", Some(&hash(PASSWORD).await)));
    service.import(KOMMUN, &rows).await;
}

/// An alert on theft must not depend on when a configuration changed.
#[tokio::test]
async fn counters_of_metrics_go_on_across_a_reload() {
    let service = Service::start(Parts::Embedded).await;
    import_one(&service).await;
    let portal = service.portal(KOMMUN).await;
    let first = portal.session(Attempt::new("user-0", PASSWORD)).await;
    let second = portal.refresh(&first.refresh_token).await.unwrap();
    portal.refresh(&second.refresh_token).await.unwrap();
    portal.refresh(&first.refresh_token).await.unwrap_err();
    assert!((service.metric(STOLEN, "").await - 1.0).abs() < 0.1);
    eventually(START_DEADLINE, "events are chained", async || service.metric(CHAINED, "").await > 0.5).await;
    let chained = service.metric(CHAINED, "").await;

    service.reload(|_| {}).await.unwrap();
    assert!((service.metric(STOLEN, "").await - 1.0).abs() < 0.1, "a theft is forgotten");
    assert!(service.metric(CHAINED, "").await >= chained);
    let first = portal.session(Attempt::new("user-0", PASSWORD)).await;
    let second = portal.refresh(&first.refresh_token).await.unwrap();
    portal.refresh(&second.refresh_token).await.unwrap();
    portal.refresh(&first.refresh_token).await.unwrap_err();
    assert!((service.metric(STOLEN, "").await - 2.0).abs() < 0.1, "and the next one counts on");
}

/// Who used up a budget at Redis gets no second one because Redis is reached by another password, and is away.
#[tokio::test]
async fn what_redis_admitted_is_remembered_when_redis_is_reached_anew() {
    let service = Service::start(Parts::Shared).await;
    let portal = service.portal(KOMMUN).await;
    let limited = async || {
        let status = portal.log_in(Attempt::new("nobody", "a wrong guess")).await.unwrap_err();
        reason(&status) == "RATE_LIMITED"
    };
    eventually(START_DEADLINE, "the budget is used up", limited).await;
    let away = || {
        let url = Secret::new("redis://:another-password@127.0.0.1:1/0".to_owned());
        LimitsBackend::Redis(Box::new(Redis::standalone(url, Duration::from_millis(50))))
    };
    service.reload(|config| config.limits.backend = away()).await.unwrap();
    assert!(limited().await, "this process remembers");
    // With other numbers of replicas the counters mean something else.
    let others = |config: &mut Config| {
        config.limits.backend = away();
        config.limits.replicas = 2;
    };
    service.reload(others).await.unwrap();
    assert!(!limited().await);
}

/// A renewed authority of the collector is not used before the next start, and that is said.
#[tokio::test]
async fn another_authority_of_the_collector_needs_a_restart() {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority()).unwrap();
    let collector = Collector::start().await;
    let traced = |config: &mut Config| {
        let settings = collector.settings();
        config.traces = Some(guardian_auth::config::Traces { ca_file: Some(file.clone()), ..settings });
    };
    let service = Service::start_with(Parts::Embedded, traced).await;
    assert_eq!(service.reload(traced).await.unwrap(), [""; 0]);
    std::fs::write(&file, authority()).unwrap();
    assert_eq!(service.reload(traced).await.unwrap(), ["traces"]);
}

async fn is_unknown(calls: &Calls) -> bool {
    let request = proto::ListLoginMethodsRequest {
        organization: OPVANG.to_owned(),
        portal: Portal::Parent.into(),
        locale: String::new(),
    };
    let answer = calls.login.clone().list_login_methods(request).await;
    answer.is_err_and(|status| status.code() == Code::Unauthenticated)
}

/// A leaked token of a caller is taken out while the database is away; what is known of keys and sessions goes on.
#[tokio::test]
async fn a_caller_is_taken_out_while_the_store_is_away() {
    let first = Service::start(Parts::Shared).await;
    import_one(&first).await;
    let line = FaultProxy::in_front_of(&first.store_location()).await;
    let url = line.url();
    let through = |config: &mut Config| {
        let url = Secret::new(url.clone());
        config.store.backend = StoreBackend::Postgres { url, max_connections: 10 };
    };
    let service = first.replica_with(through).await;
    let (portal, leaked) = (service.portal(KOMMUN).await, service.portal(OPVANG).await);
    let goes_on = portal.session(Attempt::new("user-0", PASSWORD)).await;
    let ended = portal.session(Attempt::new("user-0", PASSWORD)).await;
    let token = Some(end_session_request::Token::AccessToken(ended.access_token.clone()));
    let end = EndSessionRequest { token, ..EndSessionRequest::default() };
    portal.session.clone().end_session(end).await.unwrap();
    assert!(!is_unknown(&leaked).await);

    line.set(Mode::Reset);
    let without_leaked = |config: &mut Config| {
        through(config);
        config.callers.retain(|it| it.caller.name != format!("{OPVANG}-portal"));
    };
    assert_eq!(service.reload(without_leaked).await.unwrap(), [""; 0]);
    assert!(is_unknown(&leaked).await, "at once");
    portal.verify(&goes_on.access_token, KOMMUN, Portal::Parent).await.unwrap();
    let over = portal.verify(&ended.access_token, KOMMUN, Portal::Parent).await.unwrap_err();
    assert_eq!(reason(&over), "SESSION_INVALID", "an ended session stays ended");

    // Other keys must open what is stored, which nobody can tell now.
    let other_keys = |config: &mut Config| {
        without_leaked(config);
        config.keys.master.push(MasterKey { id: "next".to_owned(), key: Secret::new([7; 32]) });
    };
    let refused = service.reload(other_keys).await.unwrap_err();
    assert!(format!("{refused:#}").contains("reading keys"), "{refused:#}");

    line.set(Mode::Pass);
    eventually(START_DEADLINE, "logins go on", async || {
        portal.log_in(Attempt::new("user-0", PASSWORD)).await.is_ok()
    })
    .await;
    assert!(is_unknown(&leaked).await);
    eventually(START_DEADLINE, "the feed is read", async || service.metric(FEED_AGE, "").await < 1.0).await;
}

/// What a generation started does not outlive it, however it ends: two of them would do the same work side by side.
#[tokio::test]
async fn what_is_let_go_of_without_being_stopped_ends() {
    let mut service = Service::start(Parts::Embedded).await;
    service.reload(|_| {}).await.unwrap();
    service.abandon();
    // It is read three times a second.
    eventually(START_DEADLINE, "nobody reads the feed", async || service.metric(FEED_AGE, "").await > 2.0)
        .await;
}
