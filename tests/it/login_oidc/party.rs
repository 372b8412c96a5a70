//! The relying party: it sends browsers to a provider, and says what came of those that come back.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::oidc::{ClientAuth, OidcProvider, OidcSettings, Pushed};
use guardian_auth::domain::oidc::{ClaimMapping, ClaimSource, IdentifierScheme, OidcFault, Strength};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::clock::Clock;
use guardian_auth::ports::identity_provider::{
    AuthorizationRequest, AuthorizationResponse, IdentityProvider as _, ProviderError,
};

use crate::support::evil_provider::{CLIENT_ID, CLIENT_SECRET, Parameters, keys::base64url};

/// Of Skatteverket's test numbers, which no person has.
pub(crate) const NUMBER: &str = "199908072391";
/// Where the provider sends the browser back to. Nobody listens there: the test is the browser.
pub(crate) const REDIRECT_URI: &str = "https://portal.example.se/eid/evil";

/// What came of a login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A session.
    Session,
    /// None: the public reason, and the cause in the audit log.
    Refused(String, String),
}

impl Verdict {
    /// The provider's answer was not believed.
    pub fn failed(fault: OidcFault) -> Self {
        Self::Refused("EID_LOGIN_FAILED".to_owned(), fault.as_str().to_owned())
    }

    /// The provider could not be asked.
    pub fn unavailable() -> Self {
        Self::Refused("DEPENDENCY_UNAVAILABLE".to_owned(), String::new())
    }
}

/// A login that was begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub url: String,
    nonce: Secret<String>,
    code_verifier: Secret<String>,
}

/// A service with one provider.
pub(crate) struct Party {
    provider: OidcProvider,
    clock: Arc<dyn Clock>,
}

impl Party {
    /// With a provider that is configured so.
    pub fn new(settings: OidcSettings, clock: Arc<dyn Clock>) -> Self {
        Self { provider: OidcProvider::new(settings).unwrap(), clock }
    }

    /// Begins a login.
    pub async fn begin(&self) -> Result<Begun, Verdict> {
        let [state, nonce, code_verifier] = [(); 3].map(|()| random());
        let request = AuthorizationRequest {
            state: &state,
            nonce: &nonce,
            code_verifier: &code_verifier,
            locale: None,
            login_hint: None,
            now: self.clock.now(),
        };
        let url = self.provider.authorization_url(&request).await.map_err(|error| verdict(&error))?;
        Ok(Begun { url: url.expose().clone(), nonce, code_verifier })
    }

    /// Completes a login with what came back.
    pub async fn complete(&self, begun: &Begun, came: &Parameters) -> Verdict {
        let code = Secret::new(came["code"].clone());
        let response = AuthorizationResponse {
            code: &code,
            iss: came.get("iss").map(String::as_str),
            nonce: &begun.nonce,
            code_verifier: &begun.code_verifier,
            now: self.clock.now(),
        };
        match self.provider.identify(&response).await {
            Ok(_) => Verdict::Session,
            Err(error) => verdict(&error),
        }
    }
}

/// A provider that is configured in the usual way, with the personnummer in `ssn` of the ID token.
pub(crate) fn usual(issuer: &str) -> OidcSettings {
    OidcSettings {
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_auth: ClientAuth::SecretBasic(Secret::new(CLIENT_SECRET.to_owned())),
        client_certificate: None,
        redirect_uri: REDIRECT_URI.to_owned(),
        scopes: Vec::new(),
        acr_values: Vec::new(),
        extra_params: Vec::new(),
        mapping: mapping(ClaimSource::IdToken, &["ssn"], IdentifierScheme::SeAny),
        strength: Strength::default(),
        pkce_unannounced: false,
        pushed: Pushed::Announced,
        authorities_pem: None,
        timeout: Duration::from_secs(10),
    }
}

/// A mapping without prefix and requirements.
pub(crate) fn mapping(source: ClaimSource, claims: &[&str], scheme: IdentifierScheme) -> ClaimMapping {
    ClaimMapping {
        source,
        claims: claims.iter().map(|&claim| claim.to_owned()).collect(),
        scheme,
        strip_prefix: None,
        require: Vec::new(),
        previous_claim: None,
    }
}

fn verdict(error: &ProviderError) -> Verdict {
    match error {
        ProviderError::Refused(fault) => Verdict::failed(*fault),
        ProviderError::Unavailable(_) => Verdict::unavailable(),
    }
}

fn random() -> Secret<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    Secret::new(base64url(bytes))
}
