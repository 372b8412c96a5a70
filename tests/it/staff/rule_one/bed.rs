//! A service with staff of every role, at which many sequences run.

use std::sync::atomic::AtomicUsize;

use guardian_auth::app;
use guardian_auth::cli::import;
use guardian_auth::config::Config;
use guardian_auth::domain::staff::Role;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::case::Case;
use super::steps::Step;
use super::{SCHOOLS, STAFF};
use crate::change_password::roomy;
use crate::support::service::{Calls, KOMMUN, OPVANG, Parts, Service};
use crate::support::staff::{Staff, hire, hire_with_password};

pub struct Actor {
    pub staff: Staff,
    pub role: Role,
    /// The one school, or the whole organization.
    pub school: Option<usize>,
    pub is_strong: bool,
}

impl Actor {
    /// Whether the role and the session allow a change in this organization at all.
    pub fn may_change(&self, organization: &str) -> bool {
        let role = match self.role {
            Role::OrganizationAdministrator | Role::SchoolAdministrator => true,
            Role::PlatformOperator | Role::SupportPerson => false,
        };
        role && self.is_strong && self.staff.organization == organization
    }

    pub fn is_at(&self, school: usize) -> bool {
        self.school.is_none_or(|own| own == school)
    }
}

/// A service with staff, for many cases: each has guardians and children of its own.
pub struct Bed {
    pub service: Service,
    pub staff: Vec<Actor>,
    pub portals: [Calls; 2],
    pub cases: AtomicUsize,
    /// Logins that succeeded.
    pub logins: AtomicUsize,
}

pub fn unlimited(config: &mut Config) {
    roomy(config);
    for organization in &mut config.organizations {
        organization.staff.issues_per_hour = 100_000;
    }
}

impl Bed {
    pub async fn start(parts: Parts) -> Self {
        let service = Service::start_with(parts, unlimited).await;
        for organization in [KOMMUN, OPVANG] {
            let school = |key: &&str| json!({"type": "school", "key": key, "name": format!("School {key}")});
            service.import(organization, &SCHOOLS.iter().map(school).collect::<Vec<_>>()).await;
        }
        let everybody: [(&str, Role, Option<usize>, bool); STAFF] = [
            (KOMMUN, Role::OrganizationAdministrator, None, true),
            (KOMMUN, Role::SchoolAdministrator, Some(0), true),
            (KOMMUN, Role::SchoolAdministrator, Some(1), true),
            (KOMMUN, Role::OrganizationAdministrator, None, false),
            (KOMMUN, Role::SchoolAdministrator, Some(0), false),
            (KOMMUN, Role::SupportPerson, Some(0), true),
            (KOMMUN, Role::SupportPerson, None, true),
            (KOMMUN, Role::PlatformOperator, None, true),
            (OPVANG, Role::OrganizationAdministrator, None, true),
            (OPVANG, Role::SchoolAdministrator, Some(0), true),
        ];
        let mut staff = Vec::new();
        for (organization, role, school, is_strong) in everybody {
            let schools: Vec<&str> = school.iter().map(|school| SCHOOLS[*school]).collect();
            let member = if is_strong {
                hire(&service, organization, role, &schools).await
            } else {
                hire_with_password(&service, organization, role, &schools).await
            };
            staff.push(Actor { staff: member, role, school, is_strong });
        }
        let portals = [service.portal(KOMMUN).await, service.portal(OPVANG).await];
        Self { service, staff, portals, cases: AtomicUsize::new(0), logins: AtomicUsize::new(0) }
    }

    /// Rows of a source, taken or not.
    pub async fn import(&self, organization: &str, rows: &[Value]) {
        let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let config = self.service.config();
        let flow = app::directory_import(&config).await.unwrap();
        let organization = app::organization(&config, organization).unwrap();
        let mut rows = app::directory_rows(std::io::Cursor::new(text.into_bytes()));
        import::quietly(&flow, organization, rows.as_mut()).await.unwrap();
    }

    pub async fn run(&self, steps: &[Step]) -> Result<(), TestCaseError> {
        let mut case = Case::begin(self).await;
        for (number, step) in steps.iter().enumerate() {
            let checked = match case.take(*step).await {
                Ok(()) => case.check().await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = checked {
                let transcript = case.transcript.join("\n  ");
                return Err(TestCaseError::fail(format!("after step {number}: {fault}\n  {transcript}")));
            }
        }
        Ok(())
    }
}
