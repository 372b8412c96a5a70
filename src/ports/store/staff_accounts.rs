//! The store's part in keeping accounts of staff: who is invited, with what role, for which schools.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::id::{GuardianId, SchoolId};
use crate::domain::identifier::{Email, LoginName, Mobile};
use crate::domain::message::NewMessage;
use crate::domain::organization::OrganizationId;
use crate::domain::passphrase::Locale;
use crate::domain::staff::{Role, School, Scope, StaffAccount};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

use super::directory_import::SealedNationalId;
use super::fallback_credential::NewActivation;
use super::session::Ended;
use super::staff::{Act, Acted};

/// An account of staff to be made, with the link that its owner chooses a password with.
#[derive(Clone, Debug)]
pub struct NewStaff {
    /// Its id.
    pub id: GuardianId,
    /// The organization.
    pub organization: OrganizationId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// E-mail address.
    pub email: Email,
    /// Mobile number.
    pub mobile: Mobile,
    /// Language of messages.
    pub locale: Locale,
    /// The name to log in with.
    pub user_name: LoginName,
    /// The role.
    pub role: Role,
    /// For whom.
    pub scope: Scope,
    /// By what an eID finds the account, and its digests under every key.
    pub identifier: Option<(SealedNationalId, Vec<[u8; 32]>)>,
    /// Support persons that a school may have.
    pub most_support_persons: u32,
    /// Who invited, if it was not the command line.
    pub invited_by: Option<GuardianId>,
    /// The right to choose a password.
    pub activation: NewActivation,
    /// The messages with the link.
    pub messages: Vec<NewMessage>,
    /// When.
    pub at: Timestamp,
}

/// What came of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddStaffOutcome {
    /// The account is there.
    Added,
    /// Another account of staff has the name.
    UserNameTaken,
    /// Another account of staff has the identifier.
    IdentifierTaken(GuardianId),
    /// The organization has no such school.
    NoSchool(SchoolId),
    /// The school has as many support persons as it may have.
    LimitReached(SchoolId),
}

/// A change of a member's rights, as it was decided on.
#[derive(Clone, Debug)]
pub struct StaffChange {
    /// The member.
    pub staff: GuardianId,
    /// The member's revision as it was read: nothing happens if it is another by now.
    pub revision: i64,
    /// What becomes of the rights.
    pub to: StaffRightsChange,
    /// Support persons that a school may have.
    pub most_support_persons: u32,
}

/// What becomes of a member's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaffRightsChange {
    /// Another role and scope.
    Role(Role, Scope),
    /// None any more: sessions, password, links and codes go.
    Deactivated,
    /// The same as before the deactivation.
    Reactivated,
}

/// What came of a change of rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaffChangeOutcome {
    /// It is made; these sessions ended.
    Changed(Ended),
    /// The member is not as it was read.
    ChangedMeanwhile,
    /// It would leave the organization without an active administrator.
    LastAdministrator,
    /// The organization has no such school.
    NoSchool(SchoolId),
    /// The school has as many support persons as it may have.
    LimitReached(SchoolId),
}

/// A new link for a member.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The member.
    pub staff: GuardianId,
    /// The right to choose a password; what waited before ends.
    pub activation: NewActivation,
    /// The messages with the link.
    pub messages: Vec<NewMessage>,
}

/// Which members are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffFilter {
    /// The organization.
    pub organization: OrganizationId,
    /// Only those who have a school in common with this member.
    pub beside: Option<GuardianId>,
    /// Only administrators and operators.
    pub only_administrators: bool,
    /// Only those of this school.
    pub school: Option<SchoolId>,
    /// Deactivated ones too.
    pub with_deactivated: bool,
}

/// Keeps accounts of staff.
#[async_trait]
pub trait StaffStore: Send + Sync {
    /// Makes an account.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_staff(&self, act: &Act, new: &NewStaff) -> Result<Acted<AddStaffOutcome>, PortError>;

    /// Makes an account at the command line: the first of its role, or another one `even_so`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn bootstrap_staff(
        &self,
        new: &NewStaff,
        event: &Event,
        even_so: bool,
    ) -> Result<BootstrapOutcome, PortError>;

    /// Replaces the link of an active member; false if there is none.
    ///
    /// # Errors
    /// [`PortError`].
    async fn renew_invitation(&self, act: &Act, new: &NewInvitation) -> Result<Acted<bool>, PortError>;

    /// An account of staff of the organization.
    ///
    /// # Errors
    /// [`PortError`].
    async fn staff_account(
        &self,
        organization: &OrganizationId,
        staff: &GuardianId,
    ) -> Result<Option<StaffAccount>, PortError>;

    /// Accounts of staff, by id, from behind `after`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn list_staff(
        &self,
        filter: &StaffFilter,
        after: Option<&GuardianId>,
        limit: u32,
    ) -> Result<Vec<StaffAccount>, PortError>;

    /// Changes a member's rights, with all that hangs on them.
    ///
    /// # Errors
    /// [`PortError`].
    async fn change_staff(
        &self,
        act: &Act,
        change: &StaffChange,
    ) -> Result<Acted<StaffChangeOutcome>, PortError>;

    /// Which of these schools have fewer active support persons than `least`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn understaffed(&self, schools: &[SchoolId], least: u32) -> Result<Vec<SchoolId>, PortError>;

    /// Schools of the organization, by id, from behind `after`; only those of a member if one is given.
    ///
    /// # Errors
    /// [`PortError`].
    async fn list_schools(
        &self,
        organization: &OrganizationId,
        of: Option<&GuardianId>,
        after: Option<&SchoolId>,
        limit: u32,
    ) -> Result<Vec<School>, PortError>;
}

/// What came of an account made at the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootstrapOutcome {
    /// As an invitation.
    Looked(AddStaffOutcome),
    /// There are active members of this role already: they can invite.
    NotFirst(i64),
}
