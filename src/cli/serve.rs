//! `serve`: the service, until it is told to stop.

use std::pin::pin;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::logs;
use crate::app::{App, Followed, Outside};
use crate::config::{Config, Log, Seen, Source};

/// Runs the service until SIGTERM or SIGINT, then drains it. Follows the files of the configuration meanwhile; SIGHUP has
/// it look at once.
///
/// # Errors
/// What kept it from starting, or from stopping in time.
pub async fn run(config: Config, source: Source, seen: Seen) -> anyhow::Result<()> {
    let logs = logs::init(config.log, Box::new(std::io::stdout()))?;
    // A file that may not grow (RLIMIT_FSIZE) is a write that fails, like a full disk, and not the end of the process.
    let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let _kept = signal(too_large).context("listening for SIGXFSZ")?;
    // Before anything takes time: by default, this signal ends a process.
    let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let app = App::start_logged(config, Outside::of_this_machine(), logs.sink()).await?;
    let level = logs.level().clone();
    let set_log = move |log: Log| level.set(log.level);
    app.follow(Followed { source, seen, set_log: Box::new(set_log) });
    tracing::info!(grpc = %app.grpc_address(), ops = %app.ops_address(), "serving");
    let mut stopped = pin!(stop_signal());
    loop {
        tokio::select! {
            stopped = &mut stopped => break stopped?,
            Some(()) = hang_up.recv() => app.look_now(),
        }
    }
    tracing::info!("stopping");
    app.stop().await;
    drop(logs);
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If signals cannot be listened for.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
