//! Leaves a dependency alone after five errors in a row.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Errors in a row that open the breaker: one lost packet does not, a dead server does within a few attempts.
const TOLERATED_IN_A_ROW: u32 = 5;

/// An open breaker lets one probe through this often.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Counts errors in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker(AtomicU32);

impl Breaker {
    /// A call succeeded.
    pub(super) fn succeeded(&self) {
        // Almost always zero already: no write then, so that the cores do not fight for the line.
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    /// A call failed. True if that was one too many.
    pub(super) fn failed(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) + 1 >= TOLERATED_IN_A_ROW
    }
}
