//! One test binary; file names equal story names.

mod identifiers;
mod configuration;
