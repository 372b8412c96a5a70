//! Joins the floors: the one place that names concrete adapters. Starts, drains and stops the service.

mod audit;
mod certificates;
mod commands;
mod correspondence;
mod eid;
mod flows;
mod following;
mod generation;
mod lasting;
mod open_files;
#[cfg(feature = "dev")]
mod pages;
mod parts;
mod running;
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

pub use commands::{
    audit_verify, directory_import, directory_rows, entropy, migrate, organization, probe, reseal,
    signing_keys, staff_accounts, today,
};
pub use following::Followed;
use traces::Traces;

use following::{Following, FollowingCounts};
use lasting::{Counts, Fixed, Lasting};
use running::Running;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapters::limiter::LimiterMetrics;
use crate::adapters::store::StoreMetrics;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::config::{Config, first_that_is_no_file};
use crate::grpc::front;
use crate::grpc::health::Health;
use crate::grpc::listener;
use crate::grpc::ops::Ops;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::telemetry::watched::{LOG_LINES_DROPPED, watch_counter};
use crate::telemetry::{ConnectionMetrics, LogSink, RpcMetrics};

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
    grpc: JoinHandle<()>,
    ops: JoinHandle<()>,
    running: Arc<Running>,
    /// Follows the files of the configuration.
    following: TaskTracker,
    following_counts: Arc<FollowingCounts>,
    look_now: Arc<Notify>,
    stop_following: CancellationToken,
    traces: Traces,
}

impl App {
    /// Starts the service; when it returns, the service answers and its readiness says so.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start(config: Config, outside: Outside) -> anyhow::Result<Self> {
        Self::start_logged(config, outside, &LogSink::default()).await
    }

    /// The same, with a metric of what the log dropped.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start_logged(config: Config, outside: Outside, log: &LogSink) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        watch_log(&mut registry, log.clone());
        let background = TaskTracker::new();
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let connections = ConnectionMetrics::register(&mut registry);
        let rpcs = RpcMetrics::register(&mut registry, &front::rpc_names());
        let store_metrics = StoreMetrics::register(&mut registry);

        let (grpc_settings, ops_settings, certificates) = parts::ports(&config, &outside, &connections)?;
        let ops_listener = bind(config.listen.ops, "listen.ops").await?;
        let grpc_listener = bind(config.listen.grpc, "listen.grpc").await?;
        let (ops_address, grpc_address) = (ops_listener.local_addr()?, grpc_listener.local_addr()?);

        let store = parts::store(&config, &store_metrics).await?;
        parts::settle_schema(&config, &store).await?;
        let worker_store = parts::worker_store(&config, &store, &store_metrics).await?;
        let traces = Traces::start(config.traces.as_ref(), &outside, &mut registry)?;
        let hasher = parts::hasher(&config, &outside, &mut registry)?;
        let limiter_metrics = LimiterMetrics::register(&mut registry);
        let following_counts = FollowingCounts::since(outside.clock.as_ref());
        FollowingCounts::watch(&following_counts, &mut registry);
        if let Some(certificates) = certificates {
            certificates.watch(&mut registry);
            background.spawn(certificates.run(stop.clone()));
        }
        let health = Health::starting().await;
        let lasting = Lasting {
            outside,
            store,
            worker_store,
            hasher,
            limiter_metrics,
            rpcs,
            counts: Counts::default(),
            health: health.clone(),
            drain: drain.clone(),
            stop: stop.clone(),
            background,
            tracer: traces.tracer(),
            fixed: Fixed::of(&config),
        };
        let running = Arc::new(Running::start(config, lasting).await?);
        let ops = Arc::new(Ops::new(registry, health.clone()).with_changing(running.metrics.subscribe()));
        let ops = tokio::spawn(listener::serve(ops_listener, ops, ops_settings, stop));
        let fronts = Arc::clone(&running.fronts);
        let grpc = tokio::spawn(listener::serve(grpc_listener, fronts, grpc_settings, drain));
        health.set_ready(true).await;
        Ok(Self {
            grpc_address,
            ops_address,
            grpc,
            ops,
            running,
            following: TaskTracker::new(),
            following_counts,
            look_now: Arc::default(),
            stop_following: CancellationToken::new(),
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

    /// Puts another configuration into use, wholly or not at all. Calls that come in from now on see it, those under way
    /// go on with the one before. Gives the sections that say something else than what runs, and need a restart.
    ///
    /// # Errors
    /// Why it cannot be used; the one before goes on.
    pub async fn reload(&self, config: Config) -> anyhow::Result<Vec<&'static str>> {
        self.running.reload(config).await
    }

    /// Looks at the files of the configuration every 5 s and puts into use what changed in them. If one of them is a pipe,
    /// which cannot be read again, nothing is followed.
    pub fn follow(&self, followed: Followed) {
        if let Some(path) = first_that_is_no_file(&followed.seen) {
            tracing::warn!(
                path = %path.display(),
                "this is no file and cannot be read again: changes of the configuration need a restart"
            );
            return;
        }
        let (running, counts) = (Arc::clone(&self.running), Arc::clone(&self.following_counts));
        let following = Following::new(running, counts, Arc::clone(&self.look_now), followed);
        self.following.spawn(following.run(self.stop_following.clone()));
    }

    /// Looks at them now, and takes what they hold without waiting whether it goes on to change.
    pub fn look_now(&self) {
        self.look_now.notify_one();
    }

    /// Stops in order: not ready → nobody comes any more (`listen.drain_delay`) → no new calls, those in flight end →
    /// attempts end → the rest → their last spans go out. Bounded by `listen.drain_delay`, `listen.drain_timeout`, the
    /// deadlines of the store, and 2 s for the spans.
    pub async fn stop(self) {
        let lasting = &self.running.lasting;
        // Before anything that takes time: those who send calls must hear of it.
        lasting.health.drain().await;
        self.stop_following.cancel();
        self.following.close();
        tokio::join!(self.following.wait(), tokio::time::sleep(lasting.fixed.listen.drain_delay));
        lasting.drain.cancel();
        joined("grpc", self.grpc.await);
        self.running.stop().await;
        lasting.stop.cancel();
        lasting.background.close();
        lasting.background.wait().await;
        joined("ops", self.ops.await);
        lasting.hasher.shutdown().await;
        lasting.worker_store.close().await;
        lasting.store.close().await;
        self.traces.flush().await;
    }
}

/// What is lost of the log.
fn watch_log(registry: &mut Registry, log: LogSink) {
    let help = "Lines of the log that were dropped";
    watch_counter(registry, LOG_LINES_DROPPED, help, move || log.dropped());
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
