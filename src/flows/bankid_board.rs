//! Where orders are shown to those who watch them, however many, whichever replica collects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::bankid::OrderState;
use crate::domain::id::BankIdLoginId;
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{BankIdOrder, Store};

use super::bankid_order::{BankIds, Shown};

/// Orders that another replica collects are read this often: what a guardian sees is at most this much older.
const LOOK: Duration = Duration::from_secs(1);

/// Orders that are read at once.
const BATCH: usize = 100;

/// The orders that somebody watches here.
pub struct BankIdBoard {
    shown: Mutex<HashMap<BankIdLoginId, watch::Sender<Arc<Shown>>>>,
    store: Arc<dyn Store>,
    vault: Arc<dyn KeyVault>,
    bankids: BankIds,
}

impl BankIdBoard {
    /// An empty board.
    pub fn new(store: Arc<dyn Store>, vault: Arc<dyn KeyVault>, bankids: BankIds) -> Self {
        Self { shown: Mutex::default(), store, vault, bankids }
    }

    /// Watches an order that was just read.
    pub fn watch(&self, order: &BankIdOrder) -> watch::Receiver<Arc<Shown>> {
        let shown = self.shown_of(order);
        let mut board = self.lock();
        if let Some(sender) = board.get(&order.id) {
            update(sender, shown);
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(shown);
        board.insert(order.id.clone(), sender);
        receiver
    }

    /// Shows what an order has come to, to those who watch it.
    pub fn publish(&self, order: &BankIdOrder) {
        if !self.lock().contains_key(&order.id) {
            return;
        }
        let shown = self.shown_of(order);
        if let Some(sender) = self.lock().get(&order.id) {
            update(sender, shown);
        }
    }

    /// Reads what other replicas collect, until `stop`. `is_own` says which orders are told here anyway.
    pub async fn follow(&self, is_own: impl Fn(&BankIdLoginId) -> bool, stop: CancellationToken) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            let read = self.read(&is_own).await;
            match &read {
                Err(error) if !away => tracing::warn!(error = %error, "BankID orders cannot be read"),
                Ok(()) | Err(_) => {}
            }
            away = read.is_err();
        }
    }

    async fn read(&self, is_own: &impl Fn(&BankIdLoginId) -> bool) -> Result<(), PortError> {
        let watched: Vec<_> = self.watched().into_iter().filter(|id| !is_own(id)).collect();
        for batch in watched.chunks(BATCH) {
            for order in self.store.bankid_orders(batch).await? {
                self.publish(&order);
            }
        }
        Ok(())
    }

    /// The orders that are watched and not over; the others leave the board.
    fn watched(&self) -> Vec<BankIdLoginId> {
        let mut board = self.lock();
        board.retain(|_, sender| sender.receiver_count() > 0);
        let pending = board.iter().filter(|(_, sender)| sender.borrow().state == OrderState::Pending);
        pending.map(|(id, _)| id.clone()).collect()
    }

    fn shown_of(&self, order: &BankIdOrder) -> Arc<Shown> {
        Arc::new(Shown::of(order, self.vault.as_ref(), &self.bankids))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BankIdLoginId, watch::Sender<Arc<Shown>>>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is over stays over: a read that began before must not bring it back.
fn update(sender: &watch::Sender<Arc<Shown>>, shown: Arc<Shown>) {
    sender.send_if_modified(|current| {
        let older = current.state != OrderState::Pending || shown.started < current.started;
        let same =
            shown.state == current.state && shown.hint == current.hint && shown.started == current.started;
        if older || same {
            return false;
        }
        *current = shown;
        true
    });
}
