//! The store on SQL: one body of code and one text a statement for SQLite and PostgreSQL.
//!
//! A port method takes one `unit::Unit`: a connection with a deadline. On SQLite writers take turns on one
//! connection, which costs less than waiting for each other's lock inside the database.

mod act;
mod activating;
mod audit;
mod audit_chain;
mod audit_events;
mod bearing;
mod bind;
mod bulk;
mod change_password;
mod child_links;
mod config;
mod contracts;
mod data_subject;
mod dialect;
mod directory_import;
mod duplicate_children;
mod duplicates;
mod eid_login;
mod erase;
mod error;
mod fallback_credential;
mod guardian;
mod guardian_locks;
mod guardian_search;
mod held;
mod identifiers;
mod issuing;
mod login_bankid;
mod login_oidc;
mod login_password;
mod merge;
mod merge_accounts;
mod merge_children;
mod merge_journal;
mod merge_links;
mod merge_undo;
mod message_budget;
mod metrics;
mod migrations;
mod name_parts;
mod outbox;
mod password_reset;
mod reseal;
mod reset_candidates;
mod reset_tokens;
mod row;
mod session;
mod signing_keys;
mod staff_accounts;
mod staff_changes;
mod statement;
mod unit;

pub use config::{SQLITE_CONNECTIONS, StoreConfig};
pub use metrics::StoreMetrics;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection, Executor};

use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::StoreHealth;

use bind::bind;
use config::{ACQUIRE_TIMEOUT, BATCH_DEADLINE, CALL_DEADLINE, SQLITE_READERS, UNTESTED_IDLE};
use dialect::{Dialect, READER_SETUP, WRITER_SETUP};
use error::port_error;
use statement::Statement;
use unit::Unit;

const PING: Statement = Statement::new("ping", "SELECT 1");

/// Waits for whoever holds the name and keeps it until the end of the transaction: also where there is no row to lock
/// yet. On SQLite the transaction excludes other writers anyway.
const TAKE_LOCK: Statement = Statement::new(
    "take_named_lock",
    "INSERT INTO named_lock (name, taken_ms) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET taken_ms = excluded.taken_ms",
);

/// The store. Clones share their connections.
#[derive(Clone, Debug)]
pub struct SqlStore {
    reader: AnyPool,
    writer: AnyPool,
    dialect: Dialect,
    metrics: StoreMetrics,
}

impl SqlStore {
    /// Opens the connections; the database must answer. It may have migrations pending.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if the database does not answer or does not let us in; [`PortError::Corrupt`] if
    /// the address is not one.
    pub async fn connect(config: &StoreConfig, metrics: &StoreMetrics) -> Result<Self, PortError> {
        sqlx::any::install_default_drivers();
        let dialect = config.dialect();
        let options = config.connect_options().map_err(|error| port_error("connect", &error))?;
        let store = match config {
            StoreConfig::Sqlite { .. } => {
                // The writer first: it makes the file and chooses the journal.
                let writer = pool(1, WRITER_SETUP.of(dialect), options.clone()).await?;
                let reader = pool(SQLITE_READERS, READER_SETUP.of(dialect), options).await?;
                metrics.watch("read", &reader);
                metrics.watch("write", &writer);
                Self { reader, writer, dialect, metrics: metrics.clone() }
            }
            StoreConfig::Postgres { pool_size, .. } => {
                let both = pool((*pool_size).max(1), WRITER_SETUP.of(dialect), options).await?;
                metrics.watch("all", &both);
                Self { reader: both.clone(), writer: both, dialect, metrics: metrics.clone() }
            }
        };
        Ok(store)
    }

    /// Whether the database lets in who is configured.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn try_login(config: &StoreConfig) -> Result<(), PortError> {
        sqlx::any::install_default_drivers();
        let options = config.connect_options().map_err(|error| port_error("connect", &error))?;
        let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, AnyConnection::connect_with(&options)).await;
        let connection = connecting.map_err(|_| error::unavailable("connect", "no connection in time"))?;
        connection.map_err(|error| port_error("connect", &error))?.close().await.ok();
        Ok(())
    }

    /// Connections made from now on log in as configured here; those that are open go on until their age (30 minutes).
    ///
    /// # Errors
    /// [`PortError::Corrupt`] if the address is not one.
    pub fn log_in_by(&self, config: &StoreConfig) -> Result<(), PortError> {
        let options = config.connect_options().map_err(|error| port_error("connect", &error))?;
        self.reader.set_connect_options(options.clone());
        self.writer.set_connect_options(options);
        Ok(())
    }

    /// Waits for calls under way and closes all connections.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A connection for reading.
    async fn read(&self) -> Result<Unit, PortError> {
        Unit::take(&self.reader, self.dialect, &self.metrics, CALL_DEADLINE).await
    }

    /// A connection for one statement that writes.
    async fn write_once(&self) -> Result<Unit, PortError> {
        Unit::take(&self.writer, self.dialect, &self.metrics, CALL_DEADLINE).await
    }

    /// A transaction that writes.
    async fn write(&self) -> Result<Unit, PortError> {
        self.write_once().await?.begin().await
    }

    /// A transaction that writes much.
    async fn write_batch(&self) -> Result<Unit, PortError> {
        Unit::take(&self.writer, self.dialect, &self.metrics, BATCH_DEADLINE).await?.begin().await
    }
}

async fn pool(size: u32, setup: &'static str, options: AnyConnectOptions) -> Result<AnyPool, PortError> {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A server that was promoted, or a certificate that was renewed, is found within this time.
        .max_lifetime(Duration::from_mins(30))
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for >= UNTESTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(setup)).await.map(|_| ()) })
        })
        .connect_with(options)
        .await
        .map_err(|error| port_error("connect", &error))
}

/// Takes a turn in a transaction.
async fn take_lock(unit: &mut Unit, name: &str, at: Timestamp) -> Result<(), PortError> {
    unit.execute(&TAKE_LOCK, bind![name, at]).await.map(|_| ())
}

#[async_trait]
impl StoreHealth for SqlStore {
    async fn ping(&self) -> Result<(), PortError> {
        self.read().await?.rows(&PING, bind![]).await.map(|_| ())
    }
}
