//! The short code shown with a failure, which support can look up.

use std::fmt;

/// No look-alikes (0 O, 1 I L, U V, 2 Z, 5 S, 8 B) and read aloud without doubt: 22 letters and digits.
const ALPHABET: &[u8; 22] = b"34679ACDEFGHJKMNPQRTWX";

/// Eight characters of a 22-character alphabet: 35 bit, unique enough inside one organization and its retention.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReferenceCode(String);

impl ReferenceCode {
    /// Characters in a code.
    pub const LENGTH: usize = 8;

    /// A code from eight random bytes. The bias of the remainder (256 mod 22) is of no concern: it is no secret.
    pub fn new(random: [u8; Self::LENGTH]) -> Self {
        Self(random.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect())
    }

    /// Reads a code as a person types it: any case, spaces and dashes dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let code: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-'))
            .map(|c| c.to_ascii_uppercase())
            .take(Self::LENGTH + 1)
            .collect();
        (code.len() == Self::LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte)))
            .then_some(Self(code))
    }

    /// The eight characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReferenceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ReferenceCode;

    #[test]
    fn a_code_is_read_back_as_people_type_it() {
        let code = ReferenceCode::new([0, 1, 2, 3, 20, 21, 22, 255]);
        let typed = format!(" {}-{} ", code.as_str()[..4].to_lowercase(), &code.as_str()[4..]);
        assert_eq!(ReferenceCode::parse(&typed), Some(code));
        assert_eq!(ReferenceCode::parse("OIL01258"), None);
    }
}
