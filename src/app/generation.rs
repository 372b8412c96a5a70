//! Everything that is made of one configuration, and ends when another one takes its place.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::eid::{self, EidFlows};
use super::flows::{FlowParts, Flows, Known, flows, routes};
use super::lasting::Lasting;
use super::parts::Limiter;
use super::running::Current;
use super::{audit, correspondence, parts};
use crate::config::Config;
use crate::domain::audit::Reuse;
use crate::flows::gate::Gate;
use crate::flows::organizations::Organizations;
use crate::flows::upkeep::FeedCursor;
use crate::grpc::caller::CallerDirectory;
use crate::grpc::client_address::TrustedProxies;
use crate::grpc::deadline::Deadlines;
use crate::grpc::front::{self, Front};
use crate::ports::error::PortError;
use crate::telemetry::watched::{
    FEED_AGE, REFUSALS_DROPPED, REUSE_RECENT_PREVIOUS, REUSE_STALE_LINEAGE, watch_counter, watch_gauge,
};

/// What works beside the calls of one configuration. It ends with the value, if nobody retired it before.
pub(super) struct Generation {
    limiter: Limiter,
    known: Known,
    organizations: Arc<Organizations>,
    /// Attempts that have begun.
    attempts: TaskTracker,
    /// Upkeep, the workers, the writer of refusals.
    background: TaskTracker,
    /// Ends streams.
    drain: DropGuard,
    /// Ends what works in the background.
    stop: DropGuard,
}

/// A generation that works, and answers once requests are handed to its front.
pub(super) struct Made {
    pub(super) generation: Generation,
    pub(super) front: Front,
    /// Metrics whose values live in its flows.
    pub(super) registry: Registry,
}

impl Generation {
    /// Makes it. What is in use `before` goes on where it means the same: counters of limits, and what is known of keys and
    /// ended sessions, so that a store that is away does not keep a caller in who was taken out.
    ///
    /// # Errors
    /// What is wrong with the configuration, its keys or its certificates; or that the store is away, which must be asked
    /// at the start and for other keys. Nothing goes on then.
    pub(super) async fn start(
        config: &Config,
        lasting: &Lasting,
        before: Option<&Current>,
    ) -> anyhow::Result<Made> {
        let (outside, worker_store) = (&lasting.outside, &lasting.worker_store);
        let (attempts, background) = (TaskTracker::new(), TaskTracker::new());
        let (drain, stop) = (lasting.drain.child_token(), CancellationToken::new());
        let ends = [drain.clone(), stop.clone()].map(CancellationToken::drop_guard);
        let mut registry = Registry::default();
        let vault = parts::vault(config)?;
        let limits_before = before.map(|before| (&before.config, &before.generation.limiter));
        let limiter = parts::limiter(config, &vault, lasting, limits_before)?;
        let known_before = before.filter(|before| {
            before.config.issuer == config.issuer && before.config.keys.is_same_as(&config.keys)
        });
        let known = known_before.map_or_else(|| Known::new(config), |before| before.generation.known.clone());
        let gate = Gate::new(Arc::clone(&limiter.decides), Arc::clone(&lasting.hasher) as _);
        let parts = FlowParts {
            store: &lasting.store,
            vault: &vault,
            limiter: Arc::clone(&limiter.decides),
            gate: &gate,
            hasher: &lasting.hasher,
            attempts: &attempts,
            known: &known,
            counts: &lasting.counts,
        };
        let flows = flows(config, outside, &parts);
        let eid = eid::Shared {
            parts: &parts,
            worker_store,
            organizations: &flows.organizations,
            mint: &flows.mint,
            refusals: &flows.refusal_log,
            drain: &drain,
        };
        let eid = EidFlows::new(config, outside, &eid)?;
        let workers = correspondence::Workers::new(
            config,
            outside,
            worker_store,
            &vault,
            &flows,
            &lasting.counts.deliveries,
        )?;

        watch(&mut registry, &flows);
        eid.watch(&mut registry);
        workers.watch(&mut registry, outside);
        let sealer = audit::sealer(outside, worker_store, &vault, &lasting.counts.sealer);
        audit::watch(&mut registry, &sealer.gauges);
        let mut cursor = FeedCursor::default();
        if let Some(before) = before {
            flows.organizations.note_parameters_of(&before.generation.organizations);
        }
        match flows.upkeep.prime(&mut cursor).await {
            Err(PortError::Unavailable { .. }) if known_before.is_some() => {
                tracing::warn!("the store is away: what is known of keys and ended sessions goes on");
            }
            primed => primed.context("reading keys and revocations from the store")?,
        }
        let organizations = Arc::clone(&flows.organizations);
        let front = Front::new(front::Parts {
            routes: routes(
                flows.login,
                flows.session,
                flows.change_password,
                flows.password_reset,
                (Arc::clone(&eid.oidc), Arc::clone(&eid.bankid)),
                &flows.staff,
                config.listen.max_request_bytes,
            ),
            callers: callers(config),
            organizations: flows.organizations,
            duty: flows.staff.duty,
            trusted_proxies: TrustedProxies::new(config.listen.trusted_proxies.iter().copied()),
            deadlines: Deadlines::default(),
            health: lasting.health.clone(),
            reflection: config.listen.reflection,
            access_tokens: Arc::clone(&known.ring) as _,
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
            metrics: lasting.rpcs.clone(),
            tracer: lasting.tracer.clone(),
        })?;
        background.spawn(flows.upkeep.run(cursor, stop.clone()));
        background.spawn(flows.refusals.run(stop.clone()));
        if config.workers.enabled {
            workers.spawn(&background, &stop);
            background.spawn(sealer.run(stop.clone()));
        }
        eid.spawn(&background, &stop);
        let [drain, stop] = ends;
        let generation = Self { limiter, known, organizations, attempts, background, drain, stop };
        Ok(Made { generation, front, registry })
    }

    /// Ends it: streams first, then attempts that have begun, then the rest. No request may be handed to its front any more.
    pub(super) async fn retire(self) {
        drop(self.drain);
        self.attempts.close();
        self.attempts.wait().await;
        drop(self.stop);
        self.background.close();
        self.background.wait().await;
    }
}

/// Metrics whose values live in the flows.
fn watch(registry: &mut Registry, flows: &Flows) {
    let dropped = flows.refusal_log.clone();
    let help = "Events of refused calls that were dropped instead of written to the audit log";
    watch_counter(registry, REFUSALS_DROPPED, help, move || dropped.dropped());
    for (name, reuse) in
        [(REUSE_RECENT_PREVIOUS, Reuse::RecentPrevious), (REUSE_STALE_LINEAGE, Reuse::StaleLineage)]
    {
        let counts = flows.session.reuse.clone();
        let help = "Sessions ended because a replaced refresh token came back";
        watch_counter(registry, name, help, move || counts.of(reuse));
    }
    let feed = flows.upkeep.feed_read.clone();
    let help = "Seconds since this replica read the feed of ended sessions";
    watch_gauge(registry, FEED_AGE, help, move || feed.age().as_secs_f64());
}

fn callers(config: &Config) -> CallerDirectory {
    config.callers.iter().fold(CallerDirectory::default(), |directory, configured| {
        let digests = configured.token_digests.iter().copied();
        directory.with(configured.caller.clone(), digests, configured.subject_names.iter().cloned())
    })
}
