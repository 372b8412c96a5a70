//! What the sealer tells of itself in metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::flows::last_done::LastDone;

/// Numbers that others read. Clones are one.
#[derive(Clone, Default)]
pub struct SealerGauges {
    chained: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    done: LastDone,
}

impl SealerGauges {
    /// Those of the sealer that takes its place: it counts on.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self { chained: Arc::clone(&self.chained), ..Self::default() }
    }

    /// Events that this process has chained.
    pub fn chained_events(&self) -> u64 {
        self.chained.load(Ordering::Relaxed)
    }

    /// Chains that this process does not add to, as their heads are not ours.
    pub fn refused_chains(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Since when events may wait to be chained, as far as this process knows.
    pub fn age(&self) -> Duration {
        self.done.age()
    }

    pub(super) fn chained(&self, events: usize) {
        self.chained.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, chains: usize) {
        self.refused.store(chains as u64, Ordering::Relaxed);
    }

    /// Everything that is there is chained.
    pub(super) fn caught_up(&self) {
        self.done.now();
    }

    /// Another process sees to it.
    pub(super) fn elsewhere(&self) {
        self.refused(0);
        self.done.now();
    }
}
