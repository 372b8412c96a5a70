//! Makes one account of two, in one transaction, and writes down what it moved.

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};

use crate::domain::audit::Event;
use crate::domain::id::{AuditEventId, ChildId, GuardianId, MergeId};
use crate::domain::login_password::AccountState;
use crate::domain::merge::{MERGED_SOURCE, MergeConflict, STAFF_SOURCE, UNDO_SPAN, join, join_removed};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    Act, Acted, ChildMerge, ChildMergeOutcome, Ended, GuardianMerge, MadeMerge, MergeCounts, MergeOutcome,
    MergeSeals, MergeStore, UndoMerge, UndoOutcome,
};

use super::act::{self, HeldGuardian};
use super::bind::bind;
use super::merge_journal::{self, GuardianJournal, LinkEntry, RemovedEntries};
use super::merge_links::{self, End};
use super::row::Columns;
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, bearing, merge_accounts, merge_children, merge_undo};

pub(super) const ADD_MERGE: Statement = Statement::new(
    "add_merge",
    "INSERT INTO merge (id, organization, kind, kept_id, absorbed_id, staff_id, at_ms, undo_until_ms, sealed, key_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);

const FIND_MERGE: Statement = Statement::new(
    "find_merge",
    "SELECT kept_id, absorbed_id, at_ms, undo_until_ms, undone_ms, sealed, key_id FROM merge \
     WHERE id = $1 AND organization = $2 AND kind = $3",
);

pub(super) const SET_UNDONE: Statement =
    Statement::new("note_merge_undone", "UPDATE merge SET undone_ms = $2 WHERE id = $1");

const SWEEP: Statement = Statement::new(
    "sweep_merges",
    "DELETE FROM merge WHERE id IN (SELECT id FROM merge WHERE undo_until_ms < $1 ORDER BY undo_until_ms LIMIT $2)",
);

/// The children of a guardian that are in the scope of a staff member: `$2` organization, `$3` member.
const CHILDREN_IN_SCOPE: Statement = Statement::new(
    "list_linked_children_in_scope",
    concat!(
        "SELECT c.id FROM child_link k JOIN child c ON c.id = k.child_id WHERE k.guardian_id = $1 AND ",
        act::child_in_scope!()
    ),
);

/// A number that the state gave for life: no temporary one, and no coordination number, which a personnummer follows.
const LASTING_NUMBER: Statement = Statement::new(
    "find_lasting_number",
    "SELECT position FROM guardian_identifier \
     WHERE guardian_id = $1 AND retired_ms IS NULL AND scheme IN ('se.pnr', 'nl.bsn') LIMIT 1",
);

const HAS_WHOLE_SCOPE: Statement = Statement::new(
    "check_scope_is_organization",
    "SELECT id FROM staff_member WHERE id = $1 AND scope = 'organization'",
);

/// Which accounts or children a merge is of, and when.
pub(super) struct MergeRow {
    pub kept: String,
    pub absorbed: String,
    pub at: Timestamp,
    pub undo_until: Timestamp,
    pub is_undone: bool,
    pub sealed: crate::ports::key_vault::Sealed,
}

/// What a merge is of.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Guardian,
    Child,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Guardian => "guardian",
            Self::Child => "child",
        }
    }
}

pub(super) async fn find(
    unit: &mut Unit,
    organization: &OrganizationId,
    kind: Kind,
    merge: &MergeId,
) -> Result<Option<MergeRow>, PortError> {
    let row = unit.row(&FIND_MERGE, bind![merge, organization, kind.as_str()]).await?;
    row.map(|row| {
        Ok(MergeRow {
            kept: row.column("kept_id")?,
            absorbed: row.column("absorbed_id")?,
            at: row.time("at_ms")?,
            undo_until: row.time("undo_until_ms")?,
            is_undone: row.time_or_none("undone_ms")?.is_some(),
            sealed: row.sealed("sealed", "key_id")?,
        })
    })
    .transpose()
}

/// The event of one guardian, from the one that stands for all: with an id made of that one's.
pub(super) fn of_guardian(template: &Event, guardian: &GuardianId) -> Event {
    of(template, guardian, template.portal)
}

/// The event of one password that nothing bears any more, likewise.
pub(super) fn revocation(template: &Event, guardian: &GuardianId, portal: Portal) -> Event {
    of(template, guardian, Some(portal))
}

fn of(template: &Event, guardian: &GuardianId, portal: Option<Portal>) -> Event {
    let mut context = Context::new(&SHA256);
    for part in [template.id.as_str(), guardian.as_str(), portal.map_or("", Portal::as_str)] {
        context.update(part.as_bytes());
    }
    let mut random = [0; 10];
    random.copy_from_slice(&context.finish().as_ref()[..10]);
    Event {
        id: AuditEventId::new(template.at, random),
        portal,
        guardian: Some(guardian.clone()),
        ..template.clone()
    }
}

/// Takes away what nothing bears any more, and ends the sessions of the account either way; the events of it.
pub(super) async fn settle(
    unit: &mut Unit,
    guardian: &GuardianId,
    at: Timestamp,
    template: &Event,
) -> Result<(Ended, Vec<Event>), PortError> {
    let revoked = bearing::revoke_unborne(unit, guardian, at).await?;
    let events = revoked.into_iter().map(|portal| revocation(template, guardian, portal)).collect();
    Ok((bearing::bump(unit, guardian, at).await?, events))
}

/// Both together.
pub(super) fn together(mut one: Ended, other: Ended) -> Ended {
    one.sessions.extend(other.sessions);
    one.live += other.live;
    one
}

/// Why the two cannot be made one, if so.
fn conflict(kept: HeldGuardian, absorbed: HeldGuardian) -> Option<MergeConflict> {
    [kept.state, absorbed.state].into_iter().find_map(|state| match state {
        AccountState::Active | AccountState::Locked => None,
        AccountState::Merged => Some(MergeConflict::AccountMerged),
        AccountState::Erased => Some(MergeConflict::AccountErased),
    })
}

/// A lock of either outlives the merge: what it kept out must not come in by the other door.
const fn state_after(kept: HeldGuardian, absorbed: HeldGuardian) -> AccountState {
    match (kept.state, absorbed.state) {
        (AccountState::Active, AccountState::Active) => AccountState::Active,
        (AccountState::Active | AccountState::Locked | AccountState::Merged | AccountState::Erased, _) => {
            AccountState::Locked
        }
    }
}

/// Holds both, in the order of their ids: two merges of the same two wait for each other instead of forever.
async fn hold(
    unit: &mut Unit,
    act: &Act,
    merge: &GuardianMerge,
) -> Result<Result<(HeldGuardian, HeldGuardian), MergeOutcome>, PortError> {
    let (kept, absorbed) = if merge.kept < merge.absorbed {
        let kept = act::hold_guardian(unit, act, &merge.kept).await?;
        (kept, act::hold_guardian(unit, act, &merge.absorbed).await?)
    } else {
        let absorbed = act::hold_guardian(unit, act, &merge.absorbed).await?;
        (act::hold_guardian(unit, act, &merge.kept).await?, absorbed)
    };
    Ok(match (kept, absorbed) {
        (None, _) => Err(MergeOutcome::KeptUnknown),
        (_, None) => Err(MergeOutcome::AbsorbedUnknown),
        (Some(kept), Some(absorbed)) => match conflict(kept, absorbed) {
            Some(conflict) => Err(MergeOutcome::Conflict(conflict)),
            None if are_two_peoples(unit, act, merge).await? => {
                Err(MergeOutcome::Conflict(MergeConflict::TwoNumbers))
            }
            None => Ok((kept, absorbed)),
        },
    })
}

/// Whether the numbers say that these are two people, and the member may not say otherwise.
async fn are_two_peoples(unit: &mut Unit, act: &Act, merge: &GuardianMerge) -> Result<bool, PortError> {
    for guardian in [&merge.kept, &merge.absorbed] {
        if unit.row(&LASTING_NUMBER, bind![guardian]).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(unit.row(&HAS_WHOLE_SCOPE, bind![act.staff]).await?.is_none())
}

/// The name under which a row of a source stands at the kept account: one that no import of that account drops.
pub(super) fn source_at_kept(source: &str) -> String {
    if source == STAFF_SOURCE { source.to_owned() } else { MERGED_SOURCE.to_owned() }
}

/// Moves child links, contracts and the marks of removed links. Staff have confirmed for their own schools only, so a
/// member cannot carry a confirmation of another school's to another account.
async fn move_relations(
    unit: &mut Unit,
    act: &Act,
    merge: &GuardianMerge,
    journal: &mut GuardianJournal,
) -> Result<(), PortError> {
    let pair = (merge.kept.as_str(), merge.absorbed.as_str());
    let in_scope = unit.rows(&CHILDREN_IN_SCOPE, bind![merge.absorbed, act.organization, act.staff]).await?;
    let in_scope = in_scope.iter().map(|row| row.column("id")).collect::<Result<Vec<String>, _>>()?;
    let whole_scope = unit.row(&HAS_WHOLE_SCOPE, bind![act.staff]).await?.is_some();

    let kept = merge_links::links(unit, End::Guardian, pair.0).await?;
    let absorbed = merge_links::links(unit, End::Guardian, pair.1).await?;
    let changes = join(&kept, &absorbed, source_at_kept, |link| in_scope.contains(&link.other));
    let kept_marks = merge_links::removed(unit, End::Guardian, pair.0).await?;
    let absorbed_marks = merge_links::removed(unit, End::Guardian, pair.1).await?;
    let marks = join_removed((&kept, &kept_marks), (&absorbed, &absorbed_marks));
    merge_links::apply(unit, End::Guardian, pair, &changes).await?;
    merge_links::apply_removed(unit, End::Guardian, pair, &marks).await?;
    journal.links = LinkEntry::all_of(&changes);
    journal.removed_links = RemovedEntries::of(&marks);

    let kept = merge_links::links(unit, End::Contract, pair.0).await?;
    let absorbed = merge_links::links(unit, End::Contract, pair.1).await?;
    let changes = join(&kept, &absorbed, source_at_kept, |_| whole_scope);
    merge_links::apply(unit, End::Contract, pair, &changes).await?;
    journal.contracts = LinkEntry::all_of(&changes);
    Ok(())
}

async fn merge_held(
    unit: &mut Unit,
    act: &Act,
    merge: &GuardianMerge,
    (kept, absorbed): (HeldGuardian, HeldGuardian),
    seals: &dyn MergeSeals,
) -> Result<(MergeCounts, Ended, Vec<Event>), PortError> {
    let after = state_after(kept, absorbed);
    let mut journal = GuardianJournal {
        kept_state: merge_accounts::state_text(kept.state).to_owned(),
        kept_state_after: merge_accounts::state_text(after).to_owned(),
        absorbed_state: merge_accounts::state_text(absorbed.state).to_owned(),
        ..GuardianJournal::default()
    };
    move_relations(unit, act, merge, &mut journal).await?;
    merge_accounts::move_all(unit, act, (&merge.kept, &merge.absorbed), &mut journal, seals).await?;
    for guardian in [&merge.kept, &merge.absorbed] {
        for portal in [Portal::Parent, Portal::Childminder] {
            bearing::end_activation(unit, guardian, portal, "replaced", act.at).await?;
        }
    }
    merge_accounts::mark(unit, (&merge.kept, &merge.absorbed), after, act.at).await?;
    let (ended, mut events) = settle(unit, &merge.kept, act.at, &merge.revocation).await?;
    let (ended_too, more) = settle(unit, &merge.absorbed, act.at, &merge.revocation).await?;
    events.extend(more);
    let ended = together(ended, ended_too);
    journal.ended_sessions = ended.live;
    let counts = counts(&journal)?;
    let sealed = merge_journal::seal(seals, &merge.id, journal)?;
    let values = bind![
        merge.id,
        act.organization,
        Kind::Guardian.as_str(),
        merge.kept,
        merge.absorbed,
        act.staff,
        act.at,
        act.at.plus(UNDO_SPAN),
        sealed.bytes,
        sealed.key_id,
    ];
    unit.execute(&ADD_MERGE, values).await?;
    Ok((counts, ended, events))
}

fn counts(journal: &GuardianJournal) -> Result<MergeCounts, PortError> {
    let colliding = journal.dropped_credentials.iter().map(|credential| {
        Portal::parse(&credential.portal).ok_or_else(|| PortError::Corrupt("portal of a password".to_owned()))
    });
    Ok(MergeCounts {
        national_ids: journal.identifiers.len(),
        login_names: journal.logins.len(),
        child_links: LinkEntry::changes(&journal.links)
            .iter()
            .filter(|change| change.after.is_some())
            .count(),
        colliding_portals: colliding.collect::<Result<_, _>>()?,
        ended_sessions: journal.ended_sessions,
    })
}

#[async_trait]
impl MergeStore for SqlStore {
    async fn merge_guardians(
        &self,
        act: &Act,
        merge: &GuardianMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<MergeOutcome>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, Some(merge.id.as_str())).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        let held = match hold(&mut unit, act, merge).await? {
            Ok(held) => held,
            Err(outcome) => {
                unit.rollback().await?;
                return Ok(Acted::Now(outcome));
            }
        };
        let (counts, ended, events) = merge_held(&mut unit, act, merge, held, seals).await?;
        if merge.validate_only {
            unit.rollback().await?;
        } else {
            super::audit::record_all(&mut unit, &events).await?;
            act::finish(unit, act).await?;
        }
        Ok(Acted::Now(MergeOutcome::Merged { counts, ended }))
    }

    async fn undo_merge(
        &self,
        act: &Act,
        undo: &UndoMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<UndoOutcome>, PortError> {
        merge_undo::undo(self, act, undo, seals).await
    }

    async fn made_merge(
        &self,
        organization: &OrganizationId,
        merge: &MergeId,
        seals: &dyn MergeSeals,
    ) -> Result<Option<MadeMerge<GuardianId>>, PortError> {
        let mut unit = self.read().await?;
        let Some(row) = find(&mut unit, organization, Kind::Guardian, merge).await? else { return Ok(None) };
        let journal: GuardianJournal = merge_journal::open(seals, merge, &row.sealed)?;
        let id = |text: &str| GuardianId::parse(text).ok_or_else(|| PortError::Corrupt("merge".to_owned()));
        Ok(Some(MadeMerge {
            kept: id(&row.kept)?,
            absorbed: id(&row.absorbed)?,
            undo_until: row.undo_until,
            counts: counts(&journal)?,
        }))
    }

    async fn merge_children(
        &self,
        act: &Act,
        merge: &ChildMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<ChildMergeOutcome>, PortError> {
        merge_children::merge(self, act, merge, seals).await
    }

    async fn undo_child_merge(
        &self,
        act: &Act,
        undo: &UndoMerge,
        seals: &dyn MergeSeals,
    ) -> Result<Acted<UndoOutcome>, PortError> {
        merge_children::undo(self, act, undo, seals).await
    }

    async fn made_child_merge(
        &self,
        organization: &OrganizationId,
        merge: &MergeId,
        seals: &dyn MergeSeals,
    ) -> Result<Option<MadeMerge<ChildId>>, PortError> {
        merge_children::made(self, organization, merge, seals).await
    }

    async fn sweep_merges(&self, undo_until_before: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP, bind![undo_until_before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
