//! Requests that we make over HTTP: bounded in time and size, to where they are addressed and nowhere else.

use std::time::Duration;

use opentelemetry::trace::SpanKind;
use reqwest::header::HeaderMap;
use reqwest::{Method, Request, RequestBuilder, StatusCode, Url};
use rustls::ClientConfig;

use super::client_tls::{TrustError, client_config, is_loopback};
use crate::telemetry::spans::{self, Child, Known};

/// Bytes of an answer at most, unless more are asked for: those that we ask for have a few hundred.
const LONGEST_ANSWER_BYTES: usize = 16 * 1024;

/// A connection that nobody uses is closed after this time: sooner than servers usually do, so that none is used that
/// the other side has just closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// Of the time for a request, the part that may go by until the connection stands. The rest is for the answer: so a
/// request that ran out of time without a connection is told from one that the other side may have.
const CONNECT_SHARE: u32 = 3;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The library refuses the settings.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// There was no connection: nothing was sent.
    #[error("no connection")]
    NotConnected,
    /// The request may have arrived, and no answer came, or not within the time.
    #[error("no answer")]
    NoAnswer,
    /// The answer is too long.
    #[error("the answer is too long")]
    AnswerTooLong,
}

/// An answer, whole.
pub struct HttpAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// How requests are made.
pub struct HttpSettings {
    /// Whom TLS trusts, and whose certificate it shows.
    pub tls: ClientConfig,
    /// The time for a request with its answer.
    pub timeout: Duration,
    /// Bytes of an answer at most.
    pub longest_answer_bytes: usize,
    /// Connections to one host that are kept for the next request; 0: each request has its own.
    pub kept_connections: usize,
}

/// Makes requests: no redirect is followed, no proxy variable is read, nothing is tried again.
pub struct HttpClient {
    client: reqwest::Client,
    longest_answer_bytes: usize,
}

impl HttpClient {
    /// A client that trusts the certificate authorities of this PEM text and no other, or those of the web if there is
    /// none, and keeps no connection: requests are rare, and on a connection that is dying none can be told from one that
    /// arrived. `timeout` is the time for a request with its answer.
    ///
    /// # Errors
    /// See [`HttpClientError`].
    pub fn new(authorities_pem: Option<&[u8]>, timeout: Duration) -> Result<Self, HttpClientError> {
        Self::with(HttpSettings {
            tls: client_config(authorities_pem)?,
            timeout,
            longest_answer_bytes: LONGEST_ANSWER_BYTES,
            kept_connections: 0,
        })
    }

    /// A client of these settings.
    ///
    /// # Errors
    /// See [`HttpClientError`].
    pub fn with(settings: HttpSettings) -> Result<Self, HttpClientError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(settings.tls)
            .connect_timeout(settings.timeout / CONNECT_SHARE)
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .pool_max_idle_per_host(settings.kept_connections)
            .pool_idle_timeout(IDLE_CONNECTION)
            .referer(false)
            .build()?;
        Ok(Self { client, longest_answer_bytes: settings.longest_answer_bytes })
    }

    /// A request, to be filled and given to [`Self::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// See [`HttpFault`].
    pub async fn send(&self, request: RequestBuilder) -> Result<HttpAnswer, HttpFault> {
        let (client, request) = request.build_split();
        // A request that cannot be built was not sent either.
        let request = request.map_err(|_| HttpFault::NotConnected)?;
        let span = request_span(&request);
        let answer = self.exchange(&client, request).await;
        match &answer {
            Ok(answer) => span.set("http.response.status_code", Known::Number(answer.status.as_u16().into())),
            Err(HttpFault::NotConnected) => span.fail("not_connected"),
            Err(HttpFault::NoAnswer) => span.fail("no_answer"),
            Err(HttpFault::AnswerTooLong) => span.fail("answer_too_long"),
        }
        answer
    }

    async fn exchange(&self, client: &reqwest::Client, request: Request) -> Result<HttpAnswer, HttpFault> {
        let mut response = client.execute(request).await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                HttpFault::NotConnected
            } else {
                HttpFault::NoAnswer
            }
        })?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| HttpFault::NoAnswer)? {
            if body.len() + chunk.len() > self.longest_answer_bytes {
                return Err(HttpFault::AnswerTooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, headers, body })
    }
}

/// The span of a request: method and host. Paths and queries may name people, so they are left out.
///
/// No `traceparent` goes out with it. All whom we ask are other people's (BankID, providers of eIDs, the SMS gateway): it would
/// tell them which of their requests belong together, and they have no use for it.
fn request_span(request: &Request) -> Child {
    let name = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        _ => "HTTP",
    };
    let span = spans::child(SpanKind::Client, name);
    if span.is_recording() {
        span.set("http.request.method", Known::Word(name));
        // From the configuration, or from the metadata of a provider that it names.
        span.set("server.address", Known::Made(request.url().host_str().unwrap_or_default().to_owned()));
    }
    span
}

/// Whether requests may go to this address: over TLS, or to this machine.
pub fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}
