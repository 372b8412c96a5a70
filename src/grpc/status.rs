//! The only maker of statuses: one constructor per [`ErrorReason`], each with exactly one `google.rpc.ErrorInfo`.
//!
//! Messages are fixed English for developers. No status carries a value that a caller sent.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::domain::id::{GuardianId, IncidentId, SchoolId};
use crate::domain::organization::Portal;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::session::Method;
use crate::domain::staff::Role;
use crate::proto::ErrorReason;

/// `ErrorInfo.domain` of every error of this service.
pub const DOMAIN: &str = "guardian-auth";

/// What is wrong with a field: `FieldViolation.reason`. The value itself is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultReason {
    /// A required field is empty.
    Missing,
    /// It is longer than the proto file says.
    TooLong,
    /// It is shorter than the rule asks.
    TooShort,
    /// It has not the form that the proto file says.
    Malformed,
    /// It is a number outside of the range that the proto file says.
    OutOfRange,
    /// It is well-formed, but this caller may not send it.
    NotAllowed,
    /// The password is on the list of common passwords.
    CommonPassword,
    /// The password is a word of the organization.
    OrganizationWord,
    /// The password is a name of the account.
    AccountName,
    /// The password holds a control character.
    ControlCharacter,
    /// The password is the same as the one before.
    SameAsCurrent,
    /// The message as a whole cannot be read: not the bytes of this message, or compressed.
    Undecodable,
}

impl FaultReason {
    /// All reasons, for documentation tests.
    pub const ALL: [Self; 12] = [
        Self::Missing,
        Self::TooLong,
        Self::TooShort,
        Self::Malformed,
        Self::OutOfRange,
        Self::NotAllowed,
        Self::CommonPassword,
        Self::OrganizationWord,
        Self::AccountName,
        Self::ControlCharacter,
        Self::SameAsCurrent,
        Self::Undecodable,
    ];

    /// The name in `FieldViolation.reason` and in docs/errors.md.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::TooLong => "TOO_LONG",
            Self::TooShort => "TOO_SHORT",
            Self::Malformed => "MALFORMED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::CommonPassword => "COMMON_PASSWORD",
            Self::OrganizationWord => "ORGANIZATION_WORD",
            Self::AccountName => "ACCOUNT_NAME",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::SameAsCurrent => "SAME_AS_CURRENT",
            Self::Undecodable => "UNDECODABLE",
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Path of the field in the request message, e.g. `client.ip`; the header's name for a header.
    pub field: &'static str,
    /// What is wrong, for programs.
    pub reason: FaultReason,
    /// What is wrong, for developers. Fixed text.
    pub description: &'static str,
}

/// What the request log and metrics want to know of a status, without decoding it. Kept as the status's source,
/// which never leaves the process. A status without it was not made here.
#[derive(Debug)]
pub struct Outcome {
    /// The reason.
    pub reason: ErrorReason,
    /// The code that a person was shown.
    pub reference: Option<ReferenceCode>,
    /// The incident whose line in the log says more.
    pub incident: Option<IncidentId>,
}

impl Outcome {
    /// The outcome that a status was made with; `None` if it was not made here.
    pub fn of(status: &Status) -> Option<&Self> {
        status.source().and_then(|source| source.downcast_ref())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(reason_name(self.reason))
    }
}

impl Error for Outcome {}

/// The name of a reason as `ErrorInfo.reason`: the enum's name without its prefix.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// The name of a code as in logs and metrics, e.g. `INVALID_ARGUMENT`.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Fields are missing or malformed.
pub fn invalid_request(faults: &[FieldFault]) -> Status {
    Making::of(Code::InvalidArgument, ErrorReason::InvalidRequest, "the request is not valid; see BadRequest")
        .bad_request(faults)
        .make()
}

/// The one public answer of a failed login.
pub fn invalid_credentials(reference: &ReferenceCode) -> Status {
    Making::of(Code::Unauthenticated, ErrorReason::InvalidCredentials, "login name or password is wrong")
        .reference(Some(reference))
        .make()
}

/// The password or eID is right, but for the other guardian portal.
pub fn wrong_portal(right: Portal, reference: &ReferenceCode) -> Status {
    Making::of(Code::FailedPrecondition, ErrorReason::WrongPortal, "the account belongs to another portal")
        .metadata("portal", right.as_str())
        .reference(Some(reference))
        .make()
}

/// Too many failed attempts; try again after `retry_after`.
pub fn rate_limited(retry_after: Duration, reference: Option<&ReferenceCode>) -> Status {
    Making::of(Code::ResourceExhausted, ErrorReason::RateLimited, "too many attempts; see RetryInfo")
        .reference(reference)
        .retry_after(retry_after)
        .make()
}

/// No room to check another password now; try again after `retry_after`.
pub fn overloaded(retry_after: Duration, reference: Option<&ReferenceCode>) -> Status {
    Making::of(Code::ResourceExhausted, ErrorReason::Overloaded, "no room for this now; see RetryInfo")
        .reference(reference)
        .retry_after(retry_after)
        .make()
}

/// No certificate, bearer token or origin matches a configured caller, or two of them match different ones.
pub fn caller_unknown() -> Status {
    Making::of(Code::Unauthenticated, ErrorReason::CallerUnknown, "the calling system is not known").make()
}

/// The caller may not call this rpc, or not for this organization or portal.
pub fn caller_not_allowed(caller: &str) -> Status {
    Making::of(Code::PermissionDenied, ErrorReason::CallerNotAllowed, "the calling system may not do this")
        .metadata("caller", caller)
        .make()
}

/// No valid access token of an active staff member was shown.
pub fn staff_token_invalid() -> Status {
    Making::of(
        Code::Unauthenticated,
        ErrorReason::StaffTokenInvalid,
        "guardian-staff-token is missing or not valid",
    )
    .make()
}

/// The staff member's role, organization or schools do not allow it.
pub fn staff_not_allowed(role: Role) -> Status {
    Making::of(Code::PermissionDenied, ErrorReason::StaffNotAllowed, "the staff member may not do this")
        .metadata("role", role.as_str())
        .make()
}

/// It needs a session by eID.
pub fn stronger_login_needed() -> Status {
    let message = "this needs a session by eID";
    Making::of(Code::PermissionDenied, ErrorReason::StrongerLoginNeeded, message)
        .metadata("acr", Method::Eid.acr())
        .make()
}

/// There is no such thing in the staff member's scope; `field` names it in the request.
pub fn not_found(field: &'static str) -> Status {
    Making::of(Code::NotFound, ErrorReason::NotFound, "there is no such thing in the staff member's scope")
        .metadata("field", field)
        .make()
}

/// The value of `field` is another account's: `holder`, if that is in the staff member's scope.
pub fn already_exists(field: &'static str, holder: Option<&GuardianId>) -> Status {
    let making = Making::of(Code::AlreadyExists, ErrorReason::AlreadyExists, "another account has it")
        .metadata("field", field);
    match holder {
        Some(holder) => making.metadata("guardian_id", holder.as_str()).make(),
        None => making.make(),
    }
}

/// Staff have confirmed no relation of the guardian.
pub fn link_not_confirmed() -> Status {
    let message = "no child link or contract of the guardian is confirmed by staff";
    Making::of(Code::FailedPrecondition, ErrorReason::LinkNotConfirmed, message).make()
}

/// The school has as many support persons as it may have.
pub fn staff_limit_reached(school: &SchoolId, limit: u32) -> Status {
    let message = "the school has as many support persons as it may have";
    Making::of(Code::FailedPrecondition, ErrorReason::StaffLimitReached, message)
        .metadata("school_id", school.as_str())
        .metadata("limit", &limit.to_string())
        .make()
}

/// Another administrator must let the staff member issue more.
pub fn issuing_needs_approval(staff: &GuardianId, limit: u32) -> Status {
    let message = "too many credentials in an hour: another administrator calls ApproveIssuing first";
    Making::of(Code::FailedPrecondition, ErrorReason::IssuingNeedsApproval, message)
        .metadata("staff_id", staff.as_str())
        .metadata("limit", &limit.to_string())
        .make()
}

/// Things are not in the state that it needs; `conflict` says in which they are (docs/errors.md).
pub fn state_conflict(conflict: &'static str) -> Status {
    Making::of(
        Code::FailedPrecondition,
        ErrorReason::StateConflict,
        "things are not in the state that this needs",
    )
    .metadata("conflict", conflict)
    .make()
}

/// The access or refresh token is not valid (any more).
pub fn session_invalid() -> Status {
    Making::of(Code::Unauthenticated, ErrorReason::SessionInvalid, "the session is not valid").make()
}

/// The new password breaks the rule.
pub fn password_refused(faults: &[FieldFault]) -> Status {
    Making::of(
        Code::InvalidArgument,
        ErrorReason::PasswordRefused,
        "the new password is refused; see BadRequest",
    )
    .bad_request(faults)
    .make()
}

/// The token for changing a password was never valid, is used, or is too old.
pub fn change_token_invalid(reference: &ReferenceCode) -> Status {
    Making::of(Code::Unauthenticated, ErrorReason::ChangeTokenInvalid, "the change token is not valid")
        .reference(Some(reference))
        .make()
}

/// The token of a reset link was never valid, is used, is too old, or the account changed since.
pub fn reset_token_invalid(reference: &ReferenceCode) -> Status {
    Making::of(Code::Unauthenticated, ErrorReason::ResetTokenInvalid, "the reset token is not valid")
        .reference(Some(reference))
        .make()
}

/// The attempt to log in with an eID was never begun, was begun in another browser, is used or is too old.
pub fn login_attempt_invalid(reference: &ReferenceCode) -> Status {
    Making::of(Code::Unauthenticated, ErrorReason::LoginAttemptInvalid, "the login attempt is not valid")
        .reference(Some(reference))
        .make()
}

/// BankID is still under way.
pub fn login_not_finished() -> Status {
    Making::of(Code::FailedPrecondition, ErrorReason::LoginNotFinished, "the login is still under way").make()
}

/// The eID did not say who the person is. `message_id` is what BankID has a text for.
pub fn eid_login_failed(message_id: Option<&'static str>, reference: &ReferenceCode) -> Status {
    let making = Making::of(Code::Unauthenticated, ErrorReason::EidLoginFailed, "the eID named nobody")
        .reference(Some(reference));
    match message_id {
        Some(id) => making.metadata("message_id", id).make(),
        None => making.make(),
    }
}

/// The person is known, and there is no account here that this person can use.
pub fn eid_login_denied(reference: &ReferenceCode) -> Status {
    Making::of(
        Code::PermissionDenied,
        ErrorReason::EidLoginDenied,
        "there is no account for this person to use",
    )
    .reference(Some(reference))
    .make()
}

/// A dependency that the answer needs is away.
pub fn dependency_unavailable(dependency: &'static str) -> Status {
    Making::of(Code::Unavailable, ErrorReason::DependencyUnavailable, "a dependency is not available")
        .metadata("dependency", dependency)
        .make()
}

/// The caller's deadline passed.
pub fn deadline_exceeded() -> Status {
    Making::of(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, "the deadline passed").make()
}

/// A defect; the log has a line with this id. Made through [`super::incident::Incidents`], which writes that line.
pub fn internal(incident: IncidentId) -> Status {
    let mut making =
        Making::of(Code::Internal, ErrorReason::Internal, "internal error; see the log by incident id")
            .metadata("incident_id", incident.as_str());
    making.incident = Some(incident);
    making.make()
}

/// No such rpc.
pub fn method_unknown() -> Status {
    Making::of(Code::Unimplemented, ErrorReason::MethodUnknown, "no such rpc").make()
}

/// A status on its way to be made.
struct Making {
    code: Code,
    reason: ErrorReason,
    message: &'static str,
    metadata: HashMap<String, String>,
    reference: Option<ReferenceCode>,
    incident: Option<IncidentId>,
    retry_after: Option<Duration>,
    bad_request: Option<pb::BadRequest>,
}

impl Making {
    fn of(code: Code, reason: ErrorReason, message: &'static str) -> Self {
        Self {
            code,
            reason,
            message,
            metadata: HashMap::new(),
            reference: None,
            incident: None,
            retry_after: None,
            bad_request: None,
        }
    }

    fn metadata(mut self, key: &'static str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    fn reference(mut self, reference: Option<&ReferenceCode>) -> Self {
        self.reference = reference.cloned();
        match reference {
            Some(code) => self.metadata("reference_code", code.as_str()),
            None => self,
        }
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    fn bad_request(mut self, faults: &[FieldFault]) -> Self {
        let field_violations = faults
            .iter()
            .map(|fault| pb::bad_request::FieldViolation {
                field: fault.field.to_owned(),
                description: fault.description.to_owned(),
                reason: fault.reason.as_str().to_owned(),
                localized_message: None,
            })
            .collect();
        self.bad_request = Some(pb::BadRequest { field_violations });
        self
    }

    fn make(self) -> Status {
        let info = pb::ErrorInfo {
            reason: reason_name(self.reason).to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: self.metadata,
        };
        let mut details = vec![packed("ErrorInfo", &info)];
        if let Some(wait) = self.retry_after {
            let retry_delay = prost_types::Duration::try_from(wait).ok();
            details.push(packed("RetryInfo", &pb::RetryInfo { retry_delay }));
        }
        if let Some(bad_request) = &self.bad_request {
            details.push(packed("BadRequest", bad_request));
        }
        let rich = pb::Status { code: self.code as i32, message: self.message.to_owned(), details };
        let mut status = Status::with_details(self.code, self.message, rich.encode_to_vec().into());
        status.set_source(Arc::new(Outcome {
            reason: self.reason,
            reference: self.reference,
            incident: self.incident,
        }));
        status
    }
}

fn packed(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}
