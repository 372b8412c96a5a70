//! What comes of requests for reset links: looked up, decided and settled beside the calls, so that no call can tell.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::audit::{Cause, Event, Fact};
use crate::domain::id::{AuditEventId, MessageId};
use crate::domain::identifier::{Bsn, NationalId};
use crate::domain::message::{Channel, MOST_AGE, NewMessage};
use crate::domain::organization::{Organization, OrganizationId};
use crate::domain::password_reset::{self, Decision, Identification, MAIL_REFILL, MAILS_AT_ONCE};
use crate::domain::staff::Realm;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::store::{
    CandidateKey, LeasedResetRequest, MessageBudget, ResetRequest, ResetRows, SettleOutcome, SettledReset,
    Store,
};

use super::last_done::LastDone;
use super::national_id;
use super::organizations::Organizations;
use super::outbox::Wake;
use super::password_reset::seal_context;

/// Requests are looked at this often, not when they come: when a mail leaves says nothing about the call.
const TICK: Duration = Duration::from_secs(1);

/// Requests that are taken at once.
const BATCH: u32 = 32;

/// Batches at one tick: about as many requests as mails can leave in that time. A flood waits, instead of taking the
/// database from logins.
const BATCHES_EACH_TICK: u32 = 8;

/// A worker that died gives its requests to another after this time; a batch takes a few hundred milliseconds.
const LEASE: Duration = Duration::from_secs(30);

/// What the worker needs.
pub struct ResetRequests {
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// The store, by connections of its own.
    pub store: Arc<dyn Store>,
    /// Opens requests, digests national ids.
    pub vault: Arc<dyn KeyVault>,
    /// Tells the outbox that there is something to send.
    pub wake: Wake,
    /// When requests were looked at last, for metrics.
    pub looked: LastDone,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl ResetRequests {
    /// Runs until `stop`. A store that is away is asked again at the next tick; nothing is lost.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            let settled = self.settle_all(&stop).await;
            match &settled {
                Ok(()) => self.looked.now(),
                Err(error) if !away => tracing::warn!(error = %error, "requests for reset links wait"),
                Err(_) => {}
            }
            away = settled.is_err();
        }
    }

    async fn settle_all(&self, stop: &CancellationToken) -> Result<(), PortError> {
        for _ in 0..BATCHES_EACH_TICK {
            let now = self.clock.now();
            let batch = self.store.lease_reset_requests(now, now.plus(LEASE), BATCH).await?;
            let taken = batch.len();
            for leased in batch {
                // What is left is another worker's when the lease ends.
                if stop.is_cancelled() {
                    return Ok(());
                }
                let request = leased.request.id.clone();
                match self.settle(leased).await {
                    Ok(()) => {}
                    // For all that were taken.
                    Err(error @ PortError::Unavailable { .. }) => return Err(error),
                    // It is tried again when its lease ends. Those that were taken with it must not wait for it: they
                    // would be taken with it again, and again behind it.
                    Err(error @ (PortError::Conflict(_) | PortError::Corrupt(_))) => {
                        tracing::error!(
                            request = request.as_str(),
                            error = %error,
                            "a request for a reset link was not settled"
                        );
                    }
                }
            }
            if taken < BATCH as usize {
                break;
            }
        }
        Ok(())
    }

    async fn settle(&self, leased: LeasedResetRequest) -> Result<(), PortError> {
        let LeasedResetRequest { request, lease } = leased;
        let now = self.clock.now();
        let nobody = |cause| Decision { guardian: None, mail: None, cause: Some(cause) };
        let decision = if now.since(request.at) >= MOST_AGE {
            nobody(Cause::RequestTooOld)
        } else if let Some(typed) = self.open(&request) {
            match self.organizations.with_portal(&request.organization, request.portal) {
                Some(organization) => self.decide(&organization, &request, &typed, now).await?,
                None => nobody(Cause::ChangedMeanwhile),
            }
        } else {
            // Nothing personal: the id leads to the row. It is tried again when the lease ends.
            tracing::error!(
                request = request.id.as_str(),
                "a request for a reset link does not open: is its master key configured?"
            );
            return Ok(());
        };
        let settled = self.settled(request, lease, decision, now);
        match self.store.settle_reset(&settled).await? {
            SettleOutcome::Granted => self.wake.outbox(),
            SettleOutcome::Folded | SettleOutcome::LeaseLost => {}
        }
        Ok(())
    }

    fn open(&self, request: &ResetRequest) -> Option<Identification> {
        let context = seal_context(&request.organization, &request.id);
        let opened = self.vault.open(Purpose::ResetRequestSeal, &context, &request.identification)?;
        Identification::decode(std::str::from_utf8(opened.expose()).ok()?)
    }

    async fn decide(
        &self,
        organization: &Organization,
        request: &ResetRequest,
        typed: &Identification,
        now: Timestamp,
    ) -> Result<Decision, PortError> {
        let key = match typed {
            Identification::DebtorNumberAndEmail(name, _) => {
                CandidateKey::LoginName { name: name.clone(), national_id: Vec::new() }
            }
            Identification::DebtorNumberAndBsn(name, bsn) => CandidateKey::LoginName {
                name: name.clone(),
                national_id: self.digests(&organization.id, bsn),
            },
            Identification::Email(email) => CandidateKey::Email(email.clone()),
        };
        let candidates = self.store.reset_candidates(&organization.id, request.portal, &key).await?;
        Ok(password_reset::decide(typed, request.portal, &candidates, now))
    }

    fn digests(&self, organization: &OrganizationId, bsn: &Bsn) -> Vec<[u8; 32]> {
        let number = NationalId::Bsn(bsn.clone());
        self.vault.digests(
            Purpose::NationalIdIndex,
            &national_id::index_parts(organization, Realm::Guardians, number.canonical()),
        )
    }

    /// The same rows for every decision: only what they hold differs.
    fn settled(
        &self,
        request: ResetRequest,
        lease: Timestamp,
        decision: Decision,
        now: Timestamp,
    ) -> SettledReset {
        let Decision { guardian, mail, cause } = decision;
        let subject = match (&guardian, mail) {
            (Some(guardian), Some(_)) => format!("reset:{guardian}:{}", request.portal.as_str()),
            // Where nothing is sent nothing is spent: a budget that nobody shares.
            (Some(_) | None, _) => format!("reset:{}", request.id),
        };
        let event = |fact| self.event(&request, guardian.as_ref(), fact, now);
        let message = |template| NewMessage {
            id: MessageId::new(now, random_bytes(self.entropy.as_ref())),
            organization: request.organization.clone(),
            portal: request.portal,
            guardian: guardian.clone(),
            channel: Channel::Email,
            template,
            locale: request.locale,
            reference: Some(request.reference.clone()),
            idempotency_key: format!("reset:{}", request.id),
            at: now,
        };
        let granted = ResetRows {
            message: message(mail),
            event: event(cause.map_or(Fact::ResetLinkQueued, Fact::ResetDenied)),
        };
        let folded =
            ResetRows { message: message(None), event: event(Fact::ResetDenied(Cause::MailedLately)) };
        let budget = MessageBudget { subject, burst: MAILS_AT_ONCE, refill: MAIL_REFILL, at: now };
        SettledReset { request: request.id, lease, budget, granted, folded }
    }

    fn event(
        &self,
        request: &ResetRequest,
        guardian: Option<&crate::domain::id::GuardianId>,
        fact: Fact,
        now: Timestamp,
    ) -> Event {
        Event {
            id: AuditEventId::new(now, random_bytes(self.entropy.as_ref())),
            at: now,
            organization: request.organization.clone(),
            portal: Some(request.portal),
            fact,
            guardian: guardian.cloned(),
            session: None,
            reference: Some(request.reference.clone()),
            caller: request.caller.clone(),
            address: request.address,
            user_agent: request.user_agent.clone(),
            known_device: false,
            staff: None,
            child: None,
            detail: None,
        }
    }
}
