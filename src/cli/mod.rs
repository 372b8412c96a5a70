//! The commands, one file each.

pub mod audit;
pub mod callers;
pub mod canonicalize;
pub mod check;
#[cfg(feature = "dev")]
pub mod dev;
pub mod healthcheck;
pub mod keys;
mod logs;
pub mod migrate;
pub mod serve;
pub mod staff;

use std::future::Future;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Faults, Source, environment};

/// Bad configuration or arguments (`EX_USAGE` of sysexits.h): nothing was started.
const EXIT_CONFIGURATION: u8 = 64;

/// The login service behind parent portals.
#[derive(Debug, Parser)]
#[command(name = "guardian-auth", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file (TOML); without it, the environment alone (`GUARDIAN_AUTH__SECTION__KEY`).
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service.
    Serve,
    /// Run on embedded state with sample guardians, on this machine only. Everything is gone when it stops.
    #[cfg(feature = "dev")]
    Dev(dev::DevArgs),
    /// Bring the database to the schema of this version.
    Migrate,
    /// Take a directory file in: schools, children, guardians, relations.
    Import(import::ImportArgs),
    /// Say everything that is wrong with the configuration, then which dependencies answer.
    Check,
    /// Ask a running service whether it is ready; exit 0 if it is. Reads no configuration.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Make credentials for calling systems.
    #[command(subcommand)]
    Callers(CallersCommand),
    /// Make the first account of staff.
    #[command(subcommand)]
    Staff(staff::StaffCommand),
    /// Look at and replace the keys that sign access tokens.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look after the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Bring identifiers into their canonical forms: JSON strings in, one a line; {"out"} or {"reject"} a line out.
    Canonicalize(canonicalize::CanonicalizeArgs),
}

/// Credentials of calling systems.
#[derive(Debug, Subcommand)]
pub enum CallersCommand {
    /// Print a new token for a caller, once, and the digest line for the configuration.
    Token {
        /// The caller's name in the configuration.
        name: String,
    },
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Serve => serve(config),
        #[cfg(feature = "dev")]
        Command::Dev(args) => in_runtime(dev::run(args)),
        Command::Migrate => with_config(config, migrate::run),
        Command::Import(args) => with_config(config, |config| import::command(config, args)),
        Command::Check => check(config),
        Command::Healthcheck(args) => in_runtime(healthcheck::run(args)),
        Command::Callers(CallersCommand::Token { name }) => {
            let result = callers::run(&name, crate::app::entropy().as_ref(), &mut io::stdout().lock());
            finish(result.map_err(anyhow::Error::from))
        }
        Command::Staff(command) => with_config(config, |config| staff::run(config, command)),
        Command::Keys(command) => with_config(config, |config| keys::run(config, command)),
        Command::Audit(command) => with_config(config, |config| audit::run(config, command)),
        Command::Canonicalize(args) => {
            let today = crate::app::today();
            let input = BufReader::with_capacity(64 * 1024, io::stdin().lock());
            let output = io::stdout().lock();
            let result = canonicalize::run(args.kind, args.on.unwrap_or(today), args.region, input, output);
            finish(result.map_err(anyhow::Error::from))
        }
    }
}

fn with_config<F>(path: Option<&Path>, command: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    match Config::load(path, environment()) {
        Ok(config) => in_runtime(command(config)),
        Err(faults) => nothing_started(&faults),
    }
}

fn serve(path: Option<&Path>) -> ExitCode {
    let source = Source::new(path, environment());
    let (config, seen) = source.read_once();
    match config {
        Ok(config) => in_runtime(serve::run(config, source, seen)),
        Err(faults) => nothing_started(&faults),
    }
}

fn nothing_started(faults: &Faults) -> ExitCode {
    eprintln!("guardian-auth: the configuration has faults; nothing was started");
    for fault in faults.as_slice() {
        eprintln!("- {fault}");
    }
    ExitCode::from(EXIT_CONFIGURATION)
}

fn check(path: Option<&Path>) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = check::configuration(path, environment(), &mut out).and_then(|config| {
        let probes = runtime().map(|runtime| runtime.block_on(crate::app::probe(&config)));
        let probes = probes.unwrap_or_else(|error| vec![("runtime".to_owned(), Err(error.to_string()))]);
        check::dependencies(&probes, &mut out)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(out.flush());
            eprintln!("guardian-auth: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn in_runtime(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    match runtime() {
        Ok(runtime) => finish(runtime.block_on(command)),
        Err(error) => finish(Err(error.into())),
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guardian-auth: {error:#}");
            ExitCode::FAILURE
        }
    }
}
pub mod import;
#[cfg(feature = "dev")]
pub mod sample_logins;
