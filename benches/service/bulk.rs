//! Rows by the hundred thousand, by the fastest way that each database has.

use std::fmt::Write as _;

use anyhow::Context as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::service::Location;

/// Rows of one statement of SQLite, which has no other way than SQL.
const ROWS_OF_STATEMENT: usize = 400;

/// Bytes that go to PostgreSQL at a time.
const BYTES_AT_ONCE: usize = 1 << 18;

/// A value of a row. Texts are the benchmark's own: without quotes, backslashes and tabs.
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A connection that writes rows.
pub enum Loader {
    /// One transaction, without waiting for the disk.
    Sqlite(SqliteConnection),
    /// `COPY`.
    Postgres(PgConnection),
}

impl Loader {
    /// Connects.
    pub async fn connect(location: &Location) -> anyhow::Result<Self> {
        Ok(match location {
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await?;
                let setup =
                    "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA foreign_keys = OFF; BEGIN";
                sqlx::raw_sql(setup).execute(&mut connection).await?;
                Self::Sqlite(connection)
            }
            Location::Postgres(url) => Self::Postgres(PgConnection::connect(url).await?),
        })
    }

    /// Writes rows of a table.
    pub async fn load(
        &mut self,
        table: &str,
        columns: &str,
        mut rows: impl Iterator<Item = Vec<Value>>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(connection) => loop {
                let mut sql = format!("INSERT INTO {table} ({columns}) VALUES ");
                let mut count = 0;
                for row in rows.by_ref().take(ROWS_OF_STATEMENT) {
                    sql.push_str(if count == 0 { "(" } else { ",(" });
                    for (place, value) in row.iter().enumerate() {
                        sql.push_str(if place == 0 { "" } else { "," });
                        match value {
                            Value::Text(text) => write!(sql, "'{text}'")?,
                            Value::Number(number) => write!(sql, "{number}")?,
                            Value::Bytes(bytes) => write!(sql, "X'{}'", Hex(bytes))?,
                        }
                    }
                    sql.push(')');
                    count += 1;
                }
                if count == 0 {
                    return Ok(());
                }
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
                done.with_context(|| format!("rows of {table}"))?;
            },
            Self::Postgres(connection) => {
                let mut copy =
                    connection.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN")).await?;
                let mut lines = String::with_capacity(BYTES_AT_ONCE * 2);
                for row in rows {
                    for (place, value) in row.iter().enumerate() {
                        lines.push_str(if place == 0 { "" } else { "\t" });
                        match value {
                            Value::Text(text) => lines.push_str(text),
                            Value::Number(number) => write!(lines, "{number}")?,
                            Value::Bytes(bytes) => write!(lines, "\\\\x{}", Hex(bytes))?,
                        }
                    }
                    lines.push('\n');
                    if lines.len() > BYTES_AT_ONCE {
                        copy.send(lines.as_bytes()).await?;
                        lines.clear();
                    }
                }
                copy.send(lines.as_bytes()).await?;
                copy.finish().await.with_context(|| format!("rows of {table}"))?;
                Ok(())
            }
        }
    }

    /// One statement beside.
    pub async fn run(&mut self, sql: String) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?.rows_affected()
            }
            Self::Postgres(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?.rows_affected()
            }
        };
        Ok(())
    }

    /// Leaves the tables as a database has them that is kept in order. PostgreSQL: counted, as its own housekeeping does
    /// within minutes.
    pub async fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(mut connection) => {
                sqlx::raw_sql("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
                connection.close().await?;
            }
            Self::Postgres(mut connection) => {
                sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
                sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
