//! Spans of the limiter: one for each decision, and one for the round trip to Redis if there is one.

use std::future::Future;

use opentelemetry::trace::SpanKind;

use super::link::Away;
use crate::ports::rate_limiter::{Decision, Ledger};
use crate::telemetry::spans::{self, Child, Known};

/// The span of a decision.
pub(super) fn decision_span() -> Child {
    spans::child(SpanKind::Internal, "decide_limits")
}

/// What was decided, and by whose counters. Whose buckets they are is not told: keys are digests of who calls.
pub(super) fn note_decision(span: &Child, decision: &Decision) {
    if !span.is_recording() {
        return;
    }
    match decision {
        Decision::Admitted(ledger) => {
            span.set("guardian_auth.limiter.admitted", Known::Flag(true));
            let counters = match ledger {
                Ledger::Shared => "shared",
                Ledger::Local => "local",
            };
            span.set("guardian_auth.limiter.counters", Known::Word(counters));
        }
        Decision::Refused { .. } => span.set("guardian_auth.limiter.admitted", Known::Flag(false)),
    }
}

/// Under a span of a round trip to Redis, which says whether there was one.
pub(super) async fn traced(call: impl Future<Output = Result<u64, Away>>) -> Result<u64, Away> {
    let span = spans::child(SpanKind::Client, "EVALSHA");
    if span.is_recording() {
        span.set("db.system.name", Known::Word("redis"));
        span.set("db.operation.name", Known::Word("EVALSHA"));
        span.set("db.query.summary", Known::Word("EVALSHA gcra"));
    }
    let answer = call.await;
    match answer {
        Ok(_) => {}
        Err(Away::LeftAlone) => span.fail("left_alone"),
        Err(Away::Failed) => span.fail("unavailable"),
    }
    answer
}
