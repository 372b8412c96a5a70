//! One test binary; file names equal story names.

mod identifiers;
mod configuration;
mod layering;
mod support;
mod hashing_pool;
mod password_rules;
mod limiter;
