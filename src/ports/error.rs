//! How an answer from the outside can fail.

/// Why a port could not answer. A variant exists because a caller acts on it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The dependency is away, too slow or overloaded; the call may be tried again later.
    #[error("{dependency} is unavailable: {detail}")]
    Unavailable {
        /// Which dependency, e.g. `store`.
        dependency: &'static str,
        /// For the log, without personal data.
        detail: String,
    },
    /// Somebody else changed the same thing at the same time, or a unique value is taken.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What was read cannot be true: a defect or a damaged row.
    #[error("corrupt data: {0}")]
    Corrupt(String),
}
