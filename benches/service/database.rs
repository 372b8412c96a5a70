//! The database itself, beside the service: single rows by bare `INSERT`, and what waits in it.

use std::time::Duration;

use guardian_auth::adapters::store::StoreConfig;
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::domain::id::{GuardianId, MessageId, ResetRequestId};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::clock::Clock as _;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, PgPool, SqlitePool};

use super::guardians;
use super::service::{Location, ORGANIZATION};

/// The row that `RequestPasswordReset` writes, by the same text.
const INSERT: &str = "INSERT INTO reset_request (id, organization, portal, sealed, key_id, locale, reference_code, \
     caller, address, user_agent, at_ms, due_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";

/// What the service seals, with nonce and tag: the name of the method, a number and an address.
const SEALED_BYTES: usize = 12 + 56 + 16;

/// The tables with what waits.
const WAITING: &str = "SELECT (SELECT COUNT(*) FROM reset_request) + \
     (SELECT COUNT(*) FROM message WHERE state = 'queued')";

/// Connections with the setup of the service's own, by the plain drivers.
#[derive(Clone)]
pub enum Database {
    /// One connection, as the service has for what it writes: writers on several would wait for each other's lock.
    Sqlite(SqlitePool),
    /// As many connections as the service has.
    Postgres(PgPool),
}

macro_rules! insert {
    ($pool:expr, $row:expr) => {{
        let (id, at, number) = $row;
        let row = sqlx::query(INSERT)
            .bind(id)
            .bind(ORGANIZATION)
            .bind("parent")
            .bind([7_u8; SEALED_BYTES].as_slice())
            .bind("bench")
            .bind("sv")
            .bind("7K3MXA4C")
            .bind("sample-portal")
            .bind(guardians::address(number))
            .bind(guardians::USER_AGENT)
            .bind(at);
        row.execute($pool).await?;
    }};
}

impl Database {
    /// Connects.
    pub async fn connect(location: &Location) -> anyhow::Result<Self> {
        // As the service's pools: the setup on each new connection, no question before each use.
        Ok(match location {
            Location::Sqlite(path) => {
                let setup = StoreConfig::Sqlite { path: path.clone() }.writer_setup();
                let options = SqlitePoolOptions::new()
                    .max_connections(1)
                    .test_before_acquire(false)
                    .after_connect(move |connection, _| {
                        Box::pin(async move { connection.execute(sqlx::raw_sql(setup)).await.map(drop) })
                    });
                Self::Sqlite(options.connect_with(SqliteConnectOptions::new().filename(path)).await?)
            }
            Location::Postgres(url) => {
                let pool_size = StoreConfig::DEFAULT_POOL_SIZE;
                let setup = StoreConfig::Postgres { url: Secret::new(url.clone()), pool_size }.writer_setup();
                let options = PgPoolOptions::new()
                    .max_connections(pool_size)
                    .test_before_acquire(false)
                    .after_connect(move |connection, _| {
                        Box::pin(async move { connection.execute(sqlx::raw_sql(setup)).await.map(drop) })
                    });
                Self::Postgres(options.connect(url).await?)
            }
        })
    }

    /// Inserts a request of this guardian, made as the service makes it: an id that begins with the time.
    pub async fn insert_request(&self, guardian: usize) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let id = ResetRequestId::new(now, random()?);
        let row = (id.as_str(), now.as_millis(), guardian);
        match self {
            Self::Sqlite(pool) => insert!(pool, row),
            Self::Postgres(pool) => insert!(pool, row),
        }
        Ok(())
    }

    /// Requests that nobody settled yet, and messages that were not sent yet.
    pub async fn waiting(&self) -> anyhow::Result<i64> {
        Ok(match self {
            Self::Sqlite(pool) => sqlx::query_scalar(WAITING).fetch_one(pool).await?,
            Self::Postgres(pool) => sqlx::query_scalar(WAITING).fetch_one(pool).await?,
        })
    }

    /// Waits until nothing waits.
    pub async fn drained(&self, patience: Duration) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        loop {
            let waiting = self.waiting().await?;
            if waiting == 0 {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < patience, "{waiting} requests and messages wait");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Empties the outbox and fills it with links for as many guardians, one each. PostgreSQL only.
    pub async fn fill_outbox(&self, messages: usize) -> anyhow::Result<()> {
        let Self::Postgres(pool) = self else { anyhow::bail!("only a shared database has replicas") };
        pool.execute(sqlx::raw_sql("TRUNCATE message, reset_token")).await?;
        let text = format!("SELECT id FROM guardian ORDER BY id LIMIT {messages}");
        let guardians: Vec<String> = sqlx::query_scalar(AssertSqlSafe(text)).fetch_all(pool).await?;
        anyhow::ensure!(guardians.len() == messages, "there are {} guardians only", guardians.len());
        anyhow::ensure!(guardians.iter().all(|id| GuardianId::parse(id).is_some()), "no ids of guardians");
        let now = SystemClock.now();
        let ids = guardians.iter().map(|_| Ok(MessageId::new(now, random()?).as_str().to_owned()));
        let ids = ids.collect::<anyhow::Result<Vec<_>>>()?;
        let query = sqlx::query(
            "INSERT INTO message (id, organization, portal, guardian_id, channel, template, locale, reference_code, \
                 idempotency_key, state, attempts, created_ms, due_ms, tried_ms) \
             SELECT id, $3, 'parent', guardian, 'email', 'reset_link', 'sv', '7K3MXA4C', 'reset:' || id, 'queued', 0, \
                 $4, $4, $4 FROM UNNEST($1, $2) AS row (id, guardian)",
        );
        query.bind(ids).bind(guardians).bind(ORGANIZATION).bind(now.as_millis()).execute(pool).await?;
        Ok(())
    }
}

fn random() -> anyhow::Result<[u8; 10]> {
    let mut bytes = [0; 10];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system's random source"))?;
    Ok(bytes)
}
