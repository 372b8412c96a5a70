//! Making one child of two, and taking that back.

use crate::domain::audit::{Event, Fact};
use crate::domain::id::{ChildId, MergeId};
use crate::domain::merge::UNDO_SPAN;
use crate::domain::time::Timestamp;
use crate::ports::entropy::random_bytes;
use crate::ports::store::{ChildMerge, ChildMergeOutcome, MergeCounts, UndoMerge, UndoOutcome};

use super::duty::{AtWork, Looked, looked};
use super::merge_guardians::{Error, Merged, Seals};
use super::staff_parts::StaffParts;

/// An event about a child of a merge.
fn event(parts: &StaffParts, work: &AtWork, at: Timestamp, fact: Fact, of: (&ChildId, &MergeId)) -> Event {
    let mut event = work.event(parts.entropy.as_ref(), at, fact, None);
    event.child = Some(of.0.clone());
    event.detail = Some(of.1.as_str().to_owned());
    event
}

/// Makes one child of two. With `validate_only` it is done, measured and taken back.
///
/// # Errors
/// [`Error`].
pub async fn merge(
    parts: &StaffParts,
    work: &AtWork,
    kept: ChildId,
    absorbed: ChildId,
    validate_only: bool,
) -> Result<Merged, Error> {
    let now = parts.clock.now();
    let seals = Seals { vault: parts.vault.as_ref(), organization: &work.organization.id };
    let id = MergeId::new(now, random_bytes(parts.entropy.as_ref()));
    let events = [&kept, &absorbed].map(|child| event(parts, work, now, Fact::ChildrenMerged, (child, &id)));
    let revocation = work.event(parts.entropy.as_ref(), now, Fact::CredentialRevoked, None);
    let mut act = work.act(now, events.to_vec());
    if validate_only {
        // Nothing is done by it, so there is nothing that could be done twice.
        act.request = None;
    }
    let merge = ChildMerge { id: id.clone(), kept, absorbed, validate_only, revocation };
    let outcome = match looked(parts.store.merge_children(&act, &merge, &seals).await?)? {
        Looked::Now(outcome) => outcome,
        Looked::Before(made) => {
            let id = made.as_deref().and_then(MergeId::parse).ok_or(Error::MergeUnknown)?;
            let made = parts.store.made_child_merge(&work.organization.id, &id, &seals).await?;
            let made = made.ok_or(Error::MergeUnknown)?;
            return Ok(Merged { merge: Some((id, made.undo_until)), counts: made.counts });
        }
    };
    match outcome {
        ChildMergeOutcome::Merged { child_links, ended } => {
            let counts = MergeCounts { child_links, ended_sessions: ended.live, ..MergeCounts::default() };
            if validate_only {
                return Ok(Merged { merge: None, counts });
            }
            parts.note_ended(&ended, now);
            Ok(Merged { merge: Some((id, now.plus(UNDO_SPAN))), counts })
        }
        ChildMergeOutcome::KeptUnknown => Err(Error::KeptUnknown),
        ChildMergeOutcome::AbsorbedUnknown => Err(Error::AbsorbedUnknown),
        ChildMergeOutcome::Conflict(conflict) => Err(Error::Conflict(conflict)),
    }
}

/// Takes a merge back.
///
/// # Errors
/// [`Error`].
pub async fn undo(parts: &StaffParts, work: &AtWork, id: MergeId) -> Result<(), Error> {
    let now = parts.clock.now();
    let seals = Seals { vault: parts.vault.as_ref(), organization: &work.organization.id };
    // For its events. The merge itself is looked at again in the transaction.
    let made = parts.store.made_child_merge(&work.organization.id, &id, &seals).await?;
    let made = made.ok_or(Error::MergeUnknown)?;
    let events = [&made.kept, &made.absorbed]
        .map(|child| event(parts, work, now, Fact::ChildMergeUndone, (child, &id)));
    let revocation = work.event(parts.entropy.as_ref(), now, Fact::CredentialRevoked, None);
    let act = work.act(now, events.to_vec());
    match looked(parts.store.undo_child_merge(&act, &UndoMerge { id, revocation }, &seals).await?)? {
        Looked::Before(_) => Ok(()),
        Looked::Now(UndoOutcome::Undone(ended)) => {
            parts.note_ended(&ended, now);
            Ok(())
        }
        Looked::Now(UndoOutcome::Unknown) => Err(Error::MergeUnknown),
        Looked::Now(UndoOutcome::Conflict(conflict)) => Err(Error::Conflict(conflict)),
    }
}
