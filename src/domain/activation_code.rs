//! The code on a sheet: ten characters that people type.

use super::secret::Secret;

/// Crockford's alphabet: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code: 50 random bits.
const CODE_LENGTH: usize = 10;

/// Bits that a character stands for.
const BITS: usize = 5;

/// The code on a sheet, as ten characters without a dash.
pub struct ActivationCode(Secret<String>);

impl ActivationCode {
    /// A code from seven random bytes, of which it takes 50 bits.
    pub fn new(random: [u8; 7]) -> Self {
        let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        // Each index is under 32.
        let character = |place: usize| char::from(ALPHABET[(bits >> (BITS * place) & 31) as usize]);
        Self(Secret::new((0..CODE_LENGTH).map(character).collect()))
    }

    /// Reads a code as people type it: any case, with spaces and dashes; O is 0, I and L are 1. `None` if it is none: U is
    /// in no code.
    pub fn parse(typed: &Secret<String>) -> Option<Self> {
        // Never longer than this, so that no copy is left behind.
        let mut code = String::with_capacity(CODE_LENGTH);
        for each in typed.expose().chars() {
            let read = match each.to_ascii_uppercase() {
                // Text processors make other dashes of a dash.
                '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' => continue,
                space if space.is_whitespace() => continue,
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(read).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || code.len() == CODE_LENGTH {
                return None;
            }
            code.push(read);
        }
        (code.len() == CODE_LENGTH).then(|| Self(Secret::new(code)))
    }

    /// The ten characters: what is hashed and compared.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The code for people: `7K3MX-A4CQZ`.
    pub fn shown(&self) -> Secret<String> {
        let (first, second) = self.0.expose().split_at(CODE_LENGTH / 2);
        Secret::new(format!("{first}-{second}"))
    }

    /// The ten characters, given away.
    pub fn into_secret(self) -> Secret<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn typed(text: &str) -> Option<String> {
        ActivationCode::parse(&Secret::new(text.to_owned())).map(|code| code.expose().to_owned())
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for text in
            ["7K3MX-A4C01", "7k3mxa4c01", " 7k3mx a4coi\t", "7K3MX\u{2013}A4CoL", "7-K-3-M-X a4c\u{a0}0l"]
        {
            assert_eq!(typed(text).as_deref(), Some("7K3MXA4C01"), "{text}");
        }
    }

    #[test]
    fn what_is_in_no_code_is_none() {
        for text in
            ["", "7K3MX-A4C0", "7K3MX-A4C011", "7K3MX-A4CU1", "7K3MX_A4C01", "７K3MXA4C01", "7K3MXA4C0é"]
        {
            assert_eq!(typed(text), None, "{text}");
        }
    }

    #[test]
    fn a_code_has_50_bits_that_all_count() {
        let mut codes = BTreeSet::new();
        for bit in 0..50_usize {
            let mut random = [0; 7];
            random[6 - bit / 8] = 1 << (bit % 8);
            codes.insert(ActivationCode::new(random).expose().to_owned());
        }
        assert_eq!(codes.len(), 50);
        assert_eq!(ActivationCode::new([0; 7]).shown().expose(), "00000-00000");
        assert_eq!(ActivationCode::new([255; 7]).shown().expose(), "ZZZZZ-ZZZZZ");
    }

    proptest! {
        #[test]
        fn every_code_is_read_back_however_it_is_typed(
            random in any::<[u8; 7]>(), lower in any::<bool>(), look_alikes in any::<bool>(), gap in "[ -]{0,3}",
        ) {
            let code = ActivationCode::new(random);
            let mut text = code.shown().expose().replace('-', &gap);
            if look_alikes {
                text = text.replace('0', "O").replacen('1', "I", 1).replace('1', "L");
            }
            if lower {
                text = text.to_lowercase();
            }
            prop_assert_eq!(typed(&text), Some(code.expose().to_owned()));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = typed(&text);
        }
    }
}
