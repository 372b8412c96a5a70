//! The store's part in a login at an `OpenID` provider.

use async_trait::async_trait;

use crate::domain::oidc::ProviderId;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

/// An attempt that was begun: found by the digest of its `state`, good in the browser that has the binding secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcAttempt {
    /// Keyed digest of `state`.
    pub state_digest: [u8; 32],
    /// Keyed digest of the browser's secret.
    pub binding_digest: [u8; 32],
    /// In which organization.
    pub organization: OrganizationId,
    /// At which portal.
    pub portal: Portal,
    /// At which provider.
    pub provider: ProviderId,
    /// Nonce and code verifier, sealed for this row.
    pub sealed: Sealed,
    /// When it was begun.
    pub begun: Timestamp,
    /// Dead after this.
    pub expires: Timestamp,
}

/// What a `state` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenAttempt {
    /// It was there, and is used up.
    Taken(Box<OidcAttempt>),
    /// It is there, and another browser's: it stays.
    OtherBrowser,
    /// There is none.
    Unknown,
}

/// Questions of the OIDC login flow.
#[async_trait]
pub trait LoginOidcStore: Send + Sync {
    /// Keeps an attempt.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_oidc_attempt(&self, attempt: &OidcAttempt) -> Result<(), PortError>;

    /// Takes an attempt, so that nobody takes it again. `states` and `bindings` are the digests under every key.
    ///
    /// # Errors
    /// [`PortError`].
    async fn take_oidc_attempt(
        &self,
        states: &[[u8; 32]],
        bindings: &[[u8; 32]],
    ) -> Result<TakenAttempt, PortError>;

    /// Drops attempts that ended before; says how many.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_oidc_attempts(&self, before: Timestamp) -> Result<u64, PortError>;
}
