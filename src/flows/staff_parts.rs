//! What the flows of staff share: the store, keys, sessions that ended, time and randomness.

use std::sync::Arc;

use jiff::civil::Date;

use crate::domain::audit::{Event, Fact};
use crate::domain::id::GuardianId;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{Ended, Store};

use super::directory_import::date;
use super::duty::AtWork;

/// What every flow of staff is made of. Clones share it.
#[derive(Clone)]
pub struct StaffParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Seals numbers and page tokens.
    pub vault: Arc<dyn KeyVault>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl StaffParts {
    /// Tells this replica at once which sessions ended; the others learn it from the feed.
    pub fn note_ended(&self, ended: &Ended, at: Timestamp) {
        for session in &ended.sessions {
            self.revocations.note(session, at);
        }
    }

    /// The day, by which numbers without a century are read.
    ///
    /// # Errors
    /// [`PortError::Corrupt`] if the clock is beyond all dates.
    pub fn today(&self) -> Result<Date, PortError> {
        date(self.clock.now())
    }

    /// An event of a member's work on a guardian.
    pub fn event(&self, work: &AtWork, at: Timestamp, fact: Fact, guardian: &GuardianId) -> Event {
        work.event(self.entropy.as_ref(), at, fact, Some(guardian))
    }
}
