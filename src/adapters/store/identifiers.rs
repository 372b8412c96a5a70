//! Numbers of accounts: given, put right and followed by better ones, so that no two accounts have one in use.

use crate::domain::audit::Event;
use crate::domain::id::{GuardianId, ProposalId};
use crate::domain::identifier_change::{InUse, Scheme, step};
use crate::domain::login_password::AccountState;
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, Changed, NewNumber, NumberOutcome, SealedNationalId};

use super::bind::bind;
use super::child_links::STAFF;
use super::guardian::nothing;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, bearing, take_lock};

const IN_USE: Statement = Statement::new(
    "find_identifiers_in_use",
    "SELECT position, scheme, blind_index, retired_ms FROM guardian_identifier WHERE guardian_id = $1",
);

const HOLDER: Statement = Statement::new(
    "find_identifier_holder",
    "SELECT guardian_id FROM guardian_identifier \
     WHERE organization = $1 AND blind_index = $2 AND retired_ms IS NULL",
);

const RETIRE: Statement = Statement::new(
    "retire_one_identifier",
    "UPDATE guardian_identifier SET retired_ms = $2 WHERE position = $1 AND retired_ms IS NULL",
);

const ADD: Statement = Statement::new(
    "add_identifier_by_staff",
    "INSERT INTO guardian_identifier (organization, guardian_id, scheme, blind_index, sealed, key_id, source, added_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);

const SETTLE_NUMBER: Statement = Statement::new(
    "settle_proposals_of_number",
    "UPDATE number_proposal SET settled_ms = $4 \
     WHERE organization = $1 AND guardian_id = $2 AND blind_index = $3 AND settled_ms IS NULL",
);

const FIND_PROPOSAL: Statement = Statement::new(
    "find_proposal_of_guardian",
    "SELECT settled_ms FROM number_proposal WHERE id = $1 AND organization = $2 AND guardian_id = $3",
);

const SETTLE_PROPOSAL: Statement =
    Statement::new("settle_number_proposal", "UPDATE number_proposal SET settled_ms = $2 WHERE id = $1");

/// Who gives numbers in an organization takes turns, imports and staff.
///
/// The unique index keeps two accounts from one number only as long as both are stored under one master key: while keys
/// are rotated a number has several digests. So who gives one looks under all of them, and nobody may give the same
/// one in between. To be taken before a guardian is held, as the import does.
pub(super) async fn take_turn(
    unit: &mut Unit,
    organization: &OrganizationId,
    at: Timestamp,
) -> Result<(), PortError> {
    take_lock(unit, &format!("import:{}", organization.as_str()), at).await
}

/// A number in use.
struct Held {
    position: i64,
    scheme: Scheme,
    index: [u8; 32],
}

async fn in_use(unit: &mut Unit, guardian: &GuardianId) -> Result<Vec<Held>, PortError> {
    let mut held = Vec::new();
    for row in unit.rows(&IN_USE, bind![guardian]).await? {
        if row.time_or_none("retired_ms")?.is_none() {
            held.push(Held {
                position: row.column("position")?,
                scheme: row.parsed("scheme", Scheme::parse)?,
                index: row.digest("blind_index")?,
            });
        }
    }
    Ok(held)
}

/// Another account that has the number. The digest of the active master key is asked for last: a number that moves to it
/// while we ask is not missed.
async fn holder(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
    number: &SealedNationalId,
) -> Result<Option<GuardianId>, PortError> {
    for digest in number.indexes().rev() {
        if let Some(row) = unit.row(&HOLDER, bind![act.organization, digest]).await? {
            let holder = row.parsed("guardian_id", GuardianId::parse)?;
            if holder != *guardian {
                return Ok(Some(holder));
            }
        }
    }
    Ok(None)
}

/// What came of it, and what is to be written.
enum Decision {
    Nothing(NumberOutcome),
    Write { replaced: Option<i64>, detail: String },
}

async fn decide(unit: &mut Unit, act: &Act, new: &NewNumber) -> Result<Decision, PortError> {
    let nothing = |outcome| Ok(Decision::Nothing(outcome));
    let Some(held) = act::hold_guardian(unit, act, &new.guardian).await? else {
        return nothing(NumberOutcome::NoGuardian);
    };
    match held.state {
        AccountState::Active | AccountState::Locked => {}
        gone @ (AccountState::Merged | AccountState::Erased) => return nothing(NumberOutcome::Gone(gone)),
    }
    let numbers = in_use(unit, &new.guardian).await?;
    if numbers.iter().any(|held| new.number.indexes().any(|digest| *digest == held.index)) {
        return nothing(NumberOutcome::AlreadySo);
    }
    if let Some(proposal) = &new.proposal {
        let found = unit.row(&FIND_PROPOSAL, bind![proposal, act.organization, new.guardian]).await?;
        if found.is_none_or(|row| !matches!(row.time_or_none("settled_ms"), Ok(None))) {
            return nothing(NumberOutcome::ProposalSettled);
        }
    }
    let named = |held: &&Held| new.replaced.as_ref().is_none_or(|digests| digests.contains(&held.index));
    let candidates: Vec<&Held> = numbers.iter().filter(named).collect();
    let in_use = match candidates.as_slice() {
        [] if numbers.is_empty() => InUse::Nothing,
        [] => InUse::NotThatOne,
        [one] => InUse::One(one.scheme),
        [..] => InUse::Several,
    };
    let step = match step(new.change, in_use, new.scheme) {
        Ok(step) => step,
        Err(refusal) => return nothing(NumberOutcome::Refused(refusal)),
    };
    if let Some(holder) = holder(unit, act, &new.guardian, &new.number).await? {
        let is_seen = act::sees_guardian(unit, &act.organization, &act.staff, &holder).await?;
        return nothing(NumberOutcome::Taken(is_seen.then_some(holder)));
    }
    let replaced = candidates.first().filter(|_| step.replaces()).map(|held| held.position);
    Ok(Decision::Write { replaced, detail: step.detail() })
}

pub(super) async fn change(
    store: &SqlStore,
    act: &Act,
    new: &NewNumber,
) -> Result<Acted<NumberOutcome>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    take_turn(&mut unit, &act.organization, act.at).await?;
    let (replaced, detail) = match decide(&mut unit, act, new).await? {
        Decision::Nothing(outcome) => return nothing(unit, outcome).await,
        Decision::Write { replaced, detail } => (replaced, detail),
    };
    let (guardian, number) = (&new.guardian, &new.number);
    if let Some(position) = replaced {
        unit.execute(&RETIRE, bind![position, act.at]).await?;
    }
    let values = bind![
        act.organization,
        guardian,
        number.scheme,
        number.index,
        number.sealed,
        number.key_id,
        STAFF,
        act.at,
    ];
    unit.execute(&ADD, values).await?;
    for digest in number.indexes() {
        unit.execute(&SETTLE_NUMBER, bind![act.organization, guardian, digest, act.at]).await?;
    }
    let ended = bearing::bump(&mut unit, guardian, act.at).await?;
    let mut act = act.clone();
    let detailed = |event: Event| Event { detail: Some(detail.clone()), ..event };
    act.events = act.events.into_iter().map(detailed).collect();
    act::finish(unit, &act).await?;
    Ok(Acted::Now(NumberOutcome::Changed(ended)))
}

pub(super) async fn reject(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
    proposal: &ProposalId,
) -> Result<Acted<Option<Changed<()>>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    if act::hold_guardian(&mut unit, act, guardian).await?.is_none() {
        return nothing(unit, Some(Changed::NoGuardian)).await;
    }
    let found = unit.row(&FIND_PROPOSAL, bind![proposal, act.organization, guardian]).await?;
    let Some(found) = found else { return nothing(unit, None).await };
    if found.time_or_none("settled_ms")?.is_some() {
        return nothing(unit, Some(Changed::AlreadySo)).await;
    }
    unit.execute(&SETTLE_PROPOSAL, bind![proposal, act.at]).await?;
    act::finish(unit, act).await?;
    Ok(Acted::Now(Some(Changed::Done(()))))
}
