//! Who may call what: one table of rpcs and kinds of callers, and the organizations that a caller may act for.

use std::collections::HashMap;
use std::sync::Arc;

use tonic::Status;

use super::context::CallerContext;
use super::fields::Faults;
use super::status;
use crate::domain::caller::{Caller, CallerKind};
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::staff::{OnDuty, Task};

/// Who may call an rpc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches the port: health and reflection.
    Anyone,
    /// Known callers of these kinds.
    Kinds(&'static [CallerKind]),
}

/// One row: an rpc and who may call it.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// The path on the wire, exactly: `/package.Service/Method`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The kind of work that the staff member of the call must be allowed to do; `None`: it needs no staff member.
    pub task: Option<Task>,
}

impl Rpc {
    /// The name in logs and metrics: the path without its first slash.
    pub fn name(&self) -> &'static str {
        self.path.strip_prefix('/').unwrap_or(self.path)
    }

    /// Whether a known caller of this kind may call it.
    pub fn admits(&self, kind: CallerKind) -> bool {
        match self.access {
            Access::Anyone => true,
            Access::Kinds(kinds) => kinds.contains(&kind),
        }
    }
}

const PORTALS: Access = Access::Kinds(&[CallerKind::Portal, CallerKind::AdminPortal, CallerKind::Web]);
const ALL_KINDS: Access = Access::Kinds(&[
    CallerKind::Portal,
    CallerKind::AdminPortal,
    CallerKind::Sync,
    CallerKind::Operator,
    CallerKind::Web,
]);

const fn row(path: &'static str, access: Access) -> Rpc {
    Rpc { path, access, task: None }
}

/// An rpc of a staff service: for admin portals, with a staff member on duty who does this kind of work.
const fn staff(path: &'static str, task: Task) -> Rpc {
    Rpc { path, access: Access::Kinds(&[CallerKind::AdminPortal]), task: Some(task) }
}

/// Every rpc on the port. A test compares it with the descriptor set and the `Caller:` lines of the proto files;
/// what has no row is refused.
pub const RPCS: [Rpc; 58] = [
    row("/guardian.auth.v1.SessionService/VerifySession", PORTALS),
    row("/guardian.auth.v1.SessionService/RefreshSession", PORTALS),
    row("/guardian.auth.v1.SessionService/EndSession", PORTALS),
    row("/guardian.auth.v1.SessionService/EndAllSessions", PORTALS),
    row("/guardian.auth.v1.SessionService/ListSessions", PORTALS),
    row("/guardian.auth.v1.SessionService/GetSigningKeys", ALL_KINDS),
    row("/guardian.auth.v1.LoginService/ListLoginMethods", PORTALS),
    row("/guardian.auth.v1.LoginService/LoginWithPassword", PORTALS),
    row("/guardian.auth.v1.LoginService/ActivateCredential", PORTALS),
    row("/guardian.auth.v1.LoginOidcService/StartOidcLogin", PORTALS),
    row("/guardian.auth.v1.LoginOidcService/CompleteOidcLogin", PORTALS),
    row("/guardian.auth.v1.LoginBankIdService/StartBankIdLogin", PORTALS),
    row("/guardian.auth.v1.LoginBankIdService/WatchBankIdLogin", PORTALS),
    row("/guardian.auth.v1.LoginBankIdService/CompleteBankIdLogin", PORTALS),
    row("/guardian.auth.v1.LoginBankIdService/CancelBankIdLogin", PORTALS),
    row("/guardian.auth.v1.PasswordService/ChangePassword", PORTALS),
    row("/guardian.auth.v1.PasswordResetService/RequestPasswordReset", PORTALS),
    row("/guardian.auth.v1.PasswordResetService/InspectResetToken", PORTALS),
    row("/guardian.auth.v1.PasswordResetService/ConfirmPasswordReset", PORTALS),
    staff("/guardian.auth.v1.StaffService/InviteStaff", Task::ManageStaff),
    staff("/guardian.auth.v1.StaffService/ResendInvitation", Task::ManageStaff),
    staff("/guardian.auth.v1.StaffService/GetStaffMember", Task::SeeOneself),
    staff("/guardian.auth.v1.StaffService/ListStaff", Task::SeeStaff),
    staff("/guardian.auth.v1.StaffService/ChangeStaffRole", Task::ManageStaff),
    staff("/guardian.auth.v1.StaffService/DeactivateStaff", Task::ManageStaff),
    staff("/guardian.auth.v1.StaffService/ReactivateStaff", Task::ManageStaff),
    staff("/guardian.auth.v1.StaffService/ListSchools", Task::SeeOneself),
    staff("/guardian.auth.v1.FallbackCredentialService/IssueFallbackCredential", Task::Issue),
    staff("/guardian.auth.v1.FallbackCredentialService/RevokeFallbackCredential", Task::Issue),
    staff("/guardian.auth.v1.FallbackCredentialService/ListFallbackCredentials", Task::Look),
    staff("/guardian.auth.v1.FallbackCredentialService/ApproveIssuing", Task::Issue),
    staff("/guardian.auth.v1.GuardianService/SearchGuardians", Task::Look),
    staff("/guardian.auth.v1.GuardianService/GetGuardian", Task::Look),
    staff("/guardian.auth.v1.GuardianService/ShowNationalIds", Task::ShowNationalIds),
    staff("/guardian.auth.v1.GuardianService/AddChildLink", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/ConfirmChildLink", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/RemoveChildLink", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/ConfirmContract", Task::ManageContracts),
    staff("/guardian.auth.v1.GuardianService/RemoveContract", Task::ManageContracts),
    staff("/guardian.auth.v1.GuardianService/ChangeIdentifier", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/RejectNumberProposal", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/LockGuardian", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/UnlockGuardian", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/FindDuplicates", Task::FindDuplicates),
    staff("/guardian.auth.v1.GuardianService/MergeGuardians", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/UndoMerge", Task::Correct),
    staff("/guardian.auth.v1.GuardianService/ExportGuardian", Task::AnswerDataSubject),
    staff("/guardian.auth.v1.GuardianService/EraseGuardian", Task::AnswerDataSubject),
    staff("/guardian.auth.v1.GuardianService/ListAuditEvents", Task::Look),
    staff("/guardian.auth.v1.ChildService/SearchChildren", Task::Look),
    staff("/guardian.auth.v1.ChildService/FindDuplicateChildren", Task::FindDuplicates),
    staff("/guardian.auth.v1.ChildService/MergeChildren", Task::Correct),
    staff("/guardian.auth.v1.ChildService/UndoMergeChildren", Task::Correct),
    row("/grpc.health.v1.Health/Check", Access::Anyone),
    row("/grpc.health.v1.Health/List", Access::Anyone),
    row("/grpc.health.v1.Health/Watch", Access::Anyone),
    row("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Access::Anyone),
    row("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Access::Anyone),
];

/// Finds the row of a path. Anything but the exact path has none.
pub struct RpcTable(HashMap<&'static str, usize>);

impl Default for RpcTable {
    fn default() -> Self {
        Self(RPCS.iter().enumerate().map(|(index, rpc)| (rpc.path, index)).collect())
    }
}

impl RpcTable {
    /// The index in [`RPCS`].
    pub fn find(&self, path: &str) -> Option<usize> {
        self.0.get(path).copied()
    }
}

/// Whether a known caller may call the rpc with this index; `None` is an rpc without a row.
///
/// # Errors
/// `METHOD_UNKNOWN` or `CALLER_NOT_ALLOWED`.
pub fn admit(caller: &Caller, rpc: Option<usize>) -> Result<(), Status> {
    let row = rpc.and_then(|index| RPCS.get(index)).ok_or_else(status::method_unknown)?;
    if row.admits(caller.kind) { Ok(()) } else { Err(status::caller_not_allowed(&caller.name)) }
}

/// The organization, if the caller may act for this portal of it; notes it for the request log.
///
/// # Errors
/// `CALLER_NOT_ALLOWED`: the same for an organization that does not exist, one without this portal and one that is
/// not the caller's.
pub fn authorize(
    context: &CallerContext,
    organization: &OrganizationId,
    portal: Portal,
) -> Result<Arc<Organization>, Status> {
    context
        .shared
        .organizations
        .with_portal(organization, portal)
        .filter(|found| context.caller.may_act_for(&found.id, portal))
        .inspect(|found| context.record.note_organization(found))
        .ok_or_else(|| status::caller_not_allowed(&context.caller.name))
}

/// The organization of a call of staff, if the caller may act for its staff portal and the member may work in it; notes
/// it for the request log. Before any other field is looked at: access before validation.
///
/// # Errors
/// `INVALID_REQUEST` if it cannot be read; `CALLER_NOT_ALLOWED`; `STAFF_NOT_ALLOWED`: the same for an organization that
/// does not exist and one that is not the member's; `STAFF_TOKEN_INVALID` if no member is on duty; `STRONGER_LOGIN_NEEDED`
/// if this organization wants a stronger session than the member's own one.
pub fn authorize_staff(
    context: &CallerContext,
    organization: &str,
) -> Result<(Arc<Organization>, Arc<OnDuty>), Status> {
    let on_duty = context.on_duty.clone().ok_or_else(status::staff_token_invalid)?;
    let mut faults = Faults::default();
    let Some(id) = faults.organization("organization", organization) else { return Err(faults.refuse()) };
    if !on_duty.works_in(&id) {
        return Err(status::staff_not_allowed(on_duty.role));
    }
    let organization = authorize(context, &id, Portal::Staff)?;
    if !on_duty.is_strong_enough(&organization.staff) {
        return Err(status::stronger_login_needed());
    }
    Ok((organization, on_duty))
}

/// Reads the organization and the portal of a message and authorizes the caller for them, before any other field is
/// looked at: access before validation.
///
/// # Errors
/// `INVALID_REQUEST` if they cannot be read, else as [`authorize`].
pub fn authorize_fields(
    context: &CallerContext,
    organization: &str,
    portal: i32,
) -> Result<(Arc<Organization>, Portal), Status> {
    let mut faults = Faults::default();
    let organization = faults.organization("organization", organization);
    let portal = faults.portal("portal", portal);
    let (Some(organization), Some(portal)) = (organization, portal) else { return Err(faults.refuse()) };
    Ok((authorize(context, &organization, portal)?, portal))
}
