//! Events of the audit log as staff read them.

use async_trait::async_trait;

use crate::domain::id::{AuditEventId, GuardianId};
use crate::domain::organization::Portal;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

use super::guardian_search::Viewer;

/// Which events.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// About this guardian.
    pub guardian: Option<GuardianId>,
    /// With this code.
    pub reference: Option<ReferenceCode>,
    /// What this staff member did.
    pub staff: Option<GuardianId>,
    /// Not before this.
    pub begin: Option<Timestamp>,
    /// Before this.
    pub end: Option<Timestamp>,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its id.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: String,
    /// Why.
    pub cause: Option<String>,
    /// Where.
    pub portal: Option<Portal>,
    /// Whom it concerns.
    pub guardian: Option<String>,
    /// Which child.
    pub child: Option<String>,
    /// Which session.
    pub session: Option<String>,
    /// Who of the staff.
    pub staff: Option<String>,
    /// The code that was shown.
    pub reference: Option<String>,
    /// The system that called.
    pub caller: String,
    /// The end user's address.
    pub address: Option<String>,
    /// The end user's user agent.
    pub user_agent: String,
    /// More about it.
    pub detail: Option<String>,
}

/// Reading the audit log.
#[async_trait]
pub trait AuditEventsStore: Send + Sync {
    /// At most `limit` events, newest first, from behind `after` on. To a member whose scope is some schools only those
    /// about guardians in it, and those about nobody.
    ///
    /// # Errors
    /// [`PortError`].
    async fn audit_events(
        &self,
        viewer: &Viewer,
        filter: &EventFilter,
        after: Option<&(Timestamp, AuditEventId)>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, PortError>;
}
