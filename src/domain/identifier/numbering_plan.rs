//! The numbering plans of the world, compiled: what kind of number the digits of an E.164 number are.
//!
//! Source: libphonenumber's data, which `build/mobile_numbers.rs` makes into one automaton.

/// Rows of eleven little-endian `u16`, a row a state: what it says, then the next state for each digit.
static STATES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mobile_numbers.bin"));
const ROW_BYTES: usize = 22;

/// Before the first digit.
const START: u16 = 0;
/// A state that has no row: it says nothing and leads nowhere.
const NO_STATE: u16 = u16::MAX;

// What a state says; `build/mobile_numbers.rs` has the same numbers.
const NOTHING: u16 = 0;
const OTHER_KIND: u16 = 1;
const MOBILE: u16 = 2;
const CALLING_CODE: u16 = 3;
const CALLING_CODE_WITH_TRUNK_ZERO: u16 = 4;

/// Who has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    /// No phone.
    Nothing,
    /// Landlines and services; or mobile phones and these, where numbers do not tell one from the other.
    Other,
    /// Phones of mobile networks, and nothing else.
    Mobile,
}

/// What digits with a calling code in front are understood as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    pub(super) service: Service,
    /// The country calling code.
    pub(super) code: &'a str,
    /// The national number, without a trunk zero.
    pub(super) number: &'a str,
}

impl<'a> Reading<'a> {
    /// Reads a calling code and a national number, with or without one trunk zero between them if the country has it.
    ///
    /// None where no country has that code. What is no digit makes a number nobody's.
    pub(super) fn of(digits: &'a str) -> Option<Self> {
        let mut state = START;
        let end = 1 + digits.bytes().position(|digit| {
            state = next(state, digit);
            matches!(said(state), CALLING_CODE | CALLING_CODE_WITH_TRUNK_ZERO)
        })?;
        let (code, number) = digits.split_at_checked(end)?;
        let reading = |number| Self { service: service(state, number), code, number };
        let written = reading(number);
        // Behind a trunk zero there is no other one.
        let trunk = number.strip_prefix('0').filter(|number| !number.starts_with('0')).map(reading);
        Some(match trunk {
            // A zero can be part of the number there as well: then it stays.
            Some(trunk) if said(state) == CALLING_CODE_WITH_TRUNK_ZERO && trunk.service > written.service => {
                trunk
            }
            _ => written,
        })
    }
}

fn service(behind_code: u16, number: &str) -> Service {
    // Some plans have room for zeros alone, which is what people type who have no number to give.
    if number.bytes().all(|digit| digit == b'0') {
        return Service::Nothing;
    }
    match said(number.bytes().fold(behind_code, next)) {
        MOBILE => Service::Mobile,
        OTHER_KIND => Service::Other,
        _ => Service::Nothing,
    }
}

fn next(state: u16, digit: u8) -> u16 {
    match digit {
        b'0'..=b'9' => entry(state, usize::from(digit - b'0') + 1).unwrap_or(NO_STATE),
        _ => NO_STATE,
    }
}

fn said(state: u16) -> u16 {
    entry(state, 0).unwrap_or(NOTHING)
}

fn entry(state: u16, column: usize) -> Option<u16> {
    STATES
        .get(usize::from(state) * ROW_BYTES + column * 2..)?
        .first_chunk()
        .map(|bytes| u16::from_le_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn states() -> std::ops::Range<u16> {
        START..u16::try_from(STATES.len() / ROW_BYTES).unwrap()
    }

    /// Numbers that go over every transition of the automaton: broken off behind it, and ended by the digits that make
    /// a number of it, if there are some.
    pub(in super::super) fn numbers_over_every_transition() -> Vec<String> {
        let begun = shortest_beginnings();
        let ends = ends();
        let mut numbers = Vec::new();
        for (state, begun) in states().zip(&begun) {
            for digit in b'0'..=b'9' {
                let number = format!("{begun}{}", char::from(digit));
                let end = ends[usize::from(next(state, digit))].as_ref();
                numbers.extend(end.filter(|end| !end.is_empty()).map(|end| format!("{number}{end}")));
                numbers.push(number);
            }
        }
        numbers
    }

    /// By state the fewest digits that lead to it.
    fn shortest_beginnings() -> Vec<String> {
        let mut begun = vec![None; states().len()];
        begun[usize::from(START)] = Some(String::new());
        let mut found = std::collections::VecDeque::from([START]);
        while let Some(state) = found.pop_front() {
            for digit in b'0'..=b'9' {
                let target = next(state, digit);
                if begun[usize::from(target)].is_none() {
                    let before = begun[usize::from(state)].as_deref().unwrap();
                    begun[usize::from(target)] = Some(format!("{before}{}", char::from(digit)));
                    found.push_back(target);
                }
            }
        }
        begun.into_iter().map(|digits| digits.expect("every state is reached")).collect()
    }

    /// By state some digits that make a number from there, if there are any.
    fn ends() -> Vec<Option<String>> {
        let mut ends = vec![None; states().len()];
        // A state stands before those that it leads to.
        for state in states().rev() {
            let is_number = matches!(said(state), OTHER_KIND | MOBILE);
            ends[usize::from(state)] = if is_number {
                Some(String::new())
            } else {
                (b'0'..=b'9').find_map(|digit| {
                    let end = ends[usize::from(next(state, digit))].as_ref()?;
                    Some(format!("{}{end}", char::from(digit)))
                })
            };
        }
        ends
    }

    #[test]
    fn the_table_is_whole() {
        assert_eq!(STATES.len() % ROW_BYTES, 0);
        assert!((2_000..20_000).contains(&states().len()), "{:?}", states());
        for state in states() {
            assert!(said(state) <= CALLING_CODE_WITH_TRUNK_ZERO);
            assert!((b'0'..=b'9').all(|digit| states().contains(&next(state, digit))));
        }
    }

    #[test]
    fn what_is_no_digit_leads_nowhere() {
        for wrong in [
            "",
            "4",
            "4x",
            "4670174063x",
            "46701740635x",
            "x46701740635",
            "0046701740635",
            "4670174063\u{665}",
        ] {
            let service = Reading::of(wrong).map_or(Service::Nothing, |reading| reading.service);
            assert_eq!(service, Service::Nothing, "{wrong}");
        }
        assert_eq!(next(NO_STATE, b'0'), NO_STATE);
    }

    #[test]
    fn a_trunk_zero_is_taken_off_once_and_only_where_there_is_one() {
        let number =
            |digits| Reading::of(digits).filter(|it| it.service == Service::Mobile).map(|it| it.number);
        assert_eq!(number("46701740635"), Some("701740635"));
        assert_eq!(number("460701740635"), Some("701740635"));
        assert_eq!(number("4600701740635"), None);
        // Norway has none.
        assert_eq!(number("4740612345"), Some("40612345"));
        assert_eq!(number("47040612345"), None);
        // Gabon has one, and numbers that begin with a zero.
        assert_eq!(number("24106031234"), Some("06031234"));
        assert_eq!(number("24160031234"), Some("60031234"));
        assert_eq!(number("241060031234"), Some("60031234"));
        assert_eq!(number("241006031234"), None);
    }

    #[test]
    fn zeros_alone_are_no_number() {
        // Tajikistan has mobile numbers of nine digits that begin with 00.
        assert_eq!(Reading::of("992000000001").unwrap().service, Service::Mobile);
        assert_eq!(Reading::of("992000000000").unwrap().service, Service::Nothing);
    }
}
