//! The store's part in finding accounts and children that are there twice.

use async_trait::async_trait;

use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::login_password::AccountState;
use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

/// A guardian in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummarizedGuardian {
    /// The account.
    pub id: GuardianId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// What the account may do.
    pub state: AccountState,
    /// Given names of children in the member's scope, ten at most.
    pub children: Vec<String>,
}

/// A number in use, sealed for its guardian's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedNumber {
    /// Whose.
    pub guardian: GuardianId,
    /// The number.
    pub sealed: Sealed,
}

/// An account beside another one, with what both have in common; the numbers of both where their names are equal.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four things that two accounts may have in common, each by itself"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// The other account; of two its id is the greater one, unless pairs of one account were asked for.
    pub other: SummarizedGuardian,
    /// Equal names.
    pub same_name: bool,
    /// Equal addresses.
    pub same_email: bool,
    /// Equal mobile numbers.
    pub same_mobile: bool,
    /// A child in common.
    pub common_child: bool,
    /// The numbers of both, in use: only where the names are equal.
    pub numbers: Vec<SealedNumber>,
}

/// An account with those that may be the same person's, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlikes {
    /// The account.
    pub one: SummarizedGuardian,
    /// The others.
    pub others: Vec<LookAlike>,
}

/// A child in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummarizedChild {
    /// The child.
    pub id: ChildId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// The school.
    pub school: SchoolId,
    /// The school's name.
    pub school_name: String,
}

/// A child with those of equal name that have a guardian in common with it, by id, and how many they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLookAlikes {
    /// The child.
    pub one: SummarizedChild,
    /// The others.
    pub others: Vec<(SummarizedChild, u32)>,
}

/// A part of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked<T, I> {
    /// Those that were passed, by id; also those that look like nobody else.
    pub found: Vec<T>,
    /// Where the walk goes on; `None`: it is over.
    pub go_on_after: Option<I>,
}

/// Looks for duplicates, a bounded number of persons a call.
#[async_trait]
pub trait DuplicateStore: Send + Sync {
    /// Walks accounts of the member's scope in the order of their ids, from the one after `after`, `limit` at most.
    ///
    /// # Errors
    /// [`PortError`].
    async fn look_alikes(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
        after: Option<&GuardianId>,
        limit: u32,
    ) -> Result<Walked<LookAlikes, GuardianId>, PortError>;

    /// One account with the others, whatever their ids; `None` if it is not in the member's scope, or not in use.
    ///
    /// # Errors
    /// [`PortError`].
    async fn look_alikes_of(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
        guardian: &GuardianId,
    ) -> Result<Option<LookAlikes>, PortError>;

    /// The same walk over children.
    ///
    /// # Errors
    /// [`PortError`].
    async fn child_look_alikes(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
        after: Option<&ChildId>,
        limit: u32,
    ) -> Result<Walked<ChildLookAlikes, ChildId>, PortError>;
}
