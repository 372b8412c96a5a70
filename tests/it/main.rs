//! One test binary; file names equal story names.

mod bad_input;
mod callers;
mod change_password;
mod client_address;
mod configuration;
mod directory_import;
mod documentation;
mod error_reasons;
mod hashing_pool;
mod identifiers;
mod layering;
mod limiter;
mod logging;
mod login_password;
mod metrics_documented;
mod ops;
mod outage;
mod overload;
mod password_rules;
mod session;
mod signing_keys;
mod store;
mod support;
mod transport;
mod wire;
