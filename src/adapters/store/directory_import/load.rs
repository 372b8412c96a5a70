//! Reads what the store knows of the rows of a batch: a few statements, however many rows.

use std::collections::HashMap;

use sqlx::any::AnyRow;

use crate::domain::directory::{LoginNameKind, Relation, SourceKey};
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;
use crate::ports::store::{PreparedGuardian, PreparedRow};

use super::SOURCE;
use super::known::{
    Confirmed, Known, KnownChild, KnownContract, KnownCredential, KnownGuardian, KnownLink, KnownLogin,
    KnownSchool, Profile,
};
use crate::adapters::store::bind::push;
use crate::adapters::store::bulk::Listing;
use crate::adapters::store::dialect::PerDialect;
use crate::adapters::store::row::{Columns, corrupt, login_name};
use crate::adapters::store::unit::Unit;

const SCHOOLS: Listing = Listing {
    name: "load_schools",
    head: "SELECT source_key, id, name FROM school WHERE organization = $1 AND source_key IN",
    fixed: 1,
    tail: "",
};

const CHILDREN: Listing = Listing {
    name: "load_children",
    head: "SELECT source_key, id, given_name, family_name, school_id FROM child \
           WHERE organization = $1 AND source_key IN",
    fixed: 1,
    tail: "",
};

const SELECT_GUARDIANS: &str = "SELECT source_key, id, given_name, family_name, locale, email_delivered, \
    email_canonical, mobile_delivered, mobile_canonical FROM guardian WHERE organization = $1 AND source_key IN";

/// PostgreSQL: logins and changes of password of these guardians wait for the batch or the batch for them, so that
/// what is decided stays true until it is written. SQLite: the transaction excludes other writers.
const GUARDIANS: PerDialect<&Listing> = PerDialect {
    sqlite: &Listing { name: "load_guardians", head: SELECT_GUARDIANS, fixed: 1, tail: "" },
    postgres: &Listing {
        name: "load_guardians",
        head: SELECT_GUARDIANS,
        fixed: 1,
        tail: "ORDER BY id FOR NO KEY UPDATE",
    },
};

const LOGINS: Listing = Listing {
    name: "load_logins",
    head: "SELECT guardian_id, portal, login_name, kind, is_spare FROM guardian_login WHERE guardian_id IN",
    fixed: 0,
    tail: "",
};

const IDENTIFIERS: Listing = Listing {
    name: "load_identifiers",
    head: "SELECT guardian_id, blind_index FROM guardian_identifier \
           WHERE retired_ms IS NULL AND source = $1 AND guardian_id IN",
    fixed: 1,
    tail: "",
};

const LINKS: Listing = Listing {
    name: "load_child_links",
    head: "SELECT guardian_id, child_id, source, confirmed_by FROM child_link WHERE guardian_id IN",
    fixed: 0,
    tail: "",
};

const CONTRACTS: Listing = Listing {
    name: "load_contracts",
    head: "SELECT guardian_id, source, confirmed_by FROM contract WHERE guardian_id IN",
    fixed: 0,
    tail: "",
};

const CREDENTIALS: Listing = Listing {
    name: "load_credentials",
    head: "SELECT guardian_id, portal, origin, import_fingerprint FROM credential WHERE guardian_id IN",
    fixed: 0,
    tail: "",
};

/// The portals are named so that the index on all three columns is used.
const LOGIN_HOLDERS: Listing = Listing {
    name: "find_login_holders",
    head: "SELECT portal, login_name, guardian_id FROM guardian_login \
           WHERE organization = $1 AND portal IN ('parent', 'childminder', 'staff') AND login_name IN",
    fixed: 1,
    tail: "",
};

const IDENTIFIER_HOLDERS: Listing = Listing {
    name: "find_identifier_holders",
    head: "SELECT blind_index, guardian_id FROM guardian_identifier \
           WHERE organization = $1 AND retired_ms IS NULL AND blind_index IN",
    fixed: 1,
    tail: "",
};

pub(super) async fn known(
    unit: &mut Unit,
    organization: &OrganizationId,
    rows: &[PreparedRow],
) -> Result<Known, PortError> {
    let wanted = Wanted::of(rows);
    let mut known = Known::default();
    for row in SCHOOLS.rows(unit, |fixed| push(fixed, organization), &wanted.schools).await? {
        let school = KnownSchool { id: row.parsed("id", SchoolId::parse)?, name: row.column("name")? };
        known.schools.insert(row.parsed("source_key", SourceKey::parse)?, school);
    }
    for row in CHILDREN.rows(unit, |fixed| push(fixed, organization), &wanted.children).await? {
        let child = KnownChild {
            id: row.parsed("id", ChildId::parse)?,
            given_name: row.column("given_name")?,
            family_name: row.column("family_name")?,
            school: row.parsed("school_id", SchoolId::parse)?,
        };
        known.children.insert(row.parsed("source_key", SourceKey::parse)?, child);
    }
    known.guardians = guardians(unit, organization, &wanted.guardians).await?;
    for row in LOGIN_HOLDERS.rows(unit, |fixed| push(fixed, organization), &wanted.login_names).await? {
        let name = row.parsed("login_name", login_name)?;
        known.login_holders.insert((row.portal()?, name), row.parsed("guardian_id", GuardianId::parse)?);
    }
    for row in IDENTIFIER_HOLDERS.rows(unit, |fixed| push(fixed, organization), &wanted.identifiers).await? {
        known
            .identifier_holders
            .insert(row.digest("blind_index")?, row.parsed("guardian_id", GuardianId::parse)?);
    }
    Ok(known)
}

/// The keys that the rows of a batch name.
#[derive(Default)]
struct Wanted<'r> {
    schools: Vec<&'r SourceKey>,
    children: Vec<&'r SourceKey>,
    guardians: Vec<&'r SourceKey>,
    login_names: Vec<&'r str>,
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
        self.login_names.extend(record.logins.iter().map(|login| login.name.as_str()));
        self.login_names.extend(record.spare_user_names.iter().map(|(_, name)| name.as_str()));
        self.identifiers.extend(guardian.national_id.iter().map(|number| &number.index));
    }
}

async fn guardians(
    unit: &mut Unit,
    organization: &OrganizationId,
    keys: &[&SourceKey],
) -> Result<HashMap<SourceKey, KnownGuardian>, PortError> {
    let listing = GUARDIANS.of(unit.dialect());
    let mut keys_by_id = HashMap::new();
    let mut guardians = HashMap::new();
    for row in listing.rows(unit, |fixed| push(fixed, organization), keys).await? {
        let id = row.parsed("id", GuardianId::parse)?;
        let key = row.parsed("source_key", SourceKey::parse)?;
        guardians.insert(id.clone(), KnownGuardian::new(id.clone(), profile(&row)?));
        keys_by_id.insert(id, key);
    }
    let ids: Vec<GuardianId> = guardians.keys().cloned().collect();
    let source = |fixed: &mut _| push(fixed, SOURCE);
    let nothing = |_: &mut _| {};
    for row in LOGINS.rows(unit, nothing, &ids).await? {
        of(&mut guardians, &row)?.logins.push(login(&row)?);
    }
    for row in IDENTIFIERS.rows(unit, source, &ids).await? {
        of(&mut guardians, &row)?.identifier = Some(row.digest("blind_index")?);
    }
    for row in LINKS.rows(unit, nothing, &ids).await? {
        let child = row.parsed("child_id", ChildId::parse)?;
        let link = KnownLink { child, by_import: by_import(&row)?, confirmed: confirmed(&row)? };
        of(&mut guardians, &row)?.links.push(link);
    }
    for row in CONTRACTS.rows(unit, nothing, &ids).await? {
        let contract = KnownContract { by_import: by_import(&row)?, confirmed: confirmed(&row)? };
        of(&mut guardians, &row)?.contracts.push(contract);
    }
    for row in CREDENTIALS.rows(unit, nothing, &ids).await? {
        of(&mut guardians, &row)?.credentials.push(credential(&row)?);
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
    Ok(KnownCredential { portal: row.portal()?, imported })
}
