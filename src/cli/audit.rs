//! `audit`: whether the audit log is what was written.

use std::io::{self, Write};

use anyhow::bail;
use clap::Subcommand;

use crate::app;
use crate::config::Config;
use crate::domain::audit_chain::KeptHead;
use crate::flows::audit_verify::ChainReport;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Read the whole log and tell every event that was changed, taken away, moved, or put in. Exit 0 if there is none.
    Verify {
        /// The chain must still contain this head, which an earlier run printed and which was kept elsewhere. May be
        /// repeated.
        #[arg(long, value_name = "ORGANIZATION:POSITION:DIGEST", value_parser = kept_head)]
        at_least: Vec<KeptHead>,
    },
}

fn kept_head(text: &str) -> Result<KeptHead, String> {
    KeptHead::parse(text)
        .ok_or_else(|| "not ORGANIZATION:POSITION:DIGEST as `audit verify` prints it".to_owned())
}

/// Runs the command and prints what was found.
///
/// # Errors
/// If the store is away, or something is wrong with the log.
pub async fn run(config: Config, command: AuditCommand) -> anyhow::Result<()> {
    let AuditCommand::Verify { at_least } = command;
    let reports = app::audit_verify(&config).await?.run(&at_least).await?;
    print(&reports, &mut io::stdout().lock())?;
    let faults: u64 = reports.iter().map(|report| report.faults_in_all).sum();
    if faults > 0 {
        bail!("the audit log is not what was written: {faults} fault(s)");
    }
    Ok(())
}

/// A line for each organization: name, events, and the head to keep; below it the faults.
///
/// # Errors
/// If the output cannot be written.
pub fn print(reports: &[ChainReport], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let name = report.organization.as_str();
        write!(out, "{name}: {} events", report.events)?;
        if report.waiting > 0 {
            write!(out, ", {} not chained yet", report.waiting)?;
        }
        match report.end {
            Some(end) => {
                writeln!(out, ", head {}", KeptHead { organization: report.organization.clone(), end })?;
            }
            None => writeln!(out, ", no head")?,
        }
        for fault in &report.faults {
            writeln!(out, "{name}: {fault}")?;
        }
        let untold = report.faults_in_all - report.faults.len() as u64;
        if untold > 0 {
            writeln!(out, "{name}: and {untold} more")?;
        }
    }
    out.flush()
}
