//! Importing a directory file: rows are read one by one, prepared and written in batches, and noted in the report.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::audit::{Event, Fact};
use crate::domain::directory::{GuardianRecord, Record, RowOutcome, SourceKey};
use crate::domain::directory_row::{self, Note, Reading};
use crate::domain::foreign_parameters::{ForeignParameters, MOST_FOREIGN_SETS};
use crate::domain::id::{AuditEventId, ChildId, GuardianId, SchoolId};
use crate::domain::identifier::LoginName;
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::password::HashParameters;
use crate::domain::time::Timestamp;
use crate::domain::user_name;
use crate::flows::national_id;
use crate::ports::clock::Clock;
use crate::ports::directory_file::{DirectoryRows, ImportReport, NotedRow, RowFate};
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{KnownRows, PreparedChild, PreparedGuardian, PreparedRow, PreparedSchool, Store};

/// Rows written in one transaction: few enough that a login never waits long for the store behind one.
const ROWS_PER_BATCH: usize = 500;
/// Bytes of lines in one batch: 500 rows of the greatest length would be 32 MiB.
const BYTES_PER_BATCH: usize = 1024 * 1024;
/// How often a batch is prepared anew when somebody else wrote the same rows meanwhile.
const ATTEMPTS_PER_BATCH: u32 = 5;

/// Imports directory files. One file is of one organization.
pub struct DirectoryImport {
    /// Where the rows go.
    pub store: Arc<dyn Store>,
    /// Seals national ids.
    pub vault: Arc<dyn KeyVault>,
    /// The time of the import.
    pub clock: Arc<dyn Clock>,
    /// Ids and user names.
    pub entropy: Arc<dyn Entropy>,
    /// The parameters of new hashes; all others are foreign.
    pub live_parameters: HashParameters,
}

/// How many rows met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// New.
    pub created: u64,
    /// Known, and something changed.
    pub updated: u64,
    /// Known, and the same.
    pub unchanged: u64,
    /// Not taken.
    pub rejected: u64,
    /// Can be taken; counted when a file is only checked.
    pub readable: u64,
    /// Things that staff should look at, in rows that were taken.
    pub findings: u64,
}

/// For people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, updated, unchanged, rejected, readable, findings } = self;
        if created + updated + unchanged == 0 {
            write!(
                f,
                "{readable} rows can be read, {rejected} cannot; {findings} findings. Nothing was written"
            )
        } else {
            write!(
                f,
                "{created} rows created, {updated} updated, {unchanged} unchanged, {rejected} rejected; {findings} findings"
            )
        }
    }
}

/// The import stopped half-way.
#[derive(Debug, thiserror::Error)]
#[error(
    "the import stopped: all rows before line {line} were handled, later ones were not. Import the whole file again \
     when the cause is gone; rows that are in stay as they are"
)]
pub struct Stopped {
    /// The first line that may not have been handled.
    pub line: u64,
    /// Why.
    #[source]
    pub cause: PortError,
}

impl DirectoryImport {
    /// Imports the rows. A bad row is noted and keeps no other row out; an import that stopped can be run again.
    ///
    /// # Errors
    /// [`Stopped`] if the file, the store or the report cannot be used any more.
    pub async fn run(
        &self,
        organization: &Organization,
        rows: &mut dyn DirectoryRows,
        report: &mut dyn ImportReport,
    ) -> Result<Summary, Stopped> {
        let mut batch = Batch { first_line: 1, ..Batch::default() };
        let mut summary = Summary::default();
        self.run_batches(organization, rows, report, &mut batch, &mut summary)
            .await
            .map_err(|cause| Stopped { line: batch.first_line, cause })?;
        Ok(summary)
    }

    async fn run_batches(
        &self,
        organization: &Organization,
        rows: &mut dyn DirectoryRows,
        report: &mut dyn ImportReport,
        batch: &mut Batch,
        summary: &mut Summary,
    ) -> Result<(), PortError> {
        let on = date(self.clock.now())?;
        let in_use = self.store.hash_parameters_in_use().await?;
        let in_use =
            in_use.into_iter().filter(|row| row.organization == organization.id).map(|row| row.parameters);
        let mut foreign = ForeignParameters::new(self.live_parameters, in_use);
        let mut audited = false;
        while let Some(row) = next_row(rows, organization, on, &mut foreign)? {
            if !batch.has_room_for(&row) {
                self.write(&organization.id, batch, &mut audited, report, summary).await?;
            }
            batch.add(row);
        }
        self.write(&organization.id, batch, &mut audited, report, summary).await
    }

    /// Writes a batch, notes what became of its rows and empties it.
    async fn write(
        &self,
        organization: &OrganizationId,
        batch: &mut Batch,
        audited: &mut bool,
        report: &mut dyn ImportReport,
        summary: &mut Summary,
    ) -> Result<(), PortError> {
        let records: Vec<&Record> = batch.rows.iter().filter_map(|row| row.record.as_ref()).collect();
        let mut outcomes = Vec::new();
        if !records.is_empty() {
            if !*audited {
                // Before the first row: an event too many can be explained, one too few cannot.
                let event = self.event(organization, Fact::DirectoryImported);
                self.store.record_events(&[event]).await?;
                *audited = true;
            }
            outcomes = self.write_records(organization, &records).await?;
        }
        let mut outcomes = outcomes.into_iter();
        for row in batch.rows.drain(..) {
            let outcome = row.record.as_ref().and_then(|_| outcomes.next());
            let row = row.noted(outcome);
            batch.first_line = row.line + 1;
            note(&row, report, summary)?;
        }
        batch.bytes = 0;
        batch.keys.clear();
        Ok(())
    }

    async fn write_records(
        &self,
        organization: &OrganizationId,
        records: &[&Record],
    ) -> Result<Vec<RowOutcome>, PortError> {
        let keys: Vec<SourceKey> = records.iter().map(|record| record.key().clone()).collect();
        let mut attempt = 1;
        loop {
            let known = self.store.known_rows(organization, &keys).await?;
            let at = self.clock.now();
            let prepared = records
                .iter()
                .map(|record| self.prepare(organization, record, &known, at))
                .collect::<Result<Vec<PreparedRow>, PortError>>()?;
            let removal = self.event(organization, Fact::CredentialRemoved);
            match self.store.import_rows(organization, &prepared, at, &removal).await {
                Ok(outcomes) if outcomes.len() == records.len() => return Ok(outcomes),
                Ok(_) => return Err(PortError::Corrupt("the store lost count of a batch's rows".to_owned())),
                Err(PortError::Conflict(_)) if attempt < ATTEMPTS_PER_BATCH => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn prepare(
        &self,
        organization: &OrganizationId,
        record: &Record,
        known: &KnownRows,
        at: Timestamp,
    ) -> Result<PreparedRow, PortError> {
        let random = || random_bytes(self.entropy.as_ref());
        Ok(match record {
            Record::School(record) => {
                let id = known.schools.get(&record.key).cloned();
                let id = id.unwrap_or_else(|| SchoolId::new(at, random()));
                PreparedRow::School(PreparedSchool { id, record: record.clone() })
            }
            Record::Child(record) => {
                let id = known.children.get(&record.key).cloned();
                let id = id.unwrap_or_else(|| ChildId::new(at, random()));
                PreparedRow::Child(PreparedChild { id, record: record.clone() })
            }
            Record::Guardian(record) => {
                let id = known.guardians.get(&record.key).cloned();
                let id = id.unwrap_or_else(|| GuardianId::new(at, random()));
                let mut record = GuardianRecord::clone(record);
                record.spare_user_names = self.spare_user_names(&record)?;
                let national_id = record.national_id.take();
                let national_id = national_id
                    .map(|number| national_id::seal(self.vault.as_ref(), organization, &id, &number));
                PreparedRow::Guardian(Box::new(PreparedGuardian { id, record, national_id }))
            }
        })
    }

    /// A user name for each portal at which the guardian has a login name that another guardian may have already.
    fn spare_user_names(&self, record: &GuardianRecord) -> Result<Vec<(Portal, LoginName)>, PortError> {
        let mut portals: Vec<Portal> = record.logins.iter().map(|login| login.portal).collect();
        portals.sort_unstable();
        portals.dedup();
        let name = |portal| {
            user_name::generate(random_bytes(self.entropy.as_ref()))
                .map(|name| (portal, name))
                .map_err(|rejection| PortError::Corrupt(rejection.reason().to_owned()))
        };
        portals.into_iter().map(name).collect()
    }

    fn event(&self, organization: &OrganizationId, fact: Fact) -> Event {
        let at = self.clock.now();
        Event {
            id: AuditEventId::new(at, random_bytes(self.entropy.as_ref())),
            at,
            organization: organization.clone(),
            portal: None,
            fact,
            guardian: None,
            session: None,
            reference: None,
            caller: "import".to_owned(),
            address: None,
            user_agent: String::new(),
            known_device: false,
            staff: None,
            child: None,
            detail: None,
        }
    }
}

/// Reads a file as the import does and notes what is wrong with it; writes nothing and needs no store. So it cannot see
/// what depends on other rows: unknown children and schools, login names and numbers that somebody else has.
///
/// # Errors
/// [`Stopped`] if the file or the report cannot be used any more.
pub fn check(
    organization: &Organization,
    live_parameters: HashParameters,
    at: Timestamp,
    rows: &mut dyn DirectoryRows,
    report: &mut dyn ImportReport,
) -> Result<Summary, Stopped> {
    let mut summary = Summary::default();
    let mut line = 1;
    let mut check = || {
        let on = date(at)?;
        let mut foreign = ForeignParameters::new(live_parameters, []);
        while let Some(row) = next_row(rows, organization, on, &mut foreign)? {
            line = row.line;
            note(&row.noted(None), report, &mut summary)?;
        }
        Ok(())
    };
    check().map_err(|cause| Stopped { line, cause })?;
    Ok(summary)
}

/// The day in UTC. It matters to the century of a number whose owner is born today: no guardian is.
pub(super) fn date(at: Timestamp) -> Result<Date, PortError> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis());
    at.map(|at| at.to_zoned(TimeZone::UTC).date())
        .map_err(|_| PortError::Corrupt("the clock's time is no date".to_owned()))
}

/// A row that was read and is not written yet.
struct Row {
    line: u64,
    bytes: usize,
    kind: &'static str,
    /// Nothing if there are faults.
    record: Option<Record>,
    faults: Vec<Note>,
    findings: Vec<Note>,
}

impl Row {
    /// The row with what the store made of it; without an outcome it was only read.
    fn noted(self, outcome: Option<RowOutcome>) -> NotedRow {
        let Self { line, kind, record, mut faults, mut findings, .. } = self;
        let (fate, more) = match outcome {
            Some(RowOutcome::Created(more)) => (RowFate::Created, more),
            Some(RowOutcome::Updated(more)) => (RowFate::Updated, more),
            Some(RowOutcome::Unchanged(more)) => (RowFate::Unchanged, more),
            Some(RowOutcome::Rejected(more)) => (RowFate::Rejected, more),
            None if record.is_some() => (RowFate::Readable, Vec::new()),
            None => (RowFate::Rejected, Vec::new()),
        };
        let notes = if fate == RowFate::Rejected { &mut faults } else { &mut findings };
        notes.extend(more.into_iter().map(Note::from));
        NotedRow { line, kind, fate, faults, findings }
    }
}

fn next_row(
    rows: &mut dyn DirectoryRows,
    organization: &Organization,
    on: Date,
    foreign: &mut ForeignParameters,
) -> Result<Option<Row>, PortError> {
    let Some(line) = rows.next_line()? else {
        return Ok(None);
    };
    let Reading { kind, mut record, faults, mut findings } = match line.row {
        Ok(row) => directory_row::read(row, organization, on),
        Err(why) => Reading::unreadable(why),
    };
    if let Some(Record::Guardian(guardian)) = &mut record
        && let Some(password) = &guardian.password
        && !foreign.admit(password.hash.parameters())
    {
        guardian.password = None;
        findings.push(Note {
            field: "password.hash".to_owned(),
            code: "too_many_parameter_sets",
            message: format!(
                "The organization has hashes of {MOST_FOREIGN_SETS} other costs already, and each slows every login. \
                 The guardian is taken without a password."
            )
            .into(),
        });
    }
    Ok(Some(Row { line: line.number, bytes: line.bytes, kind, record, faults, findings }))
}

/// Counts a row, and has it noted if there is something to say.
fn note(row: &NotedRow, report: &mut dyn ImportReport, summary: &mut Summary) -> Result<(), PortError> {
    let count = match row.fate {
        RowFate::Created => &mut summary.created,
        RowFate::Updated => &mut summary.updated,
        RowFate::Unchanged => &mut summary.unchanged,
        RowFate::Rejected => &mut summary.rejected,
        RowFate::Readable => &mut summary.readable,
    };
    *count += 1;
    if row.fate != RowFate::Rejected {
        summary.findings += row.findings.len() as u64;
    }
    if row.faults.is_empty() && row.findings.is_empty() { Ok(()) } else { report.note(row) }
}

/// Rows that are written together.
#[derive(Default)]
struct Batch {
    /// The first line that was not handled yet.
    first_line: u64,
    rows: Vec<Row>,
    bytes: usize,
    /// A key comes once in a batch: each row of a batch has an id of its own.
    keys: HashSet<(&'static str, SourceKey)>,
}

impl Batch {
    fn has_room_for(&self, row: &Row) -> bool {
        let fits = self.rows.len() < ROWS_PER_BATCH && self.bytes + row.bytes <= BYTES_PER_BATCH;
        let repeated =
            row.record.as_ref().is_some_and(|record| self.keys.contains(&(row.kind, record.key().clone())));
        fits && !repeated
    }

    fn add(&mut self, row: Row) {
        self.bytes += row.bytes;
        self.keys.extend(row.record.as_ref().map(|record| (row.kind, record.key().clone())));
        self.rows.push(row);
    }
}
