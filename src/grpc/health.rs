//! `grpc.health.v1`: whether this process is alive, and whether it wants traffic.

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The service name that a liveness probe asks for: serving as long as the process answers.
pub const LIVENESS: &str = "liveness";
/// The service name that a readiness probe asks for, the same as the empty name.
pub const READINESS: &str = "readiness";

/// The name of a service is all that a request holds, and anybody may send one.
const MAX_REQUEST_BYTES: usize = 1024;

/// The state that probes see. Starts as not ready.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    ready: watch::Sender<bool>,
}

impl Health {
    /// Alive and not ready yet.
    pub async fn starting() -> Self {
        let health = Self { reporter: HealthReporter::new(), ready: watch::Sender::new(false) };
        health.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        health.set_ready(false).await;
        health
    }

    /// Says whether the process wants traffic: yes once everything is started, no as soon as it drains.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status("", status).await;
        self.reporter.set_service_status(READINESS, status).await;
        self.ready.send_replace(ready);
    }

    /// Not ready any more, for good: those who watch are told and their streams end, so that no drain waits for them.
    pub async fn drain(&self) {
        self.set_ready(false).await;
        for service in ["", READINESS] {
            self.reporter.clone().clear_service_status(service).await;
        }
        self.set_ready(false).await;
    }

    /// Whether the process wants traffic.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// The gRPC service, for any number of ports.
    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
            .max_decoding_message_size(MAX_REQUEST_BYTES)
    }
}
