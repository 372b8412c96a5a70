//! Importing a directory file: what the rows may hold, what is said of bad ones, what is in the store afterwards.

mod home;
mod rows;
mod samples;
mod store;

/// The generator of the samples, to see that they are what it writes.
#[path = "../../../examples/make_directory"]
mod make_directory {
    pub mod kommun;
    mod numbers;
    pub mod opvang;
    mod rows;
}

use guardian_auth::adapters::directory_file::DirectoryFile;
use guardian_auth::domain::identifier::Region;
use guardian_auth::domain::limits::LimitPolicy;
use guardian_auth::domain::organization::{Organization, OrganizationId, Portal, SessionPolicy};
use guardian_auth::domain::password::{HashParameters, PasswordPolicy};
use guardian_auth::domain::staff::StaffPolicy;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::flows::directory_import::{Summary, check};
use guardian_auth::ports::directory_file::{ImportReport, NotedRow};
use guardian_auth::ports::error::PortError;

fn organization(id: &str, region: Region) -> Organization {
    Organization {
        id: OrganizationId::parse(id).expect("a short name"),
        display_name: id.to_owned(),
        region,
        strip_leading_zeros: false,
        portals: vec![Portal::Parent, Portal::Childminder, Portal::Staff],
        password: PasswordPolicy::default(),
        session: SessionPolicy::default(),
        limits: LimitPolicy::default(),
        correspondence: None,
        reset: None,
        bankid: None,
        oidc: Vec::new(),
        staff: StaffPolicy::default(),
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Noted(Vec<NotedRow>);

impl ImportReport for Noted {
    fn note(&mut self, row: &NotedRow) -> Result<(), PortError> {
        self.0.push(row.clone());
        Ok(())
    }
}

impl Noted {
    /// Line, field and code of all notes: faults with `!` in front, findings with `?`.
    fn notes(&self) -> Vec<String> {
        let of = |row: &NotedRow| -> Vec<String> {
            let faults = row.faults.iter().map(|note| ('!', note));
            let findings = row.findings.iter().map(|note| ('?', note));
            faults
                .chain(findings)
                .map(|(mark, note)| format!("{}{mark} {}: {}", row.line, note.field, note.code))
                .collect()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// Checks a file without a store on the day of the test vectors.
fn checked(region: Region, file: &[u8]) -> (Summary, Noted) {
    let at = Timestamp::from_millis(1_795_262_400_000);
    let mut report = Noted::default();
    let organization = organization("sample-kommun", region);
    let live = HashParameters::default();
    let summary = check(&organization, live, at, &mut DirectoryFile::new(file), &mut report);
    (summary.expect("the file is read to its end"), report)
}
