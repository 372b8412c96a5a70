//! `LoginService`: wire messages to attempts, outcomes to answers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::domain::identifier::LoginName;
use crate::domain::oidc::Provider;
use crate::domain::organization::Organization;
use crate::domain::passphrase::Locale;
use crate::domain::password::{ClaimedPassword, MAX_CODE_POINTS, PasswordPolicy, Unusable};
use crate::domain::password_reset::ResetMethod;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::flows::activate_credential::ActivateCredentialFlow;
use crate::flows::attempt::{self, Origin};
use crate::flows::login_methods::{self, LoginMethod};
use crate::flows::login_password::{Attempt, LoginFlow, Outcome};
use crate::flows::session_tokens::SessionTokens;
use crate::proto;
use crate::proto::login_service_server::LoginService;

use super::access::authorize_fields;
use super::activate_credential;
use super::context::{CallerContext, open};
use super::fields::Faults;
use super::status::{self, FaultReason};

/// Longest login name as typed (`identifiers.md`, common screen).
const MAX_LOGIN_NAME_BYTES: usize = 32;
/// Longest BCP 47 tag that is taken.
pub(super) const MAX_LOCALE_BYTES: usize = 35;

/// The service over its flow.
pub struct LoginHandlers {
    flow: Arc<LoginFlow>,
    activate: Arc<ActivateCredentialFlow>,
}

impl LoginHandlers {
    /// Over the login flow and that of first passwords.
    pub fn new(flow: Arc<LoginFlow>, activate: Arc<ActivateCredentialFlow>) -> Self {
        Self { flow, activate }
    }
}

#[tonic::async_trait]
impl LoginService for LoginHandlers {
    async fn activate_credential(
        &self,
        request: Request<proto::ActivateCredentialRequest>,
    ) -> Result<Response<proto::ActivateCredentialResponse>, Status> {
        let (context, message) = open(request)?;
        let attempt = activate_credential::parse(&context, message)?;
        let activated = self.activate.activate(attempt).await;
        let activated = activated.map_err(|error| activate_credential::failed(&context, error))?;
        Ok(Response::new(activate_credential::answer(activated)))
    }

    async fn list_login_methods(
        &self,
        request: Request<proto::ListLoginMethodsRequest>,
    ) -> Result<Response<proto::ListLoginMethodsResponse>, Status> {
        let (context, message) = open(request)?;
        let (organization, portal) = authorize_fields(&context, &message.organization, message.portal)?;
        let mut faults = Faults::default();
        let Some(locale) = faults.optional_text("locale", message.locale, MAX_LOCALE_BYTES) else {
            return Err(faults.refuse());
        };
        let offered =
            login_methods::list(&organization, portal, Locale::from_tag(&locale), &self.flow.entropy);
        let methods = offered.methods.into_iter().map(|method| match method {
            LoginMethod::Password => proto::LoginMethod::Password.into(),
            LoginMethod::BankId => proto::LoginMethod::Bankid.into(),
            LoginMethod::Oidc => proto::LoginMethod::Oidc.into(),
        });
        Ok(Response::new(proto::ListLoginMethodsResponse {
            methods: methods.collect(),
            password_rule: Some(password_rule(&offered.rule)),
            suggested_passphrase: offered.suggestion.expose().clone(),
            reset_methods: offered
                .reset_methods
                .into_iter()
                .map(|method| reset_method(method).into())
                .collect(),
            oidc_providers: offered.providers.into_iter().map(oidc_provider).collect(),
        }))
    }

    async fn login_with_password(
        &self,
        request: Request<proto::LoginWithPasswordRequest>,
    ) -> Result<Response<proto::LoginWithPasswordResponse>, Status> {
        let (context, message) = open(request)?;
        let attempt = parse_attempt(&context, message)?;
        let outcome = self.flow.log_in(attempt).await.map_err(|error| attempt_failed(&context, error))?;
        Ok(Response::new(match outcome {
            Outcome::Session { tokens, device_token } => proto::LoginWithPasswordResponse {
                outcome: Some(proto::login_with_password_response::Outcome::Session(session_tokens(&tokens))),
                device_token: device_token.expose().clone(),
            },
            Outcome::ChangeFirst { change_token, expires, rule, device_token } => {
                let required = proto::PasswordChangeRequired {
                    change_token: change_token.expose().clone(),
                    expire_time: Some(timestamp(expires)),
                    password_rule: Some(password_rule(&rule)),
                };
                proto::LoginWithPasswordResponse {
                    outcome: Some(proto::login_with_password_response::Outcome::PasswordChangeRequired(
                        required,
                    )),
                    device_token: device_token.expose().clone(),
                }
            }
        }))
    }
}

fn parse_attempt(
    context: &CallerContext,
    message: proto::LoginWithPasswordRequest,
) -> Result<Attempt, Status> {
    let password = Secret::new(message.password);
    let (organization, portal) = authorize_fields(context, &message.organization, message.portal)?;
    let mut faults = Faults::default();
    let login_name = login_name(&mut faults, "login_name", &organization, message.login_name);
    let password = claimed_password(&mut faults, "password", password);
    let client = faults.client(context, message.client);
    let (Some(login_name), Some(password), Some(client)) = (login_name, password, client) else {
        return Err(faults.refuse());
    };
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(Attempt { organization, portal, login_name, password, origin })
}

/// A login name as typed: user name or debtor number.
pub(super) fn login_name(
    faults: &mut Faults,
    field: &'static str,
    organization: &Organization,
    typed: String,
) -> Option<LoginName> {
    let typed = faults.text(field, typed, MAX_LOGIN_NAME_BYTES)?;
    match LoginName::parse(&typed, organization.leading_zeros()) {
        Ok(name) => Some(name),
        Err(rejection) => {
            faults.add(field, FaultReason::Malformed, rejection.reason());
            None
        }
    }
}

/// A password as claimed: empty and over-long ones are refused before any work, for everybody.
pub(super) fn claimed_password(
    faults: &mut Faults,
    field: &'static str,
    password: Secret<String>,
) -> Option<ClaimedPassword> {
    match ClaimedPassword::parse(password) {
        Ok(password) => Some(password),
        Err(Unusable::Empty) => {
            faults.add(field, FaultReason::Missing, "required");
            None
        }
        Err(Unusable::TooLong) => {
            faults.add(field, FaultReason::TooLong, "at most 256 code points and 1,024 bytes");
            None
        }
    }
}

/// The answer to an attempt that failed.
pub(super) fn attempt_failed(context: &CallerContext, error: attempt::Error) -> Status {
    match error {
        attempt::Error::InvalidCredentials(reference) => status::invalid_credentials(&reference),
        attempt::Error::WrongPortal { portal, reference } => status::wrong_portal(portal, &reference),
        attempt::Error::RateLimited { retry_after, reference } => {
            status::rate_limited(retry_after, Some(&reference))
        }
        attempt::Error::Overloaded { retry_after, reference } => {
            status::overloaded(retry_after, Some(&reference))
        }
        attempt::Error::Expired => status::deadline_exceeded(),
        attempt::Error::Port(error) => context.port_failed(&error),
    }
}

/// The tokens of a session as a message.
pub(super) fn session_tokens(tokens: &SessionTokens) -> proto::SessionTokens {
    proto::SessionTokens {
        access_token: tokens.access.expose().clone(),
        refresh_token: tokens.refresh.expose().clone(),
        access_expire_time: Some(timestamp(tokens.access_expires)),
        idle_expire_time: Some(timestamp(tokens.session.expires())),
        session_expire_time: Some(timestamp(tokens.session.absolute_expires)),
        session_id: tokens.session.id.as_str().to_owned(),
        guardian_id: tokens.session.guardian.as_str().to_owned(),
    }
}

/// A point in time as a message.
pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    // Under 1,000, so the product fits.
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos }
}

fn oidc_provider(provider: Provider) -> proto::OidcProvider {
    proto::OidcProvider { provider: provider.id.as_str().to_owned(), display_name: provider.display_name }
}

const fn reset_method(method: ResetMethod) -> proto::ResetMethod {
    match method {
        ResetMethod::DebtorNumberAndEmail => proto::ResetMethod::DebtorNumberAndEmail,
        ResetMethod::DebtorNumberAndBsn => proto::ResetMethod::DebtorNumberAndBsn,
        ResetMethod::Email => proto::ResetMethod::Email,
    }
}

/// The rule for new passwords as a message.
pub(super) fn password_rule(policy: &PasswordPolicy) -> proto::PasswordRule {
    proto::PasswordRule {
        min_code_points: i32::from(policy.effective_min_length()),
        max_code_points: i32::try_from(MAX_CODE_POINTS).unwrap_or(i32::MAX),
        blocklist: true,
    }
}
