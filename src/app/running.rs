//! The configuration that is in use, and how another one takes its place while calls go on.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::generation::{Generation, Made};
use super::lasting::{Fixed, Lasting, digest_of_login};
use super::parts;
use crate::adapters::store::SqlStore;
use crate::config::Config;
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

/// What is in use.
pub(super) struct Current {
    pub(super) config: Config,
    pub(super) generation: Generation,
    /// Who logs in to the database: not always whom the configuration names.
    login: Option<[u8; 32]>,
}

impl Running {
    /// The first generation.
    ///
    /// # Errors
    /// What kept it from starting.
    pub(super) async fn start(config: Config, lasting: Lasting) -> anyhow::Result<Self> {
        let Made { generation, front, registry } = Generation::start(&config, &lasting, None).await?;
        let login = digest_of_login(&config);
        Ok(Self {
            lasting,
            fronts: Arc::new(Fronts::new(front)),
            metrics: watch::Sender::new(Arc::new(registry)),
            current: Mutex::new(Some(Current { config, generation, login })),
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
        let wanted = Fixed::of(&config);
        let needs_restart = fixed.differing(&wanted);
        config.listen = fixed.listen.clone();
        config.hash = fixed.hash;
        let is_same_database = fixed.is_same_database(&wanted);
        let login = if is_same_database { digest_of_login(&config) } else { before.login };
        let login_changed = login != before.login;
        if login_changed {
            SqlStore::try_login(&parts::store_config(&config)).await.context("store.postgres.url")?;
        }
        let made = Generation::start(&config, &self.lasting, Some(before)).await?;
        let Made { generation, front, registry } = made;
        if login_changed {
            self.log_in_by(&config)?;
        }
        let requests = self.fronts.replace(front);
        self.metrics.send_replace(Arc::new(registry));
        let before = std::mem::replace(before, Current { config, generation, login });
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
