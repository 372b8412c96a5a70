//! Requests to the provider: at most so many at a time, each bounded in time, waiting included.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::adapters::http_client::{HttpAnswer, HttpClient, HttpFault};

/// Bytes of an answer at most: a set of 32 RSA keys with their certificates stays under it.
pub(super) const LONGEST_ANSWER_BYTES: usize = 64 * 1024;

/// Requests to one provider at a time. One that hangs holds this many calls and no more: password logins go on. With
/// answers in 200 ms it is 160 requests a second, over 50 logins.
const MOST_REQUESTS: usize = 32;

/// Why a document of the provider cannot be had. It names no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireFault {
    /// There is no answer.
    #[error(transparent)]
    Http(#[from] HttpFault),
    /// No turn came within the time, or the answer did not.
    #[error("no answer within the time")]
    Late,
    /// The answer is an error, or leads elsewhere.
    #[error("the status is {}", .0.as_u16())]
    Status(StatusCode),
    /// The answer has not the form.
    #[error("the answer cannot be read")]
    Unreadable,
    /// The metadata are another's.
    #[error("the metadata are another issuer's")]
    OtherIssuer,
    /// An address would be asked without TLS.
    #[error("an endpoint is no address over TLS")]
    UnsafeEndpoint,
    /// The provider does not announce PKCE with S256.
    #[error("PKCE with S256 is not announced")]
    NoPkce,
    /// The provider takes no pushed requests.
    #[error("no endpoint for pushed requests is announced")]
    NoPushedRequests,
    /// There are more keys than anybody needs.
    #[error("there are too many keys")]
    TooManyKeys,
}

/// The way to one provider.
pub(super) struct Wire {
    client: HttpClient,
    turns: Semaphore,
    timeout: Duration,
}

impl Wire {
    pub(super) fn new(client: HttpClient, timeout: Duration) -> Self {
        Self { client, turns: Semaphore::new(MOST_REQUESTS), timeout }
    }

    /// A request, to be filled and given to [`Self::send`].
    pub(super) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.client.request(method, url.clone()).header(ACCEPT, "application/json")
    }

    /// Sends a request when its turn comes, and reads its answer, whatever its status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<HttpAnswer, WireFault> {
        let answer = timeout(self.timeout, async {
            // Never closed.
            let _turn = self.turns.acquire().await.map_err(|_| WireFault::Late)?;
            Ok(self.client.send(request).await?)
        });
        answer.await.unwrap_or(Err(WireFault::Late))
    }

    /// A document of the form `T`.
    pub(super) async fn document<T: DeserializeOwned>(&self, url: &Url) -> Result<T, WireFault> {
        let answer = self.send(self.request(Method::GET, url)).await?;
        if answer.status != StatusCode::OK {
            return Err(WireFault::Status(answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|_| WireFault::Unreadable)
    }
}

/// Whether the provider is to be asked later: it is broken, or has too much to do.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// Whether an answer is of this media type, parameters aside.
pub(super) fn is_of_type(answer: &HttpAnswer, media_type: &str) -> bool {
    let of_answer = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    of_answer
        .and_then(|text| text.split(';').next())
        .is_some_and(|it| it.trim().eq_ignore_ascii_case(media_type))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;

    fn wire(limit: Duration) -> Arc<Wire> {
        Arc::new(Wire::new(HttpClient::new(None, limit).unwrap(), limit))
    }

    #[tokio::test]
    async fn a_provider_that_hangs_holds_so_many_requests_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let wire = wire(Duration::from_mins(1));
        let calls: Vec<_> = (0..=MOST_REQUESTS)
            .map(|_| {
                let (wire, url) = (Arc::clone(&wire), url.clone());
                tokio::spawn(async move { wire.document::<serde_json::Value>(&url).await })
            })
            .collect();
        let mut connections = Vec::new();
        for _ in 0..MOST_REQUESTS {
            connections.push(listener.accept().await.unwrap());
        }
        assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err());
        // One that ends makes room for the one that waits.
        connections.pop();
        connections.push(listener.accept().await.unwrap());
        drop((connections, listener));
        for call in calls {
            assert!(matches!(call.await.unwrap(), Err(WireFault::Http(_))));
        }
        assert_eq!(wire.turns.available_permits(), MOST_REQUESTS);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_turn_ends_in_time() {
        let limit = Duration::from_secs(5);
        let wire = wire(limit);
        let _all = wire.turns.acquire_many(MOST_REQUESTS.try_into().unwrap()).await.unwrap();
        let (url, began) = (Url::parse("http://127.0.0.1:1").unwrap(), tokio::time::Instant::now());
        assert_eq!(wire.document::<serde_json::Value>(&url).await.err(), Some(WireFault::Late));
        assert!(began.elapsed() < limit + Duration::from_millis(10), "{:?}", began.elapsed());
    }
}
