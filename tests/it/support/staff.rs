//! Staff members at work: accounts made behind the service's back, sessions opened through it.

use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::staff::Role;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::entropy::random_bytes;
use guardian_auth::proto::Portal;
use guardian_auth::proto::child_service_client::ChildServiceClient;
use guardian_auth::proto::fallback_credential_service_client::FallbackCredentialServiceClient;
use guardian_auth::proto::guardian_service_client::GuardianServiceClient;
use guardian_auth::proto::staff_service_client::StaffServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::service::{Attempt, NOON_MS, Service, cheap, hash};
use super::sql::Sql;

/// The password of every staff member that is hired here.
pub const PASSWORD: &str = "krita tavla rast ringa";

/// Metadata that carries the access token of a staff member.
pub const STAFF_TOKEN: &str = "guardian-staff-token";

#[expect(clippy::struct_field_names, reason = "each client is called by its service")]
/// A staff member with a session at the portal `staff`, calling through the organization's admin portal.
#[derive(Clone)]
pub struct Staff {
    /// The account.
    pub id: String,
    /// The name to log in with.
    pub user_name: String,
    /// The organization.
    pub organization: String,
    /// The access token of the session.
    pub token: String,
    /// The refresh token of the session.
    pub refresh_token: String,
    /// `StaffService`.
    pub staff: StaffServiceClient<AsStaff>,
    /// `FallbackCredentialService`.
    pub credentials: FallbackCredentialServiceClient<AsStaff>,
    /// `GuardianService`.
    pub guardians: GuardianServiceClient<AsStaff>,
    /// `ChildService`.
    pub children: ChildServiceClient<AsStaff>,
}

/// A channel that shows a caller's token and a staff member's.
pub type AsStaff = InterceptedService<Channel, StaffTokens>;

/// Puts both tokens on every call.
#[derive(Clone)]
pub struct StaffTokens {
    caller: MetadataValue<Ascii>,
    staff: Option<MetadataValue<Ascii>>,
}

impl StaffTokens {
    /// Of a caller, and of a staff member if there is one.
    pub fn new(caller: &str, staff: Option<&str>) -> Self {
        Self {
            caller: format!("Bearer {caller}").parse().unwrap(),
            staff: staff.map(|token| token.parse().unwrap()),
        }
    }
}

impl tonic::service::Interceptor for StaffTokens {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.caller.clone());
        if let Some(staff) = &self.staff {
            request.metadata_mut().insert(STAFF_TOKEN, staff.clone());
        }
        Ok(request)
    }
}

/// Hires a staff member for these schools (their source keys; none: the whole organization), with a session as strong as
/// one by eID.
pub async fn hire(service: &Service, organization: &str, role: Role, schools: &[&str]) -> Staff {
    let (id, user_name) = hire_only(service, organization, role, schools).await;
    let weak = log_in(service, organization, &user_name).await;
    let mut sql = Sql::open(service).await;
    // The strength is the session's: the next access token says it.
    let strong = format!("UPDATE session SET method = 'eid' WHERE guardian_id = '{id}'");
    assert_eq!(sql.run(&strong).await, 1);
    let admin = service.caller(&format!("{organization}-admin")).await;
    let tokens = admin.refresh(&weak.refresh_token).await.unwrap();
    at_work(service, organization, (&id, &user_name), &tokens.access_token, &tokens.refresh_token).await
}

/// The same with a session by password.
pub async fn hire_with_password(
    service: &Service,
    organization: &str,
    role: Role,
    schools: &[&str],
) -> Staff {
    let (id, user_name) = hire_only(service, organization, role, schools).await;
    let weak = log_in(service, organization, &user_name).await;
    at_work(service, organization, (&id, &user_name), &weak.access_token, &weak.refresh_token).await
}

/// Only the account: its id and its user name.
pub async fn hire_only(
    service: &Service,
    organization: &str,
    role: Role,
    schools: &[&str],
) -> (String, String) {
    let id = GuardianId::new(Timestamp::from_millis(NOON_MS), random_bytes(&SystemEntropy)).to_string();
    let user_name = format!("STAFF{}", &id[18..]);
    let mut sql = Sql::open(service).await;
    let scope = if schools.is_empty() { "organization" } else { "schools" };
    let (role, hash, parameters) = (role.as_str(), hash(PASSWORD).await, cheap());
    let rows = [
        format!(
            "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, \
             credential_epoch, created_ms, updated_ms, kind, names_folded) VALUES ('{id}', '{organization}', \
             'staff {id}', 'Alex', 'Exempel', 'sv', 'active', 0, {NOON_MS}, {NOON_MS}, 'staff', 1)"
        ),
        format!(
            "INSERT INTO guardian_login (organization, portal, login_name, guardian_id, kind, is_spare) \
             VALUES ('{organization}', 'staff', '{user_name}', '{id}', 'user_name', 0)"
        ),
        format!(
            "INSERT INTO staff_member (id, organization, role, scope, state, revision, invited_ms) \
             VALUES ('{id}', '{organization}', '{role}', '{scope}', 'active', 1, {NOON_MS})"
        ),
        format!(
            "INSERT INTO credential (guardian_id, portal, organization, hash, hash_parameters, origin, must_change, \
             failures_unknown, failures_known, set_ms, rests_on) VALUES ('{id}', 'staff', '{organization}', \
             '{hash}', '{parameters}', 'owner', 0, 0, 0, {NOON_MS}, 'invitation')"
        ),
    ];
    for row in rows {
        assert_eq!(sql.run(&row).await, 1, "{row}");
    }
    for school in schools {
        let row = format!(
            "INSERT INTO staff_school (staff_id, school_id) SELECT '{id}', id FROM school \
             WHERE organization = '{organization}' AND source_key = '{school}'"
        );
        assert_eq!(sql.run(&row).await, 1, "school {school} is imported first");
    }
    (id, user_name)
}

/// Logs a staff member in with the password.
pub async fn log_in(
    service: &Service,
    organization: &str,
    user_name: &str,
) -> guardian_auth::proto::SessionTokens {
    let admin = service.caller(&format!("{organization}-admin")).await;
    // An admin portal is not believed about addresses.
    let attempt =
        Attempt { organization, portal: Portal::Staff, ip: "", ..Attempt::new(user_name, PASSWORD) };
    admin.session(attempt).await
}

/// The calls of a staff member with these tokens.
pub async fn at_work(
    service: &Service,
    organization: &str,
    (id, user_name): (&str, &str),
    token: &str,
    refresh_token: &str,
) -> Staff {
    let channel = service.channel().await;
    let caller = service.token(&format!("{organization}-admin"));
    let through = || InterceptedService::new(channel.clone(), StaffTokens::new(&caller, Some(token)));
    Staff {
        id: id.to_owned(),
        user_name: user_name.to_owned(),
        organization: organization.to_owned(),
        token: token.to_owned(),
        refresh_token: refresh_token.to_owned(),
        staff: StaffServiceClient::new(through()),
        credentials: FallbackCredentialServiceClient::new(through()),
        guardians: GuardianServiceClient::new(through()),
        children: ChildServiceClient::new(through()),
    }
}
