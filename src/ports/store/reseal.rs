//! Values that are sealed or digested with a master key, to be sealed anew with another one.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::organization::OrganizationId;
use crate::domain::staff::Realm;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

/// What is kept sealed for longer than a login takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SealedKind {
    /// Identifiers of accounts, replaced ones too.
    Identifier,
    /// Proposals of new numbers.
    NumberProposal,
    /// Signatures that are kept as evidence.
    Evidence,
    /// Private parts of the keys that sign access tokens.
    SigningKey,
    /// What merges moved.
    Merge,
}

impl SealedKind {
    /// All of them: keys that sign first, since without one nobody logs in.
    pub const ALL: [Self; 5] =
        [Self::SigningKey, Self::Identifier, Self::NumberProposal, Self::Evidence, Self::Merge];

    /// The name of its table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Identifier => "guardian_identifier",
            Self::NumberProposal => "number_proposal",
            Self::Evidence => "eid_evidence",
            Self::SigningKey => "signing_key",
            Self::Merge => "merge",
        }
    }
}

/// A row with a sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// The primary key, as text.
    pub key: String,
    /// Whose data; signing keys are nobody's.
    pub organization: Option<OrganizationId>,
    /// The account that an identifier or a proposal belongs to.
    pub account: Option<(GuardianId, Realm)>,
    /// The value.
    pub sealed: Sealed,
}

/// Some rows of a table, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPage {
    /// Those that another key than the active one has sealed.
    pub rows: Vec<SealedRow>,
    /// The last key that was looked at, if there may be more behind it.
    pub next_after: Option<String>,
}

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResealedRow {
    /// The primary key, as text.
    pub key: String,
    /// What is there now: if it is not, the row changed meanwhile and stays as it is.
    pub before: Sealed,
    /// What takes its place.
    pub sealed: Sealed,
    /// The look-up digest that takes the place of the one before, of identifiers and proposals.
    pub index: Option<[u8; 32]>,
}

/// Rows that soon go by themselves, and need a key until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// The key.
    pub key_id: String,
    /// How many: requests for reset links, logins with an eID.
    pub rows: u64,
}

/// Questions of a change of master keys.
#[async_trait]
pub trait ResealStore: Send + Sync {
    /// Among the `limit` rows after a key (all of them after an empty one), those that are not sealed with the active master
    /// key.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        active_key_id: &str,
        after: &str,
        limit: u32,
    ) -> Result<SealedPage, PortError>;

    /// Writes rows that were sealed anew, and the events, in one transaction. How many were still as they were read.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::Conflict`] if another row has the digest already: then nothing is written.
    async fn reseal(
        &self,
        kind: SealedKind,
        rows: &[ResealedRow],
        events: &[Event],
    ) -> Result<u64, PortError>;

    /// Settles a proposal that is there twice, once under each key: the one that is named.
    ///
    /// # Errors
    /// [`PortError`].
    async fn settle_repeated_proposal(&self, key: &str, at: Timestamp) -> Result<(), PortError>;

    /// What is under way and sealed with another key than the active one.
    ///
    /// # Errors
    /// [`PortError`].
    async fn passing(&self, active_key_id: &str, now: Timestamp) -> Result<Vec<Passing>, PortError>;
}
