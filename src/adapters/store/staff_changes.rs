//! Changes of what a staff member may do, and for which schools.

use crate::domain::id::{GuardianId, SchoolId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::staff::{Role, Scope};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Act, StaffChange, StaffChangeOutcome, StaffRightsChange};

use super::bind::{bind, push};
use super::bulk::Insert;
use super::dialect::PerDialect;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{TAKE_LOCK, act, bearing};

macro_rules! hold_text {
    ($lock:literal) => {
        concat!(
            "SELECT m.id FROM staff_member m WHERE m.id = $1 AND m.organization = $2 AND m.state = 'active' ",
            $lock
        )
    };
}

/// PostgreSQL: until the end of the transaction nobody deactivates the member. SQLite: the transaction excludes other
/// writers.
const HOLD_ACTIVE: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_active_staff", hold_text!("")),
    postgres: Statement::new("hold_active_staff", hold_text!("FOR SHARE")),
};

const FIND: Statement = Statement::new(
    "find_staff_to_change",
    "SELECT m.id, m.role, m.scope, m.state, \
         (SELECT string_agg(s.school_id, ' ') FROM staff_school s WHERE s.staff_id = m.id) AS schools \
     FROM staff_member m WHERE m.id = $1 AND m.organization = $2 AND m.revision = $3",
);

const CHANGE_ROLE: Statement = Statement::new(
    "change_staff_role",
    "UPDATE staff_member SET role = $3, scope = $4, revision = revision + 1 WHERE id = $1 AND revision = $2",
);

const CHANGE_STATE: Statement = Statement::new(
    "change_staff_state",
    "UPDATE staff_member SET state = $3, deactivated_ms = $4, revision = revision + 1 \
     WHERE id = $1 AND revision = $2",
);

const OTHER_ADMINISTRATOR: Statement = Statement::new(
    "find_other_administrator",
    "SELECT id FROM staff_member \
     WHERE organization = $1 AND id <> $2 AND role = 'organization_administrator' AND state = 'active' LIMIT 1",
);

const DROP_SCHOOLS: Statement =
    Statement::new("drop_staff_schools", "DELETE FROM staff_school WHERE staff_id = $1");

const ADD_SCHOOLS: Insert = Insert {
    name: "add_staff_schools",
    head: "INSERT INTO staff_school (staff_id, school_id)",
    columns: 2,
    tail: "",
};

const FIND_SCHOOL: Statement =
    Statement::new("find_school", "SELECT id FROM school WHERE id = $1 AND organization = $2");

const COUNT_SUPPORT_PERSONS: Statement = Statement::new(
    "count_support_persons",
    "SELECT count(*) AS members FROM staff_school s JOIN staff_member m ON m.id = s.staff_id \
     WHERE s.school_id = $1 AND s.staff_id <> $2 AND m.role = 'support_person' AND m.state = 'active'",
);

/// Whether a member could be placed at the schools.
pub(super) enum Placed {
    Yes,
    NoSchool(SchoolId),
    LimitReached(SchoolId),
}

/// Changes of staff of an organization take turns: the last administrator and the number of support persons are counted
/// over many rows, and two that change each other must not wait for each other. Taken before anything else.
pub(super) async fn lock_staff(
    unit: &mut Unit,
    organization: &OrganizationId,
    at: Timestamp,
) -> Result<(), PortError> {
    let name = format!("staff {}", organization.as_str());
    unit.execute(&TAKE_LOCK, bind![name, at]).await.map(|_| ())
}

/// Keeps an active member of the organization from being deactivated; false if there is none.
pub(super) async fn hold_active(
    unit: &mut Unit,
    organization: &OrganizationId,
    staff: &GuardianId,
) -> Result<bool, PortError> {
    Ok(unit.row(&HOLD_ACTIVE.of(unit.dialect()), bind![staff, organization]).await?.is_some())
}

/// The stored name of a scope.
pub(super) const fn scope_name(scope: &Scope) -> &'static str {
    match scope {
        Scope::Organization => "organization",
        Scope::Schools(_) => "schools",
    }
}

/// Active support persons of a school besides one.
pub(super) async fn support_persons(
    unit: &mut Unit,
    school: &SchoolId,
    besides: &str,
) -> Result<i64, PortError> {
    let row = unit.row(&COUNT_SUPPORT_PERSONS, bind![school, besides]).await?;
    row.map_or(Ok(0), |row| row.column("members"))
}

/// Gives a member schools, if they are the organization's and have room.
pub(super) async fn place(
    unit: &mut Unit,
    organization: &OrganizationId,
    staff: &GuardianId,
    (role, scope): (Role, &Scope),
    most_support_persons: u32,
) -> Result<Placed, PortError> {
    for school in scope.schools() {
        if unit.row(&FIND_SCHOOL, bind![school, organization]).await?.is_none() {
            return Ok(Placed::NoSchool(school.clone()));
        }
        if role == Role::SupportPerson {
            let others = support_persons(unit, school, staff.as_str()).await?;
            if others >= i64::from(most_support_persons) {
                return Ok(Placed::LimitReached(school.clone()));
            }
        }
    }
    unit.execute(&DROP_SCHOOLS, bind![staff]).await?;
    ADD_SCHOOLS
        .run(unit, scope.schools(), |school, arguments| {
            push(arguments, staff);
            push(arguments, school);
        })
        .await?;
    Ok(Placed::Yes)
}

/// Changes a member's rights. The staff of the organization is locked.
pub(super) async fn change(
    unit: &mut Unit,
    act: &Act,
    change: &StaffChange,
) -> Result<StaffChangeOutcome, PortError> {
    let StaffChange { staff, revision, to, most_support_persons } = change;
    let Some(row) = unit.row(&FIND, bind![staff, act.organization, revision]).await? else {
        return Ok(StaffChangeOutcome::ChangedMeanwhile);
    };
    let role = row.parsed("role", Role::parse)?;
    let is_active = row.column::<&str>("state")? == "active";
    let steps_down = match to {
        StaffRightsChange::Role(to, _) => *to != Role::OrganizationAdministrator,
        StaffRightsChange::Deactivated => true,
        StaffRightsChange::Reactivated => false,
    };
    if role == Role::OrganizationAdministrator && is_active && steps_down {
        let other = unit.row(&OTHER_ADMINISTRATOR, bind![act.organization, staff]).await?;
        if other.is_none() {
            return Ok(StaffChangeOutcome::LastAdministrator);
        }
    }
    let placed = match to {
        StaffRightsChange::Role(role, scope) => {
            let values = bind![staff, revision, role.as_str(), scope_name(scope)];
            unit.execute(&CHANGE_ROLE, values).await?;
            let most = if is_active { *most_support_persons } else { u32::MAX };
            place(unit, &act.organization, staff, (*role, scope), most).await?
        }
        StaffRightsChange::Deactivated => {
            unit.execute(&CHANGE_STATE, bind![staff, revision, "deactivated", Some(act.at)]).await?;
            // The account before the password: whoever chooses one just now is done with it, or finds another epoch.
            let ended = bearing::bump(unit, staff, act.at).await?;
            bearing::revoke(unit, staff, Portal::Staff, act.at).await?;
            return Ok(StaffChangeOutcome::Changed(ended));
        }
        StaffRightsChange::Reactivated => {
            unit.execute(&CHANGE_STATE, bind![staff, revision, "active", None::<Timestamp>]).await?;
            let scope = act::scope(&row)?;
            place(unit, &act.organization, staff, (role, &scope), *most_support_persons).await?
        }
    };
    match placed {
        Placed::Yes => Ok(StaffChangeOutcome::Changed(bearing::bump(unit, staff, act.at).await?)),
        Placed::NoSchool(school) => Ok(StaffChangeOutcome::NoSchool(school)),
        Placed::LimitReached(school) => Ok(StaffChangeOutcome::LimitReached(school)),
    }
}
