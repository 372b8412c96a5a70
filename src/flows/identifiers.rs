//! Changing the number of an account: the first one, a correction, or a better one that the person got.

use crate::domain::audit::Fact;
use crate::domain::id::{GuardianId, ProposalId};
use crate::domain::identifier::NationalId;
use crate::domain::identifier_change::{IdentifierChange, IdentifierRefusal, Scheme};
use crate::domain::staff::Realm;
use crate::ports::error::PortError;
use crate::ports::key_vault::Purpose;
use crate::ports::store::{Acted, NewNumber, NumberOutcome};

use super::duty::{AtWork, Looked, Refused, looked};
use super::guardian_change::{self, gone, settled};
use super::guardian_record::{GuardianRecordFlow, MaskedNumber};
use super::national_id::{index_parts, seal};
use super::staff_parts::StaffParts;

/// Where the new number comes from.
pub enum Source {
    /// It was typed.
    Typed(NationalId),
    /// An eID showed it.
    Proposal(ProposalId),
}

/// A change that staff ask for.
pub struct Request {
    /// The account.
    pub guardian: GuardianId,
    /// The new number.
    pub new: Source,
    /// The number that it takes the place of, if one was named.
    pub replaced: Option<NationalId>,
    /// Why.
    pub change: IdentifierChange,
}

/// The numbers after a change.
pub struct Numbers {
    /// Those in use, masked.
    pub in_use: Vec<MaskedNumber>,
    /// Live sessions that ended.
    pub ended: usize,
}

/// Why a number was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As for every change.
    #[error(transparent)]
    Change(#[from] guardian_change::Error),
    /// The account has no such proposal.
    #[error("no such proposal")]
    NoProposal,
    /// It cannot change so.
    #[error("the number cannot change so")]
    Refused(IdentifierRefusal),
    /// Another account has it: which one, if that is in the member's scope.
    #[error("another account has the number")]
    Taken(Option<GuardianId>),
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Change(error.into())
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Change(refused.into())
    }
}

/// Changing numbers.
pub struct IdentifierFlow {
    /// What it works with.
    pub parts: StaffParts,
}

impl IdentifierFlow {
    /// Puts a number on an account.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn change(&self, work: &AtWork, request: &Request) -> Result<Numbers, Error> {
        let now = self.parts.clock.now();
        let guardian = &request.guardian;
        let number = match &request.new {
            Source::Typed(number) => number.clone(),
            Source::Proposal(id) => self.proposed(work, guardian, id).await?,
        };
        let proposal = match &request.new {
            Source::Typed(_) => None,
            Source::Proposal(id) => Some(id.clone()),
        };
        let digests = |number: &NationalId| {
            let parts = index_parts(&work.organization.id, Realm::Guardians, number.canonical());
            self.parts.vault.digests(Purpose::NationalIdIndex, &parts)
        };
        let new = NewNumber {
            guardian: guardian.clone(),
            number: seal(self.parts.vault.as_ref(), &work.organization.id, guardian, &number),
            scheme: Scheme::of(&number),
            replaced: request.replaced.as_ref().map(digests),
            change: request.change,
            proposal,
        };
        let event = self.parts.event(work, now, Fact::IdentifierChanged, guardian);
        let act = work.act(now, vec![event]);
        let ended = match looked(self.parts.store.change_identifier(&act, &new).await?)? {
            Looked::Now(NumberOutcome::Changed(ended)) => {
                self.parts.note_ended(&ended, now);
                ended.live
            }
            Looked::Now(NumberOutcome::AlreadySo) | Looked::Before(_) => 0,
            Looked::Now(NumberOutcome::NoGuardian) => return Err(guardian_change::Error::NoGuardian.into()),
            Looked::Now(NumberOutcome::Gone(state)) => return Err(gone(state).into()),
            Looked::Now(NumberOutcome::ProposalSettled) => return Err(Error::NoProposal),
            Looked::Now(NumberOutcome::Refused(refusal)) => return Err(Error::Refused(refusal)),
            Looked::Now(NumberOutcome::Taken(holder)) => {
                // The answer tells that the number is known here, to staff who may not see whose it is.
                let event = self.parts.event(work, now, Fact::IdentifierTaken, guardian);
                self.parts.store.record_events(&[event]).await?;
                return Err(Error::Taken(holder));
            }
        };
        Ok(Numbers { in_use: self.in_use(work, guardian).await?, ended })
    }

    /// Drops a proposed number.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn reject(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        proposal: &ProposalId,
    ) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let event = self.parts.event(work, now, Fact::NumberProposalRejected, guardian);
        let act = work.act(now, vec![event]);
        match looked(self.parts.store.reject_number_proposal(&act, guardian, proposal).await?)? {
            Looked::Now(None) => Err(Error::NoProposal),
            Looked::Now(Some(changed)) => Ok(settled(Acted::Now(changed)).map(|_| ())?),
            Looked::Before(_) => Ok(()),
        }
    }

    /// Also of one that is settled: this request may have done it, when it came before.
    async fn proposed(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        id: &ProposalId,
    ) -> Result<NationalId, Error> {
        let found = self.parts.store.number_proposal(&work.viewer(), guardian, id).await?;
        let proposal = found.ok_or(Error::NoProposal)?;
        let canonical = self.parts.open_number(work, guardian, &proposal.sealed)?;
        let number = NationalId::from_canonical(canonical.expose())
            .map_err(|_| PortError::Corrupt("a proposed number does not read back".to_owned()))?;
        Ok(number)
    }

    async fn in_use(&self, work: &AtWork, guardian: &GuardianId) -> Result<Vec<MaskedNumber>, Error> {
        let record = GuardianRecordFlow { parts: self.parts.clone() };
        Ok(record.record(work, guardian).await?.numbers)
    }
}
