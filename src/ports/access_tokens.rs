//! Sign these claims; are these claims ours?

use crate::domain::id::{GuardianId, SessionId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::session::Method;
use crate::domain::time::Timestamp;

use super::error::PortError;

/// The claims of an access token. Nothing personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `aud` = `organization/portal`.
    pub organization: OrganizationId,
    /// See `organization`.
    pub portal: Portal,
    /// `sub`.
    pub guardian: GuardianId,
    /// `sid`.
    pub session: SessionId,
    /// `client_id`: the caller through which the session was opened.
    pub client: String,
    /// `amr` and `acr`.
    pub method: Method,
    /// `auth_time`, whole seconds.
    pub authenticated: Timestamp,
    /// `iat`, whole seconds.
    pub issued: Timestamp,
    /// `exp`, whole seconds.
    pub expires: Timestamp,
    /// `jti`.
    pub token_id: String,
}

/// Public keys as a JWK set (RFC 7517), ready to be served, and how long it may be cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKeys {
    /// One `(kid, raw Ed25519 public key)` per key, the signing one first.
    pub keys: Vec<(String, [u8; 32])>,
}

/// Signed access tokens (RFC 9068).
pub trait AccessTokens: Send + Sync {
    /// Signs with the key in use.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if no key is loaded.
    fn sign(&self, claims: &Claims) -> Result<String, PortError>;

    /// The claims of a token that we signed and that has not expired; `None` for everything else.
    /// Does not look at revocations.
    fn verify(&self, token: &str, now: Timestamp) -> Option<std::sync::Arc<Claims>>;

    /// The keys that verify tokens now.
    fn published(&self, now: Timestamp) -> PublishedKeys;
}

/// Which sessions ended lately, as far as this replica knows.
pub trait Revocations: Send + Sync {
    /// Whether the session was ended.
    fn is_revoked(&self, session: &SessionId) -> bool;

    /// Notes an ended session.
    fn note(&self, session: &SessionId, at: Timestamp);
}
