//! How the number of an account may change: first, put right, or better than the one before.

use super::identifier::NationalId;

/// Who issues numbers of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Temporary number: the organization, until a national one comes.
    Temporary,
    /// Coordination number: the Swedish state, to a person who is not registered.
    Coordination,
    /// Personnummer: the Swedish state.
    Personal,
    /// Citizen service number: the Dutch state.
    Bsn,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Temporary, Self::Coordination, Self::Personal, Self::Bsn];

    /// The scheme of a number.
    pub const fn of(number: &NationalId) -> Self {
        match number {
            NationalId::Tf(_) => Self::Temporary,
            NationalId::Snr(_) => Self::Coordination,
            NationalId::Pnr(_) => Self::Personal,
            NationalId::Bsn(_) => Self::Bsn,
        }
    }

    /// The name in the store, as [`NationalId::scheme`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "se.tf",
            Self::Coordination => "se.snr",
            Self::Personal => "se.pnr",
            Self::Bsn => "nl.bsn",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == text)
    }

    const fn is_swedish(self) -> bool {
        match self {
            Self::Temporary | Self::Coordination | Self::Personal => true,
            Self::Bsn => false,
        }
    }

    /// Whether a person with a number of this scheme gets one of the other in its place. Never back, and never across
    /// a border.
    pub const fn is_succeeded_by(self, other: Self) -> bool {
        match (self, other) {
            (Self::Temporary, Self::Coordination | Self::Personal) | (Self::Coordination, Self::Personal) => {
                true
            }
            (Self::Temporary | Self::Coordination | Self::Personal | Self::Bsn, _) => false,
        }
    }
}

/// Why a number changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentifierChange {
    /// The account has none yet.
    First,
    /// The number on the account is wrong.
    Correction,
    /// The person got a better number.
    Succession,
}

/// What of an account's numbers in use the new one takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InUse {
    /// There is none.
    Nothing,
    /// This one: the only one, or the one that was named.
    One(Scheme),
    /// There are several, and none was named.
    Several,
    /// The one that was named is not in use.
    NotThatOne,
}

/// Why a number cannot change so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentifierRefusal {
    /// A first number for an account that has one.
    HasNumber,
    /// A number in place of one, for an account that has none.
    HasNoNumber,
    /// The account has several: which one is meant must be said.
    SeveralNumbers,
    /// The number that was named is not in use.
    NotInUse,
    /// Not what such a number is followed by.
    NotASuccessor,
    /// A number of another state.
    OtherState,
}

impl IdentifierRefusal {
    /// The conflict that the caller is told (docs/errors.md).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HasNumber => "has_number",
            Self::HasNoNumber => "has_no_number",
            Self::SeveralNumbers => "several_numbers",
            Self::NotInUse => "number_not_in_use",
            Self::NotASuccessor => "not_a_successor",
            Self::OtherState => "number_of_another_state",
        }
    }
}

/// A change that may be made. Only [`step`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierStep {
    from: Option<Scheme>,
    to: Scheme,
}

impl IdentifierStep {
    /// Whether a number goes.
    pub const fn replaces(self) -> bool {
        self.from.is_some()
    }

    /// What the audit log says of it, e.g. `se.tf>se.pnr`. No number.
    pub fn detail(self) -> String {
        format!("{}>{}", self.from.map_or("none", Scheme::as_str), self.to.as_str())
    }
}

/// Decides on a change.
///
/// # Errors
/// [`IdentifierRefusal`].
pub fn step(
    change: IdentifierChange,
    in_use: InUse,
    new: Scheme,
) -> Result<IdentifierStep, IdentifierRefusal> {
    let from = match (change, in_use) {
        (IdentifierChange::First, InUse::Nothing) => return Ok(IdentifierStep { from: None, to: new }),
        (IdentifierChange::First, InUse::One(_) | InUse::Several | InUse::NotThatOne) => {
            return Err(IdentifierRefusal::HasNumber);
        }
        (IdentifierChange::Correction | IdentifierChange::Succession, InUse::Nothing) => {
            return Err(IdentifierRefusal::HasNoNumber);
        }
        (IdentifierChange::Correction | IdentifierChange::Succession, InUse::Several) => {
            return Err(IdentifierRefusal::SeveralNumbers);
        }
        (IdentifierChange::Correction | IdentifierChange::Succession, InUse::NotThatOne) => {
            return Err(IdentifierRefusal::NotInUse);
        }
        (IdentifierChange::Correction | IdentifierChange::Succession, InUse::One(from)) => from,
    };
    if from.is_swedish() != new.is_swedish() {
        return Err(IdentifierRefusal::OtherState);
    }
    match change {
        IdentifierChange::Succession if !from.is_succeeded_by(new) => Err(IdentifierRefusal::NotASuccessor),
        IdentifierChange::First | IdentifierChange::Correction | IdentifierChange::Succession => {
            Ok(IdentifierStep { from: Some(from), to: new })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scheme() -> impl Strategy<Value = Scheme> {
        proptest::sample::select(Scheme::ALL.to_vec())
    }

    fn change() -> impl Strategy<Value = IdentifierChange> {
        proptest::sample::select(vec![
            IdentifierChange::First,
            IdentifierChange::Correction,
            IdentifierChange::Succession,
        ])
    }

    #[test]
    fn a_temporary_number_becomes_a_coordination_number_and_that_a_personnummer() {
        let detail =
            |from, to| step(IdentifierChange::Succession, InUse::One(from), to).map(IdentifierStep::detail);
        assert_eq!(detail(Scheme::Temporary, Scheme::Coordination).as_deref(), Ok("se.tf>se.snr"));
        assert_eq!(detail(Scheme::Temporary, Scheme::Personal).as_deref(), Ok("se.tf>se.pnr"));
        assert_eq!(detail(Scheme::Coordination, Scheme::Personal).as_deref(), Ok("se.snr>se.pnr"));
        assert_eq!(detail(Scheme::Personal, Scheme::Temporary), Err(IdentifierRefusal::NotASuccessor));
        assert_eq!(detail(Scheme::Personal, Scheme::Personal), Err(IdentifierRefusal::NotASuccessor));
    }

    #[test]
    fn the_first_number_takes_the_place_of_none() {
        let first = step(IdentifierChange::First, InUse::Nothing, Scheme::Temporary);
        assert_eq!(first.map(IdentifierStep::detail).as_deref(), Ok("none>se.tf"));
        let second = step(IdentifierChange::First, InUse::One(Scheme::Temporary), Scheme::Personal);
        assert_eq!(second, Err(IdentifierRefusal::HasNumber));
    }

    #[test]
    fn a_correction_goes_between_all_numbers_of_one_state() {
        for from in Scheme::ALL {
            for to in Scheme::ALL {
                let allowed = step(IdentifierChange::Correction, InUse::One(from), to).is_ok();
                assert_eq!(allowed, (from == Scheme::Bsn) == (to == Scheme::Bsn), "{from:?} {to:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_life_of_an_account_goes_back_by_succession_or_crosses_a_border(
            steps in proptest::collection::vec((change(), scheme()), 0..20)
        ) {
            let mut number: Option<Scheme> = None;
            for (change, to) in steps {
                let in_use = number.map_or(InUse::Nothing, InUse::One);
                let Ok(step) = step(change, in_use, to) else { continue };
                prop_assert_eq!(step.replaces(), number.is_some());
                match (change, number) {
                    (IdentifierChange::First, before) => prop_assert_eq!(before, None),
                    (IdentifierChange::Correction, before) => prop_assert!(before.is_some()),
                    (IdentifierChange::Succession, before) => {
                        let before = before.expect("a number before");
                        prop_assert!(before.is_succeeded_by(to) && !to.is_succeeded_by(before));
                    }
                }
                prop_assert!(number.is_none_or(|before| (before == Scheme::Bsn) == (to == Scheme::Bsn)));
                number = Some(to);
            }
        }

        #[test]
        fn what_is_not_clear_is_refused(change in change(), to in scheme()) {
            prop_assert!(step(change, InUse::Several, to).is_err());
            prop_assert!(step(change, InUse::NotThatOne, to).is_err());
        }
    }
}
