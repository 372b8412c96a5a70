//! How a provider is talked to.

use std::time::Duration;

use crate::adapters::http_client::HttpClientError;
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

/// Why a provider cannot be made of its settings.
#[derive(Debug, thiserror::Error)]
pub enum OidcSettingsError {
    /// The issuer is no address.
    #[error("the issuer is no URL, or has a user name, query or fragment")]
    Issuer,
    /// Without TLS everybody on the way logs in as whom they like.
    #[error("without TLS a provider must be on this machine")]
    PlaintextBeyondLoopback,
    /// Our name there is none.
    #[error("the client id is empty or holds other than visible ASCII and spaces")]
    ClientId,
    /// The client secret is none.
    #[error("the client secret is empty")]
    ClientSecret,
    /// The key that signs assertions cannot be used.
    #[error("the client's key is no PKCS#8 PEM of an RSA (2048 bits or more), P-256 or Ed25519 key")]
    ClientKey,
    /// The client is known by its certificate, and has none.
    #[error("authentication by TLS needs a client certificate")]
    CertificateMissing,
    /// The certificate of the client cannot be read.
    #[error("the client certificate or its key is no PEM: {0}")]
    Certificate(#[from] rustls_pki_types::pem::Error),
    /// The address that the browser comes back to is none.
    #[error("the redirect address is no URL, or has a fragment")]
    RedirectUri,
    /// A scope is none.
    #[error("a scope is empty or holds a space, a quote, a backslash or other than visible ASCII")]
    Scope,
    /// A parameter is ours to set, or named twice.
    #[error("the parameter {0} of the authorization request is set by this service, or given twice")]
    ExtraParameter(String),
    /// No claim identifies anybody.
    #[error("the mapping names no claim")]
    Mapping,
    /// There is no time for a request.
    #[error("the time for a request is zero")]
    Timeout,
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}
