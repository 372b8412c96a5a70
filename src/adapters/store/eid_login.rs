//! Logins with an eID: from the digest of a number to an account, and from there to a session or a denial.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::eid_login::EidAccount;
use crate::domain::id::GuardianId;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    DeniedEidLogin, EidLoginStore, EidOpenOutcome, NewEidSession, NewEvidence, NumberProposal,
};

use super::bind::{bind, push};
use super::bulk::Lookup;
use super::login_password::HOLD_ACCOUNT;
use super::row::{Columns, account_state};
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit, login_bankid, session};

macro_rules! has_login_at {
    ($portal:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = '",
            $portal,
            "')"
        )
    };
}

/// A relation counts, confirmed or not: the person is proven, and needs no fallback credential. At the portal `staff` only
/// an active member is at home: a session of who was deactivated would still pass where only the token is looked at.
const ACCOUNTS: Statement = Statement::new(
    "find_eid_accounts",
    concat!(
        "SELECT g.id, g.state, g.credential_epoch, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM child_link k WHERE k.guardian_id = g.id) OR ",
        has_login_at!("parent"),
        " THEN 1 ELSE 0 END AS bigint) AS at_parent, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM contract k WHERE k.guardian_id = g.id) OR ",
        has_login_at!("childminder"),
        " THEN 1 ELSE 0 END AS bigint) AS at_childminder, \
             CAST(CASE WHEN ",
        has_login_at!("staff"),
        " AND EXISTS (SELECT 1 FROM staff_member m WHERE m.id = g.id AND m.state = 'active') \
              THEN 1 ELSE 0 END AS bigint) AS at_staff \
         FROM guardian_identifier i JOIN guardian g ON g.id = i.guardian_id \
         WHERE i.organization = $1 AND i.blind_index = $2 AND i.retired_ms IS NULL"
    ),
);

/// The name of each digest's guardian. An identifier in use is one guardian's in an organization, so there is one or none.
const FAMILY_NAMES: Lookup = Lookup {
    name: "find_family_names",
    columns: 1,
    id_of_key: "SELECT g.family_name FROM guardian_identifier i JOIN guardian g ON g.id = i.guardian_id \
                WHERE i.organization = $1 AND i.blind_index = wanted.column1 AND i.retired_ms IS NULL \
                  AND g.state <> 'merged'",
};

/// More names make no other diagnosis.
const MOST_FAMILY_NAMES: usize = 10;

/// Asked once the account is held: who changes a guardian's identifiers holds the guardian too, or comes before or after.
const HAS_IDENTIFIER: Statement = Statement::new(
    "check_identifier_in_use",
    "SELECT guardian_id FROM guardian_identifier \
     WHERE organization = $1 AND blind_index = $2 AND guardian_id = $3 AND retired_ms IS NULL",
);

const ADD_EVIDENCE: Statement = Statement::new(
    "add_eid_evidence",
    "INSERT INTO eid_evidence (id, organization, guardian_id, session_id, sealed, key_id, at_ms, expires_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);

const SWEEP_EVIDENCE: Statement = Statement::new(
    "sweep_eid_evidence",
    "DELETE FROM eid_evidence WHERE id IN \
     (SELECT id FROM eid_evidence WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2)",
);

/// The conflict is that with an open proposal of the same number; any other is an error.
const ADD_PROPOSAL: Statement = Statement::new(
    "add_number_proposal",
    "INSERT INTO number_proposal (id, organization, guardian_id, scheme, blind_index, sealed, key_id, at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (organization, guardian_id, blind_index) WHERE settled_ms IS NULL DO NOTHING",
);

fn account(row: &AnyRow) -> Result<EidAccount, PortError> {
    let mut portals = Vec::new();
    for (portal, column) in
        [(Portal::Parent, "at_parent"), (Portal::Childminder, "at_childminder"), (Portal::Staff, "at_staff")]
    {
        if row.flag(column)? {
            portals.push(portal);
        }
    }
    Ok(EidAccount {
        guardian: row.parsed("id", GuardianId::parse)?,
        state: row.parsed("state", account_state)?,
        credential_epoch: row.column("credential_epoch")?,
        portals,
    })
}

/// Digests come with that of the active master key first, and numbers move to it while we ask: asked in the same direction,
/// one that moves in between is not missed.
fn in_order_of_change(digests: &[[u8; 32]]) -> impl Iterator<Item = &[u8; 32]> {
    digests.iter().rev()
}

/// Holds the account as it was read, with one of the digests as its identifier.
async fn hold(unit: &mut Unit, begun: &Session, digests: &[[u8; 32]]) -> Result<bool, PortError> {
    let values = bind![begun.guardian, begun.credential_epoch, begun.organization];
    if unit.row(&HOLD_ACCOUNT.of(unit.dialect()), values).await?.is_none() {
        return Ok(false);
    }
    for digest in in_order_of_change(digests) {
        let values = bind![begun.organization, digest, begun.guardian];
        if unit.row(&HAS_IDENTIFIER, values).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What [`EidLoginStore::open_eid_session`] writes, in a transaction that is taken back unless it is `Opened`.
async fn open(unit: &mut Unit, new: &NewEidSession) -> Result<EidOpenOutcome, PortError> {
    let begun = &new.session;
    if let Some(order) = &new.order
        && !login_bankid::use_up(unit, order, begun.authenticated).await?
    {
        return Ok(EidOpenOutcome::OrderGone);
    }
    if !hold(unit, begun, &new.identifier).await? {
        return Ok(EidOpenOutcome::AccountChanged);
    }
    session::add(unit, begun).await?;
    if let Some(evidence) = &new.evidence {
        keep(unit, begun, evidence).await?;
    }
    audit::record_all(unit, &new.events).await?;
    Ok(EidOpenOutcome::Opened)
}

async fn keep(unit: &mut Unit, begun: &Session, evidence: &NewEvidence) -> Result<(), PortError> {
    let values = bind![
        evidence.id,
        begun.organization,
        begun.guardian,
        begun.id,
        evidence.sealed.bytes,
        evidence.sealed.key_id,
        begun.authenticated,
        evidence.expires,
    ];
    unit.execute(&ADD_EVIDENCE, values).await.map(|_| ())
}

async fn propose(unit: &mut Unit, proposal: &NumberProposal) -> Result<(), PortError> {
    let values = bind![
        proposal.id,
        proposal.organization,
        proposal.guardian,
        proposal.number.scheme,
        proposal.number.index,
        proposal.number.sealed,
        proposal.number.key_id,
        proposal.at,
    ];
    unit.execute(&ADD_PROPOSAL, values).await.map(|_| ())
}

#[async_trait]
impl EidLoginStore for SqlStore {
    async fn eid_accounts(
        &self,
        organization: &OrganizationId,
        digests: &[[u8; 32]],
    ) -> Result<Vec<EidAccount>, PortError> {
        let mut unit = self.read().await?;
        let mut accounts: Vec<EidAccount> = Vec::new();
        for digest in in_order_of_change(digests) {
            for row in unit.rows(&ACCOUNTS, bind![organization, digest]).await? {
                let found = account(&row)?;
                if accounts.iter().all(|account| account.guardian != found.guardian) {
                    accounts.push(found);
                }
            }
        }
        Ok(accounts)
    }

    async fn family_names(
        &self,
        organization: &OrganizationId,
        digests: &[[u8; 32]],
    ) -> Result<Vec<String>, PortError> {
        let mut unit = self.read().await?;
        let rows = FAMILY_NAMES
            .rows(&mut unit, organization, digests, |digest, arguments| push(arguments, digest))
            .await?;
        let mut names = rows.iter().map(|row| row.column("found")).collect::<Result<Vec<String>, _>>()?;
        names.sort();
        names.dedup();
        names.truncate(MOST_FAMILY_NAMES);
        Ok(names)
    }

    async fn open_eid_session(&self, new: &NewEidSession) -> Result<EidOpenOutcome, PortError> {
        let mut unit = self.write().await?;
        let outcome = open(&mut unit, new).await?;
        match outcome {
            EidOpenOutcome::Opened => unit.commit().await?,
            EidOpenOutcome::AccountChanged | EidOpenOutcome::OrderGone => unit.rollback().await?,
        }
        Ok(outcome)
    }

    async fn deny_eid_login(&self, denied: &DeniedEidLogin) -> Result<bool, PortError> {
        let mut unit = self.write().await?;
        if let Some((order, at)) = &denied.order
            && !login_bankid::use_up(&mut unit, order, *at).await?
        {
            unit.rollback().await?;
            return Ok(false);
        }
        if let Some(proposal) = &denied.proposal {
            propose(&mut unit, proposal).await?;
        }
        audit::record_all(&mut unit, &denied.events).await?;
        unit.commit().await?;
        Ok(true)
    }

    async fn sweep_evidence(&self, now: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP_EVIDENCE, bind![now, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
