//! One watcher of a BankID order: what to show each second, until the outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::bankid::OrderState;
use crate::domain::reference_code::ReferenceCode;
use crate::ports::clock::Clock;

use super::bankid_order::{Shown, View};

/// What there is to see now.
pub struct Frame {
    /// How far the order is.
    pub state: OrderState,
    /// What the guardian should see.
    pub view: View,
    /// The code that the person is shown, if the order failed or was given up.
    pub reference: Option<ReferenceCode>,
}

/// A watcher.
pub struct Watch {
    shown: watch::Receiver<Arc<Shown>>,
    reference: ReferenceCode,
    clock: Arc<dyn Clock>,
    drain: CancellationToken,
    progress: Progress,
}

/// What the watcher has seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    Something,
    Outcome,
}

impl Watch {
    pub(super) fn new(
        shown: watch::Receiver<Arc<Shown>>,
        reference: ReferenceCode,
        clock: Arc<dyn Clock>,
        drain: CancellationToken,
    ) -> Self {
        Self { shown, reference, clock, drain, progress: Progress::Nothing }
    }

    /// What there is to see next: at once when the order has changed, else with the next second of its QR code. `None` after
    /// the outcome, when the order is too old, or when this process stops: then another one tells the rest.
    pub async fn next(&mut self) -> Option<Frame> {
        match self.progress {
            Progress::Nothing => {}
            Progress::Something => self.wait().await?,
            Progress::Outcome => return None,
        }
        let shown = Arc::clone(&self.shown.borrow_and_update());
        let now = self.clock.now();
        if shown.state == OrderState::Pending && shown.expires.plus(GRACE) <= now {
            return None;
        }
        let is_over = shown.state != OrderState::Pending;
        self.progress = if is_over { Progress::Outcome } else { Progress::Something };
        // Of one that was used the log tells under the code of its own answer, if there is anything to tell.
        let failed = match shown.state {
            OrderState::Failed | OrderState::Cancelled => true,
            OrderState::Pending | OrderState::Complete | OrderState::Used => false,
        };
        Some(Frame {
            state: shown.state,
            view: shown.view(now),
            reference: failed.then(|| self.reference.clone()),
        })
    }

    async fn wait(&mut self) -> Option<()> {
        let pause = until_next_second(&self.shown.borrow(), self.clock.as_ref());
        tokio::select! {
            biased;
            () = self.drain.cancelled() => None,
            changed = self.shown.changed() => changed.ok(),
            () = sleep(pause) => Some(()),
        }
    }
}

/// An order that is too old is failed by its collector; a watcher waits this much longer for that.
const GRACE: Duration = Duration::from_secs(30);

fn until_next_second(shown: &Shown, clock: &dyn Clock) -> Duration {
    let age = clock.now().since(shown.started);
    let into = Duration::from_nanos(u64::from(age.subsec_nanos()));
    // A millisecond later: the clock counts whole ones, and must have reached the next second.
    Duration::from_secs(1).saturating_sub(into) + Duration::from_millis(1)
}
