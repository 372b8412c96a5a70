//! Accounts of staff: made, listed, and looked at.

use async_trait::async_trait;
use sqlx::any::{AnyArguments, AnyRow};

use crate::domain::audit::Event;
use crate::domain::directory::LoginNameKind;
use crate::domain::id::{GuardianId, SchoolId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::staff::{Role, School, StaffAccount};
use crate::ports::error::PortError;
use crate::ports::store::{
    Act, Acted, AddStaffOutcome, BootstrapOutcome, NewInvitation, NewStaff, StaffChange, StaffChangeOutcome,
    StaffFilter, StaffStore,
};

use super::bind::{bind, push};
use super::row::{Columns, locale};
use super::staff_changes::{self, lock_staff};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, audit, bearing, fallback_credential, outbox};

/// The source key of an account of staff has a space: no source delivers such a key, so no import finds it.
const ADD_ACCOUNT: Statement = Statement::new(
    "add_staff_account",
    "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, credential_epoch, \
         email_delivered, email_canonical, mobile_delivered, mobile_canonical, created_ms, updated_ms, kind, \
         names_folded) \
     VALUES ($1, $2, $3, $4, $5, $6, 'active', 0, $7, $7, $8, $8, $9, $9, 'staff', 1)",
);

const ADD_LOGIN: Statement = Statement::new(
    "add_staff_login_name",
    "INSERT INTO guardian_login (organization, portal, login_name, guardian_id, kind, is_spare) \
     VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (organization, login_name, portal) DO NOTHING",
);

const ADD_MEMBER: Statement = Statement::new(
    "add_staff_member",
    "INSERT INTO staff_member (id, organization, role, scope, state, revision, invited_by, invited_ms) \
     VALUES ($1, $2, $3, $4, 'active', 1, $5, $6)",
);

const FIND_IDENTIFIER: Statement = Statement::new(
    "find_staff_identifier",
    "SELECT guardian_id FROM guardian_identifier \
     WHERE organization = $1 AND blind_index = $2 AND retired_ms IS NULL",
);

const ADD_IDENTIFIER: Statement = Statement::new(
    "add_staff_identifier",
    "INSERT INTO guardian_identifier (organization, guardian_id, scheme, blind_index, sealed, key_id, source, added_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, 'staff', $7)",
);

const COUNT_OF_ROLE: Statement = Statement::new(
    "count_staff_of_role",
    "SELECT count(*) AS members FROM staff_member WHERE organization = $1 AND role = $2 AND state = 'active'",
);

macro_rules! account_columns {
    () => {
        "m.id, m.role, m.scope, m.state, m.revision, m.invited_ms, g.given_name, g.family_name, g.locale, \
         g.email_delivered, g.mobile_delivered, g.credential_epoch, \
         (SELECT string_agg(s.school_id, ' ') FROM staff_school s WHERE s.staff_id = m.id) AS schools, \
         (SELECT string_agg(n.login_name, ' ') FROM guardian_login n \
          WHERE n.guardian_id = m.id AND n.portal = 'staff') AS user_name, \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM credential c WHERE c.guardian_id = m.id AND c.portal = 'staff') \
              THEN 1 ELSE 0 END AS bigint) AS has_password, \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM guardian_identifier i \
                                WHERE i.guardian_id = m.id AND i.retired_ms IS NULL) \
              THEN 1 ELSE 0 END AS bigint) AS has_eid \
         FROM staff_member m JOIN guardian g ON g.id = m.id"
    };
}

const FIND: Statement = Statement::new(
    "find_staff_account",
    concat!("SELECT ", account_columns!(), " WHERE m.id = $1 AND m.organization = $2"),
);

/// `$3`: 1 for administrators and operators only; `$4`: 1 for deactivated ones too; `$5`: a school or nothing; `$6`: a
/// member with whom those listed have a school in common, or nothing.
const LIST: Statement = Statement::new(
    "list_staff_accounts",
    concat!(
        "SELECT ",
        account_columns!(),
        " WHERE m.organization = $1 AND m.id > $2 \
           AND ($3 = 0 OR m.role IN ('organization_administrator', 'platform_operator')) \
           AND ($4 = 1 OR m.state = 'active') \
           AND ($5 = '' OR EXISTS (SELECT 1 FROM staff_school s WHERE s.staff_id = m.id AND s.school_id = $5)) \
           AND ($6 = '' OR EXISTS (SELECT 1 FROM staff_school s \
                                   JOIN staff_school o ON o.school_id = s.school_id AND o.staff_id = $6 \
                                   WHERE s.staff_id = m.id)) \
         ORDER BY m.id LIMIT $7"
    ),
);

/// `$4`: a member whose schools are listed, or nothing.
const LIST_SCHOOLS: Statement = Statement::new(
    "list_schools",
    "SELECT s.id, s.name FROM school s \
     WHERE s.organization = $1 AND s.id > $2 \
       AND ($4 = '' OR EXISTS (SELECT 1 FROM staff_school o WHERE o.school_id = s.id AND o.staff_id = $4)) \
     ORDER BY s.id LIMIT $3",
);

fn account(row: &AnyRow) -> Result<StaffAccount, PortError> {
    Ok(StaffAccount {
        id: row.parsed("id", GuardianId::parse)?,
        given_name: row.column("given_name")?,
        family_name: row.column("family_name")?,
        email: row.column::<Option<String>>("email_delivered")?.unwrap_or_default(),
        mobile: row.column::<Option<String>>("mobile_delivered")?.unwrap_or_default(),
        locale: row.parsed("locale", locale)?,
        user_name: row.column::<Option<String>>("user_name")?.unwrap_or_default(),
        role: row.parsed("role", Role::parse)?,
        scope: act::scope(row)?,
        is_active: row.column::<&str>("state")? == "active",
        revision: row.column("revision")?,
        credential_epoch: row.column("credential_epoch")?,
        has_password: row.flag("has_password")?,
        has_eid: row.flag("has_eid")?,
        invited: row.time("invited_ms")?,
    })
}

/// Writes the account with all that belongs to it. The staff of the organization is locked.
async fn add(unit: &mut Unit, new: &NewStaff) -> Result<AddStaffOutcome, PortError> {
    if let Some((_, digests)) = &new.identifier {
        // That of the active master key last: a number that moves to it while we ask is not missed.
        for digest in digests.iter().rev() {
            if let Some(row) = unit.row(&FIND_IDENTIFIER, bind![new.organization, digest]).await? {
                return Ok(AddStaffOutcome::IdentifierTaken(row.parsed("guardian_id", GuardianId::parse)?));
            }
        }
    }
    let values = bind![
        new.id,
        new.organization,
        format!("staff {}", new.id),
        new.given_name,
        new.family_name,
        new.locale,
        new.email,
        new.mobile.as_str(),
        new.at,
    ];
    unit.execute(&ADD_ACCOUNT, values).await?;
    let values = bind![new.organization, Portal::Staff, new.user_name, new.id, LoginNameKind::UserName];
    if unit.execute(&ADD_LOGIN, values).await? == 0 {
        return Ok(AddStaffOutcome::UserNameTaken);
    }
    let scope = staff_changes::scope_name(&new.scope);
    let values = bind![new.id, new.organization, new.role.as_str(), scope, new.invited_by, new.at];
    unit.execute(&ADD_MEMBER, values).await?;
    if let Some((identifier, _)) = &new.identifier {
        let values = bind![
            new.organization,
            new.id,
            identifier.scheme,
            identifier.index,
            identifier.sealed,
            identifier.key_id,
            new.at,
        ];
        unit.execute(&ADD_IDENTIFIER, values).await?;
    }
    let placed = staff_changes::place(
        unit,
        &new.organization,
        &new.id,
        (new.role, &new.scope),
        new.most_support_persons,
    );
    match placed.await? {
        staff_changes::Placed::Yes => {}
        staff_changes::Placed::NoSchool(school) => return Ok(AddStaffOutcome::NoSchool(school)),
        staff_changes::Placed::LimitReached(school) => return Ok(AddStaffOutcome::LimitReached(school)),
    }
    fallback_credential::add_activation(unit, &new.activation).await?;
    outbox::queue(unit, &new.messages).await?;
    Ok(AddStaffOutcome::Added)
}

fn listing(filter: &StaffFilter, after: Option<&GuardianId>, limit: u32) -> AnyArguments {
    let mut values = bind![
        filter.organization,
        after.map_or("", GuardianId::as_str),
        filter.only_administrators,
        filter.with_deactivated,
    ];
    push(&mut values, filter.school.as_ref().map_or("", SchoolId::as_str));
    push(&mut values, filter.beside.as_ref().map_or("", GuardianId::as_str));
    push(&mut values, &i64::from(limit));
    values
}

#[async_trait]
impl StaffStore for SqlStore {
    async fn add_staff(&self, act: &Act, new: &NewStaff) -> Result<Acted<AddStaffOutcome>, PortError> {
        let mut unit = self.write().await?;
        lock_staff(&mut unit, &new.organization, new.at).await?;
        if let Some(refused) = act::enter(&mut unit, act, Some(new.id.as_str())).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        let outcome = add(&mut unit, new).await?;
        match outcome {
            AddStaffOutcome::Added => act::finish(unit, act).await?,
            AddStaffOutcome::UserNameTaken
            | AddStaffOutcome::IdentifierTaken(_)
            | AddStaffOutcome::NoSchool(_)
            | AddStaffOutcome::LimitReached(_) => unit.rollback().await?,
        }
        Ok(Acted::Now(outcome))
    }

    async fn bootstrap_staff(
        &self,
        new: &NewStaff,
        event: &Event,
        even_so: bool,
    ) -> Result<BootstrapOutcome, PortError> {
        let mut unit = self.write().await?;
        lock_staff(&mut unit, &new.organization, new.at).await?;
        let row = unit.row(&COUNT_OF_ROLE, bind![new.organization, new.role.as_str()]).await?;
        let members: i64 = row.map_or(Ok(0), |row| row.column("members"))?;
        if members > 0 && !even_so {
            unit.rollback().await?;
            return Ok(BootstrapOutcome::NotFirst(members));
        }
        let outcome = add(&mut unit, new).await?;
        if outcome == AddStaffOutcome::Added {
            audit::record(&mut unit, event).await?;
            unit.commit().await?;
        } else {
            unit.rollback().await?;
        }
        Ok(BootstrapOutcome::Looked(outcome))
    }

    async fn renew_invitation(&self, act: &Act, new: &NewInvitation) -> Result<Acted<bool>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        if !staff_changes::hold_active(&mut unit, &act.organization, &new.staff).await? {
            unit.rollback().await?;
            return Ok(Acted::Now(false));
        }
        bearing::end_activation(&mut unit, &new.staff, Portal::Staff, "replaced", act.at).await?;
        fallback_credential::add_activation(&mut unit, &new.activation).await?;
        outbox::queue(&mut unit, &new.messages).await?;
        act::finish(unit, act).await?;
        Ok(Acted::Now(true))
    }

    async fn staff_account(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
    ) -> Result<Option<StaffAccount>, PortError> {
        let row = self.read().await?.row(&FIND, bind![staff, organization]).await?;
        row.as_ref().map(account).transpose()
    }

    async fn list_staff(
        &self,
        filter: &StaffFilter,
        after: Option<&GuardianId>,
        limit: u32,
    ) -> Result<Vec<StaffAccount>, PortError> {
        let rows = self.read().await?.rows(&LIST, listing(filter, after, limit)).await?;
        rows.iter().map(account).collect()
    }

    async fn change_staff(
        &self,
        act: &Act,
        change: &StaffChange,
    ) -> Result<Acted<StaffChangeOutcome>, PortError> {
        let mut unit = self.write().await?;
        lock_staff(&mut unit, &act.organization, act.at).await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        let outcome = staff_changes::change(&mut unit, act, change).await?;
        match outcome {
            StaffChangeOutcome::Changed(_) => act::finish(unit, act).await?,
            StaffChangeOutcome::ChangedMeanwhile
            | StaffChangeOutcome::LastAdministrator
            | StaffChangeOutcome::NoSchool(_)
            | StaffChangeOutcome::LimitReached(_) => unit.rollback().await?,
        }
        Ok(Acted::Now(outcome))
    }

    async fn understaffed(&self, schools: &[SchoolId], least: u32) -> Result<Vec<SchoolId>, PortError> {
        let mut unit = self.read().await?;
        let mut few = Vec::new();
        for school in schools {
            if staff_changes::support_persons(&mut unit, school, "").await? < i64::from(least) {
                few.push(school.clone());
            }
        }
        Ok(few)
    }

    async fn list_schools(
        &self,
        organization: &OrganizationId,
        of: Option<&GuardianId>,
        after: Option<&SchoolId>,
        limit: u32,
    ) -> Result<Vec<School>, PortError> {
        let (after, of) = (after.map_or("", SchoolId::as_str), of.map_or("", GuardianId::as_str));
        let values = bind![organization, after, i64::from(limit), of];
        let rows = self.read().await?.rows(&LIST_SCHOOLS, values).await?;
        rows.iter()
            .map(|row| Ok(School { id: row.parsed("id", SchoolId::parse)?, name: row.column("name")? }))
            .collect()
    }
}
