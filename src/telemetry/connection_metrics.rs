//! Counts of connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    why: &'static str,
}

/// `guardian_auth_connections_open` and `guardian_auth_connections_max`, `guardian_auth_connections_accepted_total`,
/// `guardian_auth_accept_failures_total`, and `guardian_auth_connections_closed_total` by what made us close them.
#[derive(Clone, Default)]
pub struct ConnectionMetrics {
    /// Connections now.
    pub open: Gauge,
    /// Connections at a time that the gRPC port takes.
    pub max: Gauge,
    /// Connections so far.
    pub accepted: Counter,
    /// Failures to accept one that were not the fault of one.
    pub accept_failures: Counter,
    closed: Family<Why, Counter>,
}

impl ConnectionMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("guardian_auth_connections_open", "Connections now", metrics.open.clone());
        registry.register(
            "guardian_auth_connections_max",
            "Connections at a time that the gRPC port takes",
            metrics.max.clone(),
        );
        registry.register(
            "guardian_auth_accept_failures",
            "Failures to accept connections, for want of descriptors or memory",
            metrics.accept_failures.clone(),
        );
        registry.register(
            "guardian_auth_connections_accepted",
            "Connections so far",
            metrics.accepted.clone(),
        );
        registry.register(
            "guardian_auth_connections_closed",
            "Connections that we closed, by what made us",
            metrics.closed.clone(),
        );
        metrics
    }

    /// Counts a connection that we closed.
    pub fn closed(&self, why: &'static str) {
        self.closed.get_or_create(&Why { why }).inc();
    }
}
