//! A portal's side of a login, from the first call to the last: copy from it.
//!
//! ```text
//! cargo run -- dev                                  # in another terminal; it prints the token and the sample logins
//! cargo run --example login -- TOKEN ORGANIZATION PORTAL LOGIN_NAME PASSWORD [ADDRESS]
//! ```

use std::error::Error;

use guardian_auth::proto;
use guardian_auth::proto::login_service_client::LoginServiceClient;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::session_service_client::SessionServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

const USAGE: &str = "usage: login TOKEN ORGANIZATION PORTAL LOGIN_NAME PASSWORD [ADDRESS]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or(USAGE);
    let (token, organization, portal, login_name, password) = (next()?, next()?, next()?, next()?, next()?);
    let address = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let portal = match portal.as_str() {
        "parent" => proto::Portal::Parent,
        "childminder" => proto::Portal::Childminder,
        "staff" => proto::Portal::Staff,
        other => return Err(format!("no portal is called {other}").into()),
    };

    // One channel for all calls: it keeps its connections. Retry UNAVAILABLE only; never retry a login by yourself.
    let channel = Channel::from_shared(address)?.connect().await?;
    let mut login = LoginServiceClient::new(as_caller(channel.clone(), &token)?);
    let mut session = SessionServiceClient::new(as_caller(channel, &token)?);

    let request = proto::ListLoginMethodsRequest {
        organization: organization.clone(),
        portal: portal.into(),
        locale: "sv".to_owned(),
    };
    let offered = login.list_login_methods(request).await?.into_inner();
    println!(
        "the portal offers {} way(s) to log in; the rule for new passwords: {:?}",
        offered.methods.len(),
        offered.password_rule
    );

    let request = proto::LoginWithPasswordRequest {
        organization: organization.clone(),
        portal: portal.into(),
        login_name,
        password,
        client: Some(proto::ClientContext {
            ip: "192.0.2.7".to_owned(),
            user_agent: "examples/login.rs".to_owned(),
            // From the cookie that the last login on this browser left.
            device_token: String::new(),
        }),
    };
    let answer = match login.login_with_password(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return show_failure(&status),
    };
    let tokens = match answer.outcome.ok_or("an answer without outcome")? {
        Outcome::Session(tokens) => tokens,
        Outcome::PasswordChangeRequired(required) => {
            println!("a new password must be chosen first: {:?}", required.password_rule);
            return Ok(());
        }
    };
    println!("logged in: guardian {}, session {}", tokens.guardian_id, tokens.session_id);

    let verify = |access_token: &str| proto::VerifySessionRequest {
        access_token: access_token.to_owned(),
        organization: organization.clone(),
        portal: portal.into(),
    };
    let verified = session.verify_session(verify(&tokens.access_token)).await?.into_inner();
    println!("verified: authenticated by {:?}", verified.authentication_methods);

    let refresh = proto::RefreshSessionRequest { refresh_token: tokens.refresh_token, client: None };
    let refreshed = session.refresh_session(refresh).await?.into_inner().session.ok_or("no tokens")?;
    println!("refreshed: the refresh token was replaced");

    let end = proto::EndSessionRequest {
        token: Some(proto::end_session_request::Token::AccessToken(refreshed.access_token.clone())),
        session_id: String::new(),
    };
    let ended = session.end_session(end).await?.into_inner();
    println!("ended {} session", ended.ended_count);

    match session.verify_session(verify(&refreshed.access_token)).await {
        Ok(_) => Err("the session is still valid".into()),
        Err(status) => {
            println!("verified again: {}", reason(&status));
            Ok(())
        }
    }
}

type AsCaller =
    InterceptedService<Channel, Box<dyn FnMut(Request<()>) -> Result<Request<()>, Status> + Send>>;

/// Puts the caller's token on every call. With mTLS it is not needed.
fn as_caller(channel: Channel, token: &str) -> Result<AsCaller, Box<dyn Error>> {
    let bearer: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
    Ok(InterceptedService::new(
        channel,
        Box::new(move |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        }),
    ))
}

/// What a portal does with a failure: act on the reason, show the reference code, wait where it is told to.
fn show_failure(status: &Status) -> Result<(), Box<dyn Error>> {
    println!("not logged in: {:?}, {}", status.code(), reason(status));
    if let Some(info) = status.get_details_error_info() {
        for (key, value) in info.metadata {
            println!("  {key}: {value}");
        }
    }
    if let Some(bad_request) = status.get_details_bad_request() {
        for violation in bad_request.field_violations {
            println!("  {}: {}", violation.field, violation.description);
        }
    }
    if let Some(delay) = status.get_details_retry_info().and_then(|info| info.retry_delay) {
        println!("  try again in {delay:?}");
    }
    Err("the login failed".into())
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| status.message().to_owned(), |info| info.reason)
}
