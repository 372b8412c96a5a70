//! Traces: the tracer of the front and the exporter behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Outside;
use crate::adapters::otlp::{OtlpExporter, OtlpSettings};
use crate::config;
use crate::domain::secret::Secret;
use crate::ports::entropy::random_bytes;
use crate::telemetry::spans::Tracer;
use crate::telemetry::watched::{SPANS_DROPPED, SPANS_EXPORTED, watch_counter, watch_counters};
use crate::telemetry::{SpanCounts, span_queue};

/// Exports spans until it is stopped. By default there are no traces, and nothing of this exists.
#[derive(Default)]
pub(super) struct Traces(Option<Running>);

struct Running {
    tracer: Tracer,
    /// Ends the exporter with the value, if nobody did before.
    stop: DropGuard,
    exporter: JoinHandle<()>,
}

impl Traces {
    /// Starts exporting, if the configuration asks for it. The collector is not asked whether it is there.
    pub(super) fn start(
        settings: Option<&config::Traces>,
        outside: &Outside,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let counts = Arc::new(SpanCounts::default());
        watch(registry, &counts);
        let Some(settings) = settings else { return Ok(Self::default()) };
        let exporter = exporter(settings, outside, &counts)?;
        let (sender, receiver) = span_queue(settings.queue, counts);
        let entropy = Arc::clone(&outside.entropy);
        let random = Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes));
        let stop = CancellationToken::new();
        Ok(Self(Some(Running {
            tracer: Tracer::new(sender, settings.sample_ratio, random),
            exporter: tokio::spawn(exporter.run(receiver, stop.clone())),
            stop: stop.drop_guard(),
        })))
    }

    /// What opens the spans of calls.
    pub(super) fn tracer(&self) -> Option<Tracer> {
        self.0.as_ref().map(|running| running.tracer.clone())
    }

    /// Exports what is left, for a bounded time.
    pub(super) async fn flush(self) {
        if let Some(running) = self.0 {
            drop(running.stop);
            super::joined("traces", running.exporter.await);
        }
    }
}

/// Whether the collector takes spans: asked with none.
pub(super) async fn probe(settings: &config::Traces) -> anyhow::Result<String> {
    let exporter = exporter(settings, &Outside::of_this_machine(), &Arc::default())?;
    exporter.probe().await.map_err(|why| anyhow::anyhow!("{why}; calls are answered without it"))?;
    Ok("the collector takes spans".to_owned())
}

fn exporter(
    settings: &config::Traces,
    outside: &Outside,
    counts: &Arc<SpanCounts>,
) -> anyhow::Result<OtlpExporter> {
    let authorities = settings.ca_file.as_deref().map(|path| {
        std::fs::read(path).with_context(|| format!("traces.ca_file: reading {}", path.display()))
    });
    let copy = |(name, value): &(String, Secret<String>)| (name.clone(), value.copied());
    let settings = OtlpSettings {
        endpoint: settings.endpoint.clone(),
        headers: settings.headers.iter().map(copy).collect(),
        authorities_pem: authorities.transpose()?,
        timeout: settings.timeout,
        instance: instance(outside),
    };
    OtlpExporter::new(settings, Arc::clone(counts)).context("traces")
}

/// A name for this process, which no other has.
fn instance(outside: &Outside) -> String {
    let bytes: [u8; 16] = random_bytes(outside.entropy.as_ref());
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// One of the counts.
type CountOf = fn(&SpanCounts) -> &AtomicU64;

fn watch(registry: &mut Registry, counts: &Arc<SpanCounts>) {
    let exported = Arc::clone(counts);
    let read = move || exported.exported.load(Ordering::Relaxed);
    watch_counter(registry, SPANS_EXPORTED, "Spans that the collector took", read);
    let reasons: [(&str, CountOf); 3] = [
        ("queue_full", |counts| &counts.queue_full),
        ("refused", |counts| &counts.refused),
        ("undelivered", |counts| &counts.undelivered),
    ];
    let samples = reasons.map(|(why, of)| {
        let counts = Arc::clone(counts);
        let read = move || of(&counts).load(Ordering::Relaxed);
        (vec![("why", why.to_owned())], Box::new(read) as Box<dyn Fn() -> u64 + Send + Sync>)
    });
    watch_counters(registry, SPANS_DROPPED, "Spans that were dropped, by what made us", samples);
}
