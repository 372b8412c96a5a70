//! Credentials that staff issue: how they are given is in `issuing`, how they become passwords in `activating`.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::fallback_credential::{ActivationEnd, Day};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::login_password::AccountState;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    Act, Acted, ActivateOutcome, ActivatedCredential, ActivationFailure, ActivationHolder, ApproveOutcome,
    CredentialQuery, Ended, FallbackCredentialStore, IssueOutcome, IssuedCredential, NewFallbackCredential,
    RevokeOutcome,
};

use super::act::guardian_in_scope;
use super::bind::bind;
use super::row::Columns;
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, activating, audit, bearing, issuing, outbox};

pub(super) use super::issuing::add_activation;

/// Only what would work: the guardian who was locked since gets no link.
const LINK: Statement = Statement::new(
    "link_activation",
    "UPDATE activation SET token_digest = $2 \
     WHERE id = $1 AND ended_ms IS NULL AND expires_ms > $3 AND credential_epoch = \
       (SELECT g.credential_epoch FROM guardian g WHERE g.id = activation.guardian_id AND g.state = 'active') \
     RETURNING expires_ms",
);

/// `$1` is the id before which the page begins, `$2` and `$3` are the scope's. The account is asked for in a column: joined,
/// PostgreSQL would begin with all accounts of the organization.
macro_rules! list_text {
    ($of:literal) => {
        concat!(
            "SELECT x.id, x.guardian_id, x.portal, x.issued_by, x.issued_ms, x.expires_ms, x.end_reason, \
                 CAST(CASE WHEN x.credential_epoch = x.epoch THEN 1 ELSE 0 END AS bigint) AS is_current \
             FROM (SELECT a.*, (SELECT g.credential_epoch FROM guardian g WHERE g.id = a.guardian_id AND ",
            guardian_in_scope!(),
            ") AS epoch FROM activation a WHERE ",
            $of,
            " AND a.id < $1) AS x \
             WHERE x.epoch IS NOT NULL \
               AND ($4 = 0 OR (x.ended_ms IS NULL AND x.expires_ms > $5 AND x.credential_epoch = x.epoch)) \
             ORDER BY x.id DESC LIMIT $6"
        )
    };
}

const LIST: Statement = Statement::new("list_activations", list_text!("a.organization = $2"));

const LIST_OF_GUARDIAN: Statement =
    Statement::new("list_activations_of_guardian", list_text!("a.guardian_id = $7"));

/// Sorts behind every id.
const AFTER_ALL: &str = "~";

/// No import brings the password back. Where staff issue another one, that is the owner's, which no import touches.
const BAR_IMPORT: Statement = Statement::new(
    "bar_imported_password",
    "INSERT INTO revoked_password (guardian_id, portal, staff_id, at_ms) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (guardian_id, portal) DO NOTHING",
);

const SWEEP: Statement = Statement::new(
    "sweep_activations",
    "DELETE FROM activation WHERE id IN \
     (SELECT id FROM activation WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2)",
);

fn issued(row: &AnyRow) -> Result<IssuedCredential, PortError> {
    Ok(IssuedCredential {
        id: row.parsed("id", ActivationId::parse)?,
        guardian: row.parsed("guardian_id", GuardianId::parse)?,
        portal: row.portal()?,
        issued_by: row.parsed_or_none("issued_by", GuardianId::parse)?,
        issued: row.time("issued_ms")?,
        expires: row.time("expires_ms")?,
        end: row.parsed_or_none("end_reason", ActivationEnd::parse)?,
        is_current: row.flag("is_current")?,
    })
}

/// Takes a password away, and keeps imports from bringing one; `None` if all of that was so before.
async fn revoke(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
    portal: Portal,
) -> Result<Option<Ended>, PortError> {
    let barred = unit.execute(&BAR_IMPORT, bind![guardian, portal, act.staff, act.at]).await? > 0;
    if bearing::revoke(unit, guardian, portal, act.at).await? {
        bearing::bump(unit, guardian, act.at).await.map(Some)
    } else {
        Ok(barred.then(Ended::default))
    }
}

#[async_trait]
impl FallbackCredentialStore for SqlStore {
    async fn issue_credential(
        &self,
        act: &Act,
        new: &NewFallbackCredential,
    ) -> Result<Acted<IssueOutcome>, PortError> {
        let mut unit = self.write().await?;
        let acted = issuing::issue(&mut unit, act, new).await?;
        match acted {
            Acted::Now(IssueOutcome::Issued { .. }) => act::finish(unit, act).await?,
            Acted::Now(
                IssueOutcome::NotFound
                | IssueOutcome::NotActive(_)
                | IssueOutcome::NotConfirmed
                | IssueOutcome::NeedsApproval
                | IssueOutcome::NoContact(_),
            )
            | Acted::Before(_)
            | Acted::OtherRequest
            | Acted::OffDuty => unit.rollback().await?,
        }
        Ok(acted)
    }

    async fn revoke_credential(
        &self,
        act: &Act,
        guardian: &GuardianId,
        portal: Portal,
    ) -> Result<Acted<RevokeOutcome>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        let Some(held) = act::hold_guardian(&mut unit, act, guardian).await? else {
            unit.rollback().await?;
            return Ok(Acted::Now(RevokeOutcome::NotFound));
        };
        match held.state {
            AccountState::Active | AccountState::Locked => {}
            AccountState::Merged | AccountState::Erased => {
                unit.rollback().await?;
                return Ok(Acted::Now(RevokeOutcome::NotThere(held.state)));
            }
        }
        let ended = revoke(&mut unit, act, guardian, portal).await?;
        match ended {
            Some(_) => act::finish(unit, act).await?,
            None => unit.commit().await?,
        }
        Ok(Acted::Now(RevokeOutcome::Revoked(ended.unwrap_or_default())))
    }

    async fn list_credentials(&self, query: &CredentialQuery) -> Result<Vec<IssuedCredential>, PortError> {
        let before = query.before.as_ref().map_or(AFTER_ALL, ActivationId::as_str);
        let mut values = bind![
            before,
            query.organization,
            query.staff,
            query.only_waiting,
            query.now,
            i64::from(query.limit),
        ];
        let mut unit = self.read().await?;
        let rows = match &query.guardian {
            None => unit.rows(&LIST, values).await?,
            Some(guardian) => {
                super::bind::push(&mut values, guardian);
                unit.rows(&LIST_OF_GUARDIAN, values).await?
            }
        };
        rows.iter().map(issued).collect()
    }

    async fn approve_issuing(
        &self,
        act: &Act,
        colleague: &GuardianId,
        day: Day,
    ) -> Result<Acted<ApproveOutcome>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        let outcome = issuing::approve(&mut unit, act, colleague, day.number(), act.at).await?;
        match outcome {
            ApproveOutcome::Approved => act::finish(unit, act).await?,
            ApproveOutcome::NotFound => unit.rollback().await?,
        }
        Ok(Acted::Now(outcome))
    }

    async fn link_activation(
        &self,
        activation: &ActivationId,
        token_digest: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<Timestamp>, PortError> {
        let row = self.write_once().await?.row(&LINK, bind![activation, token_digest, at]).await?;
        row.map(|row| row.time("expires_ms")).transpose()
    }

    async fn activation_of_name(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
    ) -> Result<Option<ActivationHolder>, PortError> {
        activating::of_name(&mut self.read().await?, organization, portal, login_name).await
    }

    async fn activation_of_token(
        &self,
        token_digest: &[u8; 32],
    ) -> Result<Option<ActivationHolder>, PortError> {
        activating::of_token(&mut self.read().await?, token_digest).await
    }

    async fn record_activation_failure(&self, failure: &ActivationFailure) -> Result<(), PortError> {
        let mut unit = self.write().await?;
        activating::count_wrong_code(&mut unit, &failure.activation, failure.at).await?;
        audit::record(&mut unit, &failure.event).await?;
        unit.commit().await
    }

    async fn activate_credential(
        &self,
        activated: &ActivatedCredential,
    ) -> Result<ActivateOutcome, PortError> {
        let mut unit = self.write().await?;
        let outcome = activating::activate(&mut unit, activated).await?;
        match &outcome {
            ActivateOutcome::Activated(_) => {
                audit::record(&mut unit, &activated.event).await?;
                outbox::queue(&mut unit, &activated.notices).await?;
                unit.commit().await?;
            }
            ActivateOutcome::NotBorne | ActivateOutcome::ChangedMeanwhile => unit.rollback().await?,
        }
        Ok(outcome)
    }

    async fn sweep_activations(&self, expired_before: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP, bind![expired_before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
