//! The store's part in sending messages.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::{ActivationId, AuditEventId, GuardianId, MessageId};
use crate::domain::identifier::Mobile;
use crate::domain::login_password::AccountState;
use crate::domain::message::{Channel, DeliveryFault, MessageState, NewMessage, Template};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::password_reset::EmailOnFile;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

use super::password_reset::MessageBudget;

/// A message that a worker has taken, until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedMessage {
    /// Its id.
    pub id: MessageId,
    /// The end of the lease; names the lease.
    pub lease: Timestamp,
    /// For which organization.
    pub organization: OrganizationId,
    /// About which portal.
    pub portal: Portal,
    /// To whom.
    pub guardian: GuardianId,
    /// By which way.
    pub channel: Channel,
    /// What it says.
    pub template: Template,
    /// In which language; the one on file if `None`.
    pub locale: Option<Locale>,
    /// The code of the request that it answers, if one.
    pub reference: Option<ReferenceCode>,
    /// What the link to choose a first password stands for, if it carries one.
    pub activation: Option<ActivationId>,
    /// Tries that counted so far.
    pub attempts: i64,
    /// When it was put in.
    pub created: Timestamp,
}

/// A guardian as the sender of a message sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where mail goes.
    pub email: EmailOnFile,
    /// Where text messages go.
    pub mobile: Option<Mobile>,
    /// The language on file.
    pub locale: Locale,
    /// What the account may do.
    pub state: AccountState,
    /// The epoch that a link carries.
    pub credential_epoch: i64,
    /// Whether the account has a password at the portal of the message.
    pub has_password: bool,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryOutcome {
    /// The next hop has taken it.
    Sent,
    /// It cannot be delivered.
    Failed(DeliveryFault),
    /// It was given up for its age.
    TooOld(DeliveryFault),
    /// To be tried again. After [`MOST_ATTEMPTS`](crate::domain::message::MOST_ATTEMPTS) tries that count the message is
    /// dead.
    Again {
        /// Why.
        fault: DeliveryFault,
        /// Not before this.
        due: Timestamp,
        /// Whether the try counts.
        counts: TryCounts,
    },
}

/// Whether a try that failed counts against its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryCounts {
    /// No: the message had no part in it.
    Never,
    /// If the channel sent another message since the last try: then the server works.
    IfAnotherGotThrough,
    /// Yes: the message may have arrived, and it must not arrive for ever.
    Always,
}

/// What is written of a try.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The message.
    pub message: MessageId,
    /// The lease that it was taken under: nothing happens if it is another's by now.
    pub lease: Timestamp,
    /// What became of it.
    pub outcome: TryOutcome,
    /// The token in its link, if it is certain that nobody has it: it ends.
    pub withdraw: Option<[u8; 32]>,
    /// When.
    pub at: Timestamp,
    /// Written if the message is given up by this.
    pub event: Event,
}

/// An event of the audit log that the guardian has not been told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntoldFailures {
    /// The event.
    pub event: AuditEventId,
    /// In which organization.
    pub organization: OrganizationId,
    /// At which portal.
    pub portal: Portal,
    /// Whose password it was about.
    pub guardian: GuardianId,
    /// Failures in a row.
    pub consecutive: i64,
    /// When.
    pub at: Timestamp,
}

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLevel {
    /// By which way.
    pub channel: Channel,
    /// Messages that wait.
    pub queued: u64,
    /// When the oldest of them was put in.
    pub oldest: Option<Timestamp>,
}

/// The idempotency key of the message that tells of an event: the prefix, then the event's id.
pub const FAILURES_KEY_PREFIX: &str = "failures:";

/// The idempotency key of the message that tells of an event.
pub fn failures_key(event: &AuditEventId) -> String {
    format!("{FAILURES_KEY_PREFIX}{event}")
}

/// Questions of the outbox flow.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Takes messages of a channel that are due, those due longest first, so that no other worker takes them before
    /// `lease`. They come in the order of their ids. One that nobody can get is never taken.
    ///
    /// # Errors
    /// [`PortError`].
    async fn lease_messages(
        &self,
        channel: Channel,
        now: Timestamp,
        lease: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeasedMessage>, PortError>;

    /// A guardian as it is now.
    ///
    /// # Errors
    /// [`PortError`].
    async fn recipient(&self, guardian: &GuardianId, portal: Portal) -> Result<Option<Recipient>, PortError>;

    /// Takes from all budgets or from none; if one has no room, when all have.
    ///
    /// # Errors
    /// [`PortError`].
    async fn take_budgets(&self, budgets: &[MessageBudget]) -> Result<Option<Timestamp>, PortError>;

    /// Writes what became of a try; the state after it, or `None` if the lease was lost and nothing was written.
    ///
    /// # Errors
    /// [`PortError`].
    async fn settle_message(&self, settlement: &Settlement) -> Result<Option<MessageState>, PortError>;

    /// Failures of which a guardian is to be told
    /// ([`FAILURES_UNTIL_NOTICE`](crate::domain::login_password::FAILURES_UNTIL_NOTICE),
    /// [`FAILURES_UNTIL_CLOSED`](crate::domain::login_password::FAILURES_UNTIL_CLOSED)) since a time, and that no message
    /// tells of: those whose idempotency key is [`failures_key`] of the event.
    ///
    /// # Errors
    /// [`PortError`].
    async fn untold_failures(&self, since: Timestamp, limit: u32) -> Result<Vec<UntoldFailures>, PortError>;

    /// Puts messages in that belong to no other fact. Those whose idempotency key is taken are left out.
    ///
    /// # Errors
    /// [`PortError`].
    async fn queue_messages(&self, messages: &[NewMessage]) -> Result<(), PortError>;

    /// How much waits in each channel.
    ///
    /// # Errors
    /// [`PortError`].
    async fn outbox_levels(&self) -> Result<Vec<OutboxLevel>, PortError>;

    /// Drops messages that were settled before.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_messages(&self, settled_before: Timestamp) -> Result<u64, PortError>;
}
