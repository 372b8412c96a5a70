//! Arguments → configuration → telemetry → app. Exit 0, 1 or 64.

use std::process::ExitCode;

use clap::Parser as _;
use guardian_auth::cli::Cli;

/// The program of the image has musl, whose allocator makes threads wait for each other.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    guardian_auth::cli::run(Cli::parse())
}
