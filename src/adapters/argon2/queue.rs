//! The bounded line in front of the hashing threads: first come, first served, and no waiting to get in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a job did not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// All places are taken.
    Full,
    /// The queue takes no more jobs.
    Stopped,
}

/// What a thread finds.
pub(super) enum Next<T> {
    /// A job.
    Job(T),
    /// Nothing came within the time that it was ready to wait.
    Idle,
    /// Nothing will come any more.
    End,
}

struct Line<T> {
    waiting: VecDeque<T>,
    stopped: bool,
}

/// A bounded queue between async callers, who never wait on it, and threads, who do.
pub(super) struct JobQueue<T> {
    line: Mutex<Line<T>>,
    arrived: Condvar,
    /// Length of the line, readable without the lock.
    length: AtomicUsize,
    places: usize,
}

impl<T> JobQueue<T> {
    /// A queue with room for `places` jobs, allocated now.
    pub(super) fn new(places: usize) -> Self {
        Self {
            line: Mutex::new(Line { waiting: VecDeque::with_capacity(places), stopped: false }),
            arrived: Condvar::new(),
            length: AtomicUsize::new(0),
            places,
        }
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Whether a job would find a place now.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.places
    }

    /// Puts a job at the end of the line.
    pub(super) fn push(&self, job: T) -> Result<(), Closed> {
        let mut line = self.lock();
        if line.stopped {
            return Err(Closed::Stopped);
        }
        if line.waiting.len() >= self.places {
            return Err(Closed::Full);
        }
        line.waiting.push_back(job);
        self.length.store(line.waiting.len(), Ordering::Relaxed);
        drop(line);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes the job at the head of the line; waits for one, for at most `patience` if given. After [`Self::stop`] the
    /// line is worked off before [`Next::End`].
    pub(super) fn next(&self, patience: Option<Duration>) -> Next<T> {
        let mut line = self.lock();
        loop {
            if let Some(job) = line.waiting.pop_front() {
                self.length.store(line.waiting.len(), Ordering::Relaxed);
                return Next::Job(job);
            }
            if line.stopped {
                return Next::End;
            }
            line = match patience {
                None => self.arrived.wait(line).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let (line, outcome) =
                        self.arrived.wait_timeout(line, patience).unwrap_or_else(PoisonError::into_inner);
                    if outcome.timed_out() && line.waiting.is_empty() && !line.stopped {
                        return Next::Idle;
                    }
                    line
                }
            };
        }
    }

    /// Takes no more jobs.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.arrived.notify_all();
    }

    /// A panic while the lock was held leaves a whole line behind: no step of ours can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Closed, JobQueue, Next};

    #[test]
    fn jobs_leave_in_the_order_in_which_they_came() {
        let queue = JobQueue::new(3);
        for job in 1..=3 {
            assert_eq!(queue.push(job), Ok(()));
        }
        assert_eq!((queue.push(4), queue.has_room(), queue.len()), (Err(Closed::Full), false, 3));
        for expected in 1..=3 {
            assert!(matches!(queue.next(None), Next::Job(job) if job == expected));
        }
        assert!(matches!(queue.next(Some(Duration::from_millis(1))), Next::Idle));
    }

    #[test]
    fn a_stopped_queue_is_worked_off_and_takes_nothing_new() {
        let queue = JobQueue::new(3);
        assert_eq!(queue.push(1), Ok(()));
        queue.stop();
        assert_eq!(queue.push(2), Err(Closed::Stopped));
        assert!(matches!(queue.next(None), Next::Job(1)));
        assert!(matches!(queue.next(None), Next::End));
    }
}
