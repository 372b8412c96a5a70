//! The tokens in reset links: their making, their look-up and their end.

use crate::domain::id::GuardianId;
use crate::domain::organization::OrganizationId;
use crate::domain::password_reset::LIVE_LINKS;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{ConfirmedReset, NewResetToken, ResetTokenHolder};

use super::bind::bind;
use super::dialect::PerDialect;
use super::login_password::{account, account_columns};
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

macro_rules! add_text {
    ($lock:literal) => {
        concat!(
            "INSERT INTO reset_token (digest, message_id, organization, portal, guardian_id, credential_epoch, \
                 address_digest, made_ms, expires_ms) \
             SELECT $1, $2, $3, $4, g.id, $6, $7, $8, $9 FROM guardian g WHERE g.id = $5 ",
            $lock
        )
    };
}

/// PostgreSQL: of several that are added at once each sees those before it, or more would live than may. SQLite: the
/// transaction excludes other writers.
const ADD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("add_reset_token", add_text!("")),
    postgres: Statement::new("add_reset_token", add_text!("FOR NO KEY UPDATE")),
};

/// Skips the newest and ends the rest. There are few at a time: each one took a mail from the budget.
const REPLACE_OLDEST: Statement = Statement::new(
    "replace_oldest_reset_tokens",
    "UPDATE reset_token SET ended_ms = $3, end_reason = 'replaced' WHERE digest IN \
     (SELECT digest FROM reset_token \
      WHERE guardian_id = $1 AND portal = $2 AND ended_ms IS NULL AND expires_ms > $3 \
      ORDER BY made_ms DESC, digest DESC LIMIT 1000 OFFSET $4)",
);

const FIND: Statement = Statement::new(
    "find_reset_token",
    concat!(
        "SELECT t.organization, t.portal, t.credential_epoch AS token_epoch, t.address_digest, \
             t.expires_ms AS token_expires_ms, CAST(CASE WHEN t.ended_ms IS NULL THEN 0 ELSE 1 END AS bigint) AS is_ended, \
             g.email_delivered, g.email_canonical, \
             CAST(CASE WHEN g.mobile_canonical IS NULL THEN 0 ELSE 1 END AS bigint) AS has_mobile, ",
        account_columns!("t.portal"),
        " FROM reset_token t \
         JOIN guardian g ON g.id = t.guardian_id \
         LEFT JOIN credential c ON c.guardian_id = t.guardian_id AND c.portal = t.portal \
         WHERE t.digest = $1"
    ),
);

const USE: Statement = Statement::new(
    "use_reset_token",
    "UPDATE reset_token SET ended_ms = $5, end_reason = 'used' \
     WHERE digest = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND ended_ms IS NULL \
       AND expires_ms > $5",
);

/// Not those that ran out: nobody can use them, and the sweep may be at them.
const SUPERSEDE: Statement = Statement::new(
    "supersede_reset_tokens",
    "UPDATE reset_token SET ended_ms = $2, end_reason = 'superseded' \
     WHERE guardian_id = $1 AND ended_ms IS NULL AND expires_ms > $2",
);

const WITHDRAW: Statement = Statement::new(
    "withdraw_reset_token",
    "UPDATE reset_token SET ended_ms = $2, end_reason = 'withdrawn' WHERE digest = $1 AND ended_ms IS NULL",
);

/// Keeps a token and ends the oldest ones of its account and portal where there are too many.
pub(super) async fn add(unit: &mut Unit, token: &NewResetToken) -> Result<(), PortError> {
    let values = bind![
        token.digest,
        token.message,
        token.organization,
        token.portal,
        token.guardian,
        token.credential_epoch,
        token.address_digest,
        token.made,
        token.expires,
    ];
    if unit.execute(&ADD.of(unit.dialect()), values).await? == 0 {
        return Err(PortError::Conflict("add_reset_token: the guardian is gone".to_owned()));
    }
    let values = bind![token.guardian, token.portal, token.made, LIVE_LINKS];
    unit.execute(&REPLACE_OLDEST, values).await.map(|_| ())
}

/// Finds a token, good or not.
pub(super) async fn find(unit: &mut Unit, digest: &[u8; 32]) -> Result<Option<ResetTokenHolder>, PortError> {
    let Some(row) = unit.row(&FIND, bind![digest]).await? else {
        return Ok(None);
    };
    Ok(Some(ResetTokenHolder {
        organization: row.parsed("organization", OrganizationId::parse)?,
        credential_epoch: row.column("token_epoch")?,
        address_digest: row.digest("address_digest")?,
        expires: row.time("token_expires_ms")?,
        is_ended: row.flag("is_ended")?,
        account: account(&row, row.portal()?)?,
        email: row.email()?,
        has_mobile: row.flag("has_mobile")?,
    }))
}

/// Uses a token up; false if it is not as it was read.
pub(super) async fn use_up(unit: &mut Unit, confirmed: &ConfirmedReset) -> Result<bool, PortError> {
    let ConfirmedReset { digest, guardian, portal, credential_epoch, at, .. } = confirmed;
    let values = bind![digest, guardian, portal, credential_epoch, at];
    Ok(unit.execute(&USE, values).await? > 0)
}

/// Ends all live tokens of a guardian, whose password was set.
pub(super) async fn supersede(
    unit: &mut Unit,
    guardian: &GuardianId,
    at: Timestamp,
) -> Result<(), PortError> {
    unit.execute(&SUPERSEDE, bind![guardian, at]).await.map(|_| ())
}

/// Ends a token that nobody has.
pub(super) async fn withdraw(unit: &mut Unit, digest: &[u8; 32], at: Timestamp) -> Result<(), PortError> {
    unit.execute(&WITHDRAW, bind![digest, at]).await.map(|_| ())
}
