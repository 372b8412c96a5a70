//! May this attempt go on? Answered once, for all buckets together, before any secret is looked at.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::limits::Reservation;

/// Proof that an attempt was charged. Its private field means that only [`reserve`] makes one, and
/// `PasswordHasher::verify` consumes it: no secret is checked before a limit was spent.
#[derive(Debug)]
pub struct Admitted(());

/// What was charged, to be given back at most once: it is consumed, and not `Clone`.
#[must_use = "keep it until the attempt is decided: a right password gives it back"]
#[derive(Debug)]
pub struct Receipt {
    reservation: Reservation,
    ledger: Ledger,
}

impl Receipt {
    /// For adapters, which give back exactly this.
    pub fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Which set of counters was charged.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }
}

/// Which counters an attempt was charged to: a reservation made in one ledger is never given back in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ledger {
    /// Counters shared by all replicas.
    Shared,
    /// This process's own counters.
    Local,
}

/// What the counters said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// All buckets had room and were charged.
    Admitted(Ledger),
    /// At least one bucket was full; none was charged. Room for this attempt after `retry_after`.
    Refused {
        /// Time until all buckets have room, if nobody else takes it.
        retry_after: Duration,
    },
}

/// Counters over a reservation's buckets.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Charges all buckets or none. It always answers: without its store it decides from local counters,
    /// never open and never closed for ever.
    async fn decide(&self, reservation: &Reservation) -> Decision;

    /// Takes one charge off each bucket of the receipt; never below empty. Does not wait for the outside.
    fn give_back(&self, receipt: Receipt);
}

/// Asks the limiter; the one maker of [`Admitted`].
///
/// # Errors
/// The time after which to try again, if a bucket is full.
pub async fn reserve(
    limiter: &dyn RateLimiter,
    reservation: Reservation,
) -> Result<(Admitted, Receipt), Duration> {
    match limiter.decide(&reservation).await {
        Decision::Admitted(ledger) => Ok((Admitted(()), Receipt { reservation, ledger })),
        Decision::Refused { retry_after } => Err(retry_after),
    }
}
