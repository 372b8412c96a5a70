//! A row of a directory file as its source wrote it, read into a record with every fault and every finding.
//!
//! A *fault* keeps the row out: it cannot be told who or what it is about, or the file is not in the agreed form.
//! A *finding* does not: the person is real, one of its values is not, and a guardian that is missing altogether is
//! harder to find and mend than one whose number is. Neither ever holds a value of the row.

mod fields;
mod guardian;

use std::borrow::Cow;

use jiff::civil::Date;

use super::directory::{ChildRecord, Finding, Record, SchoolRecord, SourceKey};
use super::organization::Organization;
use fields::{Fields, Notes};

/// A value as the source wrote it: the tree of a JSON document, with fields in the order of the file and given twice
/// if they were. Personal data, so it has no `Debug`.
pub enum Delivered {
    /// `null`: the same as not given.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number; none of our fields is one, so its value is not kept.
    Number,
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Delivered>),
    /// An object.
    Object(Vec<(String, Delivered)>),
}

/// Why a line holds no row at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Longer than the most that is read.
    TooLong {
        /// The most bytes that a line may have.
        most_bytes: usize,
    },
    /// Not UTF-8.
    NotUtf8,
    /// Not JSON, or nested too deep.
    NotJson {
        /// Where reading stopped, counted in bytes from 1.
        column: usize,
    },
}

/// Something about a row that people should read: a fault or a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The field, as a path in the row: `email`, `child_links[0].child`; `row` for all of it.
    pub field: String,
    /// A stable code in snake case, for programs.
    pub code: &'static str,
    /// What is wrong and what to do. Never the value.
    pub message: Cow<'static, str>,
}

impl From<Finding> for Note {
    fn from(finding: Finding) -> Self {
        Self { field: finding.field.to_owned(), code: finding.code, message: finding.message.into() }
    }
}

impl From<Unreadable> for Note {
    fn from(why: Unreadable) -> Self {
        let (code, message) = match why {
            Unreadable::TooLong { most_bytes } => (
                "too_long",
                format!("This line is longer than {most_bytes} bytes. Write one JSON object a line.").into(),
            ),
            Unreadable::NotUtf8 => {
                ("not_utf8", "This line is not UTF-8. Save the file as UTF-8 and import it again.".into())
            }
            Unreadable::NotJson { column } => (
                "not_json",
                format!("This line is not a JSON object: reading stopped at byte {column}. Write one object a line.")
                    .into(),
            ),
        };
        Self { field: "row".to_owned(), code, message }
    }
}

/// What a row turned out to be.
pub struct Reading {
    /// `school`, `child`, `guardian`, or `row` if it does not say.
    pub kind: &'static str,
    /// The record, or nothing if there was a fault.
    pub record: Option<Record>,
    /// Why the row is not taken; empty if it is.
    pub faults: Vec<Note>,
    /// What staff should look at.
    pub findings: Vec<Note>,
}

impl Reading {
    /// The reading of a line that holds no row.
    pub fn unreadable(why: Unreadable) -> Self {
        Self { kind: "row", record: None, faults: vec![why.into()], findings: Vec::new() }
    }
}

/// Reads a row. `on` is the day of the import: it decides the century of short Swedish numbers.
pub fn read(row: Delivered, organization: &Organization, on: Date) -> Reading {
    let mut notes = Notes::default();
    let (kind, record) = read_kind(row, organization, on, &mut notes);
    let Notes { faults, mut findings } = notes;
    let record = record.filter(|_| faults.is_empty());
    if let Some(Record::Guardian(guardian)) = &record
        && guardian.logins.is_empty()
        && guardian.national_id.is_none()
    {
        findings.push(Note {
            field: "row".to_owned(),
            code: "no_way_to_log_in",
            message: "This guardian has neither a login name nor a national id that can be used, so it cannot log in. \
                      Correct one of them in the source, or here."
                .into(),
        });
    }
    Reading { kind, record, faults, findings }
}

fn read_kind(
    row: Delivered,
    organization: &Organization,
    on: Date,
    notes: &mut Notes,
) -> (&'static str, Option<Record>) {
    let Some(mut fields) = Fields::of(row, "", notes) else {
        return ("row", None);
    };
    let kind = fields.required_text("type");
    match kind.as_deref() {
        Some("school") => ("school", school(fields).map(Record::School)),
        Some("child") => ("child", child(fields).map(Record::Child)),
        Some("guardian") => {
            let record = guardian::read(fields, organization, on);
            ("guardian", record.map(|record| Record::Guardian(Box::new(record))))
        }
        Some(_) => {
            fields.fault("type", "unknown_type", "A row is a `school`, a `child` or a `guardian`.");
            ("row", None)
        }
        None => ("row", None),
    }
}

fn school(mut fields: Fields<'_>) -> Option<SchoolRecord> {
    let key = key(&mut fields, "key");
    let name = fields.person_text("name");
    fields.finish();
    Some(SchoolRecord { key: key?, name: name? })
}

fn child(mut fields: Fields<'_>) -> Option<ChildRecord> {
    let key = key(&mut fields, "key");
    let given_name = fields.person_text("given_name");
    let family_name = fields.person_text("family_name");
    let school = self::key(&mut fields, "school");
    fields.finish();
    Some(ChildRecord { key: key?, given_name: given_name?, family_name: family_name?, school: school? })
}

/// The key of this row or of another one, in the source.
fn key(fields: &mut Fields<'_>, name: &'static str) -> Option<SourceKey> {
    let text = fields.required_text(name)?;
    let key = SourceKey::parse(&text);
    if key.is_none() {
        fields.fault(
            name,
            "bad_key",
            "A key is 1 to 64 visible ASCII characters without spaces. Send the row's key in the source system.",
        );
    }
    key
}
