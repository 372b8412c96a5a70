//! Decides what a batch changes: rows in order, each against what is known and what the rows before it have changed.

use std::collections::HashSet;

use crate::domain::directory::{Finding, ImportedPassword, LoginNameKind, RowOutcome, SourceKey};
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::identifier::LoginName;
use crate::domain::organization::Portal;
use crate::ports::error::PortError;
use crate::ports::store::{PreparedChild, PreparedGuardian, PreparedRow, PreparedSchool, SealedNationalId};

use super::known::{Known, KnownChild, KnownSchool};
use super::plan_guardian;
use crate::adapters::store::name_parts::Named;

/// The changes of a batch, in the order in which they can be written.
#[derive(Default)]
pub(super) struct Plan<'r> {
    pub schools: Vec<&'r PreparedSchool>,
    pub children: Vec<(&'r PreparedChild, SchoolId)>,
    pub guardians: Vec<&'r PreparedGuardian>,
    pub released_logins: Vec<(&'r GuardianId, Portal, LoginName)>,
    pub taken_logins: Vec<TakenLogin<'r>>,
    /// People whose names are written; of new ones there are no parts to drop.
    pub names: Vec<Named<'r>>,
    pub retired_identifiers: Vec<&'r GuardianId>,
    /// Numbers of staff that the source delivers now too: they are its own from here on.
    pub adopted_identifiers: Vec<(&'r GuardianId, [u8; 32])>,
    pub added_identifiers: Vec<(&'r GuardianId, &'r SealedNationalId)>,
    pub dropped_links: Vec<(&'r GuardianId, ChildId)>,
    /// With whether the source confirmed it.
    pub links: Vec<(&'r GuardianId, ChildId, bool)>,
    pub dropped_contracts: Vec<&'r GuardianId>,
    pub contracts: Vec<(&'r GuardianId, bool)>,
    pub removed_credentials: Vec<(&'r GuardianId, Portal)>,
    pub passwords: Vec<(&'r GuardianId, &'r ImportedPassword, [u8; 32])>,
    /// Their epoch is bumped and their sessions end.
    pub changed_accounts: Vec<&'r GuardianId>,
}

pub(super) struct TakenLogin<'r> {
    pub guardian: &'r GuardianId,
    pub portal: Portal,
    pub name: &'r LoginName,
    pub kind: LoginNameKind,
    pub is_spare: bool,
}

/// What a row did, before its findings are added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Created,
    Updated,
    Unchanged,
}

impl Change {
    pub(super) fn with(self, findings: Vec<Finding>) -> RowOutcome {
        match self {
            Self::Created => RowOutcome::Created(findings),
            Self::Updated => RowOutcome::Updated(findings),
            Self::Unchanged => RowOutcome::Unchanged(findings),
        }
    }
}

pub(super) fn finding(field: &'static str, code: &'static str, message: &str) -> Finding {
    Finding { field, code, message: message.to_owned() }
}

/// A key that we did not know when the ids were given out is known by now, under another id.
pub(super) fn known_meanwhile() -> PortError {
    PortError::Conflict("a row of the batch became known meanwhile".to_owned())
}

#[derive(PartialEq, Eq, Hash)]
enum Kind {
    School,
    Child,
    Guardian,
}

pub(super) fn plan(mut known: Known, rows: &[PreparedRow]) -> Result<(Plan<'_>, Vec<RowOutcome>), PortError> {
    let mut plan = Plan::default();
    let mut seen: HashSet<(Kind, &SourceKey)> = HashSet::new();
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let key = match row {
            PreparedRow::School(school) => (Kind::School, &school.record.key),
            PreparedRow::Child(child) => (Kind::Child, &child.record.key),
            PreparedRow::Guardian(guardian) => (Kind::Guardian, &guardian.record.key),
        };
        if !seen.insert(key) {
            let message = "The key stands on an earlier row too. Remove one of them.";
            outcomes.push(RowOutcome::Rejected(vec![finding("key", "repeated_key", message)]));
            continue;
        }
        outcomes.push(match row {
            PreparedRow::School(school) => plan_school(&mut plan, &mut known, school)?,
            PreparedRow::Child(child) => plan_child(&mut plan, &mut known, child)?,
            PreparedRow::Guardian(guardian) => plan_guardian::plan(&mut plan, &mut known, guardian)?,
        });
    }
    Ok((plan, outcomes))
}

fn plan_school<'r>(
    plan: &mut Plan<'r>,
    known: &mut Known,
    school: &'r PreparedSchool,
) -> Result<RowOutcome, PortError> {
    let before = known.schools.get(&school.record.key);
    if before.is_some_and(|before| before.id != school.id) {
        return Err(known_meanwhile());
    }
    let change = match before {
        None => Change::Created,
        Some(before) if before.name == school.record.name => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    if change != Change::Unchanged {
        plan.schools.push(school);
        let now = KnownSchool { id: school.id.clone(), name: school.record.name.clone() };
        known.schools.insert(school.record.key.clone(), now);
    }
    Ok(change.with(Vec::new()))
}

fn plan_child<'r>(
    plan: &mut Plan<'r>,
    known: &mut Known,
    child: &'r PreparedChild,
) -> Result<RowOutcome, PortError> {
    let record = &child.record;
    let before = known.children.get(&record.key);
    if before.is_some_and(|before| before.id != child.id) {
        return Err(known_meanwhile());
    }
    if before.is_some_and(|before| before.merged_into.is_some()) {
        let message =
            "Staff merged this child into another one. The row changes nothing; relations to it lead there.";
        return Ok(Change::Unchanged.with(vec![finding("key", "child_merged", message)]));
    }
    let Some(school) = known.schools.get(&record.school) else {
        let message = "No school has this key. Deliver the school first.";
        return Ok(RowOutcome::Rejected(vec![finding("school", "unknown_school", message)]));
    };
    let change = match before {
        None => Change::Created,
        Some(before)
            if before.given_name == record.given_name
                && before.family_name == record.family_name
                && before.school == school.id =>
        {
            Change::Unchanged
        }
        Some(_) => Change::Updated,
    };
    if change != Change::Unchanged {
        plan.children.push((child, school.id.clone()));
        let mut named = Named::child(&child.id, &record.given_name, &record.family_name);
        named.renamed = change == Change::Updated;
        plan.names.push(named);
        let now = KnownChild {
            id: child.id.clone(),
            given_name: record.given_name.clone(),
            family_name: record.family_name.clone(),
            school: school.id.clone(),
            merged_into: None,
        };
        known.children.insert(record.key.clone(), now);
    }
    Ok(change.with(Vec::new()))
}
