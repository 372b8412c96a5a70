//! One test binary; file names equal story names.

mod configuration;
mod directory_import;
mod hashing_pool;
mod identifiers;
mod layering;
mod limiter;
mod login_password;
mod password_rules;
mod support;
mod support;
mod callers;
mod client_address;
mod configuration;
mod error_reasons;
mod hashing_pool;
mod identifiers;
mod layering;
mod logging;
mod ops;
mod password_rules;
mod limiter;
mod support;
mod transport;
mod wire;
