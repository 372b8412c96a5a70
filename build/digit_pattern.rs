//! A regular expression of the numbering plans as a small automaton over the digits 0 to 9.

use std::collections::HashMap;
use std::error::Error;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

/// How far a text has come in a pattern: a state, and whether the pattern has matched a beginning of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Progress {
    state: u16,
    began: bool,
}

/// A pattern that is read digit by digit, always from the beginning of the text.
pub struct DigitPattern {
    next: Vec<[u16; 10]>,
    matches: Vec<bool>,
}

impl DigitPattern {
    /// Compiles a pattern with the meaning that it has for the crate `regex`: the first alternative wins.
    pub fn new(pattern: &str) -> Result<Self, Box<dyn Error>> {
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new().start_kind(StartKind::Anchored).match_kind(MatchKind::LeftmostFirst),
            )
            // `\d` is 0 to 9 here; the metadata breaks its lines inside of patterns.
            .syntax(syntax::Config::new().unicode(false).utf8(false).ignore_whitespace(true))
            .build(pattern)?;
        let first = dfa.start_state(&start::Config::new().anchored(Anchored::Yes))?;
        let mut numbers: HashMap<StateID, u16> = HashMap::from([(first, 0)]);
        let mut found = vec![first];
        let mut compiled = Self { next: Vec::new(), matches: Vec::new() };
        while let Some(&state) = found.get(compiled.next.len()) {
            let mut row = [0; 10];
            for (digit, next) in (b'0'..).zip(&mut row) {
                let target = dfa.next_state(state, digit);
                let new = u16::try_from(numbers.len())?;
                *next = *numbers.entry(target).or_insert_with(|| {
                    found.push(target);
                    new
                });
            }
            compiled.next.push(row);
            compiled.matches.push(dfa.is_match_state(dfa.next_eoi_state(state)));
        }
        Ok(compiled)
    }

    /// Where every text begins.
    pub fn start(&self) -> Progress {
        Progress { state: 0, began: self.matches[0] }
    }

    /// One digit further.
    pub fn step(&self, from: Progress, digit: usize) -> Progress {
        let state = self.next[usize::from(from.state)][digit];
        Progress { state, began: from.began || self.matches[usize::from(state)] }
    }

    /// Whether the pattern matches all of the text.
    pub fn matches_whole(&self, progress: Progress) -> bool {
        self.matches[usize::from(progress.state)]
    }
}

impl Progress {
    /// Whether the pattern matches the text or a beginning of it.
    pub fn matches_beginning(self) -> bool {
        self.began
    }
}
