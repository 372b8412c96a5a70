//! Telling guardians that somebody types wrong passwords. Beside the calls: a login that told of it would do other work
//! for accounts that exist.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::id::MessageId;
use crate::domain::login_password::FAILURES_UNTIL_CLOSED;
use crate::domain::message::{Channel, NewMessage, Template};
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::store::{Store, UntoldFailures, failures_key};

use super::organizations::Organizations;
use super::outbox::Wake;

/// How often the audit log is looked at; by an index that holds these events only.
const TICK: Duration = Duration::from_secs(5);

/// Events that are older were told of, or are no news: the workers were away for a day.
const WINDOW: Duration = Duration::from_hours(24);

/// Events in one look.
const BATCH: u32 = 100;

/// What the notices need.
pub struct FailureNotices {
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// The store, by connections of its own.
    pub store: Arc<dyn Store>,
    /// Tells the outbox that there is something to send.
    pub wake: Wake,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl FailureNotices {
    /// Runs until `stop`. A store that is away is asked again at the next tick.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            if let Err(error) = self.tell().await {
                tracing::debug!(error = %error, "guardians were not told of failed logins");
            }
        }
    }

    async fn tell(&self) -> Result<(), PortError> {
        let since = self.clock.now().minus(WINDOW);
        let untold = self.store.untold_failures(since, BATCH).await?;
        let notices: Vec<NewMessage> = untold.into_iter().map(|failures| self.notice(failures)).collect();
        if !notices.is_empty() {
            self.store.queue_messages(&notices).await?;
            self.wake.outbox();
        }
        Ok(())
    }

    /// The notice of an event. Where the organization sends no mail its row is void, so that the event counts as told.
    fn notice(&self, failures: UntoldFailures) -> NewMessage {
        let now = self.clock.now();
        let template = if failures.consecutive >= FAILURES_UNTIL_CLOSED {
            Template::PasswordClosed
        } else {
            Template::FailedLogins
        };
        let organization = self.organizations.get(&failures.organization);
        let sends_mail = organization.is_some_and(|organization| organization.correspondence.is_some());
        NewMessage {
            id: MessageId::new(now, random_bytes(self.entropy.as_ref())),
            organization: failures.organization,
            portal: failures.portal,
            guardian: Some(failures.guardian),
            channel: Channel::Email,
            template: sends_mail.then_some(template),
            locale: None,
            reference: None,
            idempotency_key: failures_key(&failures.event),
            at: now,
        }
    }
}
