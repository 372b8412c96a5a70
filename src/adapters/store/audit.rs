//! Writing of the audit log.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::ports::error::PortError;
use crate::ports::store::{AuditStore, FailureCount};

use super::SqlStore;
use super::bind::push;
use super::bulk::Insert;
use super::unit::Unit;

const ADD_EVENT: Insert = Insert {
    name: "add_audit_event",
    head: "INSERT INTO audit_event (id, at_ms, organization, portal, kind, cause, guardian_id, session_id, \
           reference_code, caller, address, user_agent, known_device, consecutive_failures, password_closed, staff_id, \
           child_id, detail)",
    columns: 18,
    tail: "",
};

/// Writes the event of a fact.
pub(super) async fn record(unit: &mut Unit, event: &Event) -> Result<(), PortError> {
    record_counted(unit, event, None).await
}

/// Writes the event of a failure together with what it did to the counter. A password that closes has no event of
/// its own: a statement that runs then and only then would tell known accounts from unknown ones.
pub(super) async fn record_counted(
    unit: &mut Unit,
    event: &Event,
    count: Option<FailureCount>,
) -> Result<(), PortError> {
    add(unit, &[(event, count)]).await
}

/// Writes many events.
pub(super) async fn record_all(unit: &mut Unit, events: &[Event]) -> Result<(), PortError> {
    let uncounted: Vec<_> = events.iter().map(|event| (event, None)).collect();
    add(unit, &uncounted).await
}

async fn add(unit: &mut Unit, events: &[(&Event, Option<FailureCount>)]) -> Result<(), PortError> {
    ADD_EVENT
        .run(unit, events, |(event, count), arguments| {
            push(arguments, &event.id);
            push(arguments, &event.at);
            push(arguments, &event.organization);
            push(arguments, &event.portal);
            push(arguments, event.fact.kind());
            push(arguments, &event.fact.cause());
            push(arguments, &event.guardian);
            push(arguments, &event.session);
            push(arguments, &event.reference);
            push(arguments, &event.caller);
            push(arguments, &event.address.map(|address| address.to_string()));
            push(arguments, &event.user_agent);
            push(arguments, &event.known_device);
            push(arguments, &count.map(|count| count.consecutive));
            push(arguments, &count.is_some_and(|count| count.closed_now));
            push(arguments, &event.staff);
            push(arguments, &event.child);
            push(arguments, &event.detail);
        })
        .await
        .map(|_| ())
}

#[async_trait]
impl AuditStore for SqlStore {
    async fn record_events(&self, events: &[Event]) -> Result<(), PortError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut unit = self.write().await?;
        record_all(&mut unit, events).await?;
        unit.commit().await
    }
}
