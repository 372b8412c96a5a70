//! What staff find out about guardians and put right, through the wire.

mod corrections;
mod looking;

use guardian_auth::proto;
use guardian_auth::proto::search_guardians_request::By;
use serde_json::json;
use tonic::Status;

use crate::support::service::{KOMMUN, OPVANG, Parts, Service, guardian, hash};
use crate::support::staff::Staff;

/// The password of Kim, the guardian of the first school.
const PASSWORD: &str = "kastanj brygga morgon";

/// Two schools: Kim Ek with the number 19990807-2391 and a password at the first, Ali Åberg at the second. In the Dutch
/// organization somebody else.
async fn two_schools(parts: Parts) -> Service {
    let service = Service::start(parts).await;
    let child = |key: &str, name: &str, school: &str| json!({"type": "child", "key": key, "given_name": name, "family_name": "Ek", "school": school});
    let school = |key: &str, name: &str| json!({"type": "school", "key": key, "name": name});
    let mut kim = guardian("g-1", "kim.ek", Some(&hash(PASSWORD).await));
    kim["national_id"] = json!("19990807-2391");
    let mut ali = guardian("g-2", "ali.aberg", None);
    ali["given_name"] = json!("Ali");
    ali["family_name"] = json!("Åberg");
    ali["child_links"] = json!([{"child": "c-2", "confirmed": false}]);
    let rows = [
        school("s-1", "Granskolan"),
        school("s-2", "Ekskolan"),
        child("c-1", "Maja", "s-1"),
        child("c-2", "Tove", "s-2"),
        kim,
        ali,
    ];
    service.import(KOMMUN, &rows).await;
    let rows = [school("s-1", "De Boom"), child("c-1", "Sanne", "s-1"), guardian("g-1", "kim.ek", None)];
    service.import(OPVANG, &rows).await;
    service
}

async fn search(staff: &Staff, by: By) -> Result<Vec<proto::GuardianSummary>, Status> {
    let request = proto::SearchGuardiansRequest {
        organization: staff.organization.clone(),
        by: Some(by),
        ..Default::default()
    };
    Ok(staff.guardians.clone().search_guardians(request).await?.into_inner().guardians)
}

/// The one guardian of a name.
async fn one(staff: &Staff, name: &str) -> String {
    let found = search(staff, By::Name(name.to_owned())).await.unwrap();
    assert_eq!(found.len(), 1, "{name}");
    found[0].guardian_id.clone()
}

async fn get(staff: &Staff, guardian_id: &str) -> Result<proto::Guardian, Status> {
    let request = proto::GetGuardianRequest {
        organization: staff.organization.clone(),
        guardian_id: guardian_id.to_owned(),
    };
    Ok(staff.guardians.clone().get_guardian(request).await?.into_inner().guardian.unwrap())
}

/// The child of a name.
async fn child(staff: &Staff, name: &str) -> String {
    let request = proto::SearchChildrenRequest {
        organization: staff.organization.clone(),
        name: name.to_owned(),
        ..Default::default()
    };
    let found = staff.children.clone().search_children(request).await.unwrap().into_inner().children;
    assert_eq!(found.len(), 1, "{name}");
    found[0].child_id.clone()
}

async fn events(
    staff: &Staff,
    guardian_id: &str,
    reference_code: &str,
) -> Result<Vec<proto::AuditEvent>, Status> {
    let request = proto::ListAuditEventsRequest {
        organization: staff.organization.clone(),
        guardian_id: guardian_id.to_owned(),
        reference_code: reference_code.to_owned(),
        ..Default::default()
    };
    Ok(staff.guardians.clone().list_audit_events(request).await?.into_inner().events)
}
