//! The store's part in a reset of a forgotten password.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::{GuardianId, MessageId, ResetRequestId};
use crate::domain::identifier::{Email, LoginName};
use crate::domain::login_password::Account;
use crate::domain::message::NewMessage;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::password::PasswordHash;
use crate::domain::password_reset::{Candidate, EmailOnFile};
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

use super::session::Ended;

/// A request for a reset link, nothing of which was looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetRequest {
    /// Its id.
    pub id: ResetRequestId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal that the guardian is at.
    pub portal: Portal,
    /// What was typed, sealed for this row.
    pub identification: Sealed,
    /// The language of the mail, if one was asked for.
    pub locale: Option<Locale>,
    /// The code that the person was shown.
    pub reference: ReferenceCode,
    /// The configured name of the caller.
    pub caller: String,
    /// The end user's address, as asserted.
    pub address: Option<std::net::IpAddr>,
    /// The end user's user agent, cleaned and cut.
    pub user_agent: String,
    /// When.
    pub at: Timestamp,
}

/// A request that a worker has taken, until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedResetRequest {
    /// The request.
    pub request: ResetRequest,
    /// The end of the lease; names the lease.
    pub lease: Timestamp,
}

/// By what accounts are looked up.
#[derive(Clone, Debug)]
pub enum CandidateKey {
    /// The accounts of a login name; `national_id` holds the digests of a typed number under every key, or nothing.
    LoginName {
        /// The name.
        name: LoginName,
        /// Digests for look-up.
        national_id: Vec<[u8; 32]>,
    },
    /// The accounts with an address on file.
    Email(Email),
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub struct SettledReset {
    /// The request.
    pub request: ResetRequestId,
    /// The lease that it was taken under: nothing happens if it is another's by now.
    pub lease: Timestamp,
    /// The budget that a mail is taken from: the account's, or for a request that sends nothing one of its own.
    pub budget: MessageBudget,
    /// What to write if the budget has room.
    pub granted: ResetRows,
    /// What to write if it has none.
    pub folded: ResetRows,
}

/// The rows that every request leaves, whatever is true.
#[derive(Clone, Debug)]
pub struct ResetRows {
    /// For the outbox.
    pub message: NewMessage,
    /// For the audit log.
    pub event: Event,
}

/// A number of messages at once, then one each time: taken all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageBudget {
    /// Whose; holds no personal data.
    pub subject: String,
    /// How many at once; at least 1.
    pub burst: u32,
    /// Time after which there is room for one more.
    pub refill: std::time::Duration,
    /// When it is taken.
    pub at: Timestamp,
}

/// Whether a request was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleOutcome {
    /// It was, with a message.
    Granted,
    /// It was, folded into an earlier one.
    Folded,
    /// Another worker has it, or has settled it: nothing was written.
    LeaseLost,
}

/// A token to be put into a link that is about to be sent.
#[derive(Clone, Debug)]
pub struct NewResetToken {
    /// Keyed digest of the token.
    pub digest: [u8; 32],
    /// The message that carries it.
    pub message: MessageId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal of the password.
    pub portal: Portal,
    /// Whose password.
    pub guardian: GuardianId,
    /// Dead if the account's epoch is another.
    pub credential_epoch: i64,
    /// Keyed digest of the address that it is sent to: dead if another is on file.
    pub address_digest: [u8; 32],
    /// When.
    pub made: Timestamp,
    /// Dead after this.
    pub expires: Timestamp,
}

/// A token as found, good or not, with the account that it is for.
#[derive(Clone, Debug)]
pub struct ResetTokenHolder {
    /// The organization of the token.
    pub organization: OrganizationId,
    /// The epoch that it was made for.
    pub credential_epoch: i64,
    /// The digest of the address that it was sent to.
    pub address_digest: [u8; 32],
    /// Dead after this.
    pub expires: Timestamp,
    /// Whether it was used, replaced or withdrawn.
    pub is_ended: bool,
    /// The account as it is now, at the portal of the token.
    pub account: Account,
    /// The account's address as it is now.
    pub email: EmailOnFile,
    /// Whether the account has a mobile number that text messages can go to.
    pub has_mobile: bool,
}

/// A password to be set through a link.
#[derive(Clone, Debug)]
pub struct ConfirmedReset {
    /// The digest of the token, used up by it.
    pub digest: [u8; 32],
    /// Whose password.
    pub guardian: GuardianId,
    /// At which portal.
    pub portal: Portal,
    /// The epoch read with the account: nothing happens if it is another by now.
    pub credential_epoch: i64,
    /// The address read with the account: nothing happens if another is on file by now.
    pub email: Email,
    /// The new hash.
    pub hash: PasswordHash,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub event: Event,
    /// Notices to the guardian.
    pub notices: Vec<NewMessage>,
}

/// Whether the password was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetOutcome {
    /// It was; these sessions ended. The epoch was bumped.
    Reset(Ended),
    /// The token, the account, its address or its password changed meanwhile: nothing was written.
    ChangedMeanwhile,
}

/// Questions of the password-reset flows.
#[async_trait]
pub trait PasswordResetStore: Send + Sync {
    /// Keeps a request for the worker: one INSERT, and nothing is looked up.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_reset_request(&self, request: &ResetRequest) -> Result<(), PortError>;

    /// Takes requests that are due, those due longest first, so that no other worker takes them before `lease`. They come
    /// in the order of their ids.
    ///
    /// # Errors
    /// [`PortError`].
    async fn lease_reset_requests(
        &self,
        now: Timestamp,
        lease: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeasedResetRequest>, PortError>;

    /// The accounts that may be meant at this portal and at its sibling, at most ten.
    ///
    /// # Errors
    /// [`PortError`].
    async fn reset_candidates(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        key: &CandidateKey,
    ) -> Result<Vec<Candidate>, PortError>;

    /// Settles a request in one transaction: takes from the budget, writes the event and the message, drops the request.
    /// The same statements touch the same number of rows whatever is true.
    ///
    /// # Errors
    /// [`PortError`].
    async fn settle_reset(&self, settled: &SettledReset) -> Result<SettleOutcome, PortError>;

    /// Keeps the digest of a token that is about to be sent. Of more than
    /// [`LIVE_LINKS`](crate::domain::password_reset::LIVE_LINKS) live ones of an account at a portal the oldest end.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_reset_token(&self, token: &NewResetToken) -> Result<(), PortError>;

    /// A token by its digest, good or not. No side effect.
    ///
    /// # Errors
    /// [`PortError`].
    async fn reset_token(&self, digest: &[u8; 32]) -> Result<Option<ResetTokenHolder>, PortError>;

    /// Sets the password in one transaction if everything is as it was read: token used up in one guarded UPDATE, all
    /// other live tokens and change tickets of the guardian ended, hash, `must_change` off, counters zero, closed lanes open,
    /// epoch bumped, all sessions ended and put into the revocation feed, audit, notices.
    ///
    /// # Errors
    /// [`PortError`].
    async fn confirm_reset(&self, confirmed: &ConfirmedReset) -> Result<ResetOutcome, PortError>;

    /// Drops tokens that ended or ran out before, and budgets that are full again.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_resets(&self, tokens_before: Timestamp, now: Timestamp) -> Result<u64, PortError>;
}
