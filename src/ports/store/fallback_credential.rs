//! The store's part in credentials that staff issue: given, listed, taken away, and made a password once.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::fallback_credential::{ActivationEnd, Day, Delivery, RestsOn};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::login_password::AccountState;
use crate::domain::message::{Channel, NewMessage};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::password::PasswordHash;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

use super::session::Ended;
use super::staff::{Act, Acted};

/// A right to choose a password, to be given. It takes the place of one that waits at the portal, and carries the
/// account's epoch of the transaction.
#[derive(Clone, Debug)]
pub struct NewActivation {
    /// Its id.
    pub id: ActivationId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal of the password.
    pub portal: Portal,
    /// Whose account.
    pub guardian: GuardianId,
    /// What the password will rest on.
    pub rests_on: RestsOn,
    /// By which way it goes to the person.
    pub delivery: Delivery,
    /// The hash of the code on a sheet; `None` for a link.
    pub code_hash: Option<PasswordHash>,
    /// The digest of the token of a link that is known already; `None` for one that a message will carry.
    pub token_digest: Option<[u8; 32]>,
    /// Which staff member gives it; `None` at the command line.
    pub issued_by: Option<GuardianId>,
    /// When.
    pub at: Timestamp,
    /// Dead after this.
    pub expires: Timestamp,
}

/// A credential to be issued to a guardian.
#[derive(Clone, Debug)]
pub struct NewFallbackCredential {
    /// The right to choose a password.
    pub activation: NewActivation,
    /// The message that carries its link, if one is sent: the contact for its channel must be on file.
    pub message: Option<NewMessage>,
    /// Names for a guardian who has none at the portal: the first one that is free is taken.
    pub user_names: Vec<LoginName>,
    /// Since when the issuer's credentials are counted.
    pub counted_from: Timestamp,
    /// How many of them may be there without another's approval.
    pub most: u32,
    /// The day that an approval must be of.
    pub day: Day,
}

/// Whether a credential was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueOutcome {
    /// It was.
    Issued {
        /// The name to log in with.
        user_name: LoginName,
        /// The guardian's language on file.
        locale: Locale,
    },
    /// There is no such guardian in the member's scope.
    NotFound,
    /// The account is not in use.
    NotActive(AccountState),
    /// Staff have confirmed no relation that bears a password at the portal.
    NotConfirmed,
    /// Another administrator must approve first.
    NeedsApproval,
    /// The guardian has no contact on file that the message could go to.
    NoContact(Channel),
}

/// Whether a password was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// There is none now; these sessions ended.
    Revoked(Ended),
    /// There is no such guardian in the member's scope.
    NotFound,
    /// The account was merged or erased.
    NotThere(AccountState),
}

/// Which credentials are asked for.
#[derive(Clone, Debug)]
pub struct CredentialQuery {
    /// In which organization.
    pub organization: OrganizationId,
    /// Whose scope.
    pub staff: GuardianId,
    /// Only this guardian's.
    pub guardian: Option<GuardianId>,
    /// Only those that wait to be used.
    pub only_waiting: bool,
    /// Only those issued before this one.
    pub before: Option<ActivationId>,
    /// At most so many.
    pub limit: u32,
    /// What is over by then waits no more.
    pub now: Timestamp,
}

/// A credential that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCredential {
    /// Its id.
    pub id: ActivationId,
    /// Whose.
    pub guardian: GuardianId,
    /// At which portal.
    pub portal: Portal,
    /// Who issued it.
    pub issued_by: Option<GuardianId>,
    /// When.
    pub issued: Timestamp,
    /// Dead after this.
    pub expires: Timestamp,
    /// How it ended, if it did.
    pub end: Option<ActivationEnd>,
    /// Whether it carries the epoch that the account has.
    pub is_current: bool,
}

/// Whether a colleague may issue more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApproveOutcome {
    /// The colleague may.
    Approved,
    /// There is no such active colleague in the member's scope who issues credentials.
    NotFound,
}

/// An account by a name or a link, with the right to choose a password that was given last.
#[derive(Clone, Debug)]
pub struct ActivationHolder {
    /// Whose.
    pub guardian: GuardianId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal.
    pub portal: Portal,
    /// What the account may do.
    pub state: AccountState,
    /// The account's epoch.
    pub credential_epoch: i64,
    /// The name to log in with; `None` if there is none any more.
    pub user_name: Option<LoginName>,
    /// All login names at the portal.
    pub login_names: Vec<LoginName>,
    /// Whether mails can go to the person.
    pub has_email: bool,
    /// Whether text messages can.
    pub has_mobile: bool,
    /// The one that waits, else the last one; `None` if there was none.
    pub activation: Option<HeldActivation>,
}

/// A right to choose a password, as found.
#[derive(Clone, Debug)]
pub struct HeldActivation {
    /// Its id.
    pub id: ActivationId,
    /// What the password will rest on.
    pub rests_on: RestsOn,
    /// The hash of its code; `None` for a link.
    pub code_hash: Option<PasswordHash>,
    /// The epoch that it was given with.
    pub credential_epoch: i64,
    /// Dead after this.
    pub expires: Timestamp,
    /// How it ended, if it did.
    pub end: Option<ActivationEnd>,
}

/// A wrong code to be counted.
#[derive(Clone, Debug)]
pub struct ActivationFailure {
    /// Whose code; a decoy id where nothing is to be counted, so that the same statements run.
    pub activation: ActivationId,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub event: Event,
}

/// A password that was chosen.
#[derive(Clone, Debug)]
pub struct ActivatedCredential {
    /// The right to choose it, used up by it.
    pub activation: ActivationId,
    /// Whose.
    pub guardian: GuardianId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal.
    pub portal: Portal,
    /// What it rests on: looked at in the transaction.
    pub rests_on: RestsOn,
    /// The epoch read with the account: nothing happens if it is another by now.
    pub credential_epoch: i64,
    /// The hash.
    pub hash: PasswordHash,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub event: Event,
    /// Notices to the person.
    pub notices: Vec<NewMessage>,
}

/// Whether the password was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivateOutcome {
    /// It was; these sessions ended. The epoch was bumped.
    Activated(Ended),
    /// What it was to rest on is gone: nothing was written.
    NotBorne,
    /// The account or the right to choose is not as it was read: nothing was written.
    ChangedMeanwhile,
}

/// Questions of fallback credentials.
#[async_trait]
pub trait FallbackCredentialStore: Send + Sync {
    /// Issues a credential if staff have confirmed what it rests on, the account is in use, and the issuer need not wait: all
    /// of it looked at in the transaction. Credentials of one issuer take turns, so that the count is exact.
    ///
    /// # Errors
    /// [`PortError`].
    async fn issue_credential(
        &self,
        act: &Act,
        new: &NewFallbackCredential,
    ) -> Result<Acted<IssueOutcome>, PortError>;

    /// Takes a password away, with what waits to become one. No import brings it back. Where there is neither, nothing is
    /// written down.
    ///
    /// # Errors
    /// [`PortError`].
    async fn revoke_credential(
        &self,
        act: &Act,
        guardian: &GuardianId,
        portal: Portal,
    ) -> Result<Acted<RevokeOutcome>, PortError>;

    /// Credentials of guardians in a staff member's scope, those issued last first.
    ///
    /// # Errors
    /// [`PortError`].
    async fn list_credentials(&self, query: &CredentialQuery) -> Result<Vec<IssuedCredential>, PortError>;

    /// Lets a colleague issue more on a day.
    ///
    /// # Errors
    /// [`PortError`].
    async fn approve_issuing(
        &self,
        act: &Act,
        colleague: &GuardianId,
        day: Day,
    ) -> Result<Acted<ApproveOutcome>, PortError>;

    /// Keeps the digest of the token in a link that is about to be sent; when the link ends. `None` if it has ended, or the
    /// account is another than it was: then there is nothing to send.
    ///
    /// # Errors
    /// [`PortError`].
    async fn link_activation(
        &self,
        activation: &ActivationId,
        token_digest: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<Timestamp>, PortError>;

    /// The account of a login name at a portal: one statement, whatever exists.
    ///
    /// # Errors
    /// [`PortError`].
    async fn activation_of_name(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
    ) -> Result<Option<ActivationHolder>, PortError>;

    /// The account of a link's token, good or not.
    ///
    /// # Errors
    /// [`PortError`].
    async fn activation_of_token(
        &self,
        token_digest: &[u8; 32],
    ) -> Result<Option<ActivationHolder>, PortError>;

    /// Counts a wrong code and writes the audit event. At
    /// [`MOST_WRONG_CODES`](crate::domain::fallback_credential::MOST_WRONG_CODES) the right one ends in the same statement.
    ///
    /// # Errors
    /// [`PortError`].
    async fn record_activation_failure(&self, failure: &ActivationFailure) -> Result<(), PortError>;

    /// Sets the password that was chosen if everything is as it was read and what it rests on is there; opens one that was
    /// closed, ends the account's sessions, writes the event.
    ///
    /// # Errors
    /// [`PortError`].
    async fn activate_credential(
        &self,
        activated: &ActivatedCredential,
    ) -> Result<ActivateOutcome, PortError>;

    /// Drops what ran out before; says how many.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_activations(&self, expired_before: Timestamp) -> Result<u64, PortError>;
}
