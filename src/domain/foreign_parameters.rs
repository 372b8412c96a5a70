//! How many kinds of hash an organization may bring along: each one is work at every login of all its guardians.

use std::collections::BTreeSet;

use super::password::HashParameters;

/// Parameter sets other than the live one per organization. A source has one, a merger of two systems has two; every
/// login does the work of all of them, so that time does not tell whose hash is of which kind (design §3).
pub const MOST_FOREIGN_SETS: usize = 3;

/// The parameter sets of an organization's hashes that are not the live one.
#[derive(Clone, Debug)]
pub struct ForeignParameters {
    live: HashParameters,
    sets: BTreeSet<HashParameters>,
}

impl ForeignParameters {
    /// The sets that are in use already, and which one is live.
    pub fn new(live: HashParameters, in_use: impl IntoIterator<Item = HashParameters>) -> Self {
        let sets = in_use.into_iter().filter(|parameters| *parameters != live).collect();
        Self { live, sets }
    }

    /// Lets a hash of these parameters in if they are live or known, or if there is room for one more set.
    #[must_use]
    pub fn admit(&mut self, parameters: HashParameters) -> bool {
        let admitted =
            parameters == self.live || self.sets.contains(&parameters) || self.sets.len() < MOST_FOREIGN_SETS;
        if admitted && parameters != self.live {
            self.sets.insert(parameters);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(memory_kib: u32) -> HashParameters {
        HashParameters::new(memory_kib, 1, 1).unwrap()
    }

    #[test]
    fn a_fourth_foreign_set_stays_outside() {
        let mut foreign = ForeignParameters::new(of(100), [of(100), of(8), of(16)]);
        assert!(foreign.admit(of(100)));
        assert!(foreign.admit(of(24)));
        assert!(!foreign.admit(of(32)));
        assert!(foreign.admit(of(8)) && foreign.admit(of(24)) && foreign.admit(of(100)));
    }
}
