//! The accounts that a request for a reset link may mean.

use sqlx::any::{AnyArguments, AnyRow};

use crate::domain::id::GuardianId;
use crate::domain::identifier::LoginName;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password_reset::{Candidate, PasswordOnFile};
use crate::ports::error::PortError;
use crate::ports::store::CandidateKey;

use super::bind::bind;
use super::row::{Columns, account_state};
use super::statement::Statement;
use super::unit::Unit;

/// What a candidate is read from: `l` is the login name, `g` the guardian, `c` the credential.
macro_rules! candidate_columns {
    ($has_national_id:literal) => {
        concat!(
            "l.portal, g.id, g.state, g.email_delivered, g.email_canonical, c.expires_ms, \
             CAST(CASE WHEN c.guardian_id IS NULL THEN 0 ELSE 1 END AS bigint) AS has_password, CAST(",
            $has_national_id,
            " AS bigint) AS has_national_id"
        )
    };
}

/// `$5` is the digest of a national id, or bytes that are none.
const BY_LOGIN_NAME: Statement = Statement::new(
    "find_reset_candidates_by_login_name",
    concat!(
        "SELECT ",
        candidate_columns!(
            "CASE WHEN EXISTS (SELECT 1 FROM guardian_identifier i WHERE i.organization = $1 AND i.blind_index = $5 \
                 AND i.guardian_id = g.id AND i.retired_ms IS NULL) THEN 1 ELSE 0 END"
        ),
        " FROM guardian_login l \
         JOIN guardian g ON g.id = l.guardian_id \
         LEFT JOIN credential c ON c.guardian_id = l.guardian_id AND c.portal = l.portal \
         WHERE l.organization = $1 AND l.portal IN ($2, $3) AND l.login_name = $4"
    ),
);

/// One row an account, however many login names it has. Those that count come first: a merged account is no second
/// one, and one at this portal is meant before one at the other.
const BY_EMAIL: Statement = Statement::new(
    "find_reset_candidates_by_email",
    concat!(
        "SELECT DISTINCT ",
        candidate_columns!("0"),
        ", CASE WHEN g.state = 'merged' THEN 1 ELSE 0 END AS is_merged, \
         CASE WHEN l.portal = $2 THEN 0 ELSE 1 END AS is_elsewhere \
         FROM guardian g \
         JOIN guardian_login l ON l.guardian_id = g.id AND l.portal IN ($2, $3) \
         LEFT JOIN credential c ON c.guardian_id = l.guardian_id AND c.portal = l.portal \
         WHERE g.organization = $1 AND g.email_canonical = $4 \
         ORDER BY is_merged, is_elsewhere, g.id LIMIT $5"
    ),
);

/// More accounts of one address make no other answer.
const MOST_CANDIDATES: i64 = 10;

/// Finds them.
pub(super) async fn find(
    unit: &mut Unit,
    organization: &OrganizationId,
    portal: Portal,
    key: &CandidateKey,
) -> Result<Vec<Candidate>, PortError> {
    // Where there is no sibling the portal itself is asked for twice: one text for all.
    let sibling = portal.sibling().unwrap_or(portal);
    match key {
        CandidateKey::LoginName { name, national_id } => {
            by_login_name(unit, organization, (portal, sibling), name, national_id).await
        }
        CandidateKey::Email(email) => {
            let values = bind![organization, portal, sibling, email, MOST_CANDIDATES];
            candidates(unit, &BY_EMAIL, values).await
        }
    }
}

/// Once for each digest, and once without: whoever counts statements learns how many keys there are, not what was typed.
async fn by_login_name(
    unit: &mut Unit,
    organization: &OrganizationId,
    (portal, sibling): (Portal, Portal),
    name: &LoginName,
    digests: &[[u8; 32]],
) -> Result<Vec<Candidate>, PortError> {
    // That of the active master key last: a number that moves to it while we ask is not missed.
    let mut digests = digests.iter().rev().map(<[u8; 32]>::as_slice);
    let values = |digest: &[u8]| bind![organization, portal, sibling, name, digest];
    let mut found = candidates(unit, &BY_LOGIN_NAME, values(digests.next().unwrap_or_default())).await?;
    for digest in digests {
        for again in candidates(unit, &BY_LOGIN_NAME, values(digest)).await? {
            let same = |one: &&mut Candidate| one.guardian == again.guardian && one.portal == again.portal;
            match found.iter_mut().find(same) {
                Some(one) => one.has_national_id |= again.has_national_id,
                // Its name was given to another meanwhile: as if it had been found at once.
                None => found.push(again),
            }
        }
    }
    Ok(found)
}

async fn candidates(
    unit: &mut Unit,
    statement: &Statement,
    values: AnyArguments,
) -> Result<Vec<Candidate>, PortError> {
    unit.rows(statement, values).await?.iter().map(candidate).collect()
}

fn candidate(row: &AnyRow) -> Result<Candidate, PortError> {
    let password = if row.flag("has_password")? {
        Some(PasswordOnFile { expires: row.time_or_none("expires_ms")? })
    } else {
        None
    };
    Ok(Candidate {
        guardian: row.parsed("id", GuardianId::parse)?,
        portal: row.portal()?,
        state: row.parsed("state", account_state)?,
        email: row.email()?,
        has_national_id: row.flag("has_national_id")?,
        password,
    })
}
