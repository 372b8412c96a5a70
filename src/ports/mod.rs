//! The questions that flows ask the outside. A method is one atomic business fact.

pub mod clock;
pub mod entropy;
pub mod error;
pub mod password_hasher;
pub mod rate_limiter;
