//! `grpc.health.v1` on the gRPC port: open to anybody, so small and bounded.

use std::time::{Duration, Instant};

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::service::{Parts, Service};

#[tokio::test]
async fn a_health_check_is_small_whoever_sends_it() {
    let service = Service::start(Parts::Embedded).await;
    let mut health = HealthClient::new(service.channel().await);
    let serving = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(serving.status(), ServingStatus::Serving);
    let large = HealthCheckRequest { service: "x".repeat(2000) };
    let refused = health.check(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
}

#[tokio::test]
async fn a_watcher_of_health_does_not_hold_up_a_drain() {
    let mut service = Service::start(Parts::Embedded).await;
    let mut health = HealthClient::new(service.channel().await);
    let mut watched = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let began = Instant::now();
    service.stop().await;
    // Far below `listen.drain_timeout` (15 s), after which the connection would be cut.
    assert!(began.elapsed() < Duration::from_secs(10), "stopping took {:?}", began.elapsed());
    let mut last = ServingStatus::Serving;
    while let Ok(Some(told)) = watched.message().await {
        last = told.status();
    }
    assert_eq!(last, ServingStatus::NotServing);
}
