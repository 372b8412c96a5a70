//! Spans of calls: opened where work is done, recorded only under a call that is traced.
//!
//! The current span is ambient, as OpenTelemetry's `Context` is: set while a future of the call is polled, and taken along
//! by `with_current_context` where a call goes on in a task of its own. The tracer travels with it, so that nothing here is
//! global and two services in a process keep apart. What a call does not trace costs a look at a thread-local.
//!
//! A span holds names of ours, codes and sizes. Of what a caller sent it holds the place in the caller's trace, `tracestate`
//! with it, and nothing else: names of spans and of attributes are `&'static str`, and of values only [`Known`] ones are taken.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, ContextGuard, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    IdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanLimits, SpanProcessor,
};

/// What went wrong; OpenTelemetry's name for it.
const ERROR_TYPE: &str = "error.type";

/// A value that an attribute may have: none of these can be what somebody typed.
pub enum Known {
    /// A word of ours.
    Word(&'static str),
    /// A word that the configuration or our random source made: the name of a caller, a reference code.
    Made(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<Known> for Value {
    fn from(known: Known) -> Self {
        match known {
            Known::Word(word) => Self::String(StringValue::from(word)),
            Known::Made(word) => Self::String(StringValue::from(word)),
            Known::Number(number) => Self::I64(number),
            Known::Flag(flag) => Self::Bool(flag),
        }
    }
}

/// Opens the spans of calls. Clones share everything.
#[derive(Clone, Debug)]
pub struct Tracer {
    tracer: SdkTracer,
}

/// How the tracer travels with a context.
struct Carried(SdkTracer);

/// Random bytes for ids.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

struct Ids(Random);

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids")
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let mut bytes = [0; 16];
        (self.0)(&mut bytes);
        TraceId::from_bytes(bytes)
    }

    fn new_span_id(&self) -> SpanId {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        SpanId::from_bytes(bytes)
    }
}

impl Tracer {
    /// A tracer that gives ended spans to `processor`. A call without a remote parent is traced with the probability
    /// `sample_ratio`; one with a parent as the parent is.
    pub fn new(processor: impl SpanProcessor + 'static, sample_ratio: f64, random: Random) -> Self {
        // Each of these is given, or the SDK would look for variables of its own in the environment.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio))))
            .with_span_limits(SpanLimits::default())
            .with_resource(Resource::builder_empty().build())
            .with_id_generator(Ids(random))
            .with_span_processor(processor)
            .build();
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { tracer: provider.tracer_with_scope(scope) }
    }

    /// Opens the span of a call, under the caller's if it told one.
    pub fn call(&self, name: &'static str, remote: Option<SpanContext>) -> CallSpan {
        let outside = Context::new();
        let outside = match remote {
            Some(remote) => outside.with_remote_span_context(remote),
            None => outside,
        };
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let span = self.tracer.build_with_context(builder, &outside);
        let context = outside.with_span(span);
        CallSpan(Some(if context.span().is_recording() {
            context.with_value(Carried(self.tracer.clone()))
        } else {
            // Not traced; its trace id is in the log nonetheless.
            context
        }))
    }
}

/// The span of a call, or none where traces are off. It ends when it is told to, or when it is dropped.
#[derive(Default)]
pub struct CallSpan(Option<Context>);

impl CallSpan {
    /// Runs the work of the call under its span.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        around(self.0.as_ref(), work).await
    }

    /// Makes it the current one until the guard is dropped, so that log lines have its trace id.
    pub fn enter(&self) -> Option<ContextGuard> {
        self.0.clone().map(Context::attach)
    }

    /// Whether attributes would be kept.
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|context| context.span().is_recording())
    }

    /// Adds an attribute.
    pub fn set(&self, key: &'static str, value: Known) {
        set(self.0.as_ref(), key, value);
    }

    /// Marks it as failed.
    pub fn fail(&self, error_type: &'static str) {
        fail(self.0.as_ref(), error_type);
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        end(self.0.as_ref());
    }
}

/// A span under the current one. It ends when it is dropped.
pub struct Child(Option<Context>);

/// Opens a span of this kind under the current one; none if the call is not traced, or there is no call.
pub fn child(kind: SpanKind, name: &'static str) -> Child {
    Context::map_current(|parent| under(parent, kind, name))
}

fn under(parent: &Context, kind: SpanKind, name: &'static str) -> Child {
    let Some(Carried(tracer)) = parent.get::<Carried>() else { return Child(None) };
    let span = tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind), parent);
    Child(Some(parent.with_span(span)))
}

impl Child {
    /// Runs work under it.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        around(self.0.as_ref(), work).await
    }

    /// Whether attributes would be kept.
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Adds an attribute.
    pub fn set(&self, key: &'static str, value: Known) {
        set(self.0.as_ref(), key, value);
    }

    /// Marks it as failed.
    pub fn fail(&self, error_type: &'static str) {
        fail(self.0.as_ref(), error_type);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        end(self.0.as_ref());
    }
}

/// The place in the trace where it was made, for work that goes on on another thread.
#[derive(Clone)]
pub struct Place(Option<Context>);

/// Where we are, if the call is traced.
pub fn here() -> Place {
    Place(Context::map_current(|context| context.get::<Carried>().is_some().then(|| context.clone())))
}

impl Place {
    /// Opens a span there.
    pub fn child(&self, kind: SpanKind, name: &'static str) -> Child {
        self.0.as_ref().map_or(Child(None), |parent| under(parent, kind, name))
    }
}

/// The trace id of the current call, for log lines; also of one that is not sampled.
pub(super) fn current_trace_id() -> Option<TraceId> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id())
    })
}

/// Polls `work` with this context as the current one. One future either way: two would take twice the room in the task.
async fn around<F: Future>(context: Option<&Context>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|task| {
        let _current = context.map(|context| context.clone().attach());
        work.as_mut().poll(task)
    })
    .await
}

fn set(context: Option<&Context>, key: &'static str, value: Known) {
    if let Some(context) = context {
        context.span().set_attribute(KeyValue::new(key, Value::from(value)));
    }
}

fn fail(context: Option<&Context>, error_type: &'static str) {
    if let Some(context) = context {
        let span = context.span();
        span.set_attribute(KeyValue::new(ERROR_TYPE, error_type));
        // No description: texts of errors quote what they stumbled over.
        span.set_status(Status::error(""));
    }
}

fn end(context: Option<&Context>) {
    if let Some(context) = context {
        context.span().end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU8, Ordering};

    use opentelemetry::trace::{TraceFlags, TraceState};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{Span, SpanData};

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Kept {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn tracer(ratio: f64) -> (Tracer, Kept) {
        let (kept, count) = (Kept::default(), AtomicU8::new(1));
        let random = move |bytes: &mut [u8]| bytes.fill(count.fetch_add(1, Ordering::Relaxed));
        (Tracer::new(kept.clone(), ratio, Arc::new(random)), kept)
    }

    fn remote(sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(sampled);
        let (trace, span) = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([9; 8]));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    #[test]
    fn a_child_hangs_under_the_call_and_the_call_under_its_caller() {
        let (tracer, kept) = tracer(0.0);
        let call = tracer.call("call", Some(remote(true)));
        let entered = call.enter();
        let place = here();
        drop(child(SpanKind::Client, "child"));
        drop(entered);
        assert!(!child(SpanKind::Client, "of nobody").is_recording());
        std::thread::spawn(move || drop(place.child(SpanKind::Internal, "elsewhere"))).join().unwrap();
        drop(call);
        let spans = kept.0.lock().unwrap();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["child", "elsewhere", "call"]);
        let call = &spans[2];
        assert_eq!((call.parent_span_id, call.parent_span_is_remote), (remote(true).span_id(), true));
        assert!(spans.iter().all(|span| span.span_context.trace_id() == remote(true).trace_id()));
        assert!(spans[..2].iter().all(|span| span.parent_span_id == call.span_context.span_id()));
    }

    #[test]
    fn a_call_is_traced_as_its_caller_says_and_else_by_the_ratio() {
        for (ratio, parent, traced) in
            [(1.0, Some(false), false), (0.0, Some(true), true), (1.0, None, true), (0.0, None, false)]
        {
            let (tracer, kept) = tracer(ratio);
            let call = tracer.call("call", parent.map(remote));
            let entered = call.enter();
            assert!(current_trace_id().is_some(), "the log has a trace id");
            assert_eq!(child(SpanKind::Client, "child").is_recording(), traced, "{ratio} {parent:?}");
            drop(entered);
            drop(call);
            assert_eq!(kept.0.lock().unwrap().is_empty(), !traced, "{ratio} {parent:?}");
        }
        assert!(current_trace_id().is_none());
    }
}
