//! Changes of password by their owners.

use async_trait::async_trait;

use crate::domain::audit::SessionEnd;
use crate::domain::id::GuardianId;
use crate::domain::login_password::Account;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    ChangePasswordStore, Ended, NewCredential, SetPassword, SetPasswordOutcome, TicketHolder,
};

use super::bind::bind;
use super::login_password::{account, account_columns};
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit, outbox, reset_tokens, session};

const ACCOUNT: Statement = Statement::new(
    "find_account",
    concat!(
        "SELECT ",
        account_columns!("$2"),
        " FROM guardian g LEFT JOIN credential c ON c.guardian_id = g.id AND c.portal = $2 WHERE g.id = $1"
    ),
);

const TICKET_HOLDER: Statement = Statement::new(
    "find_ticket_holder",
    concat!(
        "SELECT t.organization, t.portal, ",
        account_columns!("t.portal"),
        " FROM change_ticket t \
     JOIN guardian g ON g.id = t.guardian_id AND g.credential_epoch = t.credential_epoch \
     LEFT JOIN credential c ON c.guardian_id = t.guardian_id AND c.portal = t.portal \
     WHERE t.digest = $1 AND t.expires_ms > $2"
    ),
);

const BUMP_EPOCH: Statement = Statement::new(
    "bump_epoch",
    "UPDATE guardian SET credential_epoch = credential_epoch + 1 \
     WHERE id = $1 AND credential_epoch = $2 AND state = 'active'",
);

const SET_HASH: Statement = Statement::new(
    "set_password",
    "UPDATE credential SET hash = $4, hash_parameters = $5, origin = 'owner', must_change = 0, expires_ms = NULL, \
         failures_unknown = 0, failures_known = 0, closed_unknown_ms = NULL, closed_known_ms = NULL, set_ms = $6 \
     WHERE guardian_id = $1 AND portal = $2 AND hash = $3",
);

const KEEP_SESSION: Statement = Statement::new(
    "keep_session",
    "UPDATE session SET credential_epoch = credential_epoch + 1 \
     WHERE id = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND ended_ms IS NULL \
       AND idle_expires_ms > $5 AND absolute_expires_ms > $5",
);

const USE_TICKET: Statement = Statement::new(
    "use_change_ticket",
    "DELETE FROM change_ticket \
     WHERE digest = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND expires_ms > $5",
);

pub(super) const DROP_TICKETS: Statement =
    Statement::new("drop_change_tickets", "DELETE FROM change_ticket WHERE guardian_id = $1");

/// Sets the password if everything is as it was read; `None` if something is not.
async fn set(unit: &mut Unit, new: &NewCredential) -> Result<Option<Ended>, PortError> {
    let NewCredential { guardian, portal, by, replaces, hash, credential_epoch, at, event: _, notices: _ } =
        new;
    // The account first: a login that is under way holds it, so one of the two sees the other.
    if unit.execute(&BUMP_EPOCH, bind![guardian, credential_epoch]).await? == 0 {
        return Ok(None);
    }
    let values = bind![guardian, portal, replaces, hash, hash.parameters().to_string(), at];
    if unit.execute(&SET_HASH, values).await? == 0 {
        return Ok(None);
    }
    let (used, kept) = match by {
        SetPassword::Session(kept) => (
            unit.execute(&KEEP_SESSION, bind![kept, guardian, portal, credential_epoch, at]).await?,
            Some(kept),
        ),
        SetPassword::Ticket(digest) => {
            (unit.execute(&USE_TICKET, bind![digest, guardian, portal, credential_epoch, at]).await?, None)
        }
    };
    if used == 0 {
        return Ok(None);
    }
    unit.execute(&DROP_TICKETS, bind![guardian]).await?;
    reset_tokens::supersede(unit, guardian, *at).await?;
    session::end(unit, guardian, None, kept, (*at, SessionEnd::PasswordChanged)).await.map(Some)
}

#[async_trait]
impl ChangePasswordStore for SqlStore {
    async fn account(&self, guardian: &GuardianId, portal: Portal) -> Result<Option<Account>, PortError> {
        let row = self.read().await?.row(&ACCOUNT, bind![guardian, portal]).await?;
        row.as_ref().map(|row| account(row, portal)).transpose()
    }

    async fn ticket_holder(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<TicketHolder>, PortError> {
        let Some(row) = self.read().await?.row(&TICKET_HOLDER, bind![digest, now]).await? else {
            return Ok(None);
        };
        Ok(Some(TicketHolder {
            organization: row.parsed("organization", OrganizationId::parse)?,
            account: account(&row, row.portal()?)?,
        }))
    }

    async fn set_password(&self, new: &NewCredential) -> Result<SetPasswordOutcome, PortError> {
        let mut unit = self.write().await?;
        let Some(ended) = set(&mut unit, new).await? else {
            unit.rollback().await?;
            return Ok(SetPasswordOutcome::ChangedMeanwhile);
        };
        audit::record(&mut unit, &new.event).await?;
        outbox::queue(&mut unit, &new.notices).await?;
        unit.commit().await?;
        Ok(SetPasswordOutcome::Set(ended))
    }
}
