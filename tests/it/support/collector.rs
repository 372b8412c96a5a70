//! A collector of traces that keeps what it is sent: OTLP over HTTP, as a collector of another system would take it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use guardian_auth::config::Traces;
use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanProcessor};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A request that came.
pub struct Export {
    /// Its path.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub body: Bytes,
}

/// A collector. It ends with the value.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    status: Arc<AtomicU16>,
    exports: Arc<Mutex<Vec<Export>>>,
    serving: AbortHandle,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("a bound port");
        let (status, exports) = (Arc::new(AtomicU16::new(200)), Arc::<Mutex<Vec<Export>>>::default());
        let (said, kept) = (Arc::clone(&status), Arc::clone(&exports));
        let take = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            kept.lock().unwrap().push(Export { path: uri.path().to_owned(), headers, body });
            let status = axum::http::StatusCode::from_u16(said.load(Ordering::SeqCst)).unwrap();
            std::future::ready((status, Bytes::new()))
        };
        let router = Router::new().fallback(take);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { address, status, exports, serving }
    }

    /// From now on it answers with this status.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// A configuration that exports every call to it.
    pub fn settings(&self) -> Traces {
        settings(self.address)
    }

    /// How many exports came.
    pub fn exports(&self) -> usize {
        self.exports.lock().unwrap().len()
    }

    /// The first export: its path, and the value of one of its headers.
    pub fn first(&self, header: &str) -> (String, Option<String>) {
        let exports = self.exports.lock().unwrap();
        let value = exports[0].headers.get(header).map(|value| value.to_str().unwrap().to_owned());
        (exports[0].path.clone(), value)
    }

    /// All that came, as text: bytes that are none are replaced.
    pub fn text(&self) -> String {
        let exports = self.exports.lock().unwrap();
        exports.iter().map(|export| String::from_utf8_lossy(&export.body).into_owned()).collect()
    }

    /// The attributes of the process that sent the first export.
    pub fn resource(&self) -> Vec<KeyValue> {
        let exports = self.exports.lock().unwrap();
        let request = ExportTraceServiceRequest::decode(exports[0].body.clone()).expect("OTLP");
        request.resource_spans[0].resource.as_ref().expect("a resource").attributes.clone()
    }

    /// Every span that came, in the order in which they ended.
    pub fn spans(&self) -> Vec<Span> {
        let exports = self.exports.lock().unwrap();
        let decoded = exports
            .iter()
            .map(|export| ExportTraceServiceRequest::decode(export.body.clone()).expect("OTLP"));
        decoded
            .flat_map(|request| request.resource_spans)
            .flat_map(|of_resource| of_resource.scope_spans)
            .flat_map(|of_scope| of_scope.spans)
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A configuration that exports every call to this address.
pub fn settings(collector: SocketAddr) -> Traces {
    Traces {
        endpoint: format!("http://{collector}/v1/traces"),
        headers: Vec::new(),
        ca_file: None,
        sample_ratio: 1.0,
        timeout: Duration::from_secs(1),
        queue: 65_536,
    }
}

/// The value of an attribute as text.
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    value(&span.attributes, key)
}

/// The same of any list of attributes.
pub fn value(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    let Some(AnyValue { value: Some(value) }) = &found.value else { return None };
    Some(match value {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// Keeps ended spans without exporting them, for tests of a part of the service.
#[derive(Clone, Debug, Default)]
pub struct KeptSpans(Arc<Mutex<Vec<SpanData>>>);

impl KeptSpans {
    /// All that a span holds, of all of them.
    pub fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

impl SpanProcessor for KeptSpans {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
