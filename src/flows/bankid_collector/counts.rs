//! What a collector counts for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts for metrics. Clones count together.
#[derive(Clone, Default)]
pub struct CollectorCounts(Arc<[AtomicU64; 5]>);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A question how far an order is.
    Collect,
    /// A question that BankID did not answer.
    CollectFailed,
    /// An order that was begun in place of one that nobody opened.
    Restart,
    /// An order that was signed.
    Complete,
    /// An order that failed.
    Failed,
}

impl CollectorCounts {
    /// So many so far.
    pub fn of(&self, counted: Counted) -> u64 {
        self.0[counted as usize].load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, counted: Counted) {
        self.0[counted as usize].fetch_add(1, Ordering::Relaxed);
    }
}
