//! Requests that we make over HTTP: bounded in time and size, to where they are addressed and nowhere else.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};

use super::client_tls::{TrustError, client_config, is_loopback};

/// Bytes of an answer at most: those that we ask for have a few hundred.
const LONGEST_ANSWER_BYTES: usize = 16 * 1024;

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
    /// Its body.
    pub body: Vec<u8>,
}

/// Makes requests: no redirect is followed, no proxy variable is read, no connection is kept, nothing is tried again.
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// A client that trusts the certificate authorities of this PEM text and no other, or those of the web if there is
    /// none. `timeout` is the time for a request with its answer.
    ///
    /// # Errors
    /// See [`HttpClientError`].
    pub fn new(authorities_pem: Option<&[u8]>, timeout: Duration) -> Result<Self, HttpClientError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(authorities_pem)?)
            .connect_timeout(timeout / CONNECT_SHARE)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            // Requests are rare, and on a connection that is dying none can be told from one that arrived.
            .pool_max_idle_per_host(0)
            .referer(false)
            .build()?;
        Ok(Self(client))
    }

    /// A request, to be filled and given to [`Self::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.0.request(method, url)
    }

    /// Sends a request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// See [`HttpFault`].
    pub async fn send(&self, request: RequestBuilder) -> Result<HttpAnswer, HttpFault> {
        let mut response = request.send().await.map_err(|error| {
            // A request that cannot be built was not sent either.
            if error.is_connect() || error.is_builder() {
                HttpFault::NotConnected
            } else {
                HttpFault::NoAnswer
            }
        })?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| HttpFault::NoAnswer)? {
            if body.len() + chunk.len() > LONGEST_ANSWER_BYTES {
                return Err(HttpFault::AnswerTooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status: response.status(), body })
    }
}

/// Whether requests may go to this address: over TLS, or to this machine.
pub fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}
