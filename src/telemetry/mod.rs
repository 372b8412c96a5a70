//! Log and metric set-up, with their names as constants. Nothing here is global: `main` installs what it is given.

use std::io::{self, Write};

use tracing::{Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

mod connection_metrics;
mod json;
pub mod log_level;
mod log_writer;
pub mod panic_hook;
mod rpc_metrics;
mod span_queue;
pub mod spans;
pub mod watched;

pub use connection_metrics::ConnectionMetrics;
pub use json::Now;
pub use log_level::LevelHandle;
pub use log_writer::{LogGuard, LogSink};
pub use rpc_metrics::RpcMetrics;
pub use span_queue::{SpanCounts, SpanReceiver, SpanSender, span_queue};

/// Target of the request log: one line an rpc. docs/logging.md describes its fields, which are an interface.
pub const REQUEST: &str = "guardian_auth::request";
/// Target of defects, each with an incident id.
pub const INCIDENT: &str = "guardian_auth::incident";
/// Target of failures of dependencies.
pub const DEPENDENCY: &str = "guardian_auth::dependency";
/// Target of connections: failures to accept, drain.
pub const CONNECTION: &str = "guardian_auth::connection";
/// Target of panics.
pub const PANIC: &str = "guardian_auth::panic";

/// A subscriber that writes JSON lines to `out` on a thread of its own, and the guard that flushes it when dropped and holds
/// the handle by which the level is changed.
///
/// `level` is for our own events. Libraries are heard from WARN up, whatever is asked: below it, `h2` and `hyper` write
/// headers, and with them tokens.
///
/// # Errors
/// If the system has no thread left.
pub fn json_lines(
    level: Level,
    now: Now,
    out: Box<dyn Write + Send>,
) -> io::Result<(impl Subscriber + Send + Sync, LogGuard)> {
    let (heard, handle) = log_level::filter(level);
    let guard = log_writer::start(out, handle)?;
    let lines = json::JsonLines::new(guard.sink().clone(), now).with_filter(heard);
    Ok((tracing_subscriber::registry().with(lines), guard))
}
