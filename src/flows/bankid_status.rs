//! Whether BankID lets us in: asked now and then without beginning an order, for operators. Never for readiness: passwords
//! and other eIDs work without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::organization::OrganizationId;
use crate::ports::bankid::BankId;

/// Asked this often: an alert needs no more, and each is a connection at BankID.
const LOOK: Duration = Duration::from_mins(1);

/// BankID as one organization sees it.
pub struct BankIdStatus {
    /// Whose certificate is shown.
    pub organization: OrganizationId,
    /// BankID.
    pub bankid: Arc<dyn BankId>,
    /// The last answer, for metrics.
    pub is_reachable: Arc<AtomicBool>,
}

impl BankIdStatus {
    /// Asks until `stop`, first at once.
    pub async fn run(self, stop: CancellationToken) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            let answer = self.bankid.probe().await;
            match &answer {
                Err(error) if !told => {
                    tracing::warn!(organization = self.organization.as_str(), error = %error, "BankID does not let us in");
                }
                Ok(()) if told => {
                    tracing::info!(organization = self.organization.as_str(), "BankID lets us in again");
                }
                Ok(()) | Err(_) => {}
            }
            told = answer.is_err();
            self.is_reachable.store(answer.is_ok(), Ordering::Relaxed);
        }
    }
}
