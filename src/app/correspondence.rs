//! The workers beside the calls: what comes of requests for reset links, and the sending of messages.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::flows::Flows;
use super::{Outside, parts};
use crate::adapters::key_vault::DerivedKeyVault;
use crate::adapters::store::SqlStore;
use crate::config::Config;
use crate::domain::message::Channel;
use crate::flows::failure_notices::FailureNotices;
use crate::flows::last_done::LastDone;
use crate::flows::outbox::{DeliveryCounts, DeliveryResult, Levels, Outbox};
use crate::flows::reset_requests::ResetRequests;
use crate::ports::clock::Clock;
use crate::telemetry::watched::{
    MESSAGE_TRIES, OUTBOX_LOOK_AGE, OUTBOX_OLDEST, OUTBOX_QUEUED, RESET_LOOK_AGE, watch_counters,
    watch_gauge, watch_gauges,
};

/// Not started yet.
pub(super) struct Workers {
    reset_requests: ResetRequests,
    failure_notices: FailureNotices,
    outbox: Arc<Outbox>,
}

impl Workers {
    pub(super) fn new(
        config: &Config,
        outside: &Outside,
        store: &SqlStore,
        vault: &Arc<DerivedKeyVault>,
        flows: &Flows,
        counts: &DeliveryCounts,
    ) -> anyhow::Result<Self> {
        let store = Arc::new(store.clone());
        let reset_requests = ResetRequests {
            organizations: Arc::clone(&flows.organizations),
            store: Arc::clone(&store) as _,
            vault: Arc::clone(vault) as _,
            wake: flows.wake.clone(),
            looked: LastDone::default(),
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
        };
        let failure_notices = FailureNotices {
            organizations: Arc::clone(&flows.organizations),
            store: Arc::clone(&store) as _,
            wake: flows.wake.clone(),
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
        };
        let outbox = Outbox {
            organizations: Arc::clone(&flows.organizations),
            store,
            vault: Arc::clone(vault) as _,
            mail: parts::mail_sender(config, outside)?,
            text: parts::text_sender(config, outside)?,
            wake: flows.wake.clone(),
            counts: counts.clone(),
            levels: Levels::default(),
            looked: LastDone::default(),
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
        };
        Ok(Self { reset_requests, failure_notices, outbox: Arc::new(outbox) })
    }

    /// Metrics whose values live in the workers.
    pub(super) fn watch(&self, registry: &mut Registry, outside: &Outside) {
        let looked = self.reset_requests.looked.clone();
        let help = "Seconds since this replica looked at requests for reset links";
        watch_gauge(registry, RESET_LOOK_AGE, help, move || looked.age().as_secs_f64());
        let looked = self.outbox.looked.clone();
        let help = "Seconds since this replica looked into the outbox";
        watch_gauge(registry, OUTBOX_LOOK_AGE, help, move || looked.age().as_secs_f64());
        let tries = Channel::ALL
            .into_iter()
            .flat_map(|channel| DeliveryResult::ALL.into_iter().map(move |result| (channel, result)));
        let tries = tries.map(|(channel, result)| {
            let counts = self.outbox.counts.clone();
            let labels =
                vec![("channel", channel.as_str().to_owned()), ("result", result.as_str().to_owned())];
            (labels, Box::new(move || counts.of(channel, result)) as Box<dyn Fn() -> u64 + Send + Sync>)
        });
        watch_counters(registry, MESSAGE_TRIES, "Tries to deliver messages", tries);
        let queued = Channel::ALL.into_iter().map(|channel| {
            let levels = self.outbox.levels.clone();
            #[expect(clippy::cast_precision_loss, reason = "no outbox holds 2^53 messages")]
            let read = move || levels.queued(channel) as f64;
            (
                vec![("channel", channel.as_str().to_owned())],
                Box::new(read) as Box<dyn Fn() -> f64 + Send + Sync>,
            )
        });
        watch_gauges(registry, OUTBOX_QUEUED, "Messages that wait in the outbox", queued);
        let oldest = Channel::ALL.into_iter().map(|channel| {
            let (levels, clock) = (self.outbox.levels.clone(), Arc::clone(&outside.clock));
            let read = move || levels.oldest(channel).map_or(0.0, |oldest| age(clock.as_ref(), oldest));
            (
                vec![("channel", channel.as_str().to_owned())],
                Box::new(read) as Box<dyn Fn() -> f64 + Send + Sync>,
            )
        });
        watch_gauges(registry, OUTBOX_OLDEST, "Age of the oldest message that waits in the outbox", oldest);
    }

    pub(super) fn spawn(self, tasks: &TaskTracker, stop: &CancellationToken) {
        tasks.spawn(self.reset_requests.run(stop.clone()));
        tasks.spawn(self.failure_notices.run(stop.clone()));
        tasks.spawn(self.outbox.run(stop.clone()));
    }
}

fn age(clock: &dyn Clock, since: crate::domain::time::Timestamp) -> f64 {
    clock.now().since(since).as_secs_f64()
}
