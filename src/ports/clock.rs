//! What time is it?

use crate::domain::time::Timestamp;

/// Wall clock. Tests own it; deadlines inside one process use the runtime's monotonic clock instead.
pub trait Clock: Send + Sync {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;
}
