//! What the hashing threads do: take a request, do the same work for every account, answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::trace::SpanKind;
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::domain::password::{HashParameters, PasswordHash};
use crate::domain::secret::Secret;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::password_hasher::{Comparison, HasherError, Verdict};
use crate::telemetry::spans::{self, Child, Place};

use super::PoolSettings;
use super::metrics::{HasherMetrics, Purpose, Reason};
use super::queue::{Closed, JobQueue, Next};
use super::worker::{HashWorker, OUTPUT_BYTES, Refused, SALT_BYTES};

/// The threads' niceness: those that answer health checks and tokens go first.
const NICENESS: i32 = 10;
/// A worker that held more memory than the live parameters need gives it back after this time without a request.
const SHRINK_AFTER: Duration = Duration::from_secs(10);
/// What a request takes before the first one was measured.
const FIRST_GUESS: Duration = Duration::from_millis(25);
/// Weight of the newest request in the running mean of what one takes: 1/8.
const MEAN_SHIFT: u32 = 3;

/// Names of spans: waiting for a thread, and all argon2 runs of a request.
const WAIT_SPAN: &str = "wait_for_hash_thread";
const HASH_SPAN: &str = "argon2";

/// What is compared with when there is nothing on file: random bytes, made at start-up. No password has this output, and
/// a match would not count either.
struct Decoy {
    salt: [u8; SALT_BYTES],
    output: [u8; OUTPUT_BYTES],
}

/// A request.
pub(super) enum Task {
    /// Compare.
    Verify {
        /// In NFC.
        password: Secret<String>,
        comparison: Comparison,
        answer: oneshot::Sender<Result<Verdict, HasherError>>,
    },
    /// Make a new hash.
    Set {
        /// In NFC.
        password: Secret<String>,
        answer: oneshot::Sender<Result<PasswordHash, HasherError>>,
    },
}

impl Task {
    fn refuse(self, error: HasherError) {
        // A caller that has gone away needs no answer.
        let _ = match self {
            Self::Verify { answer, .. } => answer.send(Err(error)).is_ok(),
            Self::Set { answer, .. } => answer.send(Err(error)).is_ok(),
        };
    }
}

/// A request in the queue.
struct Job {
    task: Task,
    /// Its place in the trace of the call, and the span of its wait there.
    place: Place,
    wait: Child,
    arrived: Instant,
    deadline: Instant,
}

/// What the threads and the callers share.
pub(super) struct Shared {
    settings: PoolSettings,
    queue: JobQueue<Job>,
    decoy: Decoy,
    entropy: Arc<dyn Entropy>,
    metrics: HasherMetrics,
    /// Workers at work.
    running: AtomicUsize,
    /// Running mean of what one request takes, in nanoseconds.
    mean_nanos: AtomicU64,
}

impl Shared {
    /// Makes the decoy and an empty queue.
    pub(super) fn new(settings: PoolSettings, entropy: Arc<dyn Entropy>, metrics: HasherMetrics) -> Self {
        let decoy = Decoy { salt: random_bytes(entropy.as_ref()), output: random_bytes(entropy.as_ref()) };
        Self {
            settings,
            queue: JobQueue::new(settings.places),
            decoy,
            entropy,
            metrics,
            running: AtomicUsize::new(0),
            mean_nanos: AtomicU64::new(nanos(FIRST_GUESS)),
        }
    }

    /// Requests that are being computed.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether one more may wait.
    pub(super) fn capacity(&self) -> usize {
        self.settings.workers.get() + self.settings.places
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// How long one more would wait: the turns of those ahead, by the running mean of what one takes.
    pub(super) fn expected_wait(&self) -> Duration {
        let workers = self.settings.workers.get();
        let turns = (self.waiting() + self.running() + 1).saturating_sub(workers);
        let mean = Duration::from_nanos(self.mean_nanos.load(Ordering::Relaxed));
        mean.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
            / u32::try_from(workers).unwrap_or(u32::MAX)
    }

    /// Takes no more requests; those that wait are still answered.
    pub(super) fn stop(&self) {
        self.queue.stop();
    }

    /// Puts a request in line.
    pub(super) fn submit(&self, task: Task, deadline: tokio::time::Instant) -> Result<(), HasherError> {
        let (place, wait) = (spans::here(), spans::child(SpanKind::Internal, WAIT_SPAN));
        let job = Job { task, place, wait, arrived: Instant::now(), deadline: deadline.into_std() };
        let (reason, error) = if job.deadline <= job.arrived {
            (Reason::Expired, HasherError::Expired)
        } else {
            match self.queue.push(job) {
                Ok(()) => {
                    self.metrics.queue_depth.set(gauge(self.queue.len()));
                    return Ok(());
                }
                Err(Closed::Full) => (Reason::Overloaded, HasherError::Overloaded),
                Err(Closed::Stopped) => {
                    (Reason::Stopping, HasherError::Failed("the hashing pool is shutting down"))
                }
            }
        };
        self.metrics.count_refused(reason);
        Err(error)
    }

    /// The life of a thread.
    pub(super) fn work(&self) {
        lower_priority();
        let mut worker = HashWorker::new(self.settings.parameters);
        loop {
            let patience = worker.has_grown().then_some(SHRINK_AFTER);
            match self.queue.next(patience) {
                Next::Job(job) => self.perform(&mut worker, job),
                Next::Idle => worker.shrink(),
                Next::End => return,
            }
        }
    }

    fn perform(&self, worker: &mut HashWorker, job: Job) {
        self.metrics.queue_depth.set(gauge(self.queue.len()));
        let begun = Instant::now();
        if job.deadline <= begun {
            self.metrics.count_refused(Reason::Expired);
            job.wait.fail("expired");
            job.task.refuse(HasherError::Expired);
            return;
        }
        self.metrics.observe_wait(begun - job.arrived);
        drop(job.wait);
        // Ended before the answer goes out, so that no span outlives its call for want of a turn.
        let hashing = job.place.child(SpanKind::Internal, HASH_SPAN);
        self.set_running(1);
        // A panic must cost one answer, not a thread: the dropped sender tells the caller.
        let outcome = catch_unwind(AssertUnwindSafe(|| match job.task {
            Task::Verify { password, comparison, answer } => {
                let verdict = self.verify(worker, password.expose().as_bytes(), &comparison);
                drop(hashing);
                answer.send(verdict).is_ok()
            }
            Task::Set { password, answer } => {
                let hash = self.set(worker, password.expose().as_bytes());
                drop(hashing);
                answer.send(hash).is_ok()
            }
        }));
        self.set_running(-1);
        if outcome.is_err() {
            tracing::error!("a hash ended in a panic");
        }
        self.learn(begun.elapsed());
    }

    /// One run for each parameter set of the organization, the live one first, in the same order for every account. The
    /// hash on file is compared in the run of its own set; all other runs are for the work alone.
    fn verify(
        &self,
        worker: &mut HashWorker,
        password: &[u8],
        comparison: &Comparison,
    ) -> Result<Verdict, HasherError> {
        let stored = comparison.stored.as_ref();
        let mut sets = parameter_sets(self.settings.parameters, &comparison.foreign_parameters);
        if let Some(own) = stored.map(PasswordHash::parameters).filter(|own| !sets.contains(own)) {
            // More work than for others rather than a wrong answer. It lasts until the caller's list is fresh.
            tracing::warn!(parameters = %own, "a stored hash has parameters that its organization did not tell");
            sets.push(own);
        }
        let mut matches = Choice::from(0);
        for set in sets {
            let own = stored.filter(|hash| hash.parameters() == set);
            let (salt, expected) = own
                .map_or((&self.decoy.salt[..], &self.decoy.output[..]), |hash| (hash.salt(), hash.output()));
            let output = self.run(worker, set, Purpose::Verify, password, salt, expected.len())?;
            matches |= output.ct_eq(expected) & Choice::from(u8::from(own.is_some()));
        }
        let outdated = stored.is_some_and(|hash| is_outdated(hash, self.settings.parameters));
        Ok(if bool::from(matches) { Verdict::Match { outdated } } else { Verdict::Mismatch })
    }

    fn set(&self, worker: &mut HashWorker, password: &[u8]) -> Result<PasswordHash, HasherError> {
        let salt: [u8; SALT_BYTES] = random_bytes(self.entropy.as_ref());
        let live = self.settings.parameters;
        let output = self.run(worker, live, Purpose::Set, password, &salt, OUTPUT_BYTES)?;
        PasswordHash::new(live, &salt, &output)
            .map_err(|_| HasherError::Failed("the new hash is out of bounds"))
    }

    fn run(
        &self,
        worker: &mut HashWorker,
        parameters: HashParameters,
        purpose: Purpose,
        password: &[u8],
        salt: &[u8],
        output_bytes: usize,
    ) -> Result<Zeroizing<Vec<u8>>, HasherError> {
        let mut output = Zeroizing::new(vec![0; output_bytes]);
        self.metrics.count_run(parameters, purpose);
        worker
            .run(parameters, password, salt, &mut output)
            .map_err(|Refused| HasherError::Failed("a stored hash cannot be computed"))?;
        Ok(output)
    }

    fn set_running(&self, change: isize) {
        let before = self.running.fetch_add(change.cast_unsigned(), Ordering::Relaxed);
        self.metrics.running.set(gauge(before.wrapping_add_signed(change)));
    }

    /// Two threads may learn at once and one lesson be lost: it is an estimate.
    fn learn(&self, took: Duration) {
        let mean = self.mean_nanos.load(Ordering::Relaxed);
        let mean = mean - (mean >> MEAN_SHIFT) + (nanos(took) >> MEAN_SHIFT);
        self.mean_nanos.store(mean, Ordering::Relaxed);
    }
}

/// The live set, then the others in their own order: the same list however the caller's was sorted.
fn parameter_sets(live: HashParameters, foreign: &[HashParameters]) -> Vec<HashParameters> {
    let mut others: Vec<HashParameters> = foreign.iter().copied().filter(|&set| set != live).collect();
    others.sort_unstable();
    others.dedup();
    others.insert(0, live);
    others
}

/// Whether a hash should be made anew: another cost, or shorter than ours are.
fn is_outdated(hash: &PasswordHash, live: HashParameters) -> bool {
    hash.parameters() != live || hash.salt().len() < SALT_BYTES || hash.output().len() < OUTPUT_BYTES
}

/// On Linux niceness belongs to the thread. Elsewhere it would slow the whole process: left alone.
#[cfg(target_os = "linux")]
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(%error, "a hashing thread runs at normal priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{is_outdated, parameter_sets};
    use crate::domain::password::{HashParameters, PasswordHash};

    fn parameters(memory_kib: u32) -> HashParameters {
        HashParameters::new(memory_kib, 1, 1).unwrap()
    }

    #[test]
    fn sets_are_worked_through_in_one_order_and_once_each() {
        let [live, a, b] = [64, 32, 128].map(parameters);
        assert_eq!(parameter_sets(live, &[]), [live]);
        assert_eq!(parameter_sets(live, &[b, live, a, b]), [live, a, b]);
        assert_eq!(parameter_sets(live, &[a, b]), parameter_sets(live, &[b, a]));
    }

    #[test]
    fn hashes_of_other_cost_or_shorter_than_ours_are_outdated() {
        let live = parameters(64);
        let outdated = |set, salt: usize, output: usize| {
            is_outdated(&PasswordHash::new(set, &vec![1; salt], &vec![1; output]).unwrap(), live)
        };
        assert!(!outdated(live, 16, 32));
        assert!(!outdated(live, 32, 64));
        assert!(outdated(live, 8, 32));
        assert!(outdated(live, 16, 16));
        assert!(outdated(parameters(128), 16, 32));
    }
}
