//! What lists show of guardians and children, for a page at once.

use std::collections::HashMap;

use crate::adapters::store::bulk::Listing;
use crate::adapters::store::name_parts::parts_of;
use crate::adapters::store::row::{Columns, account_state};
use crate::adapters::store::unit::Unit;
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::login_password::AccountState;
use crate::domain::name_search::NameWords;
use crate::ports::error::PortError;
use crate::ports::store::{ChildSummary, GuardianSummary, SchoolName, Viewer};

/// Children whose names a summary shows.
const MOST_CHILDREN: usize = 10;

const GUARDIANS: Listing = Listing {
    name: "list_found_guardians",
    select: "SELECT t.id, t.given_name, t.family_name, t.state",
    from: "guardian t WHERE t.id = wanted.column1",
};

const CHILDREN_OF_GUARDIANS: Listing = Listing {
    name: "list_children_of_guardians",
    select: "SELECT t.guardian_id, c.id, c.given_name, c.family_name, c.school_id",
    from: "child_link t JOIN child c ON c.id = t.child_id WHERE t.guardian_id = wanted.column1",
};

const GUARDIANS_OF_CHILDREN: Listing = Listing {
    name: "list_guardians_of_children",
    select: "SELECT t.child_id, g.id, g.kind, g.state",
    from: "child_link t JOIN guardian g ON g.id = t.guardian_id WHERE t.child_id = wanted.column1",
};

const CHILDREN: Listing = Listing {
    name: "list_found_children",
    select: "SELECT t.id, t.given_name, t.family_name, t.school_id, s.name",
    from: "child t JOIN school s ON s.id = t.school_id WHERE t.id = wanted.column1",
};

/// A child in the member's scope.
#[derive(Clone, PartialEq, Eq)]
struct KnownChild {
    id: ChildId,
    given_name: String,
    family_name: String,
}

impl KnownChild {
    /// [`NameWords::first_match`] of the name.
    fn first_match(&self, words: &NameWords) -> Option<String> {
        words.first_match(&parts_of(&self.given_name, &self.family_name))
    }
}

/// A guardian with the children in the member's scope.
pub(super) struct Shown {
    pub summary: GuardianSummary,
    children: Vec<KnownChild>,
}

impl Shown {
    /// Whether this child, by this part of its name, is the first of the guardian's children that the words fit.
    pub(super) fn is_first(&self, words: &NameWords, part: &str, child: &str) -> bool {
        let places =
            self.children.iter().filter_map(|known| Some((known.first_match(words)?, known.id.as_str())));
        places.min().is_some_and(|(first, id)| first == part && id == child)
    }
}

/// The guardians, in the order of the ids.
pub(super) async fn guardians(
    unit: &mut Unit,
    viewer: &Viewer,
    ids: &[GuardianId],
) -> Result<Vec<Shown>, PortError> {
    let mut children: HashMap<GuardianId, Vec<KnownChild>> = HashMap::new();
    for row in CHILDREN_OF_GUARDIANS.rows(unit, ids).await? {
        if !viewer.scope.covers(&row.parsed("school_id", SchoolId::parse)?) {
            continue;
        }
        let child = KnownChild {
            id: row.parsed("id", ChildId::parse)?,
            given_name: row.column("given_name")?,
            family_name: row.column("family_name")?,
        };
        let known = children.entry(row.parsed("guardian_id", GuardianId::parse)?).or_default();
        // Several sources may deliver one link.
        if !known.contains(&child) {
            known.push(child);
        }
    }
    let mut shown: HashMap<GuardianId, Shown> = HashMap::new();
    for row in GUARDIANS.rows(unit, ids).await? {
        let id = row.parsed("id", GuardianId::parse)?;
        let mut children = children.remove(&id).unwrap_or_default();
        children.sort_by(|one, other| one.id.cmp(&other.id));
        let summary = GuardianSummary {
            id: id.clone(),
            given_name: row.column("given_name")?,
            family_name: row.column("family_name")?,
            state: row.parsed("state", account_state)?,
            children: children.iter().take(MOST_CHILDREN).map(|child| child.given_name.clone()).collect(),
        };
        shown.insert(id, Shown { summary, children });
    }
    Ok(ids.iter().filter_map(|id| shown.remove(id)).collect())
}

/// The active and locked guardians of children, sorted, by the id of the child.
pub(super) async fn guardians_of_children(
    unit: &mut Unit,
    children: &[ChildId],
) -> Result<HashMap<String, Vec<GuardianId>>, PortError> {
    let mut guardians: HashMap<String, Vec<GuardianId>> = HashMap::new();
    for row in GUARDIANS_OF_CHILDREN.rows(unit, children).await? {
        let is_usable = match row.parsed("state", account_state)? {
            AccountState::Active | AccountState::Locked => true,
            AccountState::Merged | AccountState::Erased => false,
        };
        if is_usable && row.column::<&str>("kind")? == "guardian" {
            guardians.entry(row.column("child_id")?).or_default().push(row.parsed("id", GuardianId::parse)?);
        }
    }
    for ids in guardians.values_mut() {
        ids.sort();
        ids.dedup();
    }
    Ok(guardians)
}

/// The children, in the order of the ids.
pub(super) async fn children(unit: &mut Unit, ids: &[ChildId]) -> Result<Vec<ChildSummary>, PortError> {
    let mut shown: HashMap<ChildId, ChildSummary> = HashMap::new();
    for row in CHILDREN.rows(unit, ids).await? {
        let id = row.parsed("id", ChildId::parse)?;
        let summary = ChildSummary {
            id: id.clone(),
            given_name: row.column("given_name")?,
            family_name: row.column("family_name")?,
            school: SchoolName { id: row.parsed("school_id", SchoolId::parse)?, name: row.column("name")? },
        };
        shown.insert(id, summary);
    }
    Ok(ids.iter().filter_map(|id| shown.remove(id)).collect())
}
