//! The mobile number in E.164: one number, of a mobile network, to which a message can go.

use super::Rejection;
use super::numbering_plan::{Reading, Service};
use super::screen::{SPACES, is_dash};

#[cfg(test)]
mod through_phonenumber;

/// Shorter than any number with its network code; longer than any with country code, trunk zero and signs.
const LENGTH_CHARACTERS: std::ops::RangeInclusive<usize> = 6..=32;
/// What is dialled before the country code in Sweden and in the Netherlands (libphonenumber: both `00`).
const INTERNATIONAL_PREFIX: &str = "00";

const CHARACTER: Rejection = Rejection::new(
    "character_not_allowed",
    "A character here cannot be part of a mobile number. Enter one number with digits, spaces, + ( ) / . and - only.",
);
const LENGTH: Rejection = Rejection::new(
    "length",
    "A mobile number has 6 to 32 characters. Enter one whole number, with the network code (as in 070 or 06).",
);
const PLUS: Rejection = Rejection::new(
    "plus",
    "A + can stand only once, in front of the country code. Enter the number as in +46 70 …",
);
const NOT_VALID: Rejection = Rejection::new(
    "not_valid",
    "No phone has this number. Check that no digit is missing or doubled, and the country code.",
);
const NOT_MOBILE: Rejection = Rejection::new(
    "not_mobile",
    "This is not a mobile number, so no text message would arrive. Enter a mobile number.",
);

/// The country whose numbers are written without a country code: a setting of the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Region {
    /// Sweden, +46.
    #[default]
    Se,
    /// The Netherlands, +31.
    Nl,
}

impl Region {
    const fn calling_code(self) -> &'static str {
        match self {
            Self::Se => "46",
            Self::Nl => "31",
        }
    }
}

canonical_text! {
    /// A mobile number in E.164: `+`, country code, number; digits only.
    Mobile
}

impl Mobile {
    /// Reads one number; without a country code it is one of `region`.
    ///
    /// Source: libphonenumber's data, E.164. How a number may be written is ours: with one `+` or `00`, one trunk zero
    /// where the country has it, and with the region's own country code alone.
    ///
    /// # Errors
    /// When another character is in it, its length or its `+` is wrong, no phone has it, or it is not mobile: numbers
    /// of countries where mobile and fixed numbers look alike (+1) included.
    pub fn parse(input: &str, region: Region) -> Result<Self, Rejection> {
        let dialled = dialled(input)?;
        let code = region.calling_code();
        let international = match dialled.strip_prefix('+') {
            // With a country code, that country's rules are used and never those of the organization's region: their
            // trunk zero is another.
            Some(digits) => digits.to_owned(),
            None if dialled.starts_with(code) => dialled,
            None => format!("{code}{dialled}"),
        };
        let Reading { service, code, number } = Reading::of(&international).ok_or(NOT_VALID)?;
        match service {
            Service::Mobile => Ok(Self(format!("+{code}{number}"))),
            Service::Other => Err(NOT_MOBILE),
            Service::Nothing => Err(NOT_VALID),
        }
    }
}

/// The digits, with `+` in front where the country code comes first.
fn dialled(input: &str) -> Result<String, Rejection> {
    let text = input.trim_matches(SPACES);
    let mut dialled = String::with_capacity(LENGTH_CHARACTERS.end() + 1);
    let mut length = 0;
    for character in text.chars() {
        length += 1;
        if length > *LENGTH_CHARACTERS.end() {
            return Err(LENGTH);
        }
        match character {
            '0'..='9' => dialled.push(character),
            '+' if length == 1 => dialled.push('+'),
            '+' => return Err(PLUS),
            ' ' | '(' | ')' | '/' | '.' => {}
            dash if is_dash(dash) => {}
            _ => return Err(CHARACTER),
        }
    }
    if length < *LENGTH_CHARACTERS.start() {
        return Err(LENGTH);
    }
    Ok(match dialled.strip_prefix(INTERNATIONAL_PREFIX) {
        Some(rest) => format!("+{rest}"),
        None => dialled,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use phonenumber::metadata::{DATABASE, Descriptor};

    use super::through_phonenumber::matches_whole;
    use super::*;

    fn canonical_of(input: &str, region: Region) -> String {
        Mobile::parse(input, region).unwrap().as_str().to_owned()
    }

    #[test]
    fn every_way_of_writing_gives_one_form() {
        for written in [
            "0701740635",
            "070-174 06 35",
            "(070) 174.06.35",
            "070/1740635",
            "070\u{2212}1740635",
            "701740635",
            "46701740635",
            "+46701740635",
            "0046701740635",
            "+46 (0)70 174 06 35",
            "0046 (0) 70-1740635",
            "46 (0) 701740635",
            "\u{A0}0701740635\t",
        ] {
            assert_eq!(canonical_of(written, Region::Se), "+46701740635", "{written}");
        }
    }

    #[test]
    fn a_country_code_outranks_the_region() {
        for region in [Region::Se, Region::Nl] {
            assert_eq!(canonical_of("+31 6 12345678", region), "+31612345678");
            assert_eq!(canonical_of("0046 70 174 06 35", region), "+46701740635");
            assert_eq!(canonical_of("+47 406 12 345", region), "+4740612345");
            assert_eq!(canonical_of("+44 (0)7911 123456", region), "+447911123456");
            // Ivory Coast has no trunk zero: this one is part of the number.
            assert_eq!(canonical_of("+225 01 23 45 67 89", region), "+2250123456789");
        }
        assert!(Mobile::parse("0612345678", Region::Se).is_err());
        assert!(Mobile::parse("0701740635", Region::Nl).is_err());
    }

    #[test]
    fn one_plus_and_only_in_front() {
        for wrong in ["+46+701740635", "++46701740635", "0+46701740635", "(+46)701740635", "46701740635+"] {
            assert_eq!(Mobile::parse(wrong, Region::Se), Err(PLUS), "{wrong}");
        }
    }

    #[test]
    fn zeros_too_many_are_no_spelling() {
        for wrong in [
            "+46 00 701740635",
            "+0046701740635",
            "000701740635",
            "00701740635",
            "+4600701740635",
            "000046701740635",
        ] {
            assert_eq!(Mobile::parse(wrong, Region::Se), Err(NOT_VALID), "{wrong}");
        }
    }

    #[test]
    fn two_numbers_are_none() {
        for wrong in ["0701740635 0701740636", "0701740635/36", "07017406350"] {
            assert_eq!(Mobile::parse(wrong, Region::Se), Err(NOT_VALID), "{wrong}");
        }
        // Eleven digits is a length that machines' numbers have in the Netherlands, but not behind 06.
        assert_eq!(Mobile::parse("0612345678 90", Region::Nl), Err(NOT_MOBILE));
    }

    #[test]
    fn other_signs_are_refused_and_not_dropped() {
        for wrong in [
            "070-1740605;",
            "070-1740605,",
            "070-1740605x1",
            "tel:0701740605",
            "'0701740605",
            "070\u{200B}1740605",
            "070\u{A0}1740605",
            "070\t1740605",
            "0701740605\n",
            "\u{FF0B}46701740605",
            "\u{660}701740605",
            "0701740605#",
        ] {
            assert_eq!(Mobile::parse(wrong, Region::Se), Err(CHARACTER), "{wrong}");
        }
    }

    #[test]
    fn lengths_count_characters_after_outer_spaces() {
        assert_eq!(Mobile::parse("", Region::Se), Err(LENGTH));
        assert_eq!(Mobile::parse("07017", Region::Se), Err(LENGTH));
        assert_eq!(
            Mobile::parse(&format!("070{}1740635", " ".repeat(22)), Region::Se).unwrap().as_str(),
            "+46701740635"
        );
        assert_eq!(Mobile::parse(&format!("070{}1740635", "\u{2013}".repeat(23)), Region::Se), Err(LENGTH));
        assert!(Mobile::parse(&format!("{}0701740635", " ".repeat(500)), Region::Se).is_ok());
        assert_eq!(Mobile::parse("+     ", Region::Se), Err(LENGTH));
        assert_eq!(Mobile::parse("------", Region::Se), Err(NOT_VALID));
    }

    #[test]
    fn only_mobile_numbers_get_messages() {
        for wrong in ["020-1234567", "08-12345678", "0900-1234567", "0747 123456", "+1 520 878 2491"] {
            assert_eq!(Mobile::parse(wrong, Region::Se), Err(NOT_MOBILE), "{wrong}");
        }
    }

    #[test]
    fn the_example_of_every_country_is_accepted_or_cannot_be_told_from_a_fixed_line() {
        for metadata in DATABASE.iter() {
            let descriptors = metadata.descriptors();
            let Some(example) = descriptors.mobile().and_then(Descriptor::example) else { continue };
            let number = format!("+{}{example}", metadata.country_code());
            if descriptors.fixed_line().is_some_and(|fixed| matches_whole(fixed, example)) {
                continue;
            }
            let mobile = Mobile::parse(&number, Region::Se);
            assert_eq!(mobile.as_ref().map(Mobile::as_str), Ok(number.as_str()), "{}", metadata.id());
        }
    }

    fn regions() -> impl Strategy<Value = Region> {
        prop_oneof![Just(Region::Se), Just(Region::Nl)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_canonical_form_gives_itself_in_every_region(
            input in "(\\+46|0|0046|46|)( ?\\(0\\))?7[02369][0-9 -]{7,9}|(\\+31|0)6[0-9]{8}|[+]?[0-9 ()/.-]{6,20}|\\PC{0,12}",
            region in regions(),
            other in regions(),
        ) {
            if let Ok(mobile) = Mobile::parse(&input, region) {
                let digits = mobile.as_str().strip_prefix('+').unwrap().to_owned();
                prop_assert!(digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 15);
                prop_assert_eq!(Mobile::parse(&format!("+{digits}"), other), Ok(mobile));
            }
        }

        #[test]
        fn no_text_panics(input in any::<String>(), near in "[+]?[0-9 ()/.-]{0,34}", region in regions()) {
            let _ = Mobile::parse(&input, region);
            let _ = Mobile::parse(&near, region);
        }
    }
}
