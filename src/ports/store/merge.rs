//! The store's part in making one account, or one child, of two, and in taking that back.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::{ChildId, GuardianId, MergeId};
use crate::domain::merge::MergeConflict;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

use super::directory_import::SealedNationalId;
use super::session::Ended;
use super::staff::{Act, Acted};

/// What the store asks of the keys in the middle of a merge. A number is sealed for its guardian's row, so one that moves
/// is sealed anew; and what was moved is known in the transaction only.
pub trait MergeSeals: Send + Sync {
    /// The number of one guardian, sealed for another; `None` if it does not open.
    fn reseal(&self, number: &Sealed, from: &GuardianId, to: &GuardianId) -> Option<SealedNationalId>;

    /// Seals the journal of a merge.
    fn seal(&self, merge: &MergeId, journal: &[u8]) -> Sealed;

    /// Opens it; `None` if it does not open.
    fn open(&self, merge: &MergeId, journal: &Sealed) -> Option<Secret<Vec<u8>>>;
}

/// Two accounts to make one of.
#[derive(Clone, Debug)]
pub struct GuardianMerge {
    /// The id of the merge.
    pub id: MergeId,
    /// The account that stays.
    pub kept: GuardianId,
    /// The account that goes into it; another one.
    pub absorbed: GuardianId,
    /// Say what would happen, and change nothing.
    pub validate_only: bool,
    /// Stands for the events of passwords that nothing bears any more: the store fills portal and guardian, and makes an
    /// id of this one's.
    pub revocation: Event,
}

/// Two children to make one of.
#[derive(Clone, Debug)]
pub struct ChildMerge {
    /// The id of the merge.
    pub id: MergeId,
    /// The child that stays.
    pub kept: ChildId,
    /// The child that goes into it; another one.
    pub absorbed: ChildId,
    /// Say what would happen, and change nothing.
    pub validate_only: bool,
    /// As in [`GuardianMerge`].
    pub revocation: Event,
}

/// What a merge moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeCounts {
    /// National ids, also those of before.
    pub national_ids: usize,
    /// Login names.
    pub login_names: usize,
    /// Child links.
    pub child_links: usize,
    /// Where both had a password: the kept account's stays.
    pub colliding_portals: Vec<Portal>,
    /// Sessions that ended, as a person counts them.
    pub ended_sessions: usize,
}

/// Whether two accounts were made one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeOutcome {
    /// They were, or would be.
    Merged {
        /// What moved.
        counts: MergeCounts,
        /// The sessions that ended.
        ended: Ended,
    },
    /// There is no such account to keep in the member's scope: nothing was written.
    KeptUnknown,
    /// There is no such account to absorb in the member's scope: nothing was written.
    AbsorbedUnknown,
    /// Nothing was written for this reason.
    Conflict(MergeConflict),
}

/// Whether two children were made one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildMergeOutcome {
    /// They were, or would be.
    Merged {
        /// Links that moved.
        child_links: usize,
        /// The sessions of guardians who lost a password by it.
        ended: Ended,
    },
    /// There is no such child to keep in the member's scope: nothing was written.
    KeptUnknown,
    /// There is no such child to absorb in the member's scope: nothing was written.
    AbsorbedUnknown,
    /// Nothing was written for this reason.
    Conflict(MergeConflict),
}

/// A merge to take back.
#[derive(Clone, Debug)]
pub struct UndoMerge {
    /// The merge.
    pub id: MergeId,
    /// As in [`GuardianMerge`].
    pub revocation: Event,
}

/// Whether a merge was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoOutcome {
    /// It was, now or before. The sessions that ended.
    Undone(Ended),
    /// There is no such merge in the member's scope: nothing was written.
    Unknown,
    /// Nothing was written for this reason.
    Conflict(MergeConflict),
}

/// A merge as it was made. `T` is a guardian's id or a child's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeMerge<T> {
    /// What stayed.
    pub kept: T,
    /// What went into it.
    pub absorbed: T,
    /// Until when it can be undone.
    pub undo_until: Timestamp,
    /// What it moved.
    pub counts: MergeCounts,
}

/// Merges.
#[async_trait]
pub trait MergeStore: Send + Sync {
    /// Makes one account of two, in one transaction. With `validate_only` the same is done and taken back.
    ///
    /// # Errors
    /// [`PortError`].
    async fn merge_guardians(
        &self,
        act: &Act,
        merge: &GuardianMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<MergeOutcome>, PortError>;

    /// Takes a merge of accounts back: what it moved and is still where it put it.
    ///
    /// # Errors
    /// [`PortError`].
    async fn undo_merge(
        &self,
        act: &Act,
        undo: &UndoMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<UndoOutcome>, PortError>;

    /// A merge of accounts that was made, undone or not.
    ///
    /// # Errors
    /// [`PortError`].
    async fn made_merge(
        &self,
        organization: &OrganizationId,
        merge: &MergeId,
        seals: &dyn MergeSeals,
    ) -> Result<Option<MadeMerge<GuardianId>>, PortError>;

    /// Makes one child of two, in one transaction. With `validate_only` the same is done and taken back.
    ///
    /// # Errors
    /// [`PortError`].
    async fn merge_children(
        &self,
        act: &Act,
        merge: &ChildMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<ChildMergeOutcome>, PortError>;

    /// Takes a merge of children back. A password that was revoked with it does not come back.
    ///
    /// # Errors
    /// [`PortError`].
    async fn undo_child_merge(
        &self,
        act: &Act,
        undo: &UndoMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<UndoOutcome>, PortError>;

    /// A merge of children that was made, undone or not.
    ///
    /// # Errors
    /// [`PortError`].
    async fn made_child_merge(
        &self,
        organization: &OrganizationId,
        merge: &MergeId,
        seals: &dyn MergeSeals,
    ) -> Result<Option<MadeMerge<ChildId>>, PortError>;

    /// Drops what merges moved once they cannot be undone any more; says how many.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_merges(&self, undo_until_before: Timestamp) -> Result<u64, PortError>;
}
