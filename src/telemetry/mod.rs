//! Log and metric set-up, with their names as constants.

/// Target of the request log: one line an rpc. docs/logging.md describes its fields, which are an interface.
pub const REQUEST: &str = "guardian_auth::request";
/// Target of defects, each with an incident id.
pub const INCIDENT: &str = "guardian_auth::incident";
/// Target of failures of dependencies.
pub const DEPENDENCY: &str = "guardian_auth::dependency";
/// Target of connections: failures to accept, caps reached, drain.
pub const CONNECTION: &str = "guardian_auth::connection";
