//! Calls `gcra.lua` by its digest: one round trip, and one more on a server that does not know the script yet.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind as RedisErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::error::Elapsed;

use super::gcra::Rate;
use super::keys::Buckets;
use super::metrics::ErrorKind;
use super::settings::RedisNode;

const SOURCE: &str = include_str!("gcra.lua");

/// Charged and checked by probes: proves that the server runs the script and takes writes. It has not the form of any
/// bucket's key.
pub(super) const PROBE_KEY: &str = "guardian:{probe}:probe";

/// What to do with the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Charge all or none.
    Charge,
    /// Take one charge off each that is still there.
    GiveBack,
}

impl Action {
    const fn argument(self) -> &'static str {
        match self {
            Self::Charge => "1",
            Self::GiveBack => "-1",
        }
    }
}

/// What a server is asked.
#[derive(Clone, Copy)]
pub(super) struct Call<'b> {
    pub(super) action: Action,
    pub(super) buckets: &'b Buckets,
    /// µs since the Unix epoch; 0 = the server's own clock.
    pub(super) now_us: u64,
    /// Whether the server is asked for a slot that is on its way to it.
    pub(super) asking: bool,
}

/// The script by its digest.
#[derive(Debug)]
pub(super) struct GcraScript {
    sha1: String,
}

impl GcraScript {
    pub(super) fn new() -> Self {
        Self { sha1: redis::Script::new(SOURCE).get_hash().to_owned() }
    }

    /// Runs the script over the buckets. Answers 0, or the µs until all buckets have room.
    pub(super) async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        call: Call<'_>,
    ) -> RedisResult<u64> {
        let buckets = call.buckets;
        let count = buckets.list.len();
        let mut command = Cmd::with_capacity(5 + 3 * count, 64 + count * 96);
        command.arg("EVALSHA").arg(&self.sha1).arg(count);
        for key in buckets.redis_keys() {
            command.arg(key);
        }
        command.arg(call.action.argument()).arg(call.now_us);
        for bucket in &buckets.list {
            let rate = Rate::of(bucket.quota);
            command.arg(rate.full_us).arg(rate.refill_us);
        }
        Self::run(connection, &command, call.asking).await
    }

    /// Charges a bucket that nobody needs.
    pub(super) async fn probe(&self, connection: &mut MultiplexedConnection, key: &str) -> RedisResult<()> {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(&self.sha1).arg(1).arg(key);
        command.arg(Action::Charge.argument()).arg(0).arg(1_000_000_000).arg(1_000_000);
        Self::run(connection, &command, false).await.map(drop)
    }

    async fn run(connection: &mut MultiplexedConnection, command: &Cmd, asking: bool) -> RedisResult<u64> {
        let answer = if asking {
            Self::ask_together(connection, command, asking, false).await
        } else {
            connection.send_packed_command(command).await.and_then(wait_us)
        };
        match answer {
            // A restarted or promoted server, or SCRIPT FLUSH. Nothing was run, so nothing is charged twice.
            Err(error) if error.kind() == RedisErrorKind::Server(ServerErrorKind::NoScript) => {
                Self::ask_together(connection, command, asking, true).await
            }
            answer => answer,
        }
    }

    /// In one write: another SCRIPT FLUSH does not come between loading and running, and ASKING holds for the next
    /// command on a connection that others use too.
    async fn ask_together(
        connection: &mut MultiplexedConnection,
        command: &Cmd,
        asking: bool,
        load: bool,
    ) -> RedisResult<u64> {
        let mut together = Pipeline::with_capacity(3);
        if load {
            together.cmd("SCRIPT").arg("LOAD").arg(SOURCE);
        }
        if asking {
            together.cmd("ASKING");
        }
        together.add_command(command.clone());
        let mut last = Value::Nil;
        for answer in connection.send_packed_commands(&together, 0, together.len()).await? {
            last = answer.extract_error()?;
        }
        wait_us(last)
    }
}

fn wait_us(answer: Value) -> RedisResult<u64> {
    let answer = answer.extract_error()?;
    if let Value::Int(wait_us) = answer
        && let Ok(wait_us) = u64::try_from(wait_us)
    {
        return Ok(wait_us);
    }
    Err(RedisError::from((RedisErrorKind::UnexpectedReturnType, "the script answers a time")))
}

/// A failed call.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) kind: ErrorKind,
    /// For the log. Names no key but digests, and no credentials.
    pub(super) detail: String,
    /// Where the slot is, if it is elsewhere.
    pub(super) redirect: Option<Redirect>,
}

/// Where a slot is that a server has not, or not all of. Nothing was run.
#[derive(Debug)]
pub(super) struct Redirect {
    /// Whether it is on its way there: that server is asked this once, and keeps the slot from others until it has all.
    pub(super) asking: bool,
    /// `None`: at both ends, and neither can answer for all keys.
    pub(super) node: Option<RedisNode>,
}

impl Redirect {
    fn of(error: &RedisError) -> Option<Self> {
        let node = || error.redirect_node().and_then(|(node, _slot)| RedisNode::parse(node));
        let RedisErrorKind::Server(kind) = error.kind() else { return None };
        if kind == ServerErrorKind::Moved {
            Some(Self { asking: false, node: node() })
        } else if kind == ServerErrorKind::Ask {
            Some(Self { asking: true, node: node() })
        } else {
            (kind == ServerErrorKind::TryAgain).then_some(Self { asking: true, node: None })
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self { kind: kind_of(&error), detail: error.to_string(), redirect: Redirect::of(&error) }
    }
}

impl From<Elapsed> for Trouble {
    fn from(_: Elapsed) -> Self {
        Self { kind: ErrorKind::Timeout, detail: "no answer in time".to_owned(), redirect: None }
    }
}

/// What an error means for the connection and the operator.
fn kind_of(error: &RedisError) -> ErrorKind {
    if error.is_timeout() {
        return ErrorKind::Timeout;
    }
    if error.is_io_error() {
        return ErrorKind::Connection;
    }
    // Redis 6 wraps the errors of commands inside a script: `ERR Error running script …: -READONLY You can't …`.
    let detail = error.detail().unwrap_or_default();
    let says = |code: &str| error.code() == Some(code) || detail.contains(&format!("-{code} "));
    if ["READONLY", "NOREPLICAS", "MASTERDOWN"].into_iter().any(says) {
        ErrorKind::ReadOnly
    } else if ["MOVED", "ASK", "TRYAGAIN"].into_iter().any(says) {
        ErrorKind::Moved
    } else if says("CLUSTERDOWN") {
        ErrorKind::ClusterDown
    } else if says("LOADING") {
        ErrorKind::Loading
    } else if says("OOM") {
        ErrorKind::OutOfMemory
    } else if ["NOPERM", "NOAUTH", "WRONGPASS"].into_iter().any(says)
        || error.kind() == RedisErrorKind::AuthenticationFailed
    {
        ErrorKind::Denied
    } else {
        ErrorKind::Other
    }
}
