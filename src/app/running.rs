//! The configuration that is in use, and how another one takes its place while calls go on.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::generation::{Generation, Made};
use super::lasting::{Fixed, Lasting};
use super::parts;
use crate::adapters::store::SqlStore;
use crate::config::{Config, Keys, StoreBackend};
use crate::grpc::deadline::Deadlines;
use crate::grpc::fronts::Fronts;

/// A service that answers.
pub(super) struct Running {
    pub(super) lasting: Lasting,
    pub(super) fronts: Arc<Fronts>,
    /// The metrics of the generation in use.
    pub(super) metrics: watch::Sender<Arc<Registry>>,
    /// None when the service stops.
    current: Mutex<Option<Current>>,
    /// Generations that end.
    retiring: TaskTracker,
}

struct Current {
    config: Config,
    generation: Generation,
}

impl Running {
    /// The first generation.
    ///
    /// # Errors
    /// What kept it from starting.
    pub(super) async fn start(config: Config, lasting: Lasting) -> anyhow::Result<Self> {
        let Made { generation, front, registry } = Generation::start(&config, &lasting, None).await?;
        Ok(Self {
            lasting,
            fronts: Arc::new(Fronts::new(front)),
            metrics: watch::Sender::new(Arc::new(registry)),
            current: Mutex::new(Some(Current { config, generation })),
            retiring: TaskTracker::new(),
        })
    }

    /// Puts a configuration into use, wholly or not at all: requests that come in from now on see it, those under way go on
    /// with the one before. Gives the sections that say something else than what runs, and need a restart.
    ///
    /// # Errors
    /// Why it cannot be used; the one before goes on.
    pub(super) async fn reload(&self, mut config: Config) -> anyhow::Result<Vec<&'static str>> {
        let mut current = self.current.lock().await;
        let Some(before) = current.as_mut() else { bail!("the service stops") };
        let fixed = &self.lasting.fixed;
        let needs_restart = fixed.differing(&Fixed::of(&config));
        config.listen = fixed.listen.clone();
        config.hash = fixed.hash;
        let login_changed = !needs_restart.contains(&"store") && is_other_login(&before.config, &config);
        if login_changed {
            SqlStore::try_login(&parts::store_config(&config)).await.context("store.postgres.url")?;
        }
        let goes_on =
            before.config.limits.is_same_as(&config.limits) && is_same_key(&before.config.keys, &config.keys);
        let limiter = goes_on.then(|| Arc::clone(&before.generation.limiter));
        let Made { generation, front, registry } = Generation::start(&config, &self.lasting, limiter).await?;
        if login_changed {
            self.log_in_by(&config)?;
        }
        let requests = self.fronts.replace(front);
        self.metrics.send_replace(Arc::new(registry));
        let before = std::mem::replace(before, Current { config, generation });
        self.retiring.spawn(async move {
            // No call is answered later; who would be keeps nothing of the old generation alive.
            drop(timeout(Deadlines::default().max, requests.wait()).await);
            before.generation.retire().await;
        });
        Ok(needs_restart)
    }

    fn log_in_by(&self, config: &Config) -> anyhow::Result<()> {
        let store = parts::store_config(config);
        self.lasting.store.log_in_by(&store).context("store.postgres.url")?;
        self.lasting.worker_store.log_in_by(&store).context("store.postgres.url")
    }

    /// Ends all generations; the ports must have ended before.
    pub(super) async fn stop(&self) {
        if let Some(current) = self.current.lock().await.take() {
            current.generation.retire().await;
        }
        self.retiring.close();
        self.retiring.wait().await;
    }
}

/// Whether somebody else logs in to the database, or by another password.
fn is_other_login(before: &Config, after: &Config) -> bool {
    match (&before.store.backend, &after.store.backend) {
        (StoreBackend::Postgres { url: old, .. }, StoreBackend::Postgres { url: new, .. }) => {
            old.expose() != new.expose()
        }
        (StoreBackend::Sqlite { .. }, StoreBackend::Sqlite { .. } | StoreBackend::Postgres { .. })
        | (StoreBackend::Postgres { .. }, StoreBackend::Sqlite { .. }) => false,
    }
}

/// Whether the keys of counters, which come from the first master key, stay the same.
fn is_same_key(before: &Keys, after: &Keys) -> bool {
    match (before.master.first(), after.master.first()) {
        (Some(before), Some(after)) => before.id == after.id && before.key.expose() == after.key.expose(),
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}
