//! Staff: invited, listed, given other roles, deactivated.

mod invitations;

use std::sync::Arc;

use crate::domain::audit::Fact;
use crate::domain::id::{GuardianId, SchoolId};
use crate::domain::staff::{Role, School, Scope, StaffAccount, Task};
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{Ended, StaffChange, StaffChangeOutcome, StaffFilter, StaffRightsChange, Store};

use super::duty::{AtWork, Looked, Refused, looked};
use super::outbox::Wake;
use super::page_token;
pub use invitations::{Invitation, PrintedLink, StaffEid};

/// Why staff were not invited, shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The change was not looked at.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The role may not do this, or not to this member, or not to oneself.
    #[error("the role may not do this")]
    NotAllowed,
    /// There is no such member in the staff member's sight.
    #[error("no such member")]
    NoMember,
    /// The organization has no such school.
    #[error("no such school")]
    NoSchool,
    /// Another account of staff has the name.
    #[error("the user name is taken")]
    UserNameTaken,
    /// Another account of staff has the identifier.
    #[error("the identifier is taken")]
    IdentifierTaken(GuardianId),
    /// The school has as many support persons as it may have.
    #[error("the school has enough support persons")]
    LimitReached(SchoolId, u32),
    /// The organization would be left without an administrator.
    #[error("the last administrator")]
    LastAdministrator,
    /// The member was deactivated.
    #[error("the member is deactivated")]
    Deactivated,
    /// The member was changed by somebody else meanwhile.
    #[error("changed meanwhile")]
    ChangedMeanwhile,
    /// The organization has no way to send a link: no correspondence, or no page for it.
    #[error("links cannot be sent")]
    NoCorrespondence,
    /// A page token is none of this list.
    #[error("the page token is of no use here")]
    PageToken,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A page of a list.
pub struct Page<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// For the next page; `None` on the last one.
    pub next: Option<String>,
}

/// What the flow needs.
pub struct StaffAccounts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Seals identifiers, digests tokens.
    pub vault: Arc<dyn KeyVault>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Whether there is a way for text messages.
    pub sends_text_messages: bool,
    /// Tells the outbox that there is something to send.
    pub wake: Wake,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl StaffAccounts {
    /// The member at work, or another one in the member's sight.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn member(&self, work: &AtWork, staff: Option<&GuardianId>) -> Result<StaffAccount, Error> {
        let on_duty = &work.on_duty;
        match staff {
            Some(staff) if *staff != on_duty.staff => {
                if !on_duty.role.may(Task::SeeStaff) {
                    return Err(Error::NotAllowed);
                }
                let found = self.store.staff_account(&work.organization.id, staff).await?;
                found.filter(|found| sees(work, found)).ok_or(Error::NoMember)
            }
            // One's own account is at home, wherever one works.
            Some(_) | None => {
                let own = self.store.staff_account(&on_duty.home, &on_duty.staff).await?;
                own.ok_or(Error::NoMember)
            }
        }
    }

    /// A page of members in the staff member's sight.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(
        &self,
        work: &AtWork,
        school: Option<SchoolId>,
        with_deactivated: bool,
        page_size: u16,
        page_token: &str,
    ) -> Result<Page<StaffAccount>, Error> {
        let filter = StaffFilter {
            organization: work.organization.id.clone(),
            beside: (!work.on_duty.scope.schools().is_empty()).then(|| work.on_duty.staff.clone()),
            only_administrators: work.on_duty.role == Role::PlatformOperator,
            school,
            with_deactivated,
        };
        let school = filter.school.as_ref().map_or("", SchoolId::as_str).as_bytes();
        let flags = [u8::from(with_deactivated)];
        let context: [&[u8]; 4] = [b"staff", work.on_duty.staff.as_str().as_bytes(), school, &flags];
        let after = self.position(&context, page_token, GuardianId::parse)?;
        let rows = self.store.list_staff(&filter, after.as_ref(), u32::from(page_size) + 1).await?;
        Ok(self.page(rows, page_size, &context, |row| row.id.as_str()))
    }

    /// Gives a member another role and other schools. The member as it is then, and the schools that have too few support
    /// persons.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn change_role(
        &self,
        work: &AtWork,
        staff: &GuardianId,
        role: Role,
        scope: Scope,
    ) -> Result<(StaffAccount, Vec<SchoolId>), Error> {
        if !work.on_duty.role.may_appoint(role) {
            return Err(Error::NotAllowed);
        }
        let member = self.to_change(work, staff).await?;
        let mut schools = member.scope.schools().to_vec();
        schools.extend_from_slice(scope.schools());
        if (member.role, &member.scope) != (role, &scope) {
            let to = StaffRightsChange::Role(role, scope);
            self.change(work, &member, to, Fact::StaffRoleChanged, Some(role)).await?;
        }
        let member = self.store.staff_account(&work.organization.id, staff).await?;
        Ok((member.ok_or(Error::NoMember)?, self.understaffed(work, schools).await?))
    }

    /// Ends what a member may do. The schools that have too few support persons then.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn deactivate(&self, work: &AtWork, staff: &GuardianId) -> Result<Vec<SchoolId>, Error> {
        let member = self.to_change(work, staff).await?;
        if member.is_active {
            let to = StaffRightsChange::Deactivated;
            self.change(work, &member, to, Fact::StaffDeactivated, None).await?;
        }
        self.understaffed(work, member.scope.schools().to_vec()).await
    }

    /// Lets a member work again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn reactivate(&self, work: &AtWork, staff: &GuardianId) -> Result<StaffAccount, Error> {
        let member = self.to_change(work, staff).await?;
        if !member.is_active {
            let to = StaffRightsChange::Reactivated;
            self.change(work, &member, to, Fact::StaffReactivated, None).await?;
        }
        self.store.staff_account(&work.organization.id, staff).await?.ok_or(Error::NoMember)
    }

    /// A page of the schools that the member works for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn schools(
        &self,
        work: &AtWork,
        page_size: u16,
        page_token: &str,
    ) -> Result<Page<School>, Error> {
        let staff = &work.on_duty.staff;
        let own = (!work.on_duty.scope.schools().is_empty()).then_some(staff);
        let context: [&[u8]; 3] =
            [b"schools", staff.as_str().as_bytes(), work.organization.id.as_str().as_bytes()];
        let after = self.position(&context, page_token, SchoolId::parse)?;
        let limit = u32::from(page_size) + 1;
        let rows = self.store.list_schools(&work.organization.id, own, after.as_ref(), limit).await?;
        Ok(self.page(rows, page_size, &context, |row| row.id.as_str()))
    }

    /// Somebody else, whom the role may change.
    async fn to_change(&self, work: &AtWork, staff: &GuardianId) -> Result<StaffAccount, Error> {
        let found = self.store.staff_account(&work.organization.id, staff).await?;
        let found = found.filter(|found| sees(work, found)).ok_or(Error::NoMember)?;
        if found.id == work.on_duty.staff || !work.on_duty.role.may_appoint(found.role) {
            return Err(Error::NotAllowed);
        }
        Ok(found)
    }

    async fn change(
        &self,
        work: &AtWork,
        member: &StaffAccount,
        to: StaffRightsChange,
        fact: Fact,
        role: Option<Role>,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let most = work.organization.staff.most_support_persons;
        let change = StaffChange {
            staff: member.id.clone(),
            revision: member.revision,
            to,
            most_support_persons: most,
        };
        let mut event = work.event(self.entropy.as_ref(), now, fact, Some(&member.id));
        event.detail = role.map(|role| role.as_str().to_owned());
        match looked(self.store.change_staff(&work.act(now, vec![event]), &change).await?)? {
            Looked::Now(StaffChangeOutcome::Changed(Ended { sessions, .. })) => {
                for session in &sessions {
                    self.revocations.note(session, now);
                }
                Ok(())
            }
            Looked::Before(_) => Ok(()),
            Looked::Now(StaffChangeOutcome::ChangedMeanwhile) => Err(Error::ChangedMeanwhile),
            Looked::Now(StaffChangeOutcome::LastAdministrator) => Err(Error::LastAdministrator),
            Looked::Now(StaffChangeOutcome::NoSchool(_)) => Err(Error::NoSchool),
            Looked::Now(StaffChangeOutcome::LimitReached(school)) => Err(Error::LimitReached(school, most)),
        }
    }

    fn position<T>(
        &self,
        context: &[&[u8]],
        page_token: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let position = page_token::open(self.vault.as_ref(), context, page_token);
        position.as_deref().and_then(parse).map(Some).ok_or(Error::PageToken)
    }

    /// Cuts a list that was asked for one row more than a page has.
    fn page<T>(
        &self,
        mut rows: Vec<T>,
        page_size: u16,
        context: &[&[u8]],
        position: impl Fn(&T) -> &str,
    ) -> Page<T> {
        let full = rows.len() > usize::from(page_size);
        rows.truncate(usize::from(page_size));
        let last = rows.last().filter(|_| full);
        let next = last.map(|last| page_token::seal(self.vault.as_ref(), context, position(last)));
        Page { rows, next }
    }

    async fn understaffed(&self, work: &AtWork, mut schools: Vec<SchoolId>) -> Result<Vec<SchoolId>, Error> {
        schools.sort();
        schools.dedup();
        let least = work.organization.staff.least_support_persons;
        Ok(self.store.understaffed(&schools, least).await?)
    }
}

/// Whether the member at work may see this one: those of the own schools; operators see administrators and operators.
fn sees(work: &AtWork, other: &StaffAccount) -> bool {
    match work.on_duty.role {
        Role::PlatformOperator => {
            matches!(other.role, Role::PlatformOperator | Role::OrganizationAdministrator)
        }
        Role::OrganizationAdministrator => true,
        Role::SchoolAdministrator | Role::SupportPerson => {
            let mine = work.on_duty.scope.schools();
            mine.is_empty() || other.scope.schools().iter().any(|school| mine.contains(school))
        }
    }
}
