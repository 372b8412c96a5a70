//! The server: TLS with client certificates, HTTP, and the rules that every request meets first.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::RecordedRequest;
use super::fault::{Endpoint, Fault};
use super::state::{Reply, State};
use crate::ports::clock::Clock;

/// Bytes of a request at most: a text to sign has 40,000 in base64, and hidden data five times that.
const LONGEST_REQUEST_BYTES: usize = 512 * 1024;

/// Who does not finish the TLS handshake in this time is gone.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// The connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

/// What all connections share.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>, state: State) -> Self {
        Self { clock, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until `stop` is cancelled; connections end with it.
pub(super) async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = accepted {
            connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
        } else {
            // There is nothing to be done about it, and others want to run too.
            tokio::task::yield_now().await;
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await else { return };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let owner: Arc<[u8]> = certificates.first().map(AsRef::as_ref).unwrap_or_default().into();
    let service = service_fn(move |request| answer(Arc::clone(&shared), Arc::clone(&owner), request));
    let builder = Builder::new(TokioExecutor::new());
    // A client that goes away is no fault of ours.
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(
    shared: Arc<Shared>,
    owner: Arc<[u8]>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LONGEST_REQUEST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(response(&Reply::error(413, "invalidParameters", "Too large"))),
    };
    let Some(endpoint) = Endpoint::of_path(head.uri.path()) else {
        return Ok(response(&Reply::error(404, "notFound", "No such endpoint")));
    };
    let (fault, now) = (shared.state().next_fault(endpoint), shared.clock.now());
    let is_json = head.headers.get_all(CONTENT_TYPE).iter().eq(["application/json"]);
    let reply = match &fault {
        Some(Fault::Answer { status, body, .. }) => {
            Reply { status: *status, headers: Vec::new(), body: serde_json::Value::String(body.clone()) }
        }
        Some(Fault::Dropped) => Reply::error(500, "internalError", "Dropped"),
        Some(Fault::Delay(_) | Fault::Silence | Fault::HalfJson | Fault::Lost) | None => {
            if head.method != Method::POST {
                Reply::error(405, "methodNotAllowed", "POST alone")
            } else if !is_json {
                Reply::error(415, "unsupportedMediaType", "application/json alone")
            } else {
                let mut state = shared.state();
                let too_many = state.too_many(now);
                too_many.unwrap_or_else(|| state.answer(endpoint, &owner, &body, now))
            }
        }
    };
    let body = serde_json::from_slice(&body).unwrap_or_default();
    shared.state().record(RecordedRequest {
        at: now,
        endpoint,
        method: head.method,
        body,
        status: reply.status,
    });
    with_fault(reply, fault).await
}

async fn with_fault(reply: Reply, fault: Option<Fault>) -> Result<Response<Full<Bytes>>, Cut> {
    let mut response = response(&reply);
    match fault {
        None => {}
        Some(Fault::Answer { content_type, body, .. }) => {
            *response.body_mut() = Full::from(body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Silence) => std::future::pending::<()>().await,
        Some(Fault::HalfJson) => {
            let whole = reply.body.to_string();
            let half = whole.get(..whole.len() / 2).unwrap_or_default().to_owned();
            *response.body_mut() = Full::from(half);
        }
        Some(Fault::Dropped | Fault::Lost) => return Err(Cut),
    }
    Ok(response)
}

fn response(reply: &Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(reply.body.to_string()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &reply.headers {
        let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        if let (Ok(name), Ok(value)) = header {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
