//! How a provider is talked to.

use std::time::Duration;

use reqwest::Url;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{authorization, metadata};
use crate::adapters::client_tls::{client_config, mutual_config};
use crate::adapters::http_client::{HttpClientError, is_safe};
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

impl OidcSettings {
    /// Whether each setting has the form that it must have.
    pub(super) fn check(&self) -> Result<(), OidcSettingsError> {
        let name =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !name(&self.client_id) {
            return Err(OidcSettingsError::ClientId);
        }
        if !Url::parse(&self.redirect_uri).is_ok_and(|url| url.has_host() && url.fragment().is_none()) {
            return Err(OidcSettingsError::RedirectUri);
        }
        if !self.scopes.iter().all(|scope| is_scope(scope)) {
            return Err(OidcSettingsError::Scope);
        }
        for (index, (name, _)) in self.extra_params.iter().enumerate() {
            let again = self.extra_params[..index].iter().any(|(before, _)| before == name);
            if again || authorization::is_ours(name) {
                return Err(OidcSettingsError::ExtraParameter(name.clone()));
            }
        }
        if self.mapping.claims.is_empty() {
            return Err(OidcSettingsError::Mapping);
        }
        if self.timeout.is_zero() {
            return Err(OidcSettingsError::Timeout);
        }
        if matches!(self.client_auth, ClientAuth::Tls) && self.client_certificate.is_none() {
            return Err(OidcSettingsError::CertificateMissing);
        }
        Ok(())
    }

    /// Where the metadata are.
    pub(super) fn metadata_url(&self) -> Result<Url, OidcSettingsError> {
        let issuer = Url::parse(&self.issuer).map_err(|_| OidcSettingsError::Issuer)?;
        let bare = issuer.username().is_empty()
            && issuer.password().is_none()
            && issuer.query().is_none()
            && issuer.fragment().is_none();
        if !bare || !issuer.has_host() {
            return Err(OidcSettingsError::Issuer);
        }
        if !is_safe(&issuer) {
            return Err(OidcSettingsError::PlaintextBeyondLoopback);
        }
        Url::parse(&metadata::address(&self.issuer)).map_err(|_| OidcSettingsError::Issuer)
    }

    /// Whom connections trust, and which certificate they show.
    pub(super) fn tls(&self) -> Result<ClientConfig, OidcSettingsError> {
        let authorities = self.authorities_pem.as_deref();
        let config = match &self.client_certificate {
            None => client_config(authorities),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
                mutual_config(authorities, chain, PrivateKeyDer::from_pem_slice(key.expose())?)
            }
        };
        Ok(config.map_err(HttpClientError::from)?)
    }
}

/// Whether a text is one scope (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::adapters::oidc::OidcProvider;
    use crate::domain::oidc::{ClaimSource, IdentifierScheme};

    /// Settings of a client with a secret at <https://op.example>.
    pub(in crate::adapters::oidc) fn settings() -> OidcSettings {
        OidcSettings {
            issuer: "https://op.example".to_owned(),
            client_id: "portal".to_owned(),
            client_auth: ClientAuth::SecretBasic(Secret::new("secret".to_owned())),
            client_certificate: None,
            redirect_uri: "https://portal.example/callback".to_owned(),
            scopes: Vec::new(),
            acr_values: Vec::new(),
            extra_params: Vec::new(),
            mapping: ClaimMapping {
                source: ClaimSource::IdToken,
                claims: vec!["ssn".to_owned()],
                scheme: IdentifierScheme::SeAny,
                strip_prefix: None,
                require: Vec::new(),
                previous_claim: None,
                staff_roles: None,
            },
            strength: Strength::default(),
            pkce_unannounced: false,
            pushed: Pushed::Announced,
            authorities_pem: None,
            timeout: Duration::from_secs(5),
        }
    }

    fn fault(change: impl FnOnce(&mut OidcSettings)) -> Option<OidcSettingsError> {
        let mut settings = settings();
        change(&mut settings);
        OidcProvider::new(settings).err()
    }

    #[test]
    fn usual_settings_are_taken() {
        assert!(fault(|_| {}).is_none());
        assert!(fault(|it| it.issuer = "http://127.0.0.1:8080/op".to_owned()).is_none());
        assert!(fault(|it| it.issuer = "https://op.example/tenant/".to_owned()).is_none());
        assert!(
            fault(|it| it.scopes = vec!["https://id.oidc.se/scope/naturalPersonNumber".to_owned()]).is_none()
        );
    }

    #[test]
    fn an_issuer_is_a_bare_address_over_tls() {
        for issuer in
            ["", "op.example", "https://op.example?x", "https://op.example#x", "https://u@op.example"]
        {
            let fault = fault(|it| it.issuer = issuer.to_owned());
            assert!(matches!(fault, Some(OidcSettingsError::Issuer)), "{issuer} {fault:?}");
        }
        for issuer in ["http://op.example", "http://10.0.0.1", "ftp://op.example"] {
            let fault = fault(|it| it.issuer = issuer.to_owned());
            assert!(matches!(fault, Some(OidcSettingsError::PlaintextBeyondLoopback)), "{issuer} {fault:?}");
        }
    }

    #[test]
    fn what_this_service_sets_is_not_configured() {
        let extra = |names: &'static [&'static str]| {
            let params = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
            fault(|it| it.extra_params = params)
        };
        assert!(extra(&["prompt", "claims"]).is_none());
        for names in
            [&["state"][..], &["prompt", "prompt"], &["redirect_uri"], &["request"], &["client_secret"]]
        {
            assert!(matches!(extra(names), Some(OidcSettingsError::ExtraParameter(_))), "{names:?}");
        }
    }

    #[test]
    fn a_client_proves_itself_with_something() {
        use OidcSettingsError as Fault;
        let secret = || Secret::new(String::new());
        assert!(matches!(
            fault(|it| it.client_auth = ClientAuth::SecretPost(secret())),
            Some(Fault::ClientSecret)
        ));
        assert!(matches!(fault(|it| it.client_auth = ClientAuth::Tls), Some(Fault::CertificateMissing)));
        let key = ClientAuth::PrivateKeyJwt { key_pem: secret(), key_id: None };
        assert!(matches!(fault(|it| it.client_auth = key), Some(Fault::ClientKey)));
        let pem = || Some((b"no PEM".to_vec(), Secret::new(b"nor this".to_vec())));
        assert!(matches!(fault(|it| it.client_certificate = pem()), Some(Fault::Certificate(_))));
    }

    #[test]
    fn other_faults_are_told_apart() {
        use OidcSettingsError as Fault;
        assert!(matches!(fault(|it| it.client_id = String::new()), Some(Fault::ClientId)));
        assert!(matches!(fault(|it| it.redirect_uri = "/callback".to_owned()), Some(Fault::RedirectUri)));
        assert!(matches!(fault(|it| it.scopes = vec!["a b".to_owned()]), Some(Fault::Scope)));
        assert!(matches!(fault(|it| it.mapping.claims = Vec::new()), Some(Fault::Mapping)));
        assert!(matches!(fault(|it| it.timeout = Duration::ZERO), Some(Fault::Timeout)));
    }
}
