//! The store's part in keeping the keys that sign access tokens.

use async_trait::async_trait;

use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

/// A signing key as stored: the private part sealed by the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// `kid` in tokens and in the JWKS.
    pub kid: String,
    /// The raw Ed25519 public key.
    pub public: [u8; 32],
    /// PKCS#8 private key, sealed.
    pub sealed_private: Vec<u8>,
    /// The vault key that sealed it.
    pub key_id: String,
    /// When it was made; it is published from then on.
    pub created: Timestamp,
    /// It signs from then on.
    pub signs_from: Timestamp,
    /// It is published until then; `None` while it is the newest.
    pub published_until: Option<Timestamp>,
}

/// Questions about signing keys.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All keys that are not past their publication, oldest first.
    ///
    /// # Errors
    /// [`PortError`].
    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedSigningKey>, PortError>;

    /// Adds a key; sets `published_until` of all others without one. With `only_if_none`, does nothing (and says
    /// `false`) if there is a key already: replicas that start together agree on one.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_signing_key(
        &self,
        key: &SealedSigningKey,
        others_published_until: Timestamp,
        only_if_none: bool,
    ) -> Result<bool, PortError>;
}
