//! Logging in with BankID: begin an order, watch it, turn it into a session, give it up.

use std::sync::Arc;

use opentelemetry::context::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::audit::{Eid, EidCause, Fact};
use crate::domain::bankid::{BankIdFault, BankIdPolicy, Device, ORDER_LIFETIME, OrderState};
use crate::domain::bankid_message::Situation;
use crate::domain::eid_login::{AssertedId, Assertion};
use crate::domain::id::BankIdLoginId;
use crate::domain::limits::{Lane, eid_reservation};
use crate::domain::organization::{Organization, Portal};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::bankid::{AuthRequest, BankId, BankIdError};
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::rate_limiter::{Decision, RateLimiter, Receipt};
use crate::ports::store::{BankIdOrder, Store};

use super::attempt::{self, Origin, Record};
use super::bankid_board::BankIdBoard;
use super::bankid_collector::BankIdCollector;
use super::bankid_order::{BankIds, OrderSecrets, Shown, Signed, View, is_phone, reference, situation};
use super::bankid_watch::Watch;
use super::eid_login::{EidLogin, Error, Identified};
use super::gate::Gate;
use super::one_time_token::TokenKind;
use super::session_tokens::SessionTokens;

/// The beginning of an order.
pub struct Start {
    /// The organization, which uses BankID.
    pub organization: Arc<Organization>,
    /// The portal that the guardian is at.
    pub portal: Portal,
    /// On which device BankID is; the same one only where the portal has a page to return to.
    pub device: Device,
    /// By what the browser's device is known again.
    pub device_identifier: Option<Secret<String>>,
    /// The end user's address.
    pub address: std::net::IpAddr,
    /// Where it comes from.
    pub origin: Origin,
}

/// An order that was begun.
pub struct Started {
    /// Its name.
    pub id: BankIdLoginId,
    /// What the browser keeps.
    pub binding_secret: Secret<String>,
    /// Until when at the latest.
    pub expires: Timestamp,
    /// What the guardian should see now.
    pub view: View,
}

/// An order, as named by a browser.
pub struct Named {
    /// The organization.
    pub organization: Arc<Organization>,
    /// The portal.
    pub portal: Portal,
    /// The order.
    pub id: BankIdLoginId,
    /// What the browser kept.
    pub binding_secret: Secret<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What the flow needs.
pub struct LoginBankIdFlow {
    /// The limits.
    pub limiter: Arc<dyn RateLimiter>,
    /// Gives back what a right secret was charged.
    pub gate: Gate,
    /// BankID for each organization.
    pub bankids: BankIds,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Digests and seals of orders.
    pub vault: Arc<dyn KeyVault>,
    /// Asks BankID how far orders are.
    pub collector: Arc<BankIdCollector>,
    /// Where orders are shown.
    pub board: Arc<BankIdBoard>,
    /// From the person to the session.
    pub eid: Arc<EidLogin>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Orders are begun and used here to their end.
    pub tasks: TaskTracker,
    /// Streams end with it: no call outlives a drain.
    pub drain: CancellationToken,
}

impl LoginBankIdFlow {
    /// Begins an order, whether or not the caller stays.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(self: &Arc<Self>, start: Start) -> Result<Started, Error> {
        let flow = Arc::clone(self);
        let work = async move { flow.run_start(start).await };
        joined(self.tasks.spawn(work.with_current_context()).await)
    }

    async fn run_start(&self, start: Start) -> Result<Started, Error> {
        let Start { organization, portal, device, device_identifier, address, origin } = start;
        let record = record(&origin, &organization, portal);
        let reservation = eid_reservation(&organization.limits, &organization.id, origin.client.network());
        if let Decision::Refused { retry_after } = self.limiter.decide(&reservation).await {
            return Err(self.eid.refused(&record, retry_after).into());
        }
        let (bankid, policy) = self.bankid(&organization)?;
        let entropy = self.entropy.as_ref();
        let binding_secret = TokenKind::BINDING.new_token(entropy);
        let nonce = match device {
            Device::Same => Some(TokenKind::RETURN_NONCE.new_token(entropy)),
            Device::Other => None,
        };
        let page = policy.return_pages.get(&portal);
        let return_url = nonce.as_ref().and_then(|nonce| Some(Secret::new(page?.with_nonce(nonce.expose()))));
        if device == Device::Same && return_url.is_none() {
            return Err(PortError::Corrupt("BankID has no page to return to".to_owned()).into());
        }
        let request = AuthRequest {
            end_user_ip: address,
            referring_domain: &policy.referring_domain,
            user_agent: &origin.client.user_agent,
            device_identifier: device_identifier.as_ref(),
            return_url: return_url.as_ref(),
            intent: &policy.intent,
        };
        let order = match bankid.auth(&request).await {
            Ok(order) if origin.deadline > Instant::now() => order,
            // Who asked is gone, and nobody else has the secret: it would be asked for and begun anew for minutes.
            Ok(order) => {
                drop(bankid.cancel(&order.order_ref).await);
                return Err(attempt::Error::Expired.into());
            }
            Err(error) => {
                return Err(self.not_begun(&record, error, device, &origin.client.user_agent).await);
            }
        };
        let started = self.clock.now();
        let id = BankIdLoginId::new(started, random_bytes(entropy));
        let secrets = OrderSecrets { order, return_url, device_identifier };
        let order = BankIdOrder {
            organization: organization.id.clone(),
            portal,
            device,
            binding_digest: self.digest(&binding_secret),
            nonce_digest: nonce.as_ref().map(|nonce| self.digest(nonce)),
            sealed: secrets.seal(self.vault.as_ref(), &organization.id, &id),
            state: OrderState::Pending,
            hint: None,
            fault: None,
            result: None,
            address: Some(address),
            user_agent: origin.client.user_agent.clone(),
            begun: started,
            started,
            restarts: 0,
            expires: started.plus(ORDER_LIFETIME),
            id: id.clone(),
        };
        let lease = self.collector.lease();
        if let Err(error) = self.store.add_bankid_order(&order, &lease).await {
            // Nobody would ever collect it.
            drop(bankid.cancel(&secrets.order.order_ref).await);
            return Err(error.into());
        }
        let view = Shown::of(&order, self.vault.as_ref(), &self.bankids).view(started);
        let expires = order.expires;
        self.collector.adopt(order, &lease);
        Ok(Started { id, binding_secret, expires, view })
    }

    /// The course of an order, from now to its outcome.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn watch(&self, named: &Named) -> Result<Watch, Error> {
        let order = self.find(named).await?;
        let shown = self.board.watch(&order);
        let reference = reference(self.vault.as_ref(), &order.id);
        Ok(Watch::new(shown, reference, Arc::clone(&self.clock), self.drain.clone()))
    }

    /// Turns a complete order into a session, whether or not the caller stays.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn complete(
        self: &Arc<Self>,
        named: Named,
        return_nonce: Option<Secret<String>>,
    ) -> Result<SessionTokens, Error> {
        let flow = Arc::clone(self);
        let work = async move { flow.run_complete(named, return_nonce).await };
        joined(self.tasks.spawn(work.with_current_context()).await)
    }

    async fn run_complete(
        &self,
        named: Named,
        return_nonce: Option<Secret<String>>,
    ) -> Result<SessionTokens, Error> {
        let (order, receipt) = self.find_charged(&named).await?;
        let record = record(&named.origin, &named.organization, named.portal);
        if !self.came_back(&order, return_nonce.as_ref()) {
            // Charged still: each one writes to the log, and who has the secret could go on for as long as the order lives.
            return Err(self.invalid(&record, BankIdFault::ReturnNonce).await);
        }
        self.gate.give_back(receipt);
        match order.state {
            OrderState::Pending if order.expires > self.clock.now() => return Err(Error::NotFinished),
            OrderState::Pending => return Err(self.invalid(&record, BankIdFault::OrderExpired).await),
            OrderState::Failed => return Err(self.failed(&order)),
            OrderState::Cancelled => return Err(self.invalid(&record, BankIdFault::Cancelled).await),
            OrderState::Used => return Err(self.invalid(&record, BankIdFault::OrderUsed).await),
            OrderState::Complete if order.expires <= self.clock.now() => {
                return Err(self.invalid(&record, BankIdFault::OrderExpired).await);
            }
            OrderState::Complete => {}
        }
        let signed = Signed::open(self.vault.as_ref(), &order)
            .ok_or_else(|| PortError::Corrupt("the result of a BankID order does not open".to_owned()))?;
        let (_, policy) = self.bankid(&named.organization)?;
        let (signals, refused) =
            policy.risk.judge(order.device, order.address, signed.app_address, signed.risk);
        let identified = Identified {
            eid: Eid::BankId,
            assertion: Assertion {
                id: AssertedId::National(signed.person),
                previous: None,
                family_name: Some(signed.family_name),
                roles: None,
            },
            order: Some(order.id.clone()),
            evidence: Some((signed.evidence, policy.evidence_retention)),
            signals,
        };
        match refused {
            None => self.eid.open(&record, &named.organization, identified).await,
            Some(fault) => {
                let cause = EidCause::BankId(fault);
                let reference = self.eid.refuse_order(&record, &identified, cause).await?;
                Err(Error::Failed { message_id: Some(Situation::Rfa22.id()), reference })
            }
        }
    }

    /// Gives an order up. One that is over already stays as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel(self: &Arc<Self>, named: Named) -> Result<(), Error> {
        let flow = Arc::clone(self);
        let work = async move { flow.run_cancel(named).await };
        joined(self.tasks.spawn(work.with_current_context()).await)
    }

    async fn run_cancel(&self, named: Named) -> Result<(), Error> {
        let mut order = self.find(&named).await?;
        let record = record(&named.origin, &named.organization, named.portal);
        let fact = Fact::EidLoginDenied(EidCause::BankId(BankIdFault::Cancelled));
        let code = reference(self.vault.as_ref(), &order.id);
        let event = record.event(self.entropy.as_ref(), self.clock.now(), fact, None, Some(&code));
        if !self.store.cancel_bankid_order(&order.id, &event).await? {
            return Ok(());
        }
        let was_pending = order.state == OrderState::Pending;
        order.state = OrderState::Cancelled;
        self.board.publish(&order);
        if was_pending && let Some(secrets) = OrderSecrets::open(self.vault.as_ref(), &order) {
            let (bankid, _) = self.bankid(&named.organization)?;
            // A courtesy to the person with the app open: the order is over here, whatever BankID answers.
            if let Err(error) = bankid.cancel(&secrets.order.order_ref).await {
                tracing::info!(error = %error, "BankID did not take a cancellation");
            }
        }
        Ok(())
    }

    /// Finds an order of this browser. A secret that is not its own stays charged to its network.
    async fn find(&self, named: &Named) -> Result<BankIdOrder, Error> {
        let (order, receipt) = self.find_charged(named).await?;
        self.gate.give_back(receipt);
        Ok(order)
    }

    /// The same, and what is to be given back.
    async fn find_charged(&self, named: &Named) -> Result<(BankIdOrder, Receipt), Error> {
        let record = record(&named.origin, &named.organization, named.portal);
        if !TokenKind::BINDING.is_well_formed(named.binding_secret.expose()) {
            return Err(self.invalid(&record, BankIdFault::OtherBrowser).await);
        }
        let receipt = self.eid.charge_secret(&record, &named.organization).await?;
        let order = match self.store.bankid_order(&named.id).await {
            Ok(order) => order,
            Err(error) => {
                self.gate.give_back(receipt);
                return Err(error.into());
            }
        };
        // Of another organization or portal: none of theirs.
        let order = order.filter(|it| it.organization == named.organization.id && it.portal == named.portal);
        let Some(order) = order else { return Err(self.invalid(&record, BankIdFault::OrderUnknown).await) };
        if !self.digests(&named.binding_secret).contains(&order.binding_digest) {
            return Err(self.invalid(&record, BankIdFault::OtherBrowser).await);
        }
        Ok((order, receipt))
    }

    /// Whether BankID's app came back to this browser, where it must. Who began an order and sent somebody else its link
    /// has the secret of the browser, and never sees the nonce.
    fn came_back(&self, order: &BankIdOrder, nonce: Option<&Secret<String>>) -> bool {
        match (order.device, &order.nonce_digest, nonce) {
            (Device::Other, None, None) => true,
            (Device::Same, Some(digest), Some(nonce)) => self.digests(nonce).contains(digest),
            (Device::Same | Device::Other, _, _) => false,
        }
    }

    async fn not_begun(
        &self,
        record: &Record<'_>,
        error: BankIdError,
        device: Device,
        user_agent: &str,
    ) -> Error {
        let situation = error.situation();
        match error {
            BankIdError::AlreadyInProgress => {}
            BankIdError::InvalidParameters(detail) => {
                tracing::error!(
                    detail,
                    on_phone = is_phone(user_agent),
                    device = device.as_str(),
                    "BankID refuses the parameters of an order"
                );
            }
            BankIdError::Misconfigured(detail) => {
                tracing::error!(detail, "BankID refuses us");
                return unavailable(detail);
            }
            BankIdError::Unavailable(detail) => return unavailable(detail),
        }
        let cause = EidCause::BankId(BankIdFault::BankIdError);
        match self.eid.note_failure(record, cause).await {
            Ok(reference) => Error::Failed { message_id: Some(situation.id()), reference },
            Err(error) => error.into(),
        }
    }

    fn failed(&self, order: &BankIdOrder) -> Error {
        let reference = reference(self.vault.as_ref(), &order.id);
        Error::Failed { message_id: Some(situation(order).id()), reference }
    }

    async fn invalid(&self, record: &Record<'_>, fault: BankIdFault) -> Error {
        self.eid.attempt_invalid(record, EidCause::BankId(fault)).await
    }

    fn bankid<'a>(
        &'a self,
        organization: &'a Organization,
    ) -> Result<(&'a dyn BankId, &'a BankIdPolicy), PortError> {
        self.bankids
            .get(&organization.id)
            .map(AsRef::as_ref)
            .zip(organization.bankid.as_ref())
            .ok_or_else(|| PortError::Corrupt("BankID is offered and nobody talks to it".to_owned()))
    }

    fn digest(&self, token: &Secret<String>) -> [u8; 32] {
        self.vault.digest(Purpose::EidAttemptToken, &[token.expose().as_bytes()])
    }

    fn digests(&self, token: &Secret<String>) -> Vec<[u8; 32]> {
        self.vault.digests(Purpose::EidAttemptToken, &[token.expose().as_bytes()])
    }
}

fn record<'a>(origin: &'a Origin, organization: &'a Organization, portal: Portal) -> Record<'a> {
    Record { origin, organization: &organization.id, portal, lane: &Lane::UnknownDevice }
}

fn unavailable(detail: String) -> Error {
    PortError::Unavailable { dependency: "bankid", detail }.into()
}

fn joined<T>(done: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    done.unwrap_or_else(|_| Err(PortError::Corrupt("the login ended without an answer".to_owned()).into()))
}
