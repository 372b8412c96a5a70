//! The bounded queue between calls, whose spans end, and the task that exports them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::timeout;

/// A span waits this long for others to be exported with it.
const LINGER: Duration = Duration::from_secs(1);

/// Spans in one export at most: the default of OpenTelemetry's SDKs.
pub const BATCH: usize = 512;

/// Spans that were exported, and those that were dropped and why.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// The collector took them.
    pub exported: AtomicU64,
    /// The queue was full, or closed.
    pub queue_full: AtomicU64,
    /// The collector refused them.
    pub refused: AtomicU64,
    /// The collector did not answer.
    pub undelivered: AtomicU64,
}

/// Takes ended spans; never waits.
#[derive(Debug)]
pub struct SpanSender {
    sender: mpsc::Sender<SpanData>,
    crowded: Arc<Notify>,
    counts: Arc<SpanCounts>,
}

/// Where the exporter takes them from.
#[derive(Debug)]
pub struct SpanReceiver {
    receiver: mpsc::Receiver<SpanData>,
    crowded: Arc<Notify>,
}

/// A queue for so many spans.
pub fn span_queue(places: usize, counts: Arc<SpanCounts>) -> (SpanSender, SpanReceiver) {
    let (sender, receiver) = mpsc::channel(places);
    let crowded = Arc::new(Notify::new());
    (SpanSender { sender, crowded: Arc::clone(&crowded), counts }, SpanReceiver { receiver, crowded })
}

impl SpanProcessor for SpanSender {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        match self.sender.try_send(span) {
            Ok(()) => {
                // Waking the exporter for each span would cost more than the span. Not at exactly half: another span may
                // come between this one and the look.
                if self.sender.capacity() <= self.sender.max_capacity() / 2 {
                    self.crowded.notify_one();
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.counts.queue_full.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl SpanReceiver {
    /// Waits until there is something to export, a while for more to come with it. Nothing is lost if the wait is given up.
    pub async fn ready(&mut self) {
        loop {
            drop(timeout(LINGER, self.crowded.notified()).await);
            if !self.receiver.is_empty() {
                return;
            }
        }
    }

    /// What is there now, 512 at most.
    pub fn batch(&mut self) -> Vec<SpanData> {
        let mut batch = Vec::with_capacity(self.receiver.len().min(BATCH));
        while batch.len() < BATCH
            && let Ok(span) = self.receiver.try_recv()
        {
            batch.push(span);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use tokio::time::Instant;

    use super::*;

    fn span() -> SpanData {
        let now = std::time::SystemTime::UNIX_EPOCH;
        SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: now,
            end_time: now,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stays_half_full_does_not_wait_for_more() {
        let (sender, mut receiver) = span_queue(4096, Arc::default());
        (0..4000).for_each(|_| sender.on_end(span()));
        let begin = Instant::now();
        receiver.ready().await;
        assert_eq!(receiver.batch().len(), BATCH);
        sender.on_end(span());
        receiver.ready().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        while !receiver.batch().is_empty() {}
        sender.on_end(span());
        receiver.ready().await;
        assert!(begin.elapsed() >= LINGER, "one span waits for others");
    }
}
