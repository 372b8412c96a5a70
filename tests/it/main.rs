//! One test binary; file names equal story names.

mod configuration;
mod directory_import;
mod identifiers;
mod layering;
mod support;
mod hashing_pool;
mod password_rules;
mod limiter;
