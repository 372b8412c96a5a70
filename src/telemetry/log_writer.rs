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

/// Where lines end up.
struct Output<'o> {
    out: &'o mut dyn Write,
    /// Whether only a part of the last line could be written.
    cut: bool,
}

impl Output<'_> {
    /// Writes lines; how many were lost. The metrics are all that is left to tell it.
    fn write(&mut self, mut lines: &[u8]) -> u64 {
        let count = |lines: &[u8]| lines.split_inclusive(|byte| *byte == b'\n').count() as u64;
        // What was cut must not run into the next line.
        if self.cut && self.out.write_all(b"\n").is_err() {
            return count(lines);
        }
        self.cut = false;
        while !lines.is_empty() {
            match self.out.write(lines) {
                Ok(0) => break,
                Ok(written) => {
                    self.cut = lines.get(written - 1) != Some(&b'\n');
                    lines = lines.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        drop(self.out.flush());
        count(lines)
    }
}

fn run(shared: &Shared, out: &mut dyn Write) {
    let mut output = Output { out, cut: false };
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
        shared.dropped.fetch_add(output.write(&batch), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A disk with room for so many bytes.
    #[derive(Default)]
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted_and_the_next_one_begins_anew() {
        let mut disk = Disk { room: 5, ..Disk::default() };
        let mut output = Output { out: &mut disk, cut: false };
        assert_eq!(output.write(b"one\ntwo\nthree\n"), 2, "two was cut, three never begun");
        assert_eq!(output.write(b"four\n"), 1, "still full");
        let cut = output.cut;
        disk.room = 100;
        let mut output = Output { out: &mut disk, cut };
        assert_eq!(output.write(b"five\nsix\n"), 0);
        assert_eq!(String::from_utf8(disk.written).unwrap(), "one\nt\nfive\nsix\n");
    }
}
