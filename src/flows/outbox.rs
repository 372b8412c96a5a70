//! Sending what waits in the outbox: leased, tried, settled. The token of a link is made when its mail is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::audit::{Event, Fact};
use crate::domain::id::AuditEventId;
use crate::domain::limits::Quota;
use crate::domain::message::{Channel, DeliveryFault, MOST_AGE, MessageState, pause};
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::messenger::{MailSender, TextSender};
use crate::ports::store::{LeasedMessage, Settlement, Store, TryCounts, TryOutcome};

use super::last_done::LastDone;
use super::organizations::Organizations;

pub use counts::{DeliveryCounts, DeliveryResult, Levels};
pub(super) use letter::utc;

mod counts;
mod letter;

/// Messages that nobody told of are found after this time.
const TICK: Duration = Duration::from_secs(1);

/// A worker that died gives its messages to another after this time.
const LEASE: Duration = Duration::from_mins(3);

/// A message is not begun when less than this is left of its lease: longer than any sender's deadline, so that no two
/// workers send it at the same time.
const LEASE_NEEDED: Duration = Duration::from_secs(70);

/// Messages that are taken at once, for each that may be under way.
const TAKEN_FOR_EACH: usize = 8;

/// Pauses of a channel whose server cannot be reached: from the first to the last, doubled.
const FIRST_BREAK: Duration = Duration::from_secs(1);
const LONGEST_BREAK: Duration = Duration::from_secs(30);

/// What is being sent may be finished for this long when the service stops; after that it is another worker's.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How often it is counted what waits.
const LEVELS_INTERVAL: Duration = Duration::from_secs(5);

/// Tells the outbox that there may be something to send. Clones tell the same one.
#[derive(Clone, Default)]
pub struct Wake(Arc<[Notify; 2]>);

impl Wake {
    /// There is.
    pub fn outbox(&self) {
        for channel in self.0.iter() {
            channel.notify_one();
        }
    }

    async fn told(&self, channel: Channel) {
        match channel {
            Channel::Email => self.0[0].notified().await,
            Channel::Sms => self.0[1].notified().await,
        }
    }
}

/// How many text messages are sent.
#[derive(Clone, Copy, Debug)]
pub struct TextQuotas {
    /// To one number.
    pub recipient: Quota,
    /// Of one organization.
    pub organization: Quota,
}

impl Default for TextQuotas {
    /// Five to a number and then one in half an hour; 500 of an organization and then one in 10 s.
    fn default() -> Self {
        Self {
            recipient: Quota::new(5, Duration::from_mins(30)),
            organization: Quota::new(500, Duration::from_secs(10)),
        }
    }
}

/// What the outbox needs.
pub struct Outbox {
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// The store, by connections of its own.
    pub store: Arc<dyn Store>,
    /// Digests tokens and addresses.
    pub vault: Arc<dyn KeyVault>,
    /// Takes mails; `None`: there is no way for them.
    pub mail: Option<Arc<dyn MailSender>>,
    /// Takes text messages, and how many; `None`: there is no way for them.
    pub text: Option<(Arc<dyn TextSender>, TextQuotas)>,
    /// Told when there is something to send.
    pub wake: Wake,
    /// What became of tries, for metrics.
    pub counts: DeliveryCounts,
    /// What waits, for metrics.
    pub levels: Levels,
    /// When the outbox was looked at last, for metrics.
    pub looked: LastDone,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// What a look at a channel found.
enum Look {
    /// As many messages as were asked for: there may be more.
    Full,
    /// Fewer.
    Drained,
    /// The server cannot be reached.
    Away,
}

impl Outbox {
    /// Runs until `stop`. A server or a store that is away is asked again; nothing is lost.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(
            self.deliver(Channel::Email, &stop),
            self.deliver(Channel::Sms, &stop),
            self.count_levels(&stop)
        );
    }

    async fn deliver(&self, channel: Channel, stop: &CancellationToken) {
        let mut rest = Duration::ZERO;
        let mut store_away = false;
        loop {
            let wait = async {
                if rest.is_zero() {
                    drop(timeout(TICK, self.wake.told(channel)).await);
                } else {
                    sleep(rest).await;
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = wait => {}
            }
            // After a break one message finds out for all.
            let mut most = if rest.is_zero() { self.most(channel) } else { 1 };
            loop {
                let look = self.look(channel, most, stop).await;
                if let Err(error) = &look
                    && !store_away
                {
                    tracing::warn!(error = %error, channel = channel.as_str(), "messages wait in the outbox");
                }
                store_away = look.is_err();
                rest = match look {
                    Ok(Look::Away) => (rest * 2).clamp(FIRST_BREAK, LONGEST_BREAK),
                    Ok(Look::Full | Look::Drained) | Err(_) => Duration::ZERO,
                };
                if !matches!(look, Ok(Look::Full)) || stop.is_cancelled() {
                    break;
                }
                most = self.most(channel);
            }
        }
    }

    fn parallel(&self, channel: Channel) -> usize {
        match channel {
            Channel::Email => self.mail.as_ref().map_or(1, |sender| sender.parallel().max(1)),
            Channel::Sms => 1,
        }
    }

    fn most(&self, channel: Channel) -> usize {
        self.parallel(channel) * TAKEN_FOR_EACH
    }

    async fn look(&self, channel: Channel, most: usize, stop: &CancellationToken) -> Result<Look, PortError> {
        let now = self.clock.now();
        let limit = u32::try_from(most).unwrap_or(u32::MAX);
        let taken = self.store.lease_messages(channel, now, now.plus(LEASE), limit).await?;
        self.looked.now();
        let full = taken.len() == most;
        let away = AtomicBool::new(false);
        let tries = stream::iter(taken).for_each_concurrent(self.parallel(channel), |message| {
            let away = &away;
            async move {
                if let Err(error) = self.try_one(&message, away, stop).await {
                    // Its lease ends, and it is tried again.
                    tracing::warn!(error = %error, message = message.id.as_str(), "a message was not settled");
                }
            }
        });
        let stopped = async {
            stop.cancelled().await;
            sleep(STOP_GRACE).await;
        };
        tokio::select! {
            () = tries => {}
            () = stopped => {}
        }
        Ok(match (away.load(Ordering::Relaxed), full) {
            (true, _) => Look::Away,
            (false, true) => Look::Full,
            (false, false) => Look::Drained,
        })
    }

    /// Tries one message and writes down what became of it.
    async fn try_one(
        &self,
        message: &LeasedMessage,
        away: &AtomicBool,
        stop: &CancellationToken,
    ) -> Result<(), PortError> {
        let now = self.clock.now();
        if stop.is_cancelled() || now.plus(LEASE_NEEDED) > message.lease {
            return Ok(());
        }
        let tried = if now.since(message.created) >= MOST_AGE {
            // Nobody looked at it for so long: there was no worker, or none that could.
            letter::Tried::failed(DeliveryFault::TooOld)
        } else if away.load(Ordering::Relaxed) {
            letter::Tried::failed(DeliveryFault::Unreachable)
        } else {
            self.send(message).await?
        };
        let now = self.clock.now();
        let outcome = match tried.fault {
            None => TryOutcome::Sent,
            Some(fault) => {
                if fault == DeliveryFault::Unreachable {
                    away.store(true, Ordering::Relaxed);
                }
                self.outcome(message, fault, tried.not_before, now)
            }
        };
        let settlement = Settlement {
            message: message.id.clone(),
            lease: message.lease,
            outcome,
            withdraw: tried.withdraw,
            at: now,
            event: self.event(message, tried.fault.unwrap_or(DeliveryFault::Unreachable), now),
        };
        let state = self.store.settle_message(&settlement).await?;
        self.note(message, tried.fault, state);
        Ok(())
    }

    /// What a fault means for the message.
    fn outcome(
        &self,
        message: &LeasedMessage,
        fault: DeliveryFault,
        not_before: Option<Timestamp>,
        now: Timestamp,
    ) -> TryOutcome {
        let pause = || {
            let [random] = random_bytes(self.entropy.as_ref());
            now.plus(pause(now.since(message.created), random))
        };
        let (due, counts) = match fault {
            DeliveryFault::NoAddress
            | DeliveryFault::AccountChanged
            | DeliveryFault::RecipientRefused
            | DeliveryFault::MessageRefused
            | DeliveryFault::CountryNotAllowed
            | DeliveryFault::NotConfigured => return TryOutcome::Failed(fault),
            DeliveryFault::TooOld => return TryOutcome::TooOld(fault),
            DeliveryFault::Deferred => (pause(), TryCounts::IfAnotherGotThrough),
            // Rather two mails than none, and rather none than thousands: a server whose answers come too late takes
            // every one of them.
            DeliveryFault::BrokenOff => (pause(), TryCounts::Always),
            // It is nobody's turn: the channel rests, and then all go on at once.
            DeliveryFault::Unreachable => (now, TryCounts::Never),
            DeliveryFault::Capped => (not_before.unwrap_or(now), TryCounts::Never),
        };
        if now.since(message.created) >= MOST_AGE {
            return TryOutcome::TooOld(fault);
        }
        TryOutcome::Again { fault, due, counts }
    }

    fn event(&self, message: &LeasedMessage, fault: DeliveryFault, at: Timestamp) -> Event {
        Event {
            id: AuditEventId::new(at, random_bytes(self.entropy.as_ref())),
            at,
            organization: message.organization.clone(),
            portal: Some(message.portal),
            fact: Fact::MessageUndelivered(fault),
            guardian: Some(message.guardian.clone()),
            session: None,
            reference: message.reference.clone(),
            caller: "outbox".to_owned(),
            address: None,
            user_agent: String::new(),
            known_device: false,
            staff: None,
            child: None,
            detail: None,
        }
    }

    fn note(&self, message: &LeasedMessage, fault: Option<DeliveryFault>, state: Option<MessageState>) {
        let result = match (fault, state) {
            (_, None) => DeliveryResult::LeaseLost,
            (None, Some(_)) => DeliveryResult::Sent,
            (Some(_), Some(MessageState::Dead)) => DeliveryResult::Dead,
            (Some(_), Some(MessageState::Failed)) => DeliveryResult::Failed,
            (Some(_), Some(MessageState::Queued | MessageState::Sent | MessageState::Void)) => {
                DeliveryResult::Again
            }
        };
        self.counts.count(message.channel, result);
    }

    async fn count_levels(&self, stop: &CancellationToken) {
        loop {
            match self.store.outbox_levels().await {
                Ok(levels) => self.levels.note(&levels),
                Err(error) => tracing::debug!(error = %error, "what waits in the outbox was not counted"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(LEVELS_INTERVAL) => {}
            }
        }
    }
}
