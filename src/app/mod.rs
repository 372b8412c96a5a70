//! Joins the floors: the one place that names concrete adapters. Starts, drains and stops the service.

mod audit;
mod certificates;
mod commands;
mod correspondence;
mod eid;
mod flows;
#[cfg(feature = "dev")]
mod pages;
mod parts;
#[cfg(feature = "dev")]
mod simulated_eids;
mod staff;
mod traces;

#[cfg(feature = "dev")]
pub use crate::simulators::activate_sample_staff;
#[cfg(feature = "dev")]
pub use pages::pages;
#[cfg(feature = "dev")]
pub use simulated_eids::{EidListeners, SimulatedEids};

use eid::EidFlows;
use flows::{FlowParts, Flows, flows, routes};
use traces::Traces;

pub use commands::{
    audit_verify, directory_import, directory_rows, entropy, migrate, organization, probe, reseal,
    signing_keys, staff_accounts, today,
};

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapters::argon2::Argon2Pool;
use crate::adapters::store::{SqlStore, StoreMetrics};
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::config::Config;
use crate::domain::audit::Reuse;
use crate::flows::audit_sealer::SealerGauges;
use crate::flows::gate::Gate;
use crate::flows::upkeep::FeedCursor;
use crate::grpc::caller::CallerDirectory;
use crate::grpc::client_address::TrustedProxies;
use crate::grpc::deadline::Deadlines;
use crate::grpc::front::{self, Front};
use crate::grpc::health::Health;
use crate::grpc::listener;
use crate::grpc::ops::Ops;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::telemetry::watched::{
    FEED_AGE, REFUSALS_DROPPED, REUSE_RECENT_PREVIOUS, REUSE_STALE_LINEAGE, watch_counter, watch_gauge,
};
use crate::telemetry::{ConnectionMetrics, RpcMetrics};

/// What the service takes from outside of itself; tests give their own.
#[derive(Clone)]
pub struct Outside {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Outside {
    /// The machine's clock and random source.
    pub fn of_this_machine() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}

/// A service that runs.
pub struct App {
    grpc_address: SocketAddr,
    ops_address: SocketAddr,
    health: Health,
    /// The gRPC port accepts and answers until this is cancelled.
    drain: CancellationToken,
    /// Everything that works beside the calls goes on until this is cancelled.
    stop: CancellationToken,
    grpc: JoinHandle<()>,
    ops: JoinHandle<()>,
    /// Attempts that have begun.
    attempts: TaskTracker,
    /// Upkeep, the limiter's tasks, the writer of refusals.
    background: TaskTracker,
    hasher: Arc<Argon2Pool>,
    store: SqlStore,
    /// The same store by connections of its own: mails that wait must not keep logins waiting.
    worker_store: SqlStore,
    traces: Traces,
}

impl App {
    /// Starts the service; when it returns, the service answers and its readiness says so.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start(config: Config, outside: Outside) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        let (attempts, background) = (TaskTracker::new(), TaskTracker::new());
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let connections = ConnectionMetrics::register(&mut registry);
        let rpcs = RpcMetrics::register(&mut registry, &front::rpc_names());
        let store_metrics = StoreMetrics::register(&mut registry);

        let (grpc_settings, certificates) = parts::grpc_settings(&config.listen, &outside, &connections)?;
        let ops_settings = parts::ops_settings(&config.listen, &outside, &connections);
        let ops_listener = bind(config.listen.ops, "listen.ops").await?;
        let grpc_listener = bind(config.listen.grpc, "listen.grpc").await?;
        let (ops_address, grpc_address) = (ops_listener.local_addr()?, grpc_listener.local_addr()?);

        let store = parts::store(&config, &store_metrics).await?;
        parts::settle_schema(&config, &store).await?;
        let worker_store = parts::worker_store(&config, &store, &store_metrics).await?;
        let vault = parts::vault(&config)?;
        let traces = Traces::start(config.traces.as_ref(), &outside, &mut registry)?;
        let hasher = parts::hasher(&config, &outside, &mut registry)?;
        let limiter = parts::limiter(&config, &vault, &outside, &mut registry, &background, &stop)?;
        let gate = Gate::new(Arc::clone(&limiter), Arc::clone(&hasher) as _);
        let parts = FlowParts {
            store: &store,
            vault: &vault,
            limiter,
            gate: &gate,
            hasher: &hasher,
            attempts: &attempts,
        };
        let flows = flows(&config, &outside, &parts);
        let eid = eid::Shared {
            parts: &parts,
            worker_store: &worker_store,
            organizations: &flows.organizations,
            mint: &flows.mint,
            refusals: &flows.refusal_log,
            drain: &drain,
        };
        let eid = EidFlows::new(&config, &outside, &eid)?;
        let workers = correspondence::Workers::new(&config, &outside, &worker_store, &vault, &flows)?;

        let sealer = audit::sealer(&outside, &worker_store, &vault);
        watch(&mut registry, &flows, &eid, &sealer.gauges);
        if let Some(certificates) = certificates {
            certificates.watch(&mut registry);
            background.spawn(certificates.run(stop.clone()));
        }
        workers.watch(&mut registry, &outside);
        let mut cursor = FeedCursor::default();
        flows.upkeep.prime(&mut cursor).await.context("reading keys and revocations from the store")?;
        background.spawn(flows.upkeep.run(cursor, stop.clone()));
        background.spawn(flows.refusals.run(stop.clone()));
        if config.workers.enabled {
            workers.spawn(&background, &stop);
            background.spawn(sealer.run(stop.clone()));
        }

        let health = Health::starting().await;
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
            callers: callers(&config),
            organizations: flows.organizations,
            duty: flows.staff.duty,
            trusted_proxies: TrustedProxies::new(config.listen.trusted_proxies.iter().copied()),
            deadlines: Deadlines::default(),
            health: health.clone(),
            reflection: config.listen.reflection,
            access_tokens: flows.ring,
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
            metrics: rpcs,
            tracer: traces.tracer(),
        })?;
        eid.spawn(&background, &stop);
        let ops = Arc::new(Ops::new(registry, health.clone()));
        let ops = tokio::spawn(listener::serve(ops_listener, ops, ops_settings, stop.clone()));
        let grpc =
            tokio::spawn(listener::serve(grpc_listener, Arc::new(front), grpc_settings, drain.clone()));
        health.set_ready(true).await;
        Ok(Self {
            grpc_address,
            ops_address,
            health,
            drain,
            stop,
            grpc,
            ops,
            attempts,
            background,
            hasher,
            store,
            worker_store,
            traces,
        })
    }

    /// Where gRPC, gRPC-Web and JWKS are served.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where health and metrics are served.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Stops in order: not ready → no new calls, those in flight end → attempts end → the rest → their last spans go out.
    /// Bounded by `listen.drain_timeout`, the deadlines of the store, and 2 s for the spans.
    pub async fn stop(self) {
        self.health.drain().await;
        self.drain.cancel();
        joined("grpc", self.grpc.await);
        self.attempts.close();
        self.attempts.wait().await;
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
        joined("ops", self.ops.await);
        self.hasher.shutdown().await;
        self.worker_store.close().await;
        self.store.close().await;
        self.traces.flush().await;
    }
}

/// Metrics whose values live in the flows.
fn watch(registry: &mut Registry, flows: &Flows, eid: &EidFlows, sealer: &SealerGauges) {
    eid.watch(registry);
    audit::watch(registry, sealer);
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

fn joined(port: &str, result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        tracing::error!(port, error = %error, "a port ended badly");
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: {address} cannot be listened on; is something else using it?"))
}

fn callers(config: &Config) -> CallerDirectory {
    config.callers.iter().fold(CallerDirectory::default(), |directory, configured| {
        let digests = configured.token_digests.iter().copied();
        directory.with(configured.caller.clone(), digests, configured.subject_names.iter().cloned())
    })
}
