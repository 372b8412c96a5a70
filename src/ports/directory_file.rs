//! What does the source deliver next? Note this about it.

use crate::domain::directory_row::{Delivered, Note, Unreadable};
use crate::ports::error::PortError;

/// A line of a directory file that is not blank.
pub struct DeliveredLine {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: usize,
    /// The row on it.
    pub row: Result<Delivered, Unreadable>,
}

/// The rows of a directory file, one after another: never the whole file at once.
pub trait DirectoryRows: Send {
    /// The next line, or `None` at the end of the file.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if the file cannot be read on.
    fn next_line(&mut self) -> Result<Option<DeliveredLine>, PortError>;
}

/// What became of a row, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFate {
    /// New.
    Created,
    /// Known, and something changed.
    Updated,
    /// Known, and the same.
    Unchanged,
    /// Not taken.
    Rejected,
    /// Can be taken; nothing was written, because the file was only checked.
    Readable,
}

impl RowFate {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Readable => "readable",
        }
    }
}

/// A row that people should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedRow {
    /// The line in the file, from 1.
    pub line: u64,
    /// `school`, `child`, `guardian`, or `row` where that is not known.
    pub kind: &'static str,
    /// What became of it.
    pub fate: RowFate,
    /// Why it was rejected.
    pub faults: Vec<Note>,
    /// What staff should look at.
    pub findings: Vec<Note>,
}

/// Takes down what people should know of an import, in the order of the file.
pub trait ImportReport: Send {
    /// A row with faults or findings.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if it cannot be written down; the import stops.
    fn note(&mut self, row: &NotedRow) -> Result<(), PortError>;
}
