//! Audit events that belong to no other fact, and the chain that all of them are put into.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::audit_chain::{ChainDigest, ChainEnd, EventBytes, StoredLink};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Signature;

/// Writing audit events on their own: refusals by limits, commands.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Writes the events in one transaction.
    ///
    /// # Errors
    /// [`PortError::Unavailable`].
    async fn record_events(&self, events: &[Event]) -> Result<(), PortError>;
}

/// Work that one process does for all, until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkLease {
    /// The work.
    pub name: &'static str,
    /// Names the process.
    pub holder: String,
    /// Until when it is this process's.
    pub until: Timestamp,
}

/// The signed end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// Whose chain.
    pub organization: OrganizationId,
    /// Where it ends.
    pub end: ChainEnd,
    /// When it was signed.
    pub at: Timestamp,
    /// Over all of these.
    pub signature: Signature,
}

/// A head with the link that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// The head.
    pub head: SignedHead,
    /// The digest of the link at its position, and the id of that link's event; `None` if there is no such link.
    pub link: Option<(ChainDigest, String)>,
}

/// An event that no link names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnchainedEvent {
    /// Its id.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Whose data it is about.
    pub organization: OrganizationId,
    /// What is chained of it.
    pub bytes: EventBytes,
}

/// A stretch of the log, in order of event ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnchainedPage {
    /// The events of it that no link names.
    pub events: Vec<UnchainedEvent>,
    /// The id of its last event if the log may go on behind it.
    pub next_after: Option<String>,
}

/// A link to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// Where, with the digest there.
    pub end: ChainEnd,
    /// The event.
    pub event_id: String,
}

/// What is put at the end of a chain at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainGrowth {
    /// Where the chain ends until now; position 0 where there is none yet.
    pub before: ChainEnd,
    /// What comes behind it. None to sign the same end anew.
    pub links: Vec<NewLink>,
    /// The head after them.
    pub head: SignedHead,
}

/// What is stored of a chain, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainExtent {
    /// The head, if there is one.
    pub head: Option<SignedHead>,
    /// The last position that has a link; 0 if there is none.
    pub last: i64,
}

/// Questions about the chain of the audit log.
#[async_trait]
pub trait AuditChainStore: Send + Sync {
    /// Takes the work, or keeps it for longer; false while another process has it.
    ///
    /// # Errors
    /// [`PortError`].
    async fn take_work(&self, lease: &WorkLease, now: Timestamp) -> Result<bool, PortError>;

    /// Lets go of the work before the lease is over.
    ///
    /// # Errors
    /// [`PortError`].
    async fn release_work(&self, lease: &WorkLease) -> Result<(), PortError>;

    /// The heads of all organizations.
    ///
    /// # Errors
    /// [`PortError`].
    async fn audit_heads(&self) -> Result<Vec<StoredHead>, PortError>;

    /// The events that no link names among the `limit` events after an id.
    ///
    /// # Errors
    /// [`PortError`].
    async fn unchained_events(&self, after: &str, limit: u32) -> Result<UnchainedPage, PortError>;

    /// Adds links and heads in one transaction. False, and nothing is written, if a chain does not end where it should:
    /// somebody else added to it.
    ///
    /// # Errors
    /// [`PortError`].
    async fn grow_chains(&self, growths: &[ChainGrowth]) -> Result<bool, PortError>;

    /// The first organization after a name (in order of bytes) that has events, links or a head.
    ///
    /// # Errors
    /// [`PortError`].
    async fn next_audited(&self, after: &str) -> Result<Option<OrganizationId>, PortError>;

    /// The head and the length of an organization's chain.
    ///
    /// # Errors
    /// [`PortError`].
    async fn chain_extent(&self, organization: &OrganizationId) -> Result<ChainExtent, PortError>;

    /// The links after a position and up to another with their events, in order, `limit` at most.
    ///
    /// # Errors
    /// [`PortError`].
    async fn chain_links(
        &self,
        organization: &OrganizationId,
        after: i64,
        up_to: i64,
        limit: u32,
    ) -> Result<Vec<StoredLink>, PortError>;

    /// The position of the last link whose event is not younger than a time; 0 if there is none.
    ///
    /// # Errors
    /// [`PortError`].
    async fn position_at(&self, organization: &OrganizationId, at: Timestamp) -> Result<i64, PortError>;
}
