//! Looking for guardians and children: by parts of names over their index, or from the schools of the staff member.

mod hits;
mod statements;
mod summaries;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::any::AnyArguments;

use crate::domain::id::{ChildId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::name_search::NameWords;
use crate::ports::error::PortError;
use crate::ports::store::{
    ChildSummary, Found, GuardianQuery, GuardianSearchStore, GuardianSummary, SearchPlace, Viewer,
};

use super::bind::bind;
use super::name_parts::{self, Kind};
use super::row::{Columns, corrupt};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act};
use hits::{Hit, Hits, Looking, hits};
use statements::{BY_CHILD, BY_LOGIN_NAME, BY_NATIONAL_ID};
use summaries::{Shown, children, guardians, guardians_of_children};

/// Sorts behind every id.
const BEHIND_ALL_IDS: &str = "~";

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
    let looking = Looking::new(viewer, Kind::Guardian, words, &after.part, &after.id);
    let found = hits(unit, looking, page_size + 1).await?;
    let (hits, next) = page(found, page_size);
    let rows = guardians(unit, viewer, &guardian_ids(&hits)?).await?;
    let rows = rows.into_iter().map(|row| row.summary);
    let rows = shown_first(&hits, words, rows, |row| (row.id.as_str(), &row.given_name, &row.family_name));
    Ok(Found { rows, next })
}

/// The people without those who were on a page before, by an earlier hit.
fn shown_first<T>(
    hits: &[Hit],
    words: &NameWords,
    people: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> (&str, &str, &str),
) -> Vec<T> {
    let mut first: HashMap<&str, &Hit> = HashMap::new();
    for hit in hits {
        first.entry(&hit.id).or_insert(hit);
    }
    let is_first = |person: &T| {
        let (id, given_name, family_name) = name(person);
        first.get(id).is_some_and(|hit| hit.is_first(words, given_name, family_name))
    };
    people.into_iter().filter(|person| is_first(person)).collect()
}

/// A guardian of several children of the name is shown once, with the first of them.
async fn by_child_name(
    unit: &mut Unit,
    viewer: &Viewer,
    words: &NameWords,
    after: &SearchPlace,
    page_size: usize,
) -> Result<Found<GuardianSummary>, PortError> {
    let looking = Looking::new(viewer, Kind::Child, words, &after.part, &after.child);
    let mut found = hits(unit, looking, page_size + 1).await?;
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
        let looking = Looking::new(viewer, Kind::Child, words, &after.part, &after.id);
        let found = hits(&mut unit, looking, page_size + 1).await?;
        let (hits, next) = page(found, page_size);
        let ids = hits
            .iter()
            .map(|hit| ChildId::parse(&hit.id).ok_or_else(|| corrupt("person_id")))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = children(&mut unit, &ids).await?;
        let rows =
            shown_first(&hits, words, rows, |row| (row.id.as_str(), &row.given_name, &row.family_name));
        Ok(Found { rows, next })
    }

    async fn fold_names(&self) -> Result<u64, PortError> {
        name_parts::fold_some(self).await
    }
}
