//! One line and one count for each rpc, whatever becomes of it.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Response};
use tonic::{Code, Status};

use super::access::{Access, RPCS};
use super::context::Record;
use super::status::{self, Outcome};
use super::trace_context;
use crate::domain::caller::{Caller, CallerKind};
use crate::domain::id::IncidentId;
use crate::domain::reference_code::ReferenceCode;
use crate::telemetry::spans::{CallSpan, Known, Tracer};
use crate::telemetry::{self, RpcMetrics};

/// The name of calls to paths that are no rpc.
const UNKNOWN: &str = "unknown";

/// A call from its first byte to its answer. Dropped without an answer, it was reset by the client.
pub(super) struct Call<'m> {
    metrics: &'m RpcMetrics,
    rpc: Option<usize>,
    started: Instant,
    /// Once it is known.
    pub(super) caller: Option<Arc<Caller>>,
    /// What the handler adds.
    pub(super) record: Arc<Record>,
    /// The span of the call, if calls are traced.
    pub(super) span: CallSpan,
    answered: bool,
}

impl<'m> Call<'m> {
    /// `rpc` is the index in [`RPCS`].
    pub(super) fn begin(metrics: &'m RpcMetrics, rpc: Option<usize>) -> Self {
        metrics.begin();
        let (caller, record, span) = (None, Arc::default(), CallSpan::default());
        Self { metrics, rpc, started: Instant::now(), caller, record, span, answered: false }
    }

    /// Opens the span of the call. Only callers whom we know by a credential decide whether it is traced: a page speaks
    /// for whoever has it open, who could have every call traced.
    pub(super) fn open_span(&mut self, tracer: Option<&Tracer>, headers: &HeaderMap) {
        let Some(tracer) = tracer else { return };
        let is_ours = self.caller.as_ref().is_some_and(|caller| caller.kind != CallerKind::Web);
        let remote = if is_ours { trace_context::read(headers) } else { None };
        self.span = tracer.call(self.name(), remote);
    }

    fn name(&self) -> &'static str {
        self.rpc.and_then(|index| RPCS.get(index)).map_or(UNKNOWN, super::access::Rpc::name)
    }

    /// Notes the answer.
    pub(super) fn end<B>(mut self, response: &Response<B>) {
        self.answered = true;
        // tonic leaves the status of a failed call in the extensions; a call that went well has none there.
        match response.extensions().get::<Status>() {
            Some(status) => self.note(status.code(), Outcome::of(status)),
            None => self.note(Code::Ok, None),
        }
    }

    fn note(&self, code: Code, outcome: Option<&Outcome>) {
        let elapsed = self.started.elapsed();
        let _in_span = self.span.enter();
        self.describe(code, outcome);
        let reason = outcome.map(|outcome| status::reason_name(outcome.reason));
        self.metrics.end(self.rpc, code == Code::Ok, status::code_name(code), reason.unwrap_or(""), elapsed);
        let row = self.rpc.and_then(|index| RPCS.get(index));
        if code == Code::Ok && row.is_some_and(|row| row.access == Access::Anyone) {
            // Probes come every few seconds and say nothing.
            return;
        }
        tracing::info!(
            target: telemetry::REQUEST,
            rpc = self.name(),
            code = status::code_name(code),
            reason,
            caller = self.caller.as_ref().map(|caller| caller.name.as_str()),
            organization = self.record.organization(),
            duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            reference_code = outcome.and_then(|outcome| outcome.reference.as_ref()).map(ReferenceCode::as_str),
            incident_id = outcome.and_then(|outcome| outcome.incident.as_ref()).map(IncidentId::as_str),
        );
    }
}

impl Call<'_> {
    /// The attributes of the span. What the request log may say a span may say; nothing else is in it.
    fn describe(&self, code: Code, outcome: Option<&Outcome>) {
        let span = &self.span;
        if !span.is_recording() {
            return;
        }
        let name = status::code_name(code);
        // Each under its name up to version 1.37 of the conventions, and after.
        span.set("rpc.system", Known::Word("grpc"));
        span.set("rpc.system.name", Known::Word("grpc"));
        span.set("rpc.method", Known::Word(self.name()));
        span.set("rpc.grpc.status_code", Known::Number(i64::from(i32::from(code))));
        span.set("rpc.response.status_code", Known::Word(name));
        if let Some(caller) = &self.caller {
            span.set("guardian_auth.caller", Known::Made(caller.name.clone()));
        }
        if let Some(organization) = self.record.organization() {
            span.set("guardian_auth.organization", Known::Made(organization.to_owned()));
        }
        if let Some(outcome) = outcome {
            span.set("guardian_auth.reason", Known::Word(status::reason_name(outcome.reason)));
            if let Some(reference) = &outcome.reference {
                span.set("guardian_auth.reference_code", Known::Made(reference.as_str().to_owned()));
            }
            if let Some(incident) = &outcome.incident {
                span.set("guardian_auth.incident_id", Known::Made(incident.as_str().to_owned()));
            }
        }
        if is_our_failure(code) {
            span.fail(name);
        }
    }
}

/// Whether a server failed, by the conventions for RPC: a wrong password is an answer, not a failure.
const fn is_our_failure(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.note(Code::Cancelled, None);
        }
    }
}
