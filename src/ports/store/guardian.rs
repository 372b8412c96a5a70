//! A guardian as staff see one, and what staff change about the account.

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::child_link::LinkEvidence;
use crate::domain::id::{ChildId, GuardianId, ProposalId};
use crate::domain::identifier::LoginName;
use crate::domain::identifier_change::{IdentifierChange, IdentifierRefusal, Scheme};
use crate::domain::login_password::AccountState;
use crate::domain::organization::Portal;
use crate::domain::passphrase::Locale;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

use super::directory_import::SealedNationalId;
use super::guardian_search::{SchoolName, Viewer};
use super::session::Ended;
use super::staff::{Act, Acted};

/// A number of a guardian, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIdentifier {
    /// Who issues such numbers.
    pub scheme: Scheme,
    /// The number.
    pub sealed: Sealed,
    /// The source that delivered it, or `staff`.
    pub source: String,
    /// Since when.
    pub added: Timestamp,
    /// Until when; `None` while it is in use.
    pub retired: Option<Timestamp>,
}

/// A number that an eID showed, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProposal {
    /// Its id.
    pub id: ProposalId,
    /// Who issues such numbers.
    pub scheme: Scheme,
    /// The number.
    pub sealed: Sealed,
    /// When it was shown.
    pub at: Timestamp,
}

/// That staff confirmed a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Who did.
    pub staff: Option<GuardianId>,
    /// When.
    pub at: Option<Timestamp>,
    /// By what they were convinced.
    pub evidence: Option<LinkEvidence>,
}

/// A link between guardian and child: one, whoever delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLink {
    /// The child.
    pub child: ChildId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// The child's school.
    pub school: SchoolName,
    /// Who delivers it; `staff` if staff added it.
    pub sources: Vec<String>,
    /// That staff confirmed it, if they did.
    pub confirmation: Option<Confirmation>,
}

/// A contact on file.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactOnFile {
    /// As the source wrote it.
    pub delivered: String,
    /// Whether messages can be sent to it.
    pub is_usable: bool,
}

/// A password on file, without anything of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordOnFile {
    /// The portal.
    pub portal: Portal,
    /// When it was set.
    pub set: Timestamp,
    /// Whether it is closed to unknown devices.
    pub is_closed: bool,
    /// Whether it must be changed.
    pub must_change: bool,
}

/// A guardian with everything that staff may see.
#[derive(Clone)]
pub struct StoredGuardian {
    /// Id.
    pub id: GuardianId,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Language on file.
    pub locale: Locale,
    /// What the account may do.
    pub state: AccountState,
    /// The account that this one was merged into.
    pub merged_into: Option<GuardianId>,
    /// E-mail address.
    pub email: Option<ContactOnFile>,
    /// Mobile number.
    pub mobile: Option<ContactOnFile>,
    /// Numbers in use.
    pub identifiers: Vec<StoredIdentifier>,
    /// Numbers that staff may put on the account.
    pub proposals: Vec<StoredProposal>,
    /// Login names.
    pub logins: Vec<(Portal, LoginName)>,
    /// Links to children in the member's scope.
    pub links: Vec<ChildLink>,
    /// Whether staff confirmed the contract, if there is one.
    pub contract: Option<bool>,
    /// Passwords.
    pub passwords: Vec<PasswordOnFile>,
}

/// What came of a change that needs a guardian, and perhaps a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed<T> {
    /// It is written.
    Done(T),
    /// It was so already: nothing was written.
    AlreadySo,
    /// There is no such guardian in the member's scope.
    NoGuardian,
    /// There is no such child in the member's scope.
    NoChild,
    /// The account was merged or erased.
    Gone(AccountState),
}

/// What taking a relation away took with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// Portals where a password or code was revoked.
    pub revoked: Vec<Portal>,
    /// Sessions that ended.
    pub ended: Ended,
}

/// A new number for an account.
#[derive(Clone, Debug)]
pub struct NewNumber {
    /// The account.
    pub guardian: GuardianId,
    /// The number, sealed for it.
    pub number: SealedNationalId,
    /// Its scheme.
    pub scheme: Scheme,
    /// The digests, under every configured key, of the number that it takes the place of, if one was named.
    pub replaced: Option<Vec<[u8; 32]>>,
    /// Why.
    pub change: IdentifierChange,
    /// The proposal that it comes from, which must be open.
    pub proposal: Option<ProposalId>,
}

/// What came of a new number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberOutcome {
    /// It is on the account.
    Changed(Ended),
    /// It was on the account already.
    AlreadySo,
    /// There is no such guardian in the member's scope.
    NoGuardian,
    /// The account was merged or erased.
    Gone(AccountState),
    /// Staff have decided on the proposal already.
    ProposalSettled,
    /// It cannot change so.
    Refused(IdentifierRefusal),
    /// Another account has the number: which one, if that is in the member's scope.
    Taken(Option<GuardianId>),
}

/// Looking at guardians, and changing what staff may change.
#[async_trait]
pub trait GuardianStore: Send + Sync {
    /// A guardian in the member's scope.
    ///
    /// # Errors
    /// [`PortError`].
    async fn guardian(
        &self,
        viewer: &Viewer,
        guardian: &GuardianId,
    ) -> Result<Option<StoredGuardian>, PortError>;

    /// The numbers of a guardian in the member's scope, those of before too; the event that says who looked is written
    /// before they are given. Newest first, those in use before the others.
    ///
    /// # Errors
    /// [`PortError`].
    async fn show_identifiers(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Option<Vec<StoredIdentifier>>>, PortError>;

    /// The link between a guardian and a child in the member's scope, as it is now.
    ///
    /// # Errors
    /// [`PortError`].
    async fn child_link(
        &self,
        viewer: &Viewer,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<Option<ChildLink>, PortError>;

    /// Links any guardian of the organization to a child in the member's scope.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_child_link(
        &self,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<Acted<Changed<()>>, PortError>;

    /// Confirms a link to a child in the member's scope; adds it if it is not there.
    ///
    /// # Errors
    /// [`PortError`].
    async fn confirm_child_link(
        &self,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
        evidence: LinkEvidence,
    ) -> Result<Acted<Changed<()>>, PortError>;

    /// Removes a link to a child in the member's scope, whoever delivered it, for good; takes away what rested on it
    /// alone. `revoked` has an event for each portal, of which those are written where something was revoked.
    ///
    /// # Errors
    /// [`PortError`].
    async fn remove_child_link(
        &self,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
        revoked: &[Event],
    ) -> Result<Acted<Changed<Withdrawn>>, PortError>;

    /// Confirms a contract; adds it if it is not there.
    ///
    /// # Errors
    /// [`PortError`].
    async fn confirm_contract(
        &self,
        act: &Act,
        guardian: &GuardianId,
        evidence: LinkEvidence,
    ) -> Result<Acted<Changed<()>>, PortError>;

    /// Removes a contract, whoever delivered it, and what rested on it; `revoked` as for links.
    ///
    /// # Errors
    /// [`PortError`].
    async fn remove_contract(
        &self,
        act: &Act,
        guardian: &GuardianId,
        revoked: &[Event],
    ) -> Result<Acted<Changed<Withdrawn>>, PortError>;

    /// Puts a number on an account: in one transaction the one that it takes the place of is retired, proposals of the
    /// number are settled and sessions end. The act's event gets its detail here, for here the number before is known.
    ///
    /// No two accounts of an organization have one number in use, under whichever master keys the two were stored.
    ///
    /// # Errors
    /// [`PortError`].
    async fn change_identifier(&self, act: &Act, new: &NewNumber) -> Result<Acted<NumberOutcome>, PortError>;

    /// A proposal of a guardian in the member's scope, decided on or not.
    ///
    /// # Errors
    /// [`PortError`].
    async fn number_proposal(
        &self,
        viewer: &Viewer,
        guardian: &GuardianId,
        proposal: &ProposalId,
    ) -> Result<Option<StoredProposal>, PortError>;

    /// Settles a proposal without the number; `None` if the guardian has none of this id.
    ///
    /// # Errors
    /// [`PortError`].
    async fn reject_number_proposal(
        &self,
        act: &Act,
        guardian: &GuardianId,
        proposal: &ProposalId,
    ) -> Result<Acted<Option<Changed<()>>>, PortError>;

    /// Locks an account: its sessions end, links and codes die.
    ///
    /// # Errors
    /// [`PortError`].
    async fn lock_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Changed<Ended>>, PortError>;

    /// Unlocks an account.
    ///
    /// # Errors
    /// [`PortError`].
    async fn unlock_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Changed<()>>, PortError>;
}
