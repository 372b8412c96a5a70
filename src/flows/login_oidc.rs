//! Logging in at an `OpenID` provider: to the provider, and back with its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::context::FutureExt as _;
use tokio::time::timeout_at;
use tokio_util::task::TaskTracker;

use crate::domain::audit::{Eid, EidCause};
use crate::domain::eid_login::Assertion;
use crate::domain::limits::{Lane, eid_reservation};
use crate::domain::oidc::{OidcFault, ProviderId};
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::error::PortError;
use crate::ports::identity_provider::{
    AuthorizationRequest, AuthorizationResponse, IdentityProvider, ProviderError,
};
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::rate_limiter::{Decision, RateLimiter};
use crate::ports::store::{OidcAttempt, Store, TakenAttempt};

use super::attempt::{Origin, Record};
use super::eid_login::{EidLogin, Error, Identified};
use super::gate::Gate;
use super::one_time_token::TokenKind;
use super::session_tokens::SessionTokens;

/// An attempt lives 15 minutes: long enough to find the phone and read the provider's pages, and people do.
pub const ATTEMPT_LIFETIME: Duration = Duration::from_mins(15);

/// The errors by which a provider says that the person did not go through with it (`OpenID` Connect Core §3.1.2.6, RFC 6749
/// §4.1.2.1). Others are the provider's or ours.
const GIVEN_UP: [&str; 5] = [
    "access_denied",
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
];

/// The beginning of a login.
pub struct Start {
    /// The organization.
    pub organization: Arc<Organization>,
    /// The portal that the guardian is at.
    pub portal: Portal,
    /// The provider, which this portal offers.
    pub provider: ProviderId,
    /// BCP 47 tag for the provider's pages, if one was asked for.
    pub locale: Option<String>,
    /// Who will log in, if the portal may say it.
    pub login_hint: Option<Secret<String>>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where the browser goes, and what it keeps.
pub struct Started {
    /// Where the browser goes.
    pub authorization_url: Secret<String>,
    /// What the browser keeps.
    pub binding_secret: Secret<String>,
    /// Until when.
    pub expires: Timestamp,
}

/// What came to the redirect address.
pub struct Callback {
    /// The organization of the address.
    pub organization: Arc<Organization>,
    /// The portal of the address.
    pub portal: Portal,
    /// The provider of the address.
    pub provider: ProviderId,
    /// What the browser kept.
    pub binding_secret: Secret<String>,
    /// `state`.
    pub state: Secret<String>,
    /// `code`, or `error`.
    pub answer: Answer,
    /// `iss`, if it was there.
    pub iss: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What the provider answered.
pub enum Answer {
    /// `code`.
    Code(Secret<String>),
    /// `error`.
    Error(String),
}

/// What the flow needs.
pub struct LoginOidcFlow {
    /// The limits.
    pub limiter: Arc<dyn RateLimiter>,
    /// Gives back what a right secret was charged.
    pub gate: Gate,
    /// The providers of each organization.
    pub providers: HashMap<(OrganizationId, ProviderId), Arc<dyn IdentityProvider>>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Digests and seals of attempts.
    pub vault: Arc<dyn KeyVault>,
    /// From the person to the session.
    pub eid: Arc<EidLogin>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Attempts run here to their end.
    pub tasks: TaskTracker,
}

/// What an attempt remembers.
struct Remembered {
    nonce: Secret<String>,
    code_verifier: Secret<String>,
}

impl LoginOidcFlow {
    /// Begins a login.
    ///
    /// # Errors
    /// [`Error::Attempt`] if a limit is reached, or the provider or the store is away.
    pub async fn start(&self, start: Start) -> Result<Started, Error> {
        let Start { organization, portal, provider, locale, login_hint, origin } = start;
        let record = record(&origin, &organization, portal);
        let reservation = eid_reservation(&organization.limits, &organization.id, origin.client.network());
        if let Decision::Refused { retry_after } = self.limiter.decide(&reservation).await {
            return Err(self.eid.refused(&record, retry_after).into());
        }
        let entropy = self.entropy.as_ref();
        let [state, binding_secret, nonce, code_verifier] =
            [TokenKind::STATE, TokenKind::BINDING, TokenKind::NONCE, TokenKind::CODE_VERIFIER]
                .map(|kind| kind.new_token(entropy));
        let begun = self.clock.now();
        let authorization_url = self
            .provider(&organization, &provider)?
            .authorization_url(&AuthorizationRequest {
                state: &state,
                nonce: &nonce,
                code_verifier: &code_verifier,
                locale: locale.as_deref(),
                login_hint: login_hint.as_ref(),
                now: begun,
            })
            .await
            .map_err(|error| match error {
                ProviderError::Unavailable(detail) => unavailable(detail),
                // Nothing but the request came from us: a provider that refuses it is set up otherwise than we think.
                ProviderError::Refused(fault) => unavailable(fault.as_str().to_owned()),
            })?;
        let state_digest = self.digest(&state);
        let remembered = Secret::new(format!("{}\n{}", nonce.expose(), code_verifier.expose()));
        let attempt = OidcAttempt {
            state_digest,
            binding_digest: self.digest(&binding_secret),
            sealed: self.vault.seal(
                Purpose::EidAttemptSeal,
                &seal_context(&organization.id, &state_digest),
                remembered.expose().as_bytes(),
            ),
            organization: organization.id.clone(),
            portal,
            provider,
            begun,
            expires: begun.plus(ATTEMPT_LIFETIME),
        };
        self.store.add_oidc_attempt(&attempt).await?;
        Ok(Started { authorization_url, binding_secret, expires: attempt.expires })
    }

    /// Completes a login, whether or not the caller stays.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn complete(self: &Arc<Self>, callback: Callback) -> Result<SessionTokens, Error> {
        let flow = Arc::clone(self);
        let task = self.tasks.spawn(async move { flow.run_complete(callback).await }.with_current_context());
        task.await.unwrap_or_else(|_| {
            Err(PortError::Corrupt("the login ended without an answer".to_owned()).into())
        })
    }

    async fn run_complete(&self, callback: Callback) -> Result<SessionTokens, Error> {
        let organization = Arc::clone(&callback.organization);
        let record = record(&callback.origin, &organization, callback.portal);
        let attempt = self.take(&record, &callback).await?;
        if let Some(fault) = self.misdirected(&attempt, &callback) {
            return Err(self.eid.attempt_invalid(&record, EidCause::Oidc(fault)).await);
        }
        let provider = self.provider(&organization, &callback.provider)?;
        let remembered = self.open(&attempt)?;
        // Nobody waits for a session that comes later.
        let asked = timeout_at(callback.origin.deadline, self.ask(provider, &callback, &remembered)).await;
        let answered =
            asked.unwrap_or_else(|_| Err(ProviderError::Unavailable("no answer in time".to_owned())));
        match answered {
            Ok(assertion) => {
                let eid = Eid::Oidc;
                let identified =
                    Identified { eid, assertion, order: None, evidence: None, signals: Vec::new() };
                self.eid.open(&record, &organization, identified).await
            }
            Err(ProviderError::Unavailable(detail)) => Err(unavailable(detail)),
            Err(ProviderError::Refused(fault)) => {
                let reference = self.eid.note_failure(&record, EidCause::Oidc(fault)).await?;
                Err(Error::Failed { message_id: None, reference })
            }
        }
    }

    async fn ask(
        &self,
        provider: &dyn IdentityProvider,
        callback: &Callback,
        remembered: &Remembered,
    ) -> Result<Assertion, ProviderError> {
        let iss = callback.iss.as_deref();
        match &callback.answer {
            Answer::Error(error) => Err(given_up(provider, error, iss).await),
            Answer::Code(code) => {
                let Remembered { nonce, code_verifier } = remembered;
                let now = self.clock.now();
                provider.identify(&AuthorizationResponse { code, iss, nonce, code_verifier, now }).await
            }
        }
    }

    /// Uses an attempt up. A state that is none of ours, or another browser's, stays charged to its network.
    async fn take(&self, record: &Record<'_>, callback: &Callback) -> Result<OidcAttempt, Error> {
        let formed = TokenKind::STATE.is_well_formed(callback.state.expose())
            && TokenKind::BINDING.is_well_formed(callback.binding_secret.expose());
        if !formed {
            return Err(self.invalid(record, OidcFault::AttemptUnknown).await);
        }
        let receipt = self.eid.charge_secret(record, &callback.organization).await?;
        let (states, bindings) = (self.digests(&callback.state), self.digests(&callback.binding_secret));
        match self.store.take_oidc_attempt(&states, &bindings).await {
            Ok(TakenAttempt::Taken(attempt)) => {
                self.gate.give_back(receipt);
                Ok(*attempt)
            }
            Ok(TakenAttempt::OtherBrowser) => Err(self.invalid(record, OidcFault::OtherBrowser).await),
            Ok(TakenAttempt::Unknown) => Err(self.invalid(record, OidcFault::AttemptUnknown).await),
            Err(error) => {
                self.gate.give_back(receipt);
                Err(error.into())
            }
        }
    }

    /// Whether an attempt that was taken is for this address, and not too old.
    fn misdirected(&self, attempt: &OidcAttempt, callback: &Callback) -> Option<OidcFault> {
        let same = attempt.organization == callback.organization.id
            && attempt.portal == callback.portal
            && attempt.provider == callback.provider;
        if !same {
            return Some(OidcFault::OtherProvider);
        }
        (attempt.expires <= self.clock.now()).then_some(OidcFault::AttemptExpired)
    }

    async fn invalid(&self, record: &Record<'_>, fault: OidcFault) -> Error {
        self.eid.attempt_invalid(record, EidCause::Oidc(fault)).await
    }

    fn provider(
        &self,
        organization: &Organization,
        provider: &ProviderId,
    ) -> Result<&dyn IdentityProvider, PortError> {
        self.providers
            .get(&(organization.id.clone(), provider.clone()))
            .map(AsRef::as_ref)
            .ok_or_else(|| PortError::Corrupt("a provider is offered that nobody talks to".to_owned()))
    }

    fn open(&self, attempt: &OidcAttempt) -> Result<Remembered, PortError> {
        let context = seal_context(&attempt.organization, &attempt.state_digest);
        let opened = self.vault.open(Purpose::EidAttemptSeal, &context, &attempt.sealed);
        let text = opened.as_ref().and_then(|bytes| std::str::from_utf8(bytes.expose()).ok());
        let (nonce, code_verifier) = text
            .and_then(|text| text.split_once('\n'))
            .ok_or_else(|| PortError::Corrupt("an attempt at a provider does not open".to_owned()))?;
        let copy = |text: &str| Secret::new(text.to_owned());
        Ok(Remembered { nonce: copy(nonce), code_verifier: copy(code_verifier) })
    }

    fn digest(&self, token: &Secret<String>) -> [u8; 32] {
        self.vault.digest(Purpose::EidAttemptToken, &[token.expose().as_bytes()])
    }

    fn digests(&self, token: &Secret<String>) -> Vec<[u8; 32]> {
        self.vault.digests(Purpose::EidAttemptToken, &[token.expose().as_bytes()])
    }
}

/// What an answer with an error says: only one that is the provider's is believed.
async fn given_up(provider: &dyn IdentityProvider, error: &str, iss: Option<&str>) -> ProviderError {
    match provider.accepts_issuer(iss).await {
        Ok(true) if GIVEN_UP.contains(&error) => ProviderError::Refused(OidcFault::GivenUp),
        Ok(true) => ProviderError::Refused(OidcFault::ProviderError),
        Ok(false) => ProviderError::Refused(OidcFault::ResponseIssuer),
        Err(error) => error,
    }
}

fn record<'a>(origin: &'a Origin, organization: &'a Organization, portal: Portal) -> Record<'a> {
    Record { origin, organization: &organization.id, portal, lane: &Lane::UnknownDevice }
}

fn unavailable(detail: String) -> Error {
    PortError::Unavailable { dependency: "oidc", detail }.into()
}

/// What a sealed attempt is bound to: organization, table, row, column.
fn seal_context<'a>(organization: &'a OrganizationId, state_digest: &'a [u8; 32]) -> [&'a [u8]; 4] {
    [organization.as_str().as_bytes(), b"oidc_attempt", state_digest, b"sealed"]
}
