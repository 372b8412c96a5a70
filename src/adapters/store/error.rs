//! What an error of the database means to a caller: never its text, which may quote values.

use sqlx::Error;
use sqlx::error::DatabaseError;

use crate::ports::error::PortError;

/// The store does not answer.
pub(super) fn unavailable(statement: &str, what: &str) -> PortError {
    PortError::Unavailable { dependency: "store", detail: format!("{statement}: {what}") }
}

/// Reads an error of the driver at a statement.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's enum is open, and the rest of it is all defects"
)]
pub(super) fn port_error(statement: &str, error: &Error) -> PortError {
    let away = |what: &str| unavailable(statement, what);
    match error {
        Error::Database(error) => database_error(statement, error.as_ref()),
        Error::Io(error) => away(&format!("input or output failed ({})", error.kind())),
        Error::Tls(_) => away("no TLS connection"),
        Error::PoolTimedOut => away("no connection in time"),
        Error::PoolClosed => away("the store is closed"),
        Error::WorkerCrashed => away("the worker of the embedded database ended"),
        Error::Protocol(_) | Error::BeginFailed => away("the connection broke"),
        Error::Configuration(_) => {
            PortError::Corrupt(format!("{statement}: the address of the store is not one"))
        }
        // Statements and columns that do not fit each other: a defect.
        _ => PortError::Corrupt(format!("{statement}: the driver cannot do it")),
    }
}

fn database_error(statement: &str, error: &dyn DatabaseError) -> PortError {
    let code = error.code().unwrap_or_default();
    if error.is_unique_violation() {
        return PortError::Conflict(format!("{statement}: a unique value is taken"));
    }
    if error.is_foreign_key_violation() {
        return PortError::Conflict(format!("{statement}: a row is missing"));
    }
    let what = format!("the database says {code}");
    match meaning(&code) {
        Meaning::Away => unavailable(statement, &what),
        Meaning::Conflict => PortError::Conflict(format!("{statement}: {what}")),
        Meaning::Defect => PortError::Corrupt(format!("{statement}: {what}")),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Away,
    Conflict,
    Defect,
}

/// Codes of five characters are PostgreSQL's (SQLSTATE), decimal numbers are SQLite's extended result codes.
fn meaning(code: &str) -> Meaning {
    if code.len() == 5 {
        return match &code[..2] {
            // Serialization failure, deadlock.
            "40" => Meaning::Conflict,
            // Connection, authorization, database missing, resources, limits, lock not available, shut-down, I/O,
            // read-only replica.
            "08" | "28" | "3D" | "53" | "54" | "55" | "57" | "58" | "25" => Meaning::Away,
            _ => Meaning::Defect,
        };
    }
    // The lower byte is the primary code: busy, locked, out of memory, read-only, interrupted, I/O, full, cannot open.
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5..=10 | 13 | 14) => Meaning::Away,
        Ok(_) | Err(_) => Meaning::Defect,
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};

    #[test]
    fn a_full_disk_and_a_lock_and_an_ending_server_are_outages() {
        for code in ["13", "5", "261", "517", "6", "262", "57P01", "57P03", "53300", "08006"] {
            assert_eq!(meaning(code), Meaning::Away, "{code}");
        }
    }

    #[test]
    fn a_deadlock_can_be_tried_again_and_a_missing_table_cannot() {
        assert_eq!(meaning("40P01"), Meaning::Conflict);
        assert_eq!(meaning("42P01"), Meaning::Defect);
        assert_eq!(meaning("1"), Meaning::Defect);
    }
}
