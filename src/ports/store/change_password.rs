//! The store's part in a change of password.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::{GuardianId, SessionId};
use crate::domain::login_password::Account;
use crate::domain::message::NewMessage;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password::PasswordHash;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

use super::session::Ended;

/// Who holds a change ticket that is unused, unexpired and of the account's present epoch.
#[derive(Clone, Debug)]
pub struct TicketHolder {
    /// The organization of the ticket.
    pub organization: OrganizationId,
    /// The account, with its password.
    pub account: Account,
}

/// What lets a password be set.
#[derive(Clone, Debug)]
pub enum SetPassword {
    /// The owner's session, kept alive over the change.
    Session(SessionId),
    /// A ticket by the digest of its token, used up by the change.
    Ticket([u8; 32]),
}

/// A password to be set by its owner.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// Whose.
    pub guardian: GuardianId,
    /// At which portal.
    pub portal: Portal,
    /// What lets it be set.
    pub by: SetPassword,
    /// The hash that was compared: nothing happens if another is on file by now.
    pub replaces: PasswordHash,
    /// The new hash.
    pub hash: PasswordHash,
    /// The epoch read with the account: nothing happens if it is another by now.
    pub credential_epoch: i64,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub event: Event,
    /// Notices to the guardian.
    pub notices: Vec<NewMessage>,
}

/// Whether the password was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetPasswordOutcome {
    /// It was; these sessions ended. The epoch was bumped.
    Set(Ended),
    /// The account, its password or the ticket changed meanwhile: nothing was written.
    ChangedMeanwhile,
}

/// Questions of the change-password flow.
#[async_trait]
pub trait ChangePasswordStore: Send + Sync {
    /// The account at a portal with its password; the failure counters as in the login.
    ///
    /// # Errors
    /// [`PortError`].
    async fn account(&self, guardian: &GuardianId, portal: Portal) -> Result<Option<Account>, PortError>;

    /// Who holds a ticket. No side effect.
    ///
    /// # Errors
    /// [`PortError`].
    async fn ticket_holder(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<TicketHolder>, PortError>;

    /// Sets the password in one transaction: hash, `must_change` off, counters zero, closed lanes open, epoch bumped, the keeping session
    /// moved to the new epoch, all other sessions ended and put into the revocation feed, tickets and reset tokens used
    /// up, audit, notices.
    ///
    /// # Errors
    /// [`PortError`].
    async fn set_password(&self, new: &NewCredential) -> Result<SetPasswordOutcome, PortError>;
}
