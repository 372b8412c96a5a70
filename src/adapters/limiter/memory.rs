//! The limiter in this process: the whole limiter of an embedded installation, and the fallback while Redis is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::limits::Reservation;
use crate::ports::clock::Clock;
use crate::ports::rate_limiter::{Decision, Ledger, RateLimiter, Receipt};

use super::gcra::Rate;
use super::keys::{BucketKey, BucketKeys, Buckets};
use super::metrics::{LimiterMetrics, Mode};
use super::trace::{decision_span, note_decision};

/// Buckets held at most: 32 bytes each, so 20 MB are never reached, not even while the table grows.
pub const CAPACITY: usize = 100_000;

/// Empty buckets are swept out this often, µs.
const SWEEP_EVERY_US: u64 = 30_000_000;

/// A table without room is swept at most this often, µs: a sweep looks at every bucket.
const SWEEP_FULL_EVERY_US: u64 = 100_000;

/// When to try again after no room was found for a new bucket.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A bucket: the times, in µs since the Unix epoch, at which two counts of it will be empty.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Attempts that this process admitted on its own, at its share of the quota.
    own_us: u64,
    /// Attempts of this process that Redis admitted, at the whole quota. They are part of what Redis counts, so this
    /// never overflows, and each can be given back exactly.
    shadow_us: u64,
}

#[derive(Debug, Default)]
struct Table {
    tallies: HashMap<BucketKey, Tally>,
    swept_at_us: u64,
}

/// Counters in this process. Time comes from the clock.
pub struct MemoryLimiter {
    keys: BucketKeys,
    clock: Arc<dyn Clock>,
    /// How many processes share the quotas; 1 if this is the only one.
    replicas: u32,
    capacity: usize,
    metrics: LimiterMetrics,
    table: Mutex<Table>,
}

impl MemoryLimiter {
    /// A limiter that hands out its share of each quota: `burst / replicas` rounded up, refilled `replicas` times as
    /// slowly. One replica hands out the whole. Holds [`CAPACITY`] buckets.
    pub fn new(keys: BucketKeys, clock: Arc<dyn Clock>, replicas: u32, metrics: LimiterMetrics) -> Self {
        Self { keys, clock, replicas: replicas.max(1), capacity: CAPACITY, metrics, table: Mutex::default() }
    }

    /// Buckets held now.
    pub fn held(&self) -> usize {
        self.table().tallies.len()
    }

    /// Charges all buckets or none.
    pub(super) fn charge(&self, buckets: &Buckets) -> Decision {
        let decision = self.decide_now(buckets);
        self.metrics.decided(matches!(decision, Decision::Admitted(_)), Mode::Local);
        decision
    }

    fn decide_now(&self, buckets: &Buckets) -> Decision {
        let mut table = self.table();
        let now_us = self.now_us();
        let mut charged = Vec::with_capacity(buckets.list.len());
        let mut retry_after = Duration::ZERO;
        for bucket in &buckets.list {
            let rate = Rate::share_of(bucket.quota, self.replicas);
            let tally = table.tally(bucket.key, rate, Rate::of(bucket.quota), now_us);
            match rate.charge(self.spent_until(tally, rate, now_us), now_us) {
                Ok(own_us) => charged.push((bucket.key, Tally { own_us, ..tally })),
                Err(wait) => retry_after = retry_after.max(wait),
            }
        }
        if !retry_after.is_zero() {
            return Decision::Refused { retry_after };
        }
        if !self.make_room(&mut table, buckets, now_us) {
            return Decision::Refused { retry_after: FULL_RETRY_AFTER };
        }
        table.tallies.extend(charged);
        self.metrics.holds_keys(table.tallies.len());
        Decision::Admitted(Ledger::Local)
    }

    /// When the share of a bucket will be empty, if what Redis admitted through this process counts too: as many
    /// attempts as there are left of it, a full share at most.
    fn spent_until(&self, tally: Tally, rate: Rate, now_us: u64) -> u64 {
        let ahead_us = tally.shadow_us.saturating_sub(now_us).saturating_mul(u64::from(self.replicas));
        tally.own_us.max(now_us + ahead_us.min(rate.full_us))
    }

    /// Takes one charge off each bucket that is still there.
    pub(super) fn refund(&self, buckets: &Buckets) {
        let mut table = self.table();
        let now_us = self.now_us();
        for bucket in &buckets.list {
            if let Some(tally) = table.tallies.get_mut(&bucket.key) {
                tally.own_us = Rate::share_of(bucket.quota, self.replicas).give_back(tally.own_us, now_us);
            }
        }
    }

    /// Notes an attempt that Redis admitted. Never refuses; where there is no room, the bucket is not noted.
    pub(super) fn shadow(&self, buckets: &Buckets) {
        let mut table = self.table();
        let now_us = self.now_us();
        if !self.make_room(&mut table, buckets, now_us) {
            return;
        }
        for bucket in &buckets.list {
            let tally = table.tallies.entry(bucket.key).or_default();
            tally.shadow_us = Rate::of(bucket.quota).charge_regardless(tally.shadow_us, now_us);
        }
        self.metrics.holds_keys(table.tallies.len());
    }

    /// Forgets one attempt that Redis admitted.
    pub(super) fn refund_shadow(&self, buckets: &Buckets) {
        let mut table = self.table();
        let now_us = self.now_us();
        for bucket in &buckets.list {
            if let Some(tally) = table.tallies.get_mut(&bucket.key) {
                tally.shadow_us = Rate::of(bucket.quota).give_back(tally.shadow_us, now_us);
            }
        }
    }

    /// Whether the table holds the buckets or has room for those that are new. Sweeps when it is time.
    fn make_room(&self, table: &mut Table, buckets: &Buckets, now_us: u64) -> bool {
        table.sweep_if_older_than(SWEEP_EVERY_US, now_us);
        if self.has_room(table, buckets) {
            return true;
        }
        table.sweep_if_older_than(SWEEP_FULL_EVERY_US, now_us);
        let room = self.has_room(table, buckets);
        if !room {
            self.metrics.local_key_refused();
        }
        room
    }

    fn has_room(&self, table: &Table, buckets: &Buckets) -> bool {
        // The sum without a look at the table first: almost always it is enough.
        table.tallies.len() + buckets.list.len() <= self.capacity || {
            let new = buckets.list.iter().filter(|bucket| !table.tallies.contains_key(&bucket.key)).count();
            table.tallies.len() + new <= self.capacity
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No panic is possible between two writes that belong together, so a poisoned table is a sound one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Read under the lock, so that the times seen by a bucket do not go back by the order of threads.
    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(0).saturating_mul(1000)
    }
}

impl Table {
    /// The counts of a bucket, as they can be.
    fn tally(&mut self, key: BucketKey, own: Rate, whole: Rate, now_us: u64) -> Tally {
        let Some(tally) = self.tallies.get_mut(&key) else { return Tally::default() };
        tally.own_us = own.plausible(tally.own_us, now_us);
        tally.shadow_us = whole.plausible(tally.shadow_us, now_us);
        *tally
    }

    fn sweep_if_older_than(&mut self, age_us: u64, now_us: u64) {
        // After a clock went back, the last sweep seems to lie ahead.
        self.swept_at_us = self.swept_at_us.min(now_us);
        if now_us - self.swept_at_us < age_us {
            return;
        }
        self.swept_at_us = now_us;
        self.tallies.retain(|_, tally| tally.own_us > now_us || tally.shadow_us > now_us);
        if self.tallies.capacity() / 4 > self.tallies.len() {
            self.tallies.shrink_to(self.tallies.len() * 2);
        }
    }
}

#[async_trait]
impl RateLimiter for MemoryLimiter {
    async fn decide(&self, reservation: &Reservation) -> Decision {
        let span = decision_span();
        let decision = self.charge(&self.keys.buckets(reservation));
        note_decision(&span, &decision);
        decision
    }

    fn give_back(&self, receipt: Receipt) {
        match receipt.ledger() {
            Ledger::Local => self.refund(&self.keys.buckets(receipt.reservation())),
            // Charged elsewhere; there is nothing of it here.
            Ledger::Shared => {}
        }
    }
}

impl std::fmt::Debug for MemoryLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLimiter").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::identifier::{LeadingZeros, LoginName};
    use std::sync::atomic::{AtomicI64, Ordering};

    use prometheus_client::registry::Registry;

    use super::super::keys::LimiterKey;
    use super::*;
    use crate::domain::limits::{Charge, Quota, Scope};
    use crate::domain::organization::OrganizationId;
    use crate::domain::time::Timestamp;

    struct HandSetClock(AtomicI64);

    impl Clock for HandSetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    struct Bench {
        clock: Arc<HandSetClock>,
        limiter: MemoryLimiter,
    }

    impl Bench {
        fn new(replicas: u32, capacity: usize) -> Self {
            let clock = Arc::new(HandSetClock(AtomicI64::new(1_700_000_000_000)));
            let keys = BucketKeys::new(LimiterKey::new([7; 32]));
            let metrics = LimiterMetrics::register(&mut Registry::default());
            let mut limiter = MemoryLimiter::new(keys, clock.clone(), replicas, metrics);
            limiter.capacity = capacity;
            Self { clock, limiter }
        }

        fn pass(&self, seconds: i64) {
            self.clock.0.fetch_add(seconds * 1000, Ordering::Relaxed);
        }

        /// One bucket of 10 and one more a minute.
        fn buckets(&self, caller: &str) -> Buckets {
            let quota = Quota::new(10, Duration::from_mins(1));
            let name = LoginName::parse("anna", LeadingZeros::Keep).unwrap();
            let charges =
                vec![Charge { scope: Scope::AccountUnknownNetwork(name, caller.to_owned()), quota }];
            let organization = OrganizationId::parse("solna").unwrap();
            self.limiter.keys.buckets(&Reservation { organization, charges })
        }

        fn admits(&self, caller: &str) -> bool {
            matches!(self.limiter.charge(&self.buckets(caller)), Decision::Admitted(_))
        }

        fn admitted_of(&self, attempts: usize, caller: &str) -> usize {
            (0..attempts).filter(|_| self.admits(caller)).count()
        }
    }

    #[test]
    fn what_redis_admitted_is_spent_when_redis_goes_away() {
        for (shadowed, admitted) in [(0, 5), (2, 3), (5, 0), (10, 0)] {
            let bench = Bench::new(2, CAPACITY);
            (0..shadowed).for_each(|_| bench.limiter.shadow(&bench.buckets("a")));
            assert_eq!(bench.admitted_of(20, "a"), admitted, "after {shadowed}");
        }
    }

    #[test]
    fn a_right_password_leaves_no_trace_in_the_shadow_of_a_busy_account() {
        let bench = Bench::new(2, CAPACITY);
        let buckets = bench.buckets("a");
        (0..7).for_each(|_| bench.limiter.shadow(&buckets));
        for _ in 0..20 {
            bench.limiter.shadow(&buckets);
            bench.limiter.refund_shadow(&buckets);
        }
        assert_eq!(bench.admitted_of(20, "a"), 0);
        (0..7).for_each(|_| bench.limiter.refund_shadow(&buckets));
        assert_eq!(bench.admitted_of(20, "a"), 5);
    }

    #[test]
    fn a_share_refills_at_its_share_of_the_speed() {
        let bench = Bench::new(2, CAPACITY);
        assert_eq!(bench.admitted_of(20, "a"), 5);
        bench.pass(119);
        assert_eq!(bench.admitted_of(20, "a"), 0);
        bench.pass(1);
        assert_eq!(bench.admitted_of(20, "a"), 1);
    }

    #[test]
    fn a_full_table_refuses_new_buckets_keeps_the_old_ones_and_frees_the_empty_ones() {
        let bench = Bench::new(1, 3);
        assert_eq!(bench.admitted_of(9, "victim"), 9);
        assert!(bench.admits("b") && bench.admits("c"));
        assert!(!bench.admits("d"));
        bench.limiter.shadow(&bench.buckets("e"));
        assert_eq!(bench.limiter.held(), 3);
        assert_eq!(bench.admitted_of(9, "victim"), 1);
        bench.pass(60);
        assert!(bench.admits("d"));
        assert_eq!(bench.admitted_of(9, "victim"), 1);
    }

    #[test]
    fn a_full_table_stays_far_under_20_mb_while_it_grows() {
        let mut tallies: HashMap<BucketKey, Tally> = HashMap::new();
        tallies.reserve(CAPACITY);
        let slots = (tallies.capacity() * 8).div_ceil(7);
        // A slot holds the entry and one byte of its hash; the old table is half as large and gone after growing.
        let bytes = slots * (size_of::<(BucketKey, Tally)>() + 1);
        assert!(bytes + bytes / 2 < 8_000_000, "{bytes}");
    }

    #[test]
    fn empty_buckets_are_swept_and_their_memory_is_returned() {
        let bench = Bench::new(1, CAPACITY);
        (0..10_000).for_each(|caller| assert!(bench.admits(&caller.to_string())));
        bench.pass(60);
        assert!(bench.admits("one more"));
        assert_eq!(bench.limiter.held(), 1);
        assert!(bench.limiter.table().tallies.capacity() < 1000);
    }
}
