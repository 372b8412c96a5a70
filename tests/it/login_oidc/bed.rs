//! One login at the evil provider, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::http_client::HttpClient;
use guardian_auth::adapters::oidc::{ClientAuth, OidcProvider, OidcSettings, Pushed};
use guardian_auth::domain::oidc::{ClaimMapping, ClaimSource, IdentifierScheme, OidcFault, Strength};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::clock::Clock as _;
use guardian_auth::ports::identity_provider::{
    AuthorizationRequest, AuthorizationResponse, IdentityProvider as _, ProviderError,
};
use reqwest::{Method, Url};
use serde_json::json;

use crate::support::evil_provider::{CLIENT_ID, CLIENT_SECRET, EvilProvider, Parameters, parameters};
use crate::support::service::TestClock;

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

/// The evil provider, and a service that has it for its own.
pub(crate) struct OidcBed {
    pub op: EvilProvider,
    pub clock: Arc<TestClock>,
    provider: OidcProvider,
    browser: HttpClient,
}

impl OidcBed {
    /// With a provider whose ID tokens have the personnummer in `ssn`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// In the Dutch organization, with changes to how the provider is configured.
    pub async fn start_dutch(change: impl FnOnce(&mut OidcSettings)) -> Self {
        Self::start_with(change).await
    }

    /// The same as [`Self::start`] with changes to how the provider is configured.
    pub async fn start_with(change: impl FnOnce(&mut OidcSettings)) -> Self {
        let clock = TestClock::at_noon();
        let op = EvilProvider::start(Arc::clone(&clock) as _, REDIRECT_URI).await;
        op.behave(|op| {
            op.person.insert("ssn".to_owned(), json!(NUMBER));
        });
        let mut settings = OidcSettings {
            issuer: op.issuer().to_owned(),
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
        };
        change(&mut settings);
        let provider = OidcProvider::new(settings).unwrap();
        let browser = HttpClient::new(None, Duration::from_secs(20)).unwrap();
        Self { op, clock, provider, browser }
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

    /// Goes where the browser is sent, and comes back with these parameters.
    pub async fn visit(&self, begun: &Begun) -> Parameters {
        let url = Url::parse(&begun.url).unwrap();
        let answer = self.browser.send(self.browser.request(Method::GET, url)).await.unwrap();
        assert_eq!(answer.status, 302, "{:?}", self.op.complaints());
        let to = answer.headers["location"].to_str().unwrap();
        let (address, query) = to.split_once('?').unwrap();
        assert_eq!(address, REDIRECT_URI);
        parameters(query)
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

    /// A whole login. The provider must have found nothing wrong with our requests.
    pub async fn login(&self) -> Verdict {
        let verdict = match self.begin().await {
            Ok(begun) => {
                let came = self.visit(&begun).await;
                self.complete(&begun, &came).await
            }
            Err(verdict) => verdict,
        };
        assert_eq!(self.op.complaints(), Vec::<String>::new());
        verdict
    }

    /// A login gives a session.
    #[track_caller]
    pub fn logs_in(&self) -> impl Future<Output = ()> {
        self.ends_with(Verdict::Session)
    }

    /// A login fails for this reason, which is told to the audit log alone.
    #[track_caller]
    pub fn is_refused(&self, fault: OidcFault) -> impl Future<Output = ()> {
        self.ends_with(Verdict::failed(fault))
    }

    /// A login ends so.
    #[track_caller]
    pub fn ends_with(&self, expected: Verdict) -> impl Future<Output = ()> {
        let asked_at = std::panic::Location::caller();
        async move {
            assert_eq!(self.login().await, expected, "{asked_at}");
        }
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
    Secret::new(crate::support::evil_provider::keys::base64url(bytes))
}
