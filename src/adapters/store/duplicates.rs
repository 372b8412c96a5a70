//! Finds accounts that are there twice: each is looked at on its own, through indexes, never all against all.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::duplicate::name_key;
use crate::domain::id::{ChildId, GuardianId};
use crate::domain::login_password::AccountState;
use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;
use crate::ports::store::{
    ChildLookAlikes, DuplicateStore, LookAlike, LookAlikes, SealedNumber, SummarizedGuardian, Walked,
};

use super::bind::bind;
use super::bulk::Listing;
use super::row::{Columns, account_state};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, duplicate_children};

/// Accounts that share a part of a name, an address or a telephone with another one and are compared with it. Where more
/// share something, it tells nobody apart, and other signs must do.
const MOST_CANDIDATES: i64 = 500;

/// The same where the others of one account are asked for.
const MOST_CANDIDATES_OF_ONE: i64 = 5000;

/// Given names of children in a summary (`GuardianSummary.children`).
const MOST_CHILDREN: i64 = 10;

/// Sorts before all ids.
pub(super) const BEFORE_ALL_IDS: &str = "";

pub(super) const WHOLE_SCOPE: Statement = Statement::new(
    "check_scope_of_staff",
    "SELECT id FROM staff_member WHERE id = $1 AND scope = 'organization'",
);

const WALK_ORGANIZATION: Statement = Statement::new(
    "walk_guardians_of_organization",
    "SELECT id FROM guardian WHERE organization = $1 AND id > $2 AND kind = 'guardian' \
       AND merged_into IS NULL AND state IN ('active', 'locked') ORDER BY id LIMIT $3",
);

/// From the schools: they have few guardians, wherever their ids are.
const WALK_SCHOOLS: Statement = Statement::new(
    "walk_guardians_of_schools",
    "SELECT DISTINCT k.guardian_id AS id FROM staff_school s JOIN child c ON c.school_id = s.school_id \
     JOIN child_link k ON k.child_id = c.id WHERE s.staff_id = $1 AND k.guardian_id > $2 \
     ORDER BY k.guardian_id LIMIT $3",
);

const PEOPLE: Listing = Listing {
    name: "load_look_alikes",
    select: "SELECT t.id, t.organization, t.kind, t.given_name, t.family_name, t.state, t.email_canonical, \
             t.mobile_canonical",
    from: "guardian t WHERE t.id = wanted.column1",
};

const BY_NAME_PART: Statement = Statement::new(
    "find_look_alikes_by_name_part",
    "SELECT person_id AS id FROM name_part WHERE organization = $1 AND kind = 'guardian' AND part = $2 \
       AND person_id > $3 ORDER BY person_id LIMIT $4",
);

const BY_CHILD: Statement = Statement::new(
    "find_look_alikes_by_child",
    "SELECT o.guardian_id AS id FROM child_link k JOIN child_link o ON o.child_id = k.child_id \
     WHERE k.guardian_id = $1 AND o.guardian_id > $2 LIMIT $3",
);

const BY_EMAIL: Statement = Statement::new(
    "find_look_alikes_by_email",
    "SELECT id FROM guardian WHERE organization = $1 AND email_canonical = $2 AND id > $3 LIMIT $4",
);

const BY_MOBILE: Statement = Statement::new(
    "find_look_alikes_by_mobile",
    "SELECT id FROM guardian WHERE organization = $1 AND mobile_canonical = $2 AND id > $3 LIMIT $4",
);

const COMMON_CHILD: Statement = Statement::new(
    "check_common_child",
    "SELECT o.child_id FROM child_link k JOIN child_link o ON o.guardian_id = $2 AND o.child_id = k.child_id \
     WHERE k.guardian_id = $1 LIMIT 1",
);

const CHILDREN: Statement = Statement::new(
    "list_given_names_of_children",
    concat!(
        "SELECT DISTINCT c.given_name FROM child_link k JOIN child c ON c.id = k.child_id \
         WHERE k.guardian_id = $1 AND ",
        act::child_in_scope!(),
        " ORDER BY c.given_name LIMIT $4"
    ),
);

const NUMBERS: Statement = Statement::new(
    "list_numbers_of_look_alike",
    "SELECT sealed, key_id FROM guardian_identifier WHERE guardian_id = $1 AND retired_ms IS NULL",
);

/// What is compared of an account.
struct Person {
    summary: SummarizedGuardian,
    name: Vec<String>,
    email: Option<String>,
    mobile: Option<String>,
}

/// The account of a row, if it is a guardian's in use.
fn person(row: &AnyRow, organization: &OrganizationId) -> Result<Option<Person>, PortError> {
    let state = row.parsed("state", account_state)?;
    let in_use = matches!(state, AccountState::Active | AccountState::Locked);
    let is_guardian = row.column::<&str>("kind")? == "guardian";
    if !in_use || !is_guardian || row.column::<&str>("organization")? != organization.as_str() {
        return Ok(None);
    }
    let given_name: String = row.column("given_name")?;
    let family_name: String = row.column("family_name")?;
    Ok(Some(Person {
        name: name_key(&given_name, &family_name),
        email: row.column("email_canonical")?,
        mobile: row.column("mobile_canonical")?,
        summary: SummarizedGuardian {
            id: row.parsed("id", GuardianId::parse)?,
            given_name,
            family_name,
            state,
            children: Vec::new(),
        },
    }))
}

/// Where a walk goes on that met as many as it may.
pub(super) fn last_of_full<I>(mut ids: Vec<I>, limit: u32) -> Option<I> {
    if usize::try_from(limit).is_ok_and(|limit| ids.len() >= limit) { ids.pop() } else { None }
}

/// Who looks.
struct Looking<'a> {
    organization: &'a OrganizationId,
    staff: &'a GuardianId,
    most: i64,
}

impl Looking<'_> {
    async fn people(&self, unit: &mut Unit, ids: &[GuardianId]) -> Result<Vec<Person>, PortError> {
        let mut people = Vec::with_capacity(ids.len());
        for row in PEOPLE.rows(unit, ids).await? {
            people.extend(person(&row, self.organization)?);
        }
        people.sort_by(|one, other| one.summary.id.cmp(&other.summary.id));
        Ok(people)
    }

    /// The accounts behind `after` that share something with the account.
    async fn candidates(
        &self,
        unit: &mut Unit,
        person: &Person,
        after: &str,
    ) -> Result<BTreeSet<GuardianId>, PortError> {
        let id = &person.summary.id;
        let mut rows = unit.rows(&BY_CHILD, bind![id, after, self.most]).await?;
        if let Some(email) = &person.email {
            let values = bind![self.organization, email.as_str(), after, self.most];
            rows.append(&mut unit.rows(&BY_EMAIL, values).await?);
        }
        if let Some(mobile) = &person.mobile {
            let values = bind![self.organization, mobile.as_str(), after, self.most];
            rows.append(&mut unit.rows(&BY_MOBILE, values).await?);
        }
        // Who has the whole name has each part of it: one part that few have is enough. Long ones are rare.
        let mut parts: Vec<&String> = person.name.iter().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        for part in parts {
            let values = bind![self.organization, part.as_str(), after, self.most + 1];
            let mut found = unit.rows(&BY_NAME_PART, values).await?;
            if i64::try_from(found.len()).is_ok_and(|count| count <= self.most) {
                rows.append(&mut found);
                break;
            }
        }
        let mut ids = BTreeSet::new();
        for row in &rows {
            ids.insert(row.parsed("id", GuardianId::parse)?);
        }
        ids.remove(id);
        Ok(ids)
    }

    async fn look_alikes(
        &self,
        unit: &mut Unit,
        mut one: Person,
        after: &str,
    ) -> Result<LookAlikes, PortError> {
        let candidates = self.candidates(unit, &one, after).await?.into_iter().collect::<Vec<_>>();
        let mut others = Vec::new();
        for other in self.people(unit, &candidates).await? {
            let found = self.compare(unit, &one, other).await?;
            others.extend(found);
        }
        if !others.is_empty() {
            one.summary.children = self.children(unit, &one.summary.id).await?;
        }
        Ok(LookAlikes { one: one.summary, others })
    }

    /// What both have in common, if it may be enough and the other one is in scope.
    async fn compare(
        &self,
        unit: &mut Unit,
        one: &Person,
        other: Person,
    ) -> Result<Option<LookAlike>, PortError> {
        let same_name = !one.name.is_empty() && one.name == other.name;
        let same_email = one.email.is_some() && one.email == other.email;
        let same_mobile = one.mobile.is_some() && one.mobile == other.mobile;
        if !(same_name || same_email && same_mobile) {
            return Ok(None);
        }
        let (one, mut other) = (&one.summary.id, other.summary);
        if !act::sees_guardian(unit, self.organization, self.staff, &other.id).await? {
            return Ok(None);
        }
        let common_child = unit.row(&COMMON_CHILD, bind![one, other.id]).await?.is_some();
        let mut numbers = Vec::new();
        if same_name {
            for guardian in [one, &other.id] {
                for row in unit.rows(&NUMBERS, bind![guardian]).await? {
                    let sealed = row.sealed("sealed", "key_id")?;
                    numbers.push(SealedNumber { guardian: guardian.clone(), sealed });
                }
            }
        }
        other.children = self.children(unit, &other.id).await?;
        Ok(Some(LookAlike { other, same_name, same_email, same_mobile, common_child, numbers }))
    }

    async fn children(&self, unit: &mut Unit, guardian: &GuardianId) -> Result<Vec<String>, PortError> {
        let values = bind![guardian, self.organization, self.staff, MOST_CHILDREN];
        unit.rows(&CHILDREN, values).await?.iter().map(|row| row.column("given_name")).collect()
    }
}

#[async_trait]
impl DuplicateStore for SqlStore {
    async fn look_alikes(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
        after: Option<&GuardianId>,
        limit: u32,
    ) -> Result<Walked<LookAlikes, GuardianId>, PortError> {
        let mut unit = self.read().await?;
        let after = after.map_or(BEFORE_ALL_IDS, GuardianId::as_str);
        let rows = if unit.row(&WHOLE_SCOPE, bind![staff]).await?.is_some() {
            unit.rows(&WALK_ORGANIZATION, bind![organization, after, i64::from(limit)]).await?
        } else {
            unit.rows(&WALK_SCHOOLS, bind![staff, after, i64::from(limit)]).await?
        };
        let ids: Vec<GuardianId> =
            rows.iter().map(|row| row.parsed("id", GuardianId::parse)).collect::<Result<_, _>>()?;
        let looking = Looking { organization, staff, most: MOST_CANDIDATES };
        let mut found = Vec::with_capacity(ids.len());
        for one in looking.people(&mut unit, &ids).await? {
            // Each pair once: with the account that comes first.
            let after = one.summary.id.as_str().to_owned();
            found.push(looking.look_alikes(&mut unit, one, &after).await?);
        }
        Ok(Walked { found, go_on_after: last_of_full(ids, limit) })
    }

    async fn look_alikes_of(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
        guardian: &GuardianId,
    ) -> Result<Option<LookAlikes>, PortError> {
        let mut unit = self.read().await?;
        if !act::sees_guardian(&mut unit, organization, staff, guardian).await? {
            return Ok(None);
        }
        let looking = Looking { organization, staff, most: MOST_CANDIDATES_OF_ONE };
        match looking.people(&mut unit, std::slice::from_ref(guardian)).await?.pop() {
            Some(one) => looking.look_alikes(&mut unit, one, BEFORE_ALL_IDS).await.map(Some),
            None => Ok(None),
        }
    }

    async fn child_look_alikes(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
        after: Option<&ChildId>,
        limit: u32,
    ) -> Result<Walked<ChildLookAlikes, ChildId>, PortError> {
        duplicate_children::look_alikes(self, organization, staff, after, limit).await
    }
}
