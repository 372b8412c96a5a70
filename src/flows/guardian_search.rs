//! Finding guardians and children in the scope of a staff member.

use crate::domain::id::ChildId;
use crate::domain::identifier::{LoginName, NationalId};
use crate::domain::name_search::NameWords;
use crate::domain::staff::Realm;
use crate::ports::error::PortError;
use crate::ports::key_vault::Purpose;
use crate::ports::store::{ChildSummary, Found, GuardianQuery, GuardianSummary, SearchPlace};

use super::duty::AtWork;
use super::national_id::index_parts;
use super::page_token;
use super::staff_parts::StaffParts;

/// What parts the fields of a place in a token: in none of them.
const SEPARATOR: char = '\n';

/// By what a guardian is looked for, as it was typed and read.
pub enum Query {
    /// Beginnings of parts of the name.
    Name(NameWords),
    /// A number.
    NationalId(NationalId),
    /// A login name.
    LoginName(LoginName),
    /// Beginnings of parts of the name of a child.
    ChildName(NameWords),
    /// A child.
    Child(ChildId),
}

/// Which page.
pub struct Page<'a> {
    /// Rows at most.
    pub size: u16,
    /// Where it begins; `None` at the beginning.
    pub token: Option<&'a str>,
}

/// Rows, and the token of the next page.
pub struct Rows<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// For the next page.
    pub next: Option<String>,
}

/// Why nobody was looked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page token is not one of ours for this search.
    #[error("the page token cannot be read")]
    PageToken,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Finding people.
pub struct GuardianSearchFlow {
    /// What it works with.
    pub parts: StaffParts,
}

impl GuardianSearchFlow {
    /// Guardians in the member's scope.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn guardians(
        &self,
        work: &AtWork,
        query: &Query,
        page: &Page<'_>,
    ) -> Result<Rows<GuardianSummary>, Error> {
        let list = List::new(work, "guardians", query.asked());
        let after = self.place(&list, page)?;
        let query = match query {
            Query::Name(words) => GuardianQuery::Name(words.clone()),
            Query::NationalId(number) => {
                let parts = index_parts(&work.organization.id, Realm::Guardians, number.canonical());
                GuardianQuery::NationalId(self.parts.vault.digests(Purpose::NationalIdIndex, &parts))
            }
            Query::LoginName(name) => GuardianQuery::LoginName(name.clone()),
            Query::ChildName(words) => GuardianQuery::ChildName(words.clone()),
            Query::Child(child) => GuardianQuery::Child(child.clone()),
        };
        let store = &self.parts.store;
        let found = store.search_guardians(&work.viewer(), &query, &after, page.size).await?;
        Ok(self.rows(&list, found))
    }

    /// Children in the member's scope.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn children(
        &self,
        work: &AtWork,
        words: &NameWords,
        page: &Page<'_>,
    ) -> Result<Rows<ChildSummary>, Error> {
        let list = List::new(work, "children", ("name", words.text()));
        let after = self.place(&list, page)?;
        let found = self.parts.store.search_children(&work.viewer(), words, &after, page.size).await?;
        Ok(self.rows(&list, found))
    }

    fn place(&self, list: &List<'_>, page: &Page<'_>) -> Result<SearchPlace, Error> {
        let Some(token) = page.token else { return Ok(SearchPlace::default()) };
        let place = page_token::open(self.parts.vault.as_ref(), &list.context(), token);
        let place = place.ok_or(Error::PageToken)?;
        let mut fields = place.split(SEPARATOR).map(str::to_owned);
        match (fields.next(), fields.next(), fields.next()) {
            (Some(part), Some(child), Some(id)) => Ok(SearchPlace { part, child, id }),
            (_, _, _) => Err(Error::PageToken),
        }
    }

    fn rows<T>(&self, list: &List<'_>, found: Found<T>) -> Rows<T> {
        let next = found.next.map(|SearchPlace { part, child, id }| {
            let place = format!("{part}{SEPARATOR}{child}{SEPARATOR}{id}");
            page_token::seal(self.parts.vault.as_ref(), &list.context(), &place)
        });
        Rows { rows: found.rows, next }
    }
}

impl Query {
    /// What tells one search from another: a token of one is good for no other. A search by number or login name has one
    /// page.
    fn asked(&self) -> (&'static str, String) {
        match self {
            Self::Name(words) => ("name", words.text()),
            Self::NationalId(_) => ("national_id", String::new()),
            Self::LoginName(_) => ("login_name", String::new()),
            Self::ChildName(words) => ("child_name", words.text()),
            Self::Child(child) => ("child", child.as_str().to_owned()),
        }
    }
}

/// What a page token is bound to.
struct List<'a> {
    work: &'a AtWork,
    of: &'static str,
    by: &'static str,
    asked: String,
}

impl<'a> List<'a> {
    fn new(work: &'a AtWork, of: &'static str, (by, asked): (&'static str, String)) -> Self {
        Self { work, of, by, asked }
    }

    fn context(&self) -> [&[u8]; 5] {
        [
            self.of.as_bytes(),
            self.work.organization.id.as_str().as_bytes(),
            self.work.on_duty.staff.as_str().as_bytes(),
            self.by.as_bytes(),
            self.asked.as_bytes(),
        ]
    }
}
