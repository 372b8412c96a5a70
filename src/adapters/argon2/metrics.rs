//! What the hashing pool tells of itself: runs, waits and refusals, without anything of a password or an account.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::password::HashParameters;

/// Time from the request to its first run, in seconds. Exposed with the suffix `_seconds`.
pub const QUEUE_WAIT: &str = "guardian_auth_hash_queue_wait";
/// Requests that wait for a thread.
pub const QUEUE_DEPTH: &str = "guardian_auth_hash_queue_depth";
/// Requests that are being computed.
pub const RUNNING: &str = "guardian_auth_hash_running";
/// argon2 runs by `parameters` (`m=19456,t=2,p=1`) and `purpose` (`verify`, `set`). Exposed with the suffix `_total`.
pub const RUNS: &str = "guardian_auth_hash_runs";
/// Requests that were not computed, by `reason` (`overloaded`, `expired`, `stopping`). Exposed with the suffix `_total`.
pub const REFUSED: &str = "guardian_auth_hash_refused";

/// Upper bounds in seconds: a full queue is worked off within a second.
const WAIT_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// An import can bring any number of parameter sets; those beyond this number are counted as `other`.
const MAX_PARAMETER_LABELS: usize = 16;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Comparing a password.
    Verify,
    /// Making a new hash.
    Set,
}

/// Why a request was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The queue was full.
    Overloaded,
    /// The deadline passed.
    Expired,
    /// The pool was shutting down.
    Stopping,
}

impl EncodeLabelValue for Purpose {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Self::Verify => "verify",
            Self::Set => "set",
        }
        .encode(encoder)
    }
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Self::Overloaded => "overloaded",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
        }
        .encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    parameters: String,
    purpose: Purpose,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: Reason,
}

/// The pool's metrics. Clones share their values.
#[derive(Clone, Debug)]
pub struct HasherMetrics {
    pub(super) queue_wait: Histogram,
    pub(super) queue_depth: Gauge,
    pub(super) running: Gauge,
    runs: Family<RunLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    labelled: Arc<Mutex<BTreeSet<HashParameters>>>,
}

impl HasherMetrics {
    /// Makes the metrics and adds them to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            queue_wait: Histogram::new(WAIT_BUCKETS),
            queue_depth: Gauge::default(),
            running: Gauge::default(),
            runs: Family::default(),
            refused: Family::default(),
            labelled: Arc::default(),
        };
        let wait = "Time from the request to its first argon2 run";
        registry.register_with_unit(QUEUE_WAIT, wait, Unit::Seconds, metrics.queue_wait.clone());
        registry.register(
            QUEUE_DEPTH,
            "Requests that wait for a hashing thread",
            metrics.queue_depth.clone(),
        );
        registry.register(RUNNING, "Requests that a hashing thread is computing", metrics.running.clone());
        registry.register(RUNS, "argon2 runs by parameters and purpose", metrics.runs.clone());
        registry.register(REFUSED, "Hashing requests not computed, by reason", metrics.refused.clone());
        metrics
    }

    /// Runs so far with these parameters. Tests of equal work count these.
    pub fn runs(&self, parameters: HashParameters, purpose: Purpose) -> u64 {
        self.runs.get_or_create(&RunLabels { parameters: parameters.to_string(), purpose }).get()
    }

    /// Requests so far that were not computed for this reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused.get_or_create(&RefusedLabels { reason }).get()
    }

    pub(super) fn count_run(&self, parameters: HashParameters, purpose: Purpose) {
        let mut labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        let known = labelled.contains(&parameters)
            || (labelled.len() < MAX_PARAMETER_LABELS && labelled.insert(parameters));
        drop(labelled);
        let parameters = if known { parameters.to_string() } else { "other".to_owned() };
        self.runs.get_or_create(&RunLabels { parameters, purpose }).inc();
    }

    pub(super) fn count_refused(&self, reason: Reason) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    pub(super) fn observe_wait(&self, wait: Duration) {
        self.queue_wait.observe(wait.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::{HasherMetrics, MAX_PARAMETER_LABELS, Purpose, Reason};
    use crate::domain::password::HashParameters;

    #[test]
    fn names_and_labels_are_as_documented() {
        let mut registry = Registry::default();
        let metrics = HasherMetrics::register(&mut registry);
        metrics.count_run(HashParameters::default(), Purpose::Verify);
        metrics.count_refused(Reason::Overloaded);
        metrics.observe_wait(std::time::Duration::from_millis(3));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "guardian_auth_hash_runs_total{parameters=\"m=19456,t=2,p=1\",purpose=\"verify\"} 1",
            "guardian_auth_hash_refused_total{reason=\"overloaded\"} 1",
            "guardian_auth_hash_queue_wait_seconds_bucket{le=\"0.005\"} 1",
            "guardian_auth_hash_queue_depth 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn many_imported_parameter_sets_do_not_make_many_series() {
        let mut registry = Registry::default();
        let metrics = HasherMetrics::register(&mut registry);
        for memory_kib in 64..164 {
            metrics.count_run(HashParameters::new(memory_kib, 1, 1).unwrap(), Purpose::Verify);
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series = text.lines().filter(|line| line.starts_with("guardian_auth_hash_runs_total{")).count();
        assert_eq!(series, MAX_PARAMETER_LABELS + 1);
    }
}
