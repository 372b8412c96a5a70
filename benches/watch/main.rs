//! The watch benchmark: thousands of guardians look at QR codes at the same time, on one process of the service.
//!
//! `cargo bench --bench watch -- --watches 10000 --orders 1000 --out FILE.json`. The service is a process of its own; the
//! simulated BankID and all browsers are in this one, on the same cores.

mod crowd;
mod installation;
#[path = "../service/process.rs"]
#[expect(dead_code, reason = "shared with the service benchmark, which uses the rest")]
mod process;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crowd::Crowd;
use installation::Installation;

/// Opens watches of BankID orders and measures what they cost and when their frames come.
#[derive(Parser)]
struct Args {
    /// Watches that are open at the same time
    #[arg(long, default_value_t = 10_000)]
    watches: usize,
    /// Orders that they watch
    #[arg(long, default_value_t = 1000)]
    orders: usize,
    /// Seconds that are measured once all are open
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections of the portal, each with its share of the watches
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// Write the figures to this file too: a flat JSON object of numbers
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Exit with 1 if a target is missed
    #[arg(long)]
    check: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// A figure: its key, what it is, the most that it may be, and what it was.
struct Figure {
    key: &'static str,
    what: &'static str,
    most: Option<f64>,
    measured: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("watch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<bool> {
    let installation = Installation::start(args.watches, args.connections).await?;
    let idle_mib = installation.process.memory_mib("VmRSS")?;
    eprintln!(
        "watch: {} orders, {} watches, over {} connections",
        args.orders, args.watches, args.connections
    );
    let crowd = Crowd::gather(&installation, args.orders, args.watches, args.connections).await?;
    let span = Duration::from_secs(args.seconds);
    let cpu = installation.process.cpu()?;
    let measured = crowd.measure(&installation, span).await?;
    let cores = installation.process.cpu()?.saturating_sub(cpu).as_secs_f64() / span.as_secs_f64();
    let mib = installation.process.memory_mib("VmRSS")?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let each_kib = (mib - idle_mib) * 1024.0 / args.watches as f64;
    let figures = [
        figure("watch_rss_mib", "resident memory of the service meanwhile, MiB", None, mib),
        figure("watch_kib_each", "of that for each watch, KiB", None, each_kib),
        figure("watch_cpu_cores", "processor time of the service, cores", None, cores),
        figure("watch_frames_per_s", "frames that came, each second", None, measured.frames_per_s),
        figure(
            "watch_lateness_p50_ms",
            "a frame after the second that it is of, ms",
            None,
            measured.lateness_p50_ms,
        ),
        figure("watch_lateness_p99_ms", "the same, 99 of 100", Some(250.0), measured.lateness_p99_ms),
        figure(
            "watch_collect_off_p99_ms",
            "how far from 2 s an order is asked for again, 99 of 100, ms",
            Some(300.0),
            measured.collect_off_p99_ms,
        ),
        figure(
            "watch_upstream_connections",
            "connections to BankID at most",
            Some(32.0),
            measured.connections,
        ),
    ];
    let mut all_met = true;
    for Figure { key, what, most, measured } in &figures {
        let met = most.is_none_or(|most| *measured <= most);
        all_met &= met;
        let target =
            most.map_or_else(String::new, |most| format!("<= {most}{}", if met { "" } else { "  MISSED" }));
        println!("{key:28} {measured:>12.1}  {target:18} {what}");
    }
    if let Some(path) = args.out {
        let object: serde_json::Map<_, _> =
            figures.iter().map(|figure| (figure.key.to_owned(), figure.measured.into())).collect();
        std::fs::write(path, serde_json::to_string_pretty(&object)?)?;
    }
    Ok(all_met || !args.check)
}

const fn figure(key: &'static str, what: &'static str, most: Option<f64>, measured: f64) -> Figure {
    Figure { key, what, most, measured }
}
