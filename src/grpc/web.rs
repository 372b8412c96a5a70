//! gRPC-Web: calls from a page, with CORS for the origins of `web` callers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::connection::Connection;
use super::front::Front;

/// Browsers keep a preflight's answer for 2 hours at most (Chromium's cap).
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(2);

/// What a page may do and read. Origins are compared byte for byte.
pub(super) fn cors<'o>(origins: impl Iterator<Item = &'o str>) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins.filter_map(|origin| origin.parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST])
        .allow_headers([
            CONTENT_TYPE,
            HeaderName::from_static("x-grpc-web"),
            HeaderName::from_static("x-user-agent"),
            HeaderName::from_static("grpc-timeout"),
        ])
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
}

/// Whether a request is for this module: a gRPC-Web call, or the preflight of one.
pub(super) fn concerns<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        || request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc-web"))
}

/// Answers a preflight, or translates a call and lets `front` answer it.
pub(super) async fn answer<B>(
    cors: &CorsLayer,
    front: Arc<Front>,
    request: Request<B>,
    connection: Arc<Connection>,
) -> Response<Body>
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + std::fmt::Display,
{
    let service = cors.layer(GrpcWebLayer::new().layer(Translated { front, connection }));
    match service.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The call as gRPC.
struct Translated {
    front: Arc<Front>,
    connection: Arc<Connection>,
}

impl Service<Request<Body>> for Translated {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (front, connection) = (Arc::clone(&self.front), Arc::clone(&self.connection));
        Box::pin(async move { Ok(front.rpc(request, true, &connection).await) })
    }
}
