//! What flows ask the store: a small trait per story; [`Store`] is their sum.
//!
//! A method is one atomic business fact: no transaction crosses a port, and an audit event is written in the
//! transaction of its fact. Digests go in, never tokens.

mod audit;
mod audit_events;
mod change_password;
mod directory_import;
mod eid_login;
mod fallback_credential;
mod guardian;
mod guardian_search;
mod login_bankid;
mod login_oidc;
mod login_password;
mod outbox;
mod password_reset;
mod reseal;
mod session;
mod signing_keys;
mod staff;
mod staff_accounts;

pub use audit::{
    AuditChainStore, AuditStore, ChainExtent, ChainGrowth, NewLink, SignedHead, StoredHead, UnchainedEvent,
    UnchainedPage, WorkLease,
};
pub use audit_events::{AuditEventsStore, EventFilter, StoredEvent};
pub use change_password::{
    ChangePasswordStore, NewCredential, SetPassword, SetPasswordOutcome, TicketHolder,
};
pub use directory_import::{
    DirectoryStore, KnownRows, PreparedChild, PreparedGuardian, PreparedRow, PreparedSchool, SealedNationalId,
};
pub use eid_login::{
    DeniedEidLogin, EidLoginStore, EidOpenOutcome, NewEidSession, NewEvidence, NumberProposal,
};
pub use fallback_credential::{
    ActivateOutcome, ActivatedCredential, ActivationFailure, ActivationHolder, ApproveOutcome,
    CredentialQuery, FallbackCredentialStore, HeldActivation, IssueOutcome, IssuedCredential, NewActivation,
    NewFallbackCredential, RevokeOutcome,
};
pub use guardian::{
    Changed, ChildLink, Confirmation, ContactOnFile, GuardianStore, NewNumber, NumberOutcome, PasswordOnFile,
    StoredGuardian, StoredIdentifier, StoredProposal, Withdrawn,
};
pub use guardian_search::{
    ChildSummary, Found, GuardianQuery, GuardianSearchStore, GuardianSummary, SchoolName, SearchPlace, Viewer,
};
pub use login_bankid::{BankIdOrder, CollectorLease, LoginBankIdStore, Progress};
pub use login_oidc::{LoginOidcStore, OidcAttempt, TakenAttempt};
pub use login_password::{
    ChangeTicket, Failure, FailureCount, HashParametersInUse, LoginPasswordStore, NewSession, OpenOutcome,
};
pub use outbox::{
    FAILURES_KEY_PREFIX, LeasedMessage, OutboxLevel, OutboxStore, Recipient, Settlement, TryCounts,
    TryOutcome, UntoldFailures, failures_key,
};
pub use password_reset::{
    CandidateKey, ConfirmedReset, LeasedResetRequest, MessageBudget, NewResetToken, PasswordResetStore,
    ResetOutcome, ResetRequest, ResetRows, ResetTokenHolder, SettleOutcome, SettledReset,
};
pub use reseal::{Passing, ResealStore, ResealedRow, SealedKind, SealedPage, SealedRow};
pub use session::{EndSessions, Ended, Revocation, Rotation, RotationOutcome, SessionStore};
pub use signing_keys::{SealedSigningKey, SigningKeyStore};
pub use staff::{Act, Acted, DutyStore, REQUEST_RETENTION, RequestKey, StaffRights};
pub use staff_accounts::{
    AddStaffOutcome, BootstrapOutcome, NewInvitation, NewStaff, StaffChange, StaffChangeOutcome, StaffFilter,
    StaffRightsChange, StaffStore,
};

use async_trait::async_trait;

use super::error::PortError;

/// Whether the store is there.
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// Answers if the store can be read.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if not.
    async fn ping(&self) -> Result<(), PortError>;
}

/// Everything that flows ask the store.
pub trait Store:
    LoginPasswordStore
    + SessionStore
    + ChangePasswordStore
    + PasswordResetStore
    + OutboxStore
    + EidLoginStore
    + LoginOidcStore
    + LoginBankIdStore
    + DirectoryStore
    + DutyStore
    + GuardianSearchStore
    + GuardianStore
    + AuditEventsStore
    + StaffStore
    + FallbackCredentialStore
    + SigningKeyStore
    + AuditStore
    + AuditChainStore
    + ResealStore
    + StoreHealth
{
}

impl<T> Store for T where
    T: LoginPasswordStore
        + SessionStore
        + ChangePasswordStore
        + PasswordResetStore
        + OutboxStore
        + EidLoginStore
        + LoginOidcStore
        + LoginBankIdStore
        + DirectoryStore
        + DutyStore
        + GuardianSearchStore
        + GuardianStore
        + AuditEventsStore
        + StaffStore
        + FallbackCredentialStore
        + SigningKeyStore
        + AuditStore
        + AuditChainStore
        + ResealStore
        + StoreHealth
{
}
