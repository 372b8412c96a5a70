//! Names as people search for them: folded into parts that are compared byte for byte.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The version of [`fold`]. Raise it when the folding changes: rows of another version are to be folded anew.
pub const FOLD_VERSION: i64 = 1;

/// Characters of a part that are kept: longer ones are told apart by other parts.
const MOST_PART_CHARS: usize = 40;

/// Parts of one name that are paired: so that no name has more than 66 pairs.
const MOST_PAIRED_PARTS: usize = 12;

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

/// Each two of the parts of a name, in their order, with a space between. `parts` are sorted, as [`fold`] gives them; of a
/// longer name the first twelve.
///
/// Few people of a large town share two parts of their names, however many are called Anna or Andersson: a search for two
/// words begins at their pair.
pub fn pairs(parts: &[String]) -> Vec<String> {
    let parts = &parts[..parts.len().min(MOST_PAIRED_PARTS)];
    parts
        .iter()
        .enumerate()
        .flat_map(|(place, one)| parts[place + 1..].iter().map(move |other| pair(one, other)))
        .collect()
}

/// What lies between is no part of a word and sorts before each letter and digit.
pub fn pair(one: &str, other: &str) -> String {
    format!("{one} {other}")
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

/// Words that somebody looks for: each is the beginning of a part of the name. None begins with another one.
#[derive(Clone, PartialEq, Eq)]
pub struct NameWords {
    /// Of the two longest words, for few names have them, that which sorts first: in a name that both fit, the part that
    /// the first one begins sorts before the part that the second one begins.
    first: String,
    second: Option<String>,
    others: Vec<String>,
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
        let others = words.split_off(words.len().min(2));
        words.sort_unstable();
        let mut words = words.into_iter();
        let first = words.next().ok_or(Unsearchable::Empty)?;
        Ok(Self { first, second: words.next(), others })
    }

    /// The words, parted by spaces: what is searched for, without how it was typed.
    pub fn text(&self) -> String {
        let words: Vec<&str> = self.all().collect();
        words.join(" ")
    }

    /// The words to look up.
    pub fn looked_up(&self) -> (&str, Option<&str>) {
        (&self.first, self.second.as_deref())
    }

    /// Those that are not looked up.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// The first of the parts, or of their [`pairs`], that begins as the words to look up do, if all words are beginnings
    /// of parts.
    pub fn first_match(&self, parts: &[String]) -> Option<String> {
        let found = |word: &str| parts.iter().find(|part| part.starts_with(word)).map(String::as_str);
        if !self.all().all(|word| found(word).is_some()) {
            return None;
        }
        match &self.second {
            None => found(&self.first).map(str::to_owned),
            Some(second) => Some(pair(found(&self.first)?, found(second)?)),
        }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.first).chain(&self.second).chain(&self.others).map(String::as_str)
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
        assert_eq!((words.looked_up(), words.others()), (("annika", Some("berg")), [].as_slice()));
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
        assert_eq!(words.first_match(&fold("Annika Bergström")).as_deref(), Some("annika bergstrom"));
        assert_eq!(words.first_match(&fold("Annika Strand")), None);
    }

    #[test]
    fn the_two_longest_words_are_looked_up_in_their_order() {
        let words = NameWords::parse("Per von Lindqvist Ek").unwrap_or_else(|_| panic!("words"));
        assert_eq!(words.looked_up(), ("lindqvist", Some("per")));
        assert_eq!(words.others(), ["von", "ek"]);
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
        fn whoever_two_words_fit_has_a_pair_that_they_begin(name in "[a-c ]{3,30}", typed in "[a-c]{1,3} [a-c]{1,3}") {
            let (parts, words) = (fold(&name), NameWords::parse(&typed));
            if let Ok(words) = words {
                let found = words.first_match(&parts);
                let (first, second) = words.looked_up();
                let fits = |pair: &String| match (pair.split_once(' '), second) {
                    (Some((one, other)), Some(second)) => one.starts_with(first) && other.starts_with(second),
                    _ => false,
                };
                if second.is_some() && parts.len() <= MOST_PAIRED_PARTS {
                    prop_assert_eq!(found, pairs(&parts).into_iter().filter(fits).min());
                }
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
