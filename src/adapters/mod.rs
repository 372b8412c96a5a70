//! Answers to the ports: one file or folder per outside thing.

pub mod store;
