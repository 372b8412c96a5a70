//! A forgotten password from beginning to end, against `dev`: each step is checked, and the first that fails ends it.
//!
//! ```text
//! cargo run -- dev                                  # in another terminal; it prints the tokens
//! cargo run --example reset_story -- TOKEN [URL] [PAGES]
//! ```
//!
//! `TOKEN` is that of `sample-kommun-portal`. It logs Alma Sjöberg of the sample in, asks for a link with her user name and
//! address in messy spellings, takes the link from the mailbox page, sets a new password, and shows that the old session
//! and the old password are worth nothing any more and the link works once.

use std::error::Error;
use std::time::Duration;

use guardian_auth::proto;
use guardian_auth::proto::login_service_client::LoginServiceClient;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::password_reset_service_client::PasswordResetServiceClient;
use guardian_auth::proto::request_password_reset_request::Identification;
use guardian_auth::proto::session_service_client::SessionServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

const ORGANIZATION: &str = "sample-kommun";
const OLD: &str = "lingon-cykel-fyrtorn-vante";
const NEW: &str = "tre tranor vid en tjärn";

/// A worker looks for requests each second.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Puts the portal's token on every call.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type AsPortal = InterceptedService<Channel, Bearer>;

/// What the portal calls.
struct Portal {
    login: LoginServiceClient<AsPortal>,
    session: SessionServiceClient<AsPortal>,
    reset: PasswordResetServiceClient<AsPortal>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let token = arguments.next().ok_or("usage: reset_story TOKEN [URL] [PAGES]")?;
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let pages = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8025".to_owned());
    let channel = Channel::from_shared(url)?.connect().await?;
    let bearer = Bearer(format!("Bearer {token}").parse()?);
    let through = || InterceptedService::new(channel.clone(), bearer.clone());
    let mut portal = Portal {
        login: LoginServiceClient::new(through()),
        session: SessionServiceClient::new(through()),
        reset: PasswordResetServiceClient::new(through()),
    };

    let old = log_in(&mut portal, OLD).await?;
    println!("logged in with the old password");

    let typed = proto::DebtorNumberAndEmail {
        debtor_number: " ALMA.Sjöberg".replace('ö', "o") + "\u{a0}",
        email: "mailto:<ALMA.Sjoberg0@Example.SE>; ".to_owned(),
    };
    println!("asking with {:?} and {:?}", typed.debtor_number, typed.email);
    let request = proto::RequestPasswordResetRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        identification: Some(Identification::DebtorNumberAndEmail(typed)),
        locale: "sv".to_owned(),
        client: None,
    };
    let code = portal.reset.request_password_reset(request).await?.into_inner().reference_code;
    println!("taken in, reference code {code}");

    let mail = mail_with(&pages, &code).await?;
    println!();
    for line in mail.lines() {
        println!("  | {line}");
    }
    println!();
    let reset_token = token_in(&mail).ok_or("the mail has no link")?;

    confirm(&mut portal, &reset_token).await?;
    println!("the new password is set");
    let verify = proto::VerifySessionRequest {
        access_token: old.access_token,
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
    };
    refused("the old session", portal.session.verify_session(verify).await.map(drop))?;
    refused("the old password", log_in(&mut portal, OLD).await.map(drop))?;
    refused("the link a second time", confirm(&mut portal, &reset_token).await)?;
    log_in(&mut portal, NEW).await?;
    println!("logged in with the new password");
    Ok(())
}

async fn log_in(portal: &mut Portal, password: &str) -> Result<proto::SessionTokens, Status> {
    let request = proto::LoginWithPasswordRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        login_name: "alma.sjoberg".to_owned(),
        password: password.to_owned(),
        client: None,
    };
    match portal.login.login_with_password(request).await?.into_inner().outcome {
        Some(Outcome::Session(tokens)) => Ok(tokens),
        Some(Outcome::PasswordChangeRequired(_)) | None => Err(Status::internal("no session")),
    }
}

async fn confirm(portal: &mut Portal, reset_token: &str) -> Result<(), Status> {
    let request = proto::ConfirmPasswordResetRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        reset_token: reset_token.to_owned(),
        new_password: NEW.to_owned(),
        client: None,
    };
    portal.reset.confirm_password_reset(request).await.map(drop)
}

/// Looks at the newest mail until it is the one with this code.
async fn mail_with(pages: &str, code: &str) -> Result<String, Box<dyn Error>> {
    // The pages are on this machine, in plaintext; the client wants to know how it would do TLS all the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    for _ in 0..LOOKS {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let mail = reqwest::get(format!("{pages}/mailbox/latest")).await?.text().await?;
        if mail.contains(code) {
            return Ok(mail);
        }
    }
    Err("no mail came".into())
}

fn token_in(mail: &str) -> Option<String> {
    let start = mail.find("grt_")?;
    let token = mail[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    Some(token.collect())
}

fn refused(what: &str, answer: Result<(), Status>) -> Result<(), String> {
    match answer {
        Ok(()) => Err(format!("{what} still works")),
        Err(status) => {
            println!("refused as it should be: {what} ({})", status.message());
            Ok(())
        }
    }
}
