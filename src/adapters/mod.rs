//! Answers to the ports: one file or folder per outside thing.

pub mod access_tokens;
pub mod key_vault;
pub mod revocations;
pub mod system;
pub mod limiter;
pub mod store;
pub mod directory_file;
pub mod argon2;
