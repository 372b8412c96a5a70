//! guardian-auth: the login service behind parent portals.
//!
//! The floors, in the order in which a request goes down them. A floor names only those below it;
//! `tests/it/layering.rs` keeps the table.

/// The wire: generated messages, services and the descriptor set of `guardian.auth.v1`.
pub mod proto;

/// Wire messages become domain types, outcomes become answers. Decides nothing.
pub mod grpc;

/// The order of steps, one file per story.
pub mod flows;

/// What flows ask the outside: each method is one atomic fact.
pub mod ports;

/// The rules. Pure: no clock, no I/O, no async.
pub mod domain;

/// Answers to the ports, one file or folder per outside thing.
pub mod adapters;

/// Stand-ins for what is outside: a mailbox and a portal, for `dev` and tests.
#[cfg(feature = "dev")]
pub mod simulators;

/// Joins the floors: the one place that names concrete adapters.
pub mod app;

/// The one reader of environment and files.
pub mod config;

/// Log, metric and trace set-up, with their names as constants.
pub mod telemetry;

/// The commands.
pub mod cli;
