//! What the flows of staff share: the store, keys, sessions that ended, time and randomness.

use std::sync::Arc;

use crate::domain::audit::{Event, Fact};
use crate::domain::id::GuardianId;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{Ended, Store};

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

    /// An event of a member's work on a guardian.
    pub fn event(&self, work: &AtWork, at: Timestamp, fact: Fact, guardian: &GuardianId) -> Event {
        work.event(self.entropy.as_ref(), at, fact, Some(guardian))
    }
}
