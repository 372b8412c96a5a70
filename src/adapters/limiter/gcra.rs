//! GCRA in whole microseconds, the same arithmetic as `gcra.lua`.
//!
//! A bucket is one number: its theoretical arrival time (TAT), the time at which it will be empty. Each charge moves
//! it one refill later; a charge that would move it more than `burst` refills past now is refused.

use std::time::Duration;

use crate::domain::limits::Quota;

/// No bucket takes longer than ten years to drain: keeps every sum below 2^53 µs, where the numbers of Lua are exact.
const MAX_SPAN_US: u64 = 10 * 365 * 24 * 3600 * 1_000_000;

/// A quota in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Time that one charge takes to drain, µs; at least 1.
    pub(super) refill_us: u64,
    /// Time that a full bucket takes to drain, µs: `burst` refills.
    pub(super) full_us: u64,
}

impl Rate {
    /// The whole quota.
    pub(super) fn of(quota: Quota) -> Self {
        Self::share_of(quota, 1)
    }

    /// The part of a quota that one of `replicas` hands out on its own: `burst / replicas` rounded up, refilled
    /// `replicas` times as slowly.
    pub(super) fn share_of(quota: Quota, replicas: u32) -> Self {
        let replicas = replicas.max(1);
        let whole_us = u64::try_from(quota.refill.as_micros()).unwrap_or(MAX_SPAN_US);
        let refill_us = whole_us.saturating_mul(u64::from(replicas)).clamp(1, MAX_SPAN_US);
        let burst = u64::from(quota.burst.div_ceil(replicas).max(1));
        Self { refill_us, full_us: refill_us.saturating_mul(burst).min(MAX_SPAN_US) }
    }

    /// The TAT as it can be: no bucket is fuller than full.
    ///
    /// One further ahead comes from a clock that went back or a quota that shrank. Whoever reads it writes it back,
    /// even with a refusal: else the bucket would be closed until the clock has caught up.
    pub(super) fn plausible(self, tat_us: u64, now_us: u64) -> u64 {
        tat_us.min(now_us + self.full_us)
    }

    /// The TAT after one more charge, or how long until there is room for it.
    pub(super) fn charge(self, tat_us: u64, now_us: u64) -> Result<u64, Duration> {
        let next_us = self.plausible(tat_us, now_us).max(now_us) + self.refill_us;
        match next_us.saturating_sub(now_us + self.full_us) {
            0 => Ok(next_us),
            wait_us => Err(Duration::from_micros(wait_us)),
        }
    }

    /// The TAT after a charge that nobody may refuse, as it was granted elsewhere: a full bucket stays full.
    pub(super) fn charge_regardless(self, tat_us: u64, now_us: u64) -> u64 {
        self.charge(tat_us, now_us).unwrap_or(now_us + self.full_us)
    }

    /// The TAT without one charge; 0 if the bucket is empty then. None is emptier than empty.
    pub(super) fn give_back(self, tat_us: u64, now_us: u64) -> u64 {
        let tat_us = tat_us.saturating_sub(self.refill_us);
        if tat_us > now_us { tat_us } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000;

    fn ten_per_minute() -> Rate {
        Rate::of(Quota::new(10, Duration::from_mins(1)))
    }

    #[test]
    fn a_full_bucket_says_exactly_when_it_has_room() {
        let rate = ten_per_minute();
        let mut tat = 0;
        for _ in 0..10 {
            tat = rate.charge(tat, NOW).unwrap();
        }
        let wait = rate.charge(tat, NOW + 1).unwrap_err();
        assert_eq!(wait, Duration::from_micros(60_000_000 - 1));
        assert!(rate.charge(tat, NOW + 59_999_999).is_err());
        assert!(rate.charge(tat, NOW + 60_000_000).is_ok());
    }

    #[test]
    fn a_tat_beyond_full_is_full() {
        let rate = ten_per_minute();
        let plausible = rate.plausible(NOW + rate.full_us + 1, NOW);
        assert_eq!(plausible, NOW + rate.full_us);
        assert_eq!(rate.charge(u64::MAX, NOW), Err(Duration::from_mins(1)));
    }

    #[test]
    fn shares_round_the_burst_up_and_slow_the_refill() {
        let quota = Quota::new(5, Duration::from_secs(1));
        assert_eq!(Rate::share_of(quota, 2), Rate { refill_us: 2_000_000, full_us: 6_000_000 });
        assert_eq!(Rate::share_of(quota, 0), Rate::of(quota));
        let tiny = Quota::new(1, Duration::from_secs(1));
        assert_eq!(Rate::share_of(tiny, 8), Rate { refill_us: 8_000_000, full_us: 8_000_000 });
    }

    #[test]
    fn absurd_quotas_stay_exact_in_lua() {
        let rate = Rate::share_of(Quota::new(u32::MAX, Duration::MAX), u32::MAX);
        assert!(NOW + rate.full_us + rate.refill_us < 1 << 53);
        assert!(Rate::of(Quota::new(0, Duration::ZERO)).charge(0, NOW).is_ok());
    }

    #[test]
    fn giving_back_never_goes_below_empty() {
        let rate = ten_per_minute();
        let tat = rate.charge(0, NOW).unwrap();
        assert_eq!(rate.give_back(tat, NOW + 1), 0);
        assert_eq!(rate.give_back(tat + 2, NOW + 1), NOW + 2);
        assert_eq!(rate.give_back(0, NOW), 0);
    }
}
