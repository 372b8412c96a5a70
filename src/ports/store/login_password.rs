//! The store's part in a login with user name and password.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::identifier::LoginName;
use crate::domain::limits::Lane;
use crate::domain::login_password::Candidates;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password::{HashParameters, PasswordHash};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

/// A failed comparison to be counted.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Whose password was compared; a decoy id for unknown names, so that the same statements run.
    pub guardian: GuardianId,
    /// At which portal.
    pub portal: Portal,
    /// Which counter.
    pub lane: Lane,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub event: Event,
}

/// Consecutive failures of a lane after one was counted; zero where there is no such credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureCount {
    /// Failures in a row, this one included.
    pub consecutive: i64,
    /// Whether this failure closed the password to its lane.
    pub closed_now: bool,
}

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session. `credential_epoch` is the epoch read with the candidates.
    pub session: Session,
    /// The lane whose failure counter goes back to zero.
    pub lane: Lane,
    /// What the audit log says of it.
    pub event: Event,
}

/// A single-use ticket for changing a password that was right but must be changed first.
#[derive(Clone, Debug)]
pub struct ChangeTicket {
    /// Keyed digest of the token.
    pub digest: [u8; 32],
    /// Whose password.
    pub guardian: GuardianId,
    /// At which portal.
    pub portal: Portal,
    /// In which organization.
    pub organization: OrganizationId,
    /// Dead if the account's epoch is another.
    pub credential_epoch: i64,
    /// Dead after this.
    pub expires: Timestamp,
    /// The lane whose failure counter goes back to zero.
    pub lane: Lane,
    /// What the audit log says of it.
    pub event: Event,
}

/// Whether the session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOutcome {
    /// It did.
    Opened,
    /// The account's epoch or state changed since the candidates were read: no session.
    AccountChanged,
}

/// Hash parameters found in an organization's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashParametersInUse {
    /// The organization.
    pub organization: OrganizationId,
    /// Parameters of at least one stored hash.
    pub parameters: HashParameters,
}

/// Questions of the login flow.
#[async_trait]
pub trait LoginPasswordStore: Send + Sync {
    /// The accounts that a login name means at this portal and at its sibling: one statement, whatever exists.
    ///
    /// # Errors
    /// [`PortError`].
    async fn login_candidates(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
    ) -> Result<Candidates, PortError>;

    /// Counts a failure in its lane and writes the audit event. At
    /// [`FAILURES_UNTIL_CLOSED`](crate::domain::login_password::FAILURES_UNTIL_CLOSED) the password is closed to the
    /// lane in the same statement. The same statements run for a guardian that does not exist.
    ///
    /// # Errors
    /// [`PortError`].
    async fn record_login_failure(&self, failure: &Failure) -> Result<FailureCount, PortError>;

    /// Begins a session if the account is still as it was read, sets the lane's failures to zero, writes the event.
    ///
    /// # Errors
    /// [`PortError`].
    async fn open_session(&self, new: &NewSession) -> Result<OpenOutcome, PortError>;

    /// Stores a ticket for changing a password if the account is still as it was read, sets the lane's failures to
    /// zero, writes the event.
    ///
    /// # Errors
    /// [`PortError`].
    async fn issue_change_ticket(&self, ticket: &ChangeTicket) -> Result<OpenOutcome, PortError>;

    /// Replaces a hash by one with the live parameters if it is still the one that was compared.
    ///
    /// # Errors
    /// [`PortError`].
    async fn replace_outdated_hash(
        &self,
        guardian: &GuardianId,
        portal: Portal,
        outdated: &PasswordHash,
        fresh: &PasswordHash,
    ) -> Result<(), PortError>;

    /// Parameters of stored hashes per organization. Sets that no hash uses any more are dropped.
    ///
    /// # Errors
    /// [`PortError`].
    async fn hash_parameters_in_use(&self) -> Result<Vec<HashParametersInUse>, PortError>;
}
