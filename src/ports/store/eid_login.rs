//! The store's part in a login with an eID, whichever it is: from a number to an account to a session.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::eid_login::EidAccount;
use crate::domain::id::{BankIdLoginId, EvidenceId, GuardianId, ProposalId};
use crate::domain::organization::OrganizationId;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

use super::directory_import::SealedNationalId;

/// A session to begin for a person whom an eID has identified.
#[derive(Clone, Debug)]
pub struct NewEidSession {
    /// The session. `credential_epoch` is the epoch read with the account.
    pub session: Session,
    /// The digests of the asserted identifier: one of them must still be the guardian's, in use.
    pub identifier: Vec<[u8; 32]>,
    /// The BankID order that is used up by it: nothing happens unless it is complete and its result not too old when the
    /// session begins. What it held of the person is dropped.
    pub order: Option<BankIdLoginId>,
    /// The signature, to be kept.
    pub evidence: Option<NewEvidence>,
    /// What the audit log says of it: the login, and signals.
    pub events: Vec<Event>,
}

/// A signature that is kept as evidence of a login.
#[derive(Clone, Debug)]
pub struct NewEvidence {
    /// Its id.
    pub id: EvidenceId,
    /// Signature and OCSP answer, sealed for this row.
    pub sealed: Sealed,
    /// Dropped after this.
    pub expires: Timestamp,
}

/// Whether the session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EidOpenOutcome {
    /// It did.
    Opened,
    /// The account's epoch, state or number changed since it was read: nothing was written. The order is complete still;
    /// the denial ([`DeniedEidLogin`]) uses it up.
    AccountChanged,
    /// The order was cancelled, used or ran out meanwhile: nothing was written.
    OrderGone,
}

/// A login with an eID that is denied though the person is identified.
#[derive(Clone, Debug)]
pub struct DeniedEidLogin {
    /// The BankID order that is used up by it, and when: nothing happens unless it is complete and its result not too old
    /// then. What it held of the person is dropped.
    pub order: Option<(BankIdLoginId, Timestamp)>,
    /// What the audit log says of it.
    pub events: Vec<Event>,
    /// What staff are proposed.
    pub proposal: Option<NumberProposal>,
}

/// A new number of a person who has an account under the number before: for staff to put there, or not.
#[derive(Clone, Debug)]
pub struct NumberProposal {
    /// Its id.
    pub id: ProposalId,
    /// In which organization.
    pub organization: OrganizationId,
    /// Whose account has the number before.
    pub guardian: GuardianId,
    /// The new number, sealed for the guardian's row.
    pub number: SealedNationalId,
    /// When it was seen.
    pub at: Timestamp,
}

/// Questions that both eIDs ask.
#[async_trait]
pub trait EidLoginStore: Send + Sync {
    /// The accounts that have an identifier of one of these digests in use, each once. One statement a digest.
    ///
    /// # Errors
    /// [`PortError`].
    async fn eid_accounts(
        &self,
        organization: &OrganizationId,
        digests: &[[u8; 32]],
    ) -> Result<Vec<EidAccount>, PortError>;

    /// The family names of the guardians, not merged, who have an identifier of one of these digests in use: up to ten.
    /// For diagnosis; there may be thousands of digests.
    ///
    /// # Errors
    /// [`PortError`].
    async fn family_names(
        &self,
        organization: &OrganizationId,
        digests: &[[u8; 32]],
    ) -> Result<Vec<String>, PortError>;

    /// Begins a session in one transaction, see [`NewEidSession`]. No counter of a password is touched.
    ///
    /// # Errors
    /// [`PortError`].
    async fn open_eid_session(&self, new: &NewEidSession) -> Result<EidOpenOutcome, PortError>;

    /// Writes a denial in one transaction; false if its order was cancelled, used or ran out meanwhile: then nothing was
    /// written. A proposal that is there already for this guardian and number is not made again.
    ///
    /// # Errors
    /// [`PortError`].
    async fn deny_eid_login(&self, denied: &DeniedEidLogin) -> Result<bool, PortError>;

    /// Drops evidence whose time is over; says how much.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_evidence(&self, now: Timestamp) -> Result<u64, PortError>;
}
