//! Reading of the audit log, newest first, by the index of what was asked for.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::id::AuditEventId;
use crate::domain::organization::Portal;
use crate::domain::staff::Scope;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{AuditEventsStore, EventFilter, StoredEvent, Viewer};

use super::SqlStore;
use super::act::guardian_in_scope;
use super::bind::bind;
use super::row::Columns;
use super::statement::Statement;

/// Later than anything.
const END_OF_TIME: i64 = i64::MAX;

/// Sorts behind every id.
const BEHIND_ALL_IDS: &str = "~";

/// `$1` is what is looked up, `$2` the organization, `$3` the member; `$4` and `$5` the event to go on behind; `$6` to `$8`
/// are further conditions, or `''`; `$9` the begin; `$10` whether the scope is looked at; `$11` the limit. `$4` stands
/// twice, so that the index is entered at the right place.
macro_rules! events_by {
    ($index:literal) => {
        concat!(
            "SELECT e.id, e.at_ms, e.kind, e.cause, e.portal, e.guardian_id, e.child_id, e.session_id, e.staff_id, \
                 e.reference_code, e.caller, e.address, e.user_agent, e.detail \
             FROM audit_event e WHERE e.organization = $2 AND ",
            $index,
            " AND e.at_ms <= $4 AND (e.at_ms < $4 OR e.id < $5) AND e.at_ms >= $9 \
               AND ($6 = '' OR e.guardian_id = $6) AND ($7 = '' OR e.staff_id = $7) \
               AND ($8 = '' OR e.reference_code = $8) \
               AND ($10 = 0 OR e.guardian_id IS NULL \
                    OR EXISTS (SELECT 1 FROM guardian g WHERE g.id = e.guardian_id AND ",
            guardian_in_scope!(),
            " LIMIT 1 OFFSET 0)) ORDER BY e.at_ms DESC, e.id DESC LIMIT $11"
        )
    };
}

const BY_REFERENCE: Statement = Statement::new(
    "list_events_by_reference",
    events_by!("e.reference_code IS NOT NULL AND e.reference_code = $1"),
);

const BY_GUARDIAN: Statement =
    Statement::new("list_events_of_guardian", events_by!("e.guardian_id IS NOT NULL AND e.guardian_id = $1"));

const BY_STAFF: Statement =
    Statement::new("list_events_of_staff", events_by!("e.staff_id IS NOT NULL AND e.staff_id = $1"));

/// With a parameter more than it needs: the four take the same ones.
const BY_TIME: Statement = Statement::new("list_events", events_by!("$1 = ''"));

fn event(row: &AnyRow) -> Result<StoredEvent, PortError> {
    Ok(StoredEvent {
        id: row.parsed("id", AuditEventId::parse)?,
        at: row.time("at_ms")?,
        kind: row.column("kind")?,
        cause: row.column("cause")?,
        portal: row.parsed_or_none("portal", Portal::parse)?,
        guardian: row.column("guardian_id")?,
        child: row.column("child_id")?,
        session: row.column("session_id")?,
        staff: row.column("staff_id")?,
        reference: row.column("reference_code")?,
        caller: row.column("caller")?,
        address: row.column("address")?,
        user_agent: row.column("user_agent")?,
        detail: row.column("detail")?,
    })
}

#[async_trait]
impl AuditEventsStore for SqlStore {
    async fn audit_events(
        &self,
        viewer: &Viewer,
        filter: &EventFilter,
        after: Option<&(Timestamp, AuditEventId)>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, PortError> {
        let guardian = filter.guardian.as_ref().map_or("", |guardian| guardian.as_str());
        let staff = filter.staff.as_ref().map_or("", |staff| staff.as_str());
        let reference = filter.reference.as_ref().map_or("", |reference| reference.as_str());
        // The one that fewest events have.
        let (statement, key) = if !reference.is_empty() {
            (&BY_REFERENCE, reference)
        } else if !guardian.is_empty() {
            (&BY_GUARDIAN, guardian)
        } else if !staff.is_empty() {
            (&BY_STAFF, staff)
        } else {
            (&BY_TIME, "")
        };
        // Before the end: at the last millisecond before it, whatever the id.
        let end = filter.end.map_or(END_OF_TIME, |end| end.as_millis().saturating_sub(1));
        let (at, id) = after.map_or((end, BEHIND_ALL_IDS), |(at, id)| (at.as_millis(), id.as_str()));
        let begin = filter.begin.map_or(0, Timestamp::as_millis);
        let is_scoped = i64::from(viewer.scope != Scope::Organization);
        let values = bind![
            key,
            viewer.organization,
            viewer.staff,
            at,
            id,
            guardian,
            staff,
            reference,
            begin,
            is_scoped,
            i64::from(limit),
        ];
        self.read().await?.rows(statement, values).await?.iter().map(event).collect()
    }
}
