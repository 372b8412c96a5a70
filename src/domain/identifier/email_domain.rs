//! The domain of an e-mail address as A-labels: screened per code point first, then strict UTS-46.

use std::borrow::Cow;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::Rejection;

const INVISIBLE: Rejection = Rejection::new(
    "invisible_character",
    "There is an invisible or unknown character after the @. Type the domain again by hand.",
);
const LOOK_ALIKE_DOT: Rejection = Rejection::new(
    "look_alike_dot",
    "There is a character after the @ that looks like a dot and is none. Type the domain again with plain dots.",
);
const LOOK_ALIKE: Rejection = Rejection::new(
    "look_alike_character",
    "There is a character after the @ that looks like a plain letter or sign and is none. Type the domain again by hand.",
);
const TWO_LABELS: Rejection = Rejection::new(
    "two_labels_needed",
    "The part after the @ needs a dot, as in example.org. Enter the whole address.",
);
const DOMAIN: Rejection = Rejection::new(
    "domain",
    "The part after the @ is no domain name: letters, digits and single hyphens inside, with dots between. Check it.",
);

/// The domain as lower-case A-labels, without a trailing dot.
///
/// UTS-46 drops some characters and turns others into ASCII, so that a stranger's domain could become the one on
/// file: those are refused before it sees them.
///
/// # Errors
/// When a character is refused, UTS-46 with STD3 rules refuses the whole, or there is only one label.
pub(super) fn to_a_labels(domain: &str) -> Result<String, Rejection> {
    for character in domain.chars() {
        screen(character)?;
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let a_labels = uts46(domain)?;
    if a_labels.contains('.') { Ok(a_labels.into_owned()) } else { Err(TWO_LABELS) }
}

fn screen(character: char) -> Result<(), Rejection> {
    if character.is_ascii() {
        // STD3 on what was typed too: `=` and a combining stroke make one character that UTS-46 lets through.
        let is_std3 = character.is_ascii_alphanumeric() || matches!(character, '-' | '.');
        return if is_std3 { Ok(()) } else { Err(DOMAIN) };
    }
    if matches!(character, '\u{3002}' | '\u{FF0E}' | '\u{FF61}') {
        return Err(LOOK_ALIKE_DOT);
    }
    let is_unseen = matches!(
        character.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    );
    if is_unseen {
        return Err(INVISIBLE);
    }
    if character.nfkc().all(|equivalent| equivalent.is_ascii()) {
        return Err(LOOK_ALIKE);
    }
    // NFKC does not tell of all: UTS-46 also drops variation selectors, and folds some letters to `ss`.
    match uts46(&format!("a{character}b")) {
        Ok(dropped) if dropped == "ab" => Err(INVISIBLE),
        Ok(folded) if !folded.starts_with("xn--") => Err(LOOK_ALIKE),
        // What UTS-46 refuses between these letters it may allow beside letters of a right-to-left script.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Strict UTS-46: STD3 rules, hyphen, joiner and right-to-left checks, the lengths of DNS; nontransitional.
fn uts46(domain: &str) -> Result<Cow<'_, str>, Rejection> {
    Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .map_err(|_| DOMAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_single_character_is_dropped_or_becomes_ascii() {
        // CJK ideographs and Hangul syllables are alike among themselves and many: every 97th is tried.
        let tried = ('\u{80}'..=char::MAX).filter(|c| {
            let code = u32::from(*c);
            !matches!(code, 0x3400..=0xD7A3 | 0x1_7000..=0x1_8CFF | 0x2_0000..=0x3_FFFF | 0xF_0000..)
                || code % 97 == 0
        });
        for character in tried {
            if let Ok(a_labels) = to_a_labels(&format!("a{character}b.se")) {
                assert!(a_labels.starts_with("xn--"), "U+{:04X}", u32::from(character));
            }
        }
    }

    #[test]
    fn invisible_characters_are_refused_wherever_they_stand() {
        for character in [
            '\u{AD}',
            '\u{200B}',
            '\u{200C}',
            '\u{200D}',
            '\u{202E}',
            '\u{2060}',
            '\u{FEFF}',
            '\u{34F}',
            '\u{FE0F}',
            '\u{E0100}',
            '\u{180B}',
            '\u{E000}',
            '\u{378}',
            '\u{FFFF}',
            '\u{10FFFF}',
            '\u{80}',
            '\u{E0061}',
        ] {
            for domain in
                [format!("exa{character}mple.se"), format!("{character}a.se"), format!("a.se{character}")]
            {
                assert_eq!(to_a_labels(&domain), Err(INVISIBLE), "U+{:04X}", u32::from(character));
            }
        }
        for filler in ['\u{115F}', '\u{1160}', '\u{3164}', '\u{FFA0}', '\u{17B4}'] {
            assert!(to_a_labels(&format!("exa{filler}mple.se")).is_err(), "U+{:04X}", u32::from(filler));
        }
    }

    #[test]
    fn look_alikes_of_ascii_are_refused() {
        for dot in ['\u{3002}', '\u{FF0E}', '\u{FF61}'] {
            assert_eq!(to_a_labels(&format!("example{dot}se")), Err(LOOK_ALIKE_DOT));
            assert_eq!(to_a_labels(&format!("example.se{dot}")), Err(LOOK_ALIKE_DOT));
        }
        for character in [
            '\u{212A}',
            '\u{17F}',
            '\u{FB01}',
            '\u{FF41}',
            '\u{24D0}',
            '\u{1D41A}',
            '\u{2024}',
            '\u{FF20}',
            '\u{B9}',
            '\u{2105}',
            '\u{37E}',
        ] {
            assert_eq!(
                to_a_labels(&format!("a{character}b.se")),
                Err(LOOK_ALIKE),
                "U+{:04X}",
                u32::from(character)
            );
        }
    }

    #[test]
    fn one_trailing_dot_is_dropped_and_no_more() {
        assert_eq!(to_a_labels("example.se.").unwrap(), "example.se");
        for wrong in ["example.se..", "example..se", ".example.se", ".", "..", "", "se."] {
            assert!(to_a_labels(wrong).is_err(), "{wrong}");
        }
        assert_eq!(to_a_labels("localhost"), Err(TWO_LABELS));
        assert_eq!(to_a_labels("localhost."), Err(TWO_LABELS));
    }

    #[test]
    fn std3_and_hyphen_rules_are_kept() {
        for wrong in [
            "exa_mple.se",
            "a b.se",
            "-x.se",
            "x-.se",
            "ab--c.se",
            "a!.se",
            "a:25.se",
            "a\u{338}=.se",
            "x=\u{338}y.se",
            "x<\u{338}y.se",
            "%41.se",
            "a;.se",
        ] {
            assert_eq!(to_a_labels(wrong), Err(DOMAIN), "{wrong}");
        }
        assert_eq!(to_a_labels("a-b.x--y.se").unwrap(), "a-b.x--y.se");
    }

    #[test]
    fn a_labels_that_hide_ascii_or_nothing_are_refused() {
        for wrong in
            ["xn--.se", "xn--example-.se", "xn--a.se", "xn--\u{E5}.se", "xn--99999999.se", "XN--EXAMPLE-.SE"]
        {
            assert_eq!(to_a_labels(wrong), Err(DOMAIN), "{wrong}");
        }
    }

    #[test]
    fn one_name_in_several_spellings_is_one_domain() {
        for spelling in
            ["åke.se", "ÅKE.SE", "a\u{30A}ke.se", "\u{212B}ke.se", "xn--ke-xia.se", "XN--KE-XIA.se"]
        {
            assert_eq!(to_a_labels(spelling).unwrap(), "xn--ke-xia.se");
        }
    }

    #[test]
    fn names_that_differ_in_a_letter_stay_apart() {
        for (one, other) in [
            ("straße.de", "strasse.de"),
            ("straẞe.de", "strasse.de"),
            ("gıthub.com", "github.com"),
            ("gİthub.com", "github.com"),
            ("åke.se", "ake.se"),
            ("σας.gr", "σασ.gr"),
            ("раураl.com", "paypal.com"),
        ] {
            assert_ne!(to_a_labels(one).unwrap(), to_a_labels(other).unwrap());
        }
    }

    #[test]
    fn bidi_and_combining_rules_are_kept() {
        assert!(to_a_labels("אבג.com").is_ok());
        for wrong in ["0א.com", "אa.com", "א-1a.com", "\u{301}a.com"] {
            assert_eq!(to_a_labels(wrong), Err(DOMAIN), "{wrong}");
        }
    }

    #[test]
    fn labels_and_names_have_the_lengths_of_dns() {
        assert!(to_a_labels(&format!("{}.se", "a".repeat(63))).is_ok());
        assert_eq!(to_a_labels(&format!("{}.se", "a".repeat(64))), Err(DOMAIN));
        assert_eq!(to_a_labels(&format!("{}se", "a.".repeat(126))), Err(DOMAIN));
    }
}
