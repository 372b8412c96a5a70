//! What the limiter tells of itself: counters without any name of a person, account or network.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Decisions by `outcome` (`admitted`, `refused`) and `mode` (`shared`, `local`). Exposed with the suffix `_total`.
pub const DECISIONS: &str = "guardian_auth_limiter_decisions";
/// Time from asking Redis to its answer, in seconds; failed calls are counted in [`REDIS_ERRORS`] instead.
pub const ROUND_TRIP_SECONDS: &str = "guardian_auth_limiter_round_trip_seconds";
/// Charges that were not given back, because the queue was full or Redis was away. Exposed with the suffix `_total`.
pub const GIVE_BACKS_DROPPED: &str = "guardian_auth_limiter_give_backs_dropped";
/// Buckets held in this process.
pub const LOCAL_KEYS: &str = "guardian_auth_limiter_local_keys";
/// Reservations that found no room for a new bucket in this process. Exposed with the suffix `_total`.
pub const LOCAL_KEYS_REFUSED: &str = "guardian_auth_limiter_local_keys_refused";
/// Failed calls to Redis by `kind`. Exposed with the suffix `_total`.
pub const REDIS_ERRORS: &str = "guardian_auth_limiter_redis_errors";
/// 1 while decisions are made by Redis, 0 while some or all are made from this process's own counters.
pub const REDIS_UP: &str = "guardian_auth_limiter_redis_up";
/// Servers of Redis that hold counters, by `state` (`up`, `down`): one, or the primaries of a cluster. Slots that no primary
/// has count as one server that is down.
pub const REDIS_NODES: &str = "guardian_auth_limiter_redis_nodes";

/// Upper bounds in seconds: the budget of a decision is 0.05.
const ROUND_TRIP_BUCKETS: [f64; 9] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Admitted,
    Refused,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Shared,
    Local,
}

/// Why a call to Redis failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ErrorKind {
    /// No answer within the budget.
    Timeout,
    /// Refused, reset or closed.
    Connection,
    /// The server became a replica, or has lost its own and takes no writes without them.
    ReadOnly,
    /// The slot is on another server of the cluster, or on its way there.
    Moved,
    /// The cluster serves no slots, or not this one.
    ClusterDown,
    /// The server is reading its data from disk.
    Loading,
    /// The server has no memory for new keys; it runs without eviction, since to evict is to forget attempts.
    OutOfMemory,
    /// Wrong credentials, or a command that the ACL user may not use.
    Denied,
    /// Anything else.
    Other,
}

macro_rules! label_values {
    ($label:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl EncodeLabelValue for $label {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                match self { $(Self::$variant => $text,)+ }.encode(encoder)
            }
        }
    };
}

label_values!(Outcome { Admitted => "admitted", Refused => "refused" });
label_values!(Mode { Shared => "shared", Local => "local" });
label_values!(ErrorKind {
    Timeout => "timeout",
    Connection => "connection",
    ReadOnly => "readonly",
    Moved => "moved",
    ClusterDown => "cluster_down",
    Loading => "loading",
    OutOfMemory => "out_of_memory",
    Denied => "denied",
    Other => "other",
});

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    outcome: Outcome,
    mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: ErrorKind,
}

/// Whether a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NodeState {
    Up,
    Down,
}

label_values!(NodeState { Up => "up", Down => "down" });

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    state: NodeState,
}

/// The servers that hold counters. Locked when one comes or goes, never by a decision.
#[derive(Debug, Default)]
struct Servers(Mutex<ServerCounts>);

#[derive(Clone, Copy, Debug, Default)]
struct ServerCounts {
    up: i64,
    down: i64,
}

/// One server that holds counters, in the metrics for as long as this lives. Down at first.
#[derive(Debug)]
pub(super) struct Presence {
    up: AtomicBool,
    metrics: LimiterMetrics,
}

impl Presence {
    pub(super) fn new(metrics: LimiterMetrics) -> Self {
        metrics.count_servers(|counts| counts.down += 1);
        Self { up: AtomicBool::new(false), metrics }
    }

    pub(super) fn set(&self, up: bool) {
        if self.up.swap(up, Ordering::Relaxed) != up {
            let change = if up { 1 } else { -1 };
            self.metrics.count_servers(|counts| {
                counts.up += change;
                counts.down -= change;
            });
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let up = self.is_up();
        self.metrics.count_servers(|counts| {
            if up {
                counts.up -= 1;
            } else {
                counts.down -= 1;
            }
        });
    }
}

/// The limiter's metrics; clones count into the same series.
#[derive(Clone, Debug)]
pub struct LimiterMetrics {
    admitted_shared: Counter,
    admitted_local: Counter,
    refused_shared: Counter,
    refused_local: Counter,
    round_trip_seconds: Histogram,
    give_backs_dropped: Counter,
    local_keys: Gauge,
    local_keys_refused: Counter,
    redis_errors: Family<ErrorLabels, Counter>,
    redis_up: Gauge,
    nodes_up: Gauge,
    nodes_down: Gauge,
    servers: Arc<Servers>,
}

impl LimiterMetrics {
    /// Makes the metrics and adds them to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let decisions = Family::<DecisionLabels, Counter>::default();
        let series = |outcome, mode| decisions.get_or_create_owned(&DecisionLabels { outcome, mode });
        let nodes = Family::<NodeLabels, Gauge>::default();
        let metrics = Self {
            admitted_shared: series(Outcome::Admitted, Mode::Shared),
            admitted_local: series(Outcome::Admitted, Mode::Local),
            refused_shared: series(Outcome::Refused, Mode::Shared),
            refused_local: series(Outcome::Refused, Mode::Local),
            round_trip_seconds: Histogram::new(ROUND_TRIP_BUCKETS),
            give_backs_dropped: Counter::default(),
            local_keys: Gauge::default(),
            local_keys_refused: Counter::default(),
            redis_errors: Family::default(),
            redis_up: Gauge::default(),
            nodes_up: nodes.get_or_create_owned(&NodeLabels { state: NodeState::Up }),
            nodes_down: nodes.get_or_create_owned(&NodeLabels { state: NodeState::Down }),
            servers: Arc::default(),
        };
        registry.register(DECISIONS, "Decisions of the rate limiter", decisions);
        let round_trip = metrics.round_trip_seconds.clone();
        registry.register(ROUND_TRIP_SECONDS, "Time until Redis answered, in seconds", round_trip);
        let dropped = metrics.give_backs_dropped.clone();
        registry.register(GIVE_BACKS_DROPPED, "Charges that could not be given back", dropped);
        registry.register(LOCAL_KEYS, "Buckets held in this process", metrics.local_keys.clone());
        let refused = metrics.local_keys_refused.clone();
        registry.register(
            LOCAL_KEYS_REFUSED,
            "Reservations that found no room for a new local bucket",
            refused,
        );
        registry.register(REDIS_ERRORS, "Failed calls to Redis", metrics.redis_errors.clone());
        registry.register(REDIS_NODES, "Servers of Redis that hold counters", nodes);
        registry.register(
            REDIS_UP,
            "1 while Redis decides, 0 while local counters do",
            metrics.redis_up.clone(),
        );
        metrics
    }

    pub(super) fn decided(&self, admitted: bool, mode: Mode) {
        match (admitted, mode) {
            (true, Mode::Shared) => self.admitted_shared.inc(),
            (true, Mode::Local) => self.admitted_local.inc(),
            (false, Mode::Shared) => self.refused_shared.inc(),
            (false, Mode::Local) => self.refused_local.inc(),
        };
    }

    pub(super) fn answered_after(&self, round_trip: Duration) {
        self.round_trip_seconds.observe(round_trip.as_secs_f64());
    }

    pub(super) fn give_back_dropped(&self) {
        self.give_backs_dropped.inc();
    }

    pub(super) fn holds_keys(&self, count: usize) {
        self.local_keys.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn local_key_refused(&self) {
        self.local_keys_refused.inc();
    }

    pub(super) fn redis_failed(&self, kind: ErrorKind) {
        self.redis_errors.get_or_create(&ErrorLabels { kind }).inc();
    }

    fn count_servers(&self, change: impl FnOnce(&mut ServerCounts)) {
        let mut counts = self.servers.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counts);
        self.nodes_up.set(counts.up);
        self.nodes_down.set(counts.down);
        self.redis_up.set(i64::from(counts.up > 0 && counts.down == 0));
    }
}
