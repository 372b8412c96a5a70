//! From a person whom an eID has identified to a session, or to why there is none: the same for every eID.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::audit::{Cause, Eid, EidCause, Event, Fact};
use crate::domain::bankid::{BankIdFault, Signal};
use crate::domain::eid_login::{
    AssertedId, Assertion, Decision, EidAccount, decide, explain_absence, temporary_numbers,
};
use crate::domain::id::{BankIdLoginId, EvidenceId, GuardianId, ProposalId, SessionId};
use crate::domain::limits::eid_secret_reservation;
use crate::domain::organization::{Organization, OrganizationId};
use crate::domain::reference_code::ReferenceCode;
use crate::domain::secret::Secret;
use crate::domain::session::{Method, Session, lifetimes};
use crate::domain::staff::Realm;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::rate_limiter::{RateLimiter, Receipt, reserve};
use crate::ports::store::{
    DeniedEidLogin, EidOpenOutcome, NewEidSession, NewEvidence, NumberProposal, Store,
};

use super::attempt::{self, Record, new_reference};
use super::gate::Refusal;
use super::national_id;
use super::refusal_log::RefusalLog;
use super::session_tokens::{SessionTokens, TokenMint};

/// Why a login with an eID was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The attempt was never begun, not in this browser, is used or too old.
    #[error("the attempt is not valid")]
    AttemptInvalid(ReferenceCode),
    /// BankID is still under way.
    #[error("the login is not finished")]
    NotFinished,
    /// The eID did not say who the person is.
    #[error("the eID named nobody")]
    Failed {
        /// What BankID has a text for, if it is BankID.
        message_id: Option<&'static str>,
        /// The code.
        reference: ReferenceCode,
    },
    /// The person is known, and has no account here to use.
    #[error("no account to use")]
    Denied(ReferenceCode),
    /// Limits, the other portal, deadlines and dependencies, as of a login with a password.
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Attempt(error.into())
    }
}

/// A person whom an eID has identified.
pub struct Identified {
    /// Which eID.
    pub eid: Eid,
    /// Who.
    pub assertion: Assertion,
    /// The order that this uses up, if it is BankID.
    pub order: Option<BankIdLoginId>,
    /// What is kept of the signature, and for how long.
    pub evidence: Option<(Secret<Vec<u8>>, Duration)>,
    /// What staff may want to know.
    pub signals: Vec<Signal>,
}

/// What logins with any eID need.
pub struct EidLogin {
    /// Counts wrong secrets.
    pub limiter: Arc<dyn RateLimiter>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Digests of numbers, seals of evidence.
    pub vault: Arc<dyn KeyVault>,
    /// Makes session tokens.
    pub mint: TokenMint,
    /// Takes events of refused attempts.
    pub refusals: RefusalLog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl EidLogin {
    /// Begins a session for the one account of a person, or writes down why there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(
        &self,
        record: &Record<'_>,
        organization: &Organization,
        identified: Identified,
    ) -> Result<SessionTokens, Error> {
        let now = self.clock.now();
        let digests =
            self.digests(organization, Realm::of(record.portal), identified.assertion.id.canonical());
        let accounts = self.store.eid_accounts(&organization.id, &digests).await?;
        match decide(accounts, record.portal) {
            Some(Decision::LogIn(account))
                if !self.has_asserted_role(record, &account, &identified).await? =>
            {
                let cause = Cause::RoleNotAsserted;
                let known = Some(&account.guardian);
                Err(Error::Denied(self.deny(record, &identified, cause, known, None, now).await?))
            }
            Some(Decision::LogIn(account)) => {
                self.begin_session(record, organization, &account, digests, identified, now).await
            }
            Some(Decision::WrongPortal(account, portal)) => {
                let known = Some(&account.guardian);
                let reference = self.deny(record, &identified, Cause::WrongPortal, known, None, now).await?;
                Err(attempt::Error::WrongPortal { portal, reference }.into())
            }
            Some(Decision::Denied(cause, guardian)) => {
                let reference = self.deny(record, &identified, cause, guardian.as_ref(), None, now).await?;
                Err(Error::Denied(reference))
            }
            None => Err(self.absent(record, organization, &identified, now).await),
        }
    }

    /// Whether the provider says that a staff member has the role of the account, where it is asked for roles. It takes
    /// rights away, and gives none: accounts of staff are made by invitation only (domain rule 1).
    async fn has_asserted_role(
        &self,
        record: &Record<'_>,
        account: &EidAccount,
        identified: &Identified,
    ) -> Result<bool, PortError> {
        match (Realm::of(record.portal), &identified.assertion.roles) {
            (Realm::Guardians, _) | (Realm::Staff, None) => Ok(true),
            (Realm::Staff, Some(roles)) => {
                let rights = self.store.staff_rights(&account.guardian).await?;
                Ok(rights.is_some_and(|rights| roles.contains(&rights.role)))
            }
        }
    }

    /// Writes down that an eID named nobody. The code that the person is shown.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn note_failure(
        &self,
        record: &Record<'_>,
        cause: EidCause,
    ) -> Result<ReferenceCode, PortError> {
        let reference = new_reference(self.entropy.as_ref());
        let now = self.clock.now();
        let event =
            record.event(self.entropy.as_ref(), now, Fact::EidLoginDenied(cause), None, Some(&reference));
        self.store.record_events(&[event]).await?;
        Ok(reference)
    }

    /// The answer to an attempt that cannot be gone on with.
    pub async fn attempt_invalid(&self, record: &Record<'_>, cause: EidCause) -> Error {
        match self.note_failure(record, cause).await {
            Ok(reference) => Error::AttemptInvalid(reference),
            Err(error) => error.into(),
        }
    }

    /// Charges the showing of a secret to its network, before anything is looked up. Given back if the secret is right.
    ///
    /// # Errors
    /// A refusal, as of a login.
    pub async fn charge_secret(
        &self,
        record: &Record<'_>,
        organization: &Organization,
    ) -> Result<Receipt, attempt::Error> {
        let network = record.origin.client.network();
        let reservation = eid_secret_reservation(&organization.limits, &organization.id, network);
        match reserve(self.limiter.as_ref(), reservation).await {
            Ok((_, receipt)) => Ok(receipt),
            Err(retry_after) => Err(self.refused(record, retry_after)),
        }
    }

    /// The answer to a limit that was reached.
    pub fn refused(&self, record: &Record<'_>, retry_after: Duration) -> attempt::Error {
        let refusal = Refusal::RateLimited { retry_after };
        let fact = |cause| Fact::EidLoginDenied(EidCause::Account(cause));
        record.refused(&self.refusals, self.entropy.as_ref(), self.clock.now(), refusal, fact, None)
    }

    fn digests(&self, organization: &Organization, realm: Realm, canonical: &str) -> Vec<[u8; 32]> {
        let parts = national_id::index_parts(&organization.id, realm, canonical);
        self.vault.digests(Purpose::NationalIdIndex, &parts)
    }

    async fn begin_session(
        &self,
        record: &Record<'_>,
        organization: &Organization,
        account: &EidAccount,
        digests: Vec<[u8; 32]>,
        identified: Identified,
        now: Timestamp,
    ) -> Result<SessionTokens, Error> {
        let id = SessionId::new(now, random_bytes(self.entropy.as_ref()));
        let refresh = self.mint.first_refresh(&id);
        let (idle_expires, absolute_expires) = lifetimes(&organization.session, Method::Eid, now);
        let session = Session {
            id: id.clone(),
            guardian: account.guardian.clone(),
            organization: organization.id.clone(),
            portal: record.portal,
            client: record.origin.caller.name.clone(),
            method: Method::Eid,
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
        let mut events = self.signals(record, &identified, Some(&account.guardian), now);
        let fact = Fact::LoggedInWithEid(identified.eid);
        events.push(record.event(self.entropy.as_ref(), now, fact, Some(&account.guardian), None));
        for event in &mut events {
            event.session = Some(id.clone());
        }
        let evidence = identified
            .evidence
            .as_ref()
            .map(|(evidence, retention)| self.sealed_evidence(organization, evidence, *retention, now));
        let order = identified.order.clone();
        let new = NewEidSession { session, identifier: digests, order, evidence, events };
        match self.store.open_eid_session(&new).await? {
            EidOpenOutcome::Opened => Ok(tokens),
            EidOpenOutcome::AccountChanged => {
                let known = Some(&account.guardian);
                let cause = Cause::ChangedMeanwhile;
                let reference = self.deny(record, &identified, cause, known, None, now).await?;
                Err(Error::Denied(reference))
            }
            EidOpenOutcome::OrderGone => Err(self.order_gone(record).await),
        }
    }

    fn sealed_evidence(
        &self,
        organization: &Organization,
        evidence: &Secret<Vec<u8>>,
        retention: Duration,
        now: Timestamp,
    ) -> NewEvidence {
        let id = EvidenceId::new(now, random_bytes(self.entropy.as_ref()));
        let context = evidence_context(&organization.id, id.as_str());
        let sealed = self.vault.seal(Purpose::EvidenceSeal, &context, evidence.expose());
        NewEvidence { sealed, expires: now.plus(retention), id }
    }

    /// No account has the identifier: finds out what staff should look at.
    async fn absent(
        &self,
        record: &Record<'_>,
        organization: &Organization,
        identified: &Identified,
        now: Timestamp,
    ) -> Error {
        let explained = match Realm::of(record.portal) {
            Realm::Guardians => self.explain(organization, &identified.assertion).await,
            // What guardians have there is no business of the staff portal.
            Realm::Staff => Ok((Cause::UnknownNationalId, None)),
        };
        match explained {
            Ok((cause, guardian)) => {
                let proposal = guardian
                    .as_ref()
                    .and_then(|guardian| self.proposal(organization, guardian, &identified.assertion, now));
                match self.deny(record, identified, cause, guardian.as_ref(), proposal, now).await {
                    Ok(reference) => Error::Denied(reference),
                    Err(error) => error,
                }
            }
            Err(error) => error.into(),
        }
    }

    async fn explain(
        &self,
        organization: &Organization,
        assertion: &Assertion,
    ) -> Result<(Cause, Option<GuardianId>), PortError> {
        let by_previous = match &assertion.previous {
            None => Vec::new(),
            Some(previous) => {
                let digests = self.digests(organization, Realm::Guardians, previous.canonical());
                self.store.eid_accounts(&organization.id, &digests).await?
            }
        };
        let temporary: Vec<_> = temporary_numbers(&assertion.id)
            .iter()
            .flat_map(|canonical| self.digests(organization, Realm::Guardians, canonical))
            .collect();
        let namesakes = if by_previous.is_empty() && assertion.family_name.is_some() && !temporary.is_empty()
        {
            self.store.family_names(&organization.id, &temporary).await?
        } else {
            Vec::new()
        };
        Ok(explain_absence(assertion, &by_previous, &namesakes))
    }

    /// For staff: the new number on the account of the number before. Nothing is changed by itself.
    fn proposal(
        &self,
        organization: &Organization,
        guardian: &GuardianId,
        assertion: &Assertion,
        now: Timestamp,
    ) -> Option<NumberProposal> {
        let AssertedId::National(number) = &assertion.id else { return None };
        Some(NumberProposal {
            id: ProposalId::new(now, random_bytes(self.entropy.as_ref())),
            organization: organization.id.clone(),
            guardian: guardian.clone(),
            number: national_id::seal(self.vault.as_ref(), &organization.id, guardian, number),
            at: now,
        })
    }

    /// Uses an order up that is refused for what BankID says of it. The code that the person is shown.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn refuse_order(
        &self,
        record: &Record<'_>,
        identified: &Identified,
        cause: EidCause,
    ) -> Result<ReferenceCode, Error> {
        self.write_denial(record, identified, cause, None, None, self.clock.now()).await
    }

    async fn deny(
        &self,
        record: &Record<'_>,
        identified: &Identified,
        cause: Cause,
        guardian: Option<&GuardianId>,
        proposal: Option<NumberProposal>,
        now: Timestamp,
    ) -> Result<ReferenceCode, Error> {
        self.write_denial(record, identified, EidCause::Account(cause), guardian, proposal, now).await
    }

    async fn write_denial(
        &self,
        record: &Record<'_>,
        identified: &Identified,
        cause: EidCause,
        guardian: Option<&GuardianId>,
        proposal: Option<NumberProposal>,
        now: Timestamp,
    ) -> Result<ReferenceCode, Error> {
        let entropy = self.entropy.as_ref();
        let reference = new_reference(entropy);
        let mut events = self.signals(record, identified, guardian, now);
        let fact = Fact::EidLoginDenied(cause);
        events.push(record.event(entropy, now, fact, guardian, Some(&reference)));
        if proposal.is_some() {
            events.push(record.event(entropy, now, Fact::NumberChangeProposed, guardian, None));
        }
        let order = identified.order.clone().map(|order| (order, now));
        if self.store.deny_eid_login(&DeniedEidLogin { order, events, proposal }).await? {
            Ok(reference)
        } else {
            Err(self.order_gone(record).await)
        }
    }

    fn signals(
        &self,
        record: &Record<'_>,
        identified: &Identified,
        guardian: Option<&GuardianId>,
        now: Timestamp,
    ) -> Vec<Event> {
        let event = |signal: &Signal| {
            record.event(self.entropy.as_ref(), now, Fact::BankIdSignal(*signal), guardian, None)
        };
        identified.signals.iter().map(event).collect()
    }

    async fn order_gone(&self, record: &Record<'_>) -> Error {
        self.attempt_invalid(record, EidCause::BankId(BankIdFault::OrderUsed)).await
    }
}

/// What evidence is bound to: organization, table, row, column.
pub fn evidence_context<'a>(organization: &'a OrganizationId, id: &'a str) -> [&'a [u8]; 4] {
    [organization.as_str().as_bytes(), b"eid_evidence", id.as_bytes(), b"sealed"]
}
