//! The log of a command that runs the service: JSON lines, flushed when the guard is dropped.

use std::io::Write;

use anyhow::Context as _;
use tracing::Level;

use crate::app::Outside;
use crate::config::{Log, LogLevel};
use crate::telemetry::{LogGuard, json_lines, panic_hook};

/// Installs the log of this process.
///
/// # Errors
/// If the system has no thread left, or a log is installed already.
pub fn init(log: Log, out: Box<dyn Write + Send>) -> anyhow::Result<LogGuard> {
    let clock = Outside::of_this_machine().clock;
    let (subscriber, guard) =
        json_lines(level_of(log), Box::new(move || clock.now()), out).context("starting the log")?;
    tracing::subscriber::set_global_default(subscriber).context("installing the log")?;
    panic_hook::install();
    Ok(guard)
}

/// The level as `tracing` has it.
pub const fn level_of(log: Log) -> Level {
    match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}
