//! The text of a password: its limits, its normal form (NFC), and the form in which it is looked up in lists.

use unicode_normalization::UnicodeNormalization;

use crate::domain::secret::Secret;

/// Longest password in code points after NFC. At least 64 must be allowed (NIST SP 800-63B-4 §3.1.1.2); ours is 256.
pub const MAX_CODE_POINTS: usize = 256;

/// Longest password in bytes of UTF-8 as received: 256 code points outside the basic plane.
pub const MAX_BYTES: usize = 1024;

/// NFC of one code point has at most this many times its UTF-8 bytes (Unicode Standard Annex 15, maximum expansion).
const MAX_EXPANSION: usize = 3;

/// Why a text is no password at all, for setting and for verifying alike. Refused, never truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No characters.
    #[error("is empty")]
    Empty,
    /// Over [`MAX_BYTES`] or [`MAX_CODE_POINTS`].
    #[error("has more than 256 characters or 1024 bytes")]
    TooLong,
}

/// A password as somebody claims it, within the limits that hold for everybody. No policy: imported passwords shorter
/// than the policy work until they are changed.
#[derive(Debug)]
pub struct ClaimedPassword(Secret<String>);

impl ClaimedPassword {
    /// Takes a claimed password before any other work, the look-up of the account included.
    ///
    /// # Errors
    /// [`Unusable`]: then it is nobody's password.
    pub fn parse(raw: Secret<String>) -> Result<Self, Unusable> {
        let password = normalized(raw.expose());
        // Wiped here rather than by the caller.
        drop(raw);
        password.map(Self)
    }

    /// Two of it: one to compare, one to hash anew if it was right.
    pub fn twice(self) -> (Self, Self) {
        let copy = Self(self.0.copied());
        (self, copy)
    }

    /// The password, for the hasher.
    pub fn into_secret(self) -> Secret<String> {
        self.0
    }
}

/// The password in NFC: the form that is counted and hashed. Never NFKC, never trimmed, never case-folded.
///
/// # Errors
/// [`Unusable`].
pub fn normalized(raw: &str) -> Result<Secret<String>, Unusable> {
    if raw.is_empty() {
        return Err(Unusable::Empty);
    }
    if raw.len() > MAX_BYTES {
        return Err(Unusable::TooLong);
    }
    // Room for the longest result, so that growing leaves no copies behind in freed memory.
    let mut text = String::with_capacity(raw.len() * MAX_EXPANSION);
    text.extend(raw.nfc());
    let text = Secret::new(text);
    if text.expose().chars().count() > MAX_CODE_POINTS { Err(Unusable::TooLong) } else { Ok(text) }
}

/// Lower case and NFC: the form of list entries. For comparing with lists only, never for hashing.
pub(super) fn folded(text: &str) -> Secret<String> {
    let mut folded = String::with_capacity(text.len() * MAX_EXPANSION);
    folded.extend(text.nfc().flat_map(char::to_lowercase).nfc());
    Secret::new(folded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::{ClaimedPassword, MAX_EXPANSION, Unusable, folded, normalized};
    use crate::domain::secret::Secret;

    fn claim(raw: &str) -> Result<String, Unusable> {
        ClaimedPassword::parse(Secret::new(raw.to_owned()))
            .map(|claimed| claimed.into_secret().expose().clone())
    }

    #[test]
    fn limits_count_code_points_after_nfc() {
        assert_eq!(claim(""), Err(Unusable::Empty));
        assert!(claim("x").is_ok());
        assert!(claim(&"x".repeat(256)).is_ok());
        assert_eq!(claim(&"x".repeat(257)), Err(Unusable::TooLong));
        assert!(claim(&"😀".repeat(256)).is_ok());
        assert_eq!(claim(&"😀".repeat(257)), Err(Unusable::TooLong));
        // 512 code points as typed on some systems, 256 after NFC.
        assert_eq!(claim(&"a\u{30a}".repeat(256)), Ok("å".repeat(256)));
    }

    #[test]
    fn nothing_is_trimmed_folded_or_compatibility_mapped() {
        assert_eq!(claim(" Ab\u{a0}\t"), Ok(" Ab\u{a0}\t".to_owned()));
        assert_eq!(claim("ﬁ²Ⅳ"), Ok("ﬁ²Ⅳ".to_owned()));
        assert_eq!(claim("a\u{30a}"), Ok("\u{e5}".to_owned()));
    }

    #[test]
    fn folding_ignores_case_and_composition() {
        assert_eq!(folded("A\u{30a}NGSTRO\u{308}M").expose(), "ångström");
    }

    proptest! {
        #[test]
        fn nfc_is_applied_once_for_good(raw in "\\PC{1,60}") {
            let once = normalized(&raw).unwrap();
            let twice = normalized(once.expose()).unwrap();
            prop_assert_eq!(twice.expose(), once.expose());
        }

        #[test]
        fn decomposed_and_composed_spellings_are_one_password(raw in "[a-zà-öāčšžǎ]{1,60}") {
            let decomposed = normalized(&raw.nfd().collect::<String>()).unwrap();
            let composed = normalized(&raw).unwrap();
            prop_assert_eq!(composed.expose(), decomposed.expose());
        }

        #[test]
        fn normal_forms_fit_the_room_made_for_them(raw in "\\PC{0,40}") {
            prop_assert!(raw.nfc().collect::<String>().len() <= raw.len() * MAX_EXPANSION);
            prop_assert!(folded(&raw).expose().len() <= raw.len() * MAX_EXPANSION);
        }
    }
}
