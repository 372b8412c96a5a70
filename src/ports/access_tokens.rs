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

    /// Forgets sessions that ended before `before`: no access token of theirs can be valid.
    fn forget(&self, before: Timestamp);
}

/// A signing key, opened.
pub struct SigningKey {
    /// `kid`.
    pub kid: String,
    /// PKCS#8 document of the private key.
    pub private: crate::domain::secret::Secret<Vec<u8>>,
    /// Raw Ed25519 public key.
    pub public: [u8; 32],
    /// Signs from then on.
    pub signs_from: Timestamp,
    /// Verifies until then; `None` while it is the newest.
    pub published_until: Option<Timestamp>,
}

/// Where signing keys are put to use.
pub trait KeyRing: Send + Sync {
    /// A new key pair that signs from `signs_from`.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if the provider has no randomness.
    fn generate(&self, signs_from: Timestamp) -> Result<SigningKey, PortError>;

    /// Takes these keys, oldest first, in place of those before.
    fn load(&self, keys: Vec<SigningKey>);
}
