//! One test binary; file names equal story names.

#![allow(
    clippy::unwrap_used,
    clippy::unchecked_time_subtraction,
    reason = "a test that cannot go on fails where it stands; clippy lets test functions, not their helpers"
)]
#![allow(
    clippy::format_collect,
    clippy::assigning_clones,
    clippy::needless_pass_by_value,
    clippy::duration_suboptimal_units,
    clippy::wildcard_enum_match_arm,
    clippy::unnecessary_wraps,
    clippy::large_stack_arrays,
    clippy::cloned_ref_to_slice_refs,
    clippy::similar_names,
    reason = "speed and growth of tests matter less than that they read like the story"
)]

mod abuse;
mod audit_log;
mod bad_input;
#[cfg(feature = "dev")]
mod bankid;
mod callers;
mod certificates;
mod change_password;
mod client_address;
mod configuration;
mod connections;
mod directory_import;
mod documentation;
mod error_reasons;
mod fallback_credential;
mod guardians;
mod hashing_pool;
mod health;
mod healthcheck;
mod identifiers;
mod layering;
mod limiter;
mod logging;
#[cfg(feature = "dev")]
mod login_bankid;
mod login_oidc;
mod login_password;
mod merges;
mod messenger;
mod metrics_documented;
mod operation;
mod ops;
mod outage;
mod overload;
mod password_reset;
mod password_rules;
mod redis_failover;
mod session;
mod signing_keys;
#[cfg(feature = "dev")]
mod simulators;
mod staff;
mod store;
mod support;
mod traces;
mod transport;
#[cfg(feature = "dev")]
mod walkthroughs;
mod wire;
