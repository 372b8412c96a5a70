//! The limiter of a replica: decided by Redis, and by this process's share of the limits while Redis is away.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::limits::Reservation;
use crate::ports::rate_limiter::{Decision, Ledger, RateLimiter, Receipt};

use super::keys::{BucketKeys, Buckets};
use super::memory::MemoryLimiter;
use super::metrics::{LimiterMetrics, Mode};
use super::redis::{RedisLimiter, Verdict};
use super::trace::{decision_span, note_decision};

/// Never open and never closed: it always decides, and what it admits is always counted.
///
/// What Redis admits is noted in the local counters too, so that an outage does not hand out a fresh burst.
pub struct ResilientLimiter {
    keys: BucketKeys,
    shared: RedisLimiter,
    local: Arc<MemoryLimiter>,
    metrics: LimiterMetrics,
}

impl ResilientLimiter {
    /// `local` hands out this replica's share of the limits; it outlives this limiter where only Redis is reached anew.
    pub fn new(
        keys: BucketKeys,
        shared: RedisLimiter,
        local: impl Into<Arc<MemoryLimiter>>,
        metrics: LimiterMetrics,
    ) -> Self {
        Self { keys, shared, local: local.into(), metrics }
    }
}

#[async_trait]
impl RateLimiter for ResilientLimiter {
    async fn decide(&self, reservation: &Reservation) -> Decision {
        let span = decision_span();
        let buckets = self.keys.buckets(reservation);
        let decision = span.around(self.decide_by_redis(&buckets)).await;
        note_decision(&span, &decision);
        decision
    }

    fn give_back(&self, receipt: Receipt) {
        let buckets = self.keys.buckets(receipt.reservation());
        match receipt.ledger() {
            Ledger::Shared => {
                self.local.refund_shadow(&buckets);
                self.shared.refund(buckets);
            }
            Ledger::Local => self.local.refund(&buckets),
        }
    }
}

impl ResilientLimiter {
    async fn decide_by_redis(&self, buckets: &Buckets) -> Decision {
        match self.shared.charge(buckets).await {
            Ok(Verdict::Admitted) => {
                self.local.shadow(buckets);
                self.metrics.decided(true, Mode::Shared);
                Decision::Admitted(Ledger::Shared)
            }
            Ok(Verdict::Refused { retry_after }) => {
                self.metrics.decided(false, Mode::Shared);
                Decision::Refused { retry_after }
            }
            Err(_away) => self.local.charge(buckets),
        }
    }
}
