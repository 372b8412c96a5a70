//! What happened.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::domain::id::GuardianId;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::flows::audit_events::Error;
use crate::grpc::at_work::{at_work, wire_portal};
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::login::timestamp;
use crate::grpc::name_words::{foreign_page_token, page};
use crate::grpc::status::FaultReason;
use crate::ports::store::{EventFilter, StoredEvent};
use crate::proto;

/// Longest reference code as typed.
const MAX_REFERENCE_BYTES: usize = 32;

pub(super) async fn list_audit_events(
    handlers: &GuardianHandlers,
    request: Request<proto::ListAuditEventsRequest>,
) -> Result<Response<proto::ListAuditEventsResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let filter = filter(&mut faults, &message);
    let page = page(&mut faults, message.page_size, &message.page_token);
    let (Some(filter), Some(page)) = (filter, page) else { return Err(faults.refuse()) };
    let found = handlers.events.list(&work, &filter, &page).await.map_err(|error| match error {
        Error::WholeOrganization => {
            let mut faults = Faults::default();
            let description = "staff whose scope is some schools say of whom, or which reference code";
            faults.add("guardian_id", FaultReason::Missing, description);
            faults.refuse()
        }
        Error::PageToken => foreign_page_token().refuse(),
        Error::Port(error) => context.port_failed(&error),
    })?;
    Ok(Response::new(proto::ListAuditEventsResponse {
        events: found.rows.into_iter().map(event).collect(),
        next_page_token: found.next.unwrap_or_default(),
    }))
}

fn filter(faults: &mut Faults, message: &proto::ListAuditEventsRequest) -> Option<EventFilter> {
    let guardian = faults.optional_parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let reference =
        faults.optional_text("reference_code", message.reference_code.clone(), MAX_REFERENCE_BYTES);
    let reference =
        reference.and_then(|typed| faults.optional_parsed("reference_code", &typed, ReferenceCode::parse));
    let staff = faults.optional_parsed("staff_id", &message.staff_id, GuardianId::parse);
    let begin = time(faults, "begin_time", message.begin_time);
    let end = time(faults, "end_time", message.end_time);
    Some(EventFilter { guardian: guardian?, reference: reference?, staff: staff?, begin: begin?, end: end? })
}

/// A point in time, rounded down to a millisecond, as events are.
#[expect(clippy::option_option, reason = "the outer one says whether it was well-formed, as in all helpers")]
fn time(
    faults: &mut Faults,
    field: &'static str,
    value: Option<prost_types::Timestamp>,
) -> Option<Option<Timestamp>> {
    let Some(value) = value else { return Some(None) };
    let is_formed = (0..1_000_000_000).contains(&value.nanos);
    let ms =
        value.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(value.nanos / 1_000_000)));
    if let Some(ms) = ms.filter(|_| is_formed) {
        return Some(Some(Timestamp::from_millis(ms)));
    }
    faults.add(field, FaultReason::OutOfRange, "not a point in time");
    None
}

fn event(event: StoredEvent) -> proto::AuditEvent {
    proto::AuditEvent {
        event_id: event.id.as_str().to_owned(),
        event_time: Some(timestamp(event.at)),
        kind: event.kind,
        cause: event.cause.unwrap_or_default(),
        portal: event.portal.map_or(proto::Portal::Unspecified, wire_portal).into(),
        guardian_id: event.guardian.unwrap_or_default(),
        child_id: event.child.unwrap_or_default(),
        session_id: event.session.unwrap_or_default(),
        staff_id: event.staff.unwrap_or_default(),
        reference_code: event.reference.unwrap_or_default(),
        caller: event.caller,
        ip: event.address.unwrap_or_default(),
        user_agent: event.user_agent,
        detail: event.detail.unwrap_or_default(),
    }
}
