//! `PasswordResetService`: wire messages to requests and links, outcomes to answers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::domain::identifier::{Bsn, Email};
use crate::domain::organization::Organization;
use crate::domain::passphrase::Locale;
use crate::domain::password_reset::{Identification, ResetMethod};
use crate::domain::secret::Secret;
use crate::flows::attempt::Origin;
use crate::flows::password_reset::{self, Error, PasswordResetFlow, Shown};
use crate::proto;
use crate::proto::password_reset_service_server::PasswordResetService;
use crate::proto::request_password_reset_request::Identification as Typed;

use super::access::authorize_fields;
use super::context::{CallerContext, open};
use super::fields::Faults;
use super::login::{
    MAX_LOCALE_BYTES, attempt_failed, claimed_password, login_name, password_rule, timestamp,
};
use super::password::new_password_fault;
use super::session::count;
use super::status::{self, FaultReason, FieldFault};

/// Longest reset token that is looked at.
const MAX_RESET_TOKEN_BYTES: usize = 256;
/// Longest BSN as typed (`identifiers.md`, common screen).
const MAX_BSN_BYTES: usize = 32;
/// Longest e-mail address as typed (`identifiers.md`).
const MAX_EMAIL_BYTES: usize = 320;

/// The service over its flow.
pub struct PasswordResetHandlers {
    flow: Arc<PasswordResetFlow>,
}

impl PasswordResetHandlers {
    /// Over the password-reset flow.
    pub fn new(flow: Arc<PasswordResetFlow>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl PasswordResetService for PasswordResetHandlers {
    async fn request_password_reset(
        &self,
        request: Request<proto::RequestPasswordResetRequest>,
    ) -> Result<Response<proto::RequestPasswordResetResponse>, Status> {
        let (context, message) = open(request)?;
        let request = parse_request(&context, message)?;
        let link_lifetime = request.organization.reset.as_ref().map(|reset| reset.link_lifetime);
        let reference = self.flow.request(request).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::RequestPasswordResetResponse {
            reference_code: reference.as_str().to_owned(),
            link_lifetime: link_lifetime.and_then(|lifetime| lifetime.try_into().ok()),
        }))
    }

    async fn inspect_reset_token(
        &self,
        request: Request<proto::InspectResetTokenRequest>,
    ) -> Result<Response<proto::InspectResetTokenResponse>, Status> {
        let (context, message) = open(request)?;
        let token = Secret::new(message.reset_token);
        let (organization, portal) = authorize_fields(&context, &message.organization, message.portal)?;
        let mut faults = Faults::default();
        let token = reset_token(&mut faults, &token);
        let locale = faults.optional_text("locale", message.locale, MAX_LOCALE_BYTES);
        let client = faults.client(&context, message.client);
        let (Some(token), Some(locale), Some(client)) = (token, locale, client) else {
            return Err(faults.refuse());
        };
        let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
        let shown = Shown { organization, portal, token, origin };
        let link = self.flow.inspect(shown, Locale::from_tag(&locale)).await;
        let link = link.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::InspectResetTokenResponse {
            expire_time: Some(timestamp(link.expires)),
            password_rule: Some(password_rule(&link.rule)),
            suggested_passphrase: link.suggestion.expose().clone(),
        }))
    }

    async fn confirm_password_reset(
        &self,
        request: Request<proto::ConfirmPasswordResetRequest>,
    ) -> Result<Response<proto::ConfirmPasswordResetResponse>, Status> {
        let (context, message) = open(request)?;
        let token = Secret::new(message.reset_token);
        let new_password = Secret::new(message.new_password);
        let (organization, portal) = authorize_fields(&context, &message.organization, message.portal)?;
        let mut faults = Faults::default();
        let token = reset_token(&mut faults, &token);
        let new_password = claimed_password(&mut faults, "new_password", new_password);
        let client = faults.client(&context, message.client);
        let (Some(token), Some(new_password), Some(client)) = (token, new_password, client) else {
            return Err(faults.refuse());
        };
        let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
        let shown = Shown { organization, portal, token, origin };
        let ended = self.flow.confirm(shown, new_password.into_secret()).await;
        let ended = ended.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::ConfirmPasswordResetResponse { ended_session_count: count(ended) }))
    }
}

fn parse_request(
    context: &CallerContext,
    message: proto::RequestPasswordResetRequest,
) -> Result<password_reset::Request, Status> {
    let (organization, portal) = authorize_fields(context, &message.organization, message.portal)?;
    let mut faults = Faults::default();
    let identification = faults
        .required("identification", message.identification)
        .and_then(|typed| identification(&mut faults, &organization, typed));
    let locale = faults.optional_text("locale", message.locale, MAX_LOCALE_BYTES);
    let client = faults.client(context, message.client);
    let (Some(identification), Some(locale), Some(client)) = (identification, locale, client) else {
        return Err(faults.refuse());
    };
    let locale = (!locale.is_empty()).then(|| Locale::from_tag(&locale));
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(password_reset::Request { organization, portal, identification, locale, origin })
}

/// What was typed. A method that is not offered is refused before its values are looked at.
fn identification(faults: &mut Faults, organization: &Organization, typed: Typed) -> Option<Identification> {
    let (field, method) = match &typed {
        Typed::DebtorNumberAndBsn(_) => ("debtor_number_and_bsn", ResetMethod::DebtorNumberAndBsn),
        Typed::DebtorNumberAndEmail(_) => ("debtor_number_and_email", ResetMethod::DebtorNumberAndEmail),
        Typed::Email(_) => ("email", ResetMethod::Email),
    };
    if !organization.reset.as_ref().is_some_and(|reset| reset.methods.contains(&method)) {
        let offered = "the organization does not offer it: see ListLoginMethodsResponse.reset_methods";
        faults.add(field, FaultReason::NotAllowed, offered);
        return None;
    }
    match typed {
        Typed::DebtorNumberAndBsn(typed) => {
            let name =
                login_name(faults, "debtor_number_and_bsn.debtor_number", organization, typed.debtor_number);
            let bsn = bsn(faults, "debtor_number_and_bsn.bsn", typed.bsn);
            name.zip(bsn).map(|(name, bsn)| Identification::DebtorNumberAndBsn(name, bsn))
        }
        Typed::DebtorNumberAndEmail(typed) => {
            let name = login_name(
                faults,
                "debtor_number_and_email.debtor_number",
                organization,
                typed.debtor_number,
            );
            let email = email(faults, "debtor_number_and_email.email", typed.email);
            name.zip(email).map(|(name, email)| Identification::DebtorNumberAndEmail(name, email))
        }
        Typed::Email(typed) => email(faults, "email", typed).map(Identification::Email),
    }
}

fn bsn(faults: &mut Faults, field: &'static str, typed: String) -> Option<Bsn> {
    let typed = faults.text(field, typed, MAX_BSN_BYTES)?;
    Bsn::parse(&typed).map_err(|rejection| faults.add(field, FaultReason::Malformed, rejection.reason())).ok()
}

fn email(faults: &mut Faults, field: &'static str, typed: String) -> Option<Email> {
    let typed = faults.text(field, typed, MAX_EMAIL_BYTES)?;
    Email::parse(&typed)
        .map_err(|rejection| faults.add(field, FaultReason::Malformed, rejection.reason()))
        .ok()
}

/// Blank and over-long tokens are refused before the store is asked (Devise CVE-2019-16109).
fn reset_token(faults: &mut Faults, token: &Secret<String>) -> Option<Secret<String>> {
    const FIELD: &str = "reset_token";
    if token.expose().trim().is_empty() {
        faults.add(FIELD, FaultReason::Missing, "required");
        return None;
    }
    faults.secret(FIELD, token.expose().clone(), MAX_RESET_TOKEN_BYTES)
}

fn failed(context: &CallerContext, error: Error) -> Status {
    match error {
        Error::Refused(refusals) => {
            let faults: Vec<FieldFault> = refusals.into_iter().map(new_password_fault).collect();
            status::password_refused(&faults)
        }
        Error::TokenInvalid(reference) => status::reset_token_invalid(&reference),
        Error::Attempt(error) => attempt_failed(context, error),
    }
}
