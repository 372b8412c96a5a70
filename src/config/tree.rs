//! The configuration as a tree of values that know where they were given: a TOML file, overlaid with the environment.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin};

/// Variables that begin so are ours; `__` parts the segments of a key.
const PREFIX: &str = "GUARDIAN_AUTH__";

/// The entries of a section.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it was given. No Debug: it may be a secret.
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What a value is. From the environment everything is text; the reader of a key knows what it should be.
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Decimal(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// Something no key takes: a date, an integer over 63 bits.
    Foreign,
}

/// Reads a TOML document; all faults of its grammar at once.
pub(super) fn from_toml(text: &str) -> (Table, Vec<Fault>) {
    let line_starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line_of = |offset: usize| line_starts.partition_point(|start| *start <= offset);
    let (document, errors) = DeTable::parse_recoverable(text);
    let faults = errors.into_iter().map(|error| Fault {
        key: "configuration file".to_owned(),
        origin: error.span().map(|span| Origin::Line(line_of(span.start))),
        what: format!("is not TOML: {}", error.message()),
        remedy: "mend the line; the keys are checked after that".to_owned(),
    });
    (table(document.get_ref(), &line_of), faults.collect())
}

fn table(entries: &DeTable<'_>, line_of: &dyn Fn(usize) -> usize) -> Table {
    let named = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let origin = Origin::Line(line_of(name.span().start));
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        (name.clone().into_owned(), Node { origin, value: value_of(value.get_ref(), line_of) })
    };
    entries.iter().map(named).collect()
}

fn value_of(value: &DeValue<'_>, line_of: &dyn Fn(usize) -> usize) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Foreign, Value::Integer)
        }
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(items) => {
            let item = |item: &Spanned<DeValue<'_>>| Node {
                origin: Origin::Line(line_of(item.span().start)),
                value: value_of(item.get_ref(), line_of),
            };
            Value::List(items.iter().map(item).collect())
        }
        DeValue::Table(entries) => Value::Table(table(entries, line_of)),
        DeValue::Float(float) => float.as_str().parse().map_or(Value::Foreign, Value::Decimal),
        DeValue::Datetime(_) => Value::Foreign,
    }
}

/// A segment of a variable's name: indices sort as numbers, so that a list can be built up in order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Index(usize),
    Name(String),
}

impl Segment {
    fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_lowercase()), Self::Index)
    }
}

/// Lays the variables over the tree: `GUARDIAN_AUTH__LISTEN__GRPC` is `listen.grpc`, and
/// `GUARDIAN_AUTH__ORGANIZATIONS__0__DISPLAY_NAME` is `organizations[0].display_name`.
pub(super) fn overlay(root: &mut Table, variables: impl Iterator<Item = (String, String)>) -> Vec<Fault> {
    let mut ours: Vec<(Vec<Segment>, String, String)> = variables
        .filter_map(|(name, text)| {
            let segments = name.strip_prefix(PREFIX)?.split("__").map(Segment::parse).collect();
            Some((segments, name, text))
        })
        .collect();
    ours.sort_by(|left, right| left.0.cmp(&right.0));
    let mut faults = Vec::new();
    for (segments, variable, text) in ours {
        if let Err(what) = place(root, &segments, &variable, text) {
            faults.push(Fault {
                key: variable,
                origin: None,
                what: what.to_owned(),
                remedy: "see docs/configuration.md on variables, or unset it".to_owned(),
            });
        }
    }
    faults
}

fn place(root: &mut Table, segments: &[Segment], variable: &str, text: String) -> Result<(), &'static str> {
    let new = |value| Node { origin: Origin::Variable(variable.to_owned()), value };
    let empty = |next: &Segment| match next {
        Segment::Index(_) => Value::List(Vec::new()),
        Segment::Name(_) => Value::Table(Table::new()),
    };
    if text.contains('\u{FFFD}') {
        return Err("holds bytes that are not UTF-8");
    }
    let Some(Segment::Name(first)) = segments.first() else {
        return Err("does not begin with the name of a section");
    };
    if segments.iter().any(|segment| *segment == Segment::Name(String::new())) {
        return Err("has an empty segment");
    }
    let next_of = |position: usize| segments.get(position + 1).map_or(Value::Text(String::new()), &empty);
    let mut node = root.entry(first.clone()).or_insert_with(|| new(next_of(0)));
    for (position, segment) in segments.iter().enumerate().skip(1) {
        node = match (segment, &mut node.value) {
            (Segment::Name(name), Value::Table(entries)) => {
                entries.entry(name.clone()).or_insert_with(|| new(next_of(position)))
            }
            (Segment::Index(index), Value::List(items)) => {
                if *index > items.len() {
                    return Err("leaves out an index: lists grow one by one");
                }
                if *index == items.len() {
                    items.push(new(next_of(position)));
                }
                &mut items[*index]
            }
            (Segment::Name(_), Value::List(_)) => return Err("names a list without the index of an element"),
            (
                Segment::Index(_) | Segment::Name(_),
                Value::Text(_)
                | Value::Integer(_)
                | Value::Decimal(_)
                | Value::Flag(_)
                | Value::Foreign
                | Value::Table(_),
            ) => return Err("goes into a key that has no such part"),
        };
    }
    *node = new(Value::Text(text));
    Ok(())
}
