//! What a merge moved, as it is kept sealed until the merge cannot be undone any more.

use serde::{Deserialize, Serialize};

use crate::domain::id::MergeId;
use crate::domain::merge::{Confirmation, Link, LinkChange, RemovedLink, RemovedLinkChanges};
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;
use crate::ports::store::MergeSeals;

/// The form of the journals that this version writes; it reads no other one.
const FORM: u8 = 1;

/// What a merge of accounts moved.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct GuardianJournal {
    pub form: u8,
    /// State of the kept account before, and as the merge left it.
    pub kept_state: String,
    pub kept_state_after: String,
    /// State of the absorbed account before.
    pub absorbed_state: String,
    pub identifiers: Vec<MovedIdentifier>,
    pub logins: Vec<MovedLogin>,
    pub links: Vec<LinkEntry>,
    pub contracts: Vec<LinkEntry>,
    pub removed_links: RemovedEntries,
    pub moved_credentials: Vec<MovedCredential>,
    pub dropped_credentials: Vec<CredentialRow>,
    pub moved_proposals: Vec<String>,
    pub settled_proposals: Vec<String>,
    pub ended_sessions: usize,
}

/// What a merge of children moved.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ChildJournal {
    pub form: u8,
    pub links: Vec<LinkEntry>,
    pub removed_links: RemovedEntries,
}

/// A number that moved: its row, and what the row said of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MovedIdentifier {
    pub position: i64,
    pub source: String,
    pub retired_ms: Option<i64>,
}

/// A login name that moved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MovedLogin {
    pub portal: String,
    pub name: String,
    pub is_spare: i64,
}

/// A password that moved; another one if it was set at another time.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MovedCredential {
    pub portal: String,
    pub set_ms: i64,
}

/// A password that was put away, whole.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CredentialRow {
    pub portal: String,
    pub organization: String,
    pub hash: String,
    pub hash_parameters: String,
    pub origin: String,
    pub import_fingerprint: Option<Vec<u8>>,
    pub must_change: i64,
    pub expires_ms: Option<i64>,
    pub failures_unknown: i64,
    pub failures_known: i64,
    pub closed_unknown_ms: Option<i64>,
    pub closed_known_ms: Option<i64>,
    pub set_ms: i64,
    pub rests_on: String,
}

/// A row of a relation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LinkRow {
    other: String,
    source: String,
    confirmed_by: Option<String>,
    confirmed_ms: Option<i64>,
    confirmed_staff_id: Option<String>,
    confirmed_how: Option<String>,
}

/// What became of a row of the absorbed side.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LinkEntry {
    from: LinkRow,
    before: Option<LinkRow>,
    after: Option<LinkRow>,
}

/// The mark of a removed link.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RemovedRow {
    other: String,
    staff_id: String,
    at_ms: i64,
}

/// What became of the marks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RemovedEntries {
    moved: Vec<RemovedRow>,
    dropped_absorbed: Vec<RemovedRow>,
    dropped_kept: Vec<RemovedRow>,
}

impl LinkRow {
    fn of(link: &Link) -> Self {
        let confirmation = link.confirmation.as_ref();
        Self {
            other: link.other.clone(),
            source: link.source.clone(),
            confirmed_by: confirmation.map(|confirmation| confirmation.by.clone()),
            confirmed_ms: confirmation.and_then(|confirmation| confirmation.ms),
            confirmed_staff_id: confirmation.and_then(|confirmation| confirmation.staff.clone()),
            confirmed_how: confirmation.and_then(|confirmation| confirmation.how.clone()),
        }
    }

    fn link(&self) -> Link {
        let confirmation = self.confirmed_by.clone().map(|by| Confirmation {
            by,
            ms: self.confirmed_ms,
            staff: self.confirmed_staff_id.clone(),
            how: self.confirmed_how.clone(),
        });
        Link { other: self.other.clone(), source: self.source.clone(), confirmation }
    }
}

impl LinkEntry {
    pub(super) fn all_of(changes: &[LinkChange]) -> Vec<Self> {
        let entry = |change: &LinkChange| Self {
            from: LinkRow::of(&change.from),
            before: change.before.as_ref().map(LinkRow::of),
            after: change.after.as_ref().map(LinkRow::of),
        };
        changes.iter().map(entry).collect()
    }

    pub(super) fn changes(entries: &[Self]) -> Vec<LinkChange> {
        let change = |entry: &Self| LinkChange {
            from: entry.from.link(),
            before: entry.before.as_ref().map(LinkRow::link),
            after: entry.after.as_ref().map(LinkRow::link),
        };
        entries.iter().map(change).collect()
    }
}

impl RemovedEntries {
    pub(super) fn of(changes: &RemovedLinkChanges) -> Self {
        let rows = |marks: &[RemovedLink]| {
            let row = |mark: &RemovedLink| RemovedRow {
                other: mark.other.clone(),
                staff_id: mark.staff.clone(),
                at_ms: mark.ms,
            };
            marks.iter().map(row).collect()
        };
        Self {
            moved: rows(&changes.moved),
            dropped_absorbed: rows(&changes.dropped_absorbed),
            dropped_kept: rows(&changes.dropped_kept),
        }
    }

    pub(super) fn changes(&self) -> RemovedLinkChanges {
        let marks = |rows: &[RemovedRow]| {
            let mark = |row: &RemovedRow| RemovedLink {
                other: row.other.clone(),
                staff: row.staff_id.clone(),
                ms: row.at_ms,
            };
            rows.iter().map(mark).collect()
        };
        RemovedLinkChanges {
            moved: marks(&self.moved),
            dropped_absorbed: marks(&self.dropped_absorbed),
            dropped_kept: marks(&self.dropped_kept),
        }
    }
}

/// A journal of one kind of merge.
pub(super) trait Journal: Serialize + for<'de> Deserialize<'de> {
    fn form(&mut self) -> &mut u8;
}

impl Journal for GuardianJournal {
    fn form(&mut self) -> &mut u8 {
        &mut self.form
    }
}

impl Journal for ChildJournal {
    fn form(&mut self) -> &mut u8 {
        &mut self.form
    }
}

/// Writes a journal down, sealed for its merge.
pub(super) fn seal(
    seals: &dyn MergeSeals,
    merge: &MergeId,
    mut journal: impl Journal,
) -> Result<Sealed, PortError> {
    *journal.form() = FORM;
    let bytes = serde_json::to_vec(&journal)
        .map_err(|_| PortError::Corrupt("a journal cannot be written".to_owned()))?;
    Ok(seals.seal(merge, &bytes))
}

/// Reads it.
pub(super) fn open<J: Journal>(
    seals: &dyn MergeSeals,
    merge: &MergeId,
    sealed: &Sealed,
) -> Result<J, PortError> {
    let unreadable = || PortError::Corrupt("the journal of a merge does not open".to_owned());
    let bytes = seals.open(merge, sealed).ok_or_else(unreadable)?;
    let mut journal: J = serde_json::from_slice(bytes.expose()).map_err(|_| unreadable())?;
    if *journal.form() == FORM { Ok(journal) } else { Err(unreadable()) }
}
