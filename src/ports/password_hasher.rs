//! Does this password match? Make a hash of this one.

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::password::{HashParameters, NewPassword, PasswordHash};
use crate::domain::secret::Secret;

use super::rate_limiter::Admitted;

/// What is compared with a password.
#[derive(Debug)]
pub struct Comparison {
    /// The hash on file, or `None`: then a decoy made from the live parameters does the same work.
    pub stored: Option<PasswordHash>,
    /// Parameter sets other than the live one that are in use in the organization. Each check does the work of the
    /// live set and of every one of these, whatever is on file, so that work does not tell accounts apart.
    pub foreign_parameters: Vec<HashParameters>,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right. `outdated` if the hash was made with other than the live parameters and should be made anew.
    Match {
        /// Made with other than the live parameters.
        outdated: bool,
    },
    /// Wrong, or nothing to compare with.
    Mismatch,
}

/// Why a hash was not computed. In each case no secret was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HasherError {
    /// The queue is full.
    #[error("the hashing queue is full")]
    Overloaded,
    /// The caller's deadline passed before a thread was free.
    #[error("the deadline passed in the hashing queue")]
    Expired,
    /// The pool is shutting down or a stored hash cannot be read.
    #[error("the hashing pool failed: {0}")]
    Failed(&'static str),
}

/// Password hashing on threads of its own.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Requests that are computed or wait at most. The gate lets no more attempts in: what would be refused at the queue
    /// asks neither limiter nor store.
    fn capacity(&self) -> usize;

    /// Whether a request would find room in the queue now: the local shedder asks it before any other work.
    fn has_room(&self) -> bool;

    /// How long a request that arrives now would wait; for `RetryInfo`.
    fn expected_wait(&self) -> std::time::Duration;

    /// Compares. The password is any text; NFC is applied inside. Costs the same whatever is on file.
    ///
    /// # Errors
    /// [`HasherError`]; then nothing was compared.
    async fn verify(
        &self,
        admitted: Admitted,
        password: Secret<String>,
        comparison: Comparison,
        deadline: Instant,
    ) -> Result<Verdict, HasherError>;

    /// Makes a hash with the live parameters and a new salt.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn hash(&self, password: &NewPassword, deadline: Instant) -> Result<PasswordHash, HasherError>;
}
