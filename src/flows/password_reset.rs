//! Resetting a forgotten password: taking requests in, looking at links, setting the new password.
//!
//! A request is kept and nothing is looked up: what comes of it is found out in `reset_requests`.

use std::sync::Arc;

use opentelemetry::context::FutureExt as _;
use tokio_util::task::TaskTracker;

use crate::domain::audit::{Cause, Fact};
use crate::domain::id::{GuardianId, ResetRequestId};
use crate::domain::identifier::{Email, LoginName};
use crate::domain::limits::{Lane, reset_reservation, token_reservation};
use crate::domain::login_password::AccountState;
use crate::domain::message::Channel;
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::passphrase::{self, Locale};
use crate::domain::password::{
    Blocklist, NewPassword, PasswordHash, PasswordPolicy, Refusal as PasswordRefusal,
};
use crate::domain::password_reset::{EmailOnFile, Identification};
use crate::domain::reference_code::ReferenceCode;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::password_hasher::PasswordHasher;
use crate::ports::rate_limiter::{Decision, RateLimiter, Receipt, reserve};
use crate::ports::store::{ConfirmedReset, ResetOutcome, ResetRequest, ResetTokenHolder, Store};

use super::attempt::{self, Origin, Record, new_reference};
use super::gate::{Gate, Refusal};
use super::notices;
use super::one_time_token::TokenKind;
use super::outbox::Wake;
use super::refusal_log::RefusalLog;

/// A request for a reset link.
pub struct Request {
    /// The organization.
    pub organization: Arc<Organization>,
    /// The portal that the guardian is at.
    pub portal: Portal,
    /// What was typed.
    pub identification: Identification,
    /// The language of the mail, if one was asked for.
    pub locale: Option<Locale>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A token of a link, as shown at a page.
pub struct Shown {
    /// The organization of the page.
    pub organization: Arc<Organization>,
    /// The portal of the page.
    pub portal: Portal,
    /// The token.
    pub token: Secret<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A link that is good.
pub struct GoodLink {
    /// Until when.
    pub expires: Timestamp,
    /// What the new password must be like.
    pub rule: PasswordPolicy,
    /// A suggestion that satisfies the rule.
    pub suggestion: Secret<String>,
}

/// Why a request, a link or a new password was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The new password breaks the rule, for these reasons. The link is still good.
    #[error("the new password breaks the rule")]
    Refused(Vec<PasswordRefusal>),
    /// The token is not good (any more).
    #[error("the reset token is not valid")]
    TokenInvalid(ReferenceCode),
    /// Limits, deadlines and dependencies, as of a login.
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Attempt(error.into())
    }
}

/// What the password-reset flow needs.
pub struct PasswordResetFlow {
    /// The limits.
    pub limiter: Arc<dyn RateLimiter>,
    /// Reads what a full hashing queue means.
    pub gate: Gate,
    /// The hasher.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The list of common passwords.
    pub blocklist: Arc<Blocklist>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Seals requests, digests tokens and addresses.
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
    /// Confirmations run here to their end.
    pub tasks: TaskTracker,
}

impl PasswordResetFlow {
    /// Takes a request in. No account is looked up, so there is nothing to tell: the work is the same for all.
    ///
    /// # Errors
    /// [`Error::Attempt`] if a limit of the network or the organization is reached, or the store is away.
    pub async fn request(&self, request: Request) -> Result<ReferenceCode, Error> {
        let Request { organization, portal, identification, locale, origin } = request;
        let now = self.clock.now();
        let record =
            Record { origin: &origin, organization: &organization.id, portal, lane: &Lane::UnknownDevice };
        let reservation = reset_reservation(&organization.limits, &organization.id, origin.client.network());
        if let Decision::Refused { retry_after } = self.limiter.decide(&reservation).await {
            return Err(self.refused(&record, Refusal::RateLimited { retry_after }, Fact::ResetDenied, now));
        }
        let id = ResetRequestId::new(now, random_bytes(self.entropy.as_ref()));
        let reference = new_reference(self.entropy.as_ref());
        let plaintext = Secret::new(identification.encode());
        let kept = ResetRequest {
            identification: self.vault.seal(
                Purpose::ResetRequestSeal,
                &seal_context(&organization.id, &id),
                plaintext.expose().as_bytes(),
            ),
            organization: organization.id.clone(),
            portal,
            locale,
            reference: reference.clone(),
            caller: origin.caller.name.clone(),
            address: origin.client.address,
            user_agent: origin.client.user_agent.clone(),
            at: now,
            id,
        };
        self.store.add_reset_request(&kept).await?;
        Ok(reference)
    }

    /// Says whether a link is good. Mail scanners open links: nothing about it changes.
    ///
    /// # Errors
    /// [`Error::TokenInvalid`] or [`Error::Attempt`].
    pub async fn inspect(&self, shown: Shown, locale: Locale) -> Result<GoodLink, Error> {
        let now = self.clock.now();
        let expires = self.good_link(&shown, now).await?.holder.expires;
        let rule = shown.organization.password.clone();
        let suggestion = passphrase::suggest(locale, &rule, |bytes| self.entropy.fill(bytes));
        Ok(GoodLink { expires, rule, suggestion })
    }

    /// Sets the new password, whether or not the caller stays. The number of sessions that ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn confirm(
        self: &Arc<Self>,
        shown: Shown,
        new_password: Secret<String>,
    ) -> Result<usize, Error> {
        let flow = Arc::clone(self);
        let task = self
            .tasks
            .spawn(async move { flow.run_confirm(shown, new_password).await }.with_current_context());
        task.await.unwrap_or_else(|_| {
            Err(PortError::Corrupt("the confirmation ended without an answer".to_owned()).into())
        })
    }

    async fn run_confirm(&self, shown: Shown, new_password: Secret<String>) -> Result<usize, Error> {
        let now = self.clock.now();
        let link = self.good_link(&shown, now).await?;
        let accepted = self.accept(&shown.organization, &link.holder.account.login_names, new_password)?;
        let hash = self.hasher.hash(&accepted, shown.origin.deadline).await.map_err(|error| {
            self.refused(&shown.record(), self.gate.refusal(error), Fact::ResetLinkRefused, now)
        })?;
        let guardian = link.holder.account.guardian.clone();
        let confirmed = self.confirmed(&shown, link, hash, now);
        match self.store.confirm_reset(&confirmed).await? {
            ResetOutcome::Reset(ended) => {
                for session in &ended.sessions {
                    self.revocations.note(session, now);
                }
                self.wake.outbox();
                Ok(ended.live)
            }
            ResetOutcome::ChangedMeanwhile => {
                Err(self.invalid(&shown, Cause::ChangedMeanwhile, Some(&guardian), now))
            }
        }
    }

    /// Finds what a token is for. A token that is not good stays charged to its network, like a wrong password.
    async fn good_link(&self, shown: &Shown, now: Timestamp) -> Result<Link, Error> {
        if !TokenKind::RESET.is_well_formed(shown.token.expose()) {
            return Err(self.invalid(shown, Cause::ResetTokenUnknown, None, now));
        }
        let receipt = self.charge(shown, now).await?;
        let found = self.find(shown).await;
        let judged = found.map(|found| match found {
            None => Err((Cause::ResetTokenUnknown, None)),
            Some((digest, holder)) => self.judge(shown, digest, holder, now),
        });
        match judged {
            Ok(Err((cause, guardian))) => Err(self.invalid(shown, cause, guardian.as_ref(), now)),
            Ok(Ok(link)) => {
                self.gate.give_back(receipt);
                Ok(link)
            }
            Err(error) => {
                self.gate.give_back(receipt);
                Err(error.into())
            }
        }
    }

    async fn charge(&self, shown: &Shown, now: Timestamp) -> Result<Receipt, Error> {
        let organization = &shown.organization;
        let reservation =
            token_reservation(&organization.limits, &organization.id, shown.origin.client.network());
        match reserve(self.limiter.as_ref(), reservation).await {
            Ok((_, receipt)) => Ok(receipt),
            Err(retry_after) => {
                let refusal = Refusal::RateLimited { retry_after };
                Err(self.refused(&shown.record(), refusal, Fact::ResetLinkRefused, now))
            }
        }
    }

    async fn find(&self, shown: &Shown) -> Result<Option<([u8; 32], ResetTokenHolder)>, PortError> {
        for digest in self.vault.digests(Purpose::ResetToken, &[shown.token.expose().as_bytes()]) {
            if let Some(holder) = self.store.reset_token(&digest).await? {
                return Ok(Some((digest, holder)));
            }
        }
        Ok(None)
    }

    /// Everything that a token is bound to. The store looks at it once more when the password is set.
    fn judge(
        &self,
        shown: &Shown,
        digest: [u8; 32],
        holder: ResetTokenHolder,
        now: Timestamp,
    ) -> Result<Link, (Cause, Option<GuardianId>)> {
        let guardian = holder.account.guardian.clone();
        let refuse = |cause| Err((cause, Some(guardian.clone())));
        if holder.organization != shown.organization.id || holder.account.portal != shown.portal {
            // Whose it is concerns another organization.
            return Err((Cause::ResetTokenUnknown, None));
        }
        if holder.is_ended {
            return refuse(Cause::ResetTokenEnded);
        }
        if holder.expires <= now {
            return refuse(Cause::ResetTokenExpired);
        }
        let has_password = holder
            .account
            .password
            .as_ref()
            .is_some_and(|password| password.expires.is_none_or(|end| end > now));
        let same_account = holder.account.state == AccountState::Active
            && holder.account.credential_epoch == holder.credential_epoch
            && has_password;
        match &holder.email {
            EmailOnFile::Usable(email) if same_account && self.was_sent_to(&holder, email) => {
                let email = email.clone();
                Ok(Link { digest, email, holder })
            }
            EmailOnFile::Usable(_) | EmailOnFile::Unusable | EmailOnFile::Absent => {
                refuse(Cause::ResetTokenOutdated)
            }
        }
    }

    fn was_sent_to(&self, holder: &ResetTokenHolder, email: &Email) -> bool {
        let parts = address_parts(&holder.organization, email);
        self.vault.digests(Purpose::MessageAddress, &parts).contains(&holder.address_digest)
    }

    fn accept(
        &self,
        organization: &Organization,
        login_names: &[LoginName],
        new_password: Secret<String>,
    ) -> Result<NewPassword, Error> {
        let names: Vec<&str> = login_names.iter().map(LoginName::as_str).collect();
        organization.password.accept(new_password, &self.blocklist, &names).map_err(Error::Refused)
    }

    fn confirmed(&self, shown: &Shown, link: Link, hash: PasswordHash, now: Timestamp) -> ConfirmedReset {
        let Link { digest, email, holder } = link;
        let guardian = holder.account.guardian;
        let entropy = self.entropy.as_ref();
        let event = shown.record().event(entropy, now, Fact::PasswordReset, Some(&guardian), None);
        // Not only by the way that the link came: who reads the mail of another must not stay unnoticed.
        let channels: &[Channel] = if holder.has_mobile && self.sends_text_messages {
            &[Channel::Email, Channel::Sms]
        } else {
            &[Channel::Email]
        };
        let (organization, portal) = (&shown.organization, shown.portal);
        let notices = notices::password_changed(entropy, organization, portal, &guardian, &event, channels);
        let credential_epoch = holder.credential_epoch;
        ConfirmedReset { digest, guardian, portal, credential_epoch, email, hash, at: now, event, notices }
    }

    /// The answer to a token that is not good. Its event goes to the batcher: anybody can send many.
    fn invalid(&self, shown: &Shown, cause: Cause, guardian: Option<&GuardianId>, now: Timestamp) -> Error {
        let reference = new_reference(self.entropy.as_ref());
        let fact = Fact::ResetLinkRefused(cause);
        let event = shown.record().event(self.entropy.as_ref(), now, fact, guardian, Some(&reference));
        self.refusals.note(event);
        Error::TokenInvalid(reference)
    }

    fn refused(
        &self,
        record: &Record<'_>,
        refusal: Refusal,
        fact: impl FnOnce(Cause) -> Fact,
        now: Timestamp,
    ) -> Error {
        record.refused(&self.refusals, self.entropy.as_ref(), now, refusal, fact, None).into()
    }
}

/// A token that is good, with what it is for.
struct Link {
    digest: [u8; 32],
    email: Email,
    holder: ResetTokenHolder,
}

impl Shown {
    fn record(&self) -> Record<'_> {
        Record {
            origin: &self.origin,
            organization: &self.organization.id,
            portal: self.portal,
            lane: &Lane::UnknownDevice,
        }
    }
}

/// What a sealed request is bound to: organization, table, row and column.
pub(super) fn seal_context<'a>(
    organization: &'a OrganizationId,
    request: &'a ResetRequestId,
) -> [&'a [u8]; 4] {
    [organization.as_str().as_bytes(), b"reset_request", request.as_str().as_bytes(), b"sealed"]
}

/// What is digested of an address that a link is sent to.
pub(super) fn address_parts<'a>(organization: &'a OrganizationId, email: &'a Email) -> [&'a [u8]; 2] {
    [organization.as_str().as_bytes(), email.as_str().as_bytes()]
}
