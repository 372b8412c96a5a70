//! Locking and unlocking accounts.

use crate::domain::audit::{Event, Fact};
use crate::domain::guardian_lock::LockReason;
use crate::domain::id::GuardianId;

use super::duty::AtWork;
use super::guardian_change::{Error, settled};
use super::staff_parts::StaffParts;

/// Locking accounts.
pub struct GuardianLockFlow {
    /// What it works with.
    pub parts: StaffParts,
}

impl GuardianLockFlow {
    /// Locks an account; the number of live sessions that ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn lock(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        reason: LockReason,
    ) -> Result<usize, Error> {
        let now = self.parts.clock.now();
        let event = self.parts.event(work, now, Fact::GuardianLocked, guardian);
        let event = Event { detail: Some(reason.as_str().to_owned()), ..event };
        let act = work.act(now, vec![event]);
        let ended = settled(self.parts.store.lock_guardian(&act, guardian).await?)?;
        Ok(ended.map_or(0, |ended| {
            self.parts.note_ended(&ended, now);
            ended.live
        }))
    }

    /// Unlocks an account.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unlock(&self, work: &AtWork, guardian: &GuardianId) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let act = work.act(now, vec![self.parts.event(work, now, Fact::GuardianUnlocked, guardian)]);
        settled(self.parts.store.unlock_guardian(&act, guardian).await?).map(|_| ())
    }
}
