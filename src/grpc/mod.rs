//! The gRPC surface: wire messages become domain types, outcomes become answers.

pub mod access;
pub mod context;
pub mod fields;
pub mod incident;
pub mod status;
