//! The alphabet of text messages: what fits into one, and what a name becomes in it.

use unicode_normalization::UnicodeNormalization as _;

/// The basic characters of the GSM 7-bit alphabet (3GPP TS 23.038 §6.2.1), without line breaks. A text message with any
/// other character holds 70 characters instead of 160.
const BASIC: &str = concat!(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿",
    "abcdefghijklmnopqrstuvwxyzäöñüà"
);

/// Those that take two places there.
const EXTENDED: &str = "^{}\\[~]|€";

/// A name with characters of the GSM alphabet where it has such: `Zoë` becomes `Zoe`. Others stay: a longer bill beats
/// a name that cannot be read.
pub(super) fn spelled(name: &str) -> String {
    let mut kept = String::with_capacity(name.len());
    for each in name.nfc() {
        match each {
            '\u{2018}' | '\u{2019}' | '´' | '`' => kept.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '«' | '»' => kept.push('"'),
            '\u{2010}'..='\u{2015}' => kept.push('-'),
            '…' => kept.push_str("..."),
            each if places(each).is_some() => kept.push(each),
            each => {
                let base = std::iter::once(each).nfd().next().unwrap_or(each);
                kept.push(if places(base).is_some() { base } else { each });
            }
        }
    }
    kept
}

/// How many of the 160 places a character takes; `None` if it is not in the alphabet.
pub(super) fn places(each: char) -> Option<usize> {
    if BASIC.contains(each) { Some(1) } else { EXTENDED.contains(each).then_some(2) }
}

/// The places that a text takes.
pub(super) fn length(text: &str) -> usize {
    text.chars().map(|each| places(each).unwrap_or(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_a_text_message_can_hold() {
        assert_eq!(spelled("Zoë’s Förskola – ‘Ängen’…"), "Zoe's Förskola - 'Ängen'...");
        assert_eq!(spelled("Łódź 保育"), "Łodz 保育", "what has no letter beneath stays");
    }

    #[test]
    fn braces_and_the_euro_take_two_places() {
        assert_eq!(length("a€"), 3);
        assert_eq!((places('{'), places('ë'), places('å')), (Some(2), None, Some(1)));
    }
}
