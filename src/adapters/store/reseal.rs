//! Sealing anew: rows are read along their primary keys, and written in place.

use async_trait::async_trait;
use sqlx::any::{AnyArguments, AnyRow};

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::organization::OrganizationId;
use crate::domain::staff::Realm;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Passing, ResealStore, ResealedRow, SealedKind, SealedPage, SealedRow};

use super::bind::{bind, push};
use super::bulk::Update;
use super::row::{Columns, corrupt};
use super::statement::Statement;
use super::{SqlStore, audit};

/// How the rows of a table are read and written.
struct Texts {
    /// The key of the last row of a stretch, from the primary key alone: after `$1`, skipping `$2`.
    stretch_end: Statement,
    /// The rows of a stretch, after `$1` and up to `$2`, that another key than `$3` has sealed.
    rows: Statement,
    /// Writes rows: `$1` is the active key; the columns are the row's key, what was sealed, what takes its place, and the
    /// digest where there is one.
    update: Update,
}

const IDENTIFIERS: Texts = Texts {
    stretch_end: Statement::new(
        "find_stretch_of_identifiers",
        "SELECT CAST(position AS text) AS row_key FROM guardian_identifier WHERE position > $1 \
         ORDER BY position LIMIT 1 OFFSET $2",
    ),
    rows: Statement::new(
        "find_identifiers_to_seal_anew",
        "SELECT CAST(t.position AS text) AS row_key, t.organization, t.guardian_id, g.kind, t.sealed, t.key_id \
         FROM guardian_identifier t JOIN guardian g ON g.id = t.guardian_id \
         WHERE t.position > $1 AND t.position <= $2 AND t.key_id <> $3 ORDER BY t.position",
    ),
    update: Update {
        name: "seal_identifiers_anew",
        head: "UPDATE guardian_identifier \
               SET key_id = $1, sealed = wanted.column3, blind_index = wanted.column4",
        columns: 4,
        tail: "guardian_identifier.position = wanted.column1 AND guardian_identifier.sealed = wanted.column2",
    },
};

const PROPOSALS: Texts = Texts {
    stretch_end: Statement::new(
        "find_stretch_of_proposals",
        "SELECT id AS row_key FROM number_proposal WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2",
    ),
    rows: Statement::new(
        "find_proposals_to_seal_anew",
        "SELECT t.id AS row_key, t.organization, t.guardian_id, g.kind, t.sealed, t.key_id \
         FROM number_proposal t JOIN guardian g ON g.id = t.guardian_id \
         WHERE t.id > $1 AND t.id <= $2 AND t.key_id <> $3 ORDER BY t.id",
    ),
    update: Update {
        name: "seal_proposals_anew",
        head: "UPDATE number_proposal SET key_id = $1, sealed = wanted.column3, blind_index = wanted.column4",
        columns: 4,
        tail: "number_proposal.id = wanted.column1 AND number_proposal.sealed = wanted.column2",
    },
};

const EVIDENCE: Texts = Texts {
    stretch_end: Statement::new(
        "find_stretch_of_evidence",
        "SELECT id AS row_key FROM eid_evidence WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2",
    ),
    rows: Statement::new(
        "find_evidence_to_seal_anew",
        "SELECT id AS row_key, organization, sealed, key_id FROM eid_evidence \
         WHERE id > $1 AND id <= $2 AND key_id <> $3 ORDER BY id",
    ),
    update: Update {
        name: "seal_evidence_anew",
        head: "UPDATE eid_evidence SET key_id = $1, sealed = wanted.column3",
        columns: 3,
        tail: "eid_evidence.id = wanted.column1 AND eid_evidence.sealed = wanted.column2",
    },
};

const SIGNING_KEYS: Texts = Texts {
    stretch_end: Statement::new(
        "find_stretch_of_signing_keys",
        "SELECT kid AS row_key FROM signing_key WHERE kid > $1 ORDER BY kid LIMIT 1 OFFSET $2",
    ),
    rows: Statement::new(
        "find_signing_keys_to_seal_anew",
        "SELECT kid AS row_key, sealed_private AS sealed, key_id FROM signing_key \
         WHERE kid > $1 AND kid <= $2 AND key_id <> $3 ORDER BY kid",
    ),
    update: Update {
        name: "seal_signing_keys_anew",
        head: "UPDATE signing_key SET key_id = $1, sealed_private = wanted.column3",
        columns: 3,
        tail: "signing_key.kid = wanted.column1 AND signing_key.sealed_private = wanted.column2",
    },
};

const MERGES: Texts = Texts {
    stretch_end: Statement::new(
        "find_stretch_of_merges",
        "SELECT id AS row_key FROM merge WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2",
    ),
    rows: Statement::new(
        "find_merges_to_seal_anew",
        "SELECT id AS row_key, organization, sealed, key_id FROM merge \
         WHERE id > $1 AND id <= $2 AND key_id <> $3 ORDER BY id",
    ),
    update: Update {
        name: "seal_merges_anew",
        head: "UPDATE merge SET key_id = $1, sealed = wanted.column3",
        columns: 3,
        tail: "merge.id = wanted.column1 AND merge.sealed = wanted.column2",
    },
};

const fn texts(kind: SealedKind) -> &'static Texts {
    match kind {
        SealedKind::Identifier => &IDENTIFIERS,
        SealedKind::NumberProposal => &PROPOSALS,
        SealedKind::Evidence => &EVIDENCE,
        SealedKind::SigningKey => &SIGNING_KEYS,
        SealedKind::Merge => &MERGES,
    }
}

const SETTLE_PROPOSAL: Statement = Statement::new(
    "settle_repeated_proposal",
    "UPDATE number_proposal SET settled_ms = $1 WHERE id = $2 AND settled_ms IS NULL",
);

/// Rows that are gone within the hour: there are few, and each table has an index by the time of their end.
const PASSING: Statement = Statement::new(
    "count_passing_seals",
    "SELECT n.key_id, COUNT(*) AS seals FROM ( \
         SELECT key_id FROM reset_request WHERE due_ms >= 0 AND key_id <> $1 \
         UNION ALL SELECT key_id FROM oidc_attempt WHERE expires_ms > $2 AND key_id <> $1 \
         UNION ALL SELECT key_id FROM bankid_order WHERE expires_ms > $2 AND key_id <> $1 AND state <> 'used' \
     ) n GROUP BY n.key_id ORDER BY n.key_id",
);

/// Behind every id, and every name of a signing key, which is base64url.
const LAST_TEXT: &str = "~";

/// The key of a row as its column has it: a number for identifiers.
enum RowKey<'a> {
    Number(i64),
    Text(&'a str),
}

impl<'a> RowKey<'a> {
    fn of(kind: SealedKind, text: &'a str) -> Self {
        match kind {
            SealedKind::Identifier => Self::Number(text.parse().unwrap_or(0)),
            SealedKind::NumberProposal
            | SealedKind::Evidence
            | SealedKind::SigningKey
            | SealedKind::Merge => Self::Text(text),
        }
    }

    const fn last(kind: SealedKind) -> Self {
        match kind {
            SealedKind::Identifier => Self::Number(i64::MAX),
            SealedKind::NumberProposal
            | SealedKind::Evidence
            | SealedKind::SigningKey
            | SealedKind::Merge => Self::Text(LAST_TEXT),
        }
    }

    fn push(&self, arguments: &mut AnyArguments) {
        match self {
            Self::Number(number) => push(arguments, number),
            Self::Text(text) => push(arguments, *text),
        }
    }
}

fn realm(text: &str) -> Option<Realm> {
    match text {
        "guardian" => Some(Realm::Guardians),
        "staff" => Some(Realm::Staff),
        _ => None,
    }
}

fn sealed_row(kind: SealedKind, row: &AnyRow) -> Result<SealedRow, PortError> {
    let organization = || row.parsed("organization", OrganizationId::parse);
    let (organization, account) = match kind {
        SealedKind::Identifier | SealedKind::NumberProposal => {
            let account = (row.parsed("guardian_id", GuardianId::parse)?, row.parsed("kind", realm)?);
            (Some(organization()?), Some(account))
        }
        SealedKind::Evidence | SealedKind::Merge => (Some(organization()?), None),
        SealedKind::SigningKey => (None, None),
    };
    Ok(SealedRow {
        key: row.column("row_key")?,
        organization,
        account,
        sealed: row.sealed("sealed", "key_id")?,
    })
}

#[async_trait]
impl ResealStore for SqlStore {
    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        active_key_id: &str,
        after: &str,
        limit: u32,
    ) -> Result<SealedPage, PortError> {
        let texts = texts(kind);
        let mut unit = self.read().await?;
        let mut arguments = AnyArguments::default();
        RowKey::of(kind, after).push(&mut arguments);
        push(&mut arguments, &(i64::from(limit) - 1));
        let end = unit.row(&texts.stretch_end, arguments).await?;
        let next_after = end.map(|row| row.column::<String>("row_key")).transpose()?;
        let mut arguments = AnyArguments::default();
        RowKey::of(kind, after).push(&mut arguments);
        next_after.as_deref().map_or(RowKey::last(kind), |end| RowKey::of(kind, end)).push(&mut arguments);
        push(&mut arguments, active_key_id);
        let rows = unit.rows(&texts.rows, arguments).await?;
        let rows = rows.iter().map(|row| sealed_row(kind, row)).collect::<Result<_, _>>()?;
        Ok(SealedPage { rows, next_after })
    }

    async fn reseal(
        &self,
        kind: SealedKind,
        rows: &[ResealedRow],
        events: &[Event],
    ) -> Result<u64, PortError> {
        let Some(first) = rows.first() else { return Ok(0) };
        let key_id = &first.sealed.key_id;
        let mut unit = self.write_batch().await?;
        let bind = |row: &ResealedRow, arguments: &mut AnyArguments| {
            RowKey::of(kind, &row.key).push(arguments);
            push(arguments, &row.before.bytes);
            push(arguments, &row.sealed.bytes);
            if let Some(index) = &row.index {
                push(arguments, index);
            }
        };
        let written = texts(kind).update.run(&mut unit, key_id, rows, bind).await;
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                // Of both errors the first says more.
                let _ = unit.rollback().await;
                return Err(error);
            }
        };
        audit::record_all(&mut unit, events).await?;
        unit.commit().await?;
        Ok(written)
    }

    async fn settle_repeated_proposal(&self, key: &str, at: Timestamp) -> Result<(), PortError> {
        self.write_once().await?.execute(&SETTLE_PROPOSAL, bind![at, key]).await.map(|_| ())
    }

    async fn passing(&self, active_key_id: &str, now: Timestamp) -> Result<Vec<Passing>, PortError> {
        let rows = self.read().await?.rows(&PASSING, bind![active_key_id, now]).await?;
        rows.iter()
            .map(|row| {
                let rows = u64::try_from(row.column::<i64>("seals")?).map_err(|_| corrupt("seals"))?;
                Ok(Passing { key_id: row.column("key_id")?, rows })
            })
            .collect()
    }
}
