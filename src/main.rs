//! Arguments → configuration → telemetry → app. Exit 0, 1 or 64.

fn main() {}
