//! Panics in the log: where, never what, as a message may quote what somebody sent.

use std::panic;

/// Replaces the process's panic hook. For `main` only.
pub fn install() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(target: super::PANIC, place, thread = thread.name(), "panicked");
    }));
}
