//! Names as people search for them: folded into parts that are compared byte for byte.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The version of [`fold`]. Raise it when the folding changes: rows of another version are to be folded anew.
pub const FOLD_VERSION: i64 = 1;

/// Characters of a part that are kept: longer ones are told apart by other parts.
const MOST_PART_CHARS: usize = 40;

/// Words of a search that are looked at (`SearchGuardiansRequest.name`).
pub const MOST_WORDS: usize = 6;

/// Sorts behind every letter and digit that a part can hold.
const BEHIND_ALL: char = '\u{10FFFF}';

/// The parts of a name, folded, sorted, each once: without case and accents, cut at everything that is no letter or
/// digit. `Åsa-Märta O'Hara` has the parts `asa`, `hara`, `marta` and `o`.
pub fn fold(text: &str) -> Vec<String> {
    let mut folded = String::with_capacity(text.len());
    // Decomposed twice: what case folding gives may have a mark again (İ).
    for c in text.nfkd().flat_map(char::to_lowercase).nfkd().filter(|c| !is_combining_mark(*c)) {
        match without_mark(c) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(c),
        }
    }
    let mut parts: Vec<String> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
        .map(|part| part.chars().take(MOST_PART_CHARS).collect())
        .collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// Letters whose mark is no character of its own in Unicode, as keyboards without them write them. Both sides are folded,
/// so what matters is that people who type either find it.
const fn without_mark(c: char) -> Option<&'static str> {
    match c {
        'ß' => Some("ss"),
        'æ' => Some("ae"),
        'œ' => Some("oe"),
        'þ' => Some("th"),
        'ø' => Some("o"),
        'đ' | 'ð' => Some("d"),
        'ł' => Some("l"),
        'ħ' => Some("h"),
        'ŧ' => Some("t"),
        'ŋ' => Some("n"),
        'ı' => Some("i"),
        'ς' => Some("σ"),
        _ => None,
    }
}

/// Words that somebody looks for: each is the beginning of a part of the name.
#[derive(Clone, PartialEq, Eq)]
pub struct NameWords {
    /// The longest one first, by characters: few names have it, so it is looked up. None begins with another one.
    words: Vec<String>,
}

/// Why a text cannot be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsearchable {
    /// It has no letter or digit.
    Empty,
    /// It has more than [`MOST_WORDS`] words.
    TooManyWords,
}

impl NameWords {
    /// Reads what was typed.
    ///
    /// # Errors
    /// [`Unsearchable`].
    pub fn parse(typed: &str) -> Result<Self, Unsearchable> {
        let mut words = fold(typed);
        if words.is_empty() {
            return Err(Unsearchable::Empty);
        }
        if words.len() > MOST_WORDS {
            return Err(Unsearchable::TooManyWords);
        }
        let all = words.clone();
        // Who has a part that begins with "anna" has one that begins with "ann".
        words.retain(|word| !all.iter().any(|other| other != word && other.starts_with(word.as_str())));
        words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
        Ok(Self { words })
    }

    /// The words, parted by spaces: what is searched for, without how it was typed.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }

    /// The word to look up, and the others.
    pub fn first_and_others(&self) -> (&str, &[String]) {
        match self.words.split_first() {
            Some((first, others)) => (first, others),
            None => ("", &[]),
        }
    }

    /// The first of the parts that begins with the word to look up, if all words are beginnings of parts.
    pub fn first_match<'p>(&self, parts: &'p [String]) -> Option<&'p str> {
        let found = |word: &String| parts.iter().find(|part| part.starts_with(word.as_str()));
        if self.words.iter().all(|word| found(word).is_some()) {
            self.words.first().and_then(found).map(String::as_str)
        } else {
            None
        }
    }
}

/// The end of the parts that begin with a word: `word <= part < end_of(word)`, byte for byte.
pub fn end_of(word: &str) -> String {
    let mut end = word.to_owned();
    end.push(BEHIND_ALL);
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_what_stands_between_do_not_matter() {
        for (name, parts) in [
            ("Åsa-Märta O'Hara", vec!["asa", "hara", "marta", "o"]),
            ("Øystein Sæther", vec!["oystein", "saether"]),
            ("Weiß van der Meer", vec!["der", "meer", "van", "weiss"]),
            ("Đorđe Łukasz", vec!["dorde", "lukasz"]),
            ("İpek Işık", vec!["ipek", "isik"]),
            ("ﬁona ANNA anna", vec!["anna", "fiona"]),
            ("Ελένη Γιώργος", vec!["γιωργοσ", "ελενη"]),
            ("- ' ,", vec![]),
        ] {
            assert_eq!(fold(name), parts, "{name}");
        }
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same() {
        assert_eq!(fold("A\u{30a}sa"), fold("Åsa"));
    }

    #[test]
    fn a_word_that_another_one_begins_with_says_nothing_more() {
        let words = NameWords::parse("an Annika Berg ann").unwrap_or_else(|_| panic!("words"));
        assert_eq!(words.first_and_others(), ("annika", ["berg".to_owned()].as_slice()));
    }

    #[test]
    fn nothing_and_too_much_are_not_looked_for() {
        assert_eq!(NameWords::parse(" - ").err(), Some(Unsearchable::Empty));
        assert_eq!(NameWords::parse("a b c d e f g").err(), Some(Unsearchable::TooManyWords));
        assert!(NameWords::parse("a b c d e f").is_ok());
    }

    #[test]
    fn all_words_must_be_beginnings_of_parts() {
        let words = NameWords::parse("ber ann").unwrap_or_else(|_| panic!("words"));
        assert_eq!(words.first_match(&fold("Annika Bergström")), Some("annika"));
        assert_eq!(words.first_match(&fold("Annika Strand")), None);
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(name in "\\PC{0,60}") {
            let parts = fold(&name);
            prop_assert_eq!(fold(&parts.join(" ")), parts);
        }

        #[test]
        fn a_part_lies_in_the_range_of_each_of_its_beginnings(name in "\\w{1,40}", cut in 1_usize..10) {
            for part in fold(&name) {
                let word: String = part.chars().take(cut).collect();
                prop_assert!(word.as_str() <= part.as_str() && part < end_of(&word));
            }
        }

        #[test]
        fn nothing_else_lies_in_the_range_of_a_word(word in "[a-zö0-9]{1,4}", other in "[a-zö0-9]{1,6}") {
            for (word, other) in fold(&word).into_iter().zip(fold(&other)) {
                let inside = word <= other && other < end_of(&word);
                prop_assert_eq!(inside, other.starts_with(&word));
            }
        }
    }
}
