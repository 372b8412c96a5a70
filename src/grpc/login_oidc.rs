//! `LoginOidcService`: wire messages to attempts at providers, outcomes to answers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::domain::oidc::ProviderId;
use crate::domain::organization::{Organization, Portal};
use crate::domain::secret::Secret;
use crate::flows::attempt::Origin;
use crate::flows::login_oidc::{Answer, Callback, LoginOidcFlow, Start};
use crate::proto;
use crate::proto::login_oidc_service_server::LoginOidcService;

use super::access::authorize_fields;
use super::context::{CallerContext, open};
use super::eid_login::{MAX_SECRET_BYTES, failed, optional_secret};
use super::fields::Faults;
use super::login::{MAX_LOCALE_BYTES, session_tokens, timestamp};
use super::status::FaultReason;

/// Longest `login_hint`.
const MAX_HINT_BYTES: usize = 200;
/// Longest `code`.
const MAX_CODE_BYTES: usize = 2048;
/// Longest `iss`.
const MAX_ISSUER_BYTES: usize = 255;
/// Longest `error`.
const MAX_ERROR_BYTES: usize = 128;

/// The service over its flow.
pub struct LoginOidcHandlers {
    flow: Arc<LoginOidcFlow>,
}

impl LoginOidcHandlers {
    /// Over the OIDC login flow.
    pub fn new(flow: Arc<LoginOidcFlow>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl LoginOidcService for LoginOidcHandlers {
    async fn start_oidc_login(
        &self,
        request: Request<proto::StartOidcLoginRequest>,
    ) -> Result<Response<proto::StartOidcLoginResponse>, Status> {
        let (context, message) = open(request)?;
        let start = parse_start(&context, message)?;
        let started = self.flow.start(start).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::StartOidcLoginResponse {
            authorization_url: started.authorization_url.expose().clone(),
            binding_secret: started.binding_secret.expose().clone(),
            expire_time: Some(timestamp(started.expires)),
        }))
    }

    async fn complete_oidc_login(
        &self,
        request: Request<proto::CompleteOidcLoginRequest>,
    ) -> Result<Response<proto::CompleteOidcLoginResponse>, Status> {
        let (context, message) = open(request)?;
        let callback = parse_callback(&context, message)?;
        let tokens = self.flow.complete(callback).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::CompleteOidcLoginResponse { session: Some(session_tokens(&tokens)) }))
    }
}

fn parse_start(context: &CallerContext, message: proto::StartOidcLoginRequest) -> Result<Start, Status> {
    let login_hint = Secret::new(message.login_hint);
    let (organization, portal) = authorize_fields(context, &message.organization, message.portal)?;
    let mut faults = Faults::default();
    let provider = provider(&mut faults, &organization, portal, &message.provider);
    let locale = locale(&mut faults, message.locale);
    let login_hint = hint(&mut faults, &organization, portal, provider.as_ref(), &login_hint);
    let client = faults.client(context, message.client);
    let (Some(provider), Some(locale), Some(login_hint), Some(client)) =
        (provider, locale, login_hint, client)
    else {
        return Err(faults.refuse());
    };
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(Start { organization, portal, provider, locale, login_hint, origin })
}

fn parse_callback(
    context: &CallerContext,
    message: proto::CompleteOidcLoginRequest,
) -> Result<Callback, Status> {
    let (code, state) = (Secret::new(message.code), Secret::new(message.state));
    let binding_secret = Secret::new(message.binding_secret);
    let (organization, portal) = authorize_fields(context, &message.organization, message.portal)?;
    let mut faults = Faults::default();
    let provider = provider(&mut faults, &organization, portal, &message.provider);
    let binding_secret = faults.secret("binding_secret", binding_secret.expose().clone(), MAX_SECRET_BYTES);
    let state = faults.secret("state", state.expose().clone(), MAX_SECRET_BYTES);
    let iss = faults.optional_text("iss", message.iss, MAX_ISSUER_BYTES);
    let answer = answer(&mut faults, &code, message.error);
    let client = faults.client(context, message.client);
    let (Some(provider), Some(binding_secret), Some(state), Some(iss), Some(answer), Some(client)) =
        (provider, binding_secret, state, iss, answer, client)
    else {
        return Err(faults.refuse());
    };
    let iss = (!iss.is_empty()).then_some(iss);
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(Callback { organization, portal, provider, binding_secret, state, answer, iss, origin })
}

/// A provider that this portal offers.
fn provider(
    faults: &mut Faults,
    organization: &Organization,
    portal: Portal,
    text: &str,
) -> Option<ProviderId> {
    let provider = faults.parsed("provider", text, ProviderId::parse)?;
    if organization.provider(&provider, portal).is_none() {
        faults.add("provider", FaultReason::OutOfRange, "this portal offers no such provider");
        return None;
    }
    Some(provider)
}

#[expect(clippy::option_option, reason = "the outer one says whether it was well-formed, as in all helpers")]
fn locale(faults: &mut Faults, text: String) -> Option<Option<String>> {
    let text = faults.optional_text("locale", text, MAX_LOCALE_BYTES)?;
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        faults.add("locale", FaultReason::Malformed, "not a BCP 47 tag");
        return None;
    }
    Some((!text.is_empty()).then_some(text))
}

#[expect(clippy::option_option, reason = "the outer one says whether it was well-formed, as in all helpers")]
fn hint(
    faults: &mut Faults,
    organization: &Organization,
    portal: Portal,
    provider: Option<&ProviderId>,
    hint: &Secret<String>,
) -> Option<Option<Secret<String>>> {
    if hint.expose().is_empty() {
        return Some(None);
    }
    let takes_it = provider.and_then(|id| organization.provider(id, portal)).is_some_and(|it| it.login_hint);
    if provider.is_some() && !takes_it {
        let description = "the provider is not configured to take it: a number in an address ends up in logs";
        faults.add("login_hint", FaultReason::NotAllowed, description);
        return None;
    }
    optional_secret(faults, "login_hint", hint.expose().clone(), MAX_HINT_BYTES)
}

/// `error` wins: a provider that sends both has not said who the person is.
fn answer(faults: &mut Faults, code: &Secret<String>, error: String) -> Option<Answer> {
    let error = faults.optional_text("error", error, MAX_ERROR_BYTES)?;
    if !error.is_empty() {
        return Some(Answer::Error(error));
    }
    faults.secret("code", code.expose().clone(), MAX_CODE_BYTES).map(Answer::Code)
}
