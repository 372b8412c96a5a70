//! One line and one count for each rpc, whatever becomes of it.

use std::sync::Arc;
use std::time::Instant;

use http::Response;
use tonic::{Code, Status};

use super::access::{Access, RPCS};
use super::context::Record;
use super::status::{self, Outcome};
use crate::domain::caller::Caller;
use crate::domain::id::IncidentId;
use crate::domain::reference_code::ReferenceCode;
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
    answered: bool,
}

impl<'m> Call<'m> {
    /// `rpc` is the index in [`RPCS`].
    pub(super) fn begin(metrics: &'m RpcMetrics, rpc: Option<usize>) -> Self {
        metrics.begin();
        let (caller, record) = (None, Arc::default());
        Self { metrics, rpc, started: Instant::now(), caller, record, answered: false }
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
        let reason = outcome.map(|outcome| status::reason_name(outcome.reason));
        self.metrics.end(self.rpc, code == Code::Ok, status::code_name(code), reason.unwrap_or(""), elapsed);
        let row = self.rpc.and_then(|index| RPCS.get(index));
        if code == Code::Ok && row.is_some_and(|row| row.access == Access::Anyone) {
            // Probes come every few seconds and say nothing.
            return;
        }
        tracing::info!(
            target: telemetry::REQUEST,
            rpc = row.map_or(UNKNOWN, super::access::Rpc::name),
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

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.note(Code::Cancelled, None);
        }
    }
}
