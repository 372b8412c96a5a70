//! The store's part in the work of staff: who is on duty, and what every act of theirs carries.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::organization::OrganizationId;
use crate::domain::staff::{Role, Scope};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

/// A staff member's rights, as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffRights {
    /// The organization of the account.
    pub organization: OrganizationId,
    /// The role.
    pub role: Role,
    /// For whom.
    pub scope: Scope,
    /// Changes with role, scope and state.
    pub revision: i64,
}

/// What every change by staff carries: looked at and written in the transaction of the change.
#[derive(Clone, Debug)]
pub struct Act {
    /// In whose data.
    pub organization: OrganizationId,
    /// Who does it.
    pub staff: GuardianId,
    /// The revision of the member's rights as they were read: nothing happens if it is another by now, or the member was
    /// deactivated.
    pub revision: i64,
    /// The request, if the caller gave it an id.
    pub request: Option<RequestKey>,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub events: Vec<Event>,
}

/// A request of staff that may be repeated. Kept for [`REQUEST_RETENTION`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's id of it: a UUID in lower case.
    pub id: String,
    /// Keyed digest of rpc and message.
    pub digest: [u8; 32],
}

/// How long a repeated request is known: a day (design: request ids).
pub const REQUEST_RETENTION: std::time::Duration = std::time::Duration::from_hours(24);

/// What came of a change by staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acted<T> {
    /// It was looked at, with this outcome; written if the outcome says so.
    Now(T),
    /// The same request was carried out before: nothing was written. The id that it made, if it made one.
    Before(Option<String>),
    /// The id of the request is that of another request: nothing was written.
    OtherRequest,
    /// The staff member is not on duty any more, or with other rights: nothing was written.
    OffDuty,
}

/// Who may work.
#[async_trait]
pub trait DutyStore: Send + Sync {
    /// The rights of an account that is an active staff member's; `None` for every other one.
    ///
    /// # Errors
    /// [`PortError`].
    async fn staff_rights(&self, account: &GuardianId) -> Result<Option<StaffRights>, PortError>;

    /// Drops requests that were carried out before; says how many.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_staff_requests(&self, before: Timestamp) -> Result<u64, PortError>;
}
