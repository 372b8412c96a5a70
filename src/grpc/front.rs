//! What every request on the gRPC port passes before its handler, and every answer after it.
//!
//! One function instead of a stack of layers: the order is the order of its lines, and a call costs no box.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;
use tower_http::cors::CorsLayer;

use super::access::{self, Access, RPCS, RpcTable};
use super::caller::CallerDirectory;
use super::client_address::TrustedProxies;
use super::connection::{Answer, Connection};
use super::context::{CallerContext, Shared};
use super::deadline::Deadlines;
use super::health::Health;
use super::incident::Incidents;
use super::request_log::Call;
use super::status::{self, FaultReason, FieldFault, Outcome};
use super::{jwks, plain, reflection, web};
use crate::domain::caller::CallerKind;
use crate::flows::duty::{self, Duty};
use crate::flows::organizations::Organizations;
use crate::ports::access_tokens::AccessTokens;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::telemetry::RpcMetrics;
use crate::telemetry::spans::Tracer;

/// Receive limit of an rpc: the greatest request of the proto files is far below it.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Metadata that carries the access token of a staff member's session.
pub(super) const STAFF_TOKEN: HeaderName = HeaderName::from_static("guardian-staff-token");

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What the front is made of.
pub struct Parts {
    /// The generated services, each with its receive limit ([`MAX_REQUEST_BYTES`]). Health and reflection are added.
    pub routes: Routes,
    /// Who may call.
    pub callers: CallerDirectory,
    /// For whom they may act.
    pub organizations: Arc<Organizations>,
    /// Which staff members may work.
    pub duty: Arc<Duty>,
    /// Proxies in front of pages.
    pub trusted_proxies: TrustedProxies,
    /// Bounds of deadlines.
    pub deadlines: Deadlines,
    /// What probes see.
    pub health: Health,
    /// Whether server reflection is on.
    pub reflection: bool,
    /// Whose public keys are served.
    pub access_tokens: Arc<dyn AccessTokens>,
    /// For incident ids and the public keys.
    pub clock: Arc<dyn Clock>,
    /// For incident ids.
    pub entropy: Arc<dyn Entropy>,
    /// Registered with the names of [`RPCS`], see [`rpc_names`].
    pub metrics: RpcMetrics,
    /// Opens the spans of calls; `None`: there are none.
    pub tracer: Option<Tracer>,
}

/// The names of all rpcs, in the order that [`RpcMetrics`] counts them.
pub fn rpc_names() -> Vec<&'static str> {
    RPCS.iter().map(access::Rpc::name).collect()
}

/// Everything that answers on the gRPC port.
pub struct Front {
    routes: Routes,
    table: RpcTable,
    callers: CallerDirectory,
    trusted_proxies: TrustedProxies,
    deadlines: Deadlines,
    shared: Arc<Shared>,
    cors: CorsLayer,
    access_tokens: Arc<dyn AccessTokens>,
    clock: Arc<dyn Clock>,
    metrics: RpcMetrics,
    tracer: Option<Tracer>,
}

impl Front {
    /// Joins the parts.
    ///
    /// # Errors
    /// If reflection is on and the descriptor set does not hold together.
    pub fn new(parts: Parts) -> Result<Self, tonic_reflection::server::Error> {
        let routes = parts.routes.add_service(parts.health.service());
        let routes = if parts.reflection { reflection::add(routes)? } else { routes };
        let incidents = Incidents::new(Arc::clone(&parts.clock), parts.entropy);
        Ok(Self {
            routes: routes.prepare(),
            table: RpcTable::default(),
            cors: web::cors(parts.callers.origins()),
            callers: parts.callers,
            trusted_proxies: parts.trusted_proxies,
            deadlines: parts.deadlines,
            shared: Arc::new(Shared {
                organizations: parts.organizations,
                incidents,
                duty: parts.duty,
                clock: Arc::clone(&parts.clock),
            }),
            access_tokens: parts.access_tokens,
            clock: parts.clock,
            metrics: parts.metrics,
            tracer: parts.tracer,
        })
    }

    /// Answers an rpc. `page` says whether it came as gRPC-Web.
    pub(super) async fn rpc<B>(
        &self,
        request: Request<B>,
        page: bool,
        connection: &Connection,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // The exact path with its query: what only looks like an rpc is none.
        let path = request.uri().path_and_query().map(http::uri::PathAndQuery::as_str);
        let rpc = path.and_then(|path| self.table.find(path));
        let mut call = Call::begin(&self.metrics, rpc);
        let open_to_all =
            rpc.and_then(|index| RPCS.get(index)).is_some_and(|row| row.access == Access::Anyone);
        let admitted =
            if open_to_all { Ok(None) } else { self.admit(&request, rpc, page, connection, &mut call) };
        if !open_to_all {
            call.open_span(self.tracer.as_ref(), request.headers());
        }
        let answer = call.span.around(self.admitted(admitted, request, rpc)).await;
        let in_span = call.span.enter();
        let response = match answer {
            Ok(response) if open_to_all => response,
            Ok(response) => self.own(response, &call),
            Err(status) => status.into_http(),
        };
        drop(in_span);
        call.end(&response);
        response
    }

    /// Answers a call whose caller is known, or is not.
    async fn admitted<B>(
        &self,
        admitted: Result<Option<CallerContext>, Status>,
        mut request: Request<B>,
        rpc: Option<usize>,
    ) -> Result<Response<Body>, Status>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match admitted {
            Err(refusal) => Err(refusal),
            Ok(context) => {
                // Of the head of the answer: a stream may go on, but nobody may keep us waiting for half a request.
                let deadline = match &context {
                    Some(context) => context.deadline,
                    None => Instant::now() + self.deadlines.default.min(self.deadlines.max),
                };
                // Seen enough: a credential that nobody can read cannot be logged.
                request.headers_mut().remove(AUTHORIZATION);
                let staff_token = request.headers_mut().remove(STAFF_TOKEN);
                if let Some(context) = self.on_duty(context, rpc, staff_token.as_ref()).await? {
                    request.extensions_mut().insert(context);
                }
                self.handle(request, deadline).await
            }
        }
    }

    /// Who calls, whether it may, and until when: in this order.
    fn admit<B>(
        &self,
        request: &Request<B>,
        rpc: Option<usize>,
        page: bool,
        connection: &Connection,
        call: &mut Call<'_>,
    ) -> Result<Option<CallerContext>, Status> {
        let headers = request.headers();
        let caller = Arc::clone(self.callers.identify(&connection.names, headers, page)?);
        call.caller = Some(Arc::clone(&caller));
        access::admit(&caller, rpc)?;
        let deadline = self.deadlines.read(headers, Instant::now())?;
        let client_address = (caller.kind == CallerKind::Web)
            .then(|| self.trusted_proxies.client_address(connection.peer, headers))
            .flatten();
        let name = rpc.and_then(|index| RPCS.get(index)).map_or("", access::Rpc::name);
        let (record, shared) = (Arc::clone(&call.record), Arc::clone(&self.shared));
        Ok(Some(CallerContext { caller, client_address, on_duty: None, deadline, rpc: name, record, shared }))
    }

    /// Which staff member works, if the rpc needs one, and whether the member may do this kind of work.
    async fn on_duty(
        &self,
        context: Option<CallerContext>,
        rpc: Option<usize>,
        staff_token: Option<&HeaderValue>,
    ) -> Result<Option<CallerContext>, Status> {
        let task = rpc.and_then(|index| RPCS.get(index)).and_then(|row| row.task);
        let (Some(mut context), Some(task)) = (context.clone(), task) else { return Ok(context) };
        let token = staff_token.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = self.shared.duty.report(&context.caller, token, task);
        let reported = timeout_at(context.deadline, asked).await.map_err(|_| status::deadline_exceeded())?;
        context.on_duty = Some(Arc::new(reported.map_err(|error| match error {
            duty::Error::TokenInvalid => status::staff_token_invalid(),
            duty::Error::NotAllowed(role) => status::staff_not_allowed(role),
            duty::Error::StrongerLoginNeeded => status::stronger_login_needed(),
            duty::Error::Port(error) => context.port_failed(&error),
        })?));
        Ok(Some(context))
    }

    /// Runs the handler, and survives it.
    async fn handle<B>(&self, request: Request<B>, deadline: Instant) -> Result<Response<Body>, Status>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut routes = self.routes.clone();
        let work = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
        let done = timeout_at(deadline, work).await.map_err(|_| status::deadline_exceeded())?;
        match done {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(never)) => match never {},
            // The payload may quote the request: it goes nowhere.
            Err(_payload) => Err(self.shared.incidents.internal(&"a handler panicked")),
        }
    }

    /// Replaces a status that was not made by us, so that every error has its reason.
    fn own(&self, response: Response<Body>, call: &Call<'_>) -> Response<Body> {
        let Some(foreign) =
            response.extensions().get::<Status>().filter(|status| Outcome::of(status).is_none())
        else {
            return response;
        };
        if call.record.reached_handler() {
            // The code alone: a message of a library may quote the request.
            let what = format!("a handler answered {} without a reason", status::code_name(foreign.code()));
            return self.shared.incidents.internal(&what).into_http();
        }
        let (reason, description) = match foreign.code() {
            Code::Unimplemented if !response.headers().contains_key(ACCEPT_ENCODING) => {
                return status::method_unknown().into_http();
            }
            Code::Unimplemented => (FaultReason::Undecodable, "compressed messages are not taken"),
            Code::OutOfRange | Code::ResourceExhausted => (FaultReason::TooLong, "the message is too long"),
            Code::Cancelled => return response,
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => (FaultReason::Undecodable, "the message cannot be read"),
        };
        let encodings = response.headers().get(ACCEPT_ENCODING).cloned();
        let mut refusal =
            status::invalid_request(&[FieldFault { field: "", reason, description }]).into_http();
        // The gRPC compression guide: who is refused for its encoding learns which ones are taken.
        refusal.headers_mut().extend(encodings.map(|encodings| (ACCEPT_ENCODING, encodings)));
        refusal
    }
}

impl Answer for Front {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Body> {
        if is_grpc(&request) {
            return self.rpc(request, false, &connection).await;
        }
        if request.uri().path() == jwks::PATH {
            return jwks::answer(request.method(), || self.access_tokens.published(self.clock.now()));
        }
        if web::concerns(&request) {
            let front = Arc::clone(&self);
            return web::answer(&self.cors, front, request, connection).await;
        }
        let status = if request.method() == Method::POST {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        } else {
            StatusCode::NOT_FOUND
        };
        plain::text(status, "")
    }
}

/// `application/grpc`, or with a suffix such as `+proto`; over HTTP/2, as HTTP/1.1 has no trailers for it.
fn is_grpc<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST
        && request.version() == Version::HTTP_2
        && request.headers().get(CONTENT_TYPE).is_some_and(|value| {
            let rest = value.as_bytes().strip_prefix(b"application/grpc");
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        })
}
