//! What a merge moves besides relations: numbers, login names, passwords, proposals.

use sqlx::any::AnyRow;

use crate::domain::id::GuardianId;
use crate::domain::login_password::AccountState;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Act, MergeSeals, SealedNationalId};

use super::bind::bind;
use super::merge::source_at_kept;
use super::merge_journal::{CredentialRow, GuardianJournal, MovedCredential, MovedIdentifier, MovedLogin};
use super::name_parts;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

pub(super) const IDENTIFIERS: Statement = Statement::new(
    "list_identifiers_of_guardian",
    "SELECT position, sealed, key_id, source, retired_ms FROM guardian_identifier WHERE guardian_id = $1 ORDER BY position",
);

const MOVE_IDENTIFIER: Statement = Statement::new(
    "move_identifier",
    "UPDATE guardian_identifier SET guardian_id = $2, blind_index = $3, sealed = $4, key_id = $5, source = $6 \
     WHERE position = $1",
);

const LOGINS: Statement = Statement::new(
    "list_login_names_of_guardian",
    "SELECT portal, login_name, is_spare FROM guardian_login WHERE guardian_id = $1 ORDER BY portal, login_name",
);

/// At its new account it is one that no import drops, for the source does not deliver it there.
pub(super) const MOVE_LOGIN: Statement = Statement::new(
    "move_login_name",
    "UPDATE guardian_login SET guardian_id = $5, is_spare = $6 \
     WHERE organization = $1 AND login_name = $2 AND portal = $3 AND guardian_id = $4",
);

const CREDENTIALS: Statement = Statement::new(
    "list_passwords_of_guardian",
    "SELECT portal, organization, hash, hash_parameters, origin, import_fingerprint, must_change, expires_ms, \
         failures_unknown, failures_known, closed_unknown_ms, closed_known_ms, set_ms, rests_on \
     FROM credential WHERE guardian_id = $1 ORDER BY portal",
);

/// Not where the other account has a password at the portal, and only the one that was set at this time.
pub(super) const MOVE_CREDENTIAL: Statement = Statement::new(
    "move_password",
    "UPDATE credential SET guardian_id = $4 WHERE guardian_id = $1 AND portal = $2 AND set_ms = $3 \
       AND NOT EXISTS (SELECT 1 FROM credential c WHERE c.guardian_id = $4 AND c.portal = $2)",
);

const DROP_CREDENTIAL: Statement =
    Statement::new("put_password_away", "DELETE FROM credential WHERE guardian_id = $1 AND portal = $2");

pub(super) const OPEN_PROPOSALS: Statement = Statement::new(
    "list_open_proposals",
    "SELECT id, blind_index, sealed, key_id FROM number_proposal \
     WHERE organization = $1 AND guardian_id = $2 AND settled_ms IS NULL ORDER BY id",
);

const MOVE_PROPOSAL: Statement = Statement::new(
    "move_proposal",
    "UPDATE number_proposal SET guardian_id = $2, blind_index = $3, sealed = $4, key_id = $5 WHERE id = $1",
);

const SETTLE_PROPOSAL: Statement =
    Statement::new("settle_repeated_proposal", "UPDATE number_proposal SET settled_ms = $2 WHERE id = $1");

const MARK_ABSORBED: Statement = Statement::new(
    "mark_guardian_merged",
    "UPDATE guardian SET state = 'merged', merged_into = $2, updated_ms = $3 WHERE id = $1",
);

pub(super) const SET_STATE: Statement = Statement::new(
    "set_guardian_state",
    "UPDATE guardian SET state = $2, merged_into = NULL, updated_ms = $3 WHERE id = $1",
);

/// A state in its column.
pub(super) const fn state_text(state: AccountState) -> &'static str {
    match state {
        AccountState::Active => "active",
        AccountState::Locked => "locked",
        AccountState::Merged => "merged",
        AccountState::Erased => "erased",
    }
}

fn credential(row: &AnyRow) -> Result<CredentialRow, PortError> {
    Ok(CredentialRow {
        portal: row.column("portal")?,
        organization: row.column("organization")?,
        hash: row.column("hash")?,
        hash_parameters: row.column("hash_parameters")?,
        origin: row.column("origin")?,
        import_fingerprint: row.column("import_fingerprint")?,
        must_change: row.column("must_change")?,
        expires_ms: row.column("expires_ms")?,
        failures_unknown: row.column("failures_unknown")?,
        failures_known: row.column("failures_known")?,
        closed_unknown_ms: row.column("closed_unknown_ms")?,
        closed_known_ms: row.column("closed_known_ms")?,
        set_ms: row.column("set_ms")?,
        rests_on: row.column("rests_on")?,
    })
}

/// A number of one guardian's row, sealed for another's.
pub(super) fn resealed(
    row: &AnyRow,
    (from, to): (&GuardianId, &GuardianId),
    seals: &dyn MergeSeals,
) -> Result<SealedNationalId, PortError> {
    let sealed = row.sealed("sealed", "key_id")?;
    seals
        .reseal(&sealed, from, to)
        .ok_or_else(|| PortError::Corrupt("a sealed number does not open".to_owned()))
}

pub(super) async fn move_identifier(
    unit: &mut Unit,
    position: i64,
    to: &GuardianId,
    number: &SealedNationalId,
    source: &str,
) -> Result<(), PortError> {
    let values = bind![position, to, number.index, number.sealed, number.key_id, source];
    unit.execute(&MOVE_IDENTIFIER, values).await.map(|_| ())
}

pub(super) async fn move_proposal(
    unit: &mut Unit,
    id: &str,
    to: &GuardianId,
    number: &SealedNationalId,
) -> Result<(), PortError> {
    let values = bind![id, to, number.index, number.sealed, number.key_id];
    unit.execute(&MOVE_PROPOSAL, values).await.map(|_| ())
}

/// Moves what the absorbed account has to the kept one, and notes it in the journal.
pub(super) async fn move_all(
    unit: &mut Unit,
    act: &Act,
    (kept, absorbed): (&GuardianId, &GuardianId),
    journal: &mut GuardianJournal,
    seals: &dyn MergeSeals,
) -> Result<(), PortError> {
    for row in unit.rows(&IDENTIFIERS, bind![absorbed]).await? {
        let moved = MovedIdentifier {
            position: row.column("position")?,
            source: row.column("source")?,
            retired_ms: row.column("retired_ms")?,
        };
        let number = resealed(&row, (absorbed, kept), seals)?;
        move_identifier(unit, moved.position, kept, &number, &source_at_kept(&moved.source)).await?;
        journal.identifiers.push(moved);
    }
    for row in unit.rows(&LOGINS, bind![absorbed]).await? {
        let moved = MovedLogin {
            portal: row.column("portal")?,
            name: row.column("login_name")?,
            is_spare: row.column("is_spare")?,
        };
        let values = bind![act.organization, moved.name, moved.portal, absorbed, kept, true];
        unit.execute(&MOVE_LOGIN, values).await?;
        journal.logins.push(moved);
    }
    for row in unit.rows(&CREDENTIALS, bind![absorbed]).await? {
        let found = credential(&row)?;
        if unit.execute(&MOVE_CREDENTIAL, bind![absorbed, found.portal, found.set_ms, kept]).await? > 0 {
            journal.moved_credentials.push(MovedCredential { portal: found.portal, set_ms: found.set_ms });
        } else {
            unit.execute(&DROP_CREDENTIAL, bind![absorbed, found.portal]).await?;
            journal.dropped_credentials.push(found);
        }
    }
    move_proposals(unit, act, (kept, absorbed), journal, seals).await?;
    name_parts::drop_all(unit, &[absorbed.as_str()]).await
}

/// The same number proposed to both is proposed once.
async fn move_proposals(
    unit: &mut Unit,
    act: &Act,
    (kept, absorbed): (&GuardianId, &GuardianId),
    journal: &mut GuardianJournal,
    seals: &dyn MergeSeals,
) -> Result<(), PortError> {
    let known = unit.rows(&OPEN_PROPOSALS, bind![act.organization, kept]).await?;
    let known = known.iter().map(|row| row.digest("blind_index")).collect::<Result<Vec<_>, _>>()?;
    for row in unit.rows(&OPEN_PROPOSALS, bind![act.organization, absorbed]).await? {
        let id: String = row.column("id")?;
        let number = resealed(&row, (absorbed, kept), seals)?;
        if known.contains(&number.index) || known.contains(&row.digest("blind_index")?) {
            unit.execute(&SETTLE_PROPOSAL, bind![id, act.at]).await?;
            journal.settled_proposals.push(id);
        } else {
            move_proposal(unit, &id, kept, &number).await?;
            journal.moved_proposals.push(id);
        }
    }
    Ok(())
}

/// Says in both rows what they are now.
pub(super) async fn mark(
    unit: &mut Unit,
    (kept, absorbed): (&GuardianId, &GuardianId),
    kept_state: AccountState,
    at: Timestamp,
) -> Result<(), PortError> {
    unit.execute(&MARK_ABSORBED, bind![absorbed, kept, at]).await?;
    unit.execute(&SET_STATE, bind![kept, state_text(kept_state), at]).await.map(|_| ())
}
