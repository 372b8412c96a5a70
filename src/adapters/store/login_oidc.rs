//! Attempts to log in at an `OpenID` provider: kept while the browser is there, and taken once.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::oidc::ProviderId;
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{LoginOidcStore, OidcAttempt, TakenAttempt};

use super::SqlStore;
use super::bind::bind;
use super::row::Columns;
use super::session::SWEEP_ROWS;
use super::statement::Statement;

const ADD: Statement = Statement::new(
    "add_oidc_attempt",
    "INSERT INTO oidc_attempt (state_digest, binding_digest, organization, portal, provider, sealed, key_id, begun_ms, \
     expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
);

/// Of many at once with the same state, one gets the row. Another browser gets none, and leaves it there: a state that
/// leaked must not end the attempt of its owner.
const TAKE: Statement = Statement::new(
    "take_oidc_attempt",
    "DELETE FROM oidc_attempt WHERE state_digest = $1 AND binding_digest = $2 \
     RETURNING state_digest, binding_digest, organization, portal, provider, sealed, key_id, begun_ms, expires_ms",
);

const EXISTS: Statement =
    Statement::new("find_oidc_attempt", "SELECT state_digest FROM oidc_attempt WHERE state_digest = $1");

const SWEEP: Statement = Statement::new(
    "sweep_oidc_attempts",
    "DELETE FROM oidc_attempt WHERE state_digest IN \
     (SELECT state_digest FROM oidc_attempt WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2)",
);

fn attempt(row: &AnyRow) -> Result<OidcAttempt, PortError> {
    Ok(OidcAttempt {
        state_digest: row.digest("state_digest")?,
        binding_digest: row.digest("binding_digest")?,
        organization: row.parsed("organization", OrganizationId::parse)?,
        portal: row.portal()?,
        provider: row.parsed("provider", ProviderId::parse)?,
        sealed: row.sealed("sealed", "key_id")?,
        begun: row.time("begun_ms")?,
        expires: row.time("expires_ms")?,
    })
}

#[async_trait]
impl LoginOidcStore for SqlStore {
    async fn add_oidc_attempt(&self, attempt: &OidcAttempt) -> Result<(), PortError> {
        let values = bind![
            attempt.state_digest,
            attempt.binding_digest,
            attempt.organization,
            attempt.portal,
            attempt.provider,
            attempt.sealed.bytes,
            attempt.sealed.key_id,
            attempt.begun,
            attempt.expires,
        ];
        self.write_once().await?.execute(&ADD, values).await.map(|_| ())
    }

    async fn take_oidc_attempt(
        &self,
        states: &[[u8; 32]],
        bindings: &[[u8; 32]],
    ) -> Result<TakenAttempt, PortError> {
        let mut unit = self.write_once().await?;
        for state in states {
            for binding in bindings {
                if let Some(row) = unit.row(&TAKE, bind![state, binding]).await? {
                    return attempt(&row).map(|attempt| TakenAttempt::Taken(Box::new(attempt)));
                }
            }
        }
        for state in states {
            if unit.row(&EXISTS, bind![state]).await?.is_some() {
                return Ok(TakenAttempt::OtherBrowser);
            }
        }
        Ok(TakenAttempt::Unknown)
    }

    async fn sweep_oidc_attempts(&self, before: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP, bind![before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
