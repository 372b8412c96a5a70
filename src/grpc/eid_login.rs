//! What the services of all eIDs have in common: their secrets, and the answers to what failed.

use tonic::Status;

use super::context::CallerContext;
use super::fields::Faults;
use super::login::attempt_failed;
use super::status::{self, FaultReason};
use crate::domain::secret::Secret;
use crate::flows::eid_login::Error;

/// Longest secret of an attempt that is looked at; ours have 47 characters.
pub(super) const MAX_SECRET_BYTES: usize = 128;

/// The answer to a login that failed.
pub(super) fn failed(context: &CallerContext, error: Error) -> Status {
    match error {
        Error::AttemptInvalid(reference) => status::login_attempt_invalid(&reference),
        Error::NotFinished => status::login_not_finished(),
        Error::Failed { message_id, reference } => status::eid_login_failed(message_id, &reference),
        Error::Denied(reference) => status::eid_login_denied(&reference),
        Error::Attempt(error) => attempt_failed(context, error),
    }
}

/// An optional secret of at most `max_bytes` without white space and control characters.
#[expect(clippy::option_option, reason = "the outer one says whether it was well-formed, as in all helpers")]
pub(super) fn optional_secret(
    faults: &mut Faults,
    field: &'static str,
    value: String,
    max_bytes: usize,
) -> Option<Option<Secret<String>>> {
    let value = Secret::new(value);
    if value.expose().is_empty() {
        return Some(None);
    }
    if value.expose().len() > max_bytes {
        faults.add(field, FaultReason::TooLong, "longer than the proto file says");
        return None;
    }
    if !value.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.add(field, FaultReason::Malformed, "not of the form that the proto file says");
        return None;
    }
    Some(Some(value))
}
