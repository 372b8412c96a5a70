//! The generated messages and services of `guardian.auth.v1`, and their descriptor set.

#![allow(
    clippy::pedantic,
    clippy::all,
    clippy::allow_attributes_without_reason,
    missing_docs,
    reason = "generated code; its documentation is the proto files"
)]

tonic::include_proto!("guardian.auth.v1");

include!(concat!(env!("OUT_DIR"), "/redacted_debug.rs"));

/// The encoded descriptor set of all services, with comments: for reflection, the caller table and tests.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor_set.bin"));
