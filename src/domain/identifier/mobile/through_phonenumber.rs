//! How mobile numbers were read with the crate `phonenumber` itself: what the compiled numbering plans are held against.

use phonenumber::country;
use phonenumber::metadata::{DATABASE, Descriptor, Descriptors};

use super::super::Rejection;
use super::{NOT_MOBILE, NOT_VALID, Region, dialled};

/// The number in E.164.
pub(super) fn parse(input: &str, region: Region) -> Result<String, Rejection> {
    let dialled = dialled(input)?;
    let country = match region {
        Region::Se => country::SE,
        Region::Nl => country::NL,
    };
    let country = if dialled.starts_with('+') { None } else { Some(country) };
    let number = phonenumber::parse(country, &dialled).map_err(|_| NOT_VALID)?;
    let code = number.code().value().to_string();
    let national = number.national().to_string();
    if !is_spelling(&dialled, &code, &national) {
        return Err(NOT_VALID);
    }
    let descriptors = number.metadata(&DATABASE).ok_or(NOT_VALID)?.descriptors();
    if !is_mobile_only(descriptors, &national) {
        return Err(if number.is_valid() { NOT_MOBILE } else { NOT_VALID });
    }
    Ok(format!("+{code}{national}"))
}

/// Whether the digits are this number, with or without country code and one trunk zero.
///
/// The library strips zeros and codes repeatedly; what it strips beyond these was a slip of the finger.
fn is_spelling(dialled: &str, code: &str, national: &str) -> bool {
    let Some(in_front) = dialled.strip_suffix(national) else { return false };
    let (has_plus, in_front) = match in_front.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, in_front),
    };
    match in_front.strip_prefix(code) {
        Some(trunk) => trunk.is_empty() || trunk == "0",
        None => !has_plus && (in_front.is_empty() || in_front == "0"),
    }
}

/// Whether mobile networks, and no other kind of service, have numbers of this form.
///
/// The library's own `number_type` tries twice as many forms, and forgets the leading zeros of numbers that have some.
fn is_mobile_only(descriptors: &Descriptors, national: &str) -> bool {
    let is_one = |kind: Option<&Descriptor>| kind.is_some_and(|kind| matches_whole(kind, national));
    let others = [
        descriptors.fixed_line(),
        descriptors.toll_free(),
        descriptors.premium_rate(),
        descriptors.shared_cost(),
        descriptors.personal_number(),
        descriptors.voip(),
        descriptors.pager(),
        descriptors.uan(),
        descriptors.voicemail(),
    ];
    descriptors.general().is_match(national)
        && is_one(descriptors.mobile())
        && !others.into_iter().any(is_one)
}

/// Whether the whole number has this form; the library's `is_match` is content with its beginning.
pub(super) fn matches_whole(kind: &Descriptor, national: &str) -> bool {
    let is_length = |length: &u16| usize::from(*length) == national.len();
    (kind.possible_length().is_empty() || kind.possible_length().iter().any(is_length))
        && kind.national_number().find(national).is_some_and(|found| found.range() == (0..national.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::numbering_plan::Reading;
    use super::super::super::numbering_plan::tests::numbers_over_every_transition;
    use super::super::Mobile;
    use super::*;

    /// Compares the two ways to read a number.
    ///
    /// They may differ where a refusal has other words because the library took the first digits for a prefix that is not
    /// written here, and by the trunk zero of Colombia: docs/decisions/0028 says why.
    fn compare(input: &str, region: Region) {
        let old = parse(input, region);
        let new = Mobile::parse(input, region).map(|mobile| mobile.as_str().to_owned());
        let is_decided = match (&old, &new) {
            (Err(NOT_VALID), Err(NOT_MOBILE)) => is_of_a_kind(input, region),
            (Err(NOT_VALID), Ok(number)) => {
                number.starts_with("+57") && input.ends_with(&number.replacen("57", "570", 1))
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        };
        assert!(old == new || is_decided, "{input}: {old:?} before, {new:?} now");
    }

    /// Whether a country has numbers that begin so, as the library's own patterns say.
    fn is_of_a_kind(input: &str, region: Region) -> bool {
        let dialled = dialled(input).unwrap();
        let code = region.calling_code();
        let digits = match dialled.strip_prefix('+') {
            Some(digits) => digits.to_owned(),
            None if dialled.starts_with(code) => dialled,
            None => format!("{code}{dialled}"),
        };
        let (regions, national) = (1..=3)
            .find_map(|length| {
                let (code, national) = digits.split_at_checked(length)?;
                Some((DATABASE.by_code(&code.parse::<u16>().unwrap())?, national))
            })
            .unwrap();
        let numbers = [Some(national), national.strip_prefix('0')];
        regions.iter().map(|region| region.descriptors()).any(|kinds| {
            let all = [
                kinds.mobile(),
                kinds.fixed_line(),
                kinds.toll_free(),
                kinds.premium_rate(),
                kinds.shared_cost(),
                kinds.personal_number(),
                kinds.voip(),
                kinds.pager(),
                kinds.uan(),
                kinds.voicemail(),
            ];
            numbers.into_iter().flatten().any(|number| {
                kinds.general().is_match(number)
                    && all.into_iter().flatten().any(|kind| kind.is_match(number))
            })
        })
    }

    /// Whether every transition is tried and not one in eleven: two minutes instead of ten seconds.
    fn full_size() -> bool {
        #[expect(clippy::disallowed_methods, reason = "the size of a test")]
        let value = std::env::var("GUARDIAN_AUTH_TEST_FULL");
        value.is_ok_and(|value| value == "1")
    }

    /// Every way to write a number of the two regions, and one with country code for all others.
    fn compare_ways_of_writing(code: &str, national: &str) {
        compare(&format!("+{code}{national}"), Region::Se);
        compare(&format!("+{code}0{national}"), Region::Nl);
        let region = match code {
            "46" => Region::Se,
            "31" => Region::Nl,
            _ => return,
        };
        for in_front in ["", "0", "00", "0046", "0031", "46", "460", "4600", "31", "310", "3100"] {
            compare(&format!("{in_front}{national}"), region);
        }
    }

    #[test]
    fn numbers_over_every_transition_are_read_as_before() {
        // Sorted, since the library keeps few patterns compiled.
        let mut numbers = numbers_over_every_transition();
        numbers.sort_unstable();
        assert!(numbers.len() > 20_000);
        for number in numbers.into_iter().step_by(if full_size() { 1 } else { 11 }) {
            let code = Reading::of(&number).map_or("", |reading| reading.code);
            compare_ways_of_writing(code, &number[code.len()..]);
        }
    }

    #[test]
    fn the_examples_of_every_country_and_their_neighbours_are_read_as_before() {
        for code in 1..=999 {
            for metadata in DATABASE.by_code(&code).into_iter().flatten() {
                let kinds = metadata.descriptors();
                for example in [kinds.mobile(), kinds.fixed_line(), kinds.toll_free()]
                    .into_iter()
                    .flatten()
                    .filter_map(Descriptor::example)
                {
                    for neighbour in neighbours(example) {
                        compare_ways_of_writing(&code.to_string(), &neighbour);
                    }
                }
            }
        }
    }

    /// The number, and those with one digit changed, dropped or doubled.
    fn neighbours(number: &str) -> Vec<String> {
        let mut all = vec![number.to_owned()];
        for (place, digit) in number.char_indices() {
            let (before, behind) = (&number[..place], &number[place + 1..]);
            let other = char::from_digit((digit.to_digit(10).unwrap() + 1) % 10, 10).unwrap();
            all.push(format!("{before}{other}{behind}"));
            all.push(format!("{before}{behind}"));
            all.push(format!("{before}{digit}{digit}{behind}"));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn any_digits_are_read_as_before(
            input in "(\\+|00|)(46|31|)0?[1-9][0-9]{4,15}|(\\+|00)[1-9][0-9]{3,16}|[0-9]{6,17}",
            region in prop_oneof![Just(Region::Se), Just(Region::Nl)],
        ) {
            compare(&input, region);
        }
    }
}
