//! All rows of all tables, for tests of what was not written.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::world::World;

const TABLES: &[&str] = &[
    "school",
    "child",
    "guardian",
    "guardian_login",
    "guardian_identifier",
    "child_link",
    "contract",
    "credential",
    "session",
    "revocation",
    "change_ticket",
    "audit_event",
    "reset_request",
    "message",
    "reset_token",
    "message_budget",
    "oidc_attempt",
    "bankid_order",
    "eid_evidence",
    "number_proposal",
    "activation",
    "issuing_approval",
    "revoked_password",
    "staff_request",
    "activation",
    "merge",
    "name_part",
    "removed_child_link",
    "removed_contract",
];

/// Rows by table, each as text, sorted.
pub type Contents = BTreeMap<&'static str, Vec<String>>;

/// Reads them all.
pub async fn contents(world: &World) -> Contents {
    let mut connection = AnyConnection::connect(&world.url()).await.expect("a connection");
    let mut contents = Contents::new();
    for table in TABLES {
        let question = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let rows = sqlx::query(question).fetch_all(&mut connection).await.expect("rows");
        let mut rows: Vec<String> = rows.iter().map(text).collect();
        rows.sort();
        contents.insert(table, rows);
    }
    connection.close().await.expect("it closes");
    contents
}

/// How many rows each table has gained since; tables that gained none are left out.
pub fn gained(before: &Contents, after: &Contents) -> BTreeMap<&'static str, i64> {
    let count = |contents: &Contents, table| i64::try_from(contents[table].len()).expect("few rows");
    TABLES
        .iter()
        .map(|&table| (table, count(after, table) - count(before, table)))
        .filter(|(_, gained)| *gained != 0)
        .collect()
}

fn text(row: &AnyRow) -> String {
    let columns = (0..row.len()).map(|column| {
        if let Ok(number) = row.try_get::<Option<i64>, _>(column) {
            return format!("{number:?}");
        }
        if let Ok(text) = row.try_get::<Option<String>, _>(column) {
            return format!("{text:?}");
        }
        format!("{:?}", row.get::<Option<Vec<u8>>, _>(column))
    });
    columns.collect::<Vec<_>>().join(" ")
}
