//! Issuing a fallback credential: everything that it depends on is looked at in its transaction.

use crate::domain::id::GuardianId;
use crate::domain::identifier::LoginName;
use crate::domain::login_password::AccountState;
use crate::domain::message::Channel;
use crate::domain::organization::Portal;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, ApproveOutcome, IssueOutcome, NewActivation, NewFallbackCredential};

use super::bind::bind;
use super::dialect::PerDialect;
use super::row::{Columns, corrupt, locale, login_name};
use super::statement::Statement;
use super::unit::Unit;
use super::{act, bearing, outbox};

/// PostgreSQL: credentials of one issuer take turns, so that none is missed by the count of another. Before the member's
/// rights are held for sharing, or two would wait for each other. SQLite: the transaction excludes other writers.
const TAKE_TURN: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("take_turn_of_issuer", "SELECT id FROM staff_member WHERE id = $1"),
    postgres: Statement::new(
        "take_turn_of_issuer",
        "SELECT id FROM staff_member WHERE id = $1 FOR NO KEY UPDATE",
    ),
};

/// No further than it takes to know.
const COUNT_ISSUED: Statement = Statement::new(
    "count_issued_credentials",
    "SELECT COUNT(*) AS issued FROM (SELECT 1 AS one FROM activation \
         WHERE issued_by = $1 AND issued_ms > $2 AND rests_on = 'staff' LIMIT $3) AS lately",
);

const FIND_APPROVAL: Statement = Statement::new(
    "find_issuing_approval",
    "SELECT approved_by FROM issuing_approval WHERE staff_id = $1 AND day = $2",
);

const FIND_CONTACT: Statement = Statement::new(
    "find_contact",
    "SELECT email_canonical, mobile_canonical, locale FROM guardian WHERE id = $1",
);

/// A name to log in with at a portal: the debtor number, if the guardian has one there. `n` is the account's login name.
macro_rules! preferred_name {
    ($account:literal, $portal:literal) => {
        concat!(
            "SELECT n.login_name FROM guardian_login n WHERE n.guardian_id = ",
            $account,
            " AND n.portal = ",
            $portal,
            " ORDER BY CASE n.kind WHEN 'debtor_number' THEN 0 ELSE 1 END, n.login_name LIMIT 1"
        )
    };
}
pub(super) use preferred_name;

const FIND_NAME: Statement = Statement::new("find_preferred_login_name", preferred_name!("$1", "$2"));

/// `is_spare`: no import drops it.
const TAKE_NAME: Statement = Statement::new(
    "take_generated_user_name",
    "INSERT INTO guardian_login (organization, portal, login_name, guardian_id, kind, is_spare) \
     VALUES ($1, $2, $3, $4, 'user_name', 1) ON CONFLICT (organization, login_name, portal) DO NOTHING",
);

const ADD: Statement = Statement::new(
    "add_activation",
    "INSERT INTO activation (id, organization, portal, guardian_id, rests_on, delivery, code_hash, token_digest, \
         credential_epoch, failures, issued_by, issued_ms, expires_ms) \
     SELECT $1, $2, $3, g.id, $5, $6, $7, $8, g.credential_epoch, 0, $9, $10, $11 FROM guardian g WHERE g.id = $4",
);

/// A colleague who issues credentials, with a scope that overlaps the member's.
const FIND_COLLEAGUE: Statement = Statement::new(
    "find_issuing_colleague",
    "SELECT c.id FROM staff_member c JOIN guardian g ON g.id = c.id \
     WHERE c.id = $1 AND c.organization = $2 AND c.state = 'active' AND g.state = 'active' \
       AND c.role IN ('organization_administrator', 'school_administrator') \
       AND (c.scope = 'organization' \
         OR EXISTS (SELECT 1 FROM staff_member m WHERE m.id = $3 AND m.scope = 'organization') \
         OR EXISTS (SELECT 1 FROM staff_school o JOIN staff_school s ON s.staff_id = c.id AND s.school_id = o.school_id \
                    WHERE o.staff_id = $3))",
);

/// Those of days before count no more.
const DROP_APPROVALS: Statement = Statement::new(
    "drop_past_issuing_approvals",
    "DELETE FROM issuing_approval WHERE staff_id = $1 AND day < $2",
);

const ADD_APPROVAL: Statement = Statement::new(
    "add_issuing_approval",
    "INSERT INTO issuing_approval (staff_id, day, approved_by, at_ms) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (staff_id, day) DO NOTHING",
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

/// Issues a credential, or says why not; then nothing may be committed.
pub(super) async fn issue(
    unit: &mut Unit,
    act: &Act,
    new: &NewFallbackCredential,
) -> Result<Acted<IssueOutcome>, PortError> {
    let NewActivation { guardian, portal, .. } = &new.activation;
    unit.row(&TAKE_TURN.of(unit.dialect()), bind![act.staff]).await?;
    if let Some(refused) = act::enter(unit, act, Some(new.activation.id.as_str())).await? {
        return Ok(refused);
    }
    let Some(held) = act::hold_guardian(unit, act, guardian).await? else {
        return Ok(Acted::Now(IssueOutcome::NotFound));
    };
    if held.state != AccountState::Active {
        return Ok(Acted::Now(IssueOutcome::NotActive(held.state)));
    }
    if !bearing::find(unit, guardian).await?.by_staff(*portal) {
        return Ok(Acted::Now(IssueOutcome::NotConfirmed));
    }
    if !may_issue(unit, &act.staff, new).await? {
        return Ok(Acted::Now(IssueOutcome::NeedsApproval));
    }
    let contact = unit.row(&FIND_CONTACT, bind![guardian]).await?.ok_or_else(|| corrupt("id"))?;
    if let Some(message) = &new.message {
        let column = match message.channel {
            Channel::Email => "email_canonical",
            Channel::Sms => "mobile_canonical",
        };
        if contact.column::<Option<&str>>(column)?.is_none() {
            return Ok(Acted::Now(IssueOutcome::NoContact(message.channel)));
        }
    }
    let user_name = name(unit, act, guardian, *portal, &new.user_names).await?;
    add_activation(unit, &new.activation).await?;
    outbox::queue(unit, new.message.as_slice()).await?;
    Ok(Acted::Now(IssueOutcome::Issued { user_name, locale: contact.parsed("locale", locale)? }))
}

/// Whether the issuer need not wait for another's approval.
async fn may_issue(
    unit: &mut Unit,
    issuer: &GuardianId,
    new: &NewFallbackCredential,
) -> Result<bool, PortError> {
    let values = bind![issuer, new.counted_from, i64::from(new.most)];
    let row = unit.row(&COUNT_ISSUED, values).await?.ok_or_else(|| corrupt("issued"))?;
    if row.column::<i64>("issued")? < i64::from(new.most) {
        return Ok(true);
    }
    Ok(unit.row(&FIND_APPROVAL, bind![issuer, new.day.number()]).await?.is_some())
}

/// The name to log in with; a new one for who has none.
async fn name(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
    portal: Portal,
    spare: &[LoginName],
) -> Result<LoginName, PortError> {
    if let Some(row) = unit.row(&FIND_NAME, bind![guardian, portal]).await? {
        return row.parsed("login_name", login_name);
    }
    for name in spare {
        if unit.execute(&TAKE_NAME, bind![act.organization, portal, name, guardian]).await? > 0 {
            return Ok(name.clone());
        }
    }
    Err(PortError::Conflict("take_generated_user_name: none of the names is free".to_owned()))
}

/// Lets a colleague issue more on a day.
pub(super) async fn approve(
    unit: &mut Unit,
    act: &Act,
    colleague: &GuardianId,
    day: i64,
    at: Timestamp,
) -> Result<ApproveOutcome, PortError> {
    let values = bind![colleague, act.organization, act.staff];
    if unit.row(&FIND_COLLEAGUE, values).await?.is_none() {
        return Ok(ApproveOutcome::NotFound);
    }
    unit.execute(&DROP_APPROVALS, bind![colleague, day]).await?;
    unit.execute(&ADD_APPROVAL, bind![colleague, day, act.staff, at]).await?;
    Ok(ApproveOutcome::Approved)
}
