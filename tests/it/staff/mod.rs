//! Accounts of staff: who is invited by whom, what each may do, and how fast a change acts.

mod accounts;
mod canary;
mod closed;
mod ends;
mod kill;
mod matrix;
mod rule_one;

use guardian_auth::proto;
use serde_json::json;
use tonic::Status;

use crate::support::service::{KOMMUN, OPVANG, Parts, Service};
use crate::support::staff::Staff;

/// Two schools in the Swedish organization and one in the Dutch one.
pub(crate) async fn with_schools(parts: Parts) -> Service {
    let service = Service::start(parts).await;
    let school = |key: &str, name: &str| json!({"type": "school", "key": key, "name": name});
    service.import(KOMMUN, &[school("s-1", "Granskolan"), school("s-2", "Ekskolan")]).await;
    service.import(OPVANG, &[school("s-1", "De Boom")]).await;
    service
}

/// The schools that a staff member sees: ids by name.
pub(crate) async fn school(staff: &Staff, name: &str) -> String {
    let request =
        proto::ListSchoolsRequest { organization: staff.organization.clone(), ..Default::default() };
    let answer = staff.staff.clone().list_schools(request).await.unwrap().into_inner();
    answer.schools.into_iter().find(|school| school.display_name == name).unwrap().school_id
}

/// An invitation with all that is required.
pub(crate) fn invitation(
    organization: &str,
    role: proto::StaffRole,
    schools: &[&str],
) -> proto::InviteStaffRequest {
    proto::InviteStaffRequest {
        organization: organization.to_owned(),
        given_name: "Robin".to_owned(),
        family_name: "Exempel".to_owned(),
        email: "robin@example.se".to_owned(),
        mobile: "+46701740605".to_owned(),
        role: role.into(),
        school_ids: schools.iter().map(|&id| id.to_owned()).collect(),
        ..Default::default()
    }
}

/// Invites, and gives the new member.
pub(crate) async fn invite(
    staff: &Staff,
    request: proto::InviteStaffRequest,
) -> Result<proto::StaffMember, Status> {
    Ok(staff.staff.clone().invite_staff(request).await?.into_inner().member.unwrap())
}

/// What a member sees of oneself: shows whether the token is good.
pub(crate) async fn oneself(staff: &Staff) -> Result<proto::GetStaffMemberResponse, Status> {
    let request =
        proto::GetStaffMemberRequest { organization: staff.organization.clone(), staff_id: String::new() };
    Ok(staff.staff.clone().get_staff_member(request).await?.into_inner())
}
