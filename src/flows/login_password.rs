//! Logging in with user name or debtor number and password.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::context::FutureExt as _;
use tokio_util::task::TaskTracker;

use crate::domain::audit::{Cause, Fact};
use crate::domain::id::{GuardianId, SessionId};
use crate::domain::identifier::LoginName;
use crate::domain::limits::password_reservation;
use crate::domain::login_password::{Account, Candidates, Decision, Denied, decide};
use crate::domain::organization::{Organization, Portal};
use crate::domain::password::{ClaimedPassword, NewPassword, PasswordHash, PasswordPolicy};
use crate::domain::secret::Secret;
use crate::domain::session::{Method, Session, lifetimes};
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::password_hasher::{Comparison, PasswordHasher, Verdict};
use crate::ports::rate_limiter::Receipt;
use crate::ports::store::{ChangeTicket, Failure, NewSession, OpenOutcome, Store};

use super::attempt::{Error, Origin, Record, new_reference};
use super::devices::Devices;
use super::gate::Gate;
use super::one_time_token::{TICKET_LIFETIME, TokenKind};
use super::organizations::Organizations;
use super::refusal_log::RefusalLog;
use super::session_tokens::{SessionTokens, TokenMint};

/// How long making a hash anew may wait for a thread after a login.
const REHASH_PATIENCE: Duration = Duration::from_secs(30);

/// One attempt.
pub struct Attempt {
    /// The organization.
    pub organization: Arc<Organization>,
    /// The portal that the guardian is at.
    pub portal: Portal,
    /// The claimed name, canonical.
    pub login_name: LoginName,
    /// The claimed password.
    pub password: ClaimedPassword,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a right password gets.
pub enum Outcome {
    /// A session.
    Session {
        /// Its tokens.
        tokens: Box<SessionTokens>,
        /// For the known-device lane.
        device_token: Secret<String>,
    },
    /// The password must be changed first.
    ChangeFirst {
        /// Single-use token for the change.
        change_token: Secret<String>,
        /// When it ends.
        expires: Timestamp,
        /// The rule for the new password.
        rule: PasswordPolicy,
        /// For the known-device lane.
        device_token: Secret<String>,
    },
}

/// What the login flow needs.
pub struct LoginFlow {
    /// The gate.
    pub gate: Gate,
    /// The hasher, for making outdated hashes anew.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Digests of change tickets.
    pub vault: Arc<dyn KeyVault>,
    /// Makes session tokens.
    pub mint: TokenMint,
    /// Opens and makes device tokens.
    pub devices: Devices,
    /// Takes events of refused attempts.
    pub refusals: RefusalLog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Attempts run here, so that a client that goes away does not take the count and the audit with it.
    pub tasks: TaskTracker,
}

impl LoginFlow {
    /// Runs an attempt to its end, whether or not the caller stays.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn log_in(self: &Arc<Self>, attempt: Attempt) -> Result<Outcome, Error> {
        let flow = Arc::clone(self);
        let task = self.tasks.spawn(async move { flow.run(attempt).await }.with_current_context());
        task.await.unwrap_or_else(|_| {
            Err(Error::Port(PortError::Corrupt("the attempt ended without an answer".to_owned())))
        })
    }

    async fn run(&self, attempt: Attempt) -> Result<Outcome, Error> {
        let Attempt { organization, portal, login_name, password, origin } = attempt;
        let now = self.clock.now();
        let lane = self.devices.lane(
            origin.client.device_token.as_ref(),
            &organization.id,
            portal,
            &login_name,
            now,
        );
        let record = Record { origin: &origin, organization: &organization.id, portal, lane: &lane };
        let refused = |refusal| {
            record.refused(&self.refusals, self.entropy.as_ref(), now, refusal, Fact::LoginDenied, None)
        };

        let network = origin.client.network();
        let reservation = password_reservation(
            &organization.limits,
            &organization.id,
            &login_name,
            network,
            &origin.caller.name,
            &lane,
        );
        let pass = self.gate.enter(reservation).await.map_err(refused)?;
        let candidates = match self.store.login_candidates(&organization.id, portal, &login_name).await {
            Ok(candidates) => candidates,
            Err(error) => {
                self.gate.leave(pass);
                return Err(error.into());
            }
        };
        let comparison = self.comparison(&organization, &candidates);
        let (password, again) = password.twice();
        let (verdict, receipt) = self
            .gate
            .compare(pass, password.into_secret(), comparison, origin.deadline)
            .await
            .map_err(refused)?;

        let compared = candidates.compared().map(|account| (account.guardian.clone(), account.portal));
        let (right, outdated) = match verdict {
            Verdict::Match { outdated } => (true, outdated),
            Verdict::Mismatch => (false, false),
        };
        match decide(candidates, right, &lane, now) {
            Decision::LogIn(account) => {
                let outcome = self.begin_session(&record, &organization, &account, now).await;
                self.settle(receipt, &outcome);
                if outdated && outcome.is_ok() {
                    self.make_hash_anew(&account, again);
                }
                outcome
            }
            Decision::ChangeFirst(account) => {
                let outcome = self.issue_ticket(&record, &organization, &account, now).await;
                self.settle(receipt, &outcome);
                outcome
            }
            Decision::WrongPortal(account) => {
                self.gate.give_back(receipt);
                self.wrong_portal(&record, &account, now).await
            }
            // Whatever was wrong, the charge stays: given back, it would tell a right password of a closed account.
            Decision::Denied(denied) => Err(self.deny(&record, denied, compared, now).await),
        }
    }

    fn comparison(&self, organization: &Organization, candidates: &Candidates) -> Comparison {
        let stored = candidates.compared().and_then(|account| account.password.as_ref());
        Comparison {
            stored: stored.map(|password| password.hash.clone()),
            foreign_parameters: self.organizations.parameters_in_use(&organization.id),
        }
    }

    /// A right password is not charged, whether or not the session could be stored.
    fn settle(&self, receipt: Receipt, outcome: &Result<Outcome, Error>) {
        if !matches!(outcome, Err(Error::InvalidCredentials(_))) {
            self.gate.give_back(receipt);
        }
    }

    async fn begin_session(
        &self,
        record: &Record<'_>,
        organization: &Organization,
        account: &Account,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let id = SessionId::new(now, random_bytes(self.entropy.as_ref()));
        let refresh = self.mint.first_refresh(&id);
        let (idle_expires, absolute_expires) = lifetimes(&organization.session, Method::Password, now);
        let session = Session {
            id: id.clone(),
            guardian: account.guardian.clone(),
            organization: organization.id.clone(),
            portal: account.portal,
            client: record.origin.caller.name.clone(),
            method: Method::Password,
            authenticated: now,
            refreshed: now,
            idle_expires,
            absolute_expires,
            credential_epoch: account.credential_epoch,
            account_epoch: account.credential_epoch,
            current: self.mint.digest(&refresh),
            previous: None,
            rotation_salt: [0; 32],
            rotated: now,
            ended: None,
            user_agent: record.origin.client.user_agent.clone(),
        };
        // Signed before it is stored: a session that nobody can use is never acknowledged.
        let tokens = self.mint.tokens(session.clone(), &refresh, now)?;
        let mut event =
            record.event(self.entropy.as_ref(), now, Fact::LoggedIn, Some(&account.guardian), None);
        event.session = Some(id);
        let new = NewSession { session, lane: record.lane.clone(), event };
        match self.store.open_session(&new).await? {
            OpenOutcome::Opened => Ok(Outcome::Session {
                tokens: Box::new(tokens),
                device_token: self.devices.issue(
                    record.lane,
                    record.organization,
                    account.portal,
                    &account.login_names,
                    now,
                ),
            }),
            OpenOutcome::AccountChanged => Err(self.changed_meanwhile(record, account, now).await),
        }
    }

    async fn issue_ticket(
        &self,
        record: &Record<'_>,
        organization: &Organization,
        account: &Account,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let change_token = TokenKind::CHANGE_TICKET.new_token(self.entropy.as_ref());
        let expires = now.plus(TICKET_LIFETIME);
        let ticket = ChangeTicket {
            digest: self.vault.digest(Purpose::ChangeTicket, &[change_token.expose().as_bytes()]),
            guardian: account.guardian.clone(),
            portal: account.portal,
            organization: organization.id.clone(),
            credential_epoch: account.credential_epoch,
            expires,
            lane: record.lane.clone(),
            event: record.event(
                self.entropy.as_ref(),
                now,
                Fact::ChangeRequired,
                Some(&account.guardian),
                None,
            ),
        };
        match self.store.issue_change_ticket(&ticket).await? {
            OpenOutcome::Opened => Ok(Outcome::ChangeFirst {
                change_token,
                expires,
                rule: organization.password.clone(),
                device_token: self.devices.issue(
                    record.lane,
                    record.organization,
                    account.portal,
                    &account.login_names,
                    now,
                ),
            }),
            OpenOutcome::AccountChanged => Err(self.changed_meanwhile(record, account, now).await),
        }
    }

    async fn wrong_portal(
        &self,
        record: &Record<'_>,
        account: &Account,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let reference = new_reference(self.entropy.as_ref());
        let fact = Fact::LoginDenied(Cause::WrongPortal);
        let event = record.event(self.entropy.as_ref(), now, fact, Some(&account.guardian), Some(&reference));
        self.store.record_events(&[event]).await?;
        Err(Error::WrongPortal { portal: account.portal, reference })
    }

    async fn changed_meanwhile(&self, record: &Record<'_>, account: &Account, now: Timestamp) -> Error {
        let compared = Some((account.guardian.clone(), account.portal));
        self.deny(record, Denied::new(Cause::ChangedMeanwhile), compared, now).await
    }

    /// Counts and writes down a denial. The same statements for everybody: an unknown name has a decoy id.
    async fn deny(
        &self,
        record: &Record<'_>,
        denied: Denied,
        compared: Option<(GuardianId, Portal)>,
        now: Timestamp,
    ) -> Error {
        let reference = new_reference(self.entropy.as_ref());
        let fact = Fact::LoginDenied(denied.cause_for_audit());
        let known = compared.as_ref().map(|(guardian, _)| guardian);
        let event = record.event(self.entropy.as_ref(), now, fact, known, Some(&reference));
        let (guardian, portal) = compared
            .unwrap_or_else(|| (GuardianId::new(now, random_bytes(self.entropy.as_ref())), record.portal));
        let failure = Failure { guardian, portal, lane: record.lane.clone(), at: now, event };
        match self.store.record_login_failure(&failure).await {
            Ok(_) => Error::InvalidCredentials(reference),
            Err(error) => error.into(),
        }
    }

    /// Replaces a hash of other parameters after a login, off the path of the answer.
    fn make_hash_anew(&self, account: &Account, password: ClaimedPassword) {
        let Some(outdated) = account.password.as_ref().map(|stored| stored.hash.clone()) else { return };
        let (hasher, store) = (Arc::clone(&self.hasher), Arc::clone(&self.store));
        let (guardian, portal) = (account.guardian.clone(), account.portal);
        self.tasks.spawn(async move {
            let result =
                replace_hash(hasher.as_ref(), store.as_ref(), &guardian, portal, &outdated, password).await;
            if let Err(detail) = result {
                // The next login tries again.
                tracing::info!(detail, "an outdated hash was not replaced");
            }
        });
    }
}

async fn replace_hash(
    hasher: &dyn PasswordHasher,
    store: &dyn Store,
    guardian: &GuardianId,
    portal: Portal,
    outdated: &PasswordHash,
    password: ClaimedPassword,
) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + REHASH_PATIENCE;
    let password = NewPassword::already_in_use(password.into_secret());
    let fresh = hasher.hash(&password, deadline).await.map_err(|error| error.to_string())?;
    store.replace_outdated_hash(guardian, portal, outdated, &fresh).await.map_err(|error| error.to_string())
}
