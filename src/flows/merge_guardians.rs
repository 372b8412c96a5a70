//! Making one account of two, and taking that back.

use crate::domain::audit::Fact;
use crate::domain::id::{GuardianId, MergeId};
use crate::domain::identifier::NationalId;
use crate::domain::merge::{MergeConflict, UNDO_SPAN};
use crate::domain::organization::OrganizationId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::entropy::random_bytes;
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose, Sealed};
use crate::ports::store::{
    GuardianMerge, MergeCounts, MergeOutcome, MergeSeals, SealedNationalId, UndoMerge, UndoOutcome,
};

use super::duty::{AtWork, Looked, Refused, looked};
use super::national_id;
use super::staff_parts::StaffParts;

/// Why two accounts or children were not made one, or a merge was not undone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not looked at.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nothing to keep in the member's scope.
    #[error("what is to be kept is not there")]
    KeptUnknown,
    /// There is nothing to absorb in the member's scope.
    #[error("what is to be absorbed is not there")]
    AbsorbedUnknown,
    /// There is no such merge in the member's scope.
    #[error("the merge is not there")]
    MergeUnknown,
    /// Things are not in the state for it.
    #[error("things are not in the state for it")]
    Conflict(MergeConflict),
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A merge that was made, or would be.
#[derive(Debug)]
pub struct Merged {
    /// Its id, and until when it can be undone; `None` if it was only looked at.
    pub merge: Option<(MergeId, Timestamp)>,
    /// What moved.
    pub counts: MergeCounts,
}

/// The keys in the middle of a merge.
pub(super) struct Seals<'a> {
    pub(super) vault: &'a dyn KeyVault,
    pub(super) organization: &'a OrganizationId,
}

impl Seals<'_> {
    fn context<'c>(&'c self, merge: &'c MergeId) -> [&'c [u8]; 4] {
        [self.organization.as_str().as_bytes(), b"merge", merge.as_str().as_bytes(), b"journal"]
    }
}

/// A number as it stands in its guardian's row, opened; `None` if anything differs.
pub(super) fn open_number(
    vault: &dyn KeyVault,
    organization: &OrganizationId,
    guardian: &GuardianId,
    number: &Sealed,
) -> Option<NationalId> {
    let context = national_id::seal_context(organization, guardian, &number.key_id);
    let opened = vault.open(Purpose::NationalIdSeal, &context, number)?;
    NationalId::from_canonical(std::str::from_utf8(opened.expose()).ok()?).ok()
}

impl MergeSeals for Seals<'_> {
    fn reseal(&self, number: &Sealed, from: &GuardianId, to: &GuardianId) -> Option<SealedNationalId> {
        let number = open_number(self.vault, self.organization, from, number)?;
        Some(national_id::seal(self.vault, self.organization, to, &number))
    }

    fn seal(&self, merge: &MergeId, journal: &[u8]) -> Sealed {
        self.vault.seal(Purpose::MergeSeal, &self.context(merge), journal)
    }

    fn open(&self, merge: &MergeId, journal: &Sealed) -> Option<Secret<Vec<u8>>> {
        self.vault.open(Purpose::MergeSeal, &self.context(merge), journal)
    }
}

/// Makes one account of two. With `validate_only` it is done, measured and taken back.
///
/// # Errors
/// [`Error`].
pub async fn merge(
    parts: &StaffParts,
    work: &AtWork,
    kept: GuardianId,
    absorbed: GuardianId,
    validate_only: bool,
) -> Result<Merged, Error> {
    let now = parts.clock.now();
    let seals = Seals { vault: parts.vault.as_ref(), organization: &work.organization.id };
    let id = MergeId::new(now, random_bytes(parts.entropy.as_ref()));
    let events = [&kept, &absorbed].map(|guardian| {
        let mut event = parts.event(work, now, Fact::GuardiansMerged, guardian);
        event.detail = Some(id.as_str().to_owned());
        event
    });
    let revocation = parts.event(work, now, Fact::CredentialRevoked, &kept);
    let mut act = work.act(now, events.to_vec());
    if validate_only {
        // Nothing is done by it, so there is nothing that could be done twice.
        act.request = None;
    }
    let merge = GuardianMerge { id: id.clone(), kept, absorbed, validate_only, revocation };
    let outcome = match looked(parts.store.merge_guardians(&act, &merge, &seals).await?)? {
        Looked::Now(outcome) => outcome,
        Looked::Before(made) => {
            let id = made.as_deref().and_then(MergeId::parse).ok_or(Error::MergeUnknown)?;
            let made = parts.store.made_merge(&work.organization.id, &id, &seals).await?;
            let made = made.ok_or(Error::MergeUnknown)?;
            return Ok(Merged { merge: Some((id, made.undo_until)), counts: made.counts });
        }
    };
    match outcome {
        MergeOutcome::Merged { counts, .. } if validate_only => Ok(Merged { merge: None, counts }),
        MergeOutcome::Merged { counts, ended } => {
            parts.note_ended(&ended, now);
            Ok(Merged { merge: Some((id, now.plus(UNDO_SPAN))), counts })
        }
        MergeOutcome::KeptUnknown => Err(Error::KeptUnknown),
        MergeOutcome::AbsorbedUnknown => Err(Error::AbsorbedUnknown),
        MergeOutcome::Conflict(conflict) => Err(Error::Conflict(conflict)),
    }
}

/// Takes a merge back; how many sessions ended, as a person counts them.
///
/// # Errors
/// [`Error`].
pub async fn undo(parts: &StaffParts, work: &AtWork, id: MergeId) -> Result<usize, Error> {
    let now = parts.clock.now();
    let seals = Seals { vault: parts.vault.as_ref(), organization: &work.organization.id };
    // For its events. The merge itself is looked at again in the transaction.
    let made = parts.store.made_merge(&work.organization.id, &id, &seals).await?;
    let made = made.ok_or(Error::MergeUnknown)?;
    let events = [&made.kept, &made.absorbed].map(|guardian| {
        let mut event = parts.event(work, now, Fact::MergeUndone, guardian);
        event.detail = Some(id.as_str().to_owned());
        event
    });
    let revocation = parts.event(work, now, Fact::CredentialRevoked, &made.kept);
    let act = work.act(now, events.to_vec());
    let undo = UndoMerge { id, revocation };
    match looked(parts.store.undo_merge(&act, &undo, &seals).await?)? {
        Looked::Before(_) => Ok(0),
        Looked::Now(UndoOutcome::Undone(ended)) => {
            parts.note_ended(&ended, now);
            Ok(ended.live)
        }
        Looked::Now(UndoOutcome::Unknown) => Err(Error::MergeUnknown),
        Looked::Now(UndoOutcome::Conflict(conflict)) => Err(Error::Conflict(conflict)),
    }
}
