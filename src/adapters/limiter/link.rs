//! Keeps one connection to Redis, and knows when to leave Redis alone.

use std::sync::Arc;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::breaker::{Breaker, PROBE_EVERY};
use super::keys::Buckets;
use super::metrics::{ErrorKind, LimiterMetrics};
use super::redis::RedisAddress;
use super::script::{Action, GcraScript, Trouble};

/// Time for name look-up, TCP, TLS and AUTH. More than the budget of a decision, as no decision waits for it longer
/// than its own budget; with the probe after it, an outage is over at most 2 s after Redis is back.
const CONNECT_WITHIN: Duration = Duration::from_millis(250);

/// Between attempts to connect while the breaker still tolerates errors.
const RECONNECT_AFTER: Duration = Duration::from_millis(10);

/// Commands queued for the socket at most; more wait within their budget.
const QUEUE: usize = 1024;

/// Why Redis gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// Not asked: the breaker is open.
    LeftAlone,
    /// Asked in vain; counted in the metrics.
    Failed,
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
    address: RedisAddress,
    script: GcraScript,
    state: watch::Sender<State>,
    breaker: Breaker,
    /// Time for one call, waiting for the connection included.
    budget: Duration,
    metrics: LimiterMetrics,
}

impl Link {
    pub(super) fn new(address: RedisAddress, budget: Duration, metrics: LimiterMetrics) -> Self {
        let state = watch::Sender::new(State::Connecting);
        Self { address, script: GcraScript::new(), state, breaker: Breaker::default(), budget, metrics }
    }

    /// Runs the script within the budget. A call that failed may have been charged nonetheless; that is on the safe
    /// side, and so it is not tried again.
    pub(super) async fn call(&self, action: Action, buckets: &Buckets, now_us: u64) -> Result<u64, Away> {
        let asked_at = Instant::now();
        let deadline = asked_at + self.budget;
        let mut line = self.line(deadline).await?;
        let answer = self.script.call(&mut line.connection, action, buckets, now_us);
        let trouble = match timeout_at(deadline, answer).await {
            Ok(Ok(wait_us)) => {
                self.breaker.succeeded();
                self.metrics.answered_after(asked_at.elapsed());
                return Ok(wait_us);
            }
            Ok(Err(error)) => Trouble::from(error),
            Err(elapsed) => Trouble::from(elapsed),
        };
        self.failed(line.number, &trouble);
        Err(Away::Failed)
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
        if opened {
            self.metrics.redis_is_up(false);
            tracing::warn!(
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
                Ok(connection) => {
                    number += 1;
                    self.breaker.succeeded();
                    self.state.send_replace(State::Up(Line { connection, number }));
                    self.metrics.redis_is_up(true);
                    tracing::info!("Redis decides on limits");
                }
                Err(trouble) => {
                    self.failed(0, &trouble);
                    sleep(RECONNECT_AFTER).await;
                }
            }
        }
    }

    /// A connection over which the script was run once, so that its user's rights, the script and the server's
    /// readiness to write are known to be there.
    async fn connect(&self) -> Result<MultiplexedConnection, Trouble> {
        // The deadlines are ours: one timer for a decision instead of two.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let mut connection = timeout(CONNECT_WITHIN, self.address.connect(&config)).await??;
        timeout(self.budget, self.script.probe(&mut connection)).await??;
        Ok(connection)
    }
}

/// Whether a new connection may do better: after a failover the name leads to another server.
const fn ends_connection(error: ErrorKind) -> bool {
    match error {
        ErrorKind::Connection | ErrorKind::ReadOnly | ErrorKind::Denied => true,
        ErrorKind::Timeout | ErrorKind::Loading | ErrorKind::OutOfMemory | ErrorKind::Other => false,
    }
}
