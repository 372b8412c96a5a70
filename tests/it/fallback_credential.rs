//! Fallback credentials through the wire: issued by staff, made a password by the guardian, on both sets of parts.

mod activating;
mod equal_work;
mod issuing;
mod links;
mod redeeming;

use guardian_auth::config::Config;
use guardian_auth::proto;
use guardian_auth::proto::activate_credential_request::Proof;
use guardian_auth::proto::issue_fallback_credential_request::Delivery;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::service::{Calls, KOMMUN, Parts, Service, guardian, school_and_child};
use crate::support::sql::Sql;
use crate::support::staff::{Staff, hire};

/// A password that satisfies every rule.
pub(crate) const NEW: &str = "mossa-kanel-segel-tratt";

/// A service with the guardians `alma` and `bo` of the child `c-1` at the school `s-1`, without passwords, whose links
/// nobody of the staff has confirmed; and an administrator of that school.
pub(crate) async fn with_guardians(parts: Parts) -> (Service, Staff) {
    with_guardians_and(parts, |_| {}).await
}

/// The same with changes to the configuration.
pub(crate) async fn with_guardians_and(parts: Parts, change: impl FnOnce(&mut Config)) -> (Service, Staff) {
    let service = Service::start_with(parts, change).await;
    let mut rows = school_and_child();
    rows.push(json!({"type": "school", "key": "s-2", "name": "Ekskolan"}));
    for name in ["alma", "bo"] {
        let mut row = guardian(name, name, None);
        row["child_links"] = json!([{"child": "c-1", "confirmed": false}]);
        rows.push(row);
    }
    service.import(KOMMUN, &rows).await;
    let staff =
        hire(&service, KOMMUN, guardian_auth::domain::staff::Role::SchoolAdministrator, &["s-1"]).await;
    (service, staff)
}

/// The id of a guardian by its source key.
pub(crate) async fn id_of(service: &Service, key: &str) -> String {
    let query = format!("SELECT id FROM guardian WHERE source_key = '{key}'");
    Sql::open(service).await.texts(&query).await.remove(0)
}

/// Staff confirm the guardian's link to `c-1`.
pub(crate) async fn confirm(service: &Service, key: &str) {
    let statement = format!(
        "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms) \
         SELECT g.id, c.id, 'staff', 'staff', 0 FROM guardian g, child c \
         WHERE g.source_key = '{key}' AND c.source_key = 'c-1'"
    );
    assert_eq!(Sql::open(service).await.run(&statement).await, 1);
}

/// A sheet for two weeks.
pub(crate) fn sheet() -> Delivery {
    Delivery::Sheet(proto::ActivationSheet { lifetime: None })
}

/// A request at the portal `parent`.
pub(crate) fn request(guardian: &str, delivery: Delivery) -> proto::IssueFallbackCredentialRequest {
    proto::IssueFallbackCredentialRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        guardian_id: guardian.to_owned(),
        delivery: Some(delivery),
        locale: String::new(),
    }
}

/// Issues a credential.
pub(crate) async fn issue(
    staff: &Staff,
    guardian: &str,
    delivery: Delivery,
) -> Result<proto::IssueFallbackCredentialResponse, Status> {
    let answer = staff.credentials.clone().issue_fallback_credential(request(guardian, delivery)).await;
    answer.map(tonic::Response::into_inner)
}

/// A user name and a code, as typed.
pub(crate) fn code(user_name: &str, code: &str) -> Proof {
    Proof::Code(proto::ActivationCode { user_name: user_name.to_owned(), code: code.to_owned() })
}

/// An attempt at the portal `parent`, from one address.
pub(crate) fn attempt(proof: Proof, new_password: &str) -> proto::ActivateCredentialRequest {
    proto::ActivateCredentialRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        proof: Some(proof),
        new_password: new_password.to_owned(),
        client: Some(proto::ClientContext {
            ip: "192.0.2.7".to_owned(),
            user_agent: "tests".to_owned(),
            device_token: String::new(),
        }),
    }
}

/// Chooses a first password.
pub(crate) async fn activate(
    portal: &Calls,
    proof: Proof,
    new_password: &str,
) -> Result<proto::ActivateCredentialResponse, Status> {
    let answer = portal.login.clone().activate_credential(attempt(proof, new_password)).await;
    answer.map(tonic::Response::into_inner)
}

/// Rows of the audit log with this kind and cause.
pub(crate) async fn audited(service: &Service, kind: &str, cause: &str) -> i64 {
    let query = format!("SELECT COUNT(*) FROM audit_event WHERE kind = '{kind}' AND cause = '{cause}'");
    Sql::open(service).await.number(&query).await
}

/// The names of the fields of a refused request.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}
