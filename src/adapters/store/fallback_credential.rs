//! Credentials that staff issue.

use async_trait::async_trait;

use crate::domain::id::ActivationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{FallbackCredentialStore, NewActivation};

use super::bind::bind;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, bearing};

const ADD: Statement = Statement::new(
    "add_activation",
    "INSERT INTO activation (id, organization, portal, guardian_id, rests_on, delivery, code_hash, token_digest, \
         credential_epoch, failures, issued_by, issued_ms, expires_ms) \
     SELECT $1, $2, $3, g.id, $5, $6, $7, $8, g.credential_epoch, 0, $9, $10, $11 FROM guardian g WHERE g.id = $4",
);

/// Only what would work: the guardian who was locked since gets no link.
const LINK: Statement = Statement::new(
    "link_activation",
    "UPDATE activation SET token_digest = $2 \
     WHERE id = $1 AND ended_ms IS NULL AND expires_ms > $3 AND credential_epoch = \
       (SELECT g.credential_epoch FROM guardian g WHERE g.id = activation.guardian_id AND g.state = 'active') \
     RETURNING expires_ms",
);

/// Gives the right to choose a password; what waited at the portal ends. The account is held, or was made in the same
/// transaction.
pub(super) async fn add_activation(unit: &mut Unit, new: &NewActivation) -> Result<(), PortError> {
    bearing::end_activation(unit, &new.guardian, new.portal, "replaced", new.at).await?;
    let values = bind![
        new.id,
        new.organization,
        new.portal,
        new.guardian,
        new.rests_on,
        new.delivery,
        new.code_hash,
        new.token_digest,
        new.issued_by,
        new.at,
        new.expires,
    ];
    if unit.execute(&ADD, values).await? == 0 {
        return Err(PortError::Conflict("add_activation: the account is gone".to_owned()));
    }
    Ok(())
}

#[async_trait]
impl FallbackCredentialStore for SqlStore {
    async fn link_activation(
        &self,
        activation: &ActivationId,
        token_digest: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<Timestamp>, PortError> {
        let row = self.write_once().await?.row(&LINK, bind![activation, token_digest, at]).await?;
        row.map(|row| row.time("expires_ms")).transpose()
    }
}
