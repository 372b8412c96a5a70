//! A unit of work: a connection, a deadline, and a transaction if it writes more than one thing.

use std::future::Future;
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, Executor, SqlSafeStr, SqlStr};
use tokio::time::{Instant, timeout_at};

use crate::ports::error::PortError;
use crate::telemetry::spans::{self, Child, Known};

use super::dialect::{BEGIN, Dialect};
use super::error::{port_error, unavailable};
use super::metrics::StoreMetrics;
use super::statement::Statement;

/// The name of a span: waiting for a connection of the pool.
const CONNECTION_SPAN: &str = "wait_for_connection";

/// A connection for one call. Dropped inside a transaction, it rolls back.
pub(super) struct Unit {
    /// `None` once it was given up for not answering.
    connection: Option<PoolConnection<Any>>,
    deadline: Instant,
    in_transaction: bool,
    metrics: StoreMetrics,
    dialect: Dialect,
}

impl Unit {
    /// Takes a connection; each statement is a transaction of its own.
    pub(super) async fn take(
        pool: &AnyPool,
        dialect: Dialect,
        metrics: &StoreMetrics,
        span: Duration,
    ) -> Result<Self, PortError> {
        let deadline = Instant::now() + span;
        let waiting = spans::child(SpanKind::Internal, CONNECTION_SPAN);
        let taken = timeout_at(deadline, pool.acquire()).await;
        drop(waiting);
        let connection = taken
            .map_err(|_| unavailable("connect", "no connection in time"))?
            .map_err(|error| port_error("connect", &error))?;
        Ok(Self {
            connection: Some(connection),
            deadline,
            in_transaction: false,
            metrics: metrics.clone(),
            dialect,
        })
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(mut self) -> Result<Self, PortError> {
        // Before the answer: what was sent may have been heard.
        self.in_transaction = true;
        self.script("begin", BEGIN.of(self.dialect)).await?;
        Ok(self)
    }

    /// Makes it lasting.
    pub(super) async fn commit(mut self) -> Result<(), PortError> {
        self.script("commit", "COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Takes it back.
    pub(super) async fn rollback(mut self) -> Result<(), PortError> {
        self.script("rollback", "ROLLBACK").await?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs a statement and says how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        statement: &Statement,
        arguments: AnyArguments,
    ) -> Result<u64, PortError> {
        self.execute_text(statement.name, statement.text.into_sql_str(), arguments).await
    }

    /// Runs a statement and gives all its rows. To the last one, always: PostgreSQL sends rows of `RETURNING` before
    /// it has committed them.
    pub(super) async fn rows(
        &mut self,
        statement: &Statement,
        arguments: AnyArguments,
    ) -> Result<Vec<AnyRow>, PortError> {
        self.rows_of_text(statement.name, statement.text.into_sql_str(), arguments).await
    }

    /// Runs a statement that gives at most one row.
    pub(super) async fn row(
        &mut self,
        statement: &Statement,
        arguments: AnyArguments,
    ) -> Result<Option<AnyRow>, PortError> {
        let mut rows = self.rows(statement, arguments).await?;
        Ok(if rows.is_empty() { None } else { Some(rows.swap_remove(0)) })
    }

    /// [`Self::execute`] for a text made for a number of rows.
    pub(super) async fn execute_text(
        &mut self,
        name: &'static str,
        text: SqlStr,
        arguments: AnyArguments,
    ) -> Result<u64, PortError> {
        let (deadline, span) = (self.deadline, self.span(name));
        let connection = self.connection(name)?;
        let running = connection.execute(sqlx::query_with(text, arguments));
        let finished = timed(deadline, span, running).await;
        self.finish(name, finished).map(|done| done.rows_affected())
    }

    /// [`Self::rows`] for a text made for a number of rows.
    pub(super) async fn rows_of_text(
        &mut self,
        name: &'static str,
        text: SqlStr,
        arguments: AnyArguments,
    ) -> Result<Vec<AnyRow>, PortError> {
        let (deadline, span) = (self.deadline, self.span(name));
        let connection = self.connection(name)?;
        let running = connection.fetch_all(sqlx::query_with(text, arguments));
        let finished = timed(deadline, span, running).await;
        self.finish(name, finished)
    }

    /// Runs a text of one or more statements without parameters.
    pub(super) async fn script(&mut self, name: &'static str, text: &'static str) -> Result<(), PortError> {
        let (deadline, span) = (self.deadline, self.span(name));
        let connection = self.connection(name)?;
        let running = connection.execute(sqlx::raw_sql(text));
        let finished = timed(deadline, span, running).await;
        self.finish(name, finished).map(|_| ())
    }

    fn connection(&mut self, name: &'static str) -> Result<&mut AnyConnection, PortError> {
        self.connection.as_deref_mut().ok_or_else(|| unavailable(name, "the connection was given up"))
    }

    /// A span for a statement: its name and what kind of database it is, never its text or a value.
    fn span(&self, name: &'static str) -> Child {
        let span = spans::child(SpanKind::Client, name);
        if span.is_recording() {
            span.set("db.system.name", Known::Word(self.dialect.system()));
            span.set("db.query.summary", Known::Word(name));
        }
        span
    }

    /// Counts a statement that ran and reads its error. A connection that did not answer in time is closed at once:
    /// given back, it would keep its place in the pool for as long as the network is silent.
    fn finish<T>(&mut self, name: &'static str, (taken, result): Timed<T>) -> Result<T, PortError> {
        self.metrics.observe(name, taken);
        let Some(result) = result else {
            drop(self.connection.take().map(PoolConnection::detach));
            return Err(unavailable(name, "no answer in time"));
        };
        result.map_err(|error| port_error(name, &error))
    }
}

/// How long it took, and the result unless the deadline came first.
type Timed<T> = (Duration, Option<Result<T, sqlx::Error>>);

async fn timed<T>(
    deadline: Instant,
    span: Child,
    running: impl Future<Output = Result<T, sqlx::Error>>,
) -> Timed<T> {
    let begin = Instant::now();
    let result = timeout_at(deadline, running).await.ok();
    match &result {
        Some(Ok(_)) => {}
        Some(Err(error)) => note_failure(&span, error),
        None => span.fail("timeout"),
    }
    (begin.elapsed(), result)
}

/// The code of the database if it has one; its text may quote values.
fn note_failure(span: &Child, error: &sqlx::Error) {
    if let Some(code) = error.as_database_error().and_then(DatabaseError::code) {
        span.set("db.response.status_code", Known::Made(code.into_owned()));
        span.fail("database");
    } else {
        span.fail("connection");
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // Closing rolls back, whatever state the connection is in. It is rare: an error, or a caller that went away.
        if let Some(connection) = self.connection.as_mut().filter(|_| self.in_transaction) {
            connection.close_on_drop();
        }
    }
}
