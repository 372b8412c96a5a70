//! A look into a service's database behind its back, and states that no rpc makes yet.

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::service::Service;

/// A connection of the test's own.
pub struct Sql(AnyConnection);

impl Sql {
    /// To the database of a service.
    pub async fn open(service: &Service) -> Self {
        let location = service.store_location();
        let url = if location.contains("://") { location } else { format!("sqlite://{location}") };
        Self::at(&url).await
    }

    /// To the database of this URL.
    pub async fn at(url: &str) -> Self {
        install_default_drivers();
        Self(AnyConnection::connect(url).await.expect("the test's database takes a connection"))
    }

    /// Runs a statement; the number of rows that it touched.
    pub async fn run(&mut self, statement: &str) -> u64 {
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut self.0).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}")).rows_affected()
    }

    /// The first column of each row, which the query must make a text; empty for none.
    pub async fn texts(&mut self, query: &str) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut self.0).await;
        let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
        let text = |row: &sqlx::any::AnyRow| row.try_get::<Option<String>, _>(0);
        rows.iter().map(|row| text(row).expect("a text").unwrap_or_default()).collect()
    }

    /// The one number that a query gives, e.g. a count.
    pub async fn number(&mut self, query: &str) -> i64 {
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(&mut self.0).await;
        row.unwrap_or_else(|error| panic!("{query}: {error}")).try_get(0).expect("a number")
    }
}
