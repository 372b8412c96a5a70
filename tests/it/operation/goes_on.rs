//! What goes on when another configuration is put into use: counters, what is known while the store is away, and what ends.

use std::time::Duration;

use bytes::Bytes;
use guardian_auth::config::{Config, LimitsBackend, MasterKey, Redis, StoreBackend};
use guardian_auth::domain::password::HashParameters;
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto::{self, EndSessionRequest, Portal, end_session_request};
use h2::client::SendRequest;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::collector::Collector;
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::service::{
    Attempt, Calls, KOMMUN, OPVANG, Parts, Service, guardian, hash, reason, school_and_child,
};
use crate::support::sql::Sql;
use crate::support::{START_DEADLINE, eventually};
use crate::wire::raw::framed;

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const STOLEN: &str = "guardian_auth_refresh_reuse_stale_lineage_total";
const CHAINED: &str = "guardian_auth_audit_chained_events_total";
const FEED_AGE: &str = "guardian_auth_revocation_feed_age_seconds";

const IN_FLIGHT: &str = "guardian_auth_rpc_in_flight";
const DROPPED: &str = "guardian_auth_refusal_events_dropped_total";

/// A connection of its own, and the head of a login.
async fn by_hand(service: &Service) -> (SendRequest<Bytes>, http::request::Builder) {
    let stream = tokio::net::TcpStream::connect(service.grpc()).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let path = "guardian.auth.v1.LoginService/LoginWithPassword";
    let request = http::Request::post(format!("http://guardian.example/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {}", service.token(&format!("{KOMMUN}-portal"))));
    (send, request)
}

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

/// The head of a call is there, its message comes when another configuration is in use: what the call is refused for is
/// written down by who was there when it came.
#[tokio::test]
async fn a_call_that_came_before_a_reload_is_answered_and_written_down() {
    let service = Service::start(Parts::Embedded).await;
    let portal = service.portal(KOMMUN).await;
    let attempt = Attempt::new("nobody", "a wrong guess");
    eventually(START_DEADLINE, "the budget is used up", async || {
        reason(&portal.log_in(attempt).await.unwrap_err()) == "RATE_LIMITED"
    })
    .await;
    let mut sql = Sql::open(&service).await;
    let refused = "SELECT count(*) FROM audit_event WHERE cause = 'rate_limited'";
    eventually(START_DEADLINE, "it is written down", async || sql.number(refused).await == 1).await;

    let (mut send, request) = by_hand(&service).await;
    let (answer, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
    eventually(START_DEADLINE, "it has come", async || service.metric(IN_FLIGHT, "").await > 0.5).await;
    for _ in 0..2 {
        service.reload(|_| {}).await.unwrap();
        assert_eq!(reason(&portal.log_in(attempt).await.unwrap_err()), "RATE_LIMITED");
    }
    body.send_data(framed(&attempt.request()), true).unwrap();
    assert_eq!(answer.await.unwrap().headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    eventually(START_DEADLINE, "all four are written down", async || sql.number(refused).await == 4).await;
    assert!(service.metric(DROPPED, "").await < 0.5);
}

/// So is an attempt that nobody waits for any more.
#[tokio::test]
async fn an_attempt_that_began_before_a_reload_ends_and_is_written_down() {
    let slow = |config: &mut Config| {
        config.hash.parameters = HashParameters::new(32 * 1024, 9, 1).unwrap();
        config.hash.workers = 1;
    };
    let service = Service::start_with(Parts::Embedded, slow).await;
    let mut before = JoinSet::new();
    for number in 0..8 {
        let portal = service.portal(KOMMUN).await;
        before.spawn(async move {
            let name = format!("nobody-{number}");
            portal.log_in(Attempt::new(&name, "a wrong guess")).await.unwrap_err()
        });
    }
    let waiting = async || service.metric("guardian_auth_hash_queue_depth", "").await;
    eventually(START_DEADLINE, "a hash runs, others wait", async || waiting().await > 6.5).await;
    let (mut send, request) = by_hand(&service).await;
    let request = request.header("grpc-timeout", "200m").body(()).unwrap();
    let (answer, mut body) = send.send_request(request, false).unwrap();
    body.send_data(framed(&Attempt::new("nobody", "a wrong guess").request()), true).unwrap();
    eventually(START_DEADLINE, "one more waits", async || waiting().await > 7.5).await;
    body.send_reset(h2::Reason::CANCEL);
    drop((answer, body));
    service.reload(slow).await.unwrap();
    before.join_all().await;
    let mut sql = Sql::open(&service).await;
    eventually(START_DEADLINE, "its end is written down", async || {
        sql.number("SELECT count(*) FROM audit_event WHERE cause = 'deadline_exceeded'").await == 1
    })
    .await;
    assert!(service.metric(DROPPED, "").await < 0.5);
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
