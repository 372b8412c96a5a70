//! What every change by staff begins and ends with, in its own transaction: rights, repeated requests, scope, audit.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::login_password::AccountState;
use crate::domain::organization::OrganizationId;
use crate::domain::staff::{Role, Scope};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, DutyStore, StaffRights};

use super::bind::bind;
use super::dialect::PerDialect;
use super::row::{Columns, account_state, corrupt};
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit};

/// The schools come in the same statement, parted by a space, which no id holds.
const RIGHTS: Statement = Statement::new(
    "find_staff_rights",
    "SELECT m.organization, m.role, m.scope, m.revision, \
         (SELECT string_agg(s.school_id, ' ') FROM staff_school s WHERE s.staff_id = m.id) AS schools \
     FROM staff_member m JOIN guardian g ON g.id = m.id \
     WHERE m.id = $1 AND m.state = 'active' AND g.state = 'active'",
);

macro_rules! hold_duty_text {
    ($lock:literal) => {
        concat!("SELECT id FROM staff_member WHERE id = $1 AND revision = $2 AND state = 'active' ", $lock)
    };
}

/// PostgreSQL: who changes the rights waits for us, or we for him and then find other ones. SQLite: the transaction
/// excludes other writers.
const HOLD_DUTY: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_staff_rights", hold_duty_text!("")),
    postgres: Statement::new("hold_staff_rights", hold_duty_text!("FOR SHARE")),
};

const ADD_REQUEST: Statement = Statement::new(
    "add_staff_request",
    "INSERT INTO staff_request (staff_id, request_id, digest, result_id, at_ms) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (staff_id, request_id) DO NOTHING",
);

const FIND_REQUEST: Statement = Statement::new(
    "find_staff_request",
    "SELECT digest, result_id FROM staff_request WHERE staff_id = $1 AND request_id = $2",
);

const SWEEP_REQUESTS: Statement = Statement::new(
    "sweep_staff_requests",
    "DELETE FROM staff_request WHERE (staff_id, request_id) IN \
     (SELECT staff_id, request_id FROM staff_request WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
);

/// `$2` is the organization, `$3` the staff member: the guardians of the organization, or of the member's schools. A
/// link counts for the scope whoever delivered it, confirmed or not.
///
/// A plan that PostgreSQL makes while the tables are empty is kept: `|| ''` keeps it from reading the organization's rows by
/// index instead of the one that is asked for, and `OFFSET 0` from hashing everybody in scope.
macro_rules! guardian_in_scope {
    () => {
        "g.organization || '' = $2 AND g.kind = 'guardian' AND \
         (EXISTS (SELECT 1 FROM staff_member m WHERE m.id = $3 AND m.scope = 'organization') OR \
          EXISTS (SELECT 1 FROM child_link k JOIN child c ON c.id = k.child_id \
                  JOIN staff_school s ON s.school_id = c.school_id AND s.staff_id = $3 \
                  WHERE k.guardian_id = g.id LIMIT 1 OFFSET 0))"
    };
}
pub(super) use guardian_in_scope;

/// The same for a child `c`.
macro_rules! child_in_scope {
    () => {
        "c.organization || '' = $2 AND \
         (EXISTS (SELECT 1 FROM staff_member m WHERE m.id = $3 AND m.scope = 'organization') OR \
          EXISTS (SELECT 1 FROM staff_school s WHERE s.school_id = c.school_id AND s.staff_id = $3 LIMIT 1 OFFSET 0))"
    };
}
pub(super) use child_in_scope;

const GUARDIAN_TEXT: &str =
    concat!("SELECT g.state, g.credential_epoch FROM guardian g WHERE g.id = $1 AND ", guardian_in_scope!());

/// PostgreSQL: changes of one guardian take turns, so that what one has looked at another does not take away. SQLite: the
/// transaction excludes other writers.
const HOLD_GUARDIAN: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_guardian_in_scope", GUARDIAN_TEXT),
    postgres: Statement::new(
        "hold_guardian_in_scope",
        concat!(
            "SELECT g.state, g.credential_epoch FROM guardian g WHERE g.id = $1 AND ",
            guardian_in_scope!(),
            " FOR UPDATE OF g"
        ),
    ),
};

const SEES_GUARDIAN: Statement = Statement::new("see_guardian_in_scope", GUARDIAN_TEXT);

const CHILD_TEXT: &str = concat!(
    "SELECT c.school_id FROM child c WHERE c.id = $1 AND c.merged_into IS NULL AND ",
    child_in_scope!()
);

const SEES_CHILD: Statement = Statement::new("see_child_in_scope", CHILD_TEXT);

/// PostgreSQL: until the end of the transaction nobody merges the child or moves it to another school. SQLite: the
/// transaction excludes other writers.
const HOLD_CHILD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_linked_child_in_scope", CHILD_TEXT),
    postgres: Statement::new(
        "hold_linked_child_in_scope",
        concat!(
            "SELECT c.school_id FROM child c WHERE c.id = $1 AND c.merged_into IS NULL AND ",
            child_in_scope!(),
            " FOR SHARE OF c"
        ),
    ),
};

/// A guardian as held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldGuardian {
    pub state: AccountState,
    pub credential_epoch: i64,
}

/// Begins a change: the member's rights are as they were read, and stay so; the request is a new one. `result` is the id
/// that the change makes, if it makes one. With an answer the transaction is to be taken back, and the answer given.
pub(super) async fn enter<T>(
    unit: &mut Unit,
    act: &Act,
    result: Option<&str>,
) -> Result<Option<Acted<T>>, PortError> {
    let hold = HOLD_DUTY.of(unit.dialect());
    if unit.row(&hold, bind![act.staff, act.revision]).await?.is_none() {
        return Ok(Some(Acted::OffDuty));
    }
    let Some(request) = &act.request else { return Ok(None) };
    let values = bind![act.staff, request.id, request.digest, result.map(str::to_owned), act.at];
    if unit.execute(&ADD_REQUEST, values).await? > 0 {
        return Ok(None);
    }
    let row = unit.row(&FIND_REQUEST, bind![act.staff, request.id]).await?;
    let row =
        row.ok_or_else(|| PortError::Conflict("add_staff_request: the request was swept".to_owned()))?;
    Ok(Some(if row.digest("digest")? == request.digest {
        Acted::Before(row.column("result_id")?)
    } else {
        Acted::OtherRequest
    }))
}

/// Ends a change: its events are written, and all of it becomes lasting.
pub(super) async fn finish(mut unit: Unit, act: &Act) -> Result<(), PortError> {
    audit::record_all(&mut unit, &act.events).await?;
    unit.commit().await
}

/// Finds a guardian in the member's scope, and keeps others from changing it until the end of the transaction.
pub(super) async fn hold_guardian(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
) -> Result<Option<HeldGuardian>, PortError> {
    let hold = HOLD_GUARDIAN.of(unit.dialect());
    let row = unit.row(&hold, bind![guardian, act.organization, act.staff]).await?;
    row.map(|row| {
        Ok(HeldGuardian {
            state: row.parsed("state", account_state)?,
            credential_epoch: row.column("credential_epoch")?,
        })
    })
    .transpose()
}

/// Whether a guardian is in the member's scope.
pub(super) async fn sees_guardian(
    unit: &mut Unit,
    organization: &OrganizationId,
    staff: &GuardianId,
    guardian: &GuardianId,
) -> Result<bool, PortError> {
    Ok(unit.row(&SEES_GUARDIAN, bind![guardian, organization, staff]).await?.is_some())
}

/// The school of a child in the member's scope.
pub(super) async fn school_of_child(
    unit: &mut Unit,
    organization: &OrganizationId,
    staff: &GuardianId,
    child: &ChildId,
) -> Result<Option<SchoolId>, PortError> {
    let row = unit.row(&SEES_CHILD, bind![child, organization, staff]).await?;
    row.map(|row| row.parsed("school_id", SchoolId::parse)).transpose()
}

/// Whether a child is in the member's scope; then it stays where it is until the end of the transaction. To be asked after
/// its guardian is held, as by merges of children and by imports.
pub(super) async fn hold_child(unit: &mut Unit, act: &Act, child: &ChildId) -> Result<bool, PortError> {
    let hold = HOLD_CHILD.of(unit.dialect());
    Ok(unit.row(&hold, bind![child, act.organization, act.staff]).await?.is_some())
}

/// The scope from the columns `scope` and `schools`.
pub(super) fn scope(row: &AnyRow) -> Result<Scope, PortError> {
    let schools = row.column::<Option<&str>>("schools")?.unwrap_or_default();
    let parse = |id| SchoolId::parse(id).ok_or_else(|| corrupt("schools"));
    let mut schools = schools.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
    schools.sort();
    match row.column::<&str>("scope")? {
        "organization" => Ok(Scope::Organization),
        "schools" => Ok(Scope::Schools(schools)),
        _ => Err(corrupt("scope")),
    }
}

#[async_trait]
impl DutyStore for SqlStore {
    async fn staff_rights(&self, account: &GuardianId) -> Result<Option<StaffRights>, PortError> {
        let row = self.read().await?.row(&RIGHTS, bind![account]).await?;
        row.map(|row| {
            Ok(StaffRights {
                organization: row.parsed("organization", OrganizationId::parse)?,
                role: row.parsed("role", Role::parse)?,
                scope: scope(&row)?,
                revision: row.column("revision")?,
            })
        })
        .transpose()
    }

    async fn sweep_staff_requests(&self, before: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP_REQUESTS, bind![before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
