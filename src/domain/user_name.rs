//! Generated user names: short, told over the phone without doubt, and not to be guessed from another one.

use super::identifier::{LeadingZeros, LoginName, Rejection};

/// Letters without a look-alike among digits and letters (B G I L O Q S U Z), and without vowels, so that no word
/// comes out.
const LETTERS: &[u8; 15] = b"CDFHJKMNPRTVWXY";
/// Digits without a look-alike among the letters (0 1).
const DIGITS: &[u8; 8] = b"23456789";
/// Letters, digits, letters: 15⁶ · 8⁴ ≈ 2³⁵·⁴ names. No dash between them: people leave it out, and the match is exact.
/// Spaces are dropped from what is typed, so portals may show the name as `HKT 4739 RWX`.
const GROUPS: [(&[u8], usize); 3] = [(LETTERS, 3), (DIGITS, 4), (LETTERS, 3)];

/// The user name that these random bytes mean. The same bytes give the same name.
///
/// # Errors
/// Never, as long as the names pass the rule of login names; a test holds the two together.
pub fn generate(random: [u8; 16]) -> Result<LoginName, Rejection> {
    // 128 bits for 35: the remainders differ in likelihood by less than 2⁻⁹⁰.
    let mut rest = u128::from_be_bytes(random);
    let mut name = String::with_capacity(10);
    for (alphabet, length) in GROUPS {
        let size = alphabet.len() as u128;
        for _ in 0..length {
            // The remainder is below the alphabet's length.
            name.push(char::from(alphabet[(rest % size) as usize]));
            rest /= size;
        }
    }
    LoginName::parse(&name, LeadingZeros::Keep)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_are_at_least_35_bits_of_names() {
        let names: u64 =
            GROUPS.iter().flat_map(|(alphabet, length)| vec![alphabet.len() as u64; *length]).product();
        assert!(names >= 1 << 35, "{names}");
    }

    #[test]
    fn no_letter_looks_like_a_digit_and_none_comes_twice() {
        let mut letters = LETTERS.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), LETTERS.len());
        for look_alike in *b"AEIOUBGLQSZ01" {
            assert!(!LETTERS.contains(&look_alike) && !DIGITS.contains(&look_alike), "{look_alike}");
        }
    }

    proptest! {
        #[test]
        fn every_generated_name_is_a_login_name_in_canonical_form(random in any::<[u8; 16]>()) {
            let name = generate(random).unwrap();
            prop_assert_eq!(generate(random), Ok(name.clone()));
            prop_assert_eq!(LoginName::parse(name.as_str(), LeadingZeros::Strip), Ok(name.clone()));
            let shown = format!("{} {} {}", &name.as_str()[..3], &name.as_str()[3..7], &name.as_str()[7..]);
            prop_assert_eq!(LoginName::parse(&shown.to_lowercase(), LeadingZeros::Keep), Ok(name));
        }

        #[test]
        fn other_bytes_nearly_always_give_another_name(one in any::<[u8; 16]>(), other in any::<[u8; 16]>()) {
            // 2³⁵ names and 256 pairs: a repetition within this test means that bytes are left unused.
            prop_assume!(one != other);
            prop_assert_ne!(generate(one), generate(other));
        }
    }
}
