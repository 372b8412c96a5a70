//! A typed walk through the tree that records every fault and, when asked to describe itself, every key.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::Path;

use crate::domain::secret::Secret;

use super::fault::{Fault, Origin};
use super::form::{Form, Shown, Text};
use super::source::{Pass, Seen};
use super::tree::{Node, Table, Value};

/// A key as `docs/configuration.md` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReference {
    /// The path; `[]` stands for each element of a list.
    pub path: String,
    /// What it means.
    pub meaning: &'static str,
    /// Type, unit and range.
    pub form: String,
    /// `required`, the default, or what its absence means.
    pub default: String,
    /// Whether its value must not be seen.
    pub secret: bool,
}

/// What all readers of one walk write into.
#[derive(Default)]
pub(super) struct Journal {
    faults: RefCell<Vec<Fault>>,
    keys: RefCell<Vec<KeyReference>>,
    /// Files that were named and looked into, and what they held.
    files: RefCell<Seen>,
    pass: Pass,
    /// Whether this walk is made to list the keys: then every branch is taken, and the faults mean nothing.
    describing: bool,
}

impl Journal {
    pub(super) fn describing() -> Self {
        Self { describing: true, ..Self::default() }
    }

    pub(super) fn of(pass: Pass) -> Self {
        Self { pass, ..Self::default() }
    }

    pub(super) fn pass(&self) -> Pass {
        self.pass
    }

    pub(super) fn add(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// A file whose content is part of the configuration, and what it held when it was read. Where it is read twice, the
    /// first counts: if it holds something else since, it is found to have changed.
    pub(super) fn names(&self, file: &Path, held: Option<[u8; 32]>) {
        self.files.borrow_mut().entry(file.to_owned()).or_insert(held);
    }

    pub(super) fn take_files(&self) -> Seen {
        self.files.take()
    }

    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<KeyReference>) {
        (self.faults.into_inner(), self.keys.into_inner())
    }
}

/// A value with the path under which faults name it.
pub(super) struct Spot<'t> {
    pub(super) journal: &'t Journal,
    pub(super) path: String,
    pub(super) node: &'t Node,
}

impl Spot<'_> {
    /// Records that the value is wrong; `None`, so that a form can return it.
    pub(super) fn wrong<T>(&self, what: impl Into<String>, remedy: impl Into<String>) -> Option<T> {
        self.journal.add(Fault {
            key: self.path.clone(),
            origin: Some(self.node.origin.clone()),
            what: what.into(),
            remedy: remedy.into(),
        });
        None
    }
}

/// Reads one section. A section that is not given reads as an empty one.
pub(super) struct Reader<'t> {
    journal: &'t Journal,
    path: String,
    entries: Option<&'t Table>,
    asked: Vec<String>,
}

impl<'t> Reader<'t> {
    /// A reader of the whole document.
    pub(super) fn root(journal: &'t Journal, entries: &'t Table) -> Self {
        Self { journal, path: String::new(), entries: Some(entries), asked: Vec::new() }
    }

    /// A key without which there is no configuration.
    pub(super) fn required<F: Form>(
        &mut self,
        name: &str,
        meaning: &'static str,
        form: &F,
    ) -> Option<F::Value> {
        self.describe(name, meaning, form.describe(), "required", false);
        match self.spot(name) {
            Some(spot) => form.read(&spot),
            None => self.missing(name, meaning, &format!("write {}", form.describe())),
        }
    }

    /// A key that may be absent; `absent` says what that means.
    pub(super) fn optional<F: Form>(
        &mut self,
        name: &str,
        meaning: &'static str,
        form: &F,
        absent: &str,
    ) -> Option<F::Value> {
        self.describe(name, meaning, form.describe(), absent, false);
        form.read(&self.spot(name)?)
    }

    /// A key with a default.
    pub(super) fn or<F: Shown>(
        &mut self,
        name: &str,
        meaning: &'static str,
        form: &F,
        default: F::Value,
    ) -> F::Value {
        let shown = form.show(&default);
        self.optional(name, meaning, form, &shown).unwrap_or(default)
    }

    /// A secret: `name` or `name_file`, one of them and not both.
    pub(super) fn secret(
        &mut self,
        name: &str,
        meaning: &'static str,
        form: &Text,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Option<Secret<String>> {
        let in_file = format!("{name}_file");
        let from_file = "the file that holds it; one line end after it is dropped";
        self.describe(name, meaning, form.describe(), &format!("required, or `{in_file}`"), true);
        self.describe(
            &in_file,
            from_file,
            super::form::SecretFile.describe(),
            &format!("required, or `{name}`"),
            false,
        );
        let (spot, text) = match (self.spot(name), self.spot(&in_file)) {
            (Some(spot), None) => {
                let text = form.read(&spot)?;
                (spot, Secret::new(text))
            }
            (None, Some(spot)) => {
                let text = super::form::SecretFile.read(&spot)?;
                (spot, text)
            }
            (Some(_), Some(spot)) => {
                return spot.wrong(format!("is given beside `{name}`"), "give one of the two");
            }
            (None, None) => return self.missing(name, meaning, &format!("give it, or better `{in_file}`")),
        };
        match check(text.expose()) {
            Ok(()) => Some(text),
            Err(what) => spot.wrong(what, "write another value"),
        }
    }

    /// The same where the secret may be absent.
    pub(super) fn optional_secret(
        &mut self,
        name: &str,
        meaning: &'static str,
        form: &Text,
    ) -> Option<Secret<String>> {
        let in_file = format!("{name}_file");
        if self.journal.describing || self.is_given(name) || self.is_given(&in_file) {
            return self.secret(name, meaning, form, |_| Ok(()));
        }
        self.asked.extend([name.to_owned(), in_file]);
        None
    }

    /// A section, read whether or not it is given.
    pub(super) fn section<T>(&mut self, name: &str, read: impl FnOnce(&mut Reader<'t>) -> T) -> T {
        let entries = self.spot(name).and_then(|spot| table_of(&spot));
        self.within(self.path_of(name), entries, read)
    }

    /// A section that means something by being there.
    pub(super) fn optional_section<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Reader<'t>) -> T,
    ) -> Option<T> {
        let given = self.is_given(name) || self.journal.describing;
        self.asked.push(name.to_owned());
        given.then(|| self.section(name, read))
    }

    /// The section of a choice: read if chosen, a fault if given without being chosen. `None`: not known what was chosen.
    pub(super) fn chosen_section<T>(
        &mut self,
        name: &str,
        chosen: Option<bool>,
        read: impl FnOnce(&mut Reader<'t>) -> T,
    ) -> Option<T> {
        self.section_chosen_by(name, chosen, "choose it by `backend`, or remove it", read)
    }

    /// The same where another key than `backend` chooses.
    pub(super) fn section_chosen_by<T>(
        &mut self,
        name: &str,
        chosen: Option<bool>,
        remedy: &'static str,
        read: impl FnOnce(&mut Reader<'t>) -> T,
    ) -> Option<T> {
        if chosen == Some(true) || self.journal.describing {
            return Some(self.section(name, read));
        }
        if chosen.is_none() {
            return self.optional_section(name, read);
        }
        self.spot(name)?.wrong("is given but not chosen", remedy)
    }

    /// Keys of this section that go with a choice: read if it was made; else a fault, in these words, for each that is
    /// given.
    pub(super) fn only_if<T>(
        &mut self,
        chosen: bool,
        names: &[&str],
        (what, remedy): (&str, &str),
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        if chosen || self.journal.describing {
            return read(self);
        }
        for name in names {
            if let Some(spot) = self.spot(name) {
                spot.wrong::<()>(what, remedy);
            }
        }
        None
    }

    /// A list of tables that must not be empty; each element is read by `read`.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        meaning: &'static str,
        read: impl FnMut(&mut Reader<'t>) -> T,
    ) -> Vec<T> {
        if !self.journal.describing && self.has_no_elements(name) {
            self.missing::<()>(name, meaning, &format!("write [[{}]] at least once", self.path_of(name)));
        }
        self.optional_list(name, read)
    }

    fn has_no_elements(&self, name: &str) -> bool {
        match self.entries.and_then(|entries| entries.get(name)).map(|node| &node.value) {
            None => true,
            Some(Value::List(items)) => items.is_empty(),
            // Told by who reads it.
            Some(
                Value::Text(_)
                | Value::Integer(_)
                | Value::Flag(_)
                | Value::Table(_)
                | Value::Decimal(_)
                | Value::Foreign,
            ) => false,
        }
    }

    /// A list of tables that may be absent; each element is read by `read`.
    pub(super) fn optional_list<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Reader<'t>) -> T,
    ) -> Vec<T> {
        if self.journal.describing {
            return vec![self.within(format!("{}[]", self.path_of(name)), None, read)];
        }
        let remedy = format!("write [[{}]]", self.path_of(name));
        let spot = self.spot(name);
        let items = match spot.as_ref().map(|spot| &spot.node.value) {
            None => &[][..],
            Some(Value::List(items)) => items.as_slice(),
            Some(_) => {
                spot.and_then(|spot| spot.wrong::<()>("is not a list of tables", remedy));
                return Vec::new();
            }
        };
        let element = |(index, node): (usize, &'t Node)| {
            let path = format!("{}[{index}]", self.path_of(name));
            let spot = Spot { journal: self.journal, path: path.clone(), node };
            table_of(&spot).map(|entries| self.within(path, Some(entries), &mut read))
        };
        items.iter().enumerate().filter_map(element).collect()
    }

    /// Whether a key of this section, or of one below it, is given.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.origin_of(name).is_some()
    }

    /// Records a fault between keys, under the key that should change.
    pub(super) fn fault(&self, name: &str, what: impl Display, remedy: impl Display) {
        self.journal.add(Fault {
            key: self.path_of(name),
            origin: self.origin_of(name),
            what: what.to_string(),
            remedy: remedy.to_string(),
        });
    }

    /// The path of a key of this section.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn origin_of(&self, name: &str) -> Option<Origin> {
        let mut entries = self.entries?;
        let mut origin = None;
        for part in name.split('.') {
            let (name, index) = part.split_once('[').unwrap_or((part, ""));
            let mut node = entries.get(name)?;
            if let (Ok(index), Value::List(items)) =
                (index.trim_end_matches(']').parse::<usize>(), &node.value)
            {
                node = items.get(index)?;
            }
            origin = Some(node.origin.clone());
            if let Value::Table(inner) = &node.value {
                entries = inner;
            }
        }
        origin
    }

    fn spot(&mut self, name: &str) -> Option<Spot<'t>> {
        self.asked.push(name.to_owned());
        let node = self.entries?.get(name)?;
        Some(Spot { journal: self.journal, path: self.path_of(name), node })
    }

    fn missing<T>(&self, name: &str, meaning: &str, remedy: &str) -> Option<T> {
        self.fault(name, format_args!("is required ({meaning})"), remedy);
        None
    }

    fn describe(&self, name: &str, meaning: &'static str, form: String, default: &str, secret: bool) {
        if self.journal.describing {
            let path = self.path_of(name);
            let key = KeyReference { path, meaning, form, default: default.to_owned(), secret };
            self.journal.keys.borrow_mut().push(key);
        }
    }

    fn within<T>(
        &self,
        path: String,
        entries: Option<&'t Table>,
        read: impl FnOnce(&mut Reader<'t>) -> T,
    ) -> T {
        let mut reader = Reader { journal: self.journal, path, entries, asked: Vec::new() };
        let result = read(&mut reader);
        reader.finish();
        result
    }

    /// Records a fault for each key that nobody asked for.
    pub(super) fn finish(&self) {
        let given = self.entries.into_iter().flat_map(Table::keys);
        for name in given.filter(|name| !self.asked.contains(name)) {
            let near = nearest(name, &self.asked);
            let remedy = near.map_or("see docs/configuration.md for the keys".to_owned(), |near| {
                format!("did you mean `{near}`?")
            });
            self.fault(name, "is not a key of this section", remedy);
        }
    }
}

fn table_of<'t>(spot: &Spot<'t>) -> Option<&'t Table> {
    match &spot.node.value {
        Value::Table(entries) => Some(entries),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Decimal(_)
        | Value::Foreign => {
            spot.wrong("is not a section", format!("write [{}] with its keys below", spot.path))
        }
    }
}

/// The name that was probably meant: at most a third of its letters differ.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n String>) -> Option<&'n String> {
    let scored = known.into_iter().map(|candidate| (distance(name, candidate), candidate));
    scored
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, near)| near)
}

/// Levenshtein distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        let known = ["max_connections", "max_streams", "grpc"].map(str::to_owned);
        assert_eq!(nearest("max_conections", &known).map(String::as_str), Some("max_connections"));
        assert_eq!(nearest("gprc", &known).map(String::as_str), Some("grpc"));
        assert_eq!(nearest("colour", &known), None);
    }
}
