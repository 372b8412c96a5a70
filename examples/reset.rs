//! A portal's side of a forgotten password, from the request to the new password: copy from it.
//!
//! ```text
//! cargo run -- dev                                  # in another terminal; it prints the tokens and the sample logins
//! cargo run --example reset -- TOKEN ORGANIZATION PORTAL request DEBTOR_NUMBER EMAIL [URL]
//! cargo run --example reset -- TOKEN ORGANIZATION PORTAL request-bsn DEBTOR_NUMBER BSN [URL]
//! cargo run --example reset -- TOKEN ORGANIZATION PORTAL inspect RESET_TOKEN [URL]
//! cargo run --example reset -- TOKEN ORGANIZATION PORTAL confirm RESET_TOKEN NEW_PASSWORD [URL]
//! ```
//!
//! `TOKEN` is the calling system's, `RESET_TOKEN` the one in the link of the mail.

use std::error::Error;
use std::time::Duration;

use guardian_auth::proto;
use guardian_auth::proto::password_reset_service_client::PasswordResetServiceClient;
use guardian_auth::proto::request_password_reset_request::Identification;
use prost::Message as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::pb;

const USAGE: &str = "usage: reset TOKEN ORGANIZATION PORTAL \
    (request DEBTOR_NUMBER EMAIL | request-bsn DEBTOR_NUMBER BSN | inspect RESET_TOKEN | confirm RESET_TOKEN NEW_PASSWORD) [URL]";

/// The longest of the deadlines that the proto file advises.
const DEADLINE: Duration = Duration::from_secs(5);

/// What to do.
enum Step {
    Request(Identification),
    Inspect { reset_token: String },
    Confirm { reset_token: String, new_password: String },
}

/// On behalf of whom.
struct Caller {
    bearer: MetadataValue<Ascii>,
    organization: String,
    portal: proto::Portal,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or(USAGE);
    let (token, organization, portal) = (next()?, next()?, next()?);
    let step = match next()?.as_str() {
        "request" => {
            let (debtor_number, email) = (next()?, next()?);
            let identification = proto::DebtorNumberAndEmail { debtor_number, email };
            Step::Request(Identification::DebtorNumberAndEmail(identification))
        }
        "request-bsn" => {
            let (debtor_number, bsn) = (next()?, next()?);
            Step::Request(Identification::DebtorNumberAndBsn(proto::DebtorNumberAndBsn {
                debtor_number,
                bsn,
            }))
        }
        "inspect" => Step::Inspect { reset_token: next()? },
        "confirm" => Step::Confirm { reset_token: next()?, new_password: next()? },
        other => return Err(format!("no step is called {other}; {USAGE}").into()),
    };
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let portal = match portal.as_str() {
        "parent" => proto::Portal::Parent,
        "childminder" => proto::Portal::Childminder,
        "staff" => proto::Portal::Staff,
        other => return Err(format!("no portal is called {other}").into()),
    };

    let service = PasswordResetServiceClient::new(Channel::from_shared(url)?.connect().await?);
    let caller = Caller { bearer: format!("Bearer {token}").parse()?, organization, portal };
    let done = match step {
        Step::Request(identification) => request(service, &caller, identification).await,
        Step::Inspect { reset_token } => inspect(service, &caller, reset_token).await,
        Step::Confirm { reset_token, new_password } => {
            confirm(service, &caller, reset_token, new_password).await
        }
    };
    done.or_else(|status| show_failure(&status))
}

/// Whatever is true of the account, the answer looks like this: show the same page to everybody.
async fn request(
    mut service: PasswordResetServiceClient<Channel>,
    caller: &Caller,
    identification: Identification,
) -> Result<(), Status> {
    let message = proto::RequestPasswordResetRequest {
        organization: caller.organization.clone(),
        portal: caller.portal.into(),
        identification: Some(identification),
        // Empty: the mail comes in the language on file. Better: the language of the page.
        locale: String::new(),
        client: Some(client()),
    };
    let answer = service.request_password_reset(caller.call(message)).await?.into_inner();
    println!("taken in; if the values fit an account, a mail goes to the address on file");
    println!("  reference code: {}", answer.reference_code);
    if let Some(lifetime) = answer.link_lifetime {
        println!("  the link works for {} s", lifetime.seconds);
    }
    Ok(())
}

/// Before the guardian thinks of a password. The link still works afterwards.
async fn inspect(
    mut service: PasswordResetServiceClient<Channel>,
    caller: &Caller,
    reset_token: String,
) -> Result<(), Status> {
    let message = proto::InspectResetTokenRequest {
        organization: caller.organization.clone(),
        portal: caller.portal.into(),
        reset_token,
        locale: "sv".to_owned(),
        client: Some(client()),
    };
    let answer = service.inspect_reset_token(caller.call(message)).await?.into_inner();
    println!("the link is good");
    if let Some(end) = answer.expire_time {
        println!("  until: {end}");
    }
    if let Some(rule) = answer.password_rule {
        println!("  the new password: {} to {} characters", rule.min_code_points, rule.max_code_points);
    }
    println!("  a suggestion: {}", answer.suggested_passphrase);
    Ok(())
}

/// Once. A password that is refused does not use the link up: show why, and let the guardian choose another one.
async fn confirm(
    mut service: PasswordResetServiceClient<Channel>,
    caller: &Caller,
    reset_token: String,
    new_password: String,
) -> Result<(), Status> {
    let message = proto::ConfirmPasswordResetRequest {
        organization: caller.organization.clone(),
        portal: caller.portal.into(),
        reset_token,
        new_password,
        client: Some(client()),
    };
    let answer = service.confirm_password_reset(caller.call(message)).await?.into_inner();
    println!("the new password is set; log in with it");
    println!("  sessions that ended: {}", answer.ended_session_count);
    Ok(())
}

impl Caller {
    /// Puts the caller's token and a deadline on a call. With mTLS the token is not needed.
    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request.set_timeout(DEADLINE);
        request
    }
}

/// The end user's side: the address is the browser's, not the portal's.
fn client() -> proto::ClientContext {
    proto::ClientContext {
        ip: "192.0.2.7".to_owned(),
        user_agent: "examples/reset.rs".to_owned(),
        device_token: String::new(),
    }
}

/// What a portal does with a failure: act on the reason, mark the fields, show the reference code, wait where it is told to.
fn show_failure(status: &Status) -> Result<(), Box<dyn Error>> {
    let details = pb::Status::decode(status.details()).unwrap_or_default().details;
    let info: pb::ErrorInfo = detail(&details, "ErrorInfo").unwrap_or_default();
    // Without a reason it was not the service that answered.
    let reason = if info.reason.is_empty() { status.message() } else { &info.reason };
    println!("refused: {:?}, {reason}", status.code());
    for (key, value) in &info.metadata {
        println!("  {}: {value}", key.replace('_', " "));
    }
    let request: pb::BadRequest = detail(&details, "BadRequest").unwrap_or_default();
    for violation in request.field_violations {
        println!("  {}: {} ({})", violation.field, violation.reason, violation.description);
    }
    if let Some(delay) = detail::<pb::RetryInfo>(&details, "RetryInfo").and_then(|retry| retry.retry_delay) {
        println!("  try again after {delay}");
    }
    Err("it was not done".into())
}

/// The detail of a kind, if there is one.
fn detail<T: prost::Message + Default>(details: &[prost_types::Any], name: &str) -> Option<T> {
    let url = format!("type.googleapis.com/google.rpc.{name}");
    let found = details.iter().find(|detail| detail.type_url == url)?;
    T::decode(found.value.as_slice()).ok()
}
