//! The date in front of a Swedish number: which century it means, and whether it can be a birth date.

use jiff::civil::Date;

use super::Rejection;

/// Centuries that the numbers of living people, and of people in old registers, begin with.
const CENTURIES: std::ops::RangeInclusive<i16> = 18..=20;

/// The year of the 100th birthday is the one in which `-` becomes `+` (18 § folkbokföringslagen).
const PLUS_FROM_AGE_YEARS: i16 = 100;

const CENTURY: Rejection = Rejection::new(
    "century",
    "A number with twelve characters begins with 18, 19 or 20. Check the first two digits of the birth year.",
);
const NO_SUCH_DATE: Rejection =
    Rejection::new("no_such_date", "The first digits are no date that exists. Check year, month and day.");
const FUTURE: Rejection =
    Rejection::new("future", "The date in this number is in the future. Check year, month and day.");

/// Whether the date has to be in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calendar {
    /// Personnummer and temporary numbers: it has to.
    Required,
    /// Coordination numbers are issued with incomplete dates; then only the year is compared with today.
    Optional,
}

/// A date as written: the digits, and the `+` of people who turn 100 or more this year.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenDate {
    /// The first two of four year digits; absent in the short form.
    century: Option<i16>,
    year_of_century: i16,
    /// 00–99, as written.
    pub(super) month: i8,
    /// 00–99, as written.
    pub(super) day: i8,
    plus: bool,
}

impl WrittenDate {
    /// Reads 8 or 6 ASCII digits; `None` for anything else.
    pub(super) fn read(digits: &str, plus: bool) -> Option<Self> {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (century, short) = match digits.len() {
            8 => (Some(digits.get(..2)?.parse().ok()?), digits.get(2..)?),
            6 => (None, digits),
            _ => return None,
        };
        Some(Self {
            century,
            year_of_century: short.get(..2)?.parse().ok()?,
            month: short.get(2..4)?.parse().ok()?,
            day: short.get(4..)?.parse().ok()?,
            plus,
        })
    }

    /// The same date with `days` taken off its day.
    pub(super) const fn days_back(self, days: i8) -> Self {
        Self { day: self.day - days, ..self }
    }

    /// The four-digit year that is meant on the day `on`.
    ///
    /// With a century: that one, and `+` says nothing. Without: the latest such date not after `on`; with `+`, a
    /// hundred years less if that person would be under 100 this calendar year.
    ///
    /// # Errors
    /// When there is no such date, it is after `on`, or its century is not 18, 19 or 20.
    pub(super) fn year(self, on: Date, calendar: Calendar) -> Result<i16, Rejection> {
        let year = match self.century {
            Some(century) => century * 100 + self.year_of_century,
            None => self.year_in_short_form(on, calendar)?,
        };
        if !CENTURIES.contains(&year.div_euclid(100)) {
            return Err(CENTURY);
        }
        self.check(year, on, calendar).map(|()| year)
    }

    fn year_in_short_form(self, on: Date, calendar: Calendar) -> Result<i16, Rejection> {
        // 29 February skips the centuries in which it does not exist, so the search goes on past the first try.
        // It begins at the century of `on`, not at 20: else a number of 2101 would be read as another person's.
        let mut fault = NO_SUCH_DATE;
        let mut century = on.year().div_euclid(100);
        while century >= *CENTURIES.start() {
            let year = century * 100 + self.year_of_century;
            match self.check(year, on, calendar) {
                Ok(()) if self.plus && on.year() - year < PLUS_FROM_AGE_YEARS => return Ok(year - 100),
                Ok(()) => return Ok(year),
                Err(rejection) => fault = rejection,
            }
            century -= 1;
        }
        Err(fault)
    }

    fn check(self, year: i16, on: Date, calendar: Calendar) -> Result<(), Rejection> {
        let is_past = match (Date::new(year, self.month, self.day), calendar) {
            (Ok(date), _) => date <= on,
            (Err(_), Calendar::Required) => return Err(NO_SUCH_DATE),
            (Err(_), Calendar::Optional) => year <= on.year(),
        };
        if is_past { Ok(()) } else { Err(FUTURE) }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 21);

    fn year(digits: &str, plus: bool, on: Date) -> Result<i16, Rejection> {
        WrittenDate::read(digits, plus).unwrap().year(on, Calendar::Required)
    }

    fn loose_year(digits: &str, plus: bool, on: Date) -> Result<i16, Rejection> {
        WrittenDate::read(digits, plus).unwrap().year(on, Calendar::Optional)
    }

    #[test]
    fn a_short_date_is_the_latest_one_not_after_today() {
        assert_eq!(year("261121", false, TODAY), Ok(2026));
        assert_eq!(year("261122", false, TODAY), Ok(1926));
        assert_eq!(year("270101", false, TODAY), Ok(1927));
    }

    #[test]
    fn plus_takes_a_hundred_years_only_from_those_under_100_this_year() {
        assert_eq!(year("261121", true, TODAY), Ok(1926));
        assert_eq!(year("261122", true, TODAY), Ok(1926));
        assert_eq!(year("270101", true, TODAY), Ok(1827));
        assert_eq!(year("270101", true, date(2027, 1, 1)), Ok(1927));
    }

    #[test]
    fn a_leap_day_is_never_moved_to_a_century_without_it() {
        assert_eq!(year("000229", false, TODAY), Ok(2000));
        // 1900 was no leap year, so nobody was born on the day that the `+` points to.
        assert_eq!(year("000229", true, TODAY), Err(NO_SUCH_DATE));
        assert_eq!(year("000229", false, date(2000, 2, 28)), Err(NO_SUCH_DATE));
        // 2100 is none either: in that year the short form still means 2000.
        assert_eq!(year("000229", false, date(2100, 6, 1)), Ok(2000));
        assert_eq!(year("000229", true, date(2100, 6, 1)), Ok(2000));
        assert_eq!(year("280229", false, TODAY), Ok(1928));
        assert_eq!(year("270229", false, TODAY), Err(NO_SUCH_DATE));
    }

    #[test]
    fn a_full_date_ignores_plus_and_is_not_in_the_future() {
        assert_eq!(year("20261121", true, TODAY), Ok(2026));
        assert_eq!(year("20261122", false, TODAY), Err(FUTURE));
        assert_eq!(year("17991231", false, TODAY), Err(CENTURY));
        assert_eq!(year("18000101", false, TODAY), Ok(1800));
        assert_eq!(year("21000101", false, date(2100, 1, 2)), Err(CENTURY));
    }

    #[test]
    fn a_date_outside_the_calendar_is_compared_by_its_year_alone() {
        assert_eq!(loose_year("20260231", false, TODAY), Ok(2026));
        assert_eq!(loose_year("20261231", false, TODAY), Err(FUTURE));
        assert_eq!(loose_year("20261200", false, TODAY), Ok(2026));
        assert_eq!(loose_year("20270000", false, TODAY), Err(FUTURE));
        assert_eq!(loose_year("260000", false, TODAY), Ok(2026));
        assert_eq!(loose_year("270000", false, TODAY), Ok(1927));
        assert_eq!(loose_year("260000", true, TODAY), Ok(1926));
        assert_eq!(loose_year("000229", true, TODAY), Ok(1900));
    }

    #[test]
    fn a_number_of_the_next_century_is_refused_and_not_taken_for_an_older_one() {
        assert_eq!(year("010101", false, date(2105, 1, 1)), Err(CENTURY));
        assert_eq!(year("990101", false, date(2105, 1, 1)), Ok(2099));
    }

    proptest! {
        #[test]
        fn no_digits_and_no_day_panic(digits in "[0-9]{6}|[0-9]{8}", plus: bool, y in -9999_i16..=9999, days in 0_i8..=99) {
            let written = WrittenDate::read(&digits, plus).unwrap().days_back(days);
            for calendar in [Calendar::Required, Calendar::Optional] {
                if let Ok(year) = written.year(date(y, 6, 15), calendar) {
                    prop_assert!((1800..=2099).contains(&year) && year <= y);
                }
            }
        }
    }
}
