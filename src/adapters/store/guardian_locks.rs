//! Locking and unlocking accounts.

use crate::domain::id::GuardianId;
use crate::domain::login_password::AccountState;
use crate::domain::organization::Portal;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, Changed, Ended};

use super::bind::bind;
use super::guardian::nothing;
use super::statement::Statement;
use super::{SqlStore, act, bearing};

const SET_STATE: Statement =
    Statement::new("set_guardian_state", "UPDATE guardian SET state = $2 WHERE id = $1");

pub(super) async fn lock(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
) -> Result<Acted<Changed<Ended>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match act::hold_guardian(&mut unit, act, guardian).await?.map(|held| held.state) {
        None => Changed::NoGuardian,
        Some(AccountState::Locked) => Changed::AlreadySo,
        Some(gone @ (AccountState::Merged | AccountState::Erased)) => Changed::Gone(gone),
        Some(AccountState::Active) => {
            unit.execute(&SET_STATE, bind![guardian, "locked"]).await?;
            // Codes die with the epoch already: ended, they also look so.
            for portal in [Portal::Parent, Portal::Childminder] {
                bearing::end_activation(&mut unit, guardian, portal, "revoked", act.at).await?;
            }
            let ended = bearing::bump(&mut unit, guardian, act.at).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(ended)));
        }
    };
    nothing(unit, outcome).await
}

pub(super) async fn unlock(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
) -> Result<Acted<Changed<()>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match act::hold_guardian(&mut unit, act, guardian).await?.map(|held| held.state) {
        None => Changed::NoGuardian,
        Some(AccountState::Active) => Changed::AlreadySo,
        Some(gone @ (AccountState::Merged | AccountState::Erased)) => Changed::Gone(gone),
        Some(AccountState::Locked) => {
            unit.execute(&SET_STATE, bind![guardian, "active"]).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(())));
        }
    };
    nothing(unit, outcome).await
}
