//! The service benchmark: ratios of two things measured side by side in one run, so that the machine cancels out.
//!
//! `cargo bench --bench service -- --out FILE.json`. Server, client and database share the machine's cores. Each ratio
//! is the median of six pairs of windows of 5 s, one after the other. `--help` names the rest.

mod audit;
mod bare;
mod bed;
mod bulk;
mod clients;
mod database;
mod figures;
mod footprint;
mod guardians;
mod limiter;
mod login;
mod mail_server;
mod open_loop;
mod outbox;
mod overload;
mod population;
mod process;
mod provider_slow;
mod reseal;
mod reset;
mod scale;
mod search;
mod service;
mod traces;
mod verify;
mod windows;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use bed::Bed;
use figures::{FIGURES, Figure, Part, Results};
use windows::Timing;

/// Measures the service and prints each figure beside its target.
#[derive(Parser)]
struct Args {
    /// Write the figures to this file too: a flat JSON object of numbers
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Only these figures or parts, parted by commas
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    only: Vec<String>,
    /// A few seconds for each part: shows that it works, not how fast
    #[arg(long)]
    quick: bool,
    /// Measure this program, such as that of the container image, and not the one of this build
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_guardian-auth"), hide_default_value = true)]
    program: PathBuf,
    /// Exit with 1 if a target is missed
    #[arg(long)]
    check: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the benchmark starts itself as.
#[derive(Subcommand)]
enum Role {
    /// The bare server that `VerifySession` is compared with.
    #[command(hide = true)]
    BareServer,
    /// The mail server that takes what the service sends.
    #[command(hide = true)]
    MailServer {
        /// Where it listens on loopback.
        port: u16,
        /// Milliseconds before each answer.
        pause: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.role {
        Some(Role::BareServer) => bare::serve().await.map(|()| true),
        Some(Role::MailServer { port, pause }) => {
            mail_server::serve(port, Duration::from_millis(pause)).await.map(|()| true)
        }
        None => run(&args).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("service benchmark: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what is asked for. Says whether every part ran and, with `--check`, every target was met.
async fn run(args: &Args) -> anyhow::Result<bool> {
    let wanted = wanted(&args.only)?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let begun = Instant::now();
    let mut results = Results::default();
    // Dropping the work stops every server that it started.
    let finished = tokio::select! {
        () = parts(&wanted, args, &mut results) => true,
        _ = interrupt.recv() => false,
        _ = terminate.recv() => false,
    };
    results.print(&wanted);
    println!("{} s in all", begun.elapsed().as_secs());
    if let Some(path) = &args.out {
        let written = std::fs::write(path, results.json(&wanted));
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let sound = finished && results.failures.is_empty();
    Ok(sound && !(args.check && results.missed(&wanted)))
}

/// The figures that are asked for; each word is a key or the name of a part.
fn wanted(only: &[String]) -> anyhow::Result<Vec<&'static Figure>> {
    for word in only {
        let known = FIGURES.iter().any(|figure| figure.key == word || figure.part.name() == word);
        let names: Vec<_> = FIGURES.iter().map(|figure| figure.key).collect();
        anyhow::ensure!(known, "{word} is no figure and no part; the figures are {}", names.join(", "));
    }
    let asked = |figure: &&Figure| {
        only.is_empty() || only.iter().any(|word| figure.key == word || figure.part.name() == word)
    };
    Ok(FIGURES.iter().filter(asked).collect())
}

async fn parts(wanted: &[&'static Figure], args: &Args, results: &mut Results) {
    let timing = if args.quick { Timing::quick() } else { Timing::whole() };
    let bed = match Bed::new(&args.program) {
        Ok(bed) => bed,
        Err(error) => return results.failures.push(format!("{error:#}")),
    };
    for part in Part::ALL {
        let keys: Vec<&str> =
            wanted.iter().filter(|figure| figure.part == part).map(|figure| figure.key).collect();
        if keys.is_empty() {
            continue;
        }
        eprintln!("{}: {}", part.name(), keys.join(", "));
        let begun = Instant::now();
        let outcome = match part {
            Part::Login => login::sqlite(&bed, timing, results).await,
            Part::LoginPostgres => login::postgres(&bed, timing, results).await,
            Part::Verify => verify::sqlite(&bed, timing, results).await,
            Part::VerifyPostgres => verify::postgres(&bed, timing, results).await,
            Part::Limiter => limiter::run(&bed, timing, results).await,
            Part::Overload => overload::run(&bed, timing, results).await,
            Part::Scale => scale::run(&bed, timing, &keys, results).await,
            Part::Search => search::run(&bed, timing, &keys, results).await,
            Part::Footprint => footprint::run(&bed, timing, results).await,
            Part::Reset => reset::sqlite(&bed, timing, results).await,
            Part::ResetPostgres => reset::postgres(&bed, timing, results).await,
            Part::SmtpDown => reset::smtp_down(&bed, timing, results).await,
            Part::ProviderSlow => provider_slow::measure(&bed, timing, results).await,
            Part::Traces => traces::measure(&bed, timing, results).await,
            Part::Audit => audit::run(&bed, timing, results).await,
            Part::Reseal => reseal::run(&bed, timing, results).await,
            Part::Outbox => outbox::run(&bed, timing, results).await,
        };
        if let Err(error) = outcome {
            results.failures.push(format!("{}: {error:#}", part.name()));
        }
        eprintln!("  {:.0} s", begun.elapsed().as_secs_f64());
    }
}
