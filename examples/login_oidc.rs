//! A portal's side of a login at an `OpenID` provider: send the browser there, and complete with what comes back. Copy from
//! it.
//!
//! ```text
//! cargo run -- dev                                  # in another terminal; it prints the tokens
//! cargo run --example login_oidc -- TOKEN ORGANIZATION PROVIDER [URL] [--persona NUMBER]
//! ```
//!
//! `TOKEN` is that of the organization's portal: `sample-kommun` has `idura`, `signicat`, `freja` and `swedenconnect`,
//! `voorbeeld-opvang` has `digid`. It prints an address to open; log in there, and paste the address that the browser comes
//! back to. With `--persona` it does that, too, and the story runs by itself: `197001019806` is Alma Sjöberg of the Swedish
//! sample, `999990007` Sanne de Vries of the Dutch one.

use std::collections::HashMap;
use std::error::Error;

use guardian_auth::proto;
use guardian_auth::proto::login_oidc_service_client::LoginOidcServiceClient;
use guardian_auth::proto::session_service_client::SessionServiceClient;
use reqwest::{Url, header, redirect};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

const USAGE: &str = "usage: login_oidc TOKEN ORGANIZATION PROVIDER [URL] [--persona NUMBER]";

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
    let mut next = || arguments.next().ok_or(USAGE);
    let (token, organization, provider) = (next()?, next()?, next()?);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let channel = Channel::from_shared(url)?.connect().await?;
    let bearer = Bearer(format!("Bearer {token}").parse()?);
    let through = || InterceptedService::new(channel.clone(), bearer.clone());
    let mut oidc = LoginOidcServiceClient::new(through());
    let mut session = SessionServiceClient::new(through());

    let request = proto::StartOidcLoginRequest {
        organization: organization.clone(),
        portal: proto::Portal::Parent.into(),
        provider: provider.clone(),
        locale: "sv".to_owned(),
        login_hint: String::new(),
        client: Some(client()),
    };
    let started = match oidc.start_oidc_login(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(told(&status).into()),
    };
    // The secret goes into a cookie of this browser, which is redirected there. This example is the browser.
    let back = if let Some(persona) = persona {
        log_in(&started.authorization_url, &persona).await?
    } else {
        println!("Open {}", started.authorization_url);
        println!("Log in there, and paste the address that the browser comes back to:");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Url::parse(line.trim())?
    };
    let answer: HashMap<String, String> = back.query_pairs().into_owned().collect();
    let parameter = |name: &str| answer.get(name).cloned().unwrap_or_default();
    println!("the provider sent the browser back to {}", back.path());

    let request = proto::CompleteOidcLoginRequest {
        organization: organization.clone(),
        portal: proto::Portal::Parent.into(),
        provider,
        binding_secret: started.binding_secret,
        state: parameter("state"),
        code: parameter("code"),
        iss: parameter("iss"),
        error: parameter("error"),
        client: Some(client()),
    };
    let tokens = match oidc.complete_oidc_login(request).await {
        Ok(answer) => answer.into_inner().session.ok_or("an answer without session")?,
        Err(status) => return Err(told(&status).into()),
    };
    println!("logged in: guardian {}, session {}", tokens.guardian_id, tokens.session_id);
    let request = proto::VerifySessionRequest {
        access_token: tokens.access_token,
        organization,
        portal: proto::Portal::Parent.into(),
    };
    let verified = session.verify_session(request).await?.into_inner();
    println!("verified: authenticated by {:?}", verified.authentication_methods);
    Ok(())
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

/// The guardian's browser.
fn client() -> proto::ClientContext {
    proto::ClientContext {
        ip: "192.0.2.7".to_owned(),
        user_agent: "examples/login_oidc.rs".to_owned(),
        device_token: String::new(),
    }
}

/// Clicks through the page of the simulated provider, up to the address that it sends the browser back to.
async fn log_in(authorization_url: &str, persona: &str) -> Result<Url, Box<dyn Error>> {
    // The provider is on this machine, in plaintext; the client wants to know how it would do TLS all the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let browser = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
    let page = browser.get(authorization_url).send().await?.error_for_status()?.text().await?;
    let transaction = between(&page, "name=\"transaction\" value=\"", "\"").ok_or("no page to log in")?;
    let before = page.split(&format!("<code>{persona}</code>")).next().filter(|before| *before != page);
    let before = before.ok_or("nobody has this number there")?;
    let person = before.rsplit("name=\"person\" value=\"").next().unwrap_or_default();
    let person = person.split('"').next().unwrap_or_default();
    let action = between(&page, "action=\"", "\"").ok_or("no form")?;
    let origin = Url::parse(action)?.origin().ascii_serialization();
    let form = [("transaction", transaction), ("person", person), ("decision", "approve")];
    let sent = browser.post(action).header(header::ORIGIN, origin).form(&form).send().await?;
    let location =
        sent.headers().get(header::LOCATION).ok_or("the provider did not send the browser back")?;
    Ok(Url::parse(location.to_str()?)?)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// What a portal tells of a failure: the reason decides the words, and the reference code is for support.
fn told(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => format!("{}: {:?}", info.reason, info.metadata),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}
