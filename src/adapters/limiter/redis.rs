//! The limiter in Redis: counters shared by all replicas, one script and one round trip a decision.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisResult, TlsCertificates};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::domain::secret::Secret;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;

use super::keys::Buckets;
use super::link::{Away, Link};
use super::metrics::LimiterMetrics;
use super::script::{Action, GcraScript};
use super::trace::traced;

/// A decision takes no longer than this, or is made from local counters.
pub const DECISION_BUDGET: Duration = Duration::from_millis(50);

/// Give-backs waiting to be sent at most; at 100 right passwords a second, ten seconds' worth.
const GIVE_BACK_QUEUE: usize = 1024;

/// Longest wait of `check` for Redis.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Give-backs sent together.
const GIVE_BACK_BATCH: usize = 64;

/// How the Redis of an installation is found.
#[derive(Debug)]
pub enum RedisTopology {
    /// One server, or a name that leads to the primary.
    Standalone {
        /// `redis://user:password@host:port/0`, or `rediss://…` for TLS.
        url: Secret<String>,
    },
}

/// Whose clock counts.
pub enum RedisTime {
    /// The clock of Redis: all replicas see the same time.
    Server,
    /// A clock of the caller, for tests.
    Clock(Arc<dyn Clock>),
}

/// What the limiter needs to know of Redis.
pub struct RedisSettings {
    /// Where it is.
    pub topology: RedisTopology,
    /// Certificates, in PEM, that the server's is checked against; `None`: those of the system.
    pub root_certificates_pem: Option<Vec<u8>>,
    /// Time for one decision, reconnecting included; [`DECISION_BUDGET`].
    pub budget: Duration,
    /// Whose clock counts; [`RedisTime::Server`].
    pub time: RedisTime,
}

impl RedisSettings {
    /// The defaults for this topology.
    pub const fn new(topology: RedisTopology) -> Self {
        Self { topology, root_certificates_pem: None, budget: DECISION_BUDGET, time: RedisTime::Server }
    }
}

/// The address of Redis cannot be used. The text is without credentials.
#[derive(Debug, thiserror::Error)]
#[error("the address of Redis cannot be used: {0}")]
pub struct InvalidRedisAddress(&'static str);

/// Makes connections.
pub(super) enum RedisAddress {
    Standalone(Client),
}

impl RedisAddress {
    fn new(
        topology: &RedisTopology,
        root_certificates: Option<Vec<u8>>,
    ) -> Result<Self, InvalidRedisAddress> {
        match topology {
            RedisTopology::Standalone { url } => {
                client(url.expose(), root_certificates).map(Self::Standalone).map_err(|_error| {
                    // The error of the library may repeat the address with its password.
                    InvalidRedisAddress("expected redis:// or rediss:// and readable certificates")
                })
            }
        }
    }

    pub(super) async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        match self {
            Self::Standalone(client) => client.get_multiplexed_async_connection_with_config(config).await,
        }
    }
}

fn client(url: &str, root_certificates: Option<Vec<u8>>) -> RedisResult<Client> {
    let address = url.into_connection_info()?;
    // The ACL user may not name its client library.
    let login = address.redis_settings().clone().set_skip_set_lib_name();
    // Without this, the kernel holds back a command until the one before it is acknowledged.
    let tcp = address.tcp_settings().clone().set_nodelay(true);
    let address = address.set_redis_settings(login).set_tcp_settings(tcp);
    match root_certificates {
        None => Client::open(address),
        root_cert => Client::build_with_tls(address, TlsCertificates { client_tls: None, root_cert }),
    }
}

/// What Redis decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Refused { retry_after: Duration },
}

/// Counters in Redis. It may have no answer: `ResilientLimiter` always has one.
pub struct RedisLimiter {
    desk: Arc<Desk>,
    give_backs: mpsc::Sender<Buckets>,
    metrics: LimiterMetrics,
    /// Ends the tasks with the limiter, if nobody did before.
    _end: DropGuard,
}

struct Desk {
    link: Arc<Link>,
    time: RedisTime,
}

impl RedisLimiter {
    /// Starts two tasks, which connect and send give-backs. Does not wait for Redis and does not need it.
    ///
    /// The tasks end on `stop`. Cancel it when the last attempt is decided: what is queued by then is still given
    /// back, later give-backs are dropped.
    ///
    /// # Errors
    /// If the address or the certificates cannot be read.
    pub fn start(
        settings: RedisSettings,
        metrics: LimiterMetrics,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, InvalidRedisAddress> {
        let address = RedisAddress::new(&settings.topology, settings.root_certificates_pem)?;
        let link = Arc::new(Link::new(address, settings.budget, metrics.clone()));
        let stop = stop.child_token();
        tasks.spawn(Arc::clone(&link).keep(stop.clone()));
        let desk = Arc::new(Desk { link, time: settings.time });
        let (give_backs, queue) = mpsc::channel(GIVE_BACK_QUEUE);
        tasks.spawn(send_give_backs(Arc::clone(&desk), queue, stop.clone(), metrics.clone()));
        Ok(Self { desk, give_backs, metrics, _end: stop.drop_guard() })
    }

    /// Asks Redis once, as `check` does: connects, loads the script and runs it. How long the run took.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] with what Redis said; [`PortError::Corrupt`] if the address cannot be read.
    pub async fn probe(settings: RedisSettings) -> Result<Duration, PortError> {
        let away = |detail: String| PortError::Unavailable { dependency: "redis", detail };
        let address = RedisAddress::new(&settings.topology, settings.root_certificates_pem)
            .map_err(|error| PortError::Corrupt(error.to_string()))?;
        let ask = async {
            let mut connection = address.connect(&AsyncConnectionConfig::new()).await?;
            let script = GcraScript::new();
            script.probe(&mut connection).await?;
            let before = Instant::now();
            script.probe(&mut connection).await?;
            RedisResult::Ok(before.elapsed())
        };
        match timeout(PROBE_PATIENCE, ask).await {
            Ok(Ok(took)) => Ok(took),
            // The kind and code of the library's error hold no address and no credentials.
            Ok(Err(error)) => Err(away(error.category().to_owned())),
            Err(_) => Err(away(format!("no answer in {} s", PROBE_PATIENCE.as_secs()))),
        }
    }

    /// Charges all buckets or none; one round trip.
    pub(super) async fn charge(&self, buckets: &Buckets) -> Result<Verdict, Away> {
        match traced(self.desk.call(Action::Charge, buckets)).await? {
            0 => Ok(Verdict::Admitted),
            wait_us => Ok(Verdict::Refused { retry_after: Duration::from_micros(wait_us) }),
        }
    }

    /// Queues the give-back of one charge off each bucket. It is sent at most once.
    pub(super) fn refund(&self, buckets: Buckets) {
        if self.give_backs.try_send(buckets).is_err() {
            self.metrics.give_back_dropped();
        }
    }
}

impl Desk {
    async fn call(&self, action: Action, buckets: &Buckets) -> Result<u64, Away> {
        let now_us = match &self.time {
            RedisTime::Server => 0,
            RedisTime::Clock(clock) => u64::try_from(clock.now().as_millis()).unwrap_or(0) * 1000,
        };
        self.link.call(action, buckets, now_us).await
    }
}

async fn send_give_backs(
    desk: Arc<Desk>,
    mut queue: mpsc::Receiver<Buckets>,
    stop: CancellationToken,
    metrics: LimiterMetrics,
) {
    let mut batch = Vec::with_capacity(GIVE_BACK_BATCH);
    loop {
        // Nothing is received when it is stopped first: what is queued stays for the next turn.
        let received = stop.run_until_cancelled(queue.recv_many(&mut batch, GIVE_BACK_BATCH)).await;
        if received.is_none() {
            queue.close();
            queue.recv_many(&mut batch, GIVE_BACK_QUEUE).await;
        }
        let calls = batch.iter().map(|buckets| desk.call(Action::GiveBack, buckets));
        for answer in join_all(calls).await {
            if answer.is_err() {
                metrics.give_back_dropped();
            }
        }
        batch.clear();
        if queue.is_closed() && queue.is_empty() {
            return;
        }
    }
}
