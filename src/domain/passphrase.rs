//! Suggested passphrases: words of the guardian's language, easy to remember and to type, hard to guess.

use super::password::PasswordPolicy;
use super::secret::Secret;

/// Words a list. A power of two, so that random bits choose without bias.
const WORDS: usize = 2048;
/// Bits that choose one word.
const BITS_PER_WORD: u32 = WORDS.ilog2();
/// Four words are 44 bits: out of reach behind the limits of the gate, and of argon2 if a database is stolen for all
/// but the most patient. Each word has 3 letters or more, so four with hyphens have at least 15 characters.
const LEAST_WORDS: usize = 4;

/// A language of texts for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locale {
    /// Swedish.
    Sv,
    /// Dutch.
    Nl,
    /// English, where nothing else is asked for.
    #[default]
    En,
}

impl Locale {
    /// All languages.
    pub const ALL: [Self; 3] = [Self::Sv, Self::Nl, Self::En];

    /// The BCP 47 tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sv => "sv",
            Self::Nl => "nl",
            Self::En => "en",
        }
    }

    /// Reads a BCP 47 tag by its language (`sv-SE` is Swedish). Others are English: a text that can be read beats an error.
    pub fn from_tag(tag: &str) -> Self {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|locale| language.eq_ignore_ascii_case(locale.as_str()))
            .unwrap_or_default()
    }

    /// The words, one a line. `src/domain/data/README.md` has their sources and licences.
    const fn words(self) -> &'static str {
        match self {
            Self::Sv => include_str!("data/words_sv.txt"),
            Self::Nl => include_str!("data/words_nl.txt"),
            Self::En => include_str!("data/words_en.txt"),
        }
    }
}

/// Suggests a passphrase of four words joined with `-`, or of more if the policy asks for a longer password.
/// `fill_random` fills a buffer from a cryptographically secure source. Words may repeat: that is part of the 44 bits.
pub fn suggest(
    locale: Locale,
    policy: &PasswordPolicy,
    mut fill_random: impl FnMut(&mut [u8]),
) -> Secret<String> {
    let min_length = usize::from(policy.effective_min_length());
    // Longest: just short of the least length, and one more word of eight letters and its hyphen.
    let mut passphrase = String::with_capacity((min_length + 9).max(LEAST_WORDS * 9));
    let mut words = 0;
    while words < LEAST_WORDS || passphrase.len() < min_length {
        let mut random = [0_u8; 2];
        fill_random(&mut random);
        let number = usize::from(u16::from_le_bytes(random) & ((1 << BITS_PER_WORD) - 1));
        if words > 0 {
            passphrase.push('-');
        }
        passphrase.push_str(locale.words().lines().nth(number).unwrap_or_default());
        words += 1;
    }
    Secret::new(passphrase)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::{Locale, WORDS, suggest};
    use crate::domain::password::{Blocklist, PasswordPolicy};

    fn with_bytes(locale: Locale, policy: &PasswordPolicy, bytes: &[u8]) -> String {
        let mut source = bytes.iter().copied().cycle();
        suggest(locale, policy, |buffer| buffer.fill_with(|| source.next().unwrap())).expose().clone()
    }

    #[test]
    fn each_list_has_2048_different_short_words_of_plain_letters() {
        for locale in Locale::ALL {
            let words: Vec<&str> = locale.words().lines().collect();
            assert_eq!(words.len(), WORDS);
            assert_eq!(words.iter().collect::<HashSet<_>>().len(), WORDS);
            for word in words {
                assert!(
                    (3..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()),
                    "{word}"
                );
            }
        }
    }

    #[test]
    fn every_word_can_be_drawn_and_the_high_bits_do_not_matter() {
        let policy = PasswordPolicy::default();
        let first = Locale::En.words().lines().next().unwrap();
        let last = Locale::En.words().lines().last().unwrap();
        assert_eq!(with_bytes(Locale::En, &policy, &[0, 0]), [first; 4].join("-"));
        assert_eq!(with_bytes(Locale::En, &policy, &[0, 0b1111_1000]), [first; 4].join("-"));
        assert_eq!(with_bytes(Locale::En, &policy, &[0xff, 0xff]), [last; 4].join("-"));
    }

    #[test]
    fn no_screened_word_is_in_a_list() {
        for (locale, screened) in [
            (Locale::Sv, include_str!("data/screened/sv.txt")),
            (Locale::Nl, include_str!("data/screened/nl.txt")),
            (Locale::En, include_str!("data/screened/en.txt")),
        ] {
            let words: HashSet<&str> = locale.words().lines().collect();
            assert!(screened.lines().all(|word| !words.contains(word)));
        }
    }

    #[test]
    fn a_language_tag_chooses_the_list() {
        for (tag, locale) in [
            ("sv", Locale::Sv),
            ("sv-SE", Locale::Sv),
            ("SV_se", Locale::Sv),
            ("nl-BE", Locale::Nl),
            ("en-GB", Locale::En),
            ("nb", Locale::En),
            ("svx", Locale::En),
            ("", Locale::En),
            ("-sv", Locale::En),
        ] {
            assert_eq!(Locale::from_tag(tag), locale, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn a_suggestion_passes_the_policy_that_asked_for_it(
            bytes in proptest::collection::vec(any::<u8>(), 64), min_length in 0_u16..300, locale in 0_usize..3,
        ) {
            let policy = PasswordPolicy { min_length, ..PasswordPolicy::default() };
            let mut source = bytes.into_iter().cycle();
            let suggestion = suggest(Locale::ALL[locale], &policy, |buffer| buffer.fill_with(|| source.next().unwrap()));
            prop_assert!(suggestion.expose().chars().count() >= 15);
            prop_assert!(policy.accept(suggestion, &Blocklist::embedded(), &[]).is_ok());
        }
    }
}
