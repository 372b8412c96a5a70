//! Makes one child of two, in one transaction, and takes that back.

use std::collections::BTreeSet;

use crate::domain::audit::Event;
use crate::domain::id::{ChildId, GuardianId, MergeId};
use crate::domain::merge::{Link, LinkChange, MergeConflict, UNDO_SPAN, join, join_removed};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    Act, Acted, ChildMerge, ChildMergeOutcome, Ended, MadeMerge, MergeCounts, MergeSeals, UndoMerge,
    UndoOutcome,
};

use super::bind::bind;
use super::dialect::PerDialect;
use super::merge::{self, ADD_MERGE, Kind, SET_UNDONE, revocation, together};
use super::merge_journal::{self, ChildJournal, LinkEntry, RemovedEntries};
use super::merge_links::{self, End};
use super::row::{Columns, corrupt};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, audit, bearing, name_parts};

/// What a password of these guardians rests on may change, so they take turns with everybody who looks at that.
/// PostgreSQL: as in `hold_guardian_in_scope`.
const HOLD_GUARDIAN: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_guardian_of_child", "SELECT id, state FROM guardian WHERE id = $1"),
    postgres: Statement::new(
        "hold_guardian_of_child",
        "SELECT id, state FROM guardian WHERE id = $1 FOR UPDATE",
    ),
};

macro_rules! hold_child_text {
    ($lock:literal) => {
        concat!(
            "SELECT c.school_id, c.merged_into FROM child c WHERE c.id = $1 AND ",
            act::child_in_scope!(),
            $lock
        )
    };
}

/// PostgreSQL: merges of one child take turns. SQLite: the transaction excludes other writers.
const HOLD_CHILD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_child_in_scope", hold_child_text!("")),
    postgres: Statement::new("hold_child_in_scope", hold_child_text!(" FOR UPDATE OF c")),
};

const MARK: Statement =
    Statement::new("mark_child_merged", "UPDATE child SET merged_into = $2 WHERE id = $1");

/// A child as held.
struct HeldChild {
    school: String,
    merged_into: Option<String>,
}

async fn hold_child(unit: &mut Unit, act: &Act, child: &ChildId) -> Result<Option<HeldChild>, PortError> {
    let row = unit.row(&HOLD_CHILD.of(unit.dialect()), bind![child, act.organization, act.staff]).await?;
    row.map(|row| Ok(HeldChild { school: row.column("school_id")?, merged_into: row.column("merged_into")? }))
        .transpose()
}

/// Holds both children, in the order of their ids.
async fn hold_children(
    unit: &mut Unit,
    act: &Act,
    (kept, absorbed): (&ChildId, &ChildId),
) -> Result<(Option<HeldChild>, Option<HeldChild>), PortError> {
    if kept < absorbed {
        let kept = hold_child(unit, act, kept).await?;
        Ok((kept, hold_child(unit, act, absorbed).await?))
    } else {
        let absorbed = hold_child(unit, act, absorbed).await?;
        Ok((hold_child(unit, act, kept).await?, absorbed))
    }
}

/// The guardians of both children, held in the order of their ids; those whose accounts are still their own.
async fn hold_guardians(
    unit: &mut Unit,
    (kept, absorbed): (&ChildId, &ChildId),
    others: &[LinkChange],
) -> Result<BTreeSet<String>, PortError> {
    let mut guardians: BTreeSet<String> = others.iter().map(|change| change.from.other.clone()).collect();
    for child in [kept, absorbed] {
        guardians.extend(
            merge_links::links(unit, End::Child, child.as_str()).await?.into_iter().map(|link| link.other),
        );
        guardians.extend(
            merge_links::removed(unit, End::Child, child.as_str()).await?.into_iter().map(|mark| mark.other),
        );
    }
    let mut live = BTreeSet::new();
    for guardian in guardians {
        let row = unit.row(&HOLD_GUARDIAN.of(unit.dialect()), bind![guardian]).await?;
        let row = row.ok_or_else(|| corrupt("guardian_id"))?;
        if matches!(row.column::<&str>("state")?, "active" | "locked") {
            live.insert(guardian);
        }
    }
    Ok(live)
}

/// A guardian got a link while we were taking turns.
fn changed_meanwhile() -> PortError {
    PortError::Conflict("a guardian of the child was added meanwhile".to_owned())
}

/// Takes away what nothing bears any more of guardians who lost a confirmation.
async fn revoke(
    unit: &mut Unit,
    guardians: impl Iterator<Item = String>,
    at: Timestamp,
    template: &Event,
) -> Result<(Ended, Vec<Event>), PortError> {
    let (mut ended, mut events) = (Ended::default(), Vec::new());
    for guardian in guardians.collect::<BTreeSet<_>>() {
        let guardian = GuardianId::parse(&guardian).ok_or_else(|| corrupt("guardian_id"))?;
        let revoked = bearing::revoke_unborne(unit, &guardian, at).await?;
        if !revoked.is_empty() {
            events.extend(revoked.into_iter().map(|portal| revocation(template, &guardian, portal)));
            ended = together(ended, bearing::bump(unit, &guardian, at).await?);
        }
    }
    Ok((ended, events))
}

pub(super) async fn merge(
    store: &SqlStore,
    act: &Act,
    merge: &ChildMerge,
    seals: &dyn MergeSeals,
) -> Result<Acted<ChildMergeOutcome>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, Some(merge.id.as_str())).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let guardians = hold_guardians(&mut unit, (&merge.kept, &merge.absorbed), &[]).await?;
    let held = hold_children(&mut unit, act, (&merge.kept, &merge.absorbed)).await?;
    let refused = match &held {
        (None, _) => Some(ChildMergeOutcome::KeptUnknown),
        (_, None) => Some(ChildMergeOutcome::AbsorbedUnknown),
        (Some(kept), Some(absorbed)) if kept.merged_into.is_some() || absorbed.merged_into.is_some() => {
            Some(ChildMergeOutcome::Conflict(MergeConflict::ChildMerged))
        }
        (Some(_), Some(_)) => None,
    };
    if let Some(outcome) = refused {
        unit.rollback().await?;
        return Ok(Acted::Now(outcome));
    }
    let same_school = matches!(&held, (Some(kept), Some(absorbed)) if kept.school == absorbed.school);
    let (child_links, ended, events) =
        merge_held(&mut unit, act, merge, same_school, &guardians, seals).await?;
    if merge.validate_only {
        unit.rollback().await?;
    } else {
        audit::record_all(&mut unit, &events).await?;
        act::finish(unit, act).await?;
    }
    Ok(Acted::Now(ChildMergeOutcome::Merged { child_links, ended }))
}

async fn merge_held(
    unit: &mut Unit,
    act: &Act,
    merge: &ChildMerge,
    same_school: bool,
    guardians: &BTreeSet<String>,
    seals: &dyn MergeSeals,
) -> Result<(usize, Ended, Vec<Event>), PortError> {
    let pair = (merge.kept.as_str(), merge.absorbed.as_str());
    let kept = merge_links::links(unit, End::Child, pair.0).await?;
    let absorbed = merge_links::links(unit, End::Child, pair.1).await?;
    if absorbed.iter().any(|link| !guardians.contains(&link.other)) {
        return Err(changed_meanwhile());
    }
    // The source goes on under its name: imports lead rows of the absorbed child to the kept one.
    let changes = join(&kept, &absorbed, str::to_owned, |_| same_school);
    let kept_marks = merge_links::removed(unit, End::Child, pair.0).await?;
    let absorbed_marks = merge_links::removed(unit, End::Child, pair.1).await?;
    let marks = join_removed((&kept, &kept_marks), (&absorbed, &absorbed_marks));
    merge_links::apply(unit, End::Child, pair, &changes).await?;
    merge_links::apply_removed(unit, End::Child, pair, &marks).await?;
    unit.execute(&MARK, bind![merge.absorbed, merge.kept]).await?;
    name_parts::drop_all(unit, &[pair.1]).await?;
    let lost =
        changes.iter().filter(|change| loses_confirmation(change, &kept)).map(|c| c.from.other.clone());
    let (ended, events) = revoke(unit, lost, act.at, &merge.revocation).await?;
    let journal = ChildJournal {
        links: LinkEntry::all_of(&changes),
        removed_links: RemovedEntries::of(&marks),
        ..ChildJournal::default()
    };
    let sealed = merge_journal::seal(seals, &merge.id, journal)?;
    let values = bind![
        merge.id,
        act.organization,
        Kind::Child.as_str(),
        merge.kept,
        merge.absorbed,
        act.staff,
        act.at,
        act.at.plus(UNDO_SPAN),
        sealed.bytes,
        sealed.key_id,
    ];
    unit.execute(&ADD_MERGE, values).await?;
    Ok((changes.iter().filter(|change| change.after.is_some()).count(), ended, events))
}

/// Whether staff's confirmation of this row is on no row of the kept child.
fn loses_confirmation(change: &LinkChange, kept: &[Link]) -> bool {
    change.from.is_confirmed_by_staff()
        && !change.after.as_ref().is_some_and(Link::is_confirmed_by_staff)
        && !kept.iter().any(|link| link.other == change.from.other && link.is_confirmed_by_staff())
}

pub(super) async fn undo(
    store: &SqlStore,
    act: &Act,
    undo: &UndoMerge,
    seals: &dyn MergeSeals,
) -> Result<Acted<UndoOutcome>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    match undo_in(&mut unit, act, undo, seals).await? {
        Ok(Some((ended, events))) => {
            audit::record_all(&mut unit, &events).await?;
            act::finish(unit, act).await?;
            Ok(Acted::Now(UndoOutcome::Undone(ended)))
        }
        Ok(None) => {
            // Nothing happened, so there is no event; the request is known all the same.
            unit.commit().await?;
            Ok(Acted::Now(UndoOutcome::Undone(Ended::default())))
        }
        Err(outcome) => {
            unit.rollback().await?;
            Ok(Acted::Now(outcome))
        }
    }
}

/// What happened, `None` if it was undone before.
type Undone = Option<(Ended, Vec<Event>)>;

async fn undo_in(
    unit: &mut Unit,
    act: &Act,
    undo: &UndoMerge,
    seals: &dyn MergeSeals,
) -> Result<Result<Undone, UndoOutcome>, PortError> {
    let Some(row) = merge::find(unit, &act.organization, Kind::Child, &undo.id).await? else {
        return Ok(Err(UndoOutcome::Unknown));
    };
    let kept = ChildId::parse(&row.kept).ok_or_else(|| corrupt("kept_id"))?;
    let absorbed = ChildId::parse(&row.absorbed).ok_or_else(|| corrupt("absorbed_id"))?;
    let journal: ChildJournal = merge_journal::open(seals, &undo.id, &row.sealed)?;
    let changes = LinkEntry::changes(&journal.links);
    let guardians = hold_guardians(unit, (&kept, &absorbed), &changes).await?;
    let (Some(kept_child), Some(absorbed_child)) = hold_children(unit, act, (&kept, &absorbed)).await? else {
        return Ok(Err(UndoOutcome::Unknown));
    };
    let Some(row) = merge::find(unit, &act.organization, Kind::Child, &undo.id).await? else {
        return Ok(Err(UndoOutcome::Unknown));
    };
    if row.is_undone {
        return Ok(Ok(None));
    }
    if kept_child.merged_into.is_some() {
        return Ok(Err(UndoOutcome::Conflict(MergeConflict::MergedAgain)));
    }
    if row.undo_until < act.at {
        return Ok(Err(UndoOutcome::Conflict(MergeConflict::UndoExpired)));
    }
    if absorbed_child.merged_into.as_deref() != Some(kept.as_str()) {
        return Err(corrupt("merged_into"));
    }
    let pair = (kept.as_str(), absorbed.as_str());
    let removed = merge_links::removed(unit, End::Child, pair.0).await?;
    let may_return =
        |guardian: &str| guardians.contains(guardian) && removed.iter().all(|mark| mark.other != guardian);
    let left = merge_links::take_back(unit, End::Child, pair, &changes, may_return).await?;
    let marks = journal.removed_links.changes();
    merge_links::take_back_removed(unit, End::Child, pair, &marks, &left).await?;
    unit.execute(&MARK, bind![absorbed, None::<String>]).await?;
    name_parts::fold_again(unit, &act.organization, name_parts::Kind::Child, pair.1).await?;
    unit.execute(&SET_UNDONE, bind![undo.id, act.at]).await?;
    let touched = changes.into_iter().map(|change| change.from.other).filter(|id| guardians.contains(id));
    Ok(Ok(Some(revoke(unit, touched, act.at, &undo.revocation).await?)))
}

pub(super) async fn made(
    store: &SqlStore,
    organization: &OrganizationId,
    merge: &MergeId,
    seals: &dyn MergeSeals,
) -> Result<Option<MadeMerge<ChildId>>, PortError> {
    let mut unit = store.read().await?;
    let Some(row) = merge::find(&mut unit, organization, Kind::Child, merge).await? else { return Ok(None) };
    let journal: ChildJournal = merge_journal::open(seals, merge, &row.sealed)?;
    let changes = LinkEntry::changes(&journal.links);
    Ok(Some(MadeMerge {
        kept: ChildId::parse(&row.kept).ok_or_else(|| corrupt("kept_id"))?,
        absorbed: ChildId::parse(&row.absorbed).ok_or_else(|| corrupt("absorbed_id"))?,
        undo_until: row.undo_until,
        counts: MergeCounts {
            child_links: changes.iter().filter(|change| change.after.is_some()).count(),
            ..MergeCounts::default()
        },
    }))
}
