//! The commands, one file each.

pub mod canonicalize;
pub mod callers;
pub mod check;
