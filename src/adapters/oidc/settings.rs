//! How a provider is talked to.

use std::time::Duration;

use crate::domain::oidc::{ClaimMapping, Strength};
use crate::domain::secret::Secret;

/// One provider, for one portal's redirect address.
pub struct OidcSettings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// How we prove to be it.
    pub client_auth: ClientAuth,
    /// The certificate that TLS connections to the provider show (RFC 8705), as PEM: chain, and key.
    pub client_certificate: Option<(Vec<u8>, Secret<Vec<u8>>)>,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
    /// Scopes besides `openid`.
    pub scopes: Vec<String>,
    /// `acr_values`, in order of preference.
    pub acr_values: Vec<String>,
    /// Further parameters of the authorization request, such as `prompt`. None of those that we set.
    pub extra_params: Vec<(String, String)>,
    /// How its claims name a person.
    pub mapping: ClaimMapping,
    /// How strong and fresh the authentication must be.
    pub strength: Strength,
    /// Whether a provider is used whose metadata do not announce PKCE with S256. It is sent all the same.
    pub pkce_unannounced: bool,
    /// Whether the authorization request is pushed (RFC 9126): where it is announced, or always.
    pub pushed: Pushed,
    /// The certificate authorities to trust, as PEM; those of the web if `None`.
    pub authorities_pem: Option<Vec<u8>>,
    /// The time for one request to the provider.
    pub timeout: Duration,
}

/// How we prove to be the client.
pub enum ClientAuth {
    /// The secret in the `Authorization` header.
    SecretBasic(Secret<String>),
    /// The secret in the form.
    SecretPost(Secret<String>),
    /// A signed assertion (RFC 7523): the key as PKCS#8 PEM, and the `kid` that the provider knows it by.
    PrivateKeyJwt {
        /// RSA (PS256), P-256 (ES256) or Ed25519 (`EdDSA`).
        key_pem: Secret<String>,
        /// `kid`.
        key_id: Option<String>,
    },
    /// The client certificate of the connection (RFC 8705).
    Tls,
}

/// When the authorization request is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Where the provider announces an endpoint for it.
    Announced,
    /// Always: a provider without one is not used.
    Always,
    /// Never.
    Never,
}
