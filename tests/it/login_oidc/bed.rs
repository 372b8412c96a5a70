//! One login at the evil provider, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::http_client::HttpClient;
use guardian_auth::config::OidcAccess;
use guardian_auth::domain::oidc::OidcFault;
use reqwest::{Method, Url};
use serde_json::json;

use super::party::{Begun, NUMBER, Party, REDIRECT_URI, Verdict, usual};
use crate::support::evil_provider::{EvilProvider, Parameters, parameters};
use crate::support::service::{KOMMUN, OPVANG, Parts, TestClock};

/// The evil provider, and a service that has it for its own.
pub(crate) struct OidcBed {
    pub op: EvilProvider,
    pub clock: Arc<TestClock>,
    pub party: Party,
}

impl OidcBed {
    /// With a provider whose ID tokens have the personnummer in `ssn`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// In the Dutch organization, with changes to how the provider is configured.
    pub async fn start_dutch(change: impl FnOnce(&mut OidcAccess)) -> Self {
        Self::start_at(Parts::Embedded, OPVANG, change).await
    }

    /// The same as [`Self::start`] with changes to how the provider is configured.
    pub async fn start_with(change: impl FnOnce(&mut OidcAccess)) -> Self {
        Self::start_at(Parts::Embedded, KOMMUN, change).await
    }

    /// The same as [`Self::start`] on other parts.
    pub async fn start_on(parts: Parts) -> Self {
        Self::start_at(parts, KOMMUN, |_| {}).await
    }

    async fn start_at(on: Parts, organization: &'static str, change: impl FnOnce(&mut OidcAccess)) -> Self {
        let clock = TestClock::at_noon();
        let op = EvilProvider::start(Arc::clone(&clock) as _, REDIRECT_URI).await;
        op.behave(|op| {
            op.person.insert("ssn".to_owned(), json!(NUMBER));
        });
        let mut access = usual(organization, op.issuer());
        change(&mut access);
        let party = Party::start(on, organization, Arc::clone(&clock), vec![access]).await;
        Self { op, clock, party }
    }

    /// Begins a login.
    pub async fn begin(&self) -> Result<Begun, Verdict> {
        self.party.begin("evil").await
    }

    /// Goes where the browser is sent, and comes back with these parameters.
    pub async fn visit(&self, begun: &Begun) -> Parameters {
        visit(&self.op, &begun.url).await
    }

    /// Completes a login with what came back.
    pub async fn complete(&self, begun: &Begun, came: &Parameters) -> Verdict {
        self.party.complete(self.party.callback(begun, came)).await
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

/// The browser goes to a provider, and is sent back with these parameters.
pub(crate) async fn visit(op: &EvilProvider, url: &str) -> Parameters {
    let browser = HttpClient::new(None, Duration::from_secs(20)).unwrap();
    let answer = browser.send(browser.request(Method::GET, Url::parse(url).unwrap())).await.unwrap();
    assert_eq!(answer.status, 302, "{:?}", op.complaints());
    let to = answer.headers["location"].to_str().unwrap();
    let (address, query) = to.split_once('?').unwrap();
    assert_eq!(address, REDIRECT_URI);
    parameters(query)
}
