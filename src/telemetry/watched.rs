//! Metrics whose values live elsewhere: read when somebody scrapes.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Events of refused calls that were dropped instead of written to the audit log.
pub const REFUSALS_DROPPED: &str = "guardian_auth_refusal_events_dropped";
/// Sessions ended because a replaced refresh token came back: the previous one, too late.
pub const REUSE_RECENT_PREVIOUS: &str = "guardian_auth_refresh_reuse_recent_previous";
/// Sessions ended because a replaced refresh token came back: an older one, which is theft.
pub const REUSE_STALE_LINEAGE: &str = "guardian_auth_refresh_reuse_stale_lineage";
/// Seconds since the revocation feed was read: over 1 s, this replica may not know of a session's end.
pub const FEED_AGE: &str = "guardian_auth_revocation_feed_age_seconds";

/// Lines of the log that were dropped: whoever reads it is stuck, or its disk is full.
pub const LOG_LINES_DROPPED: &str = "guardian_auth_log_lines_dropped";

/// Tries to deliver messages, by channel and result.
pub const MESSAGE_TRIES: &str = "guardian_auth_message_tries";
/// Messages that wait in the outbox, by channel.
pub const OUTBOX_QUEUED: &str = "guardian_auth_outbox_queued_messages";
/// Age of the oldest message that waits in the outbox, by channel.
pub const OUTBOX_OLDEST: &str = "guardian_auth_outbox_oldest_seconds";
/// Seconds since this replica looked into the outbox.
pub const OUTBOX_LOOK_AGE: &str = "guardian_auth_outbox_look_age_seconds";
/// Seconds since this replica looked at requests for reset links.
pub const RESET_LOOK_AGE: &str = "guardian_auth_reset_requests_look_age_seconds";

/// Events of the audit log that this replica has chained.
pub const AUDIT_CHAINED: &str = "guardian_auth_audit_chained_events";
/// Seconds since this replica knew every event of the audit log to be chained, by itself or by another.
pub const AUDIT_CHAINED_AGE: &str = "guardian_auth_audit_chained_age_seconds";
/// Chains of the audit log that this replica refuses to add to.
pub const AUDIT_CHAINS_REFUSED: &str = "guardian_auth_audit_chains_refused";

/// What happened to BankID orders that this replica collects, by event.
pub const BANKID_ORDERS: &str = "guardian_auth_bankid_orders";
/// BankID orders that this replica collects now.
pub const BANKID_ORDERS_OWN: &str = "guardian_auth_bankid_orders_collected";
/// Whether BankID let the certificate of an organization in when it was last asked: 1 or 0.
pub const BANKID_REACHABLE: &str = "guardian_auth_bankid_reachable";

/// When our certificate ends, seconds since 1970.
pub const CERTIFICATE_END: &str = "guardian_auth_certificate_end_time_seconds";
/// Changed certificate files that were read again, by result.
pub const CERTIFICATE_RELOADS: &str = "guardian_auth_certificate_reloads";

/// Changed configurations that were read while the service ran, by result.
pub const CONFIGURATION_RELOADS: &str = "guardian_auth_configuration_reloads";
/// 1 while the files hold a configuration that is refused.
pub const CONFIGURATION_REFUSED: &str = "guardian_auth_configuration_refused";
/// 1 while the files say something that needs a restart.
pub const CONFIGURATION_RESTART_NEEDED: &str = "guardian_auth_configuration_restart_needed";
/// When the configuration in use was put into use, seconds since 1970.
pub const CONFIGURATION_TAKEN: &str = "guardian_auth_configuration_taken_time_seconds";
/// Spans that the collector took.
pub const SPANS_EXPORTED: &str = "guardian_auth_spans_exported";
/// Spans that were dropped, by what made us.
pub const SPANS_DROPPED: &str = "guardian_auth_spans_dropped";

/// The labels of one sample.
pub type Labels = Vec<(&'static str, String)>;

/// What a watched metric is.
enum Value {
    Counter(Box<dyn Fn() -> u64 + Send + Sync>),
    Gauge(Box<dyn Fn() -> f64 + Send + Sync>),
    Counters(Vec<(Labels, Box<dyn Fn() -> u64 + Send + Sync>)>),
    Gauges(Vec<(Labels, Box<dyn Fn() -> f64 + Send + Sync>)>),
}

struct Watched {
    name: &'static str,
    help: &'static str,
    value: Value,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        match &self.value {
            Value::Counter(read) => {
                let value = ConstCounter::new(read());
                value.encode(encoder.encode_descriptor(self.name, self.help, None, value.metric_type())?)
            }
            Value::Gauge(read) => {
                let value = ConstGauge::new(read());
                value.encode(encoder.encode_descriptor(self.name, self.help, None, value.metric_type())?)
            }
            Value::Counters(samples) => {
                let mut family =
                    encoder.encode_descriptor(self.name, self.help, None, MetricType::Counter)?;
                for (labels, read) in samples {
                    ConstCounter::new(read()).encode(family.encode_family(&labels.as_slice())?)?;
                }
                Ok(())
            }
            Value::Gauges(samples) => {
                let mut family = encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
                for (labels, read) in samples {
                    ConstGauge::new(read()).encode(family.encode_family(&labels.as_slice())?)?;
                }
                Ok(())
            }
        }
    }
}

/// Registers a counter that is read when scraped. `_total` is added to its name.
pub fn watch_counter(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(Watched { name, help, value: Value::Counter(Box::new(read)) }));
}

/// Registers a gauge that is read when scraped.
pub fn watch_gauge(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> f64 + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(Watched { name, help, value: Value::Gauge(Box::new(read)) }));
}

/// Registers a counter with labels that is read when scraped. `_total` is added to its name.
pub fn watch_counters(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Labels, Box<dyn Fn() -> u64 + Send + Sync>)>,
) {
    let value = Value::Counters(samples.into_iter().collect());
    registry.register_collector(Box::new(Watched { name, help, value }));
}

/// Registers a gauge with labels that is read when scraped.
pub fn watch_gauges(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Labels, Box<dyn Fn() -> f64 + Send + Sync>)>,
) {
    let value = Value::Gauges(samples.into_iter().collect());
    registry.register_collector(Box::new(Watched { name, help, value }));
}
