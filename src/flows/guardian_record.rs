//! One guardian as staff see one, with masked numbers; in clear only where an event says who looked.

use crate::domain::audit::Fact;
use crate::domain::id::{GuardianId, ProposalId};
use crate::domain::identifier_change::Scheme;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::{Purpose, Sealed};
use crate::ports::store::{StoredGuardian, StoredIdentifier};

use super::duty::{AtWork, Looked, looked};
use super::guardian_change::Error;
use super::national_id::seal_context;
use super::staff_parts::StaffParts;

/// Characters of a number that are not shown: those that the register gives out, behind the day of birth.
const HIDDEN_CHARS: usize = 4;

/// A number with stars in place of its last characters.
pub struct MaskedNumber {
    /// Who issues such numbers.
    pub scheme: Scheme,
    /// The masked number.
    pub masked: String,
    /// The source that delivered it, or `staff`.
    pub source: String,
    /// Since when.
    pub added: Timestamp,
}

/// A proposed number, masked.
pub struct MaskedProposal {
    /// Its id.
    pub id: ProposalId,
    /// Who issues such numbers.
    pub scheme: Scheme,
    /// The masked number.
    pub masked: String,
    /// When it was shown.
    pub at: Timestamp,
}

/// A number in clear.
pub struct ClearNumber {
    /// Who issues such numbers.
    pub scheme: Scheme,
    /// The number in canonical form, without its scheme.
    pub number: Secret<String>,
    /// Since when.
    pub added: Timestamp,
    /// Until when.
    pub retired: Option<Timestamp>,
}

/// A guardian.
pub struct Record {
    /// As stored.
    pub guardian: StoredGuardian,
    /// The numbers in use.
    pub numbers: Vec<MaskedNumber>,
    /// The numbers that staff may put on the account.
    pub proposals: Vec<MaskedProposal>,
}

/// Looking at one guardian.
pub struct GuardianRecordFlow {
    /// What it works with.
    pub parts: StaffParts,
}

impl GuardianRecordFlow {
    /// A guardian in the member's scope.
    ///
    /// # Errors
    /// [`Error::NoGuardian`] or [`Error::Port`].
    pub async fn record(&self, work: &AtWork, guardian: &GuardianId) -> Result<Record, Error> {
        let found = self.parts.store.guardian(&work.viewer(), guardian).await?;
        let found = found.ok_or(Error::NoGuardian)?;
        let numbers = self.masked(work, guardian, &found.identifiers)?;
        let proposals = found
            .proposals
            .iter()
            .map(|proposal| {
                let number = self.parts.open_number(work, guardian, &proposal.sealed)?;
                let masked = mask(number_of(&number));
                Ok(MaskedProposal {
                    id: proposal.id.clone(),
                    scheme: proposal.scheme,
                    masked,
                    at: proposal.at,
                })
            })
            .collect::<Result<Vec<_>, PortError>>()?;
        Ok(Record { guardian: found, numbers, proposals })
    }

    /// The numbers in clear; an event says who looked before anything is shown.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn numbers(&self, work: &AtWork, guardian: &GuardianId) -> Result<Vec<ClearNumber>, Error> {
        let now = self.parts.clock.now();
        let event = self.parts.event(work, now, Fact::IdentifiersShown, guardian);
        let act = work.act(now, vec![event]);
        let found = match looked(self.parts.store.show_identifiers(&act, guardian).await?)? {
            Looked::Now(Some(found)) => found,
            // Without a request id there is no before.
            Looked::Now(None) | Looked::Before(_) => return Err(Error::NoGuardian),
        };
        found
            .iter()
            .map(|stored| {
                let number = self.parts.open_number(work, guardian, &stored.sealed)?;
                Ok(ClearNumber {
                    scheme: stored.scheme,
                    number: Secret::new(number_of(&number).to_owned()),
                    added: stored.added,
                    retired: stored.retired,
                })
            })
            .collect()
    }

    /// The numbers, masked.
    fn masked(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        stored: &[StoredIdentifier],
    ) -> Result<Vec<MaskedNumber>, PortError> {
        stored
            .iter()
            .map(|stored| {
                let number = self.parts.open_number(work, guardian, &stored.sealed)?;
                let masked = mask(number_of(&number));
                let source = stored.source.clone();
                Ok(MaskedNumber { scheme: stored.scheme, masked, source, added: stored.added })
            })
            .collect()
    }
}

impl StaffParts {
    /// The canonical form of a sealed number, with its scheme.
    ///
    /// # Errors
    /// [`PortError::Corrupt`] if it does not open: sealed for another row, or with a key that is not configured.
    pub fn open_number(
        &self,
        work: &AtWork,
        guardian: &GuardianId,
        sealed: &Sealed,
    ) -> Result<Secret<String>, PortError> {
        let corrupt = || PortError::Corrupt("a national id does not open".to_owned());
        let context = seal_context(&work.organization.id, guardian, &sealed.key_id);
        let opened = self.vault.open(Purpose::NationalIdSeal, &context, sealed).ok_or_else(corrupt)?;
        let text = std::str::from_utf8(opened.expose()).map_err(|_| corrupt())?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// The number behind its scheme.
fn number_of(canonical: &Secret<String>) -> &str {
    let text = canonical.expose();
    text.split_once(':').map_or(text.as_str(), |(_, number)| number)
}

/// The number with stars in place of its last characters.
fn mask(number: &str) -> String {
    let shown = number.chars().count().saturating_sub(HIDDEN_CHARS);
    number.chars().enumerate().map(|(index, c)| if index < shown { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn the_last_four_characters_are_stars() {
        assert_eq!(mask("199908072391"), "19990807****");
        assert_eq!(mask("123456782"), "12345****");
        assert_eq!(mask("123"), "***");
    }
}
