//! Changing one's own password.

use std::sync::Arc;

use opentelemetry::context::FutureExt as _;
use tokio_util::task::TaskTracker;

use crate::domain::audit::{Cause, Event, Fact};
use crate::domain::caller::AllOrSome;
use crate::domain::id::{DeviceId, GuardianId, SessionId};
use crate::domain::identifier::LoginName;
use crate::domain::limits::{Lane, change_reservation};
use crate::domain::login_password::{Account, AccountState};
use crate::domain::message::Channel;
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::password::{Blocklist, NewPassword, Refusal as PasswordRefusal};
use crate::domain::reference_code::ReferenceCode;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::password_hasher::{Comparison, PasswordHasher, Verdict};
use crate::ports::store::{Failure, NewCredential, SetPassword, SetPasswordOutcome, Store};

use super::attempt::{self, Origin, Record, new_reference};
use super::gate::Gate;
use super::notices;
use super::one_time_token::TokenKind;
use super::organizations::Organizations;
use super::outbox::Wake;
use super::refusal_log::RefusalLog;
use super::session;

/// What shows that the owner asks.
pub enum Proof {
    /// A session and the password as it is now.
    Current {
        /// An access token.
        access_token: Secret<String>,
        /// The password as it is now.
        password: Secret<String>,
    },
    /// The token from a login that asked for the change.
    Ticket(Secret<String>),
}

/// A change to be made.
pub struct Change {
    /// What shows that the owner asks.
    pub proof: Proof,
    /// The new password as typed.
    pub new_password: Secret<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The new password breaks the rule, for these reasons.
    #[error("the new password breaks the rule")]
    Refused(Vec<PasswordRefusal>),
    /// The access token is not valid.
    #[error("the session is not valid")]
    SessionInvalid,
    /// The change token is not valid.
    #[error("the change token is not valid")]
    TicketInvalid(ReferenceCode),
    /// The attempt failed like a login.
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Attempt(error.into())
    }
}

/// What the change-password flow needs.
pub struct ChangePasswordFlow {
    /// The gate.
    pub gate: Gate,
    /// The hasher.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The list of common passwords.
    pub blocklist: Arc<Blocklist>,
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// Reads access tokens.
    pub sessions: Arc<session::SessionFlow>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Digests of change tickets.
    pub vault: Arc<dyn KeyVault>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Takes events of refused attempts.
    pub refusals: RefusalLog,
    /// Tells the outbox that there is something to send.
    pub wake: Wake,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Attempts run here to their end.
    pub tasks: TaskTracker,
}

/// Whose password it is, and what may change it.
struct Owner {
    organization: Arc<Organization>,
    account: Account,
    by: SetPassword,
    /// The text to compare with the hash on file.
    compared: Secret<String>,
    /// The comparison must be right (the old password) or wrong (the new one, where a ticket stands for the old).
    must_match: bool,
    /// Where a wrong old password is counted. A session began with a login on its device: strangers who closed the
    /// password to unknown devices do not keep its owner from changing it.
    lane: Lane,
}

impl ChangePasswordFlow {
    /// Runs a change to its end, whether or not the caller stays. The number of other sessions that ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn change(self: &Arc<Self>, change: Change) -> Result<usize, Error> {
        let flow = Arc::clone(self);
        let task = self.tasks.spawn(async move { flow.run(change).await }.with_current_context());
        task.await.unwrap_or_else(|_| {
            Err(PortError::Corrupt("the change ended without an answer".to_owned()).into())
        })
    }

    async fn run(&self, change: Change) -> Result<usize, Error> {
        let Change { proof, new_password, origin } = change;
        let now = self.clock.now();
        let raw = new_password.copied();
        let owner = self.owner(proof, &raw, &origin, now).await?;
        let accepted = self.accept(&owner, new_password)?;

        let lane = owner.lane.clone();
        let portal = owner.account.portal;
        let organization = OrganizationId::clone(&owner.organization.id);
        let record = Record { origin: &origin, organization: &organization, portal, lane: &lane };
        let guardian = owner.account.guardian.clone();
        let refused = |refusal| {
            let log = &self.refusals;
            record.refused(log, self.entropy.as_ref(), now, refusal, Fact::ChangeDenied, Some(&guardian))
        };

        let network = origin.client.network();
        let reservation =
            change_reservation(&owner.organization.limits, &owner.organization.id, &guardian, network);
        let pass = self.gate.enter(reservation).await.map_err(refused)?;
        let comparison = Comparison {
            stored: owner.account.password.as_ref().map(|password| password.hash.clone()),
            foreign_parameters: self.organizations.parameters_in_use(&owner.organization.id),
        };
        let compared = owner.compared.copied();
        let (verdict, receipt) =
            self.gate.compare(pass, compared, comparison, origin.deadline).await.map_err(refused)?;
        let matched = matches!(verdict, Verdict::Match { .. });
        if owner.must_match {
            let closed = owner.account.password.as_ref().is_some_and(|it| it.closed_to_known_devices);
            if !matched {
                return Err(self.deny(&record, &owner.account, Cause::WrongPassword, now).await);
            }
            // Without this, a session would be worth any number of guesses.
            if closed {
                return Err(self.deny(&record, &owner.account, Cause::PasswordClosed, now).await);
            }
        }
        // From here on the proof was good: nothing stays charged.
        self.gate.give_back(receipt);
        if !owner.must_match && matched {
            return Err(Error::Refused(vec![PasswordRefusal::SameAsCurrent]));
        }
        self.set(&record, owner, &accepted, now).await
    }

    async fn owner(
        &self,
        proof: Proof,
        new_password: &Secret<String>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Owner, Error> {
        match proof {
            Proof::Current { access_token, password } => {
                self.owner_of_session(&access_token, password, origin).await
            }
            Proof::Ticket(token) => self.owner_of_ticket(&token, new_password, origin, now).await,
        }
    }

    async fn owner_of_session(
        &self,
        access_token: &Secret<String>,
        password: Secret<String>,
        origin: &Origin,
    ) -> Result<Owner, Error> {
        let claims =
            self.sessions.claims(&origin.caller, access_token.expose()).map_err(|_| Error::SessionInvalid)?;
        let organization = self.organizations.get(&claims.organization).ok_or(Error::SessionInvalid)?;
        let account =
            self.store.account(&claims.guardian, claims.portal).await?.ok_or(Error::SessionInvalid)?;
        if account.state != AccountState::Active {
            return Err(Error::SessionInvalid);
        }
        let by = SetPassword::Session(SessionId::clone(&claims.session));
        let device = DeviceId::parse(claims.session.as_str());
        let lane = device.map_or(Lane::UnknownDevice, Lane::KnownDevice);
        Ok(Owner { organization, account, by, compared: password, must_match: true, lane })
    }

    async fn owner_of_ticket(
        &self,
        token: &Secret<String>,
        new_password: &Secret<String>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Owner, Error> {
        let invalid = || self.ticket_invalid(origin, None, now);
        if !TokenKind::CHANGE_TICKET.is_well_formed(token.expose()) {
            return Err(invalid());
        }
        for digest in self.vault.digests(Purpose::ChangeTicket, &[token.expose().as_bytes()]) {
            let Some(holder) = self.store.ticket_holder(&digest, now).await? else { continue };
            if !origin.caller.may_act_for(&holder.organization, holder.account.portal) {
                continue;
            }
            let organization = self.organizations.get(&holder.organization).ok_or_else(invalid)?;
            let compared = new_password.copied();
            let by = SetPassword::Ticket(digest);
            let (account, lane) = (holder.account, Lane::UnknownDevice);
            return Ok(Owner { organization, account, by, compared, must_match: false, lane });
        }
        Err(invalid())
    }

    fn accept(&self, owner: &Owner, new_password: Secret<String>) -> Result<NewPassword, Error> {
        if owner.must_match && owner.compared.expose() == new_password.expose() {
            return Err(Error::Refused(vec![PasswordRefusal::SameAsCurrent]));
        }
        let names: Vec<&str> = owner.account.login_names.iter().map(LoginName::as_str).collect();
        owner.organization.password.accept(new_password, &self.blocklist, &names).map_err(Error::Refused)
    }

    async fn set(
        &self,
        record: &Record<'_>,
        owner: Owner,
        accepted: &NewPassword,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let Owner { organization, account, by, .. } = owner;
        let Some(password) = account.password else {
            return Err(Error::SessionInvalid);
        };
        let hash = self
            .hasher
            .hash(accepted, record.origin.deadline)
            .await
            .map_err(|error| self.refusal_of_hash(record, error, now))?;
        let event =
            record.event(self.entropy.as_ref(), now, Fact::PasswordChanged, Some(&account.guardian), None);
        let by_ticket = matches!(by, SetPassword::Ticket(_));
        let (entropy, portal, guardian) = (self.entropy.as_ref(), account.portal, &account.guardian);
        let mail = &[Channel::Email];
        let notices = notices::password_changed(entropy, &organization, portal, guardian, &event, mail);
        let new = NewCredential {
            guardian: account.guardian,
            portal: account.portal,
            by,
            replaces: password.hash,
            hash,
            credential_epoch: account.credential_epoch,
            at: now,
            event,
            notices,
        };
        match self.store.set_password(&new).await? {
            SetPasswordOutcome::Set(ended) => {
                for session in &ended.sessions {
                    self.revocations.note(session, now);
                }
                self.wake.outbox();
                Ok(ended.live)
            }
            SetPasswordOutcome::ChangedMeanwhile if by_ticket => {
                Err(self.ticket_invalid(record.origin, Some((record, &new.guardian)), now))
            }
            SetPasswordOutcome::ChangedMeanwhile => Err(Error::SessionInvalid),
        }
    }

    fn refusal_of_hash(
        &self,
        record: &Record<'_>,
        error: crate::ports::password_hasher::HasherError,
        now: Timestamp,
    ) -> Error {
        let refusal = self.gate.refusal(error);
        record.refused(&self.refusals, self.entropy.as_ref(), now, refusal, Fact::ChangeDenied, None).into()
    }

    /// The answer to a ticket that is none, or none any more. Its event goes to the batcher: anybody can send many. Of
    /// an unknown one nothing is known but the caller: it is written down where that acts for one organization only.
    fn ticket_invalid(
        &self,
        origin: &Origin,
        holder: Option<(&Record<'_>, &GuardianId)>,
        now: Timestamp,
    ) -> Error {
        let reference = new_reference(self.entropy.as_ref());
        let fact = Fact::ChangeDenied(Cause::ChangeTokenInvalid);
        if let Some((record, guardian)) = holder {
            let event = record.event(self.entropy.as_ref(), now, fact, Some(guardian), Some(&reference));
            self.refusals.note(event);
        } else if let AllOrSome::Some(organizations) = &origin.caller.organizations
            && let [organization] = organizations.as_slice()
        {
            let lane = Lane::UnknownDevice;
            let portal = Portal::Parent;
            let record = Record { origin, organization, portal, lane: &lane };
            let event = record.event(self.entropy.as_ref(), now, fact, None, Some(&reference));
            self.refusals.note(Event { portal: None, ..event });
        }
        Error::TicketInvalid(reference)
    }

    async fn deny(&self, record: &Record<'_>, account: &Account, cause: Cause, now: Timestamp) -> Error {
        let reference = new_reference(self.entropy.as_ref());
        let fact = Fact::ChangeDenied(cause);
        let guardian = account.guardian.clone();
        let event = record.event(self.entropy.as_ref(), now, fact, Some(&guardian), Some(&reference));
        let failure = Failure { guardian, portal: account.portal, lane: record.lane.clone(), at: now, event };
        match self.store.record_login_failure(&failure).await {
            Ok(_) => Error::Attempt(attempt::Error::InvalidCredentials(reference)),
            Err(error) => error.into(),
        }
    }
}
