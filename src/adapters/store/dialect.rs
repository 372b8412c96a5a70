//! The two databases, and the few texts in which they differ.

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Embedded.
    Sqlite,
    /// Production.
    Postgres,
}

impl Dialect {
    /// OpenTelemetry's name of it (`db.system.name`).
    pub(super) const fn system(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

/// Something that cannot be the same in both; each use says why.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerDialect<T> {
    pub sqlite: T,
    pub postgres: T,
}

impl<T: Copy> PerDialect<T> {
    pub(super) const fn of(&self, dialect: Dialect) -> T {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }
}

/// Opens a transaction that writes. SQLite would otherwise take the write lock at the first write, when it is too late
/// to wait for another writer; PostgreSQL locks rows as it goes.
pub(super) const BEGIN: PerDialect<&str> = PerDialect { sqlite: "BEGIN IMMEDIATE", postgres: "BEGIN" };

/// Run on each new connection that writes.
///
/// SQLite: the write-ahead log lets readers go on beside the writer; FULL syncs it at each commit, so that what was
/// acknowledged survives a power cut; the wait for another process's lock stays under the deadline of a call. The log
/// is folded into the file every 16 MiB instead of 4: an import touches many pages again and again.
///
/// PostgreSQL: a statement that runs for 5 s is a defect, and its caller has given up; a replica that the network cut
/// off must not keep its locks. A plan is made once a connection and kept: made while a table was small, it would read
/// the whole of it when there are a million guardians. Every statement here goes through an index, row by row, and
/// is told so.
pub(super) const WRITER_SETUP: PerDialect<&str> = PerDialect {
    sqlite: "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 1500; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; \
             PRAGMA wal_autocheckpoint = 4000",
    postgres: "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
               SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off",
};

/// The same for connections that only read; on SQLite they cannot do otherwise. PostgreSQL has one pool for both.
pub(super) const READER_SETUP: PerDialect<&str> = PerDialect {
    sqlite: "PRAGMA busy_timeout = 1500; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA query_only = ON",
    postgres: "",
};
