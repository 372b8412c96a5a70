//! Canonical forms of everything that identifies a person: one parser a kind, one form for storing and comparing.
//!
//! The canonical forms are the exact-match contract: what a person types, a portal sends, an identity provider
//! asserts or a source imports goes through the same parser, and bytes are compared. `tests/vectors` holds cases.
//! The types hold personal data: `Debug` hides the value and there is no `Display`, so that none ends up in a log
//! by accident; `as_str` is the word to look for.

use std::fmt;

/// Gives a kind of identifier its newtype: private text, made only in the module that parses it, hidden by `Debug`.
macro_rules! canonical_text {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The canonical form: the one that is stored, and compared byte for byte.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            /// Names the type and hides the value: it is personal data.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

mod birth_date;
mod bsn;
mod debtor_number;
mod email;
mod email_domain;
mod login_name;
mod mobile;
mod national_id;
mod numbering_plan;
mod other_number;
mod screen;
mod swedish;

pub use bsn::Bsn;
pub use debtor_number::{DebtorNumber, LeadingZeros};
pub use email::Email;
pub use login_name::LoginName;
pub use mobile::{Mobile, Region};
pub use national_id::NationalId;
pub use swedish::{CoordinationNumber, PersonalNumber, SwedishNumber, TemporaryNumber};

/// The kinds of identifier that have a canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A personnummer, a coordination number or a temporary number: see [`SwedishNumber`].
    Swedish,
    /// A Dutch citizen service number: see [`Bsn`].
    Bsn,
    /// The customer number at an organization: see [`DebtorNumber`].
    DebtorNumber,
    /// What is typed into the login field: see [`LoginName`].
    LoginName,
    /// An e-mail address: see [`Email`].
    Email,
    /// A mobile number: see [`Mobile`].
    Mobile,
}

impl Kind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Self; 6] =
        [Self::Swedish, Self::Bsn, Self::DebtorNumber, Self::LoginName, Self::Email, Self::Mobile];

    /// The name on the command line and in reports, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Swedish => "swedish",
            Self::Bsn => "bsn",
            Self::DebtorNumber => "debtor_number",
            Self::LoginName => "login_name",
            Self::Email => "email",
            Self::Mobile => "mobile",
        }
    }

    /// The kind of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Why a text is no identifier of the kind asked for.
///
/// Both parts are fixed text: a rejected value is personal data as much as an accepted one, so it has no way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rejection {
    code: &'static str,
    reason: &'static str,
}

impl Rejection {
    /// A rejection with a short `code` in snake case, and a `reason` that says what is wrong and what to do.
    pub(in crate::domain::identifier) const fn new(code: &'static str, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// A short name in snake case, for programs: stable, unlike the words of [`Rejection::reason`].
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong and what to do, in plain English, for people. Never holds the value.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Kind::from_name("Swedish"), None);
    }

    #[test]
    fn debug_never_shows_a_value() {
        let on = jiff::civil::date(2026, 11, 21);
        let shown = [
            format!("{:?}", SwedishNumber::parse("19990807-2391", on).unwrap()),
            format!("{:?}", NationalId::from(SwedishNumber::parse("19870101-TF12", on).unwrap())),
            format!("{:?}", Bsn::parse("123456782").unwrap()),
            format!("{:?}", DebtorNumber::parse("10234", LeadingZeros::Keep).unwrap()),
            format!("{:?}", LoginName::parse("10234", LeadingZeros::Keep).unwrap()),
            format!("{:?}", Email::parse("anna@example.se").unwrap()),
            format!("{:?}", Mobile::parse("0701740635", Region::Se).unwrap()),
        ];
        assert_eq!(
            shown,
            [
                "Personal(PersonalNumber(…))",
                "Tf(TemporaryNumber(…))",
                "Bsn(…)",
                "DebtorNumber(…)",
                "LoginName(…)",
                "Email(…)",
                "Mobile(…)",
            ]
        );
    }
}
