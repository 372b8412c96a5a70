//! Traces: one tree from the portal's span to SQL and Redis, kept as the portal decides, and no effect on calls.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guardian_auth::adapters::http_client::HttpClient;
use guardian_auth::config::{Config, Traces};
use guardian_auth::telemetry::spans::Tracer;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use reqwest::{Method, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tonic::Request;

use crate::logging::{logged, objects};
use crate::support::collector::{Collector, KeptSpans, attribute, settings, value};
use crate::support::eventually;
use crate::support::service::{
    Attempt, Calls, KOMMUN, Parts, Service, guardian, hash, metadata, school_and_child,
};

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const RPC: &str = "guardian.auth.v1.LoginService/LoginWithPassword";
/// How long an export may take to arrive on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// With `alma`, who has [`PASSWORD`], and traces of every call to this collector.
async fn service(parts: Parts, collector: &Collector, change: impl FnOnce(&mut Config)) -> Service {
    let service = Service::start_with(parts, |config| {
        config.traces = Some(collector.settings());
        change(config);
    })
    .await;
    let alma = guardian("g-1", "alma", Some(&hash(PASSWORD).await));
    service.import(KOMMUN, &[school_and_child(), vec![alma]].concat()).await;
    service
}

/// Logs in under a parent of the portal; the reference code of a refusal.
async fn log_in(portal: &Calls, password: &str, traceparent: Option<&str>) -> Result<(), String> {
    let mut request = Request::new(Attempt::new("alma", password).request());
    if let Some(parent) = traceparent {
        request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    }
    let answer = portal.login.clone().login_with_password(request).await;
    answer.map(drop).map_err(|status| metadata(&status, "reference_code").unwrap_or_default())
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one span of this name.
fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {:?}", names(spans));
    found[0]
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn a_login_is_one_tree_from_the_portal_to_sql_redis_and_the_hash() {
    for (parts, database) in [(Parts::Shared, "postgresql"), (Parts::Embedded, "sqlite")] {
        let collector = Collector::start().await;
        let mut service = service(parts, &collector, |_| {}).await;
        log_in(&service.portal(KOMMUN).await, PASSWORD, Some(&parent("01"))).await.unwrap();
        service.stop().await;

        let spans = collector.spans();
        assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{:?}", names(&spans));
        let rpc = one(&spans, RPC);
        assert_eq!(rpc.kind, SpanKind::Server as i32);
        assert_eq!(hex(&rpc.parent_span_id), PARENT, "the portal's span is the parent");
        let limits = one(&spans, "decide_limits");
        for span in spans.iter().filter(|span| span.span_id != rpc.span_id) {
            let above = if span.name == "EVALSHA" { limits } else { rpc };
            assert_eq!(span.parent_span_id, above.span_id, "{} hangs where it belongs", span.name);
            assert!(span.start_time_unix_nano >= above.start_time_unix_nano, "{} is not early", span.name);
            assert!(span.end_time_unix_nano <= above.end_time_unix_nano, "{} is not late", span.name);
        }
        assert_eq!(
            names(&spans).contains(&"EVALSHA"),
            parts == Parts::Shared,
            "a decision asks Redis where there is one: {:?}",
            names(&spans)
        );
        for name in ["wait_for_hash_thread", "argon2", "find_login_candidates", "commit"] {
            one(&spans, name);
        }
        let statement = one(&spans, "find_login_candidates");
        assert_eq!(statement.kind, SpanKind::Client as i32);
        assert_eq!(attribute(statement, "db.system.name").as_deref(), Some(database));
        assert_eq!(attribute(statement, "db.query.summary").as_deref(), Some("find_login_candidates"));
        assert!(attribute(statement, "db.query.text").is_none(), "no text, no values");
        let counters = if parts == Parts::Shared { "shared" } else { "local" };
        assert_eq!(attribute(limits, "guardian_auth.limiter.counters").as_deref(), Some(counters));
        for (key, expected) in [
            ("rpc.system", "grpc"),
            ("rpc.system.name", "grpc"),
            ("rpc.method", RPC),
            ("rpc.grpc.status_code", "0"),
            ("rpc.response.status_code", "OK"),
            ("guardian_auth.caller", "sample-kommun-portal"),
            ("guardian_auth.organization", KOMMUN),
        ] {
            assert_eq!(attribute(rpc, key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(collector.first("content-type").0, "/v1/traces");
        assert_eq!(collector.first("content-type").1.as_deref(), Some("application/x-protobuf"));
        let resource = collector.resource();
        assert_eq!(value(&resource, "service.name").as_deref(), Some("guardian-auth"));
        assert_eq!(value(&resource, "service.instance.id").map(|id| id.len()), Some(32));
    }
}

#[tokio::test]
async fn a_refusal_has_the_reference_code_that_the_person_was_shown_and_is_no_failure_of_ours() {
    let collector = Collector::start().await;
    let mut service = service(Parts::Embedded, &collector, |_| {}).await;
    let portal = service.portal(KOMMUN).await;
    let reference = log_in(&portal, "not the password", None).await.unwrap_err();
    service.stop().await;
    let spans = collector.spans();
    let rpc = one(&spans, RPC);
    assert!(rpc.parent_span_id.is_empty(), "a trace of its own");
    assert_eq!(attribute(rpc, "guardian_auth.reference_code"), Some(reference));
    assert_eq!(attribute(rpc, "guardian_auth.reason").as_deref(), Some("INVALID_CREDENTIALS"));
    assert_eq!(attribute(rpc, "rpc.response.status_code").as_deref(), Some("UNAUTHENTICATED"));
    assert!(attribute(rpc, "error.type").is_none());
    assert_eq!(rpc.status.as_ref().unwrap().code, StatusCode::Unset as i32);
}

/// Equal work leaves equal spans: a collector tells nobody which accounts exist.
#[tokio::test]
async fn unknown_names_and_wrong_passwords_leave_the_same_spans() {
    let collector = Collector::start().await;
    let mut service = service(Parts::Shared, &collector, |_| {}).await;
    let portal = service.portal(KOMMUN).await;
    for name in ["alma", "nobody"] {
        portal.log_in(Attempt::new(name, "not the password")).await.unwrap_err();
    }
    service.stop().await;
    let mut by_trace: BTreeMap<Vec<u8>, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for span in collector.spans() {
        let mut keys: Vec<String> = span.attributes.iter().map(|attribute| attribute.key.clone()).collect();
        keys.sort();
        by_trace.entry(span.trace_id).or_default().push((span.name, keys));
    }
    let traces: Vec<_> = by_trace.into_values().collect();
    assert_eq!(traces.len(), 2);
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test]
async fn a_call_whose_portal_does_not_trace_it_is_not_exported() {
    let collector = Collector::start().await;
    let mut service = service(Parts::Embedded, &collector, |_| {}).await;
    let portal = service.portal(KOMMUN).await;
    log_in(&portal, PASSWORD, Some(&parent("00"))).await.unwrap();
    service.stop().await;
    assert_eq!(names(&collector.spans()), [""; 0]);
}

#[tokio::test]
async fn a_malformed_parent_is_as_if_there_were_none() {
    let collector = Collector::start().await;
    let mut service = service(Parts::Embedded, &collector, |_| {}).await;
    let portal = service.portal(KOMMUN).await;
    let long = "0".repeat(4000);
    for bad in ["", "garbage", &parent("1"), &parent("01").to_uppercase(), &long] {
        log_in(&portal, PASSWORD, Some(bad)).await.unwrap();
    }
    service.stop().await;
    let spans = collector.spans();
    let calls: Vec<&Span> = spans.iter().filter(|span| span.name == RPC).collect();
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|call| call.parent_span_id.is_empty()), "each is a trace of its own");
}

/// Or anybody who reaches the port could have every call traced.
#[tokio::test]
async fn who_is_not_known_does_not_decide_what_is_traced() {
    let collector = Collector::start().await;
    let without_ratio = |config: &mut Config| config.traces.as_mut().unwrap().sample_ratio = 0.0;
    let mut service = service(Parts::Embedded, &collector, without_ratio).await;
    let stranger = Calls::new(service.channel().await, "gat_nobody");
    log_in(&stranger, PASSWORD, Some(&parent("01"))).await.unwrap_err();
    let portal = service.portal(KOMMUN).await;
    log_in(&portal, PASSWORD, None).await.unwrap();
    log_in(&portal, PASSWORD, Some(&parent("01"))).await.unwrap();
    service.stop().await;
    let spans = collector.spans();
    assert_eq!(hex(&one(&spans, RPC).parent_span_id), PARENT, "the known portal's call alone");
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_spans_and_nothing_else() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let silence = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let mut service = Service::start_with(Parts::Embedded, |config| {
        config.traces = Some(Traces { queue: 64, timeout: Duration::from_secs(10), ..settings(address) });
    })
    .await;
    let portal = service.portal(KOMMUN).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..400 {
        let begun = Instant::now();
        portal.verify("no token", KOMMUN, guardian_auth::proto::Portal::Parent).await.unwrap_err();
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "a call waited {slowest:?}: as long as for the collector");
    let dropped = service.metric("guardian_auth_spans_dropped_total", "queue_full").await;
    // A batch is under way and 64 wait.
    assert!(dropped >= 200.0, "{dropped} of 400 spans were dropped");
    assert!(service.metric("guardian_auth_spans_exported_total", "").await < 1.0);
    let begun = Instant::now();
    service.stop().await;
    // 2 s for the spans, and whatever a busy machine takes for the rest: less than the time of an export.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    silence.abort();
}

#[test]
fn a_refusing_collector_is_said_once_and_so_is_its_return() {
    let log = logged(async {
        let collector = Collector::start().await;
        collector.answer(400);
        let mut service = service(Parts::Embedded, &collector, |_| {}).await;
        let portal = service.portal(KOMMUN).await;
        for round in 1..=2 {
            log_in(&portal, PASSWORD, None).await.unwrap();
            eventually(SOON, "an export is refused", async || collector.exports() >= round).await;
        }
        let refused = service.metric("guardian_auth_spans_dropped_total", "refused").await;
        assert!(refused > 0.0);
        collector.answer(200);
        let exported = collector.exports();
        log_in(&portal, PASSWORD, None).await.unwrap();
        eventually(SOON, "an export is taken", async || collector.exports() > exported).await;
        service.stop().await;
    });
    let lines = objects(&log).into_iter().filter(|line| line["dependency"] == "collector");
    let levels: Vec<String> = lines.map(|line| line["level"].as_str().unwrap().to_owned()).collect();
    assert_eq!(levels, ["WARN", "INFO"], "{log}");
}

#[tokio::test]
async fn headers_go_with_each_export() {
    let collector = Collector::start().await;
    let mut service = service(Parts::Embedded, &collector, |config| {
        let secret = guardian_auth::domain::secret::Secret::new("Bearer of-the-collector".to_owned());
        config.traces.as_mut().unwrap().headers = vec![("authorization".to_owned(), secret)];
    })
    .await;
    log_in(&service.portal(KOMMUN).await, PASSWORD, None).await.unwrap();
    service.stop().await;
    assert_eq!(collector.first("authorization").1.as_deref(), Some("Bearer of-the-collector"));
}

/// BankID, providers of eIDs and the SMS gateway are asked by this client.
#[tokio::test]
async fn nobody_outside_is_told_our_trace() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = Url::parse(&format!("http://{}/auth", listener.local_addr().unwrap())).unwrap();
    let heard = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = connection.read(&mut request).await.unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(request[..length].to_vec()).unwrap().to_lowercase()
    });
    let kept = KeptSpans::default();
    let random = Arc::new(|bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).unwrap());
    let tracer = Tracer::new(kept.clone(), 1.0, random);
    let remote = SpanContext::new(
        TraceId::from_hex(TRACE).unwrap(),
        SpanId::from_hex(PARENT).unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let client = HttpClient::new(None, Duration::from_secs(5)).unwrap();
    let call = tracer.call("call", Some(remote));
    let asked = call.around(async { client.send(client.request(Method::POST, url)).await });
    assert_eq!(asked.await.unwrap().status.as_u16(), 200);
    drop(call);
    assert!(kept.text().contains("http.response.status_code"), "it was traced: {}", kept.text());
    let heard = heard.await.unwrap();
    assert!(heard.starts_with("post /auth") && !heard.contains("trace"), "{heard}");
}
