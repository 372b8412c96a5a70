//! Who may call what: one table of rpcs and kinds of callers, and the organizations that a caller may act for.

use std::collections::HashMap;
use std::sync::Arc;

use tonic::Status;

use super::context::CallerContext;
use super::fields::Faults;
use super::status;
use crate::domain::caller::{Caller, CallerKind};
use crate::domain::organization::{Organization, OrganizationId, Portal};

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
    Rpc { path, access }
}

/// Every rpc on the port. A test compares it with the descriptor set and the `Caller:` lines of the proto files;
/// what has no row is refused.
pub const RPCS: [Rpc; 23] = [
    row("/guardian.auth.v1.SessionService/VerifySession", PORTALS),
    row("/guardian.auth.v1.SessionService/RefreshSession", PORTALS),
    row("/guardian.auth.v1.SessionService/EndSession", PORTALS),
    row("/guardian.auth.v1.SessionService/EndAllSessions", PORTALS),
    row("/guardian.auth.v1.SessionService/ListSessions", PORTALS),
    row("/guardian.auth.v1.SessionService/GetSigningKeys", ALL_KINDS),
    row("/guardian.auth.v1.LoginService/ListLoginMethods", PORTALS),
    row("/guardian.auth.v1.LoginService/LoginWithPassword", PORTALS),
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
