//! Relations as staff add, confirm and remove them: links to children, and contracts of childminders.

use crate::domain::audit::{Event, Fact};
use crate::domain::child_link::LinkEvidence;
use crate::domain::id::{ChildId, GuardianId};
use crate::domain::organization::Portal;
use crate::domain::time::Timestamp;
use crate::ports::store::{ChildLink, Withdrawn};

use super::duty::AtWork;
use super::guardian_change::{Error, settled};
use super::staff_parts::StaffParts;

/// What removing a relation took with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Portals where a password or code was revoked.
    pub revoked: Vec<Portal>,
    /// Live sessions that ended.
    pub ended: usize,
}

/// Changing relations.
pub struct ChildLinkFlow {
    /// What it works with.
    pub parts: StaffParts,
}

impl ChildLinkFlow {
    /// Links a guardian to a child; the link as it is now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn add(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<ChildLink, Error> {
        let now = self.parts.clock.now();
        let event = self.event(work, now, Fact::ChildLinkAdded, guardian, Some(child));
        let act = work.act(now, vec![event]);
        settled(self.parts.store.add_child_link(&act, guardian, child).await?)?;
        self.link(work, guardian, child).await
    }

    /// Confirms a link; the link as it is now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn confirm(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        child: &ChildId,
        evidence: LinkEvidence,
    ) -> Result<ChildLink, Error> {
        let now = self.parts.clock.now();
        let event = self.event(work, now, Fact::ChildLinkConfirmed, guardian, Some(child));
        let event = Event { detail: Some(evidence.as_str().to_owned()), ..event };
        let act = work.act(now, vec![event]);
        settled(self.parts.store.confirm_child_link(&act, guardian, child, evidence).await?)?;
        self.link(work, guardian, child).await
    }

    /// Removes a link.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<Removed, Error> {
        let now = self.parts.clock.now();
        let event = self.event(work, now, Fact::ChildLinkRemoved, guardian, Some(child));
        let act = work.act(now, vec![event]);
        let revoked = self.revocations(work, now, guardian, Some(child));
        let acted = self.parts.store.remove_child_link(&act, guardian, child, &revoked).await?;
        Ok(self.removed(settled(acted)?, now))
    }

    /// Confirms a contract.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn confirm_contract(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        evidence: LinkEvidence,
    ) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let event = self.event(work, now, Fact::ContractConfirmed, guardian, None);
        let event = Event { detail: Some(evidence.as_str().to_owned()), ..event };
        let act = work.act(now, vec![event]);
        settled(self.parts.store.confirm_contract(&act, guardian, evidence).await?).map(|_| ())
    }

    /// Removes a contract.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove_contract(&self, work: &AtWork, guardian: &GuardianId) -> Result<Removed, Error> {
        let now = self.parts.clock.now();
        let act = work.act(now, vec![self.event(work, now, Fact::ContractRemoved, guardian, None)]);
        let revoked = self.revocations(work, now, guardian, None);
        let acted = self.parts.store.remove_contract(&act, guardian, &revoked).await?;
        Ok(self.removed(settled(acted)?, now))
    }

    async fn link(&self, work: &AtWork, guardian: &GuardianId, child: &ChildId) -> Result<ChildLink, Error> {
        let link = self.parts.store.child_link(&work.viewer(), guardian, child).await?;
        // Removed in between, or long after the same request came before.
        link.ok_or(Error::LinkRemoved)
    }

    fn removed(&self, withdrawn: Option<Withdrawn>, now: Timestamp) -> Removed {
        let Some(Withdrawn { revoked, ended }) = withdrawn else { return Removed::default() };
        self.parts.note_ended(&ended, now);
        Removed { revoked, ended: ended.live }
    }

    fn event(
        &self,
        work: &AtWork,
        now: Timestamp,
        fact: Fact,
        guardian: &GuardianId,
        child: Option<&ChildId>,
    ) -> Event {
        Event { child: child.cloned(), ..self.parts.event(work, now, fact, guardian) }
    }

    /// An event for each portal where something may be revoked.
    fn revocations(
        &self,
        work: &AtWork,
        now: Timestamp,
        guardian: &GuardianId,
        child: Option<&ChildId>,
    ) -> Vec<Event> {
        let at = |portal| Event {
            portal: Some(portal),
            ..self.event(work, now, Fact::CredentialRevoked, guardian, child)
        };
        [Portal::Parent, Portal::Childminder].map(at).into()
    }
}
