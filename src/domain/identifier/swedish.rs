//! Swedish numbers for people: personnummer, coordination number and temporary number.

use jiff::civil::Date;

use super::Rejection;
use super::birth_date::{Calendar, WrittenDate};
use super::{other_number, screen};

/// 60 is added to the day of birth in a coordination number (lag 2022:1697), which makes its days 60 (unknown) to 91.
const COORDINATION_DAY_SHIFT: i8 = 60;
const COORDINATION_DAYS: std::ops::RangeInclusive<i8> = 60..=91;

const COORDINATION_MONTH: Rejection = Rejection::new(
    "no_such_month",
    "The month in this coordination number is above 12. Check the fifth to eighth digit.",
);
const SERIAL: Rejection =
    Rejection::new("serial_000", "No number ends in 000 and a check digit. Check the last four digits.");
const CHECK_DIGIT: Rejection = Rejection::new(
    "check_digit",
    "The last digit does not fit the others, so one of them is wrong. Check every digit.",
);

canonical_text! {
    /// A personnummer, `se.pnr:YYYYMMDDNNNC`: the number of a person in the population register (18 § folkbokföringslagen).
    PersonalNumber
}

canonical_text! {
    /// A coordination number (samordningsnummer), `se.snr:YYYYMMDDNNNC`, its day as written: the day of birth plus 60.
    ///
    /// Some were issued with incomplete dates, so the date need not exist.
    CoordinationNumber
}

canonical_text! {
    /// A temporary number, `se.tf:YYYYMMDDTFnn` or `se.tf:YYYYMMDDTnnn`, that an organization issued itself.
    ///
    /// Unique only inside that organization: the key for a look-up has to include the organization.
    TemporaryNumber
}

/// A Swedish number for a person, of whichever kind its form says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SwedishNumber {
    /// A personnummer.
    Personal(PersonalNumber),
    /// A coordination number.
    Coordination(CoordinationNumber),
    /// A temporary number.
    Temporary(TemporaryNumber),
}

impl SwedishNumber {
    /// Reads a number as written on the day `on`, which decides the century of the short forms.
    ///
    /// The form is 8 or 6 date digits, an optional `-` or `+`, and 4 digits (or `TF` with 2, or `T` with 3). Source:
    /// Skatteverket's rules for personnummer and coordination numbers; schools' practice for temporary numbers.
    ///
    /// # Errors
    /// When the text has another form, its date cannot be a birth date on that day, its serial is 000 or its check
    /// digit is wrong. Numbers of other registers are named in the reason.
    pub fn parse(input: &str, on: Date) -> Result<Self, Rejection> {
        let text = screen::number(input, &['-', '+'])?;
        let (head, tail) =
            text.split_at_checked(text.len().saturating_sub(4)).ok_or(other_number::no_form())?;
        let digits = head.strip_suffix(['-', '+']).unwrap_or(head);
        let written = WrittenDate::read(digits, head.ends_with('+')).ok_or(other_number::no_form())?;
        if tail.bytes().all(|byte| byte.is_ascii_digit()) {
            if let Some(rejection) = other_number::of_digits(digits) {
                return Err(rejection);
            }
            Self::with_check_digit(digits, written, tail, on)
        } else if is_temporary_tail(tail) {
            let year = written.year(on, Calendar::Required)?;
            Ok(Self::Temporary(TemporaryNumber(canonical("se.tf:", year, digits, tail))))
        } else {
            Err(other_number::of_letters(digits, tail))
        }
    }

    fn with_check_digit(digits: &str, written: WrittenDate, tail: &str, on: Date) -> Result<Self, Rejection> {
        let is_coordination = COORDINATION_DAYS.contains(&written.day);
        let year = if is_coordination {
            if written.month > 12 {
                return Err(COORDINATION_MONTH);
            }
            written.days_back(COORDINATION_DAY_SHIFT).year(on, Calendar::Optional)?
        } else {
            written.year(on, Calendar::Required)?
        };
        if tail.starts_with("000") {
            return Err(SERIAL);
        }
        if !passes_luhn(without_century(digits).bytes().chain(tail.bytes())) {
            return Err(CHECK_DIGIT);
        }
        Ok(if is_coordination {
            Self::Coordination(CoordinationNumber(canonical("se.snr:", year, digits, tail)))
        } else {
            Self::Personal(PersonalNumber(canonical("se.pnr:", year, digits, tail)))
        })
    }

    /// The canonical form, with its tag.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Personal(number) => number.as_str(),
            Self::Coordination(number) => number.as_str(),
            Self::Temporary(number) => number.as_str(),
        }
    }

    /// The form for people who may know who it is but need not see the number: `19990807-****`.
    pub fn masked(&self) -> String {
        let digits = self.as_str().split_once(':').map_or("", |(_, digits)| digits);
        format!("{}-****", digits.get(..8).unwrap_or_default())
    }
}

fn is_temporary_tail(tail: &str) -> bool {
    let number = tail.strip_prefix("TF").or_else(|| tail.strip_prefix('T'));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn without_century(digits: &str) -> &str {
    digits.get(digits.len().saturating_sub(6)..).unwrap_or_default()
}

fn canonical(tag: &str, year: i16, digits: &str, tail: &str) -> String {
    let month_and_day = digits.get(digits.len().saturating_sub(4)..).unwrap_or_default();
    format!("{tag}{year:04}{month_and_day}{tail}")
}

/// The check digit of ISO/IEC 7812-1 over ten ASCII digits: weights 2, 1, 2, …, digit sums, a multiple of ten.
fn passes_luhn(digits: impl Iterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .enumerate()
        .map(|(position, digit)| {
            let digit = u32::from(digit - b'0');
            let product = if position % 2 == 0 { digit * 2 } else { digit };
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 21);

    fn canonical_of(input: &str) -> String {
        SwedishNumber::parse(input, TODAY).unwrap().as_str().to_owned()
    }

    fn code_of(input: &str) -> &'static str {
        SwedishNumber::parse(input, TODAY).unwrap_err().code()
    }

    /// The ten digits with the check digit that fits.
    fn with_check_digit(nine: &str) -> String {
        (0..=9).map(|check| format!("{nine}{check}")).find(|ten| passes_luhn(ten.bytes())).unwrap()
    }

    #[test]
    fn every_way_of_writing_gives_one_form() {
        for written in [
            "199908072391",
            "19990807-2391",
            "19990807+2391",
            "990807-2391",
            "9908072391",
            "'990807-2391",
            "9 9 0 8 0 7 - 2 3 9 1",
            "990807\u{2010}2391",
            "990807\u{2014}2391",
            "\u{202F}990807\u{A0}-\t2391",
        ] {
            assert_eq!(canonical_of(written), "se.pnr:199908072391");
        }
    }

    #[test]
    fn one_separator_at_its_place_and_no_other() {
        for wrong in
            ["1999-08-07-2391", "9908-072391", "-9908072391", "9908072391-", "990807-+2391", "990807/2391"]
        {
            assert!(SwedishNumber::parse(wrong, TODAY).is_err());
        }
        for wrong in
            ["1", "-", "2391", "-2391", "90807-2391", "9990807-2391", "0199908072391", "19990807-23910"]
        {
            assert_eq!(code_of(wrong), "form");
        }
    }

    #[test]
    fn plus_and_minus_tell_two_people_apart() {
        assert_eq!(canonical_of("090527-1474"), "se.pnr:200905271474");
        assert_eq!(canonical_of("090527+1474"), "se.pnr:190905271474");
        assert_eq!(canonical_of("0905271474"), "se.pnr:200905271474");
    }

    #[test]
    fn a_day_above_60_is_a_coordination_number_and_never_a_personnummer() {
        assert_eq!(canonical_of("730288-9931"), "se.snr:197302889931");
        let born_on_the_28th = with_check_digit("730228993");
        assert_ne!(born_on_the_28th, "7302289931");
        assert_eq!(canonical_of(&born_on_the_28th), format!("se.pnr:19{born_on_the_28th}"));
    }

    #[test]
    fn coordination_days_run_from_60_to_91_and_months_from_00_to_12() {
        for day in 32..=99 {
            let number = with_check_digit(&format!("7300{day:02}993"));
            match day {
                60..=91 => assert_eq!(canonical_of(&number), format!("se.snr:19{number}")),
                _ => assert_eq!(code_of(&number), "no_such_date"),
            }
        }
        assert_eq!(code_of(&with_check_digit("731361993")), "no_such_month");
        assert_eq!(
            canonical_of(&with_check_digit("730291993")),
            format!("se.snr:19{}", with_check_digit("730291993"))
        );
    }

    #[test]
    fn a_coordination_number_is_not_of_the_future() {
        // 21 November is today, 22 November tomorrow; 31 November does not exist, so its year decides.
        for (nine, expected) in [
            ("261181993", "se.snr:2026"),
            ("261182993", "se.snr:1926"),
            ("261191993", "se.snr:2026"),
            ("270060993", "se.snr:1927"),
        ] {
            assert!(canonical_of(&with_check_digit(nine)).starts_with(expected));
        }
        assert_eq!(code_of(&format!("20{}", with_check_digit("261182993"))), "future");
        assert_eq!(code_of(&format!("20{}", with_check_digit("270060993"))), "future");
    }

    #[test]
    fn serial_000_is_refused_even_with_a_fitting_check_digit() {
        assert_eq!(code_of(&with_check_digit("990807000")), "serial_000");
        assert_eq!(code_of(&with_check_digit("730288000")), "serial_000");
    }

    #[test]
    fn exactly_one_check_digit_of_ten_fits() {
        let fitting =
            (0..=9).filter(|check| SwedishNumber::parse(&format!("990807239{check}"), TODAY).is_ok());
        assert_eq!(fitting.collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_temporary_number_needs_a_real_date_and_no_check_digit() {
        assert_eq!(canonical_of("870101-tf00"), "se.tf:19870101TF00");
        assert_eq!(canonical_of("19870101t000"), "se.tf:19870101T000");
        assert_eq!(canonical_of("261122-TF12"), "se.tf:19261122TF12");
        assert_eq!(canonical_of("261121+TF12"), "se.tf:19261121TF12");
        for (wrong, code) in [
            ("19870230-TF12", "no_such_date"),
            ("19870161-TF12", "no_such_date"),
            ("20261122-TF12", "future"),
            ("29870101-TF12", "century"),
            ("19870101-TF1", "form"),
            ("19870101-TF123", "form"),
            ("19870101-T12", "form"),
            ("19870101-T-123", "form"),
            ("19870101-FT12", "regional_reserve_number"),
        ] {
            assert_eq!(code_of(wrong), code);
        }
    }

    #[test]
    fn two_temporary_forms_never_meet() {
        assert_ne!(canonical_of("19870101-TF12"), canonical_of("19870101-T012"));
        assert_ne!(canonical_of("19870101-T112"), canonical_of("19870101-T012"));
    }

    #[test]
    fn numbers_of_other_registers_are_named() {
        assert_eq!(code_of("20000101R220"), "interim_number");
        assert_eq!(code_of("19810829M071"), "interim_or_regional_reserve_number");
        assert_eq!(code_of("991981000010"), "regional_reserve_number");
        assert_eq!(code_of("999908072391"), "century");
        assert_eq!(code_of("22810829-12GA"), "national_reserve_number");
    }

    #[test]
    fn the_mask_shows_the_date_and_nothing_else() {
        assert_eq!(SwedishNumber::parse("990807-2391", TODAY).unwrap().masked(), "19990807-****");
        assert_eq!(SwedishNumber::parse("730288-9931", TODAY).unwrap().masked(), "19730288-****");
        assert_eq!(SwedishNumber::parse("870101-TF12", TODAY).unwrap().masked(), "19870101-****");
    }

    /// Texts near the forms, so that many parse: nine digits get their check digit.
    fn near_numbers() -> impl Strategy<Value = String> {
        let nine = (0..=99_u8, 0..=13_u8, 0..=95_u8, 0..=999_u16)
            .prop_map(|(y, m, d, serial)| with_check_digit(&format!("{y:02}{m:02}{d:02}{serial:03}")));
        let sign = prop_oneof![Just(""), Just("-"), Just("+"), Just(" \u{2013}")];
        let century = prop_oneof![Just(""), Just("18"), Just("19"), Just("20"), Just("21")];
        let number = (century, nine, sign).prop_map(|(c, n, s)| format!("{c}{}{s}{}", &n[..6], &n[6..]));
        prop_oneof![number, "(19|20)?[0-9]{2}[01][0-9][0-3][0-9][-+]?(TF|T[0-9]|tf)[0-9]{2}", "\\PC{0,20}"]
    }

    proptest! {
        #[test]
        fn a_canonical_form_without_its_tag_gives_itself(input in near_numbers()) {
            if let Ok(number) = SwedishNumber::parse(&input, TODAY) {
                let (tag, digits) = number.as_str().split_once(':').unwrap();
                prop_assert!(["se.pnr", "se.snr", "se.tf"].contains(&tag));
                prop_assert_eq!(digits.len(), 12);
                prop_assert!(digits.chars().all(|c| c.is_ascii_digit() || c == 'T' || c == 'F'));
                prop_assert_eq!(SwedishNumber::parse(digits, TODAY), Ok(number));
            }
        }

        #[test]
        fn no_text_panics_on_any_day(input in any::<String>(), y in -9999_i16..=9999, m in 1_i8..=12) {
            let _ = SwedishNumber::parse(&input, date(y, m, 1));
        }
    }
}
