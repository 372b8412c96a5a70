//! One test binary; file names equal story names.

mod configuration;
