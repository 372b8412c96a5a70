//! The gate that every attempt to show a password passes: shed, reserve, compare, give back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::domain::limits::Reservation;
use crate::domain::secret::Secret;
use crate::ports::password_hasher::{Comparison, HasherError, PasswordHasher, Verdict};
use crate::ports::rate_limiter::{Admitted, RateLimiter, Receipt, reserve};

/// Why the gate let an attempt not through. In each case no secret was compared and nothing stays charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A limit was reached.
    #[error("a limit was reached")]
    RateLimited {
        /// When there is room again.
        retry_after: Duration,
    },
    /// The hashing queue is full.
    #[error("no room to check a password")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The caller's deadline passed.
    #[error("the deadline passed")]
    Expired,
    /// The hashing pool is down.
    #[error("the hashing pool is down: {0}")]
    Failed(&'static str),
}

/// An attempt that was charged and may compare one secret.
pub struct Pass {
    admitted: Admitted,
    receipt: Receipt,
    place: OwnedSemaphorePermit,
}

/// The limiter and the hasher, in the one order in which they may be asked.
#[derive(Clone)]
pub struct Gate {
    limiter: Arc<dyn RateLimiter>,
    hasher: Arc<dyn PasswordHasher>,
    /// One for each attempt between the limiter and the end of its comparison.
    places: Arc<Semaphore>,
}

impl Gate {
    /// A gate over a limiter and a hasher.
    pub fn new(limiter: Arc<dyn RateLimiter>, hasher: Arc<dyn PasswordHasher>) -> Self {
        let places = Arc::new(Semaphore::new(hasher.capacity()));
        Self { limiter, hasher, places }
    }

    /// Sheds load by what this process knows, then charges the buckets.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was charged.
    pub async fn enter(&self, reservation: Reservation) -> Result<Pass, Refusal> {
        // A place is taken before anything is asked: attempts that come together must not all see the same room.
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) if self.hasher.has_room() => place,
            Ok(_) | Err(_) => return Err(self.overloaded()),
        };
        match reserve(self.limiter.as_ref(), reservation).await {
            Ok((admitted, receipt)) => Ok(Pass { admitted, receipt, place }),
            Err(retry_after) => Err(Refusal::RateLimited { retry_after }),
        }
    }

    /// Compares one password. The receipt comes back: it is given back if the answer shows that the password was right.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was compared, and what was charged has been given back.
    pub async fn compare(
        &self,
        pass: Pass,
        password: Secret<String>,
        comparison: Comparison,
        deadline: Instant,
    ) -> Result<(Verdict, Receipt), Refusal> {
        let Pass { admitted, receipt, place } = pass;
        let answer = self.hasher.verify(admitted, password, comparison, deadline).await;
        drop(place);
        match answer {
            Ok(verdict) => Ok((verdict, receipt)),
            Err(error) => {
                self.limiter.give_back(receipt);
                Err(self.refusal(error))
            }
        }
    }

    /// Gives back what an attempt was charged without having compared a secret.
    pub fn leave(&self, pass: Pass) {
        self.limiter.give_back(pass.receipt);
    }

    /// Gives back what an attempt with a right password was charged.
    pub fn give_back(&self, receipt: Receipt) {
        self.limiter.give_back(receipt);
    }

    /// What a hasher's error means to an attempt.
    pub fn refusal(&self, error: HasherError) -> Refusal {
        match error {
            HasherError::Overloaded => self.overloaded(),
            HasherError::Expired => Refusal::Expired,
            HasherError::Failed(detail) => Refusal::Failed(detail),
        }
    }

    fn overloaded(&self) -> Refusal {
        // A second at least: clients that come back at once only add to the load.
        Refusal::Overloaded { retry_after: self.hasher.expected_wait().max(Duration::from_secs(1)) }
    }
}
