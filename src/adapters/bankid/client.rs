//! The client: one relying party's requests to BankID.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::request::{AuthBody, OrderBody};
use super::settings::{BankIdSettings, BankIdSettingsError, Environment};
use super::{answer, identity, qr, refusal, trust};
use crate::adapters::client_tls::mutual_config;
use crate::adapters::http_client::{HttpAnswer, HttpClient, HttpClientError, HttpFault, HttpSettings};
use crate::domain::secret::Secret;
use crate::ports::bankid::{AuthRequest, BankId, BankIdError, Collected, StartedOrder};

/// Bytes of an answer at most: a signature and the answer on its certificate have some tens of kilobytes in base64.
const LONGEST_ANSWER_BYTES: usize = 256 * 1024;

/// Of the time for a request, the part that may go by until there is a place for it. The rest is for the answer: an order
/// that is begun in the last moment is one that nobody hears of.
const WAIT_SHARE: u32 = 3;

/// BankID answers 415 to anything else, a `charset` too.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Talks to BankID with one certificate. An order belongs to the certificate that began it: others neither collect nor
/// cancel it. Nothing is tried again.
pub struct BankIdClient {
    http: HttpClient,
    environment: Environment,
    auth: Url,
    collect: Url,
    cancel: Url,
    places: Semaphore,
    timeout: Duration,
}

impl BankIdClient {
    /// A client with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// See [`BankIdSettingsError`].
    pub fn new(settings: BankIdSettings) -> Result<Self, BankIdSettingsError> {
        let base = settings.environment.base_url()?;
        let url = |path: &str| Url::parse(&format!("{base}/{path}")).map_err(|_| BankIdSettingsError::Url);
        trust::check(&settings.environment, &settings.authorities_pem)?;
        let (chain, key) = identity::read(&settings.identity)?;
        let tls =
            mutual_config(Some(&settings.authorities_pem), chain, key).map_err(HttpClientError::Trust)?;
        let connections = settings.connections.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            http: HttpClient::with(HttpSettings {
                tls,
                timeout: settings.timeout,
                longest_answer_bytes: LONGEST_ANSWER_BYTES,
                kept_connections: connections,
            })?,
            auth: url("auth")?,
            collect: url("collect")?,
            cancel: url("cancel")?,
            environment: settings.environment,
            places: Semaphore::new(connections),
            timeout: settings.timeout,
        })
    }

    async fn post(&self, url: &Url, body: &impl Serialize) -> Result<Vec<u8>, BankIdError> {
        let body = serde_json::to_vec(body)
            .map_err(|_| BankIdError::Misconfigured("the request cannot be written".to_owned()))?;
        let answer = self.send(Method::POST, url, Some(body)).await?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(refusal::of(answer.status, &answer.body))
        }
    }

    /// Sends a request when there is a place for it. The wait for the place and the answer share the time.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<HttpAnswer, BankIdError> {
        let unavailable = |why: &str| BankIdError::Unavailable(why.to_owned());
        let begun = Instant::now();
        let end = begun + self.timeout;
        let place = tokio::time::timeout_at(begun + self.timeout / WAIT_SHARE, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(unavailable("too many requests at the same time"));
        };
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON).body(body);
        }
        match tokio::time::timeout_at(end, self.http.send(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(unavailable(told(fault))),
            Err(_) => Err(unavailable(told(HttpFault::NoAnswer))),
        }
    }
}

/// What operators should look at. A server refuses our certificate after the handshake of TLS 1.3: that is no answer.
const fn told(fault: HttpFault) -> &'static str {
    match fault {
        HttpFault::NotConnected => "no connection: the network, or a server that is not BankID's",
        HttpFault::NoAnswer => "no answer in time, or none to our certificate",
        HttpFault::AnswerTooLong => "the answer is too long",
    }
}

#[async_trait]
impl BankId for BankIdClient {
    async fn auth(&self, request: &AuthRequest<'_>) -> Result<StartedOrder, BankIdError> {
        let body = AuthBody::new(request, &self.environment)?;
        answer::started(&self.post(&self.auth, &body).await?)
    }

    async fn collect(&self, order_ref: &Secret<String>) -> Result<Collected, BankIdError> {
        let order_ref = order_ref.expose();
        answer::collected(&self.post(&self.collect, &OrderBody { order_ref }).await?, order_ref)
    }

    async fn cancel(&self, order_ref: &Secret<String>) -> Result<(), BankIdError> {
        // An empty object, or nothing at all: the status says it.
        self.post(&self.cancel, &OrderBody { order_ref: order_ref.expose() }).await.map(drop)
    }

    fn qr_text(&self, order: &StartedOrder, second: u64) -> Secret<String> {
        qr::text(order.qr_start_token.expose(), order.qr_start_secret.expose(), second)
    }

    async fn probe(&self) -> Result<(), BankIdError> {
        let answer = self.send(Method::GET, &self.auth, None).await?;
        match answer.status {
            StatusCode::METHOD_NOT_ALLOWED => Ok(()),
            status if status.is_success() => {
                Err(BankIdError::Misconfigured(format!("GET /auth is answered {status}, not 405")))
            }
            status => Err(refusal::of(status, &answer.body)),
        }
    }
}
