//! `guardian-auth import`: a directory file into the store, and a report for the people who can mend its rows.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use crate::app;
use crate::config::Config;
use crate::domain::directory_row::Note;
use crate::domain::password::HashParameters;
use crate::flows::directory_import::{Summary, check};
use crate::ports::directory_file::{ImportReport, NotedRow, RowFate};
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

/// Imports or checks the file.
///
/// # Errors
/// If rows were rejected, so that the command ends with 1; or if the import stopped half-way.
pub async fn run(config: Config, args: ImportArgs) -> anyhow::Result<()> {
    let organization = config.organizations.iter().find(|known| known.id.as_str() == args.organization);
    let organization = organization
        .with_context(|| format!("the configuration has no organization `{}`", args.organization))?;
    let file = File::open(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let mut rows = app::directory_rows(file);
    let mut out = io::stdout();
    let mut report = Report::open(&mut out, args.report.as_deref())?;
    let outcome = if args.dry_run {
        let live = HashParameters::new(config.hash.memory_kib, config.hash.passes, config.hash.lanes)?;
        check(organization, live, app::today(), &mut rows, &mut report)
    } else {
        app::directory_import(&config).await?.run(organization, &mut rows, &mut report).await
    };
    // Also if the import stopped: the notes are of rows that are in.
    let closed = report.close(outcome.as_ref().ok());
    let summary = outcome?;
    closed.context("the report cannot be written")?;
    if summary.rejected > 0 {
        bail!("{} rows were rejected; all others were taken", summary.rejected);
    }
    Ok(())
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

impl<'w> Report<'w> {
    /// A report for people to `out`, and one for programs to the file if there is one.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn open(out: &'w mut (dyn Write + Send), file: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("the report {} cannot be written", path.display()))
        };
        let file = file.map(create).transpose()?.map(BufWriter::new);
        Ok(Self { out, file })
    }

    fn write(&mut self, row: &NotedRow) -> io::Result<()> {
        for (severity, note) in notes(row) {
            let Note { field, code, message } = note;
            let path = if field == "row" { row.kind.to_owned() } else { format!("{}.{field}", row.kind) };
            let word = if severity == "fault" { "rejected" } else { "taken, but" };
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

    /// Writes the last line and whatever is still held back; without a summary the import stopped half-way.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn close(&mut self, summary: Option<&Summary>) -> io::Result<()> {
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
