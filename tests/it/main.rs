//! One test binary; file names equal story names.

mod layering;
mod support;
