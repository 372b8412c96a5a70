//! Showing staff what happened.

use crate::domain::id::AuditEventId;
use crate::domain::staff::Scope;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{EventFilter, StoredEvent};

use super::duty::AtWork;
use super::guardian_search::{Page, Rows};
use super::page_token;
use super::staff_parts::StaffParts;

/// Why no events are shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A member whose scope is some schools must say of whom, or which code.
    #[error("events of everybody are for those who work for the whole organization")]
    WholeOrganization,
    /// The page token is not one of ours for this list.
    #[error("the page token cannot be read")]
    PageToken,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Reading the audit log.
pub struct AuditEventsFlow {
    /// What it works with.
    pub parts: StaffParts,
}

impl AuditEventsFlow {
    /// Events, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(
        &self,
        work: &AtWork,
        filter: &EventFilter,
        page: &Page<'_>,
    ) -> Result<Rows<StoredEvent>, Error> {
        let viewer = work.viewer();
        if viewer.scope != Scope::Organization && filter.guardian.is_none() && filter.reference.is_none() {
            return Err(Error::WholeOrganization);
        }
        let asked = asked(filter);
        let list: [&[u8]; 4] = [
            b"audit_events",
            viewer.organization.as_str().as_bytes(),
            viewer.staff.as_str().as_bytes(),
            asked.as_bytes(),
        ];
        let vault = self.parts.vault.as_ref();
        let after = match page.token {
            None => None,
            Some(token) => {
                let place = page_token::open(vault, &list, token);
                Some(place.as_deref().and_then(place_of).ok_or(Error::PageToken)?)
            }
        };
        let limit = u32::from(page.size) + 1;
        let mut rows = self.parts.store.audit_events(&viewer, filter, after.as_ref(), limit).await?;
        let is_full = rows.len() > usize::from(page.size);
        rows.truncate(usize::from(page.size));
        let next = rows.last().filter(|_| is_full).map(|last| {
            page_token::seal(vault, &list, &format!("{} {}", last.at.as_millis(), last.id.as_str()))
        });
        Ok(Rows { rows, next })
    }
}

/// What tells one list from another.
fn asked(filter: &EventFilter) -> String {
    let EventFilter { guardian, reference, staff, begin, end } = filter;
    let time = |at: &Option<Timestamp>| at.map(|at| at.as_millis().to_string()).unwrap_or_default();
    [
        guardian.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        reference.as_ref().map(|code| code.as_str().to_owned()).unwrap_or_default(),
        staff.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        time(begin),
        time(end),
    ]
    .join(" ")
}

fn place_of(text: &str) -> Option<(Timestamp, AuditEventId)> {
    let (at, id) = text.split_once(' ')?;
    Some((Timestamp::from_millis(at.parse().ok()?), AuditEventId::parse(id)?))
}
