//! The ops port, plaintext and for the cluster only: `/metrics`, `grpc.health.v1`, and `/live` and `/ready` for people.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

use super::connection::{Answer, Connection};
use super::deadline::Deadlines;
use super::health::Health;
use super::{plain, status};

/// Everything that answers on the ops port.
pub struct Ops {
    registry: Registry,
    /// Metrics of what is made anew with each configuration.
    changing: Option<watch::Receiver<Arc<Registry>>>,
    health: Health,
    routes: Routes,
}

impl Ops {
    /// Shows these metrics and this health.
    pub fn new(registry: Registry, health: Health) -> Self {
        Self { registry, changing: None, routes: Routes::new(health.service()).prepare(), health }
    }

    /// And the newest of these, whose names are others.
    #[must_use]
    pub fn with_changing(self, changing: watch::Receiver<Arc<Registry>>) -> Self {
        Self { changing: Some(changing), ..self }
    }

    fn encode(&self, text: &mut String) -> std::fmt::Result {
        encode_registry(text, &self.registry)?;
        if let Some(changing) = &self.changing {
            let changing = Arc::clone(&changing.borrow());
            encode_registry(text, &changing)?;
        }
        encode_eof(text)
    }

    fn metrics(&self) -> Response<Body> {
        let mut text = String::new();
        if self.encode(&mut text).is_err() {
            return plain::text(StatusCode::INTERNAL_SERVER_ERROR, "");
        }
        let mut response = plain::text(StatusCode::OK, text);
        let open_metrics =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, open_metrics);
        response
    }
}

impl Answer for Ops {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, _: Arc<Connection>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/live") => plain::text(StatusCode::OK, "alive\n"),
            (&Method::GET, "/ready") if self.health.is_ready() => plain::text(StatusCode::OK, "ready\n"),
            (&Method::GET, "/ready") => plain::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            (&Method::POST, path) if path.starts_with("/grpc.health.v1.Health/") => {
                let mut routes = self.routes.clone();
                // Half a request is not waited for longer than on the other port.
                match timeout(Deadlines::default().default, routes.call(request)).await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(_) => status::deadline_exceeded().into_http(),
                }
            }
            _ => plain::text(StatusCode::NOT_FOUND, ""),
        }
    }
}
