//! The thread that writes log lines, so that a slow disk or pipe never holds up an answer.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::log_level::LevelHandle;

/// A line waits this long for others to be written with it.
const LINGER: Duration = Duration::from_millis(100);
/// This many bytes are written at once without waiting further.
const BATCH_BYTES: usize = 64 * 1024;
/// Lines beyond this are dropped and counted: the reader of the log is stuck, and guardians are not to wait for it.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// At the end, a stuck reader gets this long.
const LAST_FLUSH: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    urgent: bool,
    closing: bool,
    finished: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes lines.
#[derive(Clone, Default)]
pub struct LogSink(Arc<Shared>);

impl LogSink {
    pub(super) fn write(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.0.lock();
        if waiting.finished || waiting.bytes.len() + line.len() > MAX_WAITING_BYTES {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = waiting.bytes.len();
        waiting.bytes.extend_from_slice(line);
        waiting.urgent |= urgent;
        let full = before < BATCH_BYTES && waiting.bytes.len() >= BATCH_BYTES;
        drop(waiting);
        // The thread sleeps in between: waking it for each line would cost more than the line.
        if before == 0 || full || urgent {
            self.0.changed.notify_all();
        }
    }

    /// Lines that were dropped so far, for metrics.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// Keeps the thread running; writes what is waiting when dropped.
pub struct LogGuard {
    sink: LogSink,
    level: LevelHandle,
    thread: Option<JoinHandle<()>>,
}

impl LogGuard {
    /// Where lines go; for its count of dropped ones.
    pub const fn sink(&self) -> &LogSink {
        &self.sink
    }

    /// Changes the level of this log.
    pub const fn level(&self) -> &LevelHandle {
        &self.level
    }
}

/// Starts the thread.
///
/// # Errors
/// If the system has no thread left.
pub(super) fn start(mut out: Box<dyn Write + Send>, level: LevelHandle) -> std::io::Result<LogGuard> {
    let sink = LogSink::default();
    let shared = Arc::clone(&sink.0);
    let thread = thread::Builder::new().name("log".to_owned()).spawn(move || run(&shared, &mut *out))?;
    Ok(LogGuard { sink, level, thread: Some(thread) })
}

fn run(shared: &Shared, out: &mut dyn Write) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    loop {
        let waiting = shared.lock();
        let waiting = shared
            .changed
            .wait_while(waiting, |waiting| waiting.bytes.is_empty() && !waiting.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, _) = shared
            .changed
            .wait_timeout_while(waiting, LINGER, |waiting| {
                waiting.bytes.len() < BATCH_BYTES && !waiting.urgent && !waiting.closing
            })
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut batch, &mut waiting.bytes);
        waiting.urgent = false;
        let last = waiting.closing && batch.is_empty();
        waiting.finished = last;
        drop(waiting);
        if last {
            shared.changed.notify_all();
            return;
        }
        // Nobody is left to tell that the log cannot be written.
        drop(out.write_all(&batch).and_then(|()| out.flush()));
        batch.clear();
        batch.shrink_to(BATCH_BYTES);
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut waiting = self.sink.0.lock();
        waiting.closing = true;
        self.sink.0.changed.notify_all();
        let (waiting, ended) = self
            .sink
            .0
            .changed
            .wait_timeout_while(waiting, LAST_FLUSH, |waiting| !waiting.finished)
            .unwrap_or_else(PoisonError::into_inner);
        drop(waiting);
        if let Some(thread) = self.thread.take().filter(|_| !ended.timed_out()) {
            drop(thread.join());
        }
    }
}
