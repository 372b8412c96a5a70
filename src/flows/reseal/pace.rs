//! How fast everything is sealed anew.

use std::num::NonZeroU32;
use std::time::Duration;

/// How long the command rests beside a unit of work.
const REST: u32 = 3;

/// How fast to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Works for a quarter of the time, so that logins have the database and the processors: a store under load, which
    /// takes longer, has longer rests.
    #[default]
    BesideLogins,
    /// So many rows a second at most.
    AtMost(NonZeroU32),
    /// As fast as the store takes them.
    Full,
}

impl Pace {
    /// How long to rest after so many rows that took so long.
    pub(super) fn rest(self, rows: usize, took: Duration) -> Duration {
        match self {
            Self::BesideLogins => took * REST,
            Self::AtMost(rate) => {
                let rows = u32::try_from(rows).unwrap_or(u32::MAX);
                (Duration::from_secs(1) * rows / rate.get()).saturating_sub(took)
            }
            Self::Full => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(20);

    #[test]
    fn beside_logins_a_quarter_of_the_time_is_work() {
        assert_eq!(Pace::BesideLogins.rest(500, TOOK), Duration::from_millis(60));
    }

    #[test]
    fn a_rate_is_kept_and_not_made_up_for() {
        let at_most = |rate| NonZeroU32::new(rate).map(Pace::AtMost).unwrap_or_default();
        assert_eq!(at_most(1000).rest(500, TOOK), Duration::from_millis(480));
        assert_eq!(at_most(100_000).rest(500, TOOK), Duration::ZERO);
        assert_eq!(Pace::Full.rest(500, TOOK), Duration::ZERO);
    }
}
