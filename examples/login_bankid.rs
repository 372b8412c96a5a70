//! A portal's side of a login with BankID on another device: begin, show the code, watch, take the session. Copy from it.
//!
//! ```text
//! cargo run -- dev                                  # in another terminal; it prints the tokens
//! cargo run --example login_bankid -- TOKEN [URL] [PAGES] [--persona NUMBER]
//! ```
//!
//! `TOKEN` is that of `sample-kommun-portal`. It prints a link for each code, which scans it with the simulated phone; sign
//! there. With `--persona` it does that, too, and the story runs by itself: `197001019806` is Alma Sjöberg of the sample.

use std::error::Error;

use guardian_auth::proto;
use guardian_auth::proto::bank_id_view::Start;
use guardian_auth::proto::login_bank_id_service_client::LoginBankIdServiceClient;
use guardian_auth::proto::session_service_client::SessionServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt as _;

const ORGANIZATION: &str = "sample-kommun";
const USAGE: &str = "usage: login_bankid TOKEN [URL] [PAGES] [--persona NUMBER]";

/// Puts the portal's token on every call.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (arguments, persona) = arguments()?;
    let mut arguments = arguments.into_iter();
    let token = arguments.next().ok_or(USAGE)?;
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let pages = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8025".to_owned());
    let channel = Channel::from_shared(url)?.connect().await?;
    let bearer = Bearer(format!("Bearer {token}").parse()?);
    let through = || InterceptedService::new(channel.clone(), bearer.clone());
    let mut bankid = LoginBankIdServiceClient::new(through());
    let mut session = SessionServiceClient::new(through());

    let request = proto::StartBankIdLoginRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        device: proto::BankIdDevice::Other.into(),
        client: Some(client()),
        device_identifier: String::new(),
    };
    let started = match bankid.start_bank_id_login(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(told(&status).into()),
    };
    // Both go into a cookie of this browser. Without the secret the name is of no use to anybody.
    let (login_id, binding_secret) = (started.login_id, started.binding_secret);
    println!("begun: order {login_id}");

    let request = proto::WatchBankIdLoginRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        login_id: login_id.clone(),
        binding_secret: binding_secret.clone(),
        client: Some(client()),
    };
    let frames = bankid.watch_bank_id_login(request).await?.into_inner();
    watch(frames, &pages, persona.as_deref()).await?;

    let request = proto::CompleteBankIdLoginRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        login_id,
        binding_secret,
        // Only with BankID on the same device: what its app brought to the return page.
        return_nonce: String::new(),
        client: Some(client()),
    };
    let tokens = match bankid.complete_bank_id_login(request).await {
        Ok(answer) => answer.into_inner().session.ok_or("an answer without session")?,
        Err(status) => return Err(told(&status).into()),
    };
    println!("logged in: guardian {}, session {}", tokens.guardian_id, tokens.session_id);
    let request = proto::VerifySessionRequest {
        access_token: tokens.access_token,
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
    };
    let verified = session.verify_session(request).await?.into_inner();
    println!("verified: authenticated by {:?}", verified.authentication_methods);
    Ok(())
}

/// Shows what a guardian should see, until the guardian has signed.
async fn watch(
    mut frames: Streaming<proto::WatchBankIdLoginResponse>,
    pages: &str,
    persona: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let (mut said, mut is_scanned) = (String::new(), false);
    // A stream that ends without an outcome is opened again; this example gives up.
    while let Some(frame) = frames.message().await? {
        let view = frame.view.clone().unwrap_or_default();
        let message = view.message.unwrap_or_default();
        if message.message_id != said {
            println!("{}: {}", message.message_id, message.text_en);
            said = message.message_id;
        }
        if let Some(Start::QrText(text)) = view.start {
            match persona {
                // A portal draws the text as a QR code each second.
                None => println!("  scan: {pages}/bankid?scanned={text}"),
                Some(persona) if !is_scanned => {
                    sign(pages, &text, persona).await?;
                    is_scanned = true;
                }
                Some(_) => {}
            }
        }
        match frame.status() {
            proto::BankIdStatus::Pending | proto::BankIdStatus::Unspecified => {}
            proto::BankIdStatus::Complete => return Ok(()),
            proto::BankIdStatus::Failed => {
                return Err(format!("it failed; reference code {}", frame.reference_code).into());
            }
        }
    }
    Err("the stream ended without an outcome".into())
}

/// The arguments, and what stands behind `--persona`.
fn arguments() -> Result<(Vec<String>, Option<String>), &'static str> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().position(|argument| argument == "--persona") {
        None => Ok((arguments, None)),
        Some(at) if at + 1 < arguments.len() => {
            let persona = arguments.drain(at..at + 2).nth(1);
            Ok((arguments, persona))
        }
        Some(_) => Err(USAGE),
    }
}

/// The guardian's browser. BankID is told the address.
fn client() -> proto::ClientContext {
    proto::ClientContext {
        ip: "192.0.2.7".to_owned(),
        user_agent: "examples/login_bankid.rs".to_owned(),
        device_token: String::new(),
    }
}

/// Scans the code with the simulated phone and signs there, as a person would by clicking.
async fn sign(pages: &str, qr_text: &str, persona: &str) -> Result<(), Box<dyn Error>> {
    // The pages are on this machine, in plaintext; the client wants to know how it would do TLS all the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let phone = reqwest::Client::new();
    let scanned = phone.get(format!("{pages}/bankid?scanned={qr_text}")).send().await?.error_for_status()?;
    let order = scanned.url().clone();
    if !order.path().starts_with("/bankid/") {
        return Err("the phone did not take the code".into());
    }
    println!("scanned");
    let form = [("persona", persona), ("decision", "sign")];
    let signed = phone.post(order).header("origin", pages).form(&form).send().await?.error_for_status()?;
    if !signed.text().await?.contains("Done.") {
        return Err("nobody with this number signed".into());
    }
    println!("signed as {persona}");
    Ok(())
}

/// What a portal tells of a failure: the reason decides the words, and the reference code is for support.
fn told(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => format!("{}: {:?}", info.reason, info.metadata),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}
