//! `guardian-auth import`: a directory file into the store, and a report for the people who can mend its rows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::app;
use crate::config::Config;
use crate::domain::directory_row::Note;
use crate::domain::organization::Organization;
use crate::domain::password::HashParameters;
use crate::domain::time::Timestamp;
use crate::flows::directory_import::{DirectoryImport, Stopped, Summary, check};
use crate::ports::directory_file::{DirectoryRows, ImportReport, NotedRow, RowFate};
use crate::ports::error::PortError;

/// Arguments of `guardian-auth import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The organization whose guardians these are, by its short name in the configuration
    #[arg(long, value_name = "ORGANIZATION")]
    pub organization: String,

    /// The directory file: JSON lines, see docs/directory-file.md
    #[arg(value_name = "FILE.jsonl")]
    pub file: PathBuf,

    /// Write the report to this file too, as JSON lines for programs
    #[arg(long, value_name = "FILE.jsonl")]
    pub report: Option<PathBuf>,

    /// Only check the file; write nothing to the store
    #[arg(long)]
    pub dry_run: bool,
}

impl ImportArgs {
    /// Opens the report that these arguments ask for; `out` is what people read.
    ///
    /// # Errors
    /// If the file of the report cannot be written.
    pub fn open_report<'w>(&self, out: &'w mut (dyn Write + Send)) -> anyhow::Result<Report<'w>> {
        let file = match &self.report {
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("the report {} cannot be written", path.display()))?;
                Some(BufWriter::new(file))
            }
            None => None,
        };
        Ok(Report { out, file })
    }
}

/// Imports the rows and says how it went. The command ends with 0 if the summary has no rejected row, else with 1.
///
/// # Errors
/// If the import stopped half-way.
pub async fn run(
    import: &DirectoryImport,
    organization: &Organization,
    rows: &mut dyn DirectoryRows,
    mut report: Report<'_>,
) -> anyhow::Result<Summary> {
    let outcome = import.run(organization, rows, &mut report).await;
    finish(outcome, report)
}

/// Checks the rows without a store and says what was found. Ends as [`run`] does.
///
/// # Errors
/// If the file cannot be read to its end.
pub fn dry_run(
    organization: &Organization,
    live_parameters: HashParameters,
    at: Timestamp,
    rows: &mut dyn DirectoryRows,
    mut report: Report<'_>,
) -> anyhow::Result<Summary> {
    let outcome = check(organization, live_parameters, at, rows, &mut report);
    finish(outcome, report)
}

/// Notes are written down also if the import stopped: they are of rows that are in.
fn finish(outcome: Result<Summary, Stopped>, mut report: Report<'_>) -> anyhow::Result<Summary> {
    let closed = report.close(outcome.as_ref().ok());
    let summary = outcome?;
    closed.context("the report cannot be written")?;
    Ok(summary)
}

/// Imports the rows without a report.
///
/// # Errors
/// If the import stopped half-way.
pub async fn quietly(
    import: &DirectoryImport,
    organization: &Organization,
    rows: &mut dyn DirectoryRows,
) -> anyhow::Result<Summary> {
    let mut nowhere = std::io::sink();
    Ok(import.run(organization, rows, &mut Report { out: &mut nowhere, file: None }).await?)
}

/// Runs the command: exit 0 if every row was taken, 1 if one was not.
///
/// # Errors
/// If rows were rejected, or the import stopped half-way.
pub async fn command(config: Config, args: ImportArgs) -> anyhow::Result<()> {
    let organization = app::organization(&config, &args.organization)?;
    let file = File::open(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let mut rows = app::directory_rows(file);
    let mut out = std::io::stdout();
    let report = args.open_report(&mut out)?;
    let summary = if args.dry_run {
        let (parameters, now) = (config.hash.parameters, app::Outside::of_this_machine().clock.now());
        dry_run(organization, parameters, now, rows.as_mut(), report)?
    } else {
        let import = app::directory_import(&config).await?;
        run(&import, organization, rows.as_mut(), report).await?
    };
    if summary.rejected > 0 {
        anyhow::bail!("{} row(s) were rejected", summary.rejected);
    }
    Ok(())
}

/// The report of an import: for people on standard output, and for programs in a file.
pub struct Report<'w> {
    out: &'w mut (dyn Write + Send),
    file: Option<BufWriter<File>>,
}

impl Report<'_> {
    fn write(&mut self, row: &NotedRow) -> std::io::Result<()> {
        for (severity, note) in notes(row) {
            let Note { field, code, message } = note;
            let path = if field == "row" { row.kind.to_owned() } else { format!("{}.{field}", row.kind) };
            let word = match row.fate {
                RowFate::Rejected => "rejected",
                RowFate::Readable => "can be taken, but",
                RowFate::Created | RowFate::Updated | RowFate::Unchanged => "taken, but",
            };
            writeln!(self.out, "line {}: {path}: {word}: {message}", row.line)?;
            if let Some(file) = &mut self.file {
                let line = json!({
                    "line": row.line,
                    "type": row.kind,
                    "outcome": row.fate.as_str(),
                    "severity": severity,
                    "field": field,
                    "code": code,
                    "message": message,
                });
                writeln!(file, "{line}")?;
            }
        }
        Ok(())
    }

    fn close(&mut self, summary: Option<&Summary>) -> std::io::Result<()> {
        if let Some(summary) = summary {
            let Summary { created, updated, unchanged, rejected, readable, findings } = summary;
            writeln!(self.out, "{summary}.")?;
            if let Some(file) = &mut self.file {
                let line = json!({"summary": {
                    "created": created,
                    "updated": updated,
                    "unchanged": unchanged,
                    "rejected": rejected,
                    "readable": readable,
                    "findings": findings,
                }});
                writeln!(file, "{line}")?;
            }
        }
        self.out.flush()?;
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// The notes of a row with their severity. Of a rejected row nothing was taken, so its findings are faults to people.
fn notes(row: &NotedRow) -> impl Iterator<Item = (&'static str, &Note)> {
    let rest = if row.fate == RowFate::Rejected { "fault" } else { "finding" };
    let faults = row.faults.iter().map(|note| ("fault", note));
    faults.chain(row.findings.iter().map(move |note| (rest, note)))
}

impl ImportReport for Report<'_> {
    fn note(&mut self, row: &NotedRow) -> Result<(), PortError> {
        self.write(row)
            .map_err(|error| PortError::Unavailable { dependency: "report", detail: error.to_string() })
    }
}
