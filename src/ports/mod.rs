//! The questions that flows ask the outside. A method is one atomic business fact.

pub mod access_tokens;
pub mod bankid;
pub mod clock;
pub mod directory_file;
pub mod entropy;
pub mod error;
pub mod identity_provider;
pub mod key_vault;
pub mod messenger;
pub mod password_hasher;
pub mod rate_limiter;
pub mod store;
