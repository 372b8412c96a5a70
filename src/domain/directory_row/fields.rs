//! The fields of one object of a row: each is taken by name, and every fault is gathered before the row is judged.

use std::borrow::Cow;
use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;

use super::{Delivered, Note};

/// The most characters of a name. Longer ones are two fields that ran into each other.
const LONGEST_NAME_CHARACTERS: usize = 100;
/// Notes kept of a row: enough to mend it, and a hostile row cannot make a report of its own size.
const MOST_NOTES: usize = 20;

const NEEDED: &str = "This field is needed and is not there.";
const NOT_TEXT: &str = "This must be a text in double quotes, also where it is all digits.";

/// What was noted of a row so far.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) faults: Vec<Note>,
    pub(super) findings: Vec<Note>,
}

impl Notes {
    fn fault(&mut self, note: Note) {
        if self.faults.len() < MOST_NOTES {
            self.faults.push(note);
        }
    }

    fn finding(&mut self, note: Note) {
        if self.findings.len() < MOST_NOTES {
            self.findings.push(note);
        }
    }
}

/// One object of a row, emptied field by field.
pub(super) struct Fields<'n> {
    /// The path in front of the field names: empty, or `child_links[0].`.
    path: String,
    entries: Vec<(String, Delivered)>,
    notes: &'n mut Notes,
}

impl<'n> Fields<'n> {
    /// The fields of an object; a fault and `None` if it is none. A field given twice is a fault: which one counts?
    pub(super) fn of(value: Delivered, path: &str, notes: &'n mut Notes) -> Option<Self> {
        let Delivered::Object(entries) = value else {
            let field = if path.is_empty() { "row" } else { path.trim_end_matches('.') };
            notes.fault(Note {
                field: field.to_owned(),
                code: "not_an_object",
                message: "This must be a JSON object.".into(),
            });
            return None;
        };
        let mut fields = Self { path: path.to_owned(), entries, notes };
        fields.drop_repeated();
        Some(fields)
    }

    fn drop_repeated(&mut self) {
        let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
        self.entries.retain(|(name, _)| {
            let first = seen.insert(name.clone());
            if !first {
                repeated.push(shown(name));
            }
            first
        });
        for name in repeated {
            self.fault(&name, "given_twice", "This field is given twice. Leave one.");
        }
    }

    pub(super) fn fault(&mut self, name: &str, code: &'static str, message: impl Into<Cow<'static, str>>) {
        let note = self.note(name, code, message);
        self.notes.fault(note);
    }

    pub(super) fn finding(&mut self, name: &str, code: &'static str, message: impl Into<Cow<'static, str>>) {
        let note = self.note(name, code, message);
        self.notes.finding(note);
    }

    fn note(&self, name: &str, code: &'static str, message: impl Into<Cow<'static, str>>) -> Note {
        Note { field: format!("{}{name}", self.path), code, message: message.into() }
    }

    /// The value of a field; `null` is the same as no field.
    fn take(&mut self, name: &str) -> Option<Delivered> {
        let at = self.entries.iter().position(|(entry, _)| entry == name)?;
        Some(self.entries.remove(at).1).filter(|value| !matches!(value, Delivered::Null))
    }

    /// A text that may be missing. Exports write an empty text for nothing, so that is nothing here too.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Delivered::Text(text) if text.trim().is_empty() => None,
            Delivered::Text(text) => Some(text),
            Delivered::Null
            | Delivered::Flag(_)
            | Delivered::Number
            | Delivered::List(_)
            | Delivered::Object(_) => {
                self.fault(name, "not_text", NOT_TEXT);
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Option<String> {
        let faults = self.notes.faults.len();
        let text = self.text(name);
        if text.is_none() && self.notes.faults.len() == faults {
            self.fault(name, "missing", NEEDED);
        }
        text
    }

    /// The name of a person or school: needed, NFC, without outer space.
    pub(super) fn person_text(&mut self, name: &str) -> Option<String> {
        let text: String = self.required_text(name)?.trim().nfc().collect();
        let formed = text.chars().count() <= LONGEST_NAME_CHARACTERS && !text.chars().any(char::is_control);
        if !formed {
            self.fault(
                name,
                "bad_name",
                "A name has at most 100 characters and no line breaks or control characters.",
            );
        }
        formed.then_some(text)
    }

    /// `true` or `false`; `false` if not given.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            Some(Delivered::Flag(flag)) => flag,
            None => false,
            Some(
                Delivered::Null
                | Delivered::Number
                | Delivered::Text(_)
                | Delivered::List(_)
                | Delivered::Object(_),
            ) => {
                self.fault(name, "not_a_flag", "This must be true or false, without quotes.");
                false
            }
        }
    }

    /// Reads the object of a field.
    pub(super) fn object<T>(&mut self, name: &str, read: impl FnOnce(Fields<'_>) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let path = format!("{}{name}.", self.path);
        Fields::of(value, &path, self.notes).and_then(read)
    }

    /// Reads each object of a list; those with a fault are left out.
    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        most: usize,
        mut read: impl FnMut(Fields<'_>) -> Option<T>,
    ) -> Vec<T> {
        let items = match self.take(name) {
            None => return Vec::new(),
            Some(Delivered::List(items)) if items.len() <= most => items,
            Some(
                Delivered::Null
                | Delivered::Flag(_)
                | Delivered::Number
                | Delivered::Text(_)
                | Delivered::List(_)
                | Delivered::Object(_),
            ) => {
                let message = format!("This must be a list in square brackets, with at most {most} entries.");
                self.fault(name, "not_a_list", message);
                return Vec::new();
            }
        };
        let mut read_items = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}{name}[{index}].", self.path);
            read_items.extend(Fields::of(item, &path, self.notes).and_then(&mut read));
        }
        read_items
    }

    /// Every field that nobody took is a fault: a misspelt one would be lost in silence.
    pub(super) fn finish(mut self) {
        for (name, _) in std::mem::take(&mut self.entries) {
            self.fault(
                &shown(&name),
                "unknown_field",
                "There is no such field here. See the list of fields in docs/directory-file.md.",
            );
        }
    }
}

/// A field name fit for a report. One that does not look like a name may be a value in the wrong place, and is not shown.
fn shown(name: &str) -> String {
    let formed =
        (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if formed { name.to_owned() } else { "(a field with an unusual name)".to_owned() }
}
