//! How every handler of a staff service begins, and what it answers when nothing was done.

use std::sync::Arc;

use tonic::Status;

use super::access::authorize_staff;
use super::context::CallerContext;
use super::fields::Faults;
use super::status::{self, FaultReason};
use crate::domain::identifier::NationalId;
use crate::domain::organization::{Organization, Portal};
use crate::flows::duty::{AtWork, Refused};
use crate::ports::store::RequestKey;
use crate::proto;

/// Longest number as typed (`identifiers.md`, common screen).
pub const MAX_NUMBER_BYTES: usize = 32;
/// Characters of a UUID in its usual form.
const UUID_LENGTH: usize = 36;

/// The staff member at work in the organization of a message: access before validation.
///
/// # Errors
/// As [`authorize_staff`].
pub fn at_work(context: &CallerContext, organization: &str) -> Result<AtWork, Status> {
    let (organization, on_duty) = authorize_staff(context, organization)?;
    Ok(AtWork { on_duty, organization, caller: Arc::clone(&context.caller), request: None })
}

/// The key of a request that the caller gave an id, for [`AtWork::request`]; `Some(None)` without one. `message` is the
/// encoded message.
pub fn request_key(
    faults: &mut Faults,
    context: &CallerContext,
    request_id: &str,
    message: &[u8],
) -> Option<Option<RequestKey>> {
    let id = faults.optional_parsed("request_id", request_id, uuid)?;
    Some(id.map(|id| context.request_key(id, message)))
}

/// A required national id as typed, by the rules of the organization's region.
pub fn national_id(
    faults: &mut Faults,
    context: &CallerContext,
    field: &'static str,
    organization: &Organization,
    typed: String,
) -> Option<NationalId> {
    let typed = faults.text(field, typed, MAX_NUMBER_BYTES)?;
    match NationalId::parse(&typed, organization.region, context.today()) {
        Ok(id) => Some(id),
        Err(rejection) => {
            faults.add(field, FaultReason::Malformed, rejection.reason());
            None
        }
    }
}

/// The answer to a change that was not looked at.
pub fn refused(work: &AtWork, refused: Refused) -> Status {
    match refused {
        Refused::OffDuty => status::staff_not_allowed(work.on_duty.role),
        Refused::OtherRequest => {
            let mut faults = Faults::default();
            let description = "this id was used with another request: make a new one for each request";
            faults.add("request_id", FaultReason::NotAllowed, description);
            faults.refuse()
        }
    }
}

/// A portal on the wire.
pub const fn wire_portal(portal: Portal) -> proto::Portal {
    match portal {
        Portal::Parent => proto::Portal::Parent,
        Portal::Childminder => proto::Portal::Childminder,
        Portal::Staff => proto::Portal::Staff,
    }
}

/// Reads a UUID in its usual form, of any version; lower case, so that one id has one spelling.
fn uuid(text: &str) -> Option<String> {
    let formed = text.len() == UUID_LENGTH
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    formed.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn a_request_id_is_a_uuid_of_one_spelling() {
        let lower = "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10";
        assert_eq!(uuid(&lower.to_uppercase()).as_deref(), Some(lower));
        for wrong in ["", "0191d9a05b1c7cc29a778a5c6f2f9b10", "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b1g", "é"] {
            assert_eq!(uuid(wrong), None, "{wrong}");
        }
    }
}
