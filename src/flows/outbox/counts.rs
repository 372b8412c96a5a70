//! What the outbox did and what waits in it, for metrics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::message::Channel;
use crate::domain::time::Timestamp;
use crate::ports::store::OutboxLevel;

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The next hop has taken it.
    Sent,
    /// It is tried again.
    Again,
    /// It cannot be delivered.
    Failed,
    /// It was given up after too many tries or too long a time.
    Dead,
    /// It took longer than its lease: another worker has it.
    LeaseLost,
}

impl DeliveryResult {
    /// All results.
    pub const ALL: [Self; 5] = [Self::Sent, Self::Again, Self::Failed, Self::Dead, Self::LeaseLost];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Again => "again",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::LeaseLost => "lease_lost",
        }
    }
}

/// Tries by channel and result. Clones count together.
#[derive(Clone, Default)]
pub struct DeliveryCounts(Arc<[[AtomicU64; 5]; 2]>);

impl DeliveryCounts {
    pub(super) fn count(&self, channel: Channel, result: DeliveryResult) {
        self.0[channel as usize][result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    pub fn of(&self, channel: Channel, result: DeliveryResult) -> u64 {
        self.0[channel as usize][result as usize].load(Ordering::Relaxed)
    }
}

/// What waits in each channel. Clones are one.
#[derive(Clone, Default)]
pub struct Levels(Arc<[Level; 2]>);

#[derive(Default)]
struct Level {
    queued: AtomicI64,
    oldest: Mutex<Option<Timestamp>>,
}

impl Levels {
    pub(super) fn note(&self, levels: &[OutboxLevel]) {
        for channel in Channel::ALL {
            let found = levels.iter().find(|level| level.channel == channel);
            let level = &self.0[channel as usize];
            let queued = found.map_or(0, |found| i64::try_from(found.queued).unwrap_or(i64::MAX));
            level.queued.store(queued, Ordering::Relaxed);
            *level.oldest.lock().unwrap_or_else(PoisonError::into_inner) =
                found.and_then(|found| found.oldest);
        }
    }

    /// Messages that wait, as of a few seconds ago.
    pub fn queued(&self, channel: Channel) -> i64 {
        self.0[channel as usize].queued.load(Ordering::Relaxed)
    }

    /// When the oldest of them was put in.
    pub fn oldest(&self, channel: Channel) -> Option<Timestamp> {
        *self.0[channel as usize].oldest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
