//! Calls `gcra.lua` by its digest: one round trip, and one more on a server that does not know the script yet.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind as RedisErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::error::Elapsed;

use super::gcra::Rate;
use super::keys::Buckets;
use super::metrics::ErrorKind;

const SOURCE: &str = include_str!("gcra.lua");

/// Charged and checked by probes: proves that the server runs the script and takes writes. Its key has not the form
/// of any bucket's.
const PROBE_KEY: &str = "guardian:{probe}:probe";

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

/// The script by its digest.
#[derive(Debug)]
pub(super) struct GcraScript {
    sha1: String,
}

impl GcraScript {
    pub(super) fn new() -> Self {
        Self { sha1: redis::Script::new(SOURCE).get_hash().to_owned() }
    }

    /// Runs the script over the buckets. `now_us` in µs since the Unix epoch; 0 = the server's own clock. Answers 0,
    /// or the µs until all buckets have room.
    pub(super) async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        action: Action,
        buckets: &Buckets,
        now_us: u64,
    ) -> RedisResult<u64> {
        let count = buckets.list.len();
        let mut command = Cmd::with_capacity(5 + 3 * count, 64 + count * 96);
        command.arg("EVALSHA").arg(&self.sha1).arg(count);
        for key in buckets.redis_keys() {
            command.arg(key);
        }
        command.arg(action.argument()).arg(now_us);
        for bucket in &buckets.list {
            let rate = Rate::of(bucket.quota);
            command.arg(rate.full_us).arg(rate.refill_us);
        }
        Self::run(connection, &command).await
    }

    /// Charges a bucket that nobody needs.
    pub(super) async fn probe(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(&self.sha1).arg(1).arg(PROBE_KEY);
        command.arg(Action::Charge.argument()).arg(0).arg(1_000_000_000).arg(1_000_000);
        Self::run(connection, &command).await.map(drop)
    }

    async fn run(connection: &mut MultiplexedConnection, command: &Cmd) -> RedisResult<u64> {
        match Self::ask(connection, command).await {
            // A restarted or promoted server, or SCRIPT FLUSH. Nothing was run, so nothing is charged twice.
            Err(error) if error.kind() == RedisErrorKind::Server(ServerErrorKind::NoScript) => {
                // In one write: another SCRIPT FLUSH does not come between the two.
                let mut both = Pipeline::with_capacity(2);
                both.cmd("SCRIPT").arg("LOAD").arg(SOURCE).add_command(command.clone());
                let answers = connection.send_packed_commands(&both, 0, 2).await?;
                wait_us(answers.into_iter().next_back().unwrap_or(Value::Nil))
            }
            answer => answer,
        }
    }

    async fn ask(connection: &mut MultiplexedConnection, command: &Cmd) -> RedisResult<u64> {
        wait_us(connection.send_packed_command(command).await?)
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
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self { kind: kind_of(&error), detail: error.to_string() }
    }
}

impl From<Elapsed> for Trouble {
    fn from(_: Elapsed) -> Self {
        Self { kind: ErrorKind::Timeout, detail: "no answer in time".to_owned() }
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
    if says("READONLY") {
        ErrorKind::ReadOnly
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
