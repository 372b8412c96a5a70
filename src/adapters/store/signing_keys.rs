//! Signing keys: sealed by the vault before they come here.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{SealedSigningKey, SigningKeyStore};

use super::bind::bind;
use super::row::Columns;
use super::statement::Statement;
use super::{SqlStore, take_lock};

const PUBLISHED: Statement = Statement::new(
    "list_signing_keys",
    "SELECT kid, public_key, sealed_private, key_id, created_ms, signs_from_ms, published_until_ms FROM signing_key \
     WHERE published_until_ms IS NULL OR published_until_ms > $1 ORDER BY created_ms, kid",
);

const ANY_NEWEST: Statement =
    Statement::new("find_newest_signing_key", "SELECT kid FROM signing_key WHERE published_until_ms IS NULL");

const RETIRE_OTHERS: Statement = Statement::new(
    "retire_signing_keys",
    "UPDATE signing_key SET published_until_ms = $1 WHERE published_until_ms IS NULL",
);

const ADD: Statement = Statement::new(
    "add_signing_key",
    "INSERT INTO signing_key (kid, public_key, sealed_private, key_id, created_ms, signs_from_ms, published_until_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);

/// One maker of keys at a time.
const LOCK: &str = "signing-keys";

#[async_trait]
impl SigningKeyStore for SqlStore {
    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedSigningKey>, PortError> {
        let rows = self.read().await?.rows(&PUBLISHED, bind![now]).await?;
        rows.iter().map(signing_key).collect()
    }

    async fn add_signing_key(
        &self,
        key: &SealedSigningKey,
        others_published_until: Timestamp,
        only_if_none: bool,
    ) -> Result<bool, PortError> {
        let mut unit = self.write().await?;
        take_lock(&mut unit, LOCK, key.created).await?;
        if only_if_none && !unit.rows(&ANY_NEWEST, bind![]).await?.is_empty() {
            unit.rollback().await?;
            return Ok(false);
        }
        unit.execute(&RETIRE_OTHERS, bind![others_published_until]).await?;
        let values = bind![
            key.kid,
            key.public,
            key.sealed_private,
            key.key_id,
            key.created,
            key.signs_from,
            key.published_until,
        ];
        unit.execute(&ADD, values).await?;
        unit.commit().await?;
        Ok(true)
    }
}

fn signing_key(row: &AnyRow) -> Result<SealedSigningKey, PortError> {
    Ok(SealedSigningKey {
        kid: row.column("kid")?,
        public: row.digest("public_key")?,
        sealed_private: row.column("sealed_private")?,
        key_id: row.column("key_id")?,
        created: row.time("created_ms")?,
        signs_from: row.time("signs_from_ms")?,
        published_until: row.time_or_none("published_until_ms")?,
    })
}
