//! Password hashing with argon2id on threads of its own, at equal cost whatever is on file.

mod metrics;
mod queue;
mod work;
mod worker;

pub use metrics::{HasherMetrics, Purpose, QUEUE_DEPTH, QUEUE_WAIT, REFUSED, RUNNING, RUNS, Reason};
pub use worker::{HashWorker, OUTPUT_BYTES, Refused, SALT_BYTES, memory_needed};

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::domain::password::{HashParameters, NewPassword, PasswordHash, normalized};
use crate::domain::secret::Secret;
use crate::ports::entropy::Entropy;
use crate::ports::password_hasher::{Comparison, HasherError, PasswordHasher, Verdict};
use crate::ports::rate_limiter::Admitted;

use work::{Shared, Task};

/// Most workers by default: with more, logins would take the memory bandwidth of everything else.
const MAX_DEFAULT_WORKERS: usize = 4;
/// Waiting requests for each worker by default: 8 × 25 ms, so that a full queue is worked off well within a second, and
/// 16 places on 2 cores (bar B31).
const PLACES_PER_WORKER: usize = 8;

/// How large the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// The live parameters: those of new hashes and of the decoy.
    pub parameters: HashParameters,
    /// Threads. Each holds [`memory_needed`] of memory from the start.
    pub workers: NonZeroUsize,
    /// Requests that may wait; more are refused with [`HasherError::Overloaded`].
    pub places: usize,
}

impl PoolSettings {
    /// A worker for each processor that the process may use, 4 at most; 8 waiting requests for each.
    pub fn for_this_machine(parameters: HashParameters) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = NonZeroUsize::new(processors.min(MAX_DEFAULT_WORKERS)).unwrap_or(NonZeroUsize::MIN);
        Self { parameters, workers, places: workers.get() * PLACES_PER_WORKER }
    }
}

struct Exit {
    threads: Vec<JoinHandle<()>>,
    /// Ends when the last thread has.
    gone: mpsc::Receiver<Infallible>,
}

/// The hashing pool. Dropping it lets its threads finish what is queued and end; [`Argon2Pool::shutdown`] waits for them.
pub struct Argon2Pool {
    shared: Arc<Shared>,
    exit: Mutex<Option<Exit>>,
}

impl Argon2Pool {
    /// Starts the threads. Each allocates and touches its memory at once, so that a machine too small shows now.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub fn start(
        settings: PoolSettings,
        entropy: Arc<dyn Entropy>,
        metrics: HasherMetrics,
    ) -> std::io::Result<Self> {
        let (alive, gone) = mpsc::channel(1);
        let pool = Self { shared: Arc::new(Shared::new(settings, entropy, metrics)), exit: Mutex::new(None) };
        let threads = (0..settings.workers.get())
            .map(|number| {
                let (shared, alive) = (Arc::clone(&pool.shared), alive.clone());
                std::thread::Builder::new().name(format!("argon2-{number}")).spawn(move || {
                    shared.work();
                    drop(alive);
                })
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        *pool.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(Exit { threads, gone });
        Ok(pool)
    }

    /// Requests that are being computed now; never more than the workers.
    pub fn running(&self) -> usize {
        self.shared.running()
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.shared.waiting()
    }

    /// Takes no more requests, answers those that wait, and ends the threads. A second call returns at once.
    pub async fn shutdown(&self) {
        self.shared.stop();
        let exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Exit { threads, mut gone }) = exit {
            // Nothing is ever sent: this waits until all threads dropped their ends.
            let _: Option<Infallible> = gone.recv().await;
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a hashing thread ended in a panic");
                }
            }
        }
    }
}

impl Drop for Argon2Pool {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

#[async_trait]
impl PasswordHasher for Argon2Pool {
    fn capacity(&self) -> usize {
        self.shared.capacity()
    }

    fn has_room(&self) -> bool {
        self.shared.has_room()
    }

    fn expected_wait(&self) -> Duration {
        self.shared.expected_wait()
    }

    /// A text that cannot be anybody's password (empty, over-long) is a mismatch without a run, for every account alike.
    async fn verify(
        &self,
        _admitted: Admitted,
        password: Secret<String>,
        comparison: Comparison,
        deadline: tokio::time::Instant,
    ) -> Result<Verdict, HasherError> {
        let Ok(password) = normalized(password.expose()) else {
            return Ok(Verdict::Mismatch);
        };
        let (answer, answered) = oneshot::channel();
        self.shared.submit(Task::Verify { password, comparison, answer }, deadline)?;
        answered.await.unwrap_or(Err(HasherError::Failed("the hashing thread gave no answer")))
    }

    async fn hash(
        &self,
        password: &NewPassword,
        deadline: tokio::time::Instant,
    ) -> Result<PasswordHash, HasherError> {
        let password = normalized(password.expose())
            .map_err(|_| HasherError::Failed("the password cannot be hashed"))?;
        let (answer, answered) = oneshot::channel();
        self.shared.submit(Task::Set { password, answer }, deadline)?;
        answered.await.unwrap_or(Err(HasherError::Failed("the hashing thread gave no answer")))
    }
}
