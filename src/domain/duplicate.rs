//! Whether two accounts may be one person's, and two children one child.

use super::identifier::NationalId;
use super::name_search::fold;

/// 60 is added to the day of birth in a coordination number (lag 2022:1697).
const COORDINATION_DAYS: u8 = 60;

/// What two accounts have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateSign {
    /// Given and family name, folded.
    Name,
    /// The e-mail address.
    Email,
    /// The mobile number.
    Mobile,
    /// A child.
    Child,
    /// The day of birth in their numbers.
    BirthDate,
}

/// The answers about a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five answers that have nothing to do with each other")]
pub struct Likeness {
    /// Equal names.
    pub name: bool,
    /// Equal addresses.
    pub email: bool,
    /// Equal mobile numbers.
    pub mobile: bool,
    /// A child in common.
    pub child: bool,
    /// An equal day of birth.
    pub birth_date: bool,
}

impl Likeness {
    /// The signs, if they are enough to show the pair to somebody: the same name and something else, or the same address
    /// and the same telephone. One alone says little: names repeat, and households share addresses.
    pub fn signs(self) -> Option<Vec<DuplicateSign>> {
        let enough = (self.name && (self.email || self.mobile || self.child || self.birth_date))
            || (self.email && self.mobile);
        let all = [
            (self.name, DuplicateSign::Name),
            (self.email, DuplicateSign::Email),
            (self.mobile, DuplicateSign::Mobile),
            (self.child, DuplicateSign::Child),
            (self.birth_date, DuplicateSign::BirthDate),
        ];
        enough.then(|| all.into_iter().filter_map(|(is_there, sign)| is_there.then_some(sign)).collect())
    }
}

/// Given and family name as they are compared: in any order, without case and accents. Empty for a name without letters,
/// which equals none.
pub fn name_key(given_name: &str, family_name: &str) -> Vec<String> {
    fold(&format!("{given_name} {family_name}"))
}

/// The day of birth in a number, as eight digits; `None` for numbers that hold none, and for incomplete ones.
pub fn birth_date(number: &NationalId) -> Option<String> {
    let digits = number.canonical().split_once(':')?.1.get(..8)?;
    match number {
        NationalId::Pnr(_) | NationalId::Tf(_) => Some(digits.to_owned()),
        NationalId::Snr(_) => {
            let (month, day) = digits.split_at(6);
            let day = day.parse::<u8>().ok()?.checked_sub(COORDINATION_DAYS)?;
            (day > 0).then(|| format!("{month}{day:02}"))
        }
        NationalId::Bsn(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(canonical: &str) -> NationalId {
        NationalId::from_canonical(canonical).unwrap()
    }

    #[test]
    fn numbers_of_three_schemes_hold_the_day_of_birth() {
        assert_eq!(birth_date(&number("se.pnr:199908072391")).as_deref(), Some("19990807"));
        assert_eq!(birth_date(&number("se.tf:19870101TF12")).as_deref(), Some("19870101"));
        assert_eq!(birth_date(&number("se.snr:197302889931")).as_deref(), Some("19730228"));
        assert_eq!(birth_date(&number("nl.bsn:010464554")), None);
    }

    #[test]
    fn a_name_alone_is_no_duplicate_and_neither_is_a_shared_address() {
        let name = Likeness { name: true, ..Likeness::default() };
        let email = Likeness { email: true, ..Likeness::default() };
        assert_eq!((name.signs(), email.signs()), (None, None));
        let both = Likeness { name: true, email: true, ..Likeness::default() };
        assert_eq!(both.signs(), Some(vec![DuplicateSign::Name, DuplicateSign::Email]));
        let reached_alike = Likeness { email: true, mobile: true, ..Likeness::default() };
        assert_eq!(reached_alike.signs(), Some(vec![DuplicateSign::Email, DuplicateSign::Mobile]));
    }

    #[test]
    fn names_are_compared_without_case_accents_and_order() {
        assert_eq!(name_key("Åsa", "LIND"), name_key("lind", "asa"));
        assert!(name_key("-", "·").is_empty());
    }
}
