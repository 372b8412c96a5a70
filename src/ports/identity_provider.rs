//! Where does the browser go to log in there; who does this answer of the provider name?

use async_trait::async_trait;

use crate::domain::eid_login::Assertion;
use crate::domain::oidc::OidcFault;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// What an attempt sends with the browser, and remembers.
pub struct AuthorizationRequest<'a> {
    /// `state`.
    pub state: &'a Secret<String>,
    /// `nonce`.
    pub nonce: &'a Secret<String>,
    /// The PKCE code verifier (RFC 7636); its S256 challenge is sent.
    pub code_verifier: &'a Secret<String>,
    /// `ui_locales`, if one was asked for.
    pub locale: Option<&'a str>,
    /// `login_hint`, if one was given.
    pub login_hint: Option<&'a Secret<String>>,
    /// Now: a pushed request may carry a signed assertion, which ends soon.
    pub now: Timestamp,
}

/// What came back, with what the attempt remembers.
pub struct AuthorizationResponse<'a> {
    /// `code`.
    pub code: &'a Secret<String>,
    /// `iss`, if it was there (RFC 9207).
    pub iss: Option<&'a str>,
    /// The nonce of the attempt.
    pub nonce: &'a Secret<String>,
    /// The code verifier of the attempt.
    pub code_verifier: &'a Secret<String>,
    /// Now.
    pub now: Timestamp,
}

/// Why a provider names nobody.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It is away, slow or answers what nobody can read: try again later.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// It answered, and the answer is refused.
    #[error("the provider's answer is refused: {}", .0.as_str())]
    Refused(OidcFault),
}

/// One provider for one portal's redirect address.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// The address that the browser goes to. Asks the provider for its metadata where they are not known, and pushes the
    /// request to it where it takes that (RFC 9126).
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn authorization_url(
        &self,
        request: &AuthorizationRequest<'_>,
    ) -> Result<Secret<String>, ProviderError>;

    /// Whom the provider names: code against tokens, every check, userinfo where the mapping needs it, the mapping.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn identify(&self, response: &AuthorizationResponse<'_>) -> Result<Assertion, ProviderError>;

    /// Whether an answer without a code is believed: its `iss` is the provider's, or need not be there.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn accepts_issuer(&self, iss: Option<&str>) -> Result<bool, ProviderError>;
}
