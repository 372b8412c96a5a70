//! Counts and durations of rpcs.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds. From a cached verification to the greatest deadline.
const BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Name of what is called and is no rpc.
const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    rpc: &'static str,
    code: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    rpc: &'static str,
}

/// What is kept at hand for an rpc, so that a call that goes well looks nothing up.
#[derive(Clone)]
struct Handles {
    name: &'static str,
    ok: Counter,
    duration: Histogram,
}

/// `guardian_auth_rpc_total`, `guardian_auth_rpc_duration_seconds` and `guardian_auth_rpc_in_flight`.
#[derive(Clone)]
pub struct RpcMetrics {
    answers: Family<Answer, Counter>,
    in_flight: Gauge,
    // One for each rpc, and one for what is no rpc.
    handles: Vec<Handles>,
}

impl RpcMetrics {
    /// Registers them. `rpcs` are the names of all rpcs; calls are counted by their index.
    pub fn register(registry: &mut Registry, rpcs: &[&'static str]) -> Self {
        let answers = Family::<Answer, Counter>::default();
        let durations =
            Family::<Called, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let in_flight = Gauge::default();
        registry.register("guardian_auth_rpc", "Answered rpcs by code and reason", answers.clone());
        registry.register(
            "guardian_auth_rpc_duration_seconds",
            "Time from the head of the request to the head of the answer",
            durations.clone(),
        );
        registry.register("guardian_auth_rpc_in_flight", "Rpcs without an answer so far", in_flight.clone());
        let handles = rpcs
            .iter()
            .copied()
            .chain([UNKNOWN])
            .map(|name| Handles {
                name,
                ok: answers.get_or_create_owned(&Answer { rpc: name, code: "OK", reason: "" }),
                duration: durations.get_or_create_owned(&Called { rpc: name }),
            })
            .collect();
        Self { answers, in_flight, handles }
    }

    /// A call came in.
    pub fn begin(&self) {
        self.in_flight.inc();
    }

    /// A call was answered, or reset.
    pub fn end(
        &self,
        rpc: Option<usize>,
        ok: bool,
        code: &'static str,
        reason: &'static str,
        elapsed: Duration,
    ) {
        self.in_flight.dec();
        let unknown = self.handles.len() - 1;
        let Some(handles) = self.handles.get(rpc.unwrap_or(unknown)) else { return };
        if ok {
            handles.ok.inc();
        } else {
            self.answers.get_or_create(&Answer { rpc: handles.name, code, reason }).inc();
        }
        handles.duration.observe(elapsed.as_secs_f64());
    }
}
