//! `store`: where durable state is kept.

use std::path::PathBuf;

use crate::domain::secret::Secret;

use super::form::{AnyPath, Choice, Count, Flag, Text};
use super::reader::Reader;

/// Where durable state is kept.
#[derive(Debug)]
pub struct Store {
    /// The database.
    pub backend: StoreBackend,
    /// Whether `serve` applies pending migrations; otherwise it refuses to start on them.
    pub migrate_on_start: bool,
}

/// The database, with its settings.
#[derive(Debug)]
pub enum StoreBackend {
    /// Embedded, one process.
    Sqlite {
        /// The database file; made if missing.
        path: PathBuf,
    },
    /// For replicas.
    Postgres {
        /// `postgres://user:password@host/database?sslmode=verify-full`.
        url: Secret<String>,
        /// Connections of the pool.
        max_connections: u32,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sqlite,
    Postgres,
}

pub(super) fn read(store: &mut Reader<'_>) -> Option<Store> {
    let kinds = Choice(&[("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)]);
    let kind = store.required("backend", "the database", &kinds);
    let migrate_on_start = store.or(
        "migrate_on_start",
        "whether `serve` applies pending migrations; if not, it refuses to start on them",
        &Flag,
        false,
    );
    let path = store.chosen_section("sqlite", kind.map(|kind| kind == Kind::Sqlite), |sqlite| {
        sqlite.required("path", "the database file, made if missing", &AnyPath)
    });
    let postgres = store.chosen_section("postgres", kind.map(|kind| kind == Kind::Postgres), |postgres| {
        let url = postgres.secret("url", "`postgres://` URL of the database", &Text(1..=2000), check_url);
        let max_connections =
            postgres.or("max_connections", "connections of the pool, each replica", &Count(1..=1000), 10);
        Some(StoreBackend::Postgres { url: url?, max_connections })
    });
    let backend = match kind? {
        Kind::Sqlite => StoreBackend::Sqlite { path: path?? },
        Kind::Postgres => postgres??,
    };
    Some(Store { backend, migrate_on_start })
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
    if known { Ok(()) } else { Err("does not begin with postgres://") }
}
