//! The service benchmark.

fn main() {}
