//! The worker that chains the audit log.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::Outside;
use crate::adapters::key_vault::DerivedKeyVault;
use crate::adapters::store::SqlStore;
use crate::flows::audit_sealer::{AuditSealer, Parts, SealerGauges};
use crate::telemetry::watched::{
    AUDIT_CHAINED, AUDIT_CHAINED_AGE, AUDIT_CHAINS_REFUSED, watch_counter, watch_gauge,
};

/// Not started yet.
pub(super) fn sealer(
    outside: &Outside,
    store: &SqlStore,
    vault: &Arc<DerivedKeyVault>,
    counted: &SealerGauges,
) -> AuditSealer {
    let mut sealer = AuditSealer::new(Parts {
        store: Arc::new(store.clone()),
        vault: Arc::clone(vault) as _,
        clock: Arc::clone(&outside.clock),
        entropy: Arc::clone(&outside.entropy),
    });
    sealer.gauges = counted.successor();
    sealer
}

/// Metrics whose values live in the sealer.
pub(super) fn watch(registry: &mut Registry, gauges: &SealerGauges) {
    let chained = gauges.clone();
    let help = "Events of the audit log that this replica has chained";
    watch_counter(registry, AUDIT_CHAINED, help, move || chained.chained_events());
    let age = gauges.clone();
    let help = "Seconds since this replica knew every event of the audit log to be chained";
    watch_gauge(registry, AUDIT_CHAINED_AGE, help, move || age.age().as_secs_f64());
    let refused = gauges.clone();
    let help = "Chains of the audit log that this replica refuses to add to";
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 organizations")]
    watch_gauge(registry, AUDIT_CHAINS_REFUSED, help, move || refused.refused_chains() as f64);
}
