//! The common screen for numbers: which characters are dropped, read as another, or refused.

use super::Rejection;

/// No number of ours is longer than 14 characters; the rest is room for spaces and three-byte dashes.
const LONGEST_NUMBER_BYTES: usize = 32;

/// What spreadsheets and word processors leave around and inside a value: space, TAB, U+00A0 and U+202F (the two
/// no-break spaces).
pub(super) const SPACES: [char; 4] = [' ', '\t', '\u{A0}', '\u{202F}'];

const TOO_LONG: Rejection = Rejection::new(
    "too_long",
    "This is too long: a number has at most 32 bytes. Enter one number and nothing else.",
);
const EMPTY: Rejection = Rejection::new("empty", "There is nothing here. Enter the number.");
const CHARACTER: Rejection = Rejection::new(
    "character_not_allowed",
    "A character here cannot be part of this number. Type the number again with plain digits and letters, \
     without other signs or invisible characters.",
);

/// Whether people and spreadsheets mean `-` by this character: U+002D, U+2010–U+2014 and U+2212.
pub(super) const fn is_dash(character: char) -> bool {
    matches!(character, '-' | '\u{2010}'..='\u{2014}' | '\u{2212}')
}

/// The text with spaces dropped, dashes read as `-` and letters upper-cased: ASCII letters, digits and `marks` only.
///
/// One leading apostrophe, with which spreadsheets say "text, not a number", is dropped. The length counts before
/// anything is dropped, so that a huge text costs nothing.
///
/// # Errors
/// When the text is longer than 32 bytes of UTF-8, holds another character, or nothing is left.
pub(super) fn number(input: &str, marks: &[char]) -> Result<String, Rejection> {
    if input.len() > LONGEST_NUMBER_BYTES {
        return Err(TOO_LONG);
    }
    let mut screened = String::with_capacity(input.len());
    for character in input.strip_prefix('\'').unwrap_or(input).chars() {
        let character = if is_dash(character) { '-' } else { character.to_ascii_uppercase() };
        if character.is_ascii_alphanumeric() || marks.contains(&character) {
            screened.push(character);
        } else if !SPACES.contains(&character) {
            return Err(CHARACTER);
        }
    }
    if screened.is_empty() { Err(EMPTY) } else { Ok(screened) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_leading_apostrophe_is_dropped_and_no_more() {
        assert_eq!(number("'12", &[]).unwrap(), "12");
        assert_eq!(number("' 12", &[]).unwrap(), "12");
        for refused in ["''12", " '12", "1'2", "12'", "\u{2019}12"] {
            assert_eq!(number(refused, &[]).unwrap_err(), CHARACTER);
        }
        assert_eq!(number("'", &[]).unwrap_err(), EMPTY);
    }

    #[test]
    fn the_four_spaces_are_dropped_anywhere_and_no_others() {
        assert_eq!(number(" 1\t2\u{A0}3\u{202F}4 ", &[]).unwrap(), "1234");
        for refused in ['\n', '\r', '\u{B}', '\u{2009}', '\u{3000}', '\u{200B}', '\u{FEFF}', '\u{AD}', '\0'] {
            assert_eq!(number(&format!("12{refused}3"), &[]).unwrap_err(), CHARACTER);
        }
    }

    #[test]
    fn every_dash_is_read_as_a_hyphen_where_a_hyphen_is_allowed() {
        for dash in ['-', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'] {
            assert_eq!(number(&format!("1{dash}2"), &['-']).unwrap(), "1-2");
            assert_eq!(number(&format!("1{dash}2"), &[]).unwrap_err(), CHARACTER);
        }
        for not_a_dash in ['\u{200F}', '\u{2015}', '\u{FE63}', '\u{FF0D}', '_', '~'] {
            assert_eq!(number(&format!("1{not_a_dash}2"), &['-']).unwrap_err(), CHARACTER);
        }
    }

    #[test]
    fn letters_that_become_ascii_under_unicode_case_rules_are_refused() {
        for refused in ["\u{212A}1", "\u{131}1", "\u{17F}1", "\u{FB01}1", "\u{FF21}1", "\u{E5}1"] {
            assert_eq!(number(refused, &[]).unwrap_err(), CHARACTER);
        }
    }

    #[test]
    fn the_length_counts_bytes_before_anything_is_dropped() {
        assert_eq!(number(&"1".repeat(32), &[]).unwrap().len(), 32);
        assert_eq!(number(&format!("'{}", "1".repeat(32)), &[]).unwrap_err(), TOO_LONG);
        assert_eq!(number(&" ".repeat(33), &[]).unwrap_err(), TOO_LONG);
        assert_eq!(number(&" ".repeat(32), &[]).unwrap_err(), EMPTY);
    }

    proptest! {
        #[test]
        fn what_passes_is_plain_and_passes_again_unchanged(input in "\\PC{0,40}") {
            if let Ok(screened) = number(&input, &['-', '+']) {
                prop_assert!(screened.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-+".contains(c)));
                prop_assert_eq!(number(&screened, &['-', '+']), Ok(screened));
            }
        }
    }
}
