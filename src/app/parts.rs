//! Concrete adapters from configuration.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::Outside;
use super::certificates::Certificates;
use super::lasting::Lasting;
use super::open_files::{self, OPS_CONNECTIONS};
use crate::adapters::access_tokens::JwtKeyring;
use crate::adapters::argon2::{Argon2Pool, HasherMetrics, PoolSettings};
use crate::adapters::key_vault::{DerivedKeyVault, MasterKey};
use crate::adapters::limiter::{
    BucketKeys, LimiterKey, MemoryLimiter, RedisIdentity, RedisLimiter, RedisLogin, RedisNode, RedisSettings,
    RedisTls, RedisTopology, ResilientLimiter,
};
use crate::adapters::messenger::{
    ElksSender, ElksSettings, FolderSender, Login, Security, SmtpSender, SmtpSettings,
};
use crate::adapters::store::{SqlStore, StoreConfig, StoreMetrics};
use crate::config::{
    self, Config, HostPort, LimitsBackend, Listen, Mail, RedisServers, Smtp, SmtpSecurity, StoreBackend,
};
use crate::domain::secret::Secret;
use crate::flows::outbox::TextQuotas;
use crate::flows::signing_keys::SigningKeyFlow;
use crate::grpc::client_address::TrustedProxies;
use crate::grpc::connection::ConnectionLimits;
use crate::grpc::listener::Settings;
use crate::ports::key_vault::Purpose;
use crate::ports::messenger::{MailSender, TextSender};
use crate::ports::rate_limiter::RateLimiter;
use crate::telemetry::ConnectionMetrics;

/// A store that is away at start-up is asked again for this long: databases and we are often started together.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks for the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn store_config(config: &Config) -> StoreConfig {
    match &config.store.backend {
        StoreBackend::Sqlite { path } => StoreConfig::Sqlite { path: path.clone() },
        StoreBackend::Postgres { url, max_connections } => {
            StoreConfig::Postgres { url: url.copied(), pool_size: *max_connections }
        }
    }
}

/// The store, waited for if it is away.
pub(super) async fn store(config: &Config, metrics: &StoreMetrics) -> anyhow::Result<SqlStore> {
    let wanted = store_config(config);
    let patience = Instant::now() + STORE_PATIENCE;
    loop {
        match SqlStore::connect(&wanted, metrics).await {
            Ok(store) => return Ok(store),
            Err(error @ crate::ports::error::PortError::Unavailable { .. }) if Instant::now() < patience => {
                tracing::warn!(error = %error, "waiting for the store");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            Err(error) => return Err(error).context("connecting to the store"),
        }
    }
}

/// Connections of the workers to PostgreSQL, at most: 4 for requests, for text messages, to count what waits and to chain
/// the audit log; 3 for BankID, for what orders come to and for those who watch orders of other replicas; 8 for mails, each
/// of which would wait for the commits of the others (of more mails under way, most wait for the mail server). They are
/// opened when they are needed, so there is room for all: BankID and a mail server may be configured later.
pub(super) const WORKER_CONNECTIONS: u32 = 4 + 3 + 8;

/// The same store by connections of its own. An embedded database has one writer anyway: there it is the same one.
pub(super) async fn worker_store(
    config: &Config,
    store: &SqlStore,
    metrics: &StoreMetrics,
) -> anyhow::Result<SqlStore> {
    match &config.store.backend {
        StoreBackend::Sqlite { .. } => Ok(store.clone()),
        StoreBackend::Postgres { url, .. } => {
            let own = StoreConfig::Postgres { url: url.copied(), pool_size: WORKER_CONNECTIONS };
            SqlStore::connect(&own, metrics).await.context("connecting the workers to the store")
        }
    }
}

/// Applies pending migrations where `serve` may, and refuses to go on where it may not.
pub(super) async fn settle_schema(config: &Config, store: &SqlStore) -> anyhow::Result<()> {
    if config.store.migrate_on_start {
        for name in store.migrate().await.context("migrating the store")? {
            tracing::info!(migration = name, "applied");
        }
        return Ok(());
    }
    let pending = store.pending_migrations().await.context("looking for pending migrations")?;
    if !pending.is_empty() {
        bail!(
            "the store lacks {} migration(s), the first is {}: run `guardian-auth migrate`, or set store.migrate_on_start",
            pending.len(),
            pending[0]
        );
    }
    Ok(())
}

pub(super) fn vault(config: &Config) -> anyhow::Result<Arc<DerivedKeyVault>> {
    let masters: Vec<MasterKey> = config
        .keys
        .master
        .iter()
        .map(|master| MasterKey { id: master.id.clone(), key: master.key.copied() })
        .collect();
    Ok(Arc::new(DerivedKeyVault::new(&masters)?))
}

pub(super) fn signing_keys(
    store: SqlStore,
    vault: Arc<DerivedKeyVault>,
    ring: Arc<JwtKeyring>,
    outside: &Outside,
) -> SigningKeyFlow {
    SigningKeyFlow { store: Arc::new(store), vault, ring, clock: Arc::clone(&outside.clock) }
}

pub(super) fn hasher(
    config: &Config,
    outside: &Outside,
    registry: &mut Registry,
) -> anyhow::Result<Arc<Argon2Pool>> {
    let settings = PoolSettings {
        parameters: config.hash.parameters,
        workers: NonZeroUsize::new(config.hash.workers).unwrap_or(NonZeroUsize::MIN),
        places: config.hash.queue,
    };
    let metrics = HasherMetrics::register(registry);
    let pool = Argon2Pool::start(settings, Arc::clone(&outside.entropy), metrics);
    Ok(Arc::new(pool.context("starting the hashing threads")?))
}

/// What limits attempts.
#[derive(Clone)]
pub(super) struct Limiter {
    pub(super) decides: Arc<dyn RateLimiter>,
    /// The counters in this process, which outlive what asks Redis.
    local: Arc<MemoryLimiter>,
}

/// The limiter. Counters of the configuration `before` go on where they mean the same.
pub(super) fn limiter(
    config: &Config,
    vault: &DerivedKeyVault,
    lasting: &Lasting,
    before: Option<(&Config, &Limiter)>,
) -> anyhow::Result<Limiter> {
    let Lasting { outside, limiter_metrics: metrics, background: tasks, stop, .. } = lasting;
    let goes_on = before.filter(|(before, _)| {
        before.keys.has_same_first(&config.keys) && before.limits.replicas == config.limits.replicas
    });
    if let Some((before, limiter)) = goes_on
        && before.limits.is_same_as(&config.limits)
    {
        return Ok(limiter.clone());
    }
    let keys = || BucketKeys::new(LimiterKey::new(vault.raw_key(Purpose::LimiterKey)));
    let local = goes_on.map_or_else(
        || {
            let clock = Arc::clone(&outside.clock);
            Arc::new(MemoryLimiter::new(keys(), clock, config.limits.replicas, metrics.clone()))
        },
        |(_, limiter)| Arc::clone(&limiter.local),
    );
    let decides: Arc<dyn RateLimiter> = match &config.limits.backend {
        LimitsBackend::Memory => Arc::clone(&local) as _,
        LimitsBackend::Redis(_) => {
            let shared = RedisLimiter::start(redis_settings(config)?, metrics.clone(), tasks, stop)?;
            Arc::new(ResilientLimiter::new(keys(), shared, Arc::clone(&local), metrics.clone()))
        }
    };
    Ok(Limiter { decides, local })
}

fn redis_settings(config: &Config) -> anyhow::Result<RedisSettings> {
    match &config.limits.backend {
        LimitsBackend::Memory => bail!("limits.backend is not redis"),
        LimitsBackend::Redis(redis) => {
            let mut settings = RedisSettings::new(redis_topology(&redis.servers));
            settings.tls = redis.tls.as_ref().map(redis_tls);
            settings.budget = redis.timeout;
            Ok(settings)
        }
    }
}

fn redis_topology(servers: &RedisServers) -> RedisTopology {
    let nodes = |nodes: &[HostPort]| {
        nodes.iter().map(|node| RedisNode { host: node.host.clone(), port: node.port }).collect()
    };
    let login = |login: &config::RedisLogin| RedisLogin {
        username: login.username.clone(),
        password: login.password.as_ref().map(Secret::copied),
    };
    match servers {
        RedisServers::Standalone { url } => RedisTopology::Standalone { url: url.copied() },
        RedisServers::Sentinel { sentinels, master_name, sentinel_login, login: at_primary } => {
            RedisTopology::Sentinel {
                sentinels: nodes(sentinels),
                master_name: master_name.clone(),
                sentinel_login: login(sentinel_login),
                login: login(at_primary),
            }
        }
        RedisServers::Cluster { nodes: seeds, login: at_nodes } => {
            RedisTopology::Cluster { seeds: nodes(seeds), login: login(at_nodes) }
        }
    }
}

fn redis_tls(tls: &config::RedisTls) -> RedisTls {
    let identity = tls.identity.clone();
    RedisTls {
        ca_file: tls.ca_file.clone(),
        identity: identity.map(|(certificate_file, key_file)| RedisIdentity { certificate_file, key_file }),
    }
}

/// The settings of the gRPC port and of the ops port, and the certificates if the former speaks TLS.
pub(super) fn ports(
    config: &Config,
    outside: &Outside,
    metrics: &ConnectionMetrics,
) -> anyhow::Result<(Settings, Settings, Option<Certificates>)> {
    let max_connections = open_files::connections(config)?;
    let (grpc, certificates) = grpc_settings(&config.listen, max_connections, outside, metrics)?;
    Ok((grpc, ops_settings(&config.listen, outside, metrics), certificates))
}

/// The settings of the gRPC port with so many places for connections, and the certificates if it speaks TLS.
pub(super) fn grpc_settings(
    listen: &Listen,
    max_connections: usize,
    outside: &Outside,
    metrics: &ConnectionMetrics,
) -> anyhow::Result<(Settings, Option<Certificates>)> {
    let certificates = listen.tls.as_ref().map(Certificates::load).transpose()?;
    let tls = certificates.as_ref().map(Certificates::settings);
    metrics.max.set(i64::try_from(max_connections).unwrap_or(i64::MAX));
    let max_connections_per_peer = listen.max_connections_per_peer;
    let ops = ops_settings(listen, outside, metrics);
    Ok((Settings { tls, max_connections, max_connections_per_peer, ..ops }, certificates))
}

/// The settings of the ops port: the same limits for a connection, never TLS, and places of its own, so that probes get in
/// when the gRPC port is full.
fn ops_settings(listen: &Listen, outside: &Outside, metrics: &ConnectionMetrics) -> Settings {
    Settings {
        tls: None,
        connection: ConnectionLimits {
            handshake_timeout: listen.handshake_timeout,
            header_timeout: listen.header_timeout,
            max_streams: listen.max_streams,
            keepalive_interval: listen.keepalive_interval,
            keepalive_timeout: listen.keepalive_timeout,
            answer_timeout: listen.answer_timeout,
            max_age: listen.max_connection_age,
            age_jitter: listen.max_connection_age_jitter,
            age_grace: listen.max_connection_age_grace,
            ..ConnectionLimits::default()
        },
        max_connections: OPS_CONNECTIONS,
        max_connections_per_peer: OPS_CONNECTIONS,
        balancers: TrustedProxies::new(listen.trusted_proxies.iter().chain(&listen.balancers).copied()),
        drain_timeout: listen.drain_timeout,
        entropy: Arc::clone(&outside.entropy),
        metrics: metrics.clone(),
    }
}

/// Whether Redis lets us in and knows what the limiter asks of it.
pub(super) async fn probe_redis(config: &Config) -> anyhow::Result<String> {
    let reached = RedisLimiter::probe(redis_settings(config)?).await?;
    Ok(format!("Redis answers: {reached}"))
}

/// Where mails go.
pub(super) fn mail_sender(config: &Config, outside: &Outside) -> anyhow::Result<Option<Arc<dyn MailSender>>> {
    Ok(match &config.mail {
        None => None,
        Some(Mail::Smtp(smtp)) => Some(Arc::new(smtp_sender(smtp)?)),
        Some(Mail::Folder { path }) => {
            let sender = FolderSender::new(path, Arc::clone(&outside.clock));
            Some(Arc::new(sender.with_context(|| format!("mail.folder: making {}", path.display()))?))
        }
    })
}

fn smtp_sender(smtp: &Smtp) -> anyhow::Result<SmtpSender> {
    let security = match smtp.security {
        SmtpSecurity::StartTls => Security::StartTls,
        SmtpSecurity::Tls => Security::ImplicitTls,
        SmtpSecurity::None => Security::None,
    };
    let authorities = smtp.ca_file.as_deref().map(|path| {
        std::fs::read(path).with_context(|| format!("mail.smtp.ca_file: reading {}", path.display()))
    });
    let login = smtp.credentials.as_ref();
    let settings = SmtpSettings {
        login: login.map(|(user, password)| Login { user: user.clone(), password: password.copied() }),
        authorities_pem: authorities.transpose()?,
        connections: smtp.connections,
        timeout: smtp.timeout,
        ..SmtpSettings::new(smtp.host.clone(), smtp.port, security)
    };
    SmtpSender::new(settings).context("mail.smtp")
}

/// Whether text messages go anywhere.
pub(super) fn sends_text_messages(config: &Config) -> bool {
    config.sms.is_some() || matches!(config.mail, Some(Mail::Folder { .. }))
}

/// Where text messages go, and how many: to the gateway, or beside the mails into a folder.
pub(super) fn text_sender(
    config: &Config,
    outside: &Outside,
) -> anyhow::Result<Option<(Arc<dyn TextSender>, TextQuotas)>> {
    let Some(sms) = &config.sms else {
        let Some(Mail::Folder { path }) = &config.mail else { return Ok(None) };
        let sender = FolderSender::new(path, Arc::clone(&outside.clock));
        let sender = sender.with_context(|| format!("mail.folder: making {}", path.display()))?;
        return Ok(Some((Arc::new(sender), TextQuotas::default())));
    };
    let settings = ElksSettings {
        base_url: sms.base_url.clone(),
        dial_prefixes: sms.countries.clone(),
        timeout: sms.timeout,
        ..ElksSettings::new(sms.user.clone(), sms.password.copied(), sms.from.clone())
    };
    let sender = ElksSender::new(settings).context("sms")?;
    let quotas = TextQuotas { recipient: sms.recipient, organization: sms.organization };
    Ok(Some((Arc::new(sender), quotas)))
}

/// Whether the mail server lets us in.
pub(super) async fn probe_mail(smtp: &Smtp) -> anyhow::Result<String> {
    let took = smtp_sender(smtp)?.probe().await?;
    Ok(format!("the mail server lets us in, within {} ms", took.as_millis()))
}
