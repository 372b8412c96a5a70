//! Takes a merge of accounts back: what it moved and is still where it put it.

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::login_password::AccountState;
use crate::domain::merge::MergeConflict;
use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, Ended, MergeSeals, UndoMerge, UndoOutcome};

use super::bind::bind;
use super::dialect::PerDialect;
use super::merge::{self, Kind, MergeRow, SET_UNDONE};
use super::merge_accounts::{
    self, IDENTIFIERS, MOVE_CREDENTIAL, MOVE_LOGIN, OPEN_PROPOSALS, SET_STATE, state_text,
};
use super::merge_journal::{self, CredentialRow, GuardianJournal, LinkEntry};
use super::merge_links::{self, End};
use super::row::{Columns, account_state, corrupt};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, audit, contracts, name_parts};

macro_rules! hold_text {
    ($lock:literal) => {
        concat!("SELECT state, merged_into FROM guardian WHERE id = $1 AND organization = $2", $lock)
    };
}

/// Without a look at the scope: an account that was absorbed has no link by which it could be in one. PostgreSQL: as in
/// `hold_guardian_in_scope`.
const HOLD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_guardian_of_merge", hold_text!("")),
    postgres: Statement::new("hold_guardian_of_merge", hold_text!(" FOR UPDATE")),
};

const MERGED_INTO: Statement =
    Statement::new("find_merged_into", "SELECT merged_into FROM guardian WHERE id = $1 AND state = 'merged'");

const REOPEN_PROPOSAL: Statement = Statement::new(
    "reopen_proposal",
    "UPDATE number_proposal SET settled_ms = NULL WHERE id = $1 AND settled_ms = $2",
);

const PUT_CREDENTIAL_BACK: Statement = Statement::new(
    "put_password_back",
    "INSERT INTO credential (guardian_id, portal, organization, hash, hash_parameters, origin, import_fingerprint, \
         must_change, expires_ms, failures_unknown, failures_known, closed_unknown_ms, closed_known_ms, set_ms, rests_on) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
     ON CONFLICT (guardian_id, portal) DO NOTHING",
);

/// Merges of merges that are followed: nobody is there more often.
const MOST_MERGES: usize = 16;

/// An account of a merge, as held.
struct Side {
    state: AccountState,
    merged_into: Option<GuardianId>,
}

async fn hold(
    unit: &mut Unit,
    organization: &OrganizationId,
    guardian: &GuardianId,
) -> Result<Side, PortError> {
    let row = unit.row(&HOLD.of(unit.dialect()), bind![guardian, organization]).await?;
    let row = row.ok_or_else(|| corrupt("kept_id"))?;
    Ok(Side {
        state: row.parsed("state", account_state)?,
        merged_into: row.parsed_or_none("merged_into", GuardianId::parse)?,
    })
}

/// The account that has everything of this one now.
async fn final_account(unit: &mut Unit, guardian: &GuardianId) -> Result<GuardianId, PortError> {
    let mut last = guardian.clone();
    for _ in 0..MOST_MERGES {
        let Some(row) = unit.row(&MERGED_INTO, bind![last]).await? else { break };
        let Some(next) = row.parsed_or_none("merged_into", GuardianId::parse)? else { break };
        last = next;
    }
    Ok(last)
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
    let outcome = undo_in(&mut unit, act, undo, seals).await?;
    match outcome {
        Undo::Done(ended, events) => {
            audit::record_all(&mut unit, &events).await?;
            act::finish(unit, act).await?;
            Ok(Acted::Now(UndoOutcome::Undone(ended)))
        }
        Undo::Before => {
            // Nothing happened, so there is no event; the request is known all the same.
            unit.commit().await?;
            Ok(Acted::Now(UndoOutcome::Undone(Ended::default())))
        }
        Undo::Not(outcome) => {
            unit.rollback().await?;
            Ok(Acted::Now(outcome))
        }
    }
}

/// What came of it inside the transaction.
enum Undo {
    Done(Ended, Vec<Event>),
    Before,
    Not(UndoOutcome),
}

async fn undo_in(
    unit: &mut Unit,
    act: &Act,
    undo: &UndoMerge,
    seals: &dyn MergeSeals,
) -> Result<Undo, PortError> {
    let unknown = Ok(Undo::Not(UndoOutcome::Unknown));
    let Some(row) = merge::find(unit, &act.organization, Kind::Guardian, &undo.id).await? else {
        return unknown;
    };
    let kept = GuardianId::parse(&row.kept).ok_or_else(|| corrupt("kept_id"))?;
    let absorbed = GuardianId::parse(&row.absorbed).ok_or_else(|| corrupt("absorbed_id"))?;
    let (kept_side, absorbed_side) = if kept < absorbed {
        let kept_side = hold(unit, &act.organization, &kept).await?;
        (kept_side, hold(unit, &act.organization, &absorbed).await?)
    } else {
        let absorbed_side = hold(unit, &act.organization, &absorbed).await?;
        (hold(unit, &act.organization, &kept).await?, absorbed_side)
    };
    let standing = final_account(unit, &kept).await?;
    if !act::sees_guardian(unit, &act.organization, &act.staff, &standing).await? {
        return unknown;
    }
    // Once more, now that nobody else can take it back.
    let Some(row) = merge::find(unit, &act.organization, Kind::Guardian, &undo.id).await? else {
        return unknown;
    };
    if row.is_undone {
        return Ok(Undo::Before);
    }
    if kept_side.state == AccountState::Merged {
        return Ok(Undo::Not(UndoOutcome::Conflict(MergeConflict::MergedAgain)));
    }
    if row.undo_until < act.at {
        return Ok(Undo::Not(UndoOutcome::Conflict(MergeConflict::UndoExpired)));
    }
    if absorbed_side.state != AccountState::Merged || absorbed_side.merged_into.as_ref() != Some(&kept) {
        return Err(corrupt("merged_into"));
    }
    let journal: GuardianJournal = merge_journal::open(seals, &undo.id, &row.sealed)?;
    restore(unit, act, (&kept, &absorbed), &journal, &row, seals).await?;
    let (kept_state, absorbed_state) = states(kept_side.state, &journal);
    unit.execute(&SET_STATE, bind![kept, kept_state, act.at]).await?;
    unit.execute(&SET_STATE, bind![absorbed, absorbed_state, act.at]).await?;
    unit.execute(&SET_UNDONE, bind![undo.id, act.at]).await?;
    let (ended, mut events) = merge::settle(unit, &kept, act.at, &undo.revocation).await?;
    let (ended_too, more) = merge::settle(unit, &absorbed, act.at, &undo.revocation).await?;
    events.extend(more);
    Ok(Undo::Done(merge::together(ended, ended_too), events))
}

/// The states of both afterwards. A lock that staff set since the merge is of both: they locked all of it.
fn states(now: AccountState, journal: &GuardianJournal) -> (&str, &str) {
    let now = state_text(now);
    if now == journal.kept_state_after {
        (&journal.kept_state, &journal.absorbed_state)
    } else if now == state_text(AccountState::Locked) {
        (now, now)
    } else {
        (now, &journal.absorbed_state)
    }
}

async fn restore(
    unit: &mut Unit,
    act: &Act,
    (kept, absorbed): (&GuardianId, &GuardianId),
    journal: &GuardianJournal,
    row: &MergeRow,
    seals: &dyn MergeSeals,
) -> Result<(), PortError> {
    let pair = (kept.as_str(), absorbed.as_str());
    let removed = merge_links::removed(unit, End::Guardian, pair.0).await?;
    let may_return = |child: &str| removed.iter().all(|mark| mark.other != child);
    let links = LinkEntry::changes(&journal.links);
    let left = merge_links::take_back(unit, End::Guardian, pair, &links, may_return).await?;
    let marks = journal.removed_links.changes();
    merge_links::take_back_removed(unit, End::Guardian, pair, &marks, &left).await?;
    let of_contracts = LinkEntry::changes(&journal.contracts);
    let is_removed = contracts::is_removed_since(unit, kept, row.at).await?;
    merge_links::take_back(unit, End::Contract, pair, &of_contracts, |_| !is_removed).await?;
    if is_removed && !of_contracts.is_empty() {
        contracts::remember_removal(unit, act, absorbed).await?;
    }

    restore_identifiers(unit, (kept, absorbed), journal, seals).await?;
    for login in &journal.logins {
        let values = bind![act.organization, login.name, login.portal, kept, absorbed, login.is_spare];
        unit.execute(&MOVE_LOGIN, values).await?;
    }
    for moved in &journal.moved_credentials {
        unit.execute(&MOVE_CREDENTIAL, bind![kept, moved.portal, moved.set_ms, absorbed]).await?;
    }
    for credential in &journal.dropped_credentials {
        put_back(unit, absorbed, credential).await?;
    }
    restore_proposals(unit, act, (kept, absorbed), journal, row, seals).await?;
    name_parts::fold_again(unit, &act.organization, name_parts::Kind::Guardian, pair.1).await
}

/// A number that staff replaced since stays with its successor.
async fn restore_identifiers(
    unit: &mut Unit,
    (kept, absorbed): (&GuardianId, &GuardianId),
    journal: &GuardianJournal,
    seals: &dyn MergeSeals,
) -> Result<(), PortError> {
    for row in unit.rows(&IDENTIFIERS, bind![kept]).await? {
        let position: i64 = row.column("position")?;
        let retired_ms: Option<i64> = row.column("retired_ms")?;
        let is_as_left = |moved: &&merge_journal::MovedIdentifier| {
            moved.position == position && moved.retired_ms == retired_ms
        };
        if let Some(moved) = journal.identifiers.iter().find(is_as_left) {
            let number = merge_accounts::resealed(&row, (kept, absorbed), seals)?;
            merge_accounts::move_identifier(unit, position, absorbed, &number, &moved.source).await?;
        }
    }
    Ok(())
}

async fn restore_proposals(
    unit: &mut Unit,
    act: &Act,
    (kept, absorbed): (&GuardianId, &GuardianId),
    journal: &GuardianJournal,
    merge: &MergeRow,
    seals: &dyn MergeSeals,
) -> Result<(), PortError> {
    for row in unit.rows(&OPEN_PROPOSALS, bind![act.organization, kept]).await? {
        let id: String = row.column("id")?;
        if journal.moved_proposals.contains(&id) {
            let number = merge_accounts::resealed(&row, (kept, absorbed), seals)?;
            merge_accounts::move_proposal(unit, &id, absorbed, &number).await?;
        }
    }
    for id in &journal.settled_proposals {
        unit.execute(&REOPEN_PROPOSAL, bind![id, merge.at]).await?;
    }
    Ok(())
}

async fn put_back(unit: &mut Unit, guardian: &GuardianId, row: &CredentialRow) -> Result<(), PortError> {
    let values = bind![
        guardian,
        row.portal,
        row.organization,
        row.hash,
        row.hash_parameters,
        row.origin,
        row.import_fingerprint,
        row.must_change,
        row.expires_ms,
        row.failures_unknown,
        row.failures_known,
        row.closed_unknown_ms,
        row.closed_known_ms,
        row.set_ms,
        row.rests_on,
    ];
    unit.execute(&PUT_CREDENTIAL_BACK, values).await.map(|_| ())
}
