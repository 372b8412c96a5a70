//! The keys that sign access tokens: made, published before use, retired after use.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::session::ACCESS_TOKEN_LIFETIME;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::{KeyRing, SigningKey};
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose, Sealed};
use crate::ports::store::{SealedSigningKey, SigningKeyStore};

/// A new key is published this long before it signs: longer than replicas take to load it (10 s) and than portals
/// keep the JWKS (5 min).
pub const PUBLISH_AHEAD: Duration = Duration::from_mins(15);

/// Clocks of portals may be this far off.
const LEEWAY: Duration = Duration::from_mins(1);

/// Makes and loads signing keys.
pub struct SigningKeyFlow {
    /// The store.
    pub store: Arc<dyn SigningKeyStore>,
    /// Seals private keys.
    pub vault: Arc<dyn KeyVault>,
    /// Makes keys and puts them to use.
    pub ring: Arc<dyn KeyRing>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl SigningKeyFlow {
    /// Makes the first key if there is none; replicas that start together agree on one.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn ensure(&self) -> Result<(), PortError> {
        let now = self.clock.now();
        if self.store.signing_keys(now).await?.is_empty() {
            let key = self.ring.generate(now)?;
            self.store.add_signing_key(&self.sealed(&key, now), now, true).await?;
        }
        self.load().await
    }

    /// Loads what the store has.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::Corrupt`] if no configured master key opens any key.
    pub async fn load(&self) -> Result<(), PortError> {
        let sealed = self.store.signing_keys(self.clock.now()).await?;
        let (mut keys, mut unopened) = (Vec::new(), None);
        for key in sealed {
            match self.opened(key) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    tracing::warn!(error = %error, "a signing key is left out: its tokens are refused here");
                    unopened = Some(error);
                }
            }
        }
        match unopened {
            Some(error) if keys.is_empty() => Err(error),
            Some(_) | None => {
                self.ring.load(keys);
                Ok(())
            }
        }
    }

    /// Makes the next key: published now, signing after `publish_ahead`; the present one verifies until its last
    /// token has expired. The new key's id, and when it begins to sign.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn rotate(&self, publish_ahead: Duration) -> Result<(String, Timestamp), PortError> {
        let now = self.clock.now();
        // Where there is no key yet there is nothing to wait for.
        let first = self.store.signing_keys(now).await?.is_empty();
        let signs_from = if first { now } else { now.plus(publish_ahead) };
        let key = self.ring.generate(signs_from)?;
        let retired = signs_from.plus(ACCESS_TOKEN_LIFETIME).plus(LEEWAY).plus(PUBLISH_AHEAD);
        self.store.add_signing_key(&self.sealed(&key, now), retired, false).await?;
        Ok((key.kid, signs_from))
    }

    /// All keys as stored, for people.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn list(&self) -> Result<Vec<SealedSigningKey>, PortError> {
        self.store.signing_keys(self.clock.now()).await
    }

    fn sealed(&self, key: &SigningKey, now: Timestamp) -> SealedSigningKey {
        let sealed = self.vault.seal(Purpose::SigningKeySeal, &context(&key.kid), key.private.expose());
        SealedSigningKey {
            kid: key.kid.clone(),
            public: key.public,
            sealed_private: sealed.bytes,
            key_id: sealed.key_id,
            created: now,
            signs_from: key.signs_from,
            published_until: None,
        }
    }

    fn opened(&self, key: SealedSigningKey) -> Result<SigningKey, PortError> {
        let sealed = Sealed { bytes: key.sealed_private, key_id: key.key_id };
        let private =
            self.vault.open(Purpose::SigningKeySeal, &context(&key.kid), &sealed).ok_or_else(|| {
                let master = &sealed.key_id;
                PortError::Corrupt(format!("signing key {} does not open with master key {master}", key.kid))
            })?;
        Ok(SigningKey {
            kid: key.kid,
            private,
            public: key.public,
            signs_from: key.signs_from,
            published_until: key.published_until,
        })
    }
}

/// What a private key is bound to: table, row, column.
pub fn context(kid: &str) -> [&[u8]; 3] {
    [b"signing_key", kid.as_bytes(), b"sealed_private"]
}
