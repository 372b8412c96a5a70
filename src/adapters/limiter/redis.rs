//! The limiter in Redis: counters shared by all replicas, one script and one round trip a decision.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::ports::error::PortError;

use super::access::Access;
use super::cluster::Cluster;
use super::keys::Buckets;
use super::link::{Away, Link, Way};
use super::metrics::LimiterMetrics;
use super::script::{Action, Call, Trouble};
use super::sentinel::Sentinels;
use super::settings::{InvalidRedisSettings, RedisNode, RedisSettings, RedisTime, RedisTls, RedisTopology};
use super::trace::traced;

/// Give-backs waiting to be sent at most; at 100 right passwords a second, ten seconds' worth.
const GIVE_BACK_QUEUE: usize = 1024;

/// Longest wait of `check` for Redis.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Give-backs sent together.
const GIVE_BACK_BATCH: usize = 64;

/// Where the server is that counts for an organization.
enum Route {
    /// There is one.
    One(Arc<Link>),
    /// It depends on the organization.
    Cluster(Arc<Cluster>),
}

impl Route {
    fn new(
        topology: RedisTopology,
        tls: Option<RedisTls>,
        budget: Duration,
        metrics: LimiterMetrics,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, InvalidRedisSettings> {
        let nobody = || InvalidRedisSettings("no server is named".to_owned());
        match topology {
            RedisTopology::Standalone { url } => {
                let (node, access) = Access::by_url(&url, tls)?;
                access.check()?;
                Ok(Self::One(Arc::new(Link::new(Way::Fixed(node), Arc::new(access), budget, metrics))))
            }
            RedisTopology::Sentinel { sentinels, master_name, sentinel_login, login } => {
                let access = Access::new(&login, tls.clone());
                access.check()?;
                if sentinels.is_empty() {
                    return Err(nobody());
                }
                let sentinels = Sentinels::new(sentinels, master_name, Access::new(&sentinel_login, tls));
                let link = Link::new(Way::Elected(sentinels), Arc::new(access), budget, metrics);
                Ok(Self::One(Arc::new(link)))
            }
            RedisTopology::Cluster { seeds, login } => {
                let access = Access::new(&login, tls);
                access.check()?;
                if seeds.is_empty() {
                    return Err(nobody());
                }
                let (tasks, stop) = (tasks.clone(), stop.clone());
                Ok(Self::Cluster(Arc::new(Cluster::new(seeds, access, budget, metrics, tasks, stop))))
            }
        }
    }

    /// Connects once to every server that counts.
    async fn reach(&self) -> Result<Reached, Trouble> {
        match self {
            Self::One(link) => {
                let (node, took) = link.reach().await?;
                Ok(match link.way() {
                    Way::Fixed(_) => Reached::Standalone { took },
                    Way::Elected(sentinels) => {
                        let (answering, sentinels) = sentinels.answering(PROBE_PATIENCE / 4).await;
                        Reached::Sentinel { took, primary: node, answering, sentinels }
                    }
                })
            }
            Self::Cluster(cluster) => {
                let (primaries, took) = cluster.reach_all().await?;
                Ok(Reached::Cluster { took, primaries })
            }
        }
    }
}

/// What was found where Redis is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// One server.
    Standalone {
        /// Time of one decision.
        took: Duration,
    },
    /// The primary of a set.
    Sentinel {
        /// Time of one decision.
        took: Duration,
        /// The primary.
        primary: RedisNode,
        /// How many of the Sentinels name a primary.
        answering: usize,
        /// How many there are.
        sentinels: usize,
    },
    /// All primaries of a cluster.
    Cluster {
        /// Time of the longest decision.
        took: Duration,
        /// How many there are.
        primaries: usize,
    },
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone { took } => write!(f, "standalone, a decision in {} ms", took.as_millis()),
            Self::Sentinel { took, primary, answering, sentinels } => write!(
                f,
                "sentinel, primary {primary}, a decision in {} ms; {answering} of {sentinels} Sentinels answer",
                took.as_millis()
            ),
            Self::Cluster { took, primaries } => {
                write!(f, "cluster of {primaries} primaries, a decision in {} ms", took.as_millis())
            }
        }
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
    route: Route,
    time: RedisTime,
}

impl RedisLimiter {
    /// Starts tasks, which connect and send give-backs. Does not wait for Redis and does not need it.
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
    ) -> Result<Self, InvalidRedisSettings> {
        let stop = stop.child_token();
        let RedisSettings { topology, tls, budget, time } = settings;
        let route = Route::new(topology, tls, budget, metrics.clone(), tasks, &stop)?;
        match &route {
            Route::One(link) => drop(tasks.spawn(Arc::clone(link).keep(stop.clone()))),
            Route::Cluster(cluster) => drop(tasks.spawn(Arc::clone(cluster).keep())),
        }
        let desk = Arc::new(Desk { route, time });
        let (give_backs, queue) = mpsc::channel(GIVE_BACK_QUEUE);
        tasks.spawn(send_give_backs(Arc::clone(&desk), queue, stop.clone(), metrics.clone()));
        Ok(Self { desk, give_backs, metrics, _end: stop.drop_guard() })
    }

    /// Asks Redis once, as `check` does: finds every server that counts, connects, loads the script and runs it.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] with what Redis said; [`PortError::Corrupt`] if the settings cannot be used.
    pub async fn probe(settings: RedisSettings) -> Result<Reached, PortError> {
        let away = |detail: String| PortError::Unavailable { dependency: "redis", detail };
        let RedisSettings { topology, tls, budget, .. } = settings;
        let (metrics, tasks) = (LimiterMetrics::register(&mut Registry::default()), TaskTracker::new());
        // A decision may wait for less: this is to find out whether it would.
        let budget = budget.max(PROBE_PATIENCE / 4);
        let route = Route::new(topology, tls, budget, metrics, &tasks, &CancellationToken::new())
            .map_err(|error| PortError::Corrupt(error.to_string()))?;
        match timeout(PROBE_PATIENCE, route.reach()).await {
            Ok(Ok(reached)) => Ok(reached),
            Ok(Err(trouble)) => Err(away(trouble.detail)),
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
        let call = Call { action, buckets, now_us, asking: false };
        match &self.route {
            Route::One(link) => link.call(call).await,
            Route::Cluster(cluster) => cluster.call(call).await,
        }
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
