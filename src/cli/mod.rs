//! The commands, one file each.

pub mod callers;
pub mod check;
