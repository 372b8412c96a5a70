//! The store's part in importing a directory file.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::directory::{ChildRecord, GuardianRecord, RowOutcome, SchoolRecord, SourceKey};
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

/// A national id as it is stored: sealed, and found by a keyed digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedNationalId {
    /// `se.pnr`, `se.snr`, `se.tf` or `nl.bsn`.
    pub scheme: &'static str,
    /// Keyed digest of organization and canonical form.
    pub index: [u8; 32],
    /// The same under the other master keys that are configured: the number may stand under one of them already.
    pub other_indexes: Vec<[u8; 32]>,
    /// Ciphertext, bound to organization, table, guardian and column.
    pub sealed: Vec<u8>,
    /// The vault key that made both.
    pub key_id: String,
}

impl SealedNationalId {
    /// The digests under which the number may stand, that of the active key first.
    pub fn indexes(&self) -> impl DoubleEndedIterator<Item = &[u8; 32]> {
        std::iter::once(&self.index).chain(&self.other_indexes)
    }
}

/// A school with the id that it has or gets.
#[derive(Clone)]
pub struct PreparedSchool {
    /// Id.
    pub id: SchoolId,
    /// Content.
    pub record: SchoolRecord,
}

/// A child with the id that it has or gets.
#[derive(Clone)]
pub struct PreparedChild {
    /// Id.
    pub id: ChildId,
    /// Content.
    pub record: ChildRecord,
}

/// A guardian with the id that it has or gets. `record.national_id` has been taken out and sealed.
#[derive(Clone)]
pub struct PreparedGuardian {
    /// Id.
    pub id: GuardianId,
    /// Content.
    pub record: GuardianRecord,
    /// The national id, sealed.
    pub national_id: Option<SealedNationalId>,
}

/// A row ready to be written.
#[derive(Clone)]
pub enum PreparedRow {
    /// A school.
    School(PreparedSchool),
    /// A child.
    Child(PreparedChild),
    /// A guardian.
    Guardian(Box<PreparedGuardian>),
}

/// Ids of rows that the store knows already.
#[derive(Clone, Debug, Default)]
pub struct KnownRows {
    /// Guardians by source key.
    pub guardians: HashMap<SourceKey, GuardianId>,
    /// Children by source key.
    pub children: HashMap<SourceKey, ChildId>,
    /// Schools by source key.
    pub schools: HashMap<SourceKey, SchoolId>,
}

/// Questions of the import.
#[async_trait]
pub trait DirectoryStore: Send + Sync {
    /// Which of these keys are known in the organization.
    ///
    /// # Errors
    /// [`PortError`].
    async fn known_rows(
        &self,
        organization: &OrganizationId,
        keys: &[SourceKey],
    ) -> Result<KnownRows, PortError>;

    /// Writes a batch in one transaction and says what became of each row, in order. A row that cannot be taken
    /// (an unknown child) is rejected alone. Rules:
    /// - the source's rows replace what it said before: names, logins, contacts, relations;
    /// - a login name that another guardian has gives a finding, and the spare user name is taken instead
    ///   (and kept on the next import);
    /// - the same national id at another guardian of the organization gives a finding;
    /// - a password is kept only where a relation for its portal is confirmed; else a finding. It is only put where
    ///   the guardian has none set by itself or staff: an import never overwrites a changed password;
    /// - a credential that came from an import and whose portal has no confirmed relation any more is removed, its
    ///   sessions end, a finding and an audit event are written.
    ///
    /// # Errors
    /// [`PortError::Conflict`] if a key became known meanwhile; the batch can be prepared and tried again.
    async fn import_rows(
        &self,
        organization: &OrganizationId,
        rows: &[PreparedRow],
        at: Timestamp,
        removal_event: &Event,
    ) -> Result<Vec<RowOutcome>, PortError>;
}
