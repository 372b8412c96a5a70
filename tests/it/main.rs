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
mod limiter;
