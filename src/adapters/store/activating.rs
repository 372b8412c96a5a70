//! Making a password of what staff issued: once, and only while it is borne.

use sqlx::any::AnyRow;

use crate::domain::audit::SessionEnd;
use crate::domain::fallback_credential::{ActivationEnd, MOST_WRONG_CODES, RestsOn};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password::PasswordHash;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{ActivateOutcome, ActivatedCredential, ActivationHolder, HeldActivation};

use super::bind::bind;
use super::change_password::DROP_TICKETS;
use super::issuing::preferred_name;
use super::login_password::login_names;
use super::row::{Columns, account_state, corrupt, login_name};
use super::statement::Statement;
use super::unit::Unit;
use super::{bearing, reset_tokens, session};

/// `g` is the account, `a` what was issued to it, `$portal` the portal.
macro_rules! holder_columns {
    ($portal:literal) => {
        concat!(
            "SELECT g.organization, ",
            $portal,
            " AS portal, g.id, g.state, g.credential_epoch, \
             CAST(CASE WHEN g.email_canonical IS NULL THEN 0 ELSE 1 END AS bigint) AS has_email, \
             CAST(CASE WHEN g.mobile_canonical IS NULL THEN 0 ELSE 1 END AS bigint) AS has_mobile, \
             (SELECT string_agg(n.login_name, ' ') FROM guardian_login n \
              WHERE n.guardian_id = g.id AND n.portal = ",
            $portal,
            ") AS login_names, (",
            preferred_name!("g.id", $portal),
            ") AS user_name, \
             a.id AS activation_id, a.rests_on, a.code_hash, a.credential_epoch AS activation_epoch, a.expires_ms, \
             a.end_reason"
        )
    };
}

/// What waits comes first, then what was issued last: it says to support why a code is dead.
const OF_NAME: Statement = Statement::new(
    "find_activation_of_name",
    concat!(
        holder_columns!("l.portal"),
        " FROM guardian_login l JOIN guardian g ON g.id = l.guardian_id \
         LEFT JOIN activation a ON a.guardian_id = l.guardian_id AND a.portal = l.portal \
         WHERE l.organization = $1 AND l.portal = $2 AND l.login_name = $3 \
         ORDER BY CASE WHEN a.ended_ms IS NULL THEN 0 ELSE 1 END, a.id DESC LIMIT 1"
    ),
);

const OF_TOKEN: Statement = Statement::new(
    "find_activation_of_token",
    concat!(
        holder_columns!("a.portal"),
        " FROM activation a JOIN guardian g ON g.id = a.guardian_id WHERE a.token_digest = $1"
    ),
);

/// Counts, and ends the code in the same statement.
const COUNT_WRONG_CODE: Statement = Statement::new(
    "count_wrong_code",
    "UPDATE activation SET failures = failures + 1, \
         ended_ms = CASE WHEN failures + 1 >= $2 THEN $3 ELSE ended_ms END, \
         end_reason = CASE WHEN failures + 1 >= $2 THEN 'exhausted' ELSE end_reason END \
     WHERE id = $1 AND ended_ms IS NULL",
);

/// The account first: whoever else is at it waits here, or we for him and then find another epoch.
const BUMP_EPOCH: Statement = Statement::new(
    "bump_epoch_by_activation",
    "UPDATE guardian SET credential_epoch = credential_epoch + 1 \
     WHERE id = $1 AND credential_epoch = $2 AND state = 'active'",
);

const USE: Statement = Statement::new(
    "use_activation",
    "UPDATE activation SET ended_ms = $5, end_reason = 'used' \
     WHERE id = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND ended_ms IS NULL \
       AND expires_ms > $5 AND failures < $6",
);

const FIND_MEMBER: Statement = Statement::new(
    "find_active_staff_member",
    "SELECT id FROM staff_member WHERE id = $1 AND state = 'active'",
);

/// A childminder with a child of her own gets two sheets: using the one does not end the other.
const CARRY_OVER: Statement = Statement::new(
    "carry_activation_over",
    "UPDATE activation SET credential_epoch = credential_epoch + 1 \
     WHERE guardian_id = $1 AND portal <> $2 AND ended_ms IS NULL AND credential_epoch = $3",
);

const PUT_PASSWORD: Statement = Statement::new(
    "put_activated_password",
    "INSERT INTO credential (guardian_id, portal, organization, hash, hash_parameters, origin, must_change, \
         failures_unknown, failures_known, set_ms, rests_on) \
     VALUES ($1, $2, $3, $4, $5, 'owner', 0, 0, 0, $6, $7) \
     ON CONFLICT (guardian_id, portal) DO UPDATE SET hash = excluded.hash, \
         hash_parameters = excluded.hash_parameters, origin = 'owner', import_fingerprint = NULL, must_change = 0, \
         expires_ms = NULL, failures_unknown = 0, failures_known = 0, closed_unknown_ms = NULL, \
         closed_known_ms = NULL, set_ms = excluded.set_ms, rests_on = excluded.rests_on",
);

/// The account of a login name.
pub(super) async fn of_name(
    unit: &mut Unit,
    organization: &OrganizationId,
    portal: Portal,
    name: &crate::domain::identifier::LoginName,
) -> Result<Option<ActivationHolder>, PortError> {
    unit.row(&OF_NAME, bind![organization, portal, name]).await?.as_ref().map(holder).transpose()
}

/// The account of a token.
pub(super) async fn of_token(
    unit: &mut Unit,
    digest: &[u8; 32],
) -> Result<Option<ActivationHolder>, PortError> {
    unit.row(&OF_TOKEN, bind![digest]).await?.as_ref().map(holder).transpose()
}

fn holder(row: &AnyRow) -> Result<ActivationHolder, PortError> {
    Ok(ActivationHolder {
        guardian: row.parsed("id", GuardianId::parse)?,
        organization: row.parsed("organization", OrganizationId::parse)?,
        portal: row.portal()?,
        state: row.parsed("state", account_state)?,
        credential_epoch: row.column("credential_epoch")?,
        user_name: row.parsed_or_none("user_name", login_name)?,
        login_names: login_names(row)?,
        has_email: row.flag("has_email")?,
        has_mobile: row.flag("has_mobile")?,
        activation: match row.parsed_or_none("activation_id", ActivationId::parse)? {
            None => None,
            Some(id) => Some(HeldActivation {
                id,
                rests_on: row.parsed("rests_on", RestsOn::parse)?,
                code_hash: row.parsed_or_none("code_hash", |text| PasswordHash::parse(text).ok())?,
                credential_epoch: row.column("activation_epoch")?,
                expires: row.time("expires_ms")?,
                end: row.parsed_or_none("end_reason", ActivationEnd::parse)?,
            }),
        },
    })
}

/// Counts a wrong code.
pub(super) async fn count_wrong_code(
    unit: &mut Unit,
    activation: &ActivationId,
    at: Timestamp,
) -> Result<(), PortError> {
    unit.execute(&COUNT_WRONG_CODE, bind![activation, MOST_WRONG_CODES, at]).await.map(|_| ())
}

/// Sets the password if everything is as it was read. With another outcome nothing may be committed.
pub(super) async fn activate(
    unit: &mut Unit,
    activated: &ActivatedCredential,
) -> Result<ActivateOutcome, PortError> {
    let ActivatedCredential { activation, guardian, organization, portal, rests_on, hash, at, .. } =
        activated;
    let epoch = activated.credential_epoch;
    if unit.execute(&BUMP_EPOCH, bind![guardian, epoch]).await? == 0 {
        return Ok(ActivateOutcome::ChangedMeanwhile);
    }
    let values = bind![activation, guardian, portal, epoch, at, MOST_WRONG_CODES];
    if unit.execute(&USE, values).await? == 0 {
        return Ok(ActivateOutcome::ChangedMeanwhile);
    }
    if !is_borne(unit, guardian, *portal, *rests_on).await? {
        return Ok(ActivateOutcome::NotBorne);
    }
    unit.execute(&CARRY_OVER, bind![guardian, portal, epoch]).await?;
    let parameters = hash.parameters().to_string();
    let values = bind![guardian, portal, organization, hash, parameters, at, rests_on];
    unit.execute(&PUT_PASSWORD, values).await?;
    reset_tokens::supersede(unit, guardian, *at).await?;
    unit.execute(&DROP_TICKETS, bind![guardian]).await?;
    let ended = session::end(unit, guardian, None, None, (*at, SessionEnd::PasswordChanged)).await?;
    Ok(ActivateOutcome::Activated(ended))
}

async fn is_borne(
    unit: &mut Unit,
    account: &GuardianId,
    portal: Portal,
    rests_on: RestsOn,
) -> Result<bool, PortError> {
    match rests_on {
        RestsOn::Staff => Ok(bearing::find(unit, account).await?.by_staff(portal)),
        RestsOn::Invitation => Ok(unit.row(&FIND_MEMBER, bind![account]).await?.is_some()),
        // Of imported passwords none waits to be chosen.
        RestsOn::Source => Err(corrupt("rests_on")),
    }
}
