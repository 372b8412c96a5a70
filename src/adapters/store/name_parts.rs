//! Parts of names, folded, and pairs of them, in the transaction that writes the name.

use crate::domain::id::{ChildId, GuardianId};
use crate::domain::name_search::{FOLD_VERSION, fold, pairs};
use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;

use super::SqlStore;
use super::bind::{bind, push};
use super::bulk::Insert;
use super::dialect::PerDialect;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

/// People whose names one sweep folds: few enough that no import waits long for their rows.
const FOLD_ROWS: i64 = 1_000;

/// A staff account has no parts: it is found by no search for guardians.
const GUARDIAN_KIND: &str = "guardian";

macro_rules! guardians_to_fold {
    ($lock:literal) => {
        concat!(
            "SELECT id, organization, given_name, family_name, \
                 CAST(CASE WHEN kind = 'guardian' AND state IN ('active', 'locked') THEN 1 ELSE 0 END AS bigint) AS found \
             FROM guardian WHERE names_folded = 0 ORDER BY id LIMIT $1",
            $lock
        )
    };
}

macro_rules! children_to_fold {
    ($lock:literal) => {
        concat!(
            "SELECT id, organization, given_name, family_name, \
                 CAST(CASE WHEN merged_into IS NULL THEN 1 ELSE 0 END AS bigint) AS found \
             FROM child WHERE names_folded = 0 ORDER BY id LIMIT $1",
            $lock
        )
    };
}

/// PostgreSQL: a name that an import changes meanwhile is the import's to fold; replicas sweep side by side. SQLite: the
/// transaction excludes other writers.
const GUARDIANS_TO_FOLD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("find_guardians_to_fold", guardians_to_fold!("")),
    postgres: Statement::new("find_guardians_to_fold", guardians_to_fold!(" FOR NO KEY UPDATE SKIP LOCKED")),
};

/// As [`GUARDIANS_TO_FOLD`].
const CHILDREN_TO_FOLD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("find_children_to_fold", children_to_fold!("")),
    postgres: Statement::new("find_children_to_fold", children_to_fold!(" FOR NO KEY UPDATE SKIP LOCKED")),
};

/// The texts below say 1.
const _: () = assert!(FOLD_VERSION == 1, "the statements name another version of folding");

const GUARDIANS_FOLDED: Insert = Insert {
    name: "note_guardians_folded",
    head: "UPDATE guardian SET names_folded = 1 WHERE id IN (",
    columns: 1,
    tail: ")",
};

const CHILDREN_FOLDED: Insert = Insert {
    name: "note_children_folded",
    head: "UPDATE child SET names_folded = 1 WHERE id IN (",
    columns: 1,
    tail: ")",
};

const DROP_PARTS: Insert = Insert {
    name: "drop_name_parts",
    head: "DELETE FROM name_part WHERE person_id IN (",
    columns: 1,
    tail: ")",
};

const ADD_PARTS: Insert = Insert {
    name: "add_name_parts",
    head: "INSERT INTO name_part (organization, kind, part, person_id)",
    columns: 4,
    tail: "",
};

const NAME_OF_GUARDIAN: Statement =
    Statement::new("find_name_of_guardian", "SELECT given_name, family_name FROM guardian WHERE id = $1");

const NAME_OF_CHILD: Statement =
    Statement::new("find_name_of_child", "SELECT given_name, family_name FROM child WHERE id = $1");

/// Who has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Guardian,
    Child,
}

impl Kind {
    /// Of the rows with one part.
    pub(super) const fn of_parts(self) -> &'static str {
        match self {
            Self::Guardian => GUARDIAN_KIND,
            Self::Child => "child",
        }
    }

    /// Of the rows with two parts.
    pub(super) const fn of_pairs(self) -> &'static str {
        match self {
            Self::Guardian => "guardian_pair",
            Self::Child => "child_pair",
        }
    }
}

/// Somebody with a name that is written in this transaction.
pub(super) struct Named<'a> {
    pub kind: Kind,
    pub id: &'a str,
    pub given_name: &'a str,
    pub family_name: &'a str,
    /// Whether there was another name before.
    pub renamed: bool,
}

impl<'a> Named<'a> {
    pub(super) fn guardian(id: &'a GuardianId, given_name: &'a str, family_name: &'a str) -> Self {
        Self { kind: Kind::Guardian, id: id.as_str(), given_name, family_name, renamed: false }
    }

    pub(super) fn child(id: &'a ChildId, given_name: &'a str, family_name: &'a str) -> Self {
        Self { kind: Kind::Child, id: id.as_str(), given_name, family_name, renamed: false }
    }

    /// The parts.
    pub(super) fn parts(&self) -> Vec<String> {
        parts_of(self.given_name, self.family_name)
    }

    /// What is written of the name: the kind and the text of each row.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let parts = self.parts();
        let of_pairs = pairs(&parts).into_iter().map(|pair| (self.kind.of_pairs(), pair));
        let of_parts = parts.iter().map(|part| (self.kind.of_parts(), part.clone()));
        of_parts.chain(of_pairs).collect()
    }
}

/// The parts of both names together, for people type them in any order.
pub(super) fn parts_of(given_name: &str, family_name: &str) -> Vec<String> {
    fold(&format!("{given_name} {family_name}"))
}

/// Writes the parts of names. Their rows say that they are folded: the caller's part.
pub(super) async fn put(
    unit: &mut Unit,
    organization: &OrganizationId,
    people: &[Named<'_>],
) -> Result<(), PortError> {
    let renamed: Vec<&str> = people.iter().filter(|person| person.renamed).map(|person| person.id).collect();
    drop_all(unit, &renamed).await?;
    let parts: Vec<(&str, String, &str)> = people
        .iter()
        .flat_map(|person| person.rows().into_iter().map(|(kind, part)| (kind, part, person.id)))
        .collect();
    ADD_PARTS
        .run(unit, &parts, |(kind, part, id), arguments| {
            push(arguments, organization);
            push(arguments, *kind);
            push(arguments, part);
            push(arguments, *id);
        })
        .await
        .map(|_| ())
}

/// Takes people out of the search.
pub(super) async fn drop_all(unit: &mut Unit, ids: &[&str]) -> Result<(), PortError> {
    DROP_PARTS.run(unit, ids, |id, arguments| push(arguments, *id)).await.map(|_| ())
}

/// Puts somebody into the search who was taken out of it.
pub(super) async fn fold_again(
    unit: &mut Unit,
    organization: &OrganizationId,
    kind: Kind,
    id: &str,
) -> Result<(), PortError> {
    let statement = match kind {
        Kind::Guardian => &NAME_OF_GUARDIAN,
        Kind::Child => &NAME_OF_CHILD,
    };
    let Some(row) = unit.row(statement, bind![id]).await? else { return Ok(()) };
    let (given_name, family_name) = (row.column("given_name")?, row.column("family_name")?);
    put(unit, organization, &[Named { kind, id, given_name, family_name, renamed: true }]).await
}

/// Folds names that nobody folded yet; says of how many people.
pub(super) async fn fold_some(store: &SqlStore) -> Result<u64, PortError> {
    let mut unit = store.write_batch().await?;
    let guardians = fold_kind(&mut unit, Kind::Guardian).await?;
    let children = fold_kind(&mut unit, Kind::Child).await?;
    unit.commit().await?;
    Ok(guardians + children)
}

async fn fold_kind(unit: &mut Unit, kind: Kind) -> Result<u64, PortError> {
    let (find, folded) = match kind {
        Kind::Guardian => (GUARDIANS_TO_FOLD.of(unit.dialect()), &GUARDIANS_FOLDED),
        Kind::Child => (CHILDREN_TO_FOLD.of(unit.dialect()), &CHILDREN_FOLDED),
    };
    let rows = unit.rows(&find, bind![FOLD_ROWS]).await?;
    let ids = rows.iter().map(|row| row.column("id")).collect::<Result<Vec<&str>, _>>()?;
    drop_all(unit, &ids).await?;
    let mut parts: Vec<(String, &str, String, &str)> = Vec::new();
    for row in &rows {
        if !row.flag("found")? {
            continue;
        }
        let person = Named {
            kind,
            id: row.column("id")?,
            given_name: row.column("given_name")?,
            family_name: row.column("family_name")?,
            renamed: false,
        };
        let organization: String = row.column("organization")?;
        parts.extend(
            person.rows().into_iter().map(|(kind, part)| (organization.clone(), kind, part, person.id)),
        );
    }
    ADD_PARTS
        .run(unit, &parts, |(organization, kind, part, id), arguments| {
            push(arguments, organization);
            push(arguments, *kind);
            push(arguments, part);
            push(arguments, *id);
        })
        .await?;
    folded.run(unit, &ids, |id, arguments| push(arguments, *id)).await
}
