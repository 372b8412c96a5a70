//! Compiles the numbering plans of the world into one small automaton: which numbers are mobile, which are of another kind.
//!
//! Source: the metadata of libphonenumber as the crate `phonenumber` brings it, so that both have one version.

#[path = "digit_pattern.rs"]
mod digit_pattern;

use std::collections::HashMap;
use std::error::Error;

use phonenumber::Metadata;
use phonenumber::metadata::{DATABASE, Descriptor};

use digit_pattern::{DigitPattern, Progress};

// What a state says about the digits that lead to it; `src/domain/identifier/numbering_plan.rs` has the same numbers.
const NOTHING: u8 = 0;
const OTHER_KIND: u8 = 1;
const MOBILE: u8 = 2;
const CALLING_CODE: u8 = 3;
const CALLING_CODE_WITH_TRUNK_ZERO: u8 = 4;

/// No digit leads out of it.
const DEAD: u16 = 0;
/// For kinds of number without lengths: the whole of an E.164 number has no more digits.
const LONGEST: u16 = 15;

/// The automaton as rows of eleven little-endian `u16`: what the state says, then the next state for each digit. The
/// first row is the state before the first digit of the calling code.
///
/// # Errors
/// When a pattern does not compile, or there are more states than a `u16` counts.
pub fn compile() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut states = States::new();
    let mut codes = HashMap::new();
    for code in 1..=999 {
        let Some(regions) = DATABASE.by_code(&code) else { continue };
        let next = Plan::new(&regions)?.compile(&mut states)?;
        let says = if regions.iter().any(|region| has_trunk_zero(region)) {
            CALLING_CODE_WITH_TRUNK_ZERO
        } else {
            CALLING_CODE
        };
        codes.insert(code, states.number(State { says, next })?);
    }
    let before_codes = states.before_codes(0, &codes)?;
    Ok(states.table(before_codes))
}

/// Whether a zero is written before the number inside of the country only, as in +46 (0)70.
fn has_trunk_zero(region: &Metadata) -> bool {
    let prefixes = region.national_prefix_for_parsing();
    region.national_prefix() == Some("0")
        // Belarus also has 8; Gabon tells for which numbers.
        || prefixes.is_some_and(|pattern| pattern.as_str().trim_start().starts_with('0'))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    says: u8,
    next: [u16; 10],
}

/// The states of the automaton. It has no loops and is built from its ends, so to make equal states one is to make it
/// minimal.
struct States {
    rows: Vec<State>,
    numbers: HashMap<State, u16>,
}

impl States {
    fn new() -> Self {
        let dead = State { says: NOTHING, next: [DEAD; 10] };
        Self { rows: vec![dead], numbers: HashMap::from([(dead, DEAD)]) }
    }

    fn number(&mut self, state: State) -> Result<u16, Box<dyn Error>> {
        if let Some(number) = self.numbers.get(&state) {
            return Ok(*number);
        }
        let number = u16::try_from(self.rows.len())?;
        self.rows.push(state);
        self.numbers.insert(state, number);
        Ok(number)
    }

    /// The state behind `begun`, which is the beginning of a calling code, or 0 before its first digit.
    fn before_codes(&mut self, begun: u16, codes: &HashMap<u16, u16>) -> Result<u16, Box<dyn Error>> {
        let mut next = [DEAD; 10];
        for (digit, next) in (0..).zip(&mut next) {
            let code = begun * 10 + digit;
            *next = match codes.get(&code) {
                Some(state) => *state,
                // Two digits or less; no calling code begins with a zero.
                None if (1..100).contains(&code) => self.before_codes(code, codes)?,
                None => DEAD,
            };
        }
        self.number(State { says: NOTHING, next })
    }

    /// The rows as bytes. `first` was made last of all, so backwards it is the first.
    fn table(&self, first: u16) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.rows.len() * 22);
        for state in self.rows.iter().rev() {
            table.extend(u16::from(state.says).to_le_bytes());
            table.extend(state.next.iter().flat_map(|next| (first - next).to_le_bytes()));
        }
        table
    }
}

/// The numbers behind one calling code.
struct Plan {
    /// Each pattern once, although regions share some.
    patterns: Vec<DigitPattern>,
    regions: Vec<Region>,
    /// In digits, without the calling code.
    longest: u16,
    /// States by the count of their digits and what these are in each pattern.
    known: HashMap<(u16, Vec<Progress>), u16>,
}

/// One country or territory; several share the calling codes 1, 7, 39, 44 and others.
struct Region {
    leading_digits: Option<usize>,
    general: Kind,
    mobile: Option<Kind>,
    others: Vec<Kind>,
}

/// A kind of number: its pattern, by its place in the plan, and how many digits it can have; none if that is not told.
struct Kind {
    pattern: usize,
    lengths: Vec<u16>,
}

impl Plan {
    fn new(metadata: &[&Metadata]) -> Result<Self, Box<dyn Error>> {
        let mut plan = Self { patterns: vec![], regions: vec![], longest: 0, known: HashMap::new() };
        let mut places = HashMap::new();
        let mut place = |pattern: &str| -> Result<usize, Box<dyn Error>> {
            if let Some(place) = places.get(pattern) {
                return Ok(*place);
            }
            plan.patterns.push(DigitPattern::new(pattern)?);
            places.insert(pattern.to_owned(), plan.patterns.len() - 1);
            Ok(plan.patterns.len() - 1)
        };
        for region in metadata {
            let leading_digits = region.leading_digits().map(|digits| place(digits.as_str())).transpose()?;
            let mut kind = |descriptor: &Descriptor| -> Result<Kind, Box<dyn Error>> {
                let lengths = descriptor.possible_length().to_vec();
                Ok(Kind { pattern: place(descriptor.national_number().as_str())?, lengths })
            };
            let kinds = region.descriptors();
            let others = [
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
            plan.regions.push(Region {
                leading_digits,
                general: kind(kinds.general())?,
                mobile: kinds.mobile().map(&mut kind).transpose()?,
                others: others.into_iter().flatten().map(&mut kind).collect::<Result<_, _>>()?,
            });
        }
        plan.longest = plan.regions.iter().flat_map(Region::kinds).map(Kind::longest).max().unwrap_or(0);
        Ok(plan)
    }

    /// Makes the states of all numbers, and gives those after one digit.
    fn compile(mut self, states: &mut States) -> Result<[u16; 10], Box<dyn Error>> {
        let start: Vec<_> = self.patterns.iter().map(DigitPattern::start).collect();
        self.next(0, &start, states)
    }

    /// The state of numbers whose first `length` digits got as far as `progress`, made after all that follow it.
    fn state(
        &mut self,
        length: u16,
        progress: Vec<Progress>,
        states: &mut States,
    ) -> Result<u16, Box<dyn Error>> {
        if length > self.longest {
            return Ok(DEAD);
        }
        let begun = (length, progress);
        if let Some(known) = self.known.get(&begun) {
            return Ok(*known);
        }
        let next = self.next(length, &begun.1, states)?;
        let number = states.number(State { says: self.verdict(length, &begun.1), next })?;
        self.known.insert(begun, number);
        Ok(number)
    }

    fn next(
        &mut self,
        length: u16,
        progress: &[Progress],
        states: &mut States,
    ) -> Result<[u16; 10], Box<dyn Error>> {
        let mut next = [DEAD; 10];
        for (digit, next) in next.iter_mut().enumerate() {
            let patterns = self.patterns.iter().zip(progress);
            let further = patterns.map(|(pattern, from)| pattern.step(*from, digit)).collect();
            *next = self.state(length + 1, further, states)?;
        }
        Ok(next)
    }

    /// What the number is if it ends here.
    ///
    /// A kind has to match all of a mobile number. Of others a beginning is enough, as for the crate `phonenumber`:
    /// this tells only which words a refusal has.
    fn verdict(&self, length: u16, progress: &[Progress]) -> u8 {
        let begins = |kind: &Kind| kind.is_length(length) && progress[kind.pattern].matches_beginning();
        let is_one = |kind: &Kind| {
            kind.is_length(length) && self.patterns[kind.pattern].matches_whole(progress[kind.pattern])
        };
        let is_of_a_kind = |region: &Region| begins(&region.general) && region.kinds().any(begins);
        let is_here = |region: &&Region| match region.leading_digits {
            Some(digits) => progress[digits].matches_beginning(),
            None => is_of_a_kind(region),
        };
        let region = match &self.regions[..] {
            [only] => Some(only),
            several => several.iter().find(is_here),
        };
        let Some(region) = region else { return NOTHING };
        let is_mobile = region.mobile.as_ref().is_some_and(is_one);
        if begins(&region.general) && is_mobile && !region.others.iter().any(is_one) {
            MOBILE
        } else if is_of_a_kind(region) {
            OTHER_KIND
        } else {
            NOTHING
        }
    }
}

impl Region {
    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.mobile.iter().chain(&self.others)
    }
}

impl Kind {
    fn is_length(&self, length: u16) -> bool {
        self.lengths.is_empty() || self.lengths.contains(&length)
    }

    fn longest(&self) -> u16 {
        self.lengths.iter().max().copied().unwrap_or(LONGEST)
    }
}
