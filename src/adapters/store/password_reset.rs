//! Resets of forgotten passwords.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::audit::SessionEnd;
use crate::domain::id::ResetRequestId;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password_reset::Candidate;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;
use crate::ports::store::{
    CandidateKey, ConfirmedReset, Ended, LeasedResetRequest, NewResetToken, PasswordResetStore, ResetOutcome,
    ResetRequest, ResetTokenHolder, SettleOutcome, SettledReset,
};

use super::bind::bind;
use super::change_password::DROP_TICKETS;
use super::dialect::PerDialect;
use super::row::{Columns, locale, readable};
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit, message_budget, outbox, reset_candidates, reset_tokens, session};

const ADD_REQUEST: Statement = Statement::new(
    "add_reset_request",
    "INSERT INTO reset_request (id, organization, portal, sealed, key_id, locale, reference_code, caller, address, \
         user_agent, at_ms, due_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
);

macro_rules! lease_text {
    ($lock:literal) => {
        concat!(
            "WITH due AS (SELECT id FROM reset_request WHERE due_ms <= $1 ORDER BY due_ms LIMIT $3 ",
            $lock,
            ") UPDATE reset_request SET due_ms = $2 WHERE id IN (SELECT id FROM due) \
             RETURNING id, organization, portal, sealed, key_id, locale, reference_code, caller, address, user_agent, \
                 at_ms"
        )
    };
}

/// PostgreSQL: workers that ask at once pass over each other's rows instead of waiting for them. SQLite: the statement
/// excludes other writers.
const LEASE: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("lease_reset_requests", lease_text!("")),
    postgres: Statement::new("lease_reset_requests", lease_text!("FOR UPDATE SKIP LOCKED")),
};

/// `COALESCE` keeps PostgreSQL from the index of `due_ms`, where all that were taken together stand in one place.
const DROP_REQUEST: Statement = Statement::new(
    "drop_reset_request",
    "DELETE FROM reset_request WHERE id = $1 AND COALESCE(due_ms, 0) = $2",
);

/// `COALESCE` keeps PostgreSQL from the index of addresses: with a plan from when the table was empty, it would read the
/// whole of it instead of the one row.
const BUMP_EPOCH: Statement = Statement::new(
    "bump_epoch_by_reset",
    "UPDATE guardian SET credential_epoch = credential_epoch + 1 \
     WHERE id = $1 AND credential_epoch = $2 AND state = 'active' AND COALESCE(email_canonical, '') = $3",
);

/// A password that the school gave and that nobody used in time is not brought to life.
const SET_HASH: Statement = Statement::new(
    "reset_password",
    "UPDATE credential SET hash = $3, hash_parameters = $4, origin = 'owner', must_change = 0, expires_ms = NULL, \
         failures_unknown = 0, failures_known = 0, closed_unknown_ms = NULL, closed_known_ms = NULL, set_ms = $5 \
     WHERE guardian_id = $1 AND portal = $2 AND (expires_ms IS NULL OR expires_ms > $5)",
);

macro_rules! sweep_budgets_text {
    ($lock:literal) => {
        concat!(
            "WITH old AS (SELECT subject FROM message_budget WHERE full_at_ms < $1 ORDER BY full_at_ms LIMIT $2 ",
            $lock,
            ") DELETE FROM message_budget WHERE subject IN (SELECT subject FROM old)"
        )
    };
}

/// PostgreSQL: a budget that somebody is taking from is left alone: it is not full when he is done, and he may wait for
/// another one that we hold. SQLite: the transaction excludes other writers.
const SWEEP_BUDGETS: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("sweep_message_budgets", sweep_budgets_text!("")),
    postgres: Statement::new("sweep_message_budgets", sweep_budgets_text!("FOR UPDATE SKIP LOCKED")),
};

const SWEEP_TOKENS: Statement = Statement::new(
    "sweep_reset_tokens",
    "DELETE FROM reset_token WHERE digest IN \
     (SELECT digest FROM reset_token WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2)",
);

fn request(row: &AnyRow) -> Result<ResetRequest, PortError> {
    Ok(ResetRequest {
        id: row.parsed("id", ResetRequestId::parse)?,
        organization: row.parsed("organization", OrganizationId::parse)?,
        portal: row.portal()?,
        identification: Sealed { bytes: row.column("sealed")?, key_id: row.column("key_id")? },
        locale: row.parsed_or_none("locale", locale)?,
        reference: row.parsed("reference_code", ReferenceCode::parse)?,
        caller: row.column("caller")?,
        address: row.parsed_or_none("address", |text| text.parse().ok())?,
        user_agent: row.column("user_agent")?,
        at: row.time("at_ms")?,
    })
}

/// Sets the password if everything is as it was read; `None` if something is not.
async fn confirm(unit: &mut Unit, confirmed: &ConfirmedReset) -> Result<Option<Ended>, PortError> {
    let ConfirmedReset { guardian, portal, credential_epoch, email, hash, at, .. } = confirmed;
    // The account first, as in `change_password`: whoever else is at it waits here, or we for him.
    if unit.execute(&BUMP_EPOCH, bind![guardian, credential_epoch, email]).await? == 0 {
        return Ok(None);
    }
    if !reset_tokens::use_up(unit, confirmed).await? {
        return Ok(None);
    }
    let values = bind![guardian, portal, hash, hash.parameters().to_string(), at];
    if unit.execute(&SET_HASH, values).await? == 0 {
        return Ok(None);
    }
    reset_tokens::supersede(unit, guardian, *at).await?;
    unit.execute(&DROP_TICKETS, bind![guardian]).await?;
    session::end(unit, guardian, None, None, (*at, SessionEnd::PasswordReset)).await.map(Some)
}

#[async_trait]
impl PasswordResetStore for SqlStore {
    async fn add_reset_request(&self, request: &ResetRequest) -> Result<(), PortError> {
        let values = bind![
            request.id,
            request.organization,
            request.portal,
            request.identification.bytes,
            request.identification.key_id,
            request.locale,
            request.reference,
            request.caller,
            request.address.map(|address| address.to_string()),
            request.user_agent,
            request.at,
        ];
        self.write_once().await?.execute(&ADD_REQUEST, values).await.map(|_| ())
    }

    async fn lease_reset_requests(
        &self,
        now: Timestamp,
        lease: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeasedResetRequest>, PortError> {
        let mut unit = self.write_once().await?;
        let rows = unit.rows(&LEASE.of(unit.dialect()), bind![now, lease, i64::from(limit)]).await?;
        let leased = |row: &AnyRow| Ok(LeasedResetRequest { request: request(row)?, lease });
        let mut requests = readable(&rows, "reset_request", leased);
        // Rows of `RETURNING` come in no order.
        requests.sort_by(|one, other| one.request.id.cmp(&other.request.id));
        Ok(requests)
    }

    async fn reset_candidates(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        key: &CandidateKey,
    ) -> Result<Vec<Candidate>, PortError> {
        reset_candidates::find(&mut self.read().await?, organization, portal, key).await
    }

    async fn settle_reset(&self, settled: &SettledReset) -> Result<SettleOutcome, PortError> {
        let mut unit = self.write().await?;
        if unit.execute(&DROP_REQUEST, bind![settled.request, settled.lease]).await? == 0 {
            unit.rollback().await?;
            return Ok(SettleOutcome::LeaseLost);
        }
        let (outcome, rows) = if message_budget::take(&mut unit, &settled.budget).await? {
            (SettleOutcome::Granted, &settled.granted)
        } else {
            (SettleOutcome::Folded, &settled.folded)
        };
        outbox::queue(&mut unit, std::slice::from_ref(&rows.message)).await?;
        audit::record(&mut unit, &rows.event).await?;
        unit.commit().await?;
        Ok(outcome)
    }

    async fn add_reset_token(&self, token: &NewResetToken) -> Result<(), PortError> {
        let mut unit = self.write().await?;
        reset_tokens::add(&mut unit, token).await?;
        unit.commit().await
    }

    async fn reset_token(&self, digest: &[u8; 32]) -> Result<Option<ResetTokenHolder>, PortError> {
        reset_tokens::find(&mut self.read().await?, digest).await
    }

    async fn confirm_reset(&self, confirmed: &ConfirmedReset) -> Result<ResetOutcome, PortError> {
        let mut unit = self.write().await?;
        let Some(ended) = confirm(&mut unit, confirmed).await? else {
            unit.rollback().await?;
            return Ok(ResetOutcome::ChangedMeanwhile);
        };
        audit::record(&mut unit, &confirmed.event).await?;
        outbox::queue(&mut unit, &confirmed.notices).await?;
        unit.commit().await?;
        Ok(ResetOutcome::Reset(ended))
    }

    async fn sweep_resets(&self, tokens_before: Timestamp, now: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let mut swept = unit.execute(&SWEEP_TOKENS, bind![tokens_before, SWEEP_ROWS]).await?;
        swept += unit.execute(&SWEEP_BUDGETS.of(unit.dialect()), bind![now, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
