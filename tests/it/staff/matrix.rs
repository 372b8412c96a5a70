//! B39: every rpc of the staff services by every role, in the own organization and in another, as the proto files say.

use std::collections::BTreeSet;

use guardian_auth::domain::caller::AllOrSome;
use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use prost::Message as _;
use tonic::Status;
use tonic::client::Grpc;
use tonic::service::interceptor::InterceptedService;
use tonic_prost::ProstCodec;

use crate::support::service::{
    Attempt, KOMMUN, OPVANG, Parts, Service, guardian, hash, reason, school_and_child,
};
use crate::support::staff::{Staff, StaffTokens, hire, hire_with_password};

/// The organization, which is the first field of every request of staff, and nothing else.
#[derive(Clone, PartialEq, prost::Message)]
struct OnlyOrganization {
    #[prost(string, tag = "1")]
    organization: String,
}

/// An rpc as its comment describes it.
struct Documented {
    path: String,
    roles: BTreeSet<&'static str>,
    needs_eid: bool,
}

/// What stands behind `Staff:` says which roles.
fn documented() -> Vec<Documented> {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let mut rpcs = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "guardian.auth.v1") {
        let locations = &file.source_code_info.as_ref().unwrap().location;
        for (service_index, service) in file.service.iter().enumerate() {
            for (method_index, method) in service.method.iter().enumerate() {
                let place =
                    [6, i32::try_from(service_index).unwrap(), 2, i32::try_from(method_index).unwrap()];
                let comment = locations.iter().find(|it| it.path == place).unwrap().leading_comments();
                let comment = comment.split_whitespace().collect::<Vec<_>>().join(" ");
                let Some((_, rest)) = comment.split_once("Staff: ") else { continue };
                let (roles, _) = rest.split_once(" Idempotency:").unwrap();
                let names = Role::ALL.map(Role::as_str);
                let all = roles.contains("any role");
                let named = |name: &&&str| all || roles.contains(&name.replace('_', " "));
                rpcs.push(Documented {
                    path: format!("/guardian.auth.v1.{}/{}", service.name(), method.name()),
                    roles: names.iter().filter(named).copied().collect(),
                    needs_eid: comment.contains("STRONGER_LOGIN_NEEDED"),
                });
            }
        }
    }
    rpcs
}

async fn call(
    service: &Service,
    path: &str,
    organization: &str,
    staff_token: Option<&str>,
) -> Result<(), Status> {
    let tokens = StaffTokens::new(&service.token(&format!("{KOMMUN}-admin")), staff_token);
    let mut client = Grpc::new(InterceptedService::new(service.channel().await, tokens));
    client.ready().await.unwrap();
    let message = OnlyOrganization { organization: organization.to_owned() };
    let path = http::uri::PathAndQuery::try_from(path).unwrap();
    let codec = ProstCodec::<OnlyOrganization, ()>::default();
    client.unary(tonic::Request::new(message), path, codec).await.map(|_| ())
}

/// What stands before the fields of a request are looked at.
async fn refusal(service: &Service, path: &str, organization: &str, token: Option<&str>) -> Option<String> {
    let reason = match call(service, path, organization, token).await {
        Ok(()) => return None,
        Err(status) => reason(&status),
    };
    let is_access = matches!(
        reason.as_str(),
        "STAFF_TOKEN_INVALID"
            | "STAFF_NOT_ALLOWED"
            | "STRONGER_LOGIN_NEEDED"
            | "CALLER_NOT_ALLOWED"
            | "METHOD_UNKNOWN"
    );
    is_access.then_some(reason)
}

#[tokio::test]
async fn b39_every_staff_rpc_by_every_role_and_organization_is_answered_as_the_proto_files_say() {
    let service = Service::start_with(Parts::Embedded, |config| {
        for it in &mut config.callers {
            if it.caller.name == format!("{KOMMUN}-admin") {
                it.caller.organizations = AllOrSome::All;
            }
        }
    })
    .await;
    let mut rows = school_and_child();
    rows.push(guardian("g-1", "KIM", Some(&hash("krita tavla rast ringa").await)));
    service.import(KOMMUN, &rows).await;
    let calls = service.portal(KOMMUN).await;
    let parent = calls.session(Attempt::new("KIM", "krita tavla rast ringa")).await.access_token;

    let schools = |role: Role| match role {
        Role::SchoolAdministrator => &["s-1"][..],
        Role::PlatformOperator | Role::OrganizationAdministrator | Role::SupportPerson => &[],
    };
    let mut staff: Vec<(Role, Staff, Staff)> = Vec::new();
    for role in Role::ALL {
        let strong = hire(&service, KOMMUN, role, schools(role)).await;
        let weak = hire_with_password(&service, KOMMUN, role, schools(role)).await;
        staff.push((role, strong, weak));
    }
    let rpcs = documented();
    assert_eq!(rpcs.len(), 34, "every rpc of the staff services has a line `Staff:`");
    for Documented { path, roles, needs_eid } in &rpcs {
        for token in [None, Some(parent.as_str()), Some("no.such.token")] {
            let refused = refusal(&service, path, KOMMUN, token).await;
            assert_eq!(refused.as_deref(), Some("STAFF_TOKEN_INVALID"), "{path} with {token:?}");
        }
        for (role, strong, weak) in &staff {
            let what = format!("{path} by {role:?}");
            let may = roles.contains(role.as_str());
            let expected = (!may).then_some("STAFF_NOT_ALLOWED");
            assert_eq!(
                refusal(&service, path, KOMMUN, Some(&strong.token)).await.as_deref(),
                expected,
                "{what}"
            );
            let expected = expected.or(needs_eid.then_some("STRONGER_LOGIN_NEEDED"));
            assert_eq!(
                refusal(&service, path, KOMMUN, Some(&weak.token)).await.as_deref(),
                expected,
                "{what}, weak"
            );
            // Only an operator works in another organization.
            let may = may && *role == Role::PlatformOperator;
            for elsewhere in [OPVANG, "no-such-kommun"] {
                let expected = match (may, elsewhere) {
                    (true, OPVANG) => None,
                    (true, _) => Some("CALLER_NOT_ALLOWED"),
                    (false, _) => Some("STAFF_NOT_ALLOWED"),
                };
                let refused = refusal(&service, path, elsewhere, Some(&strong.token)).await;
                assert_eq!(refused.as_deref(), expected, "{what} in {elsewhere}");
            }
        }
    }
}
