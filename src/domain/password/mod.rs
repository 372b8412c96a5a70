//! The rule for new passwords: length and a blocklist, no composition rules, no expiry (NIST SP 800-63B-4 §3.1.1.2).

mod blocklist;
mod hash;
mod text;

pub use blocklist::Blocklist;
pub use hash::{HashParameters, HashRejection, PasswordHash};
pub use text::{ClaimedPassword, MAX_BYTES, MAX_CODE_POINTS, Unusable, normalized};

use std::fmt;

use super::secret::Secret;

/// What an organization asks of a new password. Never applied when a password is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Least length in Unicode code points after NFC. Default 15 (the password is the only factor), never under 8.
    pub min_length: u16,
    /// Words of the organization (its names, its portal): a password equal to one of them is refused.
    pub blocked_words: Vec<String>,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 15, blocked_words: Vec::new() }
    }
}

/// Why a new password is refused. The numbers are limits, never properties of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Fewer code points than the organization asks for.
    TooShort {
        /// Code points that are needed.
        min_length: u16,
    },
    /// More than [`MAX_CODE_POINTS`] or [`MAX_BYTES`]; nothing else was looked at.
    TooLong,
    /// The whole password is on the list of common passwords.
    Common,
    /// The whole password is a word of the organization.
    OrganizationWord,
    /// The whole password is a name of the account, such as its login name.
    AccountName,
    /// It is the password that is being changed.
    SameAsCurrent,
    /// Holds a control character (tab, line break, NUL): pasted by mistake, and hard to type again.
    ControlCharacter,
}

impl Refusal {
    /// The stable code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "TOO_SHORT",
            Self::TooLong => "TOO_LONG",
            Self::Common => "COMMON_PASSWORD",
            Self::OrganizationWord => "ORGANIZATION_WORD",
            Self::AccountName => "ACCOUNT_NAME",
            Self::SameAsCurrent => "SAME_AS_CURRENT",
            Self::ControlCharacter => "CONTROL_CHARACTER",
        }
    }
}

/// English for developers.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { min_length } => write!(f, "must have at least {min_length} characters"),
            Self::TooLong => {
                write!(f, "must have at most {MAX_CODE_POINTS} characters and {MAX_BYTES} bytes")
            }
            Self::Common => f.write_str("must not be a common password"),
            Self::OrganizationWord => f.write_str("must not be a word of the organization"),
            Self::AccountName => f.write_str("must not be a name of the account"),
            Self::SameAsCurrent => f.write_str("must not be the password in use"),
            Self::ControlCharacter => f.write_str("must not hold control characters"),
        }
    }
}

/// A password to be hashed: it passed the policy, or it is in use already. Its private field means that only
/// [`PasswordPolicy::accept`] and [`NewPassword::already_in_use`] make one.
#[derive(Debug)]
pub struct NewPassword(Secret<String>);

impl NewPassword {
    /// A password that was right a moment ago and is hashed anew with the live parameters. The policy is not applied:
    /// imported shorter passwords work until they are changed.
    pub fn already_in_use(verified: Secret<String>) -> Self {
        Self(verified)
    }

    /// A code that we made and that stands for a password once. The policy is for what people choose.
    pub fn one_time_code(code: Secret<String>) -> Self {
        Self(code)
    }

    /// The password, for the hasher.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl PasswordPolicy {
    /// No organization may ask for less (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 6.2.1).
    pub const LEAST_MIN_LENGTH: u16 = 8;

    /// No organization may ask for more: passwords of 64 characters are always allowed (OWASP ASVS 6.2.9).
    pub const GREATEST_MIN_LENGTH: u16 = 64;

    /// The least length that is applied: `min_length` within what is allowed, whatever was configured.
    pub fn effective_min_length(&self) -> u16 {
        self.min_length.clamp(Self::LEAST_MIN_LENGTH, Self::GREATEST_MIN_LENGTH)
    }

    /// Accepts a new password, or tells every reason against it. `account_names` are the names of the account (login
    /// names, e-mail): none may be the password. Whole strings are compared, without regard to case; there is no rule
    /// on parts, kinds of characters or age.
    ///
    /// # Errors
    /// All refusals, in the order of [`Refusal`]'s variants; only [`Refusal::TooLong`] if it is too long. Never
    /// [`Refusal::SameAsCurrent`]: that needs the hash on file, so the flow finds it.
    pub fn accept(
        &self,
        raw: Secret<String>,
        blocklist: &Blocklist,
        account_names: &[&str],
    ) -> Result<NewPassword, Vec<Refusal>> {
        let min_length = self.effective_min_length();
        let password = match normalized(raw.expose()) {
            Ok(password) => password,
            Err(Unusable::TooLong) => return Err(vec![Refusal::TooLong]),
            Err(Unusable::Empty) => return Err(vec![Refusal::TooShort { min_length }]),
        };
        drop(raw);

        let folded = text::folded(password.expose());
        let is = |word: &str| text::folded(word).expose() == folded.expose();
        let length = password.expose().chars().count();
        let checks = [
            (length < usize::from(min_length), Refusal::TooShort { min_length }),
            (blocklist.contains_folded(folded.expose()), Refusal::Common),
            (self.blocked_words.iter().any(|word| is(word)), Refusal::OrganizationWord),
            (account_names.iter().any(|name| is(name)), Refusal::AccountName),
            (password.expose().chars().any(char::is_control), Refusal::ControlCharacter),
        ];
        let refusals: Vec<Refusal> =
            checks.into_iter().filter_map(|(fails, refusal)| fails.then_some(refusal)).collect();
        if refusals.is_empty() { Ok(NewPassword(password)) } else { Err(refusals) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Blocklist, PasswordPolicy, Refusal};
    use crate::domain::secret::Secret;

    fn refusals(policy: &PasswordPolicy, raw: &str, names: &[&str]) -> Vec<Refusal> {
        let accepted = policy.accept(Secret::new(raw.to_owned()), &Blocklist::embedded(), names);
        accepted.err().unwrap_or_default()
    }

    fn default_refusals(raw: &str) -> Vec<Refusal> {
        refusals(&PasswordPolicy::default(), raw, &[])
    }

    #[test]
    fn fifteen_characters_are_asked_for_by_default() {
        assert_eq!(default_refusals("zebrakabelmoln"), [Refusal::TooShort { min_length: 15 }]);
        assert!(default_refusals("zebrakabelmolne").is_empty());
    }

    #[test]
    fn no_organization_can_ask_for_less_than_eight_or_more_than_sixty_four() {
        let lax = PasswordPolicy { min_length: 1, ..PasswordPolicy::default() };
        assert_eq!(refusals(&lax, "zqkabel", &[]), [Refusal::TooShort { min_length: 8 }]);
        assert!(refusals(&lax, "zqkabelm", &[]).is_empty());
        let strict = PasswordPolicy { min_length: 1000, ..PasswordPolicy::default() };
        assert!(refusals(&strict, &"zebra kabel ".repeat(6), &[]).is_empty());
    }

    #[test]
    fn every_reason_is_told_at_once() {
        let policy = PasswordPolicy { min_length: 15, blocked_words: vec!["PassWord".into()] };
        assert_eq!(
            refusals(&policy, "password", &["Password"]),
            [
                Refusal::TooShort { min_length: 15 },
                Refusal::Common,
                Refusal::OrganizationWord,
                Refusal::AccountName,
            ]
        );
    }

    #[test]
    fn an_over_long_password_is_refused_for_that_alone() {
        assert_eq!(default_refusals(&"\0".repeat(2000)), [Refusal::TooLong]);
    }

    #[test]
    fn a_word_of_the_organization_inside_a_password_is_no_reason() {
        let policy = PasswordPolicy {
            min_length: 15,
            blocked_words: vec!["unikum".into(), "Förskolan Ängen".into()],
        };
        assert!(refusals(&policy, "unikum-är-där-jag-bor", &["unikum"]).is_empty());
        assert_eq!(refusals(&policy, "fo\u{308}rskolan a\u{308}ngen", &[]), [Refusal::OrganizationWord]);
    }

    #[test]
    fn the_name_of_the_account_is_no_password() {
        assert_eq!(
            refusals(
                &PasswordPolicy::default(),
                "ANNA.Andersson@example.org",
                &["x", "anna.andersson@example.org"]
            ),
            [Refusal::AccountName]
        );
    }

    #[test]
    fn control_characters_are_refused_and_spaces_are_not() {
        assert_eq!(default_refusals("zebra kabel moln\n"), [Refusal::ControlCharacter]);
        assert_eq!(default_refusals("zebra\0kabel moln"), [Refusal::ControlCharacter]);
        assert!(default_refusals(" zebra kabel moln ").is_empty());
    }

    #[test]
    fn debug_of_an_accepted_password_shows_nothing() {
        let accepted = PasswordPolicy::default().accept(
            Secret::new("zebra kabel moln".to_owned()),
            &Blocklist::embedded(),
            &[],
        );
        assert_eq!(format!("{accepted:?}"), "Ok(NewPassword(Secret(…)))");
    }

    #[test]
    fn codes_and_texts_tell_limits_only() {
        assert_eq!(Refusal::TooShort { min_length: 15 }.code(), "TOO_SHORT");
        assert_eq!(Refusal::TooShort { min_length: 15 }.to_string(), "must have at least 15 characters");
        assert_eq!(Refusal::TooLong.to_string(), "must have at most 256 characters and 1024 bytes");
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused_with_a_reason(raw in "\\PC{0,300}") {
            let accepted = PasswordPolicy::default().accept(Secret::new(raw), &Blocklist::embedded(), &["x"]);
            if let Err(reasons) = accepted {
                prop_assert!(!reasons.is_empty());
            }
        }
    }
}
