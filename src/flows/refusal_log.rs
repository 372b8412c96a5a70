//! Audit events of calls refused by limits: written in batches that may drop, so that a flood costs no INSERT each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::audit::Event;
use crate::ports::store::AuditStore;

/// Events that may wait; about 1 MiB.
const QUEUE: usize = 2048;

/// Events in one transaction.
const BATCH: usize = 256;

/// Between two transactions: logins write too, and a flood of refusals must not take their turns.
const PACE: Duration = Duration::from_millis(100);

/// Takes events without waiting.
#[derive(Clone)]
pub struct RefusalLog {
    sender: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

/// Writes them.
pub struct RefusalWriter {
    receiver: mpsc::Receiver<Event>,
    dropped: Arc<AtomicU64>,
    store: Arc<dyn AuditStore>,
}

/// The two ends of a log that counts on in `dropped`.
pub fn refusal_log(store: Arc<dyn AuditStore>, dropped: Arc<AtomicU64>) -> (RefusalLog, RefusalWriter) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (RefusalLog { sender, dropped: Arc::clone(&dropped) }, RefusalWriter { receiver, dropped, store })
}

impl RefusalLog {
    /// Queues an event, or drops and counts it where the queue is full.
    pub fn note(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events dropped so far, for metrics.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl RefusalWriter {
    /// Writes until `stop`, then what is still queued.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                received = self.receiver.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    self.write(&mut batch).await;
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                _ = pace.tick() => {}
            }
        }
        self.receiver.close();
        while self.receiver.recv_many(&mut batch, BATCH).await > 0 {
            self.write(&mut batch).await;
        }
    }

    async fn write(&self, batch: &mut Vec<Event>) {
        if let Err(error) = self.store.record_events(batch).await {
            self.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
            tracing::warn!(error = %error, events = batch.len(), "events of refused calls were dropped");
        }
        batch.clear();
    }
}
