//! Finds children that are there twice: through the guardians that they have in common.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;

use crate::domain::duplicate::name_key;
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;
use crate::ports::store::{ChildLookAlikes, SummarizedChild, Walked};

use super::bind::bind;
use super::bulk::Listing;
use super::duplicates::{BEFORE_ALL_IDS, WHOLE_SCOPE, last_of_full};
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act};

/// Other children of the guardians of one: a household has few.
const MOST_SIBLINGS: i64 = 500;

/// Every child has a version of folding: the words are those of the index, see the migration.
const WALK_ORGANIZATION: Statement = Statement::new(
    "walk_children_of_organization",
    "SELECT id FROM child WHERE organization = $1 AND id > $2 AND merged_into IS NULL AND names_folded >= 0 \
     ORDER BY id LIMIT $3",
);

const WALK_SCHOOLS: Statement = Statement::new(
    "walk_children_of_schools",
    "SELECT c.id FROM staff_school s JOIN child c ON c.school_id = s.school_id \
     WHERE s.staff_id = $1 AND c.id > $2 AND c.merged_into IS NULL ORDER BY c.id LIMIT $3",
);

const CHILDREN: Listing = Listing {
    name: "load_children_with_schools",
    select: "SELECT t.id, t.given_name, t.family_name, t.school_id, t.merged_into, \
             (SELECT s.name FROM school s WHERE s.id = t.school_id) AS school_name",
    from: "child t WHERE t.id = wanted.column1",
};

const SIBLINGS: Statement = Statement::new(
    "find_children_with_common_guardian",
    "SELECT o.child_id AS id, o.guardian_id FROM child_link k JOIN child_link o ON o.guardian_id = k.guardian_id \
     WHERE k.child_id = $1 AND o.child_id > $2 LIMIT $3",
);

fn child(row: &AnyRow) -> Result<SummarizedChild, PortError> {
    Ok(SummarizedChild {
        id: row.parsed("id", ChildId::parse)?,
        given_name: row.column("given_name")?,
        family_name: row.column("family_name")?,
        school: row.parsed("school_id", SchoolId::parse)?,
        school_name: row.column("school_name")?,
    })
}

async fn children(unit: &mut Unit, ids: &[ChildId]) -> Result<Vec<SummarizedChild>, PortError> {
    let mut found = Vec::with_capacity(ids.len());
    for row in CHILDREN.rows(unit, ids).await? {
        if row.column::<Option<&str>>("merged_into")?.is_none() {
            found.push(child(&row)?);
        }
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

pub(super) async fn look_alikes(
    store: &SqlStore,
    organization: &OrganizationId,
    staff: &GuardianId,
    after: Option<&ChildId>,
    limit: u32,
) -> Result<Walked<ChildLookAlikes, ChildId>, PortError> {
    let mut unit = store.read().await?;
    let after = after.map_or(BEFORE_ALL_IDS, ChildId::as_str);
    let rows = if unit.row(&WHOLE_SCOPE, bind![staff]).await?.is_some() {
        unit.rows(&WALK_ORGANIZATION, bind![organization, after, i64::from(limit)]).await?
    } else {
        unit.rows(&WALK_SCHOOLS, bind![staff, after, i64::from(limit)]).await?
    };
    let ids: Vec<ChildId> =
        rows.iter().map(|row| row.parsed("id", ChildId::parse)).collect::<Result<_, _>>()?;
    let mut found = Vec::with_capacity(ids.len());
    for one in children(&mut unit, &ids).await? {
        let others = others(&mut unit, organization, staff, &one).await?;
        found.push(ChildLookAlikes { one, others });
    }
    Ok(Walked { found, go_on_after: last_of_full(ids, limit) })
}

async fn others(
    unit: &mut Unit,
    organization: &OrganizationId,
    staff: &GuardianId,
    one: &SummarizedChild,
) -> Result<Vec<(SummarizedChild, u32)>, PortError> {
    let mut guardians: BTreeMap<ChildId, Vec<String>> = BTreeMap::new();
    for row in unit.rows(&SIBLINGS, bind![one.id, one.id, MOST_SIBLINGS]).await? {
        // Links to one child come from several sources.
        let common = guardians.entry(row.parsed("id", ChildId::parse)?).or_default();
        let guardian = row.column("guardian_id")?;
        if !common.contains(&guardian) {
            common.push(guardian);
        }
    }
    let ids: Vec<ChildId> = guardians.keys().cloned().collect();
    let name = name_key(&one.given_name, &one.family_name);
    let mut others = Vec::new();
    for other in children(unit, &ids).await? {
        let same_name = !name.is_empty() && name_key(&other.given_name, &other.family_name) == name;
        if same_name && act::school_of_child(unit, organization, staff, &other.id).await?.is_some() {
            let common = guardians.get(&other.id).map_or(0, Vec::len);
            others.push((other, u32::try_from(common).unwrap_or(u32::MAX)));
        }
    }
    Ok(others)
}
