//! The store's part in handing out and in erasing what is kept of a person.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

use super::session::Ended;
use super::staff::{Act, Acted};

/// One stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing is stored.
    Nothing,
    /// A text.
    Text(String),
    /// A time.
    Time(Timestamp),
    /// Yes or no.
    Flag(bool),
    /// A national id, sealed for the row of this guardian.
    NationalId(GuardianId, Sealed),
}

/// One stored row: names for the person, and values.
pub type HeldRow = Vec<(&'static str, Held)>;

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSection {
    /// What they are of, for the person, e.g. `sessions`.
    pub name: &'static str,
    /// The rows; of those with a time the newest ones, newest first.
    pub rows: Vec<HeldRow>,
    /// Whether there are more than are given out at once.
    pub is_cut: bool,
}

/// What was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedGuardian {
    /// The account, and those that were merged into it.
    pub accounts: Vec<GuardianId>,
    /// The sessions that ended.
    pub ended: Ended,
}

/// Whether a guardian was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseOutcome {
    /// Erased, now or before: then there are no accounts.
    Erased(ErasedGuardian),
    /// There is no such guardian in the member's scope: nothing was written.
    Unknown,
}

/// What persons may ask for.
#[async_trait]
pub trait DataSubjectStore: Send + Sync {
    /// Everything that is kept of a guardian, without secrets, also of accounts that were merged into this one; the
    /// event is written with it. `None`: there is no such guardian in the member's scope.
    ///
    /// # Errors
    /// [`PortError`].
    async fn held_of_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Option<Vec<HeldSection>>>, PortError>;

    /// Erases what is kept of a guardian, also of accounts that were merged into this one. `merged` stands for their
    /// events: the store fills the guardian, and makes an id of this one's.
    ///
    /// # Errors
    /// [`PortError`].
    async fn erase_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
        merged: &Event,
    ) -> Result<Acted<EraseOutcome>, PortError>;
}
