//! What a password rests on, and what ends with it: the one place that takes passwords away and bumps epochs for staff.

use crate::domain::audit::SessionEnd;
use crate::domain::id::GuardianId;
use crate::domain::organization::Portal;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::Ended;

use super::bind::bind;
use super::change_password::DROP_TICKETS;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{reset_tokens, session};

/// What bears a password (domain rule 1): `staff` for one that staff issued, `source` for an imported one.
///
/// A merge of children moves their links, so none leads to a child that was merged away; the school of a link that staff
/// confirmed was looked at when they confirmed it.
const BORNE: Statement = Statement::new(
    "find_what_bears_a_password",
    "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM child_link k WHERE k.guardian_id = $1 AND k.confirmed_by = 'staff') \
                 THEN 1 ELSE 0 END AS bigint) AS staff_link, \
            CAST(CASE WHEN EXISTS (SELECT 1 FROM child_link k WHERE k.guardian_id = $1 AND k.confirmed_by IS NOT NULL) \
                 THEN 1 ELSE 0 END AS bigint) AS any_link, \
            CAST(CASE WHEN EXISTS (SELECT 1 FROM contract k WHERE k.guardian_id = $1 AND k.confirmed_by = 'staff') \
                 THEN 1 ELSE 0 END AS bigint) AS staff_contract, \
            CAST(CASE WHEN EXISTS (SELECT 1 FROM contract k WHERE k.guardian_id = $1 AND k.confirmed_by IS NOT NULL) \
                 THEN 1 ELSE 0 END AS bigint) AS any_contract",
);

const PASSWORD: Statement = Statement::new(
    "find_what_password_rests_on",
    "SELECT rests_on FROM credential WHERE guardian_id = $1 AND portal = $2 \
     UNION ALL \
     SELECT rests_on FROM activation WHERE guardian_id = $1 AND portal = $2 AND ended_ms IS NULL",
);

const DROP_PASSWORD: Statement =
    Statement::new("drop_password", "DELETE FROM credential WHERE guardian_id = $1 AND portal = $2");

const END_ACTIVATION: Statement = Statement::new(
    "end_activation",
    "UPDATE activation SET ended_ms = $3, end_reason = $4 \
     WHERE guardian_id = $1 AND portal = $2 AND ended_ms IS NULL",
);

const BUMP_EPOCH: Statement = Statement::new(
    "bump_epoch_by_staff",
    "UPDATE guardian SET credential_epoch = credential_epoch + 1 WHERE id = $1",
);

/// Which confirmed relations a guardian has.
#[expect(clippy::struct_excessive_bools, reason = "four relations, each there or not")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bearing {
    staff_link: bool,
    any_link: bool,
    staff_contract: bool,
    any_contract: bool,
}

impl Bearing {
    /// Whether something that staff confirmed bears a password at the portal.
    pub(super) const fn by_staff(self, portal: Portal) -> bool {
        match portal {
            Portal::Parent => self.staff_link,
            Portal::Childminder => self.staff_contract,
            Portal::Staff => false,
        }
    }

    /// Whether anything confirmed bears a password at the portal, whoever confirmed it.
    pub(super) const fn at_all(self, portal: Portal) -> bool {
        match portal {
            Portal::Parent => self.any_link,
            Portal::Childminder => self.any_contract,
            Portal::Staff => false,
        }
    }
}

/// What bears a guardian's passwords now. The guardian is held.
pub(super) async fn find(unit: &mut Unit, guardian: &GuardianId) -> Result<Bearing, PortError> {
    let row = unit.row(&BORNE, bind![guardian]).await?;
    let row = row.ok_or_else(|| PortError::Corrupt("find_what_bears_a_password: no row".to_owned()))?;
    Ok(Bearing {
        staff_link: row.flag("staff_link")?,
        any_link: row.flag("any_link")?,
        staff_contract: row.flag("staff_contract")?,
        any_contract: row.flag("any_contract")?,
    })
}

/// Takes away the passwords and codes that nothing bears any more; the portals where there was one. The guardian is held,
/// and the relation is gone already.
pub(super) async fn revoke_unborne(
    unit: &mut Unit,
    guardian: &GuardianId,
    at: Timestamp,
) -> Result<Vec<Portal>, PortError> {
    let bearing = find(unit, guardian).await?;
    let mut revoked = Vec::new();
    for portal in [Portal::Parent, Portal::Childminder] {
        let mut unborne = false;
        for row in unit.rows(&PASSWORD, bind![guardian, portal]).await? {
            unborne |= match row.column::<&str>("rests_on")? {
                "staff" => !bearing.by_staff(portal),
                _ => !bearing.at_all(portal),
            };
        }
        if unborne {
            revoke(unit, guardian, portal, at).await?;
            revoked.push(portal);
        }
    }
    Ok(revoked)
}

/// Takes a password and what waits to become one away. To be followed by [`bump`].
pub(super) async fn revoke(
    unit: &mut Unit,
    guardian: &GuardianId,
    portal: Portal,
    at: Timestamp,
) -> Result<bool, PortError> {
    let dropped = unit.execute(&DROP_PASSWORD, bind![guardian, portal]).await?;
    let ended = end_activation(unit, guardian, portal, "revoked", at).await?;
    Ok(dropped > 0 || ended)
}

/// Ends the code or link that waits, if there is one.
pub(super) async fn end_activation(
    unit: &mut Unit,
    guardian: &GuardianId,
    portal: Portal,
    reason: &'static str,
    at: Timestamp,
) -> Result<bool, PortError> {
    Ok(unit.execute(&END_ACTIVATION, bind![guardian, portal, at, reason]).await? > 0)
}

/// Ends everything that the account's epoch carries: sessions, links, tickets; codes that wait carry it too.
pub(super) async fn bump(unit: &mut Unit, guardian: &GuardianId, at: Timestamp) -> Result<Ended, PortError> {
    unit.execute(&BUMP_EPOCH, bind![guardian]).await?;
    reset_tokens::supersede(unit, guardian, at).await?;
    unit.execute(&DROP_TICKETS, bind![guardian]).await?;
    session::end(unit, guardian, None, None, (at, SessionEnd::AccountChanged)).await
}
