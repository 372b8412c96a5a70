//! An admin portal's side of a fallback credential: find the guardian, confirm the child link, issue, activate, log in.
//! Copy from it.
//!
//! ```text
//! cargo run -- dev                                  # in another terminal; it prints the tokens
//! cargo run --example staff -- ADMIN_TOKEN PORTAL_TOKEN [URL] [--name NAME]
//! ```
//!
//! `ADMIN_TOKEN` is that of `sample-kommun-admin`, `PORTAL_TOKEN` that of `sample-kommun-portal`. The guardian is the first one that
//! is found by the name (`Lina Ström`), with the first child.

use std::error::Error;

use guardian_auth::proto;
use guardian_auth::proto::activate_credential_request::Proof;
use guardian_auth::proto::fallback_credential_service_client::FallbackCredentialServiceClient;
use guardian_auth::proto::guardian_service_client::GuardianServiceClient;
use guardian_auth::proto::issue_fallback_credential_request::Delivery;
use guardian_auth::proto::login_service_client::LoginServiceClient;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::search_guardians_request::By;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

const ORGANIZATION: &str = "sample-kommun";
const USAGE: &str = "usage: staff ADMIN_TOKEN PORTAL_TOKEN [URL] [--name NAME]";
/// Sample staff of `dev`.
const STAFF: (&str, &str) = ("ADMIN", "almanacka brygga kompass tofs");
const NEW_PASSWORD: &str = "lingon cykel fyrtorn vante";

/// Puts the calling system's token on every call, and the staff member's where there is one.
#[derive(Clone)]
struct Tokens {
    caller: MetadataValue<Ascii>,
    staff: Option<MetadataValue<Ascii>>,
}

impl tonic::service::Interceptor for Tokens {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.caller.clone());
        if let Some(staff) = &self.staff {
            request.metadata_mut().insert("guardian-staff-token", staff.clone());
        }
        Ok(request)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (arguments, name) = arguments()?;
    let mut arguments = arguments.into_iter();
    let (admin, portal) = (arguments.next().ok_or(USAGE)?, arguments.next().ok_or(USAGE)?);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let channel = Channel::from_shared(url)?.connect().await?;
    let admin: MetadataValue<Ascii> = format!("Bearer {admin}").parse()?;
    let portal: MetadataValue<Ascii> = format!("Bearer {portal}").parse()?;

    // The staff member logs in at the portal `staff`, through the admin portal. `dev` lets a password be enough.
    let tokens = Tokens { caller: admin.clone(), staff: None };
    let mut login = LoginServiceClient::new(InterceptedService::new(channel.clone(), tokens));
    let request = password_login(proto::Portal::Staff, STAFF.0, STAFF.1, false);
    let session = session(login.login_with_password(request).await.map_err(|status| told(&status))?)?;
    println!("staff: session {}", session.session_id);

    let tokens = Tokens { caller: admin, staff: Some(session.access_token.parse()?) };
    let through = || InterceptedService::new(channel.clone(), tokens.clone());
    let mut guardians = GuardianServiceClient::new(through());
    let mut credentials = FallbackCredentialServiceClient::new(through());

    let request = proto::SearchGuardiansRequest {
        organization: ORGANIZATION.to_owned(),
        by: Some(By::Name(name.clone())),
        ..Default::default()
    };
    let found = guardians.search_guardians(request).await.map_err(|status| told(&status))?.into_inner();
    let guardian_id = found.guardians.first().ok_or(format!("nobody is called {name}"))?.guardian_id.clone();
    let request =
        proto::GetGuardianRequest { organization: ORGANIZATION.to_owned(), guardian_id: guardian_id.clone() };
    let guardian = guardians.get_guardian(request).await.map_err(|status| told(&status))?.into_inner();
    let guardian = guardian.guardian.ok_or("an answer without its guardian")?;
    println!("found: {} {} ({guardian_id})", guardian.given_name, guardian.family_name);
    for number in &guardian.national_ids {
        println!("  {} {}", number.scheme, number.masked);
    }
    for link in &guardian.child_links {
        println!(
            "  child {} {}, confirmed by staff: {}",
            link.given_name, link.family_name, link.confirmed_by_staff
        );
    }

    // Not without the check that the guardian belongs to the child.
    let child_id = guardian.child_links.first().ok_or("no child: AddChildLink")?.child_id.clone();
    let request = proto::ConfirmChildLinkRequest {
        organization: ORGANIZATION.to_owned(),
        guardian_id: guardian_id.clone(),
        child_id,
        evidence: proto::LinkEvidence::IdentityDocument.into(),
        request_id: String::new(),
    };
    guardians.confirm_child_link(request).await.map_err(|status| told(&status))?;
    println!("link confirmed");

    let request = proto::IssueFallbackCredentialRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        guardian_id,
        delivery: Some(Delivery::Sheet(proto::ActivationSheet { lifetime: None })),
        locale: "sv".to_owned(),
    };
    let issued = credentials.issue_fallback_credential(request).await.map_err(|status| told(&status))?;
    let issued = issued.into_inner();
    println!("issued; the sheet to print:\n\n{}\n", issued.sheet_text);

    // At home: the guardian types both, and chooses a password that nobody at the school sees.
    let tokens = Tokens { caller: portal, staff: None };
    let mut login = LoginServiceClient::new(InterceptedService::new(channel, tokens));
    let request = proto::ActivateCredentialRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        proof: Some(Proof::Code(proto::ActivationCode {
            user_name: issued.user_name.clone(),
            code: issued.activation_code.to_lowercase(),
        })),
        new_password: NEW_PASSWORD.to_owned(),
        client: Some(client()),
    };
    let activated = login.activate_credential(request).await.map_err(|status| told(&status))?.into_inner();
    println!("activated: log in as {}", activated.user_name);
    let request = password_login(proto::Portal::Parent, &activated.user_name, NEW_PASSWORD, true);
    let session = self::session(login.login_with_password(request).await.map_err(|status| told(&status))?)?;
    println!("guardian: session {}", session.session_id);
    Ok(())
}

fn arguments() -> Result<(Vec<String>, String), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = match arguments.iter().position(|argument| argument == "--name") {
        None => "Lina Ström".to_owned(),
        Some(place) if place + 1 < arguments.len() => {
            arguments.remove(place);
            arguments.remove(place)
        }
        Some(_) => return Err(USAGE.into()),
    };
    Ok((arguments, name))
}

/// An admin portal is not believed about addresses, the parent portal is.
fn password_login(
    portal: proto::Portal,
    login_name: &str,
    password: &str,
    with_address: bool,
) -> proto::LoginWithPasswordRequest {
    proto::LoginWithPasswordRequest {
        organization: ORGANIZATION.to_owned(),
        portal: portal.into(),
        login_name: login_name.to_owned(),
        password: password.to_owned(),
        client: with_address.then(client),
    }
}

fn client() -> proto::ClientContext {
    proto::ClientContext { ip: "192.0.2.7".to_owned(), ..proto::ClientContext::default() }
}

fn session(
    answer: tonic::Response<proto::LoginWithPasswordResponse>,
) -> Result<proto::SessionTokens, Box<dyn Error>> {
    match answer.into_inner().outcome {
        Some(Outcome::Session(tokens)) => Ok(tokens),
        Some(Outcome::PasswordChangeRequired(_)) | None => Err("no session".into()),
    }
}

/// The reason, with what its metadata says.
fn told(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(
        || status.to_string(),
        |info| format!("{}: {} {:?}", info.reason, status.message(), info.metadata),
    )
}
