//! The ops port: metrics, and health for probes and people.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::sync::Arc;

use bytes::Bytes;
use guardian_auth::grpc::front;
use guardian_auth::grpc::health::Health;
use guardian_auth::grpc::listener;
use guardian_auth::grpc::ops::Ops;
use guardian_auth::telemetry::RpcMetrics;
use http::Request;
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::wire::Setup;
use crate::wire::raw::{Client, framed};

async fn open(registry: Registry, health: Health) -> Client {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Setup::usual().await.settings;
    tokio::spawn(listener::serve(
        listener,
        Arc::new(Ops::new(registry, health)),
        settings,
        CancellationToken::new(),
    ));
    Client::connect(address).await
}

async fn get(client: &Client, path: &str) -> (u16, String) {
    let request = Request::get(format!("http://x{path}")).body(()).unwrap();
    let answer = client.send(request, Bytes::new()).await.unwrap();
    (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
}

async fn probe(client: &Client, service: &str) -> i32 {
    let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
    let answer = client.call("/grpc.health.v1.Health/Check", &[], framed(&request)).await.unwrap();
    answer.message::<tonic_health::pb::HealthCheckResponse>().status
}

#[tokio::test]
async fn readiness_follows_the_app_and_liveness_does_not() {
    const SERVING: i32 = 1;
    const NOT_SERVING: i32 = 2;
    let health = Health::starting().await;
    let client = open(Registry::default(), health.clone()).await;
    for ready in [false, true, false] {
        health.set_ready(ready).await;
        let expected = if ready { SERVING } else { NOT_SERVING };
        assert_eq!(probe(&client, "").await, expected);
        assert_eq!(probe(&client, "readiness").await, expected);
        assert_eq!(probe(&client, "liveness").await, SERVING);
        assert_eq!(get(&client, "/ready").await.0, if ready { 200 } else { 503 });
        assert_eq!(get(&client, "/live").await.0, 200);
    }
    assert_eq!(get(&client, "/").await.0, 404);
}

#[tokio::test]
async fn metrics_count_calls_by_rpc_code_and_reason() {
    let mut registry = Registry::default();
    let names = front::rpc_names();
    let metrics = RpcMetrics::register(&mut registry, &names);
    for (rpc, ok, code, reason) in [
        (Some(0), true, "OK", ""),
        (Some(0), true, "OK", ""),
        (Some(0), false, "UNAUTHENTICATED", "SESSION_INVALID"),
        (None, false, "UNAUTHENTICATED", "CALLER_UNKNOWN"),
    ] {
        metrics.begin();
        metrics.end(rpc, ok, code, reason, Duration::from_micros(300));
    }
    metrics.begin();
    let (status, text) = get(&open(registry, Health::starting().await).await, "/metrics").await;
    assert_eq!(status, 200);
    let verify = names[0];
    for line in [
        format!("guardian_auth_rpc_total{{rpc=\"{verify}\",code=\"OK\",reason=\"\"}} 2"),
        format!(
            "guardian_auth_rpc_total{{rpc=\"{verify}\",code=\"UNAUTHENTICATED\",reason=\"SESSION_INVALID\"}} 1"
        ),
        "guardian_auth_rpc_total{rpc=\"unknown\",code=\"UNAUTHENTICATED\",reason=\"CALLER_UNKNOWN\"} 1"
            .to_owned(),
        format!("guardian_auth_rpc_duration_seconds_count{{rpc=\"{verify}\"}} 3"),
        "guardian_auth_rpc_in_flight 1".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
