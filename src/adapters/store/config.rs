//! What it takes to reach the database.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{ConnectOptions, Error};

use crate::domain::secret::Secret;

use super::dialect::{Dialect, WRITER_SETUP};

/// Longest wait for a free connection, making a new one included.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Longest time of a call to the store, waiting included: an outage is answered within it.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// Longest time of an import of one batch and of a sweep, which nobody waits for in front of a screen.
pub(super) const BATCH_DEADLINE: Duration = Duration::from_secs(30);

/// A connection that was idle for longer is asked whether it still lives before it is used. One that was used more
/// recently died so recently that the database is away.
pub(super) const UNTESTED_IDLE: Duration = Duration::from_millis(250);

/// Readers of an embedded database. Writers take turns, so there is one connection for them.
pub(super) const SQLITE_READERS: u32 = 4;

/// All connections to an embedded database, the writer's among them.
pub const SQLITE_CONNECTIONS: u32 = SQLITE_READERS + 1;

/// Which database, and how to reach it.
pub enum StoreConfig {
    /// Embedded: one file (and two beside it) on a local disk, one process.
    Sqlite {
        /// The file; made if it is missing.
        path: PathBuf,
    },
    /// PostgreSQL 15 or later. A pooler between must keep sessions: statements are prepared once a connection.
    Postgres {
        /// `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`.
        url: Secret<String>,
        /// Most connections of this replica; at least 1.
        pool_size: u32,
    },
}

impl StoreConfig {
    /// Connections of a replica unless configured otherwise: a login holds one for a few milliseconds.
    pub const DEFAULT_POOL_SIZE: u32 = 10;

    /// What is run on each new connection that writes: for measurements beside the store.
    pub fn writer_setup(&self) -> &'static str {
        WRITER_SETUP.of(self.dialect())
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
        }
    }

    pub(super) fn connect_options(&self) -> Result<AnyConnectOptions, Error> {
        let options: AnyConnectOptions = match self {
            Self::Sqlite { path } => {
                let path = percent_encoded(path.as_os_str().as_encoded_bytes());
                format!("sqlite:{path}?mode=rwc").parse()?
            }
            Self::Postgres { url, .. } => url.expose().parse()?,
        };
        // Statements are counted and timed by us.
        Ok(options.disable_statement_logging())
    }
}

/// Every byte but those that mean themselves in any part of a URL.
fn percent_encoded(path: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::new();
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn a_path_with_a_question_mark_stays_a_path() {
        assert_eq!(percent_encoded(b"/a b/c?d%/x.db"), "/a%20b/c%3Fd%25/x.db");
    }
}
