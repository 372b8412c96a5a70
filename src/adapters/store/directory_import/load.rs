//! Reads what the store knows of the rows of a batch: a few statements, however many rows.

use std::collections::HashMap;

use sqlx::any::AnyRow;

use crate::domain::directory::{LoginNameKind, Relation, SourceKey};
use crate::domain::fallback_credential::RestsOn;
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::identifier::LoginName;
use crate::domain::organization::{OrganizationId, Portal};
use crate::ports::error::PortError;
use crate::ports::store::{PreparedGuardian, PreparedRow, SealedNationalId};

use super::known::{
    Confirmed, Known, KnownChild, KnownContract, KnownCredential, KnownGuardian, KnownIdentifier, KnownLink,
    KnownLogin, KnownSchool, Profile,
};
use super::{CHILD_IDS, GUARDIAN_IDS, SCHOOL_IDS, SOURCE, ids_of_keys};
use crate::adapters::store::bind::push;
use crate::adapters::store::bulk::{Listing, Lookup};
use crate::adapters::store::dialect::PerDialect;
use crate::adapters::store::row::{Columns, corrupt, login_name};
use crate::adapters::store::unit::Unit;

const SCHOOLS: Listing = Listing {
    name: "load_schools",
    select: "SELECT t.id, t.source_key, t.name",
    from: "school t WHERE t.id = wanted.column1",
};

const CHILDREN: Listing = Listing {
    name: "load_children",
    select: "SELECT t.id, t.source_key, t.given_name, t.family_name, t.school_id, t.merged_into",
    from: "child t WHERE t.id = wanted.column1",
};

const SELECT_GUARDIANS: &str = "SELECT t.id, t.source_key, t.given_name, t.family_name, t.locale, t.state, \
    t.email_delivered, t.email_canonical, t.mobile_delivered, t.mobile_canonical";

/// PostgreSQL: logins and changes of password of these guardians wait for the batch or the batch for them, so that
/// what is decided stays true until it is written. SQLite: the transaction excludes other writers.
const GUARDIANS: PerDialect<&Listing> = PerDialect {
    sqlite: &Listing {
        name: "load_guardians",
        select: SELECT_GUARDIANS,
        from: "guardian t WHERE t.id = wanted.column1",
    },
    postgres: &Listing {
        name: "load_guardians",
        select: SELECT_GUARDIANS,
        from: "guardian t WHERE t.id = wanted.column1 ORDER BY t.id FOR NO KEY UPDATE OF t",
    },
};

const LOGINS: Listing = Listing {
    name: "load_logins",
    select: "SELECT t.guardian_id, t.portal, t.login_name, t.kind, t.is_spare",
    from: "guardian_login t WHERE t.guardian_id = wanted.column1",
};

/// With those that were replaced: they are few, and a condition on them would mislead PostgreSQL.
const IDENTIFIERS: Listing = Listing {
    name: "load_identifiers",
    select: "SELECT t.guardian_id, t.blind_index, t.source, t.retired_ms",
    from: "guardian_identifier t WHERE t.guardian_id = wanted.column1",
};

const LINKS: Listing = Listing {
    name: "load_child_links",
    select: "SELECT t.guardian_id, t.child_id, t.source, t.confirmed_by",
    from: "child_link t WHERE t.guardian_id = wanted.column1",
};

const REMOVED_LINKS: Listing = Listing {
    name: "load_removed_child_links",
    select: "SELECT t.guardian_id, t.child_id",
    from: "removed_child_link t WHERE t.guardian_id = wanted.column1",
};

const CONTRACTS: Listing = Listing {
    name: "load_contracts",
    select: "SELECT t.guardian_id, t.source, t.confirmed_by",
    from: "contract t WHERE t.guardian_id = wanted.column1",
};

const REMOVED_CONTRACTS: Listing = Listing {
    name: "load_removed_contracts",
    select: "SELECT t.guardian_id",
    from: "removed_contract t WHERE t.guardian_id = wanted.column1",
};

const CREDENTIALS: Listing = Listing {
    name: "load_credentials",
    select: "SELECT t.guardian_id, t.portal, t.origin, t.import_fingerprint, t.rests_on",
    from: "credential t WHERE t.guardian_id = wanted.column1",
};

const REVOKED: Listing = Listing {
    name: "load_revoked_passwords",
    select: "SELECT t.guardian_id, t.portal",
    from: "revoked_password t WHERE t.guardian_id = wanted.column1",
};

const LOGIN_HOLDERS: Lookup = Lookup {
    name: "find_login_holders",
    columns: 2,
    id_of_key: "SELECT t.guardian_id FROM guardian_login t \
                WHERE t.organization = $1 AND t.login_name = wanted.column1 AND t.portal = wanted.column2",
};

const IDENTIFIER_HOLDERS: Lookup = Lookup {
    name: "find_identifier_holders",
    columns: 1,
    id_of_key: "SELECT t.guardian_id FROM guardian_identifier t \
                WHERE t.organization = $1 AND t.blind_index = wanted.column1 AND t.retired_ms IS NULL",
};

pub(super) async fn known(
    unit: &mut Unit,
    organization: &OrganizationId,
    rows: &[PreparedRow],
) -> Result<Known, PortError> {
    let wanted = Wanted::of(rows);
    let mut known = Known::default();
    let ids = ids_of_keys(&SCHOOL_IDS, unit, organization, &wanted.schools, SchoolId::parse).await?;
    for row in SCHOOLS.rows(unit, &ids.into_values().collect::<Vec<_>>()).await? {
        let school = KnownSchool { id: row.parsed("id", SchoolId::parse)?, name: row.column("name")? };
        known.schools.insert(row.parsed("source_key", SourceKey::parse)?, school);
    }
    let ids = ids_of_keys(&CHILD_IDS, unit, organization, &wanted.children, ChildId::parse).await?;
    for row in CHILDREN.rows(unit, &ids.into_values().collect::<Vec<_>>()).await? {
        let child = KnownChild {
            id: row.parsed("id", ChildId::parse)?,
            given_name: row.column("given_name")?,
            family_name: row.column("family_name")?,
            school: row.parsed("school_id", SchoolId::parse)?,
            merged_into: standing(unit, row.parsed_or_none("merged_into", ChildId::parse)?).await?,
        };
        known.children.insert(row.parsed("source_key", SourceKey::parse)?, child);
    }
    known.guardians = guardians(unit, organization, &wanted.guardians).await?;
    let bind = |(portal, name): &(Portal, &LoginName), values: &mut _| {
        push(values, *name);
        push(values, portal);
    };
    for row in LOGIN_HOLDERS.rows(unit, organization, &wanted.logins, bind).await? {
        let login = (row.parsed("column2", Portal::parse)?, row.parsed("column1", login_name)?);
        known.login_holders.insert(login, row.parsed("found", GuardianId::parse)?);
    }
    let bind = |index: &&[u8; 32], values: &mut _| push(values, *index);
    for row in IDENTIFIER_HOLDERS.rows(unit, organization, &wanted.identifiers, bind).await? {
        known.identifier_holders.insert(row.digest("column1")?, row.parsed("found", GuardianId::parse)?);
    }
    Ok(known)
}

/// Merges of merges that are followed: no child is there more often.
const MOST_MERGES: usize = 16;

/// The child that stands for one that was merged. There are few of them, so each is asked for alone.
async fn standing(unit: &mut Unit, merged_into: Option<ChildId>) -> Result<Option<ChildId>, PortError> {
    let Some(mut last) = merged_into else { return Ok(None) };
    for _ in 0..MOST_MERGES {
        let rows = CHILDREN.rows(unit, std::slice::from_ref(&last)).await?;
        let next = rows.first().map(|row| row.parsed_or_none("merged_into", ChildId::parse)).transpose()?;
        let Some(next) = next.flatten() else { break };
        last = next;
    }
    Ok(Some(last))
}

/// The keys that the rows of a batch name.
#[derive(Default)]
struct Wanted<'r> {
    schools: Vec<&'r SourceKey>,
    children: Vec<&'r SourceKey>,
    guardians: Vec<&'r SourceKey>,
    logins: Vec<(Portal, &'r LoginName)>,
    identifiers: Vec<&'r [u8; 32]>,
}

impl<'r> Wanted<'r> {
    fn of(rows: &'r [PreparedRow]) -> Self {
        let mut wanted = Self::default();
        for row in rows {
            match row {
                PreparedRow::School(school) => wanted.schools.push(&school.record.key),
                PreparedRow::Child(child) => {
                    wanted.children.push(&child.record.key);
                    wanted.schools.push(&child.record.school);
                }
                PreparedRow::Guardian(guardian) => wanted.add_guardian(guardian),
            }
        }
        // A class has one school: asked for once.
        for keys in [&mut wanted.schools, &mut wanted.children] {
            keys.sort_unstable();
            keys.dedup();
        }
        wanted
    }

    fn add_guardian(&mut self, guardian: &'r PreparedGuardian) {
        let record = &guardian.record;
        self.guardians.push(&record.key);
        self.children.extend(record.relations.iter().filter_map(|relation| match relation {
            Relation::Child { child, .. } => Some(child),
            Relation::Contract { .. } => None,
        }));
        self.logins.extend(record.logins.iter().map(|login| (login.portal, &login.name)));
        self.logins.extend(record.spare_user_names.iter().map(|(portal, name)| (*portal, name)));
        self.identifiers.extend(guardian.national_id.iter().flat_map(SealedNationalId::indexes));
    }
}

async fn guardians(
    unit: &mut Unit,
    organization: &OrganizationId,
    keys: &[&SourceKey],
) -> Result<HashMap<SourceKey, KnownGuardian>, PortError> {
    let ids = ids_of_keys(&GUARDIAN_IDS, unit, organization, keys, GuardianId::parse).await?;
    let ids: Vec<GuardianId> = ids.into_values().collect();
    let mut keys_by_id = HashMap::new();
    let mut guardians = HashMap::new();
    for row in GUARDIANS.of(unit.dialect()).rows(unit, &ids).await? {
        let id = row.parsed("id", GuardianId::parse)?;
        let key = row.parsed("source_key", SourceKey::parse)?;
        let mut guardian = KnownGuardian::new(id.clone(), profile(&row)?);
        guardian.is_merged = row.column::<&str>("state")? == "merged";
        guardians.insert(id.clone(), guardian);
        keys_by_id.insert(id, key);
    }
    for row in LOGINS.rows(unit, &ids).await? {
        of(&mut guardians, &row)?.logins.push(login(&row)?);
    }
    for row in IDENTIFIERS.rows(unit, &ids).await? {
        if row.time_or_none("retired_ms")?.is_none() {
            let known = KnownIdentifier { index: row.digest("blind_index")?, by_import: by_import(&row)? };
            of(&mut guardians, &row)?.identifiers.push(known);
        }
    }
    for row in LINKS.rows(unit, &ids).await? {
        let child = row.parsed("child_id", ChildId::parse)?;
        let link = KnownLink { child, by_import: by_import(&row)?, confirmed: confirmed(&row)? };
        of(&mut guardians, &row)?.links.push(link);
    }
    for row in REMOVED_LINKS.rows(unit, &ids).await? {
        let child = row.parsed("child_id", ChildId::parse)?;
        of(&mut guardians, &row)?.removed_links.push(child);
    }
    for row in CONTRACTS.rows(unit, &ids).await? {
        let contract = KnownContract { by_import: by_import(&row)?, confirmed: confirmed(&row)? };
        of(&mut guardians, &row)?.contracts.push(contract);
    }
    for row in REMOVED_CONTRACTS.rows(unit, &ids).await? {
        of(&mut guardians, &row)?.is_contract_removed = true;
    }
    for row in CREDENTIALS.rows(unit, &ids).await? {
        of(&mut guardians, &row)?.credentials.push(credential(&row)?);
    }
    for row in REVOKED.rows(unit, &ids).await? {
        let portal = row.portal()?;
        of(&mut guardians, &row)?.revoked.push(portal);
    }
    Ok(guardians.into_iter().filter_map(|(id, guardian)| Some((keys_by_id.remove(&id)?, guardian))).collect())
}

fn of<'g>(
    guardians: &'g mut HashMap<GuardianId, KnownGuardian>,
    row: &AnyRow,
) -> Result<&'g mut KnownGuardian, PortError> {
    guardians.get_mut(&row.parsed("guardian_id", GuardianId::parse)?).ok_or_else(|| corrupt("guardian_id"))
}

fn profile(row: &AnyRow) -> Result<Profile, PortError> {
    let contact = |delivered, canonical| -> Result<Option<(String, Option<String>)>, PortError> {
        let canonical = row.column(canonical)?;
        Ok(row.column::<Option<String>>(delivered)?.map(|delivered| (delivered, canonical)))
    };
    Ok(Profile {
        given_name: row.column("given_name")?,
        family_name: row.column("family_name")?,
        locale: row.column("locale")?,
        email: contact("email_delivered", "email_canonical")?,
        mobile: contact("mobile_delivered", "mobile_canonical")?,
    })
}

fn login(row: &AnyRow) -> Result<KnownLogin, PortError> {
    let kind = row.parsed("kind", |text| match text {
        "debtor_number" => Some(LoginNameKind::DebtorNumber),
        "user_name" => Some(LoginNameKind::UserName),
        _ => None,
    })?;
    let name = row.parsed("login_name", login_name)?;
    Ok(KnownLogin { portal: row.portal()?, name, kind, is_spare: row.flag("is_spare")? })
}

fn by_import(row: &AnyRow) -> Result<bool, PortError> {
    Ok(row.column::<&str>("source")? == SOURCE)
}

fn confirmed(row: &AnyRow) -> Result<Confirmed, PortError> {
    Confirmed::parse(row.column("confirmed_by")?).ok_or_else(|| corrupt("confirmed_by"))
}

fn credential(row: &AnyRow) -> Result<KnownCredential, PortError> {
    let imported = match row.column::<&str>("origin")? {
        "import" => Some(row.digest("import_fingerprint")?),
        "owner" => None,
        _ => return Err(corrupt("origin")),
    };
    let by_staff = row.parsed("rests_on", RestsOn::parse)? == RestsOn::Staff;
    Ok(KnownCredential { portal: row.portal()?, imported, by_staff })
}
