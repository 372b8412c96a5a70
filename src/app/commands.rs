//! What the commands beside `serve` need, joined from the same parts.

use std::io::{BufReader, Read};
use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;

use super::{Outside, eid, parts, traces};
use crate::adapters::access_tokens::JwtKeyring;
use crate::adapters::directory_file::DirectoryFile;
use crate::adapters::revocations::RecentRevocations;
use crate::adapters::store::{SqlStore, StoreMetrics};
use crate::adapters::system::SystemEntropy;
use crate::config::{Config, LimitsBackend, Mail, StoreBackend};
use crate::domain::organization::Organization;
use crate::domain::time::Timestamp;
use crate::flows::audit_verify::AuditVerify;
use crate::flows::directory_import::DirectoryImport;
use crate::flows::outbox::Wake;
use crate::flows::reseal::Reseal;
use crate::flows::signing_keys::SigningKeyFlow;
use crate::flows::staff_accounts::StaffAccounts;
use crate::ports::directory_file::DirectoryRows;
use crate::ports::entropy::Entropy;
use crate::ports::store::StoreHealth as _;

/// The machine's random source.
pub fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

/// Today, UTC.
pub fn today() -> jiff::civil::Date {
    Outside::of_this_machine().clock.now().utc_date()
}

/// Applies pending migrations; their names.
///
/// # Errors
/// If the store is away or a migration fails.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<&'static str>> {
    let store = connect(config).await?;
    let applied = store.migrate().await.context("migrating the store");
    store.close().await;
    applied
}

/// The flow over the keys that sign access tokens.
///
/// # Errors
/// If the store is away.
pub async fn signing_keys(config: &Config) -> anyhow::Result<SigningKeyFlow> {
    let store = connect(config).await?;
    let ring = Arc::new(JwtKeyring::new(config.issuer.clone()));
    Ok(parts::signing_keys(store, parts::vault(config)?, ring, &Outside::of_this_machine()))
}

/// The flow that seals everything anew with the active master key.
///
/// # Errors
/// If the store is away or lacks migrations.
pub async fn reseal(config: &Config) -> anyhow::Result<Reseal> {
    let outside = Outside::of_this_machine();
    let store = connect(config).await?;
    parts::settle_schema(config, &store).await?;
    Ok(Reseal {
        store: Arc::new(store),
        vault: parts::vault(config)?,
        clock: outside.clock,
        entropy: outside.entropy,
    })
}

/// The flow that verifies the audit log.
///
/// # Errors
/// If the store is away.
pub async fn audit_verify(config: &Config) -> anyhow::Result<AuditVerify> {
    let clock = Outside::of_this_machine().clock;
    Ok(AuditVerify { store: Arc::new(connect(config).await?), vault: parts::vault(config)?, clock })
}

/// The flow over accounts of staff, and the time.
///
/// # Errors
/// If the store is away or lacks migrations.
pub async fn staff_accounts(config: &Config) -> anyhow::Result<(StaffAccounts, Timestamp)> {
    let outside = Outside::of_this_machine();
    let store = connect(config).await?;
    parts::settle_schema(config, &store).await?;
    let now = outside.clock.now();
    let flow = StaffAccounts {
        store: Arc::new(store),
        vault: parts::vault(config)?,
        revocations: Arc::new(RecentRevocations::default()),
        sends_text_messages: parts::sends_text_messages(config),
        wake: Wake::default(),
        clock: outside.clock,
        entropy: outside.entropy,
    };
    Ok((flow, now))
}

/// Asks each dependency once; what was found, or why it failed.
pub async fn probe(config: &Config) -> Vec<(String, Result<String, String>)> {
    let (store_name, backend) = match &config.store.backend {
        StoreBackend::Sqlite { .. } => ("store (sqlite)", "SQLite file"),
        StoreBackend::Postgres { .. } => ("store (postgres)", "PostgreSQL"),
    };
    let mut found = vec![(store_name.to_owned(), probe_store(config, backend).await)];
    if matches!(config.limits.backend, LimitsBackend::Redis(_)) {
        let result = parts::probe_redis(config).await.map_err(|error| format!("{error:#}"));
        found.push(("limits (redis)".to_owned(), result));
    }
    if let Some(Mail::Smtp(smtp)) = &config.mail {
        let result = parts::probe_mail(smtp).await.map_err(|error| format!("{error:#}"));
        found.push(("mail (smtp)".to_owned(), result));
    }
    for access in &config.bankid {
        let result = eid::probe_bankid(access).await.map_err(|error| format!("{error:#}"));
        found.push((format!("bankid ({})", access.organization.as_str()), result));
    }
    if let Some(settings) = &config.traces {
        let result = traces::probe(settings).await.map_err(|error| format!("{error:#}"));
        found.push(("traces".to_owned(), result));
    }
    if config.listen.tls.is_some() {
        let metrics = crate::telemetry::ConnectionMetrics::register(&mut Registry::default());
        let places = config.listen.max_connections;
        let settings = parts::grpc_settings(&config.listen, places, &Outside::of_this_machine(), &metrics);
        let result = settings.map(|_| "certificate and key fit".to_owned());
        found.push(("listen.tls".to_owned(), result.map_err(|error| format!("{error:#}"))));
    }
    found
}

async fn probe_store(config: &Config, backend: &str) -> Result<String, String> {
    let metrics = StoreMetrics::register(&mut Registry::default());
    let store =
        SqlStore::connect(&parts::store_config(config), &metrics).await.map_err(|error| error.to_string())?;
    store.ping().await.map_err(|error| error.to_string())?;
    let pending = store.pending_migrations().await.map_err(|error| error.to_string())?;
    store.close().await;
    match (pending.len(), config.store.migrate_on_start) {
        (0, _) => Ok(format!("{backend} answers, the schema is up to date")),
        (count, true) => Ok(format!("{backend} answers, {count} migration(s) will be applied at start")),
        (count, false) => {
            Err(format!("{backend} answers, but lacks {count} migration(s): run `guardian-auth migrate`"))
        }
    }
}

async fn connect(config: &Config) -> anyhow::Result<SqlStore> {
    parts::store(config, &StoreMetrics::register(&mut Registry::default())).await
}

/// The flow that imports directory files.
///
/// # Errors
/// If the store is away or lacks migrations.
pub async fn directory_import(config: &Config) -> anyhow::Result<DirectoryImport> {
    let outside = Outside::of_this_machine();
    let store = connect(config).await?;
    parts::settle_schema(config, &store).await?;
    Ok(DirectoryImport {
        store: Arc::new(store),
        vault: parts::vault(config)?,
        clock: outside.clock,
        entropy: outside.entropy,
        live_parameters: config.hash.parameters,
    })
}

/// The rows of a directory file.
pub fn directory_rows(input: impl Read + Send + 'static) -> Box<dyn DirectoryRows> {
    Box::new(DirectoryFile::new(BufReader::with_capacity(256 * 1024, input)))
}

/// The organization with this short name.
///
/// # Errors
/// If none is configured; the names that are.
pub fn organization<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Organization> {
    config.organizations.iter().find(|one| one.id.as_str() == name).with_context(|| {
        let names: Vec<&str> = config.organizations.iter().map(|one| one.id.as_str()).collect();
        format!("no organization is called {name}; configured are: {}", names.join(", "))
    })
}
