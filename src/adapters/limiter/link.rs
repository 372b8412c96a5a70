//! Keeps one connection to one server of Redis, and knows when to leave that server alone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::breaker::{Breaker, PROBE_EVERY};
use super::metrics::{ErrorKind, LimiterMetrics, Presence};
use super::script::{Call, GcraScript, PROBE_KEY, Redirect, Trouble};
use super::sentinel::Sentinels;
use super::settings::RedisNode;

/// Time for name look-up, TCP, TLS and AUTH, and as much for asking Sentinels before. More than the budget of a decision,
/// as no decision waits for it longer than its own budget; with the probe after it, an outage is over at most 2 s after
/// Redis is back.
const CONNECT_WITHIN: Duration = Duration::from_millis(250);

/// The same where a decision may take longer than usual: then so may connecting.
pub(super) fn connect_within(budget: Duration) -> Duration {
    budget.max(CONNECT_WITHIN)
}

/// Between attempts to connect while the breaker still tolerates errors.
const RECONNECT_AFTER: Duration = Duration::from_millis(10);

/// Why Redis gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// Not asked: the breaker is open.
    LeftAlone,
    /// Asked in vain; counted in the metrics.
    Failed,
}

/// Why one server gave no answer.
#[derive(Debug)]
pub(super) enum Miss {
    /// It is away.
    Away(Away),
    /// It lives, and the slot is not on it, or not all of it. Nothing was charged.
    Elsewhere(Redirect),
}

/// How the server is found.
pub(super) enum Way {
    /// By its name or address.
    Fixed(RedisNode),
    /// It is the one that Sentinels name.
    Elected(Sentinels),
}

impl Way {
    /// For the log.
    const fn mode(&self) -> &'static str {
        match self {
            Self::Fixed(_) => "standalone",
            Self::Elected(_) => "sentinel",
        }
    }
}

/// What a link of a cluster has beside.
struct Membership {
    /// Told when this server may not be the right one any more.
    stale: Arc<Notify>,
}

/// A connection with its number in the order of connections.
#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    number: u64,
}

enum State {
    /// Being connected; decisions wait for it within their budget.
    Connecting,
    /// In use.
    Up(Line),
    /// The breaker is open: decisions do not wait.
    Open,
}

impl State {
    fn settled(&self) -> Option<Result<Line, Away>> {
        match self {
            Self::Connecting => None,
            Self::Up(line) => Some(Ok(line.clone())),
            Self::Open => Some(Err(Away::LeftAlone)),
        }
    }

    const fn is_up(&self) -> bool {
        match self {
            Self::Up(_) => true,
            Self::Connecting | Self::Open => false,
        }
    }
}

/// The connection, its breaker and the script that goes over it.
pub(super) struct Link {
    way: Way,
    access: Arc<Access>,
    script: GcraScript,
    /// What a probe charges: in a cluster, in a slot of this server.
    probe_key: String,
    cluster: Option<Membership>,
    state: watch::Sender<State>,
    breaker: Breaker,
    /// Time for one call, waiting for the connection included.
    budget: Duration,
    presence: Presence,
    metrics: LimiterMetrics,
}

impl Link {
    /// A link to the one server that counts.
    pub(super) fn new(way: Way, access: Arc<Access>, budget: Duration, metrics: LimiterMetrics) -> Self {
        Self {
            way,
            access,
            script: GcraScript::new(),
            probe_key: PROBE_KEY.to_owned(),
            cluster: None,
            state: watch::Sender::new(State::Connecting),
            breaker: Breaker::default(),
            budget,
            presence: Presence::new(metrics.clone()),
            metrics,
        }
    }

    /// A link to one primary of a cluster, which tells `stale` of its troubles and probes by a key of its own slots.
    pub(super) fn of_cluster(
        node: RedisNode,
        access: Arc<Access>,
        budget: Duration,
        metrics: LimiterMetrics,
        probe_key: String,
        stale: Arc<Notify>,
    ) -> Self {
        let cluster = Some(Membership { stale });
        Self { probe_key, cluster, ..Self::new(Way::Fixed(node), access, budget, metrics) }
    }

    /// The connection, if there is one now.
    pub(super) fn connection(&self) -> Option<MultiplexedConnection> {
        let line = self.state.borrow().settled()?.ok()?;
        Some(line.connection)
    }

    /// Whether the server answered last.
    pub(super) fn is_up(&self) -> bool {
        self.presence.is_up()
    }

    /// Runs the script within the budget. A call that failed may have been charged nonetheless; that is on the safe
    /// side, and so it is not tried again.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<u64, Away> {
        let asked_at = Instant::now();
        match self.attempt(call, asked_at, asked_at + self.budget).await {
            Ok(wait_us) => Ok(wait_us),
            Err(Miss::Away(away)) => Err(away),
            // Only links of a cluster say so.
            Err(Miss::Elsewhere(_)) => Err(Away::Failed),
        }
    }

    /// The same with a deadline of the caller's, for a question that was asked at this time.
    pub(super) async fn attempt(
        &self,
        call: Call<'_>,
        asked_at: Instant,
        deadline: Instant,
    ) -> Result<u64, Miss> {
        let mut line = self.line(deadline).await.map_err(Miss::Away)?;
        let answer = self.script.call(&mut line.connection, call);
        let mut trouble = match timeout_at(deadline, answer).await {
            Ok(Ok(wait_us)) => {
                self.breaker.succeeded();
                self.metrics.answered_after(asked_at.elapsed());
                return Ok(wait_us);
            }
            Ok(Err(error)) => Trouble::from(error),
            Err(elapsed) => Trouble::from(elapsed),
        };
        if self.cluster.is_some()
            && let Some(redirect) = trouble.redirect.take()
        {
            self.breaker.succeeded();
            return Err(Miss::Elsewhere(redirect));
        }
        self.failed(line.number, &trouble);
        Err(Miss::Away(Away::Failed))
    }

    /// The connection; waits while one is being made.
    async fn line(&self, deadline: Instant) -> Result<Line, Away> {
        if let Some(settled) = self.state.borrow().settled() {
            return settled;
        }
        let mut states = self.state.subscribe();
        match timeout_at(deadline, states.wait_for(|state| state.settled().is_some())).await {
            Ok(state) => state.ok().and_then(|state| state.settled()).unwrap_or(Err(Away::Failed)),
            Err(elapsed) => {
                self.failed(0, &Trouble::from(elapsed));
                Err(Away::Failed)
            }
        }
    }

    /// Counts an error on the connection of this number; 0 = on the way to one.
    fn failed(&self, number: u64, trouble: &Trouble) {
        self.metrics.redis_failed(trouble.kind);
        let mut opened = false;
        self.state.send_if_modified(|state| {
            let is_news = match state {
                // All calls on a lost connection fail; it was lost once.
                State::Connecting => number == 0,
                State::Up(line) => line.number == number,
                State::Open => false,
            };
            if !is_news {
                return false;
            }
            opened = self.breaker.failed();
            if opened {
                *state = State::Open;
            } else if ends_connection(trouble.kind) && state.is_up() {
                *state = State::Connecting;
            } else {
                return false;
            }
            true
        });
        if let Some(cluster) = &self.cluster {
            cluster.stale.notify_one();
        }
        if opened {
            self.presence.set(false);
            tracing::warn!(
                mode = self.mode(),
                node = self.node(),
                kind = ?trouble.kind,
                detail = trouble.detail,
                "Redis is left alone; this replica limits by its own counters"
            );
        }
    }

    /// Connects, and connects again whenever the connection was given up. Runs until `stop`.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_connected()).await;
    }

    async fn keep_connected(&self) {
        let mut states = self.state.subscribe();
        let mut number = 0;
        // The sender lives as long as `self`: waiting never fails.
        while states.wait_for(|state| !state.is_up()).await.is_ok() {
            let was_open = matches!(*self.state.borrow(), State::Open);
            if was_open {
                sleep(PROBE_EVERY).await;
            }
            match self.connect().await {
                Ok((connection, node)) => {
                    number += 1;
                    self.breaker.succeeded();
                    self.state.send_replace(State::Up(Line { connection, number }));
                    self.presence.set(true);
                    tracing::info!(mode = self.mode(), node = %node, "Redis decides on limits");
                }
                Err(trouble) => {
                    self.failed(0, &trouble);
                    sleep(RECONNECT_AFTER).await;
                }
            }
        }
    }

    /// For the log.
    fn mode(&self) -> &'static str {
        if self.cluster.is_some() { "cluster" } else { self.way.mode() }
    }

    /// For the log; none before Sentinels have named one.
    fn node(&self) -> Option<String> {
        match &self.way {
            Way::Fixed(node) => Some(node.to_string()),
            Way::Elected(_) => None,
        }
    }

    /// A connection over which the script was run once, so that its user's rights, the script and the server's
    /// readiness to write are known to be there.
    async fn connect(&self) -> Result<(MultiplexedConnection, RedisNode), Trouble> {
        match &self.way {
            Way::Fixed(node) => self.connect_to(node.clone()).await,
            Way::Elected(sentinels) => {
                sentinels.primary(connect_within(self.budget), |node| self.connect_to(node)).await
            }
        }
        .map_err(Trouble::from)
    }

    /// Connects once, as `check` does: to which server, and how long a decision takes there.
    pub(super) async fn reach(&self) -> Result<(RedisNode, Duration), Trouble> {
        let (mut connection, node) = self.connect().await?;
        let asked_at = Instant::now();
        self.script.probe(&mut connection, &self.probe_key).await?;
        Ok((node, asked_at.elapsed()))
    }

    /// How the server is found.
    pub(super) const fn way(&self) -> &Way {
        &self.way
    }

    async fn connect_to(&self, node: RedisNode) -> RedisResult<(MultiplexedConnection, RedisNode)> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let within = connect_within(self.budget);
        let mut connection = timeout(within, self.access.connect(&node)).await.map_err(late)??;
        let probe = self.script.probe(&mut connection, &self.probe_key);
        timeout(self.budget, probe).await.map_err(late)??;
        Ok((connection, node))
    }
}

/// Whether a new connection may do better: after a fail-over the name, or the Sentinels, lead to another server.
const fn ends_connection(error: ErrorKind) -> bool {
    match error {
        ErrorKind::Connection | ErrorKind::ReadOnly | ErrorKind::Denied => true,
        ErrorKind::Timeout
        | ErrorKind::Loading
        | ErrorKind::OutOfMemory
        | ErrorKind::Moved
        | ErrorKind::ClusterDown
        | ErrorKind::Other => false,
    }
}
