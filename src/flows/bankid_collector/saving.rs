//! Writing down what an order has come to, before anybody sees it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::BankIdCollector;
use crate::domain::audit::{EidCause, Event, Fact};
use crate::domain::bankid::{BankIdFault, RESULT_LIFETIME};
use crate::domain::id::{AuditEventId, BankIdLoginId};
use crate::domain::time::Timestamp;
use crate::flows::bankid_order::reference;
use crate::ports::entropy::random_bytes;
use crate::ports::error::PortError;
use crate::ports::store::{BankIdOrder, Progress};

/// A result that cannot be saved is tried again after this pause: BankID gives it once.
const SAVE_PAUSE: Duration = Duration::from_millis(200);

/// Results are tried to be saved for this long after the process was told to stop: one failure must not cost a login, and a
/// store that is away must not keep the process.
const LAST_SAVES: Duration = Duration::from_secs(5);

/// The name of the collector in audit events.
const CALLER: &str = "bankid-collector";

impl BankIdCollector {
    /// What the audit log says of an order that failed.
    pub(super) fn failed_event(&self, order: &BankIdOrder, fault: BankIdFault, at: Timestamp) -> Event {
        Event {
            id: AuditEventId::new(at, random_bytes(self.parts.entropy.as_ref())),
            at,
            organization: order.organization.clone(),
            portal: Some(order.portal),
            fact: Fact::EidLoginDenied(EidCause::BankId(fault)),
            guardian: None,
            session: None,
            reference: Some(reference(self.parts.vault.as_ref(), &order.id)),
            caller: CALLER.to_owned(),
            address: order.address,
            user_agent: order.user_agent.clone(),
            known_device: false,
            staff: None,
            child: None,
            detail: None,
        }
    }

    /// Writes down what an order has come to, once; false if it is another's or over: then that is shown.
    pub(super) async fn note(&self, order: &BankIdOrder, progress: &Progress) -> Result<bool, PortError> {
        let noted = self.parts.store.note_bankid_progress(&order.id, &self.name, progress).await;
        if matches!(noted, Ok(false)) {
            self.show_as_stored(&order.id).await;
        }
        noted
    }

    /// Writes down what BankID says once, as long as it takes; false if the order is another's or over.
    pub(super) async fn save(&self, order: &BankIdOrder, progress: &Progress) -> bool {
        let end = order.expires.plus(RESULT_LIFETIME);
        let mut told = false;
        let mut last_save = None;
        loop {
            if self.closing.is_cancelled() {
                last_save.get_or_insert_with(|| Instant::now() + LAST_SAVES);
            }
            let may_go_on = last_save.is_none_or(|at| Instant::now() < at);
            match self.note(order, progress).await {
                Ok(noted) => return noted,
                Err(error) if self.parts.clock.now() < end && may_go_on => {
                    if !told {
                        tracing::warn!(error = %error, "what a BankID order came to is not saved yet");
                        told = true;
                    }
                    sleep(SAVE_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(error = %error, "what a BankID order came to is lost");
                    return false;
                }
            }
        }
    }

    async fn show_as_stored(&self, id: &BankIdLoginId) {
        // If it cannot be read now, who watches reads it at the next look.
        if let Ok(Some(order)) = self.parts.store.bankid_order(id).await {
            self.parts.board.publish(&order);
        }
    }
}
