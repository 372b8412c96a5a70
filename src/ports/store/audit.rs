//! Audit events that belong to no other fact.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::ports::error::PortError;

/// Writing audit events on their own: refusals by limits, commands.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Writes the events in one transaction.
    ///
    /// # Errors
    /// [`PortError::Unavailable`].
    async fn record_events(&self, events: &[Event]) -> Result<(), PortError>;
}
