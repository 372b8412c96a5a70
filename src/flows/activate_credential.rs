//! Choosing a first password with what staff issued: a user name and a code, or a link.
//!
//! A code passes the gate as a password does: the same limits, one comparison, the same statements whatever exists.

use std::sync::Arc;

use opentelemetry::context::FutureExt as _;
use tokio_util::task::TaskTracker;

use crate::domain::activation_code::ActivationCode;
use crate::domain::audit::{Cause, Fact};
use crate::domain::fallback_credential::{RestsOn, Standing, decide, state};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::limits::{Lane, password_reservation, token_reservation};
use crate::domain::message::Channel;
use crate::domain::organization::{Organization, Portal};
use crate::domain::password::{Blocklist, NewPassword, PasswordHash, Refusal as PasswordRefusal};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::password_hasher::{Comparison, PasswordHasher, Verdict};
use crate::ports::rate_limiter::{RateLimiter, Receipt, reserve};
use crate::ports::store::{ActivateOutcome, ActivatedCredential, ActivationFailure, ActivationHolder, Store};

use super::activation_links;
use super::attempt::{self, Origin, Record, new_reference};
use super::gate::{Gate, Refusal};
use super::notices;
use super::one_time_token::TokenKind;
use super::organizations::Organizations;
use super::outbox::Wake;
use super::refusal_log::RefusalLog;

/// What was handed over or sent.
pub enum Proof {
    /// From a sheet. A code that has not the form of one is compared as typed, so that it costs what a wrong one costs.
    Code {
        /// The user name.
        user_name: LoginName,
        /// The code as typed.
        code: Secret<String>,
    },
    /// The token of a link.
    Token(Secret<String>),
}

/// An attempt to choose a first password.
pub struct Attempt {
    /// The organization of the page.
    pub organization: Arc<Organization>,
    /// The portal of the page.
    pub portal: Portal,
    /// What was handed over or sent.
    pub proof: Proof,
    /// The password as typed.
    pub new_password: Secret<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A password that was set.
pub struct Activated {
    /// The name to log in with; `None` if there is none any more.
    pub user_name: Option<LoginName>,
    /// Sessions that ended.
    pub ended: usize,
}

/// Why no password was set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The new password breaks the rule, for these reasons. Code and link are still good.
    #[error("the new password breaks the rule")]
    Refused(Vec<PasswordRefusal>),
    /// The attempt failed like a login.
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Attempt(error.into())
    }
}

/// What the flow needs.
pub struct ActivateCredentialFlow {
    /// The limits.
    pub limiter: Arc<dyn RateLimiter>,
    /// The gate.
    pub gate: Gate,
    /// The hasher.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The list of common passwords.
    pub blocklist: Arc<Blocklist>,
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Digests tokens.
    pub vault: Arc<dyn KeyVault>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Takes events of refused attempts.
    pub refusals: RefusalLog,
    /// Whether there is a way for text messages.
    pub sends_text_messages: bool,
    /// Tells the outbox that there is something to send.
    pub wake: Wake,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Attempts run here to their end.
    pub tasks: TaskTracker,
}

/// A proof that is right.
struct Proven {
    activation: ActivationId,
    rests_on: RestsOn,
    holder: ActivationHolder,
}

/// Why a proof is not right, and whose account it was about.
struct Unproven {
    cause: Cause,
    holder: Option<Box<ActivationHolder>>,
}

/// The page that an attempt comes from.
struct Page<'a> {
    organization: &'a Organization,
    record: Record<'a>,
    now: Timestamp,
}

impl ActivateCredentialFlow {
    /// Runs an attempt to its end, whether or not the caller stays.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn activate(self: &Arc<Self>, attempt: Attempt) -> Result<Activated, Error> {
        let flow = Arc::clone(self);
        let task = self.tasks.spawn(async move { flow.run(attempt).await }.with_current_context());
        task.await.unwrap_or_else(|_| {
            Err(PortError::Corrupt("the activation ended without an answer".to_owned()).into())
        })
    }

    async fn run(&self, attempt: Attempt) -> Result<Activated, Error> {
        let Attempt { organization, portal, proof, new_password, origin } = attempt;
        let lane = Lane::UnknownDevice;
        let page = Page {
            organization: &organization,
            record: Record { origin: &origin, organization: &organization.id, portal, lane: &lane },
            now: self.clock.now(),
        };
        let is_code = matches!(proof, Proof::Code { .. });
        let proven = match proof {
            Proof::Code { user_name, code } => self.by_code(&page, &user_name, code).await?,
            Proof::Token(token) => self.by_token(&page, &token).await?,
        };
        // Not before: it would tell by the names of the account that there is one.
        let names: Vec<&str> = proven.holder.login_names.iter().map(LoginName::as_str).collect();
        let accepted =
            organization.password.accept(new_password, &self.blocklist, &names).map_err(Error::Refused)?;
        self.set(&page, proven, &accepted, is_code).await
    }

    /// Looks at a user name and a code: reserve, look up, compare once, decide.
    async fn by_code(
        &self,
        page: &Page<'_>,
        user_name: &LoginName,
        typed: Secret<String>,
    ) -> Result<Proven, Error> {
        let Record { origin, organization, portal, lane } = &page.record;
        let network = origin.client.network();
        let limits = &page.organization.limits;
        // What guesses codes of a name guesses at the name's expense, as with passwords.
        let reservation =
            password_reservation(limits, organization, user_name, network, &origin.caller.name, lane);
        let pass = self.gate.enter(reservation).await.map_err(|refusal| self.refused(page, refusal))?;
        let holder = match self.store.activation_of_name(organization, *portal, user_name).await {
            Ok(holder) => holder,
            Err(error) => {
                self.gate.leave(pass);
                return Err(error.into());
            }
        };
        let held = holder.as_ref().and_then(|holder| holder.activation.as_ref());
        let comparison = Comparison {
            stored: held.and_then(|held| held.code_hash.clone()),
            foreign_parameters: self.organizations.parameters_in_use(organization),
        };
        let code = ActivationCode::parse(&typed).map_or(typed, ActivationCode::into_secret);
        let compared = self.gate.compare(pass, code, comparison, origin.deadline).await;
        let (verdict, receipt) = compared.map_err(|refusal| self.refused(page, refusal))?;
        let is_right = matches!(verdict, Verdict::Match { .. });
        // Where a link waits there is no code that could be wrong.
        let of_code = holder.map(|mut holder| {
            holder.activation = holder.activation.filter(|it| it.code_hash.is_some() || it.end.is_some());
            holder
        });
        match judge(of_code, is_right, page.now) {
            Ok(proven) => {
                self.gate.give_back(receipt);
                Ok(proven)
            }
            // Whatever was wrong, the charge stays: given back, it would tell a right code of a closed account.
            Err(Unproven { cause, holder }) => Err(self.deny(page, cause, holder.as_deref()).await),
        }
    }

    /// Looks at the token of a link. One that is not good stays charged to its network.
    async fn by_token(&self, page: &Page<'_>, token: &Secret<String>) -> Result<Proven, Error> {
        if !TokenKind::ACTIVATION.is_well_formed(token.expose()) {
            return Err(self.invalid(page, Cause::NothingToActivate, None));
        }
        let receipt = self.charge(page).await?;
        let found = match self.find(page, token).await {
            Ok(found) => found,
            Err(error) => {
                self.gate.give_back(receipt);
                return Err(error.into());
            }
        };
        match judge(found, true, page.now) {
            Ok(proven) => {
                self.gate.give_back(receipt);
                Ok(proven)
            }
            Err(Unproven { cause, holder }) => {
                Err(self.invalid(page, cause, holder.as_ref().map(|holder| &holder.guardian)))
            }
        }
    }

    async fn charge(&self, page: &Page<'_>) -> Result<Receipt, Error> {
        let network = page.record.origin.client.network();
        let reservation = token_reservation(&page.organization.limits, &page.organization.id, network);
        match reserve(self.limiter.as_ref(), reservation).await {
            Ok((_, receipt)) => Ok(receipt),
            Err(retry_after) => Err(self.refused(page, Refusal::RateLimited { retry_after })),
        }
    }

    /// What a token is for; nothing if it concerns another organization or portal.
    async fn find(
        &self,
        page: &Page<'_>,
        token: &Secret<String>,
    ) -> Result<Option<ActivationHolder>, PortError> {
        for digest in activation_links::digests(self.vault.as_ref(), token) {
            if let Some(holder) = self.store.activation_of_token(&digest).await? {
                let is_here =
                    holder.organization == page.organization.id && holder.portal == page.record.portal;
                return Ok(Some(holder).filter(|_| is_here));
            }
        }
        Ok(None)
    }

    async fn set(
        &self,
        page: &Page<'_>,
        proven: Proven,
        accepted: &NewPassword,
        is_code: bool,
    ) -> Result<Activated, Error> {
        let deadline = page.record.origin.deadline;
        let hash = self.hasher.hash(accepted, deadline).await;
        let hash = hash.map_err(|error| self.refused(page, self.gate.refusal(error)))?;
        let user_name = proven.holder.user_name.clone();
        let activated = self.activated(page, &proven, hash);
        let cause = match self.store.activate_credential(&activated).await? {
            ActivateOutcome::Activated(ended) => {
                for session in &ended.sessions {
                    self.revocations.note(session, page.now);
                }
                self.wake.outbox();
                return Ok(Activated { user_name, ended: ended.live });
            }
            ActivateOutcome::NotBorne => Cause::ActivationEnded,
            ActivateOutcome::ChangedMeanwhile => Cause::ChangedMeanwhile,
        };
        if is_code {
            Err(self.deny(page, cause, Some(&proven.holder)).await)
        } else {
            Err(self.invalid(page, cause, Some(&proven.holder.guardian)))
        }
    }

    fn activated(&self, page: &Page<'_>, proven: &Proven, hash: PasswordHash) -> ActivatedCredential {
        let Proven { activation, rests_on, holder } = proven;
        let entropy = self.entropy.as_ref();
        let (guardian, portal) = (&holder.guardian, page.record.portal);
        let event = page.record.event(entropy, page.now, Fact::CredentialActivated, Some(guardian), None);
        // By every way that there is: who got hold of the code must not stay unnoticed.
        let ways = [
            (Channel::Email, holder.has_email),
            (Channel::Sms, holder.has_mobile && self.sends_text_messages),
        ];
        let channels: Vec<Channel> =
            ways.into_iter().filter(|(_, is_there)| *is_there).map(|(channel, _)| channel).collect();
        let notices =
            notices::password_changed(entropy, page.organization, portal, guardian, &event, &channels);
        ActivatedCredential {
            activation: activation.clone(),
            guardian: guardian.clone(),
            organization: page.organization.id.clone(),
            portal,
            rests_on: *rests_on,
            credential_epoch: holder.credential_epoch,
            hash,
            at: page.now,
            event,
            notices,
        }
    }

    /// Counts a wrong code and writes the denial down. The same statements for everybody: where nothing is to be counted, a
    /// decoy id stands.
    async fn deny(&self, page: &Page<'_>, cause: Cause, holder: Option<&ActivationHolder>) -> Error {
        let entropy = self.entropy.as_ref();
        let reference = new_reference(entropy);
        let known = holder.map(|holder| &holder.guardian);
        let fact = Fact::ActivationDenied(cause);
        let event = page.record.event(entropy, page.now, fact, known, Some(&reference));
        let counted = holder
            .and_then(|holder| holder.activation.as_ref())
            .filter(|_| cause == Cause::WrongActivationCode)
            .map(|held| held.id.clone());
        let decoy = || ActivationId::new(page.now, random_bytes(entropy));
        let failure = ActivationFailure { activation: counted.unwrap_or_else(decoy), at: page.now, event };
        match self.store.record_activation_failure(&failure).await {
            Ok(()) => attempt::Error::InvalidCredentials(reference).into(),
            Err(error) => error.into(),
        }
    }

    /// The answer to a token that is not good. Its event goes to the batcher: anybody can send many.
    fn invalid(&self, page: &Page<'_>, cause: Cause, guardian: Option<&GuardianId>) -> Error {
        let entropy = self.entropy.as_ref();
        let reference = new_reference(entropy);
        let fact = Fact::ActivationDenied(cause);
        self.refusals.note(page.record.event(entropy, page.now, fact, guardian, Some(&reference)));
        attempt::Error::InvalidCredentials(reference).into()
    }

    fn refused(&self, page: &Page<'_>, refusal: Refusal) -> Error {
        let entropy = self.entropy.as_ref();
        page.record.refused(&self.refusals, entropy, page.now, refusal, Fact::ActivationDenied, None).into()
    }
}

/// Everything that a code or link is bound to. The store looks at it once more when the password is set.
fn judge(holder: Option<ActivationHolder>, is_right: bool, now: Timestamp) -> Result<Proven, Unproven> {
    let standing = holder.as_ref().and_then(|holder| {
        let held = holder.activation.as_ref()?;
        let is_current = held.credential_epoch == holder.credential_epoch;
        Some(Standing { account: holder.state, state: state(held.end, held.expires, is_current, now) })
    });
    let unproven = |cause, holder: Option<ActivationHolder>| Unproven { cause, holder: holder.map(Box::new) };
    if let Err(denied) = decide(standing, is_right) {
        return Err(unproven(denied.cause_for_audit(), holder));
    }
    let held = holder.as_ref().and_then(|holder| holder.activation.as_ref());
    let known = held.map(|held| (held.id.clone(), held.rests_on));
    match (known, holder) {
        (Some((activation, rests_on)), Some(holder)) => Ok(Proven { activation, rests_on, holder }),
        (_, holder) => Err(unproven(Cause::NothingToActivate, holder)),
    }
}
