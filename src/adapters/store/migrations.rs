//! Migrations: numbered files, the same in both databases, applied in order and never changed afterwards.
//!
//! Expand and contract: releases N and N−1 run side by side, so a migration that this release does not know is one
//! of the next release's and no fault. No `CONCURRENTLY` in a file: each runs in a transaction.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::any::AnyRow;

use crate::ports::error::PortError;

use super::SqlStore;
use super::bind::bind;
use super::dialect::{Dialect, PerDialect};
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

/// A migration that rewrites a large table takes its time; the release waits for it.
const DEADLINE: Duration = Duration::from_mins(15);

struct Migration {
    number: i64,
    name: &'static str,
    text: PerDialect<&'static str>,
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            text: PerDialect {
                sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
                postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
            },
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_guardians_and_sessions"),
    migration!(2, "0002_password_reset_and_messages"),
    migration!(3, "0003_eid_logins"),
    migration!(4, "0004_staff"),
];

/// PostgreSQL: replicas that start together take turns, however long the first one needs. After that a statement may
/// not wait for the locks of others, or everybody else would wait behind it; nor is a long one a defect. The number is
/// the advisory lock of this service's migrations. SQLite: the transaction excludes other writers.
const ENTER: PerDialect<&str> = PerDialect {
    sqlite: "SELECT 1",
    postgres: "SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(7306916068411589735)::text; \
               SET LOCAL lock_timeout = '3s'; SET LOCAL idle_in_transaction_session_timeout = 0",
};

/// Clock and bytes have other names. The time of application is for people; nothing reads it.
const CREATE_TABLE: PerDialect<&str> = PerDialect {
    sqlite: "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, \
             checksum BLOB NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT",
    postgres: "CREATE TABLE IF NOT EXISTS schema_migration (number bigint PRIMARY KEY, name text NOT NULL, \
               checksum bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)",
};

/// The catalogue of tables has another name.
const TABLE_EXISTS: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new(
        "find_migration_table",
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'",
    ),
    postgres: Statement::new(
        "find_migration_table",
        "SELECT tablename::text AS name FROM pg_tables \
         WHERE schemaname = current_schema() AND tablename = 'schema_migration'",
    ),
};

const APPLIED: Statement =
    Statement::new("list_migrations", "SELECT number, name, checksum FROM schema_migration ORDER BY number");

const ADD: Statement = Statement::new(
    "add_migration",
    "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)",
);

impl SqlStore {
    /// Names of the migrations of this release that the database has not seen, in order.
    ///
    /// # Errors
    /// [`PortError::Unavailable`]; [`PortError::Corrupt`] if an applied migration is not the one of this release.
    pub async fn pending_migrations(&self) -> Result<Vec<&'static str>, PortError> {
        let mut unit = self.read().await?;
        if unit.rows(&TABLE_EXISTS.of(self.dialect), bind![]).await?.is_empty() {
            return Ok(MIGRATIONS.iter().map(|migration| migration.name).collect());
        }
        Ok(pending(&mut unit).await?.iter().map(|migration| migration.name).collect())
    }

    /// Applies what is pending, each migration in a transaction, and says what was applied. Replicas may do so at
    /// the same time: each migration is applied once.
    ///
    /// # Errors
    /// As [`Self::pending_migrations`].
    pub async fn migrate(&self) -> Result<Vec<&'static str>, PortError> {
        let mut applied = Vec::new();
        loop {
            let unit = Unit::take(&self.writer, self.dialect, &self.metrics, DEADLINE).await?;
            let mut unit = unit.begin().await?;
            unit.script("enter_migrations", ENTER.of(self.dialect)).await?;
            unit.script("create_migration_table", CREATE_TABLE.of(self.dialect)).await?;
            let Some(next) = pending(&mut unit).await?.into_iter().next() else {
                unit.commit().await?;
                return Ok(applied);
            };
            unit.script("apply_migration", next.text.of(self.dialect)).await?;
            unit.execute(&ADD, bind![next.number, next.name, checksum(next, self.dialect)]).await?;
            unit.commit().await?;
            applied.push(next.name);
        }
    }
}

async fn pending(unit: &mut Unit) -> Result<Vec<&'static Migration>, PortError> {
    let applied = unit.rows(&APPLIED, bind![]).await?;
    let mut pending = Vec::new();
    for migration in MIGRATIONS {
        match find(&applied, migration.number)? {
            Some(row) => verify(row, migration, unit.dialect())?,
            None => pending.push(migration),
        }
    }
    Ok(pending)
}

fn find(applied: &[AnyRow], number: i64) -> Result<Option<&AnyRow>, PortError> {
    for row in applied {
        if row.column::<i64>("number")? == number {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn verify(row: &AnyRow, migration: &Migration, dialect: Dialect) -> Result<(), PortError> {
    if row.digest("checksum")? == checksum(migration, dialect) {
        return Ok(());
    }
    Err(PortError::Corrupt(format!("migration {} is not the one that was applied", migration.name)))
}

fn checksum(migration: &Migration, dialect: Dialect) -> [u8; 32] {
    let mut checksum = [0; 32];
    checksum.copy_from_slice(digest(&SHA256, migration.text.of(dialect).as_bytes()).as_ref());
    checksum
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn numbers_are_without_gaps_and_begin_the_names() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number), Ok(index + 1));
            assert!(migration.name.starts_with(&format!("{:04}_", migration.number)));
        }
    }
}
