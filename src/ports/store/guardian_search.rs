//! Questions of staff who look for guardians and children.

use async_trait::async_trait;

use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::identifier::LoginName;
use crate::domain::login_password::AccountState;
use crate::domain::name_search::NameWords;
use crate::domain::organization::OrganizationId;
use crate::domain::staff::Scope;
use crate::ports::error::PortError;

/// Who of the staff looks, and how far.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// In whose data.
    pub organization: OrganizationId,
    /// Who.
    pub staff: GuardianId,
    /// For whom the member works.
    pub scope: Scope,
}

/// By what a guardian is looked for.
#[derive(Clone)]
pub enum GuardianQuery {
    /// Beginnings of parts of the name.
    Name(NameWords),
    /// Digests of a number, under every configured key.
    NationalId(Vec<[u8; 32]>),
    /// A login name at any portal for guardians.
    LoginName(LoginName),
    /// Beginnings of parts of the name of a child.
    ChildName(NameWords),
    /// A child.
    Child(ChildId),
}

/// Where a search goes on. What a query does not sort by is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPlace {
    /// The part of the name that was looked for.
    pub part: String,
    /// The child whose name it is, where a child was looked for.
    pub child: String,
    /// The guardian or child that was shown or looked at last.
    pub id: String,
}

/// A page of what was found. It may be short although there is more: a page looks at a bounded number of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// In the order of the search.
    pub rows: Vec<T>,
    /// Where it goes on, if it does.
    pub next: Option<SearchPlace>,
}

/// A guardian in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardianSummary {
    /// Id.
    pub id: GuardianId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// What the account may do.
    pub state: AccountState,
    /// Given names of children in the member's scope, at most ten.
    pub children: Vec<String>,
}

/// A school.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchoolName {
    /// Id.
    pub id: SchoolId,
    /// Its name.
    pub name: String,
}

/// A child in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSummary {
    /// Id.
    pub id: ChildId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// The child's school.
    pub school: SchoolName,
}

/// Looking for people.
#[async_trait]
pub trait GuardianSearchStore: Send + Sync {
    /// Guardians in the member's scope, active or locked, by part of the name and id, or by id; `after` is where the page
    /// before ended.
    ///
    /// # Errors
    /// [`PortError`].
    async fn search_guardians(
        &self,
        viewer: &Viewer,
        query: &GuardianQuery,
        after: &SearchPlace,
        page_size: u16,
    ) -> Result<Found<GuardianSummary>, PortError>;

    /// Children in the member's scope that were not merged away, by part of the name and id.
    ///
    /// # Errors
    /// [`PortError`].
    async fn search_children(
        &self,
        viewer: &Viewer,
        words: &NameWords,
        after: &SearchPlace,
        page_size: u16,
    ) -> Result<Found<ChildSummary>, PortError>;

    /// Folds names that were stored before there were folded ones; says of how many people.
    ///
    /// # Errors
    /// [`PortError`].
    async fn fold_names(&self) -> Result<u64, PortError>;
}
