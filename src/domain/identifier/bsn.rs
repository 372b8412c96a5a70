//! The Dutch citizen service number (burgerservicenummer, BSN).

use super::{Rejection, screen};

/// Weights of the eleven-test, the last one negative (Besluit BSN; Logisch Ontwerp BSN).
const WEIGHTS: [i32; 9] = [9, 8, 7, 6, 5, 4, 3, 2, -1];

const FORM: Rejection =
    Rejection::new("form", "A BSN has 8 or 9 digits. Check that none is missing or doubled.");
const ZERO: Rejection =
    Rejection::new("zero", "A BSN is not all zeros. Enter the number from the official document.");
const ELEVEN_TEST: Rejection = Rejection::new(
    "eleven_test",
    "These digits do not fit together, so one of them is wrong. Check every digit.",
);

canonical_text! {
    /// A BSN, `nl.bsn:nnnnnnnnn`: it says who is meant and never proves it.
    ///
    /// Companies' numbers (RSIN) pass the same test and cannot be told apart.
    Bsn
}

impl Bsn {
    /// Reads 8 or 9 digits, `-` and `.` dropped. Numbers that begin with 0 are often written with 8: they get it back.
    ///
    /// Only exactly one zero is added: a number that lost more digits is a wrong number, not a short one.
    ///
    /// # Errors
    /// When there are fewer or more digits or anything else, all are zero, or the eleven-test fails.
    pub fn parse(input: &str) -> Result<Self, Rejection> {
        let mut digits = screen::number(input, &['-', '.'])?;
        digits.retain(|character| character != '-' && character != '.');
        if digits.len() == 8 {
            digits.insert(0, '0');
        }
        if digits.len() != WEIGHTS.len() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FORM);
        }
        if digits.bytes().all(|byte| byte == b'0') {
            return Err(ZERO);
        }
        let sum: i32 =
            digits.bytes().zip(WEIGHTS).map(|(digit, weight)| i32::from(digit - b'0') * weight).sum();
        if sum % 11 == 0 { Ok(Self(format!("nl.bsn:{digits}"))) } else { Err(ELEVEN_TEST) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bsn_of_eight_digits_gets_its_leading_zero() {
        let bsn = Bsn::parse("10464554").unwrap();
        assert_eq!(bsn.as_str(), "nl.bsn:010464554");
        assert_eq!(bsn, Bsn::parse("010464554").unwrap());
    }

    #[test]
    fn no_other_length_is_padded_or_cut() {
        // 1 23456 02: the same digits would pass the eleven-test after more zeros.
        for wrong in ["1", "0464554", "464554", "0010464554", "0123456782", "1234567822"] {
            assert_eq!(Bsn::parse(wrong), Err(FORM));
        }
    }

    #[test]
    fn zeros_pass_the_eleven_test_and_are_refused_all_the_same() {
        assert_eq!(Bsn::parse("000000000"), Err(ZERO));
        assert_eq!(Bsn::parse("00000000"), Err(ZERO));
        assert_eq!(Bsn::parse("0000000"), Err(FORM));
    }

    #[test]
    fn dots_and_dashes_are_dropped_and_nothing_is_left_of_them_alone() {
        assert_eq!(Bsn::parse("1234.56\u{2013}782").unwrap().as_str(), "nl.bsn:123456782");
        for wrong in ["-.-", "12345678A", "12345678+2", "123456782,", "123/456/782"] {
            assert!(Bsn::parse(wrong).is_err());
        }
    }

    #[test]
    fn the_last_weight_is_minus_one() {
        assert!(Bsn::parse("111222333").is_ok());
        assert_eq!(Bsn::parse("111222331"), Err(ELEVEN_TEST));
    }

    proptest! {
        #[test]
        fn a_canonical_form_without_its_tag_gives_itself(input in "[0-9. -]{8,12}|\\PC{0,12}") {
            if let Ok(bsn) = Bsn::parse(&input) {
                let digits = bsn.as_str().strip_prefix("nl.bsn:").unwrap();
                prop_assert!(digits.len() == 9 && digits.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(Bsn::parse(digits), Ok(bsn));
            }
        }

        #[test]
        fn one_wrong_digit_is_always_noticed(number in 1_u32..=99_999_999, at in 0_usize..9, other in 0_u8..=9) {
            if let Ok(bsn) = Bsn::parse(&format!("{:09}", u64::from(number) * 10)) {
                let mut digits = bsn.as_str().strip_prefix("nl.bsn:").unwrap().to_owned();
                digits.replace_range(at..=at, &other.to_string());
                if let Ok(changed) = Bsn::parse(&digits) {
                    prop_assert_eq!(changed, bsn);
                }
            }
        }

        #[test]
        fn no_text_panics(input in any::<String>()) {
            let _ = Bsn::parse(&input);
        }
    }
}
