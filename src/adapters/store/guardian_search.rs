//! Looking for guardians and children: by parts of names over their index, or from the schools of the staff member.
//!
//! A name is looked up by its longest word, in the order of the index, and each hit is looked at: the other words, and the
//! member's scope. A page ends when it is full or [`MOST_LOOKED_AT`] hits were looked at, so that none costs more in a
//! large organization than in a small one. Where the member's schools are small, that would look at many to find few:
//! then the search begins at the schools.

mod statements;
mod summaries;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::any::AnyArguments;

use crate::domain::id::{ChildId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::name_search::{NameWords, end_of};
use crate::domain::staff::Scope;
use crate::ports::error::PortError;
use crate::ports::store::{
    ChildSummary, Found, GuardianQuery, GuardianSearchStore, GuardianSummary, SearchPlace, Viewer,
};

use super::bind::{bind, push};
use super::name_parts::{self, Kind};
use super::row::{Columns, corrupt};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act};
use statements::{
    BY_CHILD, BY_LOGIN_NAME, BY_NATIONAL_ID, CHILDREN_BY_NAME, CHILDREN_OF_SCHOOLS, COUNT_CHILDREN,
    GUARDIANS_BY_NAME, GUARDIANS_OF_SCHOOLS, OTHER_WORDS,
};
use summaries::{Shown, children, guardians, guardians_of_children};

/// Names that one page looks at: some 50 ms of work.
const MOST_LOOKED_AT: usize = 4_096;

/// Names looked at in one statement, where not each is a hit.
const LOOK: usize = 512;

/// Up to so many children of the member's schools, the search begins there.
const SMALL_SCHOOLS: i64 = 2_000;

/// Sorts behind every id.
const BEHIND_ALL_IDS: &str = "~";

/// Somebody whose name was found, by the part that the longest word begins.
struct Hit {
    part: String,
    id: String,
}

/// Hits in order, and whether there may be more behind the last one looked at.
struct Hits {
    hits: Vec<Hit>,
    looked_up_to: Option<Hit>,
}

/// What the statements by name take, in their order.
struct Looking<'a> {
    viewer: &'a Viewer,
    words: &'a NameWords,
    part: String,
    id: String,
}

impl<'a> Looking<'a> {
    /// From behind a place on. Without one, from the word itself on: no id is empty.
    fn new(viewer: &'a Viewer, words: &'a NameWords, part: &str, id: &str) -> Self {
        let part = if part.is_empty() { words.first_and_others().0 } else { part };
        Self { viewer, words, part: part.to_owned(), id: id.to_owned() }
    }

    fn values(&self, limit: usize) -> AnyArguments {
        let (first, others) = self.words.first_and_others();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let viewer = self.viewer;
        let mut values =
            bind![first, viewer.organization, viewer.staff, end_of(first), self.part, self.id, limit];
        for index in 0..OTHER_WORDS {
            let word = others.get(index).map_or("", String::as_str);
            push(&mut values, word);
            push(&mut values, &end_of(word));
        }
        values
    }
}

/// At most `most` hits.
async fn hits(unit: &mut Unit, kind: Kind, mut looking: Looking<'_>, most: usize) -> Result<Hits, PortError> {
    if begins_at_schools(unit, looking.viewer).await? {
        return from_schools(unit, kind, &looking, most).await;
    }
    let statement = match kind {
        Kind::Guardian => &GUARDIANS_BY_NAME,
        Kind::Child => &CHILDREN_BY_NAME,
    };
    // Each name is a hit, or few are.
    let is_dense =
        looking.viewer.scope == Scope::Organization && looking.words.first_and_others().1.is_empty();
    let look = if is_dense { most.saturating_add(most / 8) } else { LOOK.max(most) };
    let mut found = Hits { hits: Vec::new(), looked_up_to: None };
    let mut looked_at = 0;
    loop {
        let rows = unit.rows(statement, looking.values(look)).await?;
        for row in &rows {
            let hit = Hit { part: row.column("part")?, id: row.column("person_id")? };
            (looking.part, looking.id) = (hit.part.clone(), hit.id.clone());
            if row.flag("found")? {
                found.hits.push(hit);
                if found.hits.len() >= most {
                    found.looked_up_to = Some(Hit { part: looking.part, id: looking.id });
                    return Ok(found);
                }
            }
        }
        looked_at += rows.len();
        if rows.len() < look {
            return Ok(found);
        }
        if looked_at >= MOST_LOOKED_AT {
            found.looked_up_to = Some(Hit { part: looking.part, id: looking.id });
            return Ok(found);
        }
    }
}

async fn begins_at_schools(unit: &mut Unit, viewer: &Viewer) -> Result<bool, PortError> {
    if viewer.scope == Scope::Organization {
        return Ok(false);
    }
    let row = unit.row(&COUNT_CHILDREN, bind![viewer.staff, SMALL_SCHOOLS + 1]).await?;
    Ok(row.ok_or_else(|| corrupt("children"))?.column::<i64>("children")? <= SMALL_SCHOOLS)
}

async fn from_schools(
    unit: &mut Unit,
    kind: Kind,
    looking: &Looking<'_>,
    most: usize,
) -> Result<Hits, PortError> {
    let statement = match kind {
        Kind::Guardian => &GUARDIANS_OF_SCHOOLS,
        Kind::Child => &CHILDREN_OF_SCHOOLS,
    };
    let rows = unit.rows(statement, looking.values(most)).await?;
    let hits = rows
        .iter()
        .map(|row| Ok(Hit { part: row.column("part")?, id: row.column("person_id")? }))
        .collect::<Result<Vec<_>, PortError>>()?;
    let looked_up_to = (hits.len() >= most)
        .then(|| hits.last().map(|last| Hit { part: last.part.clone(), id: last.id.clone() }))
        .flatten();
    Ok(Hits { hits, looked_up_to })
}

/// A page of the hits, and where it goes on.
fn page(mut found: Hits, page_size: usize) -> (Vec<Hit>, Option<SearchPlace>) {
    let place = |hit: &Hit| SearchPlace { part: hit.part.clone(), child: String::new(), id: hit.id.clone() };
    if found.hits.len() > page_size {
        found.hits.truncate(page_size);
        let next = found.hits.last().map(place);
        return (found.hits, next);
    }
    let next = found.looked_up_to.as_ref().map(place);
    (found.hits, next)
}

fn guardian_ids(hits: &[Hit]) -> Result<Vec<GuardianId>, PortError> {
    hits.iter().map(|hit| GuardianId::parse(&hit.id).ok_or_else(|| corrupt("person_id"))).collect()
}

async fn by_name(
    unit: &mut Unit,
    viewer: &Viewer,
    words: &NameWords,
    after: &SearchPlace,
    page_size: usize,
) -> Result<Found<GuardianSummary>, PortError> {
    let looking = Looking::new(viewer, words, &after.part, &after.id);
    let found = hits(unit, Kind::Guardian, looking, page_size + 1).await?;
    let (hits, next) = page(found, page_size);
    let rows = guardians(unit, viewer, &guardian_ids(&hits)?).await?;
    Ok(Found { rows: rows.into_iter().map(|row| row.summary).collect(), next })
}

/// A guardian of several children of the name is shown once, with the first of them.
async fn by_child_name(
    unit: &mut Unit,
    viewer: &Viewer,
    words: &NameWords,
    after: &SearchPlace,
    page_size: usize,
) -> Result<Found<GuardianSummary>, PortError> {
    let looking = Looking::new(viewer, words, &after.part, &after.child);
    let mut found = hits(unit, Kind::Child, looking, page_size + 1).await?;
    if !after.child.is_empty() && after.id != BEHIND_ALL_IDS {
        // The page before ended among the guardians of this one.
        found.hits.insert(0, Hit { part: after.part.clone(), id: after.child.clone() });
    }
    let children = found
        .hits
        .iter()
        .map(|hit| ChildId::parse(&hit.id).ok_or_else(|| corrupt("person_id")))
        .collect::<Result<Vec<_>, _>>()?;
    let of_children = guardians_of_children(unit, &children).await?;
    let all: BTreeSet<GuardianId> = of_children.values().flatten().cloned().collect();
    let all: Vec<GuardianId> = all.into_iter().collect();
    let mut shown: HashMap<GuardianId, Shown> =
        guardians(unit, viewer, &all).await?.into_iter().map(|row| (row.summary.id.clone(), row)).collect();
    let mut rows = Vec::new();
    for hit in &found.hits {
        for id in of_children.get(&hit.id).into_iter().flatten() {
            let was_shown = hit.id == after.child && id.as_str() <= after.id.as_str();
            if was_shown || !shown.get(id).is_some_and(|row| row.is_first(words, &hit.part, &hit.id)) {
                continue;
            }
            rows.extend(shown.remove(id).map(|row| row.summary));
            if rows.len() == page_size {
                let id = rows.last().map(|row| row.id.as_str().to_owned()).unwrap_or_default();
                let next = SearchPlace { part: hit.part.clone(), child: hit.id.clone(), id };
                return Ok(Found { rows, next: Some(next) });
            }
        }
    }
    let next = found.looked_up_to.map(|last| SearchPlace {
        part: last.part,
        child: last.id,
        id: BEHIND_ALL_IDS.to_owned(),
    });
    Ok(Found { rows, next })
}

async fn by_child(
    unit: &mut Unit,
    viewer: &Viewer,
    child: &ChildId,
    after: &SearchPlace,
    page_size: usize,
) -> Result<Found<GuardianSummary>, PortError> {
    if act::school_of_child(unit, &viewer.organization, &viewer.staff, child).await?.is_none() {
        return Ok(Found { rows: Vec::new(), next: None });
    }
    let limit = i64::try_from(page_size + 1).unwrap_or(i64::MAX);
    let ids = ids_of(unit, &BY_CHILD, bind![child, after.id, limit]).await?;
    let is_full = ids.len() > page_size;
    let ids = &ids[..ids.len().min(page_size)];
    let next = ids
        .last()
        .filter(|_| is_full)
        .map(|last| SearchPlace { id: last.as_str().to_owned(), ..SearchPlace::default() });
    let rows = guardians(unit, viewer, ids).await?;
    Ok(Found { rows: rows.into_iter().map(|row| row.summary).collect(), next })
}

async fn ids_of(
    unit: &mut Unit,
    statement: &Statement,
    values: AnyArguments,
) -> Result<Vec<GuardianId>, PortError> {
    unit.rows(statement, values).await?.iter().map(|row| row.parsed("id", GuardianId::parse)).collect()
}

/// One by number, one or two by login name: always one page.
async fn exactly(
    unit: &mut Unit,
    viewer: &Viewer,
    mut ids: Vec<GuardianId>,
) -> Result<Found<GuardianSummary>, PortError> {
    ids.sort();
    ids.dedup();
    let rows = guardians(unit, viewer, &ids).await?;
    Ok(Found { rows: rows.into_iter().map(|row| row.summary).collect(), next: None })
}

async fn by_national_id(
    unit: &mut Unit,
    viewer: &Viewer,
    digests: &[[u8; 32]],
) -> Result<Found<GuardianSummary>, PortError> {
    let mut ids = Vec::new();
    // That of the active master key last: a number that moves to it while we ask is not missed.
    for digest in digests.iter().rev() {
        ids.extend(ids_of(unit, &BY_NATIONAL_ID, bind![digest, viewer.organization, viewer.staff]).await?);
    }
    exactly(unit, viewer, ids).await
}

async fn by_login_name(
    unit: &mut Unit,
    viewer: &Viewer,
    name: &LoginName,
) -> Result<Found<GuardianSummary>, PortError> {
    let ids = ids_of(unit, &BY_LOGIN_NAME, bind![name, viewer.organization, viewer.staff]).await?;
    exactly(unit, viewer, ids).await
}

#[async_trait]
impl GuardianSearchStore for SqlStore {
    async fn search_guardians(
        &self,
        viewer: &Viewer,
        query: &GuardianQuery,
        after: &SearchPlace,
        page_size: u16,
    ) -> Result<Found<GuardianSummary>, PortError> {
        let mut unit = self.read().await?;
        let page_size = usize::from(page_size);
        match query {
            GuardianQuery::Name(words) => by_name(&mut unit, viewer, words, after, page_size).await,
            GuardianQuery::NationalId(digests) => by_national_id(&mut unit, viewer, digests).await,
            GuardianQuery::LoginName(name) => by_login_name(&mut unit, viewer, name).await,
            GuardianQuery::ChildName(words) => {
                by_child_name(&mut unit, viewer, words, after, page_size).await
            }
            GuardianQuery::Child(child) => by_child(&mut unit, viewer, child, after, page_size).await,
        }
    }

    async fn search_children(
        &self,
        viewer: &Viewer,
        words: &NameWords,
        after: &SearchPlace,
        page_size: u16,
    ) -> Result<Found<ChildSummary>, PortError> {
        let mut unit = self.read().await?;
        let page_size = usize::from(page_size);
        let looking = Looking::new(viewer, words, &after.part, &after.id);
        let found = hits(&mut unit, Kind::Child, looking, page_size + 1).await?;
        let (hits, next) = page(found, page_size);
        let ids = hits
            .iter()
            .map(|hit| ChildId::parse(&hit.id).ok_or_else(|| corrupt("person_id")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Found { rows: children(&mut unit, &ids).await?, next })
    }

    async fn fold_names(&self) -> Result<u64, PortError> {
        name_parts::fold_some(self).await
    }
}
