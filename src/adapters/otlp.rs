//! Exports spans to a collector: OTLP over HTTP with protobuf, by the HTTP client that everything else goes through.
//!
//! A collector that is away, slow or refusing costs spans and nothing else: calls never wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::{Attributes, ResourceAttributesWithSchema};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::adapters::client_tls::{TrustError, client_config};
use crate::adapters::http_client::{HttpAnswer, HttpClient, HttpClientError, HttpFault, HttpSettings};
use crate::domain::secret::Secret;
use crate::telemetry::{self, SpanCounts, SpanReceiver};

/// Bytes of the collector's answer at most: it says how many spans it left out and why.
const LONGEST_ANSWER_BYTES: usize = 16 * 1024;

/// Times that a batch is sent at most.
const TRIES: u32 = 3;

/// Pause before a batch is sent again, unless the collector names one.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest pause that a collector may ask for: meanwhile the queue fills.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What goes out at the end must go out within this time: pods are stopped without waiting for a collector.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Where spans go.
pub struct OtlpSettings {
    /// Where the collector takes traces.
    pub endpoint: String,
    /// Sent with each export.
    pub headers: Vec<(String, Secret<String>)>,
    /// The only authorities of its certificate, PEM; `None`: those of the web.
    pub authorities_pem: Option<Vec<u8>>,
    /// Longest time of one export.
    pub timeout: Duration,
    /// Which process of us it is.
    pub instance: String,
}

/// Why spans cannot be exported at all.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpClientError),
    /// The endpoint is no URL.
    #[error("the endpoint is not an address")]
    Endpoint,
    /// A header cannot be sent.
    #[error("a header cannot be sent")]
    Header,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// It was taken, but for so many spans.
    Taken { left_out: u64 },
    /// It may be taken later.
    Later { pause: Duration, why: &'static str },
    /// It never will be.
    Refused { why: &'static str },
}

/// Takes spans out of the queue and sends them.
pub struct OtlpExporter {
    client: HttpClient,
    endpoint: Url,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
    counts: Arc<SpanCounts>,
    /// What the last batch came to: a change is said once.
    failing: bool,
}

impl OtlpExporter {
    /// An exporter to this collector. Nothing is sent before [`Self::run`].
    ///
    /// # Errors
    /// See [`OtlpError`].
    pub fn new(settings: OtlpSettings, counts: Arc<SpanCounts>) -> Result<Self, OtlpError> {
        let client = HttpClient::with(HttpSettings {
            tls: client_config(settings.authorities_pem.as_deref())?,
            timeout: settings.timeout,
            longest_answer_bytes: LONGEST_ANSWER_BYTES,
            kept_connections: 1,
        })?;
        let endpoint = Url::parse(&settings.endpoint).map_err(|_| OtlpError::Endpoint)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let name = HeaderName::try_from(name).map_err(|_| OtlpError::Header)?;
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| OtlpError::Header)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let resource = [
            KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", settings.instance),
        ];
        let resource =
            ResourceAttributesWithSchema { attributes: Attributes::from(resource), schema_url: None };
        Ok(Self { client, endpoint, headers, resource, counts, failing: false })
    }

    /// Sends no span and looks at the answer, as `check` does.
    ///
    /// # Errors
    /// Why spans would not be taken.
    pub async fn probe(&self) -> Result<(), &'static str> {
        match self.send(Bytes::new()).await {
            Sent::Taken { .. } => Ok(()),
            Sent::Later { why, .. } | Sent::Refused { why } => Err(why),
        }
    }

    /// Exports until `stop`, then what is left, for a bounded time.
    pub async fn run(mut self, mut queue: SpanReceiver, stop: CancellationToken) {
        let mut end = None;
        loop {
            // `None`: it is told to stop, and this is the last round.
            let more = stop.run_until_cancelled(queue.ready()).await;
            loop {
                let batch = queue.batch();
                if batch.is_empty() {
                    break;
                }
                let (counts, spans) = (Arc::clone(&self.counts), count(&batch));
                tokio::select! {
                    biased;
                    () = self.deliver(batch) => {}
                    () = out_of_time(&stop, &mut end) => add(&counts.undelivered, spans),
                }
            }
            if more.is_none() {
                return;
            }
        }
    }

    /// Sends a batch until it is taken, refused, or was sent often enough.
    async fn deliver(&mut self, batch: Vec<SpanData>) {
        let spans = count(&batch);
        let message = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        }
        .encode_to_vec();
        let message = Bytes::from(message);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.send(message.clone()).await {
                Sent::Taken { left_out } => {
                    let left_out = left_out.min(spans);
                    add(&self.counts.exported, spans - left_out);
                    add(&self.counts.refused, left_out);
                    self.note(None);
                    return;
                }
                Sent::Refused { why } => {
                    add(&self.counts.refused, spans);
                    self.note(Some(why));
                    return;
                }
                Sent::Later { why, .. } if tries == TRIES => {
                    add(&self.counts.undelivered, spans);
                    self.note(Some(why));
                    return;
                }
                Sent::Later { pause, why } => {
                    self.note(Some(why));
                    sleep(pause).await;
                }
            }
        }
    }

    async fn send(&self, message: Bytes) -> Sent {
        let request = self.client.request(Method::POST, self.endpoint.clone());
        match self.client.send(request.headers(self.headers.clone()).body(message)).await {
            Ok(answer) => outcome(&answer),
            Err(HttpFault::NotConnected) => Sent::Later { pause: PAUSE, why: "no connection" },
            Err(HttpFault::NoAnswer) => Sent::Later { pause: PAUSE, why: "no answer in time" },
            Err(HttpFault::AnswerTooLong) => Sent::Refused { why: "the answer is too long" },
        }
    }

    /// Says that it fails, or that it works again: once, not with each batch.
    fn note(&mut self, failure: Option<&'static str>) {
        match (failure, self.failing) {
            (Some(error), false) => {
                tracing::warn!(
                    target: telemetry::DEPENDENCY,
                    dependency = "collector",
                    error,
                    "spans are not taken; they are dropped until they are, and calls go on"
                );
            }
            (None, true) => {
                tracing::info!(target: telemetry::DEPENDENCY, dependency = "collector", "spans are taken again");
            }
            (Some(_), true) | (None, false) => {}
        }
        self.failing = failure.is_some();
    }
}

/// Returns when we were told to stop and the time for what is left is over.
async fn out_of_time(stop: &CancellationToken, end: &mut Option<Instant>) {
    stop.cancelled().await;
    sleep_until(*end.get_or_insert_with(|| Instant::now() + LAST_FLUSH)).await;
}

/// What an answer means, by the OTLP specification's table of statuses.
fn outcome(answer: &HttpAnswer) -> Sent {
    match answer.status {
        StatusCode::OK => {
            let said = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap_or_default();
            let left_out = said.partial_success.map_or(0, |partial| partial.rejected_spans);
            Sent::Taken { left_out: u64::try_from(left_out).unwrap_or(0) }
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Sent::Later { pause: pause(answer), why: "the collector is busy" },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Sent::Refused { why: "the collector does not let us in" }
        }
        _ => Sent::Refused { why: "the collector refuses them" },
    }
}

fn pause(answer: &HttpAnswer) -> Duration {
    let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    asked.map_or(PAUSE, Duration::from_secs).clamp(PAUSE, LONGEST_PAUSE)
}

fn count(batch: &[SpanData]) -> u64 {
    u64::try_from(batch.len()).unwrap_or(u64::MAX)
}

fn add(count: &AtomicU64, spans: u64) {
    count.fetch_add(spans, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: Vec<u8>, retry_after: Option<&'static str>) -> HttpAnswer {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|value| (RETRY_AFTER, HeaderValue::from_static(value))));
        HttpAnswer { status: StatusCode::from_u16(status).unwrap(), headers, body }
    }

    #[test]
    fn statuses_mean_what_the_specification_says() {
        assert_eq!(outcome(&answer(200, Vec::new(), None)), Sent::Taken { left_out: 0 });
        let partial = ExportTraceServiceResponse {
            partial_success: Some(
                opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
                    rejected_spans: 3,
                    error_message: String::new(),
                },
            ),
        };
        assert_eq!(outcome(&answer(200, partial.encode_to_vec(), None)), Sent::Taken { left_out: 3 });
        for status in [429, 502, 503, 504] {
            assert!(matches!(outcome(&answer(status, Vec::new(), None)), Sent::Later { .. }), "{status}");
        }
        for status in [204, 301, 400, 401, 403, 404, 413, 500] {
            assert!(matches!(outcome(&answer(status, Vec::new(), None)), Sent::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn a_collector_may_ask_for_a_pause_within_bounds() {
        for (asked, pause) in
            [(None, 1), (Some("0"), 1), (Some("7"), 7), (Some("3600"), 10), (Some("Fri, 31 Dec"), 1)]
        {
            assert_eq!(
                super::pause(&answer(503, Vec::new(), asked)),
                Duration::from_secs(pause),
                "{asked:?}"
            );
        }
    }
}
