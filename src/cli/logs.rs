//! The log of a command that runs the service: JSON lines, flushed when the guard is dropped.

use std::io::Write;

use anyhow::Context as _;

use crate::app::Outside;
use crate::config::Log;
use crate::telemetry::{LogGuard, json_lines, log_level, panic_hook};

/// Installs the log of this process.
///
/// # Errors
/// If the system has no thread left, or a log is installed already.
pub fn init(log: Log, out: Box<dyn Write + Send>) -> anyhow::Result<LogGuard> {
    let clock = Outside::of_this_machine().clock;
    let (subscriber, guard) = json_lines(log_level::of(log.level), Box::new(move || clock.now()), out)
        .context("starting the log")?;
    tracing::subscriber::set_global_default(subscriber).context("installing the log")?;
    panic_hook::install();
    Ok(guard)
}
