//! Asks BankID how far orders are: one process for each order, the result saved before anybody sees it.

mod counts;
mod saving;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::bankid::{
    BankIdFault, COLLECT_PAUSE, HintCode, OrderState, RESTART_WINDOW, RESULT_LIFETIME,
};
use crate::domain::id::{AuditEventId, BankIdLoginId};
use crate::ports::bankid::{AuthRequest, BankId, BankIdError, Collected, Completion};
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{BankIdOrder, CollectorLease, Progress, Store};

use super::bankid_board::BankIdBoard;
use super::bankid_order::{BankIds, OrderSecrets, Signed};
use super::organizations::Organizations;

pub use counts::{CollectorCounts, Counted};

/// Who died gives its orders to another after this time. Longer than two renewals, shorter than patience.
const LEASE: Duration = Duration::from_secs(6);

/// Leases are made longer this often.
const RENEWAL: Duration = Duration::from_secs(2);

/// Orders that nobody collects are looked for this often.
const LOOK: Duration = Duration::from_secs(1);

/// Orders that are taken at one look: those of a replica that died, spread over the others.
const BATCH: u32 = 500;

/// What the collector needs.
pub struct Parts {
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// BankID for each organization.
    pub bankids: BankIds,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Opens and seals orders.
    pub vault: Arc<dyn KeyVault>,
    /// Where orders are shown.
    pub board: Arc<BankIdBoard>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// An order that this process collects.
struct Own {
    stop: CancellationToken,
    /// Until when it is ours, in milliseconds.
    until: Arc<AtomicI64>,
    adopted: Instant,
}

/// Collects orders.
pub struct BankIdCollector {
    parts: Parts,
    /// Names this process.
    name: String,
    own: Mutex<HashMap<BankIdLoginId, Own>>,
    tasks: TaskTracker,
    /// Cancelled when this process stops.
    closing: CancellationToken,
    /// For metrics.
    pub counts: CollectorCounts,
}

/// Whether an order goes on.
enum Step {
    On,
    Over,
}

impl BankIdCollector {
    /// A collector with a name of its own.
    pub fn new(parts: Parts) -> Self {
        let random = random_bytes::<10>(parts.entropy.as_ref());
        let name = AuditEventId::new(parts.clock.now(), random).as_str().to_owned();
        Self {
            parts,
            name,
            own: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            counts: CollectorCounts::default(),
        }
    }

    /// The lease of an order that is taken now.
    pub fn lease(&self) -> CollectorLease {
        CollectorLease { collector: self.name.clone(), until: self.parts.clock.now().plus(LEASE) }
    }

    /// Whether this process collects an order.
    pub fn is_own(&self, id: &BankIdLoginId) -> bool {
        self.lock().contains_key(id)
    }

    /// How many orders this process collects.
    pub fn own(&self) -> usize {
        self.lock().len()
    }

    /// Collects an order that is leased to this process, until it is over. One that is collected already goes on as it is: it
    /// may hold what BankID told once, and could not save yet.
    pub fn adopt(self: &Arc<Self>, order: BankIdOrder, lease: &CollectorLease) {
        if let Some(own) = self.lock().get(&order.id).filter(|own| !own.stop.is_cancelled()) {
            own.until.store(lease.until.as_millis(), Ordering::Relaxed);
            return;
        }
        let until = Arc::new(AtomicI64::new(lease.until.as_millis()));
        let stop = CancellationToken::new();
        let own = Own { stop: stop.clone(), until: Arc::clone(&until), adopted: Instant::now() };
        let id = order.id.clone();
        if let Some(before) = self.lock().insert(id.clone(), own) {
            before.stop.cancel();
        }
        let collector = Arc::clone(self);
        self.tasks.spawn(async move {
            collector.collect_until_over(order, &until, &stop).await;
            // Not if it was adopted anew meanwhile.
            collector.lock().retain(|other, own| *other != id || !Arc::ptr_eq(&own.until, &until));
        });
    }

    /// Keeps leases and takes orders that nobody collects, until `stop`; then lets go of all.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut look = ticker(LOOK);
        let mut renewal = ticker(RENEWAL);
        let mut away = false;
        loop {
            let worked = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = renewal.tick() => self.renew().await,
                _ = look.tick() => self.take_over().await,
            };
            match &worked {
                Err(error) if !away => tracing::warn!(error = %error, "BankID orders are not kept"),
                Ok(()) | Err(_) => {}
            }
            away = worked.is_err();
        }
        self.closing.cancel();
        for own in self.lock().values() {
            own.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.parts.store.release_bankid_orders(&self.name, self.parts.clock.now()).await {
            // They are taken over when their leases end.
            tracing::warn!(error = %error, "BankID orders were not let go of");
        }
    }

    async fn renew(self: &Arc<Self>) -> Result<(), PortError> {
        if self.lock().is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let lease = self.lease();
        let kept = self.parts.store.renew_bankid_leases(&lease).await?;
        let mut gone = Vec::new();
        let strays: Vec<_>;
        {
            let kept: HashSet<_> = kept.into_iter().collect();
            let owned = self.lock();
            for (id, own) in owned.iter() {
                if kept.contains(id) {
                    own.until.store(lease.until.as_millis(), Ordering::Relaxed);
                } else if own.adopted < asked {
                    // Given up through another replica, or another's by now.
                    own.stop.cancel();
                    gone.push(id.clone());
                }
            }
            strays = kept.into_iter().filter(|id| !owned.contains_key(id)).collect();
        }
        for order in self.parts.store.bankid_orders(&gone).await? {
            self.parts.board.publish(&order);
        }
        // Ours by the store, which took them for us and could not say so: nobody else ever asks for them.
        for order in self.parts.store.bankid_orders(&strays).await? {
            if order.state == OrderState::Pending && !self.is_own(&order.id) {
                self.adopt(order, &lease);
            }
        }
        Ok(())
    }

    async fn take_over(self: &Arc<Self>) -> Result<(), PortError> {
        let lease = self.lease();
        let now = self.parts.clock.now();
        for order in self.parts.store.lease_bankid_orders(&lease, now, BATCH).await? {
            self.adopt(order, &lease);
        }
        Ok(())
    }

    async fn collect_until_over(&self, mut order: BankIdOrder, until: &AtomicI64, stop: &CancellationToken) {
        let bankid = self.parts.bankids.get(&order.organization).map(Arc::clone);
        let secrets = OrderSecrets::open(self.parts.vault.as_ref(), &order);
        let (Some(bankid), Some(mut secrets)) = (bankid, secrets) else {
            tracing::error!(
                login_id = order.id.as_str(),
                "a BankID order cannot be collected: not configured, or sealed by a key that is gone"
            );
            self.fail(&mut order, None, BankIdFault::BankIdError).await;
            return;
        };
        let pause = self.pause(&order);
        let mut next = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(next) => {}
            }
            next = (next + pause).max(Instant::now());
            let now = self.parts.clock.now();
            // Ours no more, as far as we know: another may ask, and BankID answers once.
            if until.load(Ordering::Relaxed) <= now.as_millis() {
                continue;
            }
            let came_to = if order.expires <= now {
                drop(bankid.cancel(&secrets.order.order_ref).await);
                self.fail(&mut order, None, BankIdFault::OrderExpired).await
            } else {
                self.ask(bankid.as_ref(), &mut order, &mut secrets).await
            };
            match came_to {
                Step::On => {}
                Step::Over => return,
            }
        }
    }

    fn pause(&self, order: &BankIdOrder) -> Duration {
        let organization = self.parts.organizations.get(&order.organization);
        let policy = organization.as_ref().and_then(|organization| organization.bankid.as_ref());
        policy.map_or(COLLECT_PAUSE, |policy| policy.collect_pause)
    }

    async fn ask(&self, bankid: &dyn BankId, order: &mut BankIdOrder, secrets: &mut OrderSecrets) -> Step {
        self.counts.add(Counted::Collect);
        match bankid.collect(&secrets.order.order_ref).await {
            Ok(Collected::Pending(hint)) => self.hint(order, hint).await,
            Ok(Collected::Failed(hint)) if self.may_restart(order, &hint) => {
                self.restart(bankid, order, secrets).await
            }
            Ok(Collected::Failed(hint)) => self.fail(order, Some(hint), BankIdFault::Failed).await,
            Ok(Collected::Complete(completion)) => self.complete(order, &completion).await,
            Err(BankIdError::InvalidParameters(_)) => {
                self.counts.add(Counted::CollectFailed);
                self.fail(order, None, BankIdFault::ResultLost).await
            }
            // The order goes on at BankID, whatever keeps us from asking; its own end is our bound.
            Err(error @ (BankIdError::AlreadyInProgress | BankIdError::Unavailable(_))) => {
                self.counts.add(Counted::CollectFailed);
                tracing::info!(error = %error, "BankID was asked in vain");
                Step::On
            }
            Err(error @ BankIdError::Misconfigured(_)) => {
                self.counts.add(Counted::CollectFailed);
                tracing::error!(error = %error, "BankID refuses us");
                Step::On
            }
        }
    }

    async fn hint(&self, order: &mut BankIdOrder, hint: HintCode) -> Step {
        if order.hint.as_ref() == Some(&hint) {
            // Who began to watch while the hint came has read the one before.
            self.parts.board.publish(order);
            return Step::On;
        }
        match self.note(order, &Progress::Hint(hint.clone())).await {
            Ok(true) => {
                order.hint = Some(hint);
                self.parts.board.publish(order);
                Step::On
            }
            Ok(false) => Step::Over,
            // The next question brings it again.
            Err(_) => Step::On,
        }
    }

    fn may_restart(&self, order: &BankIdOrder, hint: &HintCode) -> bool {
        hint.as_str() == HintCode::START_FAILED && self.parts.clock.now().since(order.begun) < RESTART_WINDOW
    }

    /// Nobody opened the app in time: another order takes the place of this one, unseen. Once: an order that cannot be
    /// begun is not tried again.
    async fn restart(
        &self,
        bankid: &dyn BankId,
        order: &mut BankIdOrder,
        secrets: &mut OrderSecrets,
    ) -> Step {
        let policy = self.parts.organizations.get(&order.organization).and_then(|it| it.bankid.clone());
        let (Some(policy), Some(end_user_ip)) = (policy, order.address) else {
            return self.fail(order, None, BankIdFault::BankIdError).await;
        };
        let begun = bankid
            .auth(&AuthRequest {
                end_user_ip,
                referring_domain: &policy.referring_domain,
                user_agent: &order.user_agent,
                device_identifier: secrets.device_identifier.as_ref(),
                return_url: secrets.return_url.as_ref(),
                intent: &policy.intent,
            })
            .await;
        let fresh = match begun {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::warn!(error = %error, "BankID did not begin an order in place of one that nobody opened");
                return self.fail(order, None, BankIdFault::BankIdError).await;
            }
        };
        let started = self.parts.clock.now();
        secrets.order = fresh;
        let sealed = secrets.seal(self.parts.vault.as_ref(), &order.organization, &order.id);
        let progress = Progress::Restarted { sealed: sealed.clone(), started };
        if !self.save(order, &progress).await {
            // Given up meanwhile: nobody may open the new one.
            drop(bankid.cancel(&secrets.order.order_ref).await);
            return Step::Over;
        }
        self.counts.add(Counted::Restart);
        order.sealed = sealed;
        order.started = started;
        order.restarts += 1;
        order.hint = None;
        self.parts.board.publish(order);
        Step::On
    }

    async fn complete(&self, order: &mut BankIdOrder, completion: &Completion) -> Step {
        let vault = self.parts.vault.as_ref();
        let Some(result) = Signed::seal(completion, vault, &order.organization, &order.id) else {
            return self.fail(order, None, BankIdFault::PersonMalformed).await;
        };
        let expires = self.parts.clock.now().plus(RESULT_LIFETIME);
        let progress = Progress::Complete { result: result.clone(), expires };
        if self.save(order, &progress).await {
            self.counts.add(Counted::Complete);
            order.state = OrderState::Complete;
            order.result = Some(result);
            order.expires = expires;
            self.parts.board.publish(order);
        }
        Step::Over
    }

    async fn fail(&self, order: &mut BankIdOrder, hint: Option<HintCode>, fault: BankIdFault) -> Step {
        let event = self.failed_event(order, fault, self.parts.clock.now());
        let progress = Progress::Failed { hint: hint.clone(), fault, event: Box::new(event) };
        if self.save(order, &progress).await {
            self.counts.add(Counted::Failed);
            order.state = OrderState::Failed;
            order.hint = hint;
            order.fault = Some(fault);
            self.parts.board.publish(order);
        }
        Step::Over
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BankIdLoginId, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ticker(period: Duration) -> tokio::time::Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}
