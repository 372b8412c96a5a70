//! Answers to the ports: one file or folder per outside thing.

pub mod access_tokens;
pub mod argon2;
pub mod bankid;
pub mod client_tls;
pub mod directory_file;
pub mod http_client;
pub mod key_vault;
pub mod limiter;
pub mod messenger;
pub mod oidc;
pub mod otlp;
pub mod revocations;
pub mod store;
pub mod system;
