//! Logins with user name and password.
//!
//! The same statements run for accounts that exist and for those that do not; the rows that they touch differ.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::id::GuardianId;
use crate::domain::identifier::LoginName;
use crate::domain::limits::Lane;
use crate::domain::login_password::{Account, Candidates, FAILURES_UNTIL_CLOSED, StoredPassword};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password::{HashParameters, PasswordHash};
use crate::domain::session::Method;
use crate::ports::error::PortError;
use crate::ports::store::{
    ChangeTicket, Failure, FailureCount, HashParametersInUse, LoginPasswordStore, NewSession, OpenOutcome,
};

use super::bind::bind;
use super::dialect::PerDialect;
use super::row::{Columns, account_state, corrupt, login_name};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit, session};

/// What an account is read from: `g` is the guardian, `c` the credential. The login names come in the same statement,
/// parted by a space, which no login name holds: a login asks the store once.
macro_rules! account_columns {
    ($portal:literal) => {
        concat!(
            "g.id, g.state, g.credential_epoch, \
             c.hash, c.must_change, c.expires_ms, c.closed_unknown_ms, c.closed_known_ms, \
             (SELECT string_agg(n.login_name, ' ') FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = ",
            $portal,
            ") AS login_names"
        )
    };
}
pub(super) use account_columns;

const CANDIDATES: Statement = Statement::new(
    "find_login_candidates",
    concat!(
        "SELECT l.portal, ",
        account_columns!("l.portal"),
        " FROM guardian_login l \
     JOIN guardian g ON g.id = l.guardian_id \
     LEFT JOIN credential c ON c.guardian_id = l.guardian_id AND c.portal = l.portal \
     WHERE l.organization = $1 AND l.portal IN ($2, $3) AND l.login_name = $4"
    ),
);

/// Counts in one lane and closes the password to it in the same statement. The count of a closed lane goes on and
/// nothing sets it back, so exactly one failure is the one that closed it.
const COUNT_FAILURE: Statement = Statement::new(
    "count_login_failure",
    "UPDATE credential SET \
         failures_unknown = failures_unknown + $3, \
         failures_known = failures_known + $4, \
         closed_unknown_ms = CASE WHEN $3 = 1 AND closed_unknown_ms IS NULL AND failures_unknown + 1 >= $5 \
                                  THEN $6 ELSE closed_unknown_ms END, \
         closed_known_ms = CASE WHEN $4 = 1 AND closed_known_ms IS NULL AND failures_known + 1 >= $5 \
                                THEN $6 ELSE closed_known_ms END \
     WHERE guardian_id = $1 AND portal = $2 \
     RETURNING failures_unknown, failures_known",
);

macro_rules! admit_text {
    ($lock:literal) => {
        concat!(
            "WITH held AS (SELECT id FROM guardian \
                 WHERE id = $1 AND credential_epoch = $5 AND organization = $6 AND state = 'active' ",
            $lock,
            ") UPDATE credential SET \
                 failures_unknown = CASE WHEN $3 = 1 THEN 0 ELSE failures_unknown END, \
                 failures_known = CASE WHEN $4 = 1 THEN 0 ELSE failures_known END \
             WHERE guardian_id = (SELECT id FROM held) AND portal = $2 AND closed_known_ms IS NULL \
               AND ($3 = 0 OR closed_unknown_ms IS NULL)"
        )
    };
}

/// Finds the account as it was read and keeps it so until the end of the transaction. PostgreSQL: a bump of the epoch
/// waits for us, or we for it and then find it. SQLite: the transaction excludes other writers.
pub(super) const HOLD_ACCOUNT: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new(
        "hold_account",
        "SELECT id FROM guardian WHERE id = $1 AND credential_epoch = $2 AND organization = $3 AND state = 'active'",
    ),
    postgres: Statement::new(
        "hold_account",
        "SELECT id FROM guardian WHERE id = $1 AND credential_epoch = $2 AND organization = $3 AND state = 'active' \
         FOR SHARE",
    ),
};

/// [`HOLD_ACCOUNT`], and the failures of the lane set to zero: both in one statement, as each costs a round trip. Touches
/// no row if the account is not as it was read, or the password is closed to the lane by now.
const ADMIT: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("admit_login", admit_text!("")),
    postgres: Statement::new("admit_login", admit_text!("FOR SHARE")),
};

const ADD_TICKET: Statement = Statement::new(
    "add_change_ticket",
    "INSERT INTO change_ticket (digest, organization, guardian_id, portal, credential_epoch, expires_ms) \
     VALUES ($1, $2, $3, $4, $5, $6)",
);

const REPLACE_HASH: Statement = Statement::new(
    "replace_outdated_hash",
    "UPDATE credential SET hash = $4, hash_parameters = $5 WHERE guardian_id = $1 AND portal = $2 AND hash = $3",
);

/// One step from a pair to the next in the index: as many steps as there are pairs, however many credentials.
const NEXT_HASH_PARAMETERS: Statement = Statement::new(
    "next_hash_parameters",
    "SELECT organization, hash_parameters FROM credential WHERE (organization, hash_parameters) > ($1, $2) \
     ORDER BY organization, hash_parameters LIMIT 1",
);

/// An account from columns named as in the statements here and in `change_password`.
pub(super) fn account(row: &AnyRow, portal: Portal) -> Result<Account, PortError> {
    let password = match row.parsed_or_none("hash", |text| PasswordHash::parse(text).ok())? {
        None => None,
        Some(hash) => Some(StoredPassword {
            hash,
            must_change: row.flag("must_change")?,
            expires: row.time_or_none("expires_ms")?,
            closed_to_unknown_devices: row.time_or_none("closed_unknown_ms")?.is_some(),
            closed_to_known_devices: row.time_or_none("closed_known_ms")?.is_some(),
        }),
    };
    Ok(Account {
        guardian: row.parsed("id", GuardianId::parse)?,
        portal,
        state: row.parsed("state", account_state)?,
        credential_epoch: row.column("credential_epoch")?,
        password,
        login_names: login_names(row)?,
    })
}

/// The login names in the column `login_names`.
pub(super) fn login_names(row: &AnyRow) -> Result<Vec<LoginName>, PortError> {
    let parted = row.column::<Option<&str>>("login_names")?.unwrap_or_default();
    let parse = |name| login_name(name).ok_or_else(|| corrupt("login_names"));
    let mut names = parted.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

/// One for the lane that it is, zero for the other: unknown devices, known devices.
const fn lane_flags(lane: &Lane) -> (bool, bool) {
    match lane {
        Lane::UnknownDevice => (true, false),
        Lane::KnownDevice(_) => (false, true),
    }
}

/// Holds the account, and sets the failures of the lane to zero where a password was compared.
async fn admit(
    unit: &mut Unit,
    guardian: &GuardianId,
    organization: &OrganizationId,
    credential_epoch: i64,
    reset: Option<(Portal, &Lane)>,
) -> Result<OpenOutcome, PortError> {
    let is_held = if let Some((portal, lane)) = reset {
        let (unknown, known) = lane_flags(lane);
        let values = bind![guardian, portal, unknown, known, credential_epoch, organization];
        unit.execute(&ADMIT.of(unit.dialect()), values).await? > 0
    } else {
        let values = bind![guardian, credential_epoch, organization];
        unit.row(&HOLD_ACCOUNT.of(unit.dialect()), values).await?.is_some()
    };
    Ok(if is_held { OpenOutcome::Opened } else { OpenOutcome::AccountChanged })
}

#[async_trait]
impl LoginPasswordStore for SqlStore {
    async fn login_candidates(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
    ) -> Result<Candidates, PortError> {
        // Where there is no sibling the portal itself is asked for twice: one text for all.
        let sibling = portal.sibling().unwrap_or(portal);
        let mut unit = self.read().await?;
        let mut candidates = Candidates::default();
        for row in unit.rows(&CANDIDATES, bind![organization, portal, sibling, login_name]).await? {
            let found = row.portal()?;
            let account = Some(account(&row, found)?);
            if found == portal {
                candidates.here = account;
            } else {
                candidates.sibling = account;
            }
        }
        Ok(candidates)
    }

    async fn record_login_failure(&self, failure: &Failure) -> Result<FailureCount, PortError> {
        let (unknown, known) = lane_flags(&failure.lane);
        let values =
            bind![failure.guardian, failure.portal, unknown, known, FAILURES_UNTIL_CLOSED, failure.at];
        let mut unit = self.write().await?;
        let consecutive = match unit.row(&COUNT_FAILURE, values).await? {
            Some(row) => row.column(if known { "failures_known" } else { "failures_unknown" })?,
            None => 0,
        };
        let count = FailureCount { consecutive, closed_now: consecutive == FAILURES_UNTIL_CLOSED };
        audit::record_counted(&mut unit, &failure.event, Some(count)).await?;
        unit.commit().await?;
        Ok(count)
    }

    async fn open_session(&self, new: &NewSession) -> Result<OpenOutcome, PortError> {
        let begun = &new.session;
        let reset = match begun.method {
            Method::Password => Some((begun.portal, &new.lane)),
            Method::Eid => None,
        };
        let mut unit = self.write().await?;
        let outcome =
            admit(&mut unit, &begun.guardian, &begun.organization, begun.credential_epoch, reset).await?;
        match outcome {
            OpenOutcome::AccountChanged => unit.rollback().await?,
            OpenOutcome::Opened => {
                session::add(&mut unit, begun).await?;
                audit::record(&mut unit, &new.event).await?;
                unit.commit().await?;
            }
        }
        Ok(outcome)
    }

    async fn issue_change_ticket(&self, ticket: &ChangeTicket) -> Result<OpenOutcome, PortError> {
        let reset = Some((ticket.portal, &ticket.lane));
        let mut unit = self.write().await?;
        let outcome =
            admit(&mut unit, &ticket.guardian, &ticket.organization, ticket.credential_epoch, reset).await?;
        match outcome {
            OpenOutcome::AccountChanged => unit.rollback().await?,
            OpenOutcome::Opened => {
                let values = bind![
                    ticket.digest,
                    ticket.organization,
                    ticket.guardian,
                    ticket.portal,
                    ticket.credential_epoch,
                    ticket.expires,
                ];
                unit.execute(&ADD_TICKET, values).await?;
                audit::record(&mut unit, &ticket.event).await?;
                unit.commit().await?;
            }
        }
        Ok(outcome)
    }

    async fn replace_outdated_hash(
        &self,
        guardian: &GuardianId,
        portal: Portal,
        outdated: &PasswordHash,
        fresh: &PasswordHash,
    ) -> Result<(), PortError> {
        let values = bind![guardian, portal, outdated, fresh, fresh.parameters().to_string()];
        self.write_once().await?.execute(&REPLACE_HASH, values).await.map(|_| ())
    }

    async fn hash_parameters_in_use(&self) -> Result<Vec<HashParametersInUse>, PortError> {
        let mut unit = self.read().await?;
        let mut found = Vec::new();
        let (mut organization, mut parameters) = (String::new(), String::new());
        while let Some(row) = unit.row(&NEXT_HASH_PARAMETERS, bind![organization, parameters]).await? {
            organization = row.column("organization")?;
            parameters = row.column("hash_parameters")?;
            found.push(HashParametersInUse {
                organization: row.parsed("organization", OrganizationId::parse)?,
                parameters: row.parsed("hash_parameters", |text| HashParameters::parse(text).ok())?,
            });
        }
        Ok(found)
    }
}
