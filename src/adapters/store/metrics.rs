//! What the store says of itself to Prometheus.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use sqlx::AnyPool;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabel {
    statement: &'static str,
}

/// Counts and times of statements, and the use of connections. Clones count together.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    statements: Family<StatementLabel, Counter>,
    seconds: Family<StatementLabel, Histogram, fn() -> Histogram>,
    pools: Arc<Mutex<Vec<(&'static str, AnyPool)>>>,
}

impl StoreMetrics {
    /// Registers the metrics: `guardian_auth_sql_statements_total`, `guardian_auth_sql_statement_seconds` (both by
    /// statement name) and `guardian_auth_sql_connections` (by pool and use).
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            statements: Family::default(),
            seconds: Family::new_with_constructor(statement_histogram),
            pools: Arc::default(),
        };
        registry.register(
            "guardian_auth_sql_statements",
            "SQL statements that were run",
            metrics.statements.clone(),
        );
        registry.register_with_unit(
            "guardian_auth_sql_statement",
            "Time of SQL statements, without the wait for a connection",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register_collector(Box::new(Connections(metrics.pools.clone())));
        metrics
    }

    /// How often a statement was run.
    pub fn runs_of(&self, statement: &'static str) -> u64 {
        self.statements.get_or_create(&StatementLabel { statement }).get()
    }

    pub(super) fn observe(&self, statement: &'static str, taken: Duration) {
        let label = StatementLabel { statement };
        self.statements.get_or_create(&label).inc();
        self.seconds.get_or_create(&label).observe(taken.as_secs_f64());
    }

    pub(super) fn watch(&self, name: &'static str, pool: &AnyPool) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push((name, pool.clone()));
    }
}

/// 0.1 ms to 1.6 s, by fours: an index look-up, a commit that syncs, a lock waited for, an outage.
fn statement_histogram() -> Histogram {
    Histogram::new([0.0001, 0.0004, 0.0016, 0.0064, 0.0256, 0.1024, 0.4096, 1.6384])
}

/// Reads the pools when it is asked.
struct Connections(Arc<Mutex<Vec<(&'static str, AnyPool)>>>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "guardian_auth_sql_connections",
            "Connections to the database",
            None,
            MetricType::Gauge,
        )?;
        for (name, pool) in
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|(_, pool)| !pool.is_closed())
        {
            let open = i64::from(pool.size());
            let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX).min(open);
            for (state, count) in [("in_use", open - idle), ("idle", idle)] {
                let labels = [("pool", *name), ("state", state)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
