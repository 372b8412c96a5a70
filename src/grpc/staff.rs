//! `StaffService`: wire messages to invitations and changes of staff, accounts to answers.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::domain::eid_login::AssertedId;
use crate::domain::id::{GuardianId, SchoolId};
use crate::domain::identifier::{Email, Mobile};
use crate::domain::oidc::ProviderId;
use crate::domain::organization::{Organization, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::staff::{Role, School, Scope, StaffAccount};
use crate::flows::duty::AtWork;
use crate::flows::staff_accounts::{Error, Invitation, StaffAccounts, StaffEid};
use crate::proto;
use crate::proto::invite_staff_request::Eid as TypedEid;
use crate::proto::staff_service_server::StaffService;

use super::at_work::{MAX_NUMBER_BYTES, at_work, national_id, refused, request_key};
use super::context::{CallerContext, open};
use super::fields::Faults;
use super::login::{MAX_LOCALE_BYTES, login_name, timestamp};
use super::status::{self, FaultReason};

/// Longest name of a person, in bytes: a hundred characters of any script.
const MAX_NAME_BYTES: usize = 400;
/// Characters of a person's name.
const MAX_NAME_CHARS: usize = 100;
/// Longest e-mail address as typed (`identifiers.md`).
const MAX_EMAIL_BYTES: usize = 320;
/// Schools of one member.
const MAX_SCHOOLS: usize = 100;
/// Longest page token that is looked at.
const MAX_PAGE_TOKEN_BYTES: usize = 512;

/// The service over its flow.
pub struct StaffHandlers {
    flow: Arc<StaffAccounts>,
}

impl StaffHandlers {
    /// Over the flow of accounts of staff.
    pub fn new(flow: Arc<StaffAccounts>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl StaffService for StaffHandlers {
    async fn invite_staff(
        &self,
        request: Request<proto::InviteStaffRequest>,
    ) -> Result<Response<proto::InviteStaffResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let invitation = invitation(&context, &work.organization, message)?;
        let (member, expires) =
            self.flow.invite(&work, invitation).await.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::InviteStaffResponse {
            member: Some(wire_member(member)),
            invitation_expire_time: Some(timestamp(expires)),
        }))
    }

    async fn resend_invitation(
        &self,
        request: Request<proto::ResendInvitationRequest>,
    ) -> Result<Response<proto::ResendInvitationResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let staff = only_staff_id(&message.staff_id)?;
        let expires = self.flow.invite_again(&work, &staff).await;
        let expires = expires.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ResendInvitationResponse {
            invitation_expire_time: Some(timestamp(expires)),
        }))
    }

    async fn get_staff_member(
        &self,
        request: Request<proto::GetStaffMemberRequest>,
    ) -> Result<Response<proto::GetStaffMemberResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let staff = faults.optional_parsed("staff_id", &message.staff_id, GuardianId::parse);
        let Some(staff) = staff else { return Err(faults.refuse()) };
        let member = self.flow.member(&work, staff.as_ref()).await;
        let member = member.map_err(|error| failed(&context, &work, error))?;
        let is_own = member.id == work.on_duty.staff;
        Ok(Response::new(proto::GetStaffMemberResponse {
            member: Some(wire_member(member)),
            session_may_change: is_own && work.on_duty.may_change(&work.organization.staff),
        }))
    }

    async fn list_staff(
        &self,
        request: Request<proto::ListStaffRequest>,
    ) -> Result<Response<proto::ListStaffResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let school = faults.optional_parsed("school_id", &message.school_id, SchoolId::parse);
        let page = page(&mut faults, message.page_size, message.page_token);
        let (Some(school), Some((size, token))) = (school, page) else { return Err(faults.refuse()) };
        let page = self.flow.list(&work, school, message.with_deactivated, size, &token).await;
        let page = page.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ListStaffResponse {
            members: page.rows.into_iter().map(wire_member).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn change_staff_role(
        &self,
        request: Request<proto::ChangeStaffRoleRequest>,
    ) -> Result<Response<proto::ChangeStaffRoleResponse>, Status> {
        let (context, message) = open(request)?;
        let mut work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let staff = faults.parsed("staff_id", &message.staff_id, GuardianId::parse);
        let role = role(&mut faults, message.role);
        let scope = scope(&mut faults, role, &message.school_ids);
        let request = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
        let (Some(staff), Some(role), Some(scope), Some(request)) = (staff, role, scope, request) else {
            return Err(faults.refuse());
        };
        work.request = request;
        let changed = self.flow.change_role(&work, &staff, role, scope).await;
        let (member, few) = changed.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ChangeStaffRoleResponse {
            member: Some(wire_member(member)),
            understaffed_school_ids: texts(&few),
        }))
    }

    async fn deactivate_staff(
        &self,
        request: Request<proto::DeactivateStaffRequest>,
    ) -> Result<Response<proto::DeactivateStaffResponse>, Status> {
        let (context, message) = open(request)?;
        let mut work = at_work(&context, &message.organization)?;
        let encoded = message.encode_to_vec();
        let staff = staff_and_request(&context, &mut work, &message.staff_id, &message.request_id, &encoded)?;
        let few = self.flow.deactivate(&work, &staff).await;
        let few = few.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::DeactivateStaffResponse { understaffed_school_ids: texts(&few) }))
    }

    async fn reactivate_staff(
        &self,
        request: Request<proto::ReactivateStaffRequest>,
    ) -> Result<Response<proto::ReactivateStaffResponse>, Status> {
        let (context, message) = open(request)?;
        let mut work = at_work(&context, &message.organization)?;
        let encoded = message.encode_to_vec();
        let staff = staff_and_request(&context, &mut work, &message.staff_id, &message.request_id, &encoded)?;
        let member = self.flow.reactivate(&work, &staff).await;
        let member = member.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ReactivateStaffResponse { member: Some(wire_member(member)) }))
    }

    async fn list_schools(
        &self,
        request: Request<proto::ListSchoolsRequest>,
    ) -> Result<Response<proto::ListSchoolsResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let page = page(&mut faults, message.page_size, message.page_token);
        let Some((size, token)) = page else { return Err(faults.refuse()) };
        let page = self.flow.schools(&work, size, &token).await;
        let page = page.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ListSchoolsResponse {
            schools: page.rows.into_iter().map(wire_school).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }
}

fn invitation(
    context: &CallerContext,
    organization: &Organization,
    message: proto::InviteStaffRequest,
) -> Result<Invitation, Status> {
    let mut faults = Faults::default();
    let given_name = person_name(&mut faults, "given_name", message.given_name);
    let family_name = person_name(&mut faults, "family_name", message.family_name);
    let email = faults.text("email", message.email, MAX_EMAIL_BYTES).and_then(|typed| {
        let read = Email::parse(&typed);
        read.map_err(|no| faults.add("email", FaultReason::Malformed, no.reason())).ok()
    });
    let mobile = faults.text("mobile", message.mobile, MAX_NUMBER_BYTES).and_then(|typed| {
        let read = Mobile::parse(&typed, organization.region);
        read.map_err(|no| faults.add("mobile", FaultReason::Malformed, no.reason())).ok()
    });
    let user_name = if message.user_name.is_empty() {
        Some(None)
    } else {
        login_name(&mut faults, "user_name", organization, message.user_name).map(Some)
    };
    let role = role(&mut faults, message.role);
    let scope = scope(&mut faults, role, &message.school_ids);
    let eid = match message.eid {
        None => Some(None),
        Some(typed) => staff_eid(&mut faults, context, organization, typed).map(Some),
    };
    let locale = faults.optional_text("locale", message.locale, MAX_LOCALE_BYTES);
    let parts = (given_name, family_name, email, mobile, user_name, role, scope, eid, locale);
    let (
        Some(given_name),
        Some(family_name),
        Some(email),
        Some(mobile),
        Some(user_name),
        Some(role),
        Some(scope),
        Some(eid),
        Some(locale),
    ) = parts
    else {
        return Err(faults.refuse());
    };
    let locale = Locale::from_tag(&locale);
    Ok(Invitation { given_name, family_name, email, mobile, user_name, role, scope, eid, locale })
}

fn person_name(faults: &mut Faults, field: &'static str, typed: String) -> Option<String> {
    let name = faults.text(field, typed, MAX_NAME_BYTES)?.trim().to_owned();
    if name.is_empty() {
        faults.add(field, FaultReason::Missing, "required");
        return None;
    }
    if name.chars().count() > MAX_NAME_CHARS {
        faults.add(field, FaultReason::TooLong, "longer than the proto file says");
        return None;
    }
    if name.chars().any(char::is_control) {
        faults.add(field, FaultReason::Malformed, "holds a control character");
        return None;
    }
    Some(name)
}

fn role(faults: &mut Faults, value: i32) -> Option<Role> {
    match proto::StaffRole::try_from(value) {
        Ok(proto::StaffRole::PlatformOperator) => Some(Role::PlatformOperator),
        Ok(proto::StaffRole::OrganizationAdministrator) => Some(Role::OrganizationAdministrator),
        Ok(proto::StaffRole::SchoolAdministrator) => Some(Role::SchoolAdministrator),
        Ok(proto::StaffRole::SupportPerson) => Some(Role::SupportPerson),
        Ok(proto::StaffRole::Unspecified) => {
            faults.add("role", FaultReason::Missing, "required");
            None
        }
        Err(_) => {
            faults.add("role", FaultReason::OutOfRange, "no such role");
            None
        }
    }
}

fn scope(faults: &mut Faults, role: Option<Role>, typed: &[String]) -> Option<Scope> {
    const FIELD: &str = "school_ids";
    if typed.len() > MAX_SCHOOLS {
        faults.add(FIELD, FaultReason::TooLong, "at most 100 schools");
        return None;
    }
    let read: Option<Vec<SchoolId>> = typed.iter().map(|id| SchoolId::parse(id)).collect();
    let Some(mut schools) = read else {
        faults.add(FIELD, FaultReason::Malformed, "not of the form that the proto file says");
        return None;
    };
    schools.sort();
    schools.dedup();
    let scope = Scope::of(role?, schools);
    if scope.is_none() {
        let (reason, description) = if typed.is_empty() {
            (FaultReason::Missing, "a school administrator has at least one school")
        } else {
            (FaultReason::NotAllowed, "this role is for the whole organization: leave it empty")
        };
        faults.add(FIELD, reason, description);
    }
    scope
}

fn staff_eid(
    faults: &mut Faults,
    context: &CallerContext,
    organization: &Organization,
    typed: TypedEid,
) -> Option<StaffEid> {
    match typed {
        TypedEid::NationalId(typed) => {
            const FIELD: &str = "national_id";
            let id = national_id(faults, context, FIELD, organization, typed)?;
            if id.is_temporary() {
                faults.add(FIELD, FaultReason::NotAllowed, "no eID has a temporary number: leave it empty");
                return None;
            }
            Some(StaffEid::National(id))
        }
        TypedEid::ProviderIdentity(identity) => {
            const FIELD: &str = "provider_identity.provider";
            let id = faults.parsed(FIELD, &identity.provider, ProviderId::parse)?;
            let Some(provider) = organization.provider(&id, Portal::Staff) else {
                faults.add(FIELD, FaultReason::NotAllowed, "the portal staff does not offer this provider");
                return None;
            };
            let issuer = &provider.issuer;
            faults
                .parsed("provider_identity.subject", &identity.subject, |sub| AssertedId::opaque(issuer, sub))
                .map(StaffEid::Provider)
        }
    }
}

fn page(faults: &mut Faults, size: i32, token: String) -> Option<(u16, String)> {
    let size = faults.page_size("page_size", size);
    let token = faults.optional_text("page_token", token, MAX_PAGE_TOKEN_BYTES);
    size.zip(token)
}

fn only_staff_id(text: &str) -> Result<GuardianId, Status> {
    let mut faults = Faults::default();
    faults.parsed("staff_id", text, GuardianId::parse).ok_or_else(|| faults.refuse())
}

fn staff_and_request(
    context: &CallerContext,
    work: &mut AtWork,
    staff_id: &str,
    request_id: &str,
    encoded: &[u8],
) -> Result<GuardianId, Status> {
    let mut faults = Faults::default();
    let staff = faults.parsed("staff_id", staff_id, GuardianId::parse);
    let request = request_key(&mut faults, context, request_id, encoded);
    let (Some(staff), Some(request)) = (staff, request) else { return Err(faults.refuse()) };
    work.request = request;
    Ok(staff)
}

fn texts(schools: &[SchoolId]) -> Vec<String> {
    schools.iter().map(SchoolId::to_string).collect()
}

/// A school on the wire.
pub(super) fn wire_school(school: School) -> proto::School {
    proto::School { school_id: school.id.to_string(), display_name: school.name }
}

fn wire_member(account: StaffAccount) -> proto::StaffMember {
    let role = match account.role {
        Role::PlatformOperator => proto::StaffRole::PlatformOperator,
        Role::OrganizationAdministrator => proto::StaffRole::OrganizationAdministrator,
        Role::SchoolAdministrator => proto::StaffRole::SchoolAdministrator,
        Role::SupportPerson => proto::StaffRole::SupportPerson,
    };
    let state = if account.is_active { proto::StaffState::Active } else { proto::StaffState::Deactivated };
    proto::StaffMember {
        staff_id: account.id.to_string(),
        given_name: account.given_name,
        family_name: account.family_name,
        email: account.email,
        mobile: account.mobile,
        user_name: account.user_name,
        role: role.into(),
        school_ids: texts(account.scope.schools()),
        state: state.into(),
        has_password: account.has_password,
        has_eid: account.has_eid,
        invite_time: Some(timestamp(account.invited)),
    }
}

fn failed(context: &CallerContext, work: &AtWork, error: Error) -> Status {
    match error {
        Error::Refused(why) => refused(work, why),
        Error::NotAllowed => status::staff_not_allowed(work.on_duty.role),
        Error::NoMember => status::not_found("staff_id"),
        Error::NoSchool => status::not_found("school_ids"),
        Error::UserNameTaken => status::already_exists("user_name", None),
        Error::IdentifierTaken(holder) => status::already_exists("eid", Some(&holder)),
        Error::LimitReached(school, limit) => status::staff_limit_reached(&school, limit),
        Error::LastAdministrator => status::state_conflict("last_administrator"),
        Error::Deactivated => status::state_conflict("staff_deactivated"),
        Error::ChangedMeanwhile => status::state_conflict("changed_meanwhile"),
        Error::NoCorrespondence => status::state_conflict("no_activation_page"),
        Error::PageToken => {
            let mut faults = Faults::default();
            faults.add("page_token", FaultReason::Malformed, "not from an answer to this list");
            faults.refuse()
        }
        Error::Port(error) => context.port_failed(&error),
    }
}
