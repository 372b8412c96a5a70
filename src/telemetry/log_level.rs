//! The level of the log, which can be changed while it is written.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

use crate::config::LogLevel;

/// What [`super::json_lines`] filters by.
pub(super) type Filter = reload::Layer<Targets, Registry>;

/// Changes the level of the log of this process. Clones change the same one.
#[derive(Clone)]
pub struct LevelHandle(reload::Handle<Targets, Registry>);

impl LevelHandle {
    /// From now on, our own lines are written from this level up; those of libraries from WARN up, as ever.
    pub fn set(&self, level: LogLevel) {
        // Fails only where the log itself is gone: then there is nothing to change.
        drop(self.0.reload(heard(of(level))));
    }
}

/// The level as `tracing` knows it.
pub const fn of(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// A filter, and the handle that changes it.
pub(super) fn filter(level: Level) -> (Filter, LevelHandle) {
    let (filter, handle) = reload::Layer::new(heard(level));
    (filter, LevelHandle(handle))
}

/// `level` is for our own events. Below WARN, `h2` and `hyper` write headers, and with them tokens.
fn heard(level: Level) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("guardian_auth", LevelFilter::from_level(level))
}
