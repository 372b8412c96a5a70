//! The debtor number: the customer number at an organization, opaque to us.

use super::{Rejection, screen};

const FORM: Rejection =
    Rejection::new("form", "There is no letter or digit here. Enter the number as on the invoice.");

/// What an organization does with zeros in front: its own systems print them or leave them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeadingZeros {
    /// `00123` and `123` are two numbers.
    #[default]
    Keep,
    /// `00123` and `123` are one number, `123`.
    Strip,
}

canonical_text! {
    /// A debtor number in upper case: letters, digits, `-`, `/` and `.`, with at least one letter or digit.
    ///
    /// Unique per organization and portal; there is no national standard for it.
    DebtorNumber
}

impl DebtorNumber {
    /// Reads a debtor number as the organization writes it.
    ///
    /// # Errors
    /// When there is another character in it, or neither letter nor digit.
    pub fn parse(input: &str, leading_zeros: LeadingZeros) -> Result<Self, Rejection> {
        text(input, leading_zeros).map(Self)
    }
}

/// The canonical text of a debtor number, which a login name shares: both live in one unique index.
pub(super) fn text(input: &str, leading_zeros: LeadingZeros) -> Result<String, Rejection> {
    let text = screen::number(input, &['-', '/', '.'])?;
    if !names_something(&text) {
        return Err(FORM);
    }
    Ok(match leading_zeros {
        LeadingZeros::Keep => text,
        LeadingZeros::Strip => match text.trim_start_matches('0') {
            stripped if names_something(stripped) => stripped.to_owned(),
            // Zeros are all there is: the last one stays, so that the number is not empty.
            stripped => format!("0{stripped}"),
        },
    })
}

fn names_something(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(input: &str) -> String {
        DebtorNumber::parse(input, LeadingZeros::Keep).unwrap().as_str().to_owned()
    }

    fn stripped(input: &str) -> String {
        DebtorNumber::parse(input, LeadingZeros::Strip).unwrap().as_str().to_owned()
    }

    #[test]
    fn leading_zeros_are_kept_unless_the_organization_strips_them() {
        assert_eq!(kept("00123"), "00123");
        assert_ne!(kept("00123"), kept("123"));
        assert_eq!(stripped("00123"), "123");
        assert_eq!(stripped("1230"), "1230");
        assert_eq!(stripped("A0123"), "A0123");
    }

    #[test]
    fn zeros_alone_keep_one_when_stripped() {
        assert_eq!(stripped("0"), "0");
        assert_eq!(stripped("000"), "0");
        assert_eq!(stripped("00-"), "0-");
        assert_eq!(stripped("00-1"), "-1");
    }

    #[test]
    fn the_marks_are_part_of_the_number() {
        assert_eq!(kept("k/2024.17"), "K/2024.17");
        assert_ne!(kept("10-2"), kept("102"));
        assert_ne!(kept("10-2"), kept("10/2"));
        assert_eq!(kept("10\u{2212}2"), "10-2");
    }

    #[test]
    fn marks_alone_are_no_number() {
        for wrong in ["-", "---", "./-", "-\u{2013}"] {
            assert_eq!(DebtorNumber::parse(wrong, LeadingZeros::Keep), Err(FORM));
            assert_eq!(DebtorNumber::parse(wrong, LeadingZeros::Strip), Err(FORM));
        }
    }

    proptest! {
        #[test]
        fn a_canonical_form_gives_itself(input in "0{0,3}[0-9a-zA-Z/. \u{2013}-]{0,12}|\\PC{0,12}") {
            for zeros in [LeadingZeros::Keep, LeadingZeros::Strip] {
                if let Ok(number) = DebtorNumber::parse(&input, zeros) {
                    let text = number.as_str().to_owned();
                    prop_assert!(text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-/.".contains(c)));
                    prop_assert!(names_something(&text));
                    prop_assert_eq!(DebtorNumber::parse(&text, zeros), Ok(number));
                }
            }
        }

        #[test]
        fn no_text_panics(input in any::<String>()) {
            let _ = DebtorNumber::parse(&input, LeadingZeros::Strip);
        }
    }
}
