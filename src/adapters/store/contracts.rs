//! Contracts of childminders with the organization, as staff confirm and remove them.

use crate::domain::audit::Event;
use crate::domain::child_link::LinkEvidence;
use crate::domain::id::GuardianId;
use crate::domain::login_password::AccountState;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, Changed, Withdrawn};

use super::bind::bind;
use super::child_links::{STAFF, withdraw};
use super::guardian::nothing;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act};

const FIND: Statement =
    Statement::new("find_rows_of_contract", "SELECT confirmed_by FROM contract WHERE guardian_id = $1");

const PUT: Statement = Statement::new(
    "put_contract_of_staff",
    "INSERT INTO contract (guardian_id, source, confirmed_by, confirmed_ms, confirmed_staff_id, confirmed_how) \
     VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (guardian_id, source) DO UPDATE SET confirmed_by = excluded.confirmed_by, \
         confirmed_ms = excluded.confirmed_ms, confirmed_staff_id = excluded.confirmed_staff_id, \
         confirmed_how = excluded.confirmed_how",
);

const REMOVE: Statement = Statement::new("remove_contract", "DELETE FROM contract WHERE guardian_id = $1");

const REMEMBER_REMOVAL: Statement = Statement::new(
    "remember_removed_contract",
    "INSERT INTO removed_contract (guardian_id, staff_id, at_ms) VALUES ($1, $2, $3) \
     ON CONFLICT (guardian_id) DO UPDATE SET staff_id = excluded.staff_id, at_ms = excluded.at_ms",
);

const FORGET_REMOVAL: Statement =
    Statement::new("forget_removed_contract", "DELETE FROM removed_contract WHERE guardian_id = $1");

const REMOVED_SINCE: Statement = Statement::new(
    "find_contract_removed_since",
    "SELECT guardian_id FROM removed_contract WHERE guardian_id = $1 AND at_ms >= $2",
);

/// Whether staff have removed the contract since then, and confirmed none after.
pub(super) async fn is_removed_since(
    unit: &mut Unit,
    guardian: &GuardianId,
    since: Timestamp,
) -> Result<bool, PortError> {
    Ok(unit.row(&REMOVED_SINCE, bind![guardian, since]).await?.is_some())
}

/// No import brings the contract back.
pub(super) async fn remember_removal(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
) -> Result<(), PortError> {
    unit.execute(&REMEMBER_REMOVAL, bind![guardian, act.staff, act.at]).await.map(|_| ())
}

/// How a contract stands, its guardian held.
enum Standing {
    NoGuardian,
    Gone(AccountState),
    Present { is_confirmed: bool },
    Absent,
}

async fn hold(unit: &mut Unit, act: &Act, guardian: &GuardianId) -> Result<Standing, PortError> {
    let Some(held) = act::hold_guardian(unit, act, guardian).await? else { return Ok(Standing::NoGuardian) };
    match held.state {
        AccountState::Active | AccountState::Locked => {}
        gone @ (AccountState::Merged | AccountState::Erased) => return Ok(Standing::Gone(gone)),
    }
    let rows = unit.rows(&FIND, bind![guardian]).await?;
    let mut is_confirmed = false;
    for row in &rows {
        is_confirmed |= row.column::<Option<&str>>("confirmed_by")? == Some("staff");
    }
    Ok(if rows.is_empty() { Standing::Absent } else { Standing::Present { is_confirmed } })
}

pub(super) async fn confirm(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
    evidence: LinkEvidence,
) -> Result<Acted<Changed<()>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match hold(&mut unit, act, guardian).await? {
        Standing::NoGuardian => Changed::NoGuardian,
        Standing::Gone(state) => Changed::Gone(state),
        Standing::Present { is_confirmed: true } => Changed::AlreadySo,
        Standing::Present { is_confirmed: false } | Standing::Absent => {
            let values = bind![guardian, STAFF, STAFF, act.at, act.staff, evidence.as_str()];
            unit.execute(&PUT, values).await?;
            unit.execute(&FORGET_REMOVAL, bind![guardian]).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(())));
        }
    };
    nothing(unit, outcome).await
}

pub(super) async fn remove(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
    revoked: &[Event],
) -> Result<Acted<Changed<Withdrawn>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match hold(&mut unit, act, guardian).await? {
        Standing::NoGuardian => Changed::NoGuardian,
        Standing::Gone(state) => Changed::Gone(state),
        Standing::Absent => Changed::AlreadySo,
        Standing::Present { .. } => {
            unit.execute(&REMOVE, bind![guardian]).await?;
            remember_removal(&mut unit, act, guardian).await?;
            let withdrawn = withdraw(&mut unit, act, guardian, revoked).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(withdrawn)));
        }
    };
    nothing(unit, outcome).await
}
