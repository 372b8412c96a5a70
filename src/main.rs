//! Arguments → configuration → telemetry → app. Exit 0, 1 or 64.

use std::process::ExitCode;

use clap::Parser as _;
use guardian_auth::cli::Cli;

fn main() -> ExitCode {
    guardian_auth::cli::run(Cli::parse())
}
