//! Migrations expand before they contract: the version before runs on the schema of the one that comes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use super::on_every_database;
use super::world::World;

/// What a database asks of who writes to it.
struct Demands {
    /// Table and column, with type and whether it may be left out.
    columns: BTreeMap<String, Column>,
    /// Constraints, unique indexes and triggers, each with its table in front.
    rules: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    kind: String,
    /// Whether a row may be written that does not name it.
    may_be_left_out: bool,
    may_be_null: bool,
}

/// Rules that the version before keeps although it does not know them: it adds events and never touches one again, which
/// [`the_statements_of_the_version_before_mean_something_on_the_new_schema`] sees too.
const KEPT_ANYWAY: [&str; 4] = [
    "audit_event audit_event_append_only",
    "audit_event audit_event_never_changed",
    "audit_event audit_event_never_deleted",
    "audit_event audit_event_never_replaced",
];

const POSTGRES_COLUMNS: &str = "\
    SELECT table_name || '.' || column_name || ' ' || replace(data_type, ' ', '_') \
        || CASE WHEN column_default IS NULL AND is_nullable = 'NO' THEN ' needed' ELSE ' free' END \
        || CASE WHEN is_nullable = 'NO' THEN ' full' ELSE ' null' END \
    FROM information_schema.columns WHERE table_schema = current_schema()";

const POSTGRES_RULES: &str = "\
    SELECT conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
    WHERE connamespace = current_schema()::regnamespace AND contype <> 'n' AND conrelid <> 0 \
    UNION ALL SELECT i.indrelid::regclass::text || ' ' || pg_get_indexdef(i.indexrelid) FROM pg_index i \
    JOIN pg_class c ON c.oid = i.indexrelid \
    WHERE i.indisunique AND c.relnamespace = current_schema()::regnamespace \
    UNION ALL SELECT tgrelid::regclass::text || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal";

const SQLITE_COLUMNS: &str = "\
    SELECT m.name || '.' || c.name || ' ' || c.type \
        || CASE WHEN c.\"notnull\" = 1 AND c.dflt_value IS NULL AND c.pk = 0 THEN ' needed' ELSE ' free' END \
        || CASE WHEN c.\"notnull\" = 1 THEN ' full' ELSE ' null' END \
    FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table'";

const SQLITE_RULES: &str = "\
    SELECT m.name || ' unique ' || i.name FROM sqlite_master m JOIN pragma_index_list(m.name) i \
    WHERE m.type = 'table' AND i.\"unique\" = 1 \
    UNION ALL SELECT m.name || ' refers ' || k.\"from\" || ' ' || k.\"table\" FROM sqlite_master m \
    JOIN pragma_foreign_key_list(m.name) k WHERE m.type = 'table' \
    UNION ALL SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'trigger'";

async fn texts(connection: &mut AnyConnection, query: &'static str) -> Vec<String> {
    let rows = sqlx::query(query).fetch_all(connection).await.expect("an answer");
    rows.iter().map(|row| row.get(0)).collect()
}

impl Demands {
    async fn of(connection: &mut AnyConnection, folder: &str) -> Self {
        let (columns, rules) = match folder {
            "sqlite" => (SQLITE_COLUMNS, SQLITE_RULES),
            _ => (POSTGRES_COLUMNS, POSTGRES_RULES),
        };
        let column = |text: String| {
            let parts: Vec<&str> = text.split(' ').collect();
            let [name, kind, needed, full] = parts.as_slice() else { panic!("{text}") };
            let column = Column {
                kind: (*kind).to_owned(),
                may_be_left_out: *needed == "free",
                may_be_null: *full == "null",
            };
            ((*name).to_owned(), column)
        };
        Self {
            columns: texts(connection, columns).await.into_iter().map(column).collect(),
            rules: texts(connection, rules).await.into_iter().collect(),
        }
    }

    fn has_table(&self, name: &str) -> bool {
        self.columns.keys().any(|column| column.split('.').next() == Some(name))
    }

    /// What would keep who knew `self` from working on `later`.
    fn broken_by(&self, later: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, column) in &self.columns {
            match later.columns.get(name) {
                None => faults.push(format!("{name} is gone")),
                Some(now) if now != column => faults.push(format!("{name} was {column:?} and is {now:?}")),
                Some(_) => {}
            }
        }
        for (name, column) in &later.columns {
            let table = name.split('.').next().unwrap_or_default();
            if self.has_table(table) && !self.columns.contains_key(name) && !column.may_be_left_out {
                faults.push(format!("{name} is new and must be written"));
            }
        }
        for rule in later.rules.difference(&self.rules) {
            if !KEPT_ANYWAY.contains(&rule.as_str())
                && self.has_table(rule.split(' ').next().unwrap_or_default())
            {
                faults.push(format!("there is a new rule: {rule}"));
            }
        }
        faults
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the folder").map(|file| file.expect("an entry").path()).collect();
    files.sort();
    files
}

async fn apply(connection: &mut AnyConnection, file: &Path) {
    let text = fs::read_to_string(file).expect("the migration");
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.expect("it applies");
}

async fn a_migration_takes_nothing_from_the_version_before(world: World) {
    let empty = world.empty().await;
    install_default_drivers();
    let mut connection = AnyConnection::connect(&empty.url()).await.expect("a connection");
    let mut before: Option<Demands> = None;
    for file in files(world.folder()) {
        apply(&mut connection, &file).await;
        let now = Demands::of(&mut connection, world.folder()).await;
        assert!(now.columns.len() > 10, "the catalogue was read");
        let broken = before.as_ref().map(|before| before.broken_by(&now)).unwrap_or_default();
        assert!(broken.is_empty(), "{}: {broken:#?}", file.display());
        before = Some(now);
    }
    // It can fail: what contracts is found.
    let before = before.expect("a migration");
    for contracting in [
        "ALTER TABLE guardian DROP COLUMN updated_ms",
        "CREATE UNIQUE INDEX guardian_by_family_name ON guardian (family_name)",
        "ALTER TABLE guardian RENAME COLUMN family_name TO surname",
    ] {
        sqlx::query(contracting).execute(&mut connection).await.expect("it runs");
        let now = Demands::of(&mut connection, world.folder()).await;
        assert!(!before.broken_by(&now).is_empty(), "{contracting}");
    }
    connection.close().await.expect("it closes");
}

on_every_database! {
    a_migration_takes_nothing_from_the_version_before,
}

/// Statements by name, as a version of before the newest migration had them.
fn recorded(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("the statements");
    let statements = text.split("\n-- ").skip(1).map(|part| {
        let (name, statement) = part.split_once('\n').expect("a name and a statement");
        (name.to_owned(), statement.trim().trim_end_matches(';').to_owned())
    });
    statements.filter(|(_, statement)| !statement.is_empty()).collect()
}

/// Sums of two parameters say nothing of their type; all that are added are numbers. The others are seen from where they
/// stand.
fn types(statement: &str) -> String {
    let count = (1..100).take_while(|number| statement.contains(&format!("${number}"))).count();
    if count == 0 {
        return String::new();
    }
    let is_added = |number: usize| {
        let name = format!("${number}");
        statement.match_indices(&name).any(|(at, _)| {
            let after = &statement[at + name.len()..];
            !after.starts_with(|next: char| next.is_ascii_digit())
                && (after.trim_start().starts_with(['+', '-'])
                    || statement[..at].trim_end().ends_with(['+', '-']))
        })
    };
    let types: Vec<&str> =
        (1..=count).map(|number| if is_added(number) { "bigint" } else { "unknown" }).collect();
    format!(" ({})", types.join(", "))
}

/// PostgreSQL alone says of a statement what it means before it runs.
#[tokio::test]
async fn the_statements_of_the_version_before_mean_something_on_the_new_schema() {
    let world = World::on_postgres().await;
    install_default_drivers();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/statements");
    let mut count = 0;
    for file in fs::read_dir(folder).expect("the folder") {
        let mut connection = AnyConnection::connect(&world.url()).await.expect("a connection");
        for (name, statement) in recorded(&file.expect("an entry").path()) {
            count += 1;
            let touches_events = ["UPDATE audit_event", "DELETE FROM audit_event"];
            assert!(!touches_events.iter().any(|start| statement.contains(start)), "{name}");
            let prepare = format!("PREPARE recorded_{count}{} AS {statement}", types(&statement));
            let prepared = sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await;
            prepared.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        connection.close().await.expect("it closes");
    }
    assert!(count > 80, "{count} statements");
}
