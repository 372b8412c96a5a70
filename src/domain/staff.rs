//! Staff: what each role may do, for which schools, and with how strong a login.

use super::id::{GuardianId, SchoolId};
use super::organization::{OrganizationId, Portal};
use super::passphrase::Locale;
use super::session::Method;
use super::time::Timestamp;

/// What a staff member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The platform team: appoints organization administrators in every organization, and sees no guardian.
    PlatformOperator,
    /// Everything in one organization.
    OrganizationAdministrator,
    /// Checks relations and issues credentials, for the guardians of some schools.
    SchoolAdministrator,
    /// Finds out why a guardian cannot log in: looks, and changes nothing.
    SupportPerson,
}

/// Whose accounts: one person may have one in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Realm {
    /// Those of guardians, at the portals `parent` and `childminder`.
    Guardians,
    /// Those of staff, at the portal `staff`.
    Staff,
}

impl Realm {
    /// Whose accounts a portal is for.
    pub const fn of(portal: Portal) -> Self {
        match portal {
            Portal::Parent | Portal::Childminder => Self::Guardians,
            Portal::Staff => Self::Staff,
        }
    }
}

/// A kind of work. Each rpc of a staff service is one; `grpc::access` says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// See one's own account and schools.
    SeeOneself,
    /// See other staff.
    SeeStaff,
    /// Invite, change and deactivate staff.
    ManageStaff,
    /// Search guardians and children, look at them and at what happened to them.
    Look,
    /// Find accounts and children that are there twice.
    FindDuplicates,
    /// See national ids in clear.
    ShowNationalIds,
    /// Add, confirm and remove child links; change numbers; lock and unlock; merge.
    Correct,
    /// Confirm and remove contracts of childminders.
    ManageContracts,
    /// Issue and revoke fallback credentials, and let a colleague issue more.
    Issue,
    /// Hand out or erase everything about a person.
    AnswerDataSubject,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [
        Self::PlatformOperator,
        Self::OrganizationAdministrator,
        Self::SchoolAdministrator,
        Self::SupportPerson,
    ];

    /// The name in the store, in configuration and in metadata of errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformOperator => "platform_operator",
            Self::OrganizationAdministrator => "organization_administrator",
            Self::SchoolAdministrator => "school_administrator",
            Self::SupportPerson => "support_person",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether the role does this kind of work at all. Scope and strength of the login are looked at besides.
    pub const fn may(self, task: Task) -> bool {
        match self {
            Self::PlatformOperator => {
                matches!(task, Task::SeeOneself | Task::SeeStaff | Task::ManageStaff)
            }
            Self::OrganizationAdministrator => true,
            Self::SchoolAdministrator => match task {
                Task::SeeOneself
                | Task::SeeStaff
                | Task::Look
                | Task::FindDuplicates
                | Task::ShowNationalIds
                | Task::Correct
                | Task::Issue => true,
                Task::ManageStaff | Task::ManageContracts | Task::AnswerDataSubject => false,
            },
            Self::SupportPerson => matches!(task, Task::SeeOneself | Task::Look),
        }
    }

    /// Whom the role may invite, change and deactivate. Operators see to administrators only: they are to have no way
    /// to guardians but in the open.
    pub const fn may_appoint(self, other: Self) -> bool {
        match (self, other) {
            (Self::PlatformOperator, Self::PlatformOperator | Self::OrganizationAdministrator)
            | (
                Self::OrganizationAdministrator,
                Self::OrganizationAdministrator | Self::SchoolAdministrator | Self::SupportPerson,
            ) => true,
            (
                Self::PlatformOperator
                | Self::OrganizationAdministrator
                | Self::SchoolAdministrator
                | Self::SupportPerson,
                _,
            ) => false,
        }
    }
}

impl Task {
    /// All kinds of work.
    pub const ALL: [Self; 10] = [
        Self::SeeOneself,
        Self::SeeStaff,
        Self::ManageStaff,
        Self::Look,
        Self::FindDuplicates,
        Self::ShowNationalIds,
        Self::Correct,
        Self::ManageContracts,
        Self::Issue,
        Self::AnswerDataSubject,
    ];

    /// Whether it needs a session by eID: what changes something, or shows a number. A password may be known to others
    /// (ASVS 5.0 §6.4.4: staff can help a guardian in, so staff must not be easier to become than a guardian).
    pub const fn needs_eid(self) -> bool {
        match self {
            Self::SeeOneself | Self::SeeStaff | Self::Look | Self::FindDuplicates => false,
            Self::ManageStaff
            | Self::ShowNationalIds
            | Self::Correct
            | Self::ManageContracts
            | Self::Issue
            | Self::AnswerDataSubject => true,
        }
    }
}

/// For whom a staff member works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody in the organization.
    Organization,
    /// The guardians and children of these schools; never empty.
    Schools(Vec<SchoolId>),
}

impl Scope {
    /// The schools of a role, as asked for; `None` if the role does not go with them.
    pub fn of(role: Role, schools: Vec<SchoolId>) -> Option<Self> {
        match (role, schools.is_empty()) {
            (Role::PlatformOperator | Role::OrganizationAdministrator | Role::SupportPerson, true) => {
                Some(Self::Organization)
            }
            (Role::SchoolAdministrator | Role::SupportPerson, false) => Some(Self::Schools(schools)),
            (Role::SchoolAdministrator, true)
            | (Role::PlatformOperator | Role::OrganizationAdministrator, false) => None,
        }
    }

    /// The schools; empty for the whole organization.
    pub fn schools(&self) -> &[SchoolId] {
        match self {
            Self::Organization => &[],
            Self::Schools(schools) => schools,
        }
    }

    /// Whether the school is in it.
    pub fn covers(&self, school: &SchoolId) -> bool {
        match self {
            Self::Organization => true,
            Self::Schools(schools) => schools.contains(school),
        }
    }
}

/// An account of staff. No national id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffAccount {
    /// Its id.
    pub id: GuardianId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// E-mail address as it was given.
    pub email: String,
    /// Mobile number as it was given.
    pub mobile: String,
    /// Language of messages.
    pub locale: Locale,
    /// The name to log in with.
    pub user_name: String,
    /// The role.
    pub role: Role,
    /// For whom.
    pub scope: Scope,
    /// Whether the member may work.
    pub is_active: bool,
    /// Changes with role, scope and state.
    pub revision: i64,
    /// The epoch that everything issued now carries.
    pub credential_epoch: i64,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether an eID finds the account.
    pub has_eid: bool,
    /// When the member was invited.
    pub invited: Timestamp,
}

/// A school as staff see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct School {
    /// Its id.
    pub id: SchoolId,
    /// Its name for people.
    pub name: String,
}

/// A staff member who may work now, with the session that shows it. Made by `flows::duty` alone; every flow that works
/// for staff asks for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDuty {
    /// The staff member's account.
    pub staff: GuardianId,
    /// The organization of the account.
    pub home: OrganizationId,
    /// The role.
    pub role: Role,
    /// For whom.
    pub scope: Scope,
    /// Changes with role, scope and state: the store looks at it once more in the transaction of each change.
    pub revision: i64,
    /// How the session began.
    pub method: Method,
    /// What the call is for.
    pub task: Task,
}

impl OnDuty {
    /// Whether the session is strong enough for the call in an organization with this policy: of two organizations that an
    /// operator has to do with, the stricter one counts.
    pub const fn is_strong_enough(&self, policy: &StaffPolicy) -> bool {
        !self.task.needs_eid() || self.may_change(policy)
    }

    /// Whether the session is strong enough for work that changes something.
    pub const fn may_change(&self, policy: &StaffPolicy) -> bool {
        match self.method {
            Method::Eid => true,
            Method::Password => policy.password_is_enough_because.is_some(),
        }
    }

    /// Whether the member may work in this organization: in the own one; operators appoint administrators in all.
    pub fn works_in(&self, organization: &OrganizationId) -> bool {
        self.home == *organization || self.role == Role::PlatformOperator
    }
}

/// How an organization works with staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffPolicy {
    /// Support persons that a school should have. Default 2 (`domain.md`: 2–5 per school).
    pub least_support_persons: u32,
    /// Support persons that a school may have. Default 5.
    pub most_support_persons: u32,
    /// Credentials that one person issues in an hour before another administrator must approve. Default 60.
    pub issues_per_hour: u32,
    /// Why a session by password is enough for everything, in words; `None`: it is not.
    pub password_is_enough_because: Option<String>,
}

impl Default for StaffPolicy {
    fn default() -> Self {
        Self {
            least_support_persons: 2,
            most_support_persons: 5,
            issues_per_hour: 60,
            password_is_enough_because: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_operator_has_no_way_to_guardians() {
        for task in Task::ALL {
            let sees_guardians = match task {
                Task::SeeOneself | Task::SeeStaff | Task::ManageStaff => false,
                Task::Look
                | Task::FindDuplicates
                | Task::ShowNationalIds
                | Task::Correct
                | Task::ManageContracts
                | Task::Issue
                | Task::AnswerDataSubject => true,
            };
            assert_eq!(Role::PlatformOperator.may(task), !sees_guardians, "{task:?}");
        }
    }

    #[test]
    fn a_support_person_changes_nothing() {
        for task in Task::ALL.into_iter().filter(|task| Role::SupportPerson.may(*task)) {
            assert!(!task.needs_eid(), "{task:?}");
        }
    }

    #[test]
    fn nobody_appoints_above_the_own_role() {
        for role in [Role::SchoolAdministrator, Role::SupportPerson] {
            assert!(Role::ALL.into_iter().all(|other| !role.may_appoint(other)));
        }
        assert!(!Role::OrganizationAdministrator.may_appoint(Role::PlatformOperator));
        assert!(!Role::PlatformOperator.may_appoint(Role::SchoolAdministrator));
        assert!(!Role::PlatformOperator.may_appoint(Role::SupportPerson));
    }

    #[test]
    fn a_school_administrator_has_schools_and_an_organization_administrator_none() {
        let school = SchoolId::new(crate::domain::time::Timestamp::from_millis(0), [1; 10]);
        assert_eq!(Scope::of(Role::SchoolAdministrator, vec![]), None);
        assert_eq!(Scope::of(Role::OrganizationAdministrator, vec![school.clone()]), None);
        assert_eq!(Scope::of(Role::SupportPerson, vec![]), Some(Scope::Organization));
        assert_eq!(Scope::of(Role::SupportPerson, vec![school.clone()]), Some(Scope::Schools(vec![school])));
    }
}
