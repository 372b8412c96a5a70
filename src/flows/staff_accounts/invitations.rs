//! Invitations: accounts of staff that are made, and the links that their owners choose a password with.

use crate::domain::audit::{Event, Fact};
use crate::domain::eid_login::AssertedId;
use crate::domain::fallback_credential::{Delivery, LINK_LIFETIME, RestsOn};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::identifier::{Email, LoginName, Mobile, NationalId};
use crate::domain::message::{Channel, NewMessage, Template};
use crate::domain::organization::{Organization, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::secret::Secret;
use crate::domain::staff::{Realm, Role, Scope, StaffAccount};
use crate::domain::time::Timestamp;
use crate::domain::user_name;
use crate::flows::duty::{AtWork, Looked, looked};
use crate::flows::{activation_links, national_id};
use crate::ports::entropy::random_bytes;
use crate::ports::error::PortError;
use crate::ports::key_vault::Purpose;
use crate::ports::store::{AddStaffOutcome, BootstrapOutcome, NewActivation, NewInvitation, NewStaff};

use super::{Error, StaffAccounts};

/// Names that are made for one invitation: a taken one among 2³⁵ is rare already.
const MOST_NAMES: usize = 3;

/// Somebody to be invited.
pub struct Invitation {
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// E-mail address.
    pub email: Email,
    /// Mobile number.
    pub mobile: Mobile,
    /// The name to log in with; one is made if there is none.
    pub user_name: Option<LoginName>,
    /// The role.
    pub role: Role,
    /// For whom.
    pub scope: Scope,
    /// By what an eID finds the account.
    pub eid: Option<StaffEid>,
    /// Language of messages.
    pub locale: Locale,
}

/// By what an eID finds an account of staff.
pub enum StaffEid {
    /// A number that an authority gave.
    National(NationalId),
    /// The name that an `OpenID` provider has for the person.
    Provider(AssertedId),
}

impl StaffEid {
    fn scheme_and_canonical(&self) -> (&'static str, &str) {
        match self {
            Self::National(id) => (id.scheme(), id.canonical()),
            Self::Provider(id) => ("oidc", id.canonical()),
        }
    }
}

/// A link to choose a password with, to be printed.
pub struct PrintedLink {
    /// The account.
    pub staff: GuardianId,
    /// The name to log in with.
    pub user_name: LoginName,
    /// The link; without a page, the token alone.
    pub link: Secret<String>,
    /// When it ends.
    pub expires: Timestamp,
}

impl StaffAccounts {
    /// Makes an account and sends its owner a link to choose a password: by mail, and by text message if there is a way for
    /// them; whichever arrives works. The account, and when the link ends.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn invite(
        &self,
        work: &AtWork,
        invitation: Invitation,
    ) -> Result<(StaffAccount, Timestamp), Error> {
        let organization = &work.organization;
        if !work.on_duty.role.may_appoint(invitation.role) {
            return Err(Error::NotAllowed);
        }
        require_pages(organization)?;
        let now = self.clock.now();
        for _ in 0..MOST_NAMES {
            let id = GuardianId::new(now, random_bytes(self.entropy.as_ref()));
            let mut new = self.new_staff(organization, &invitation, id, now)?;
            new.invited_by = Some(work.on_duty.staff.clone());
            new.activation.issued_by.clone_from(&new.invited_by);
            new.messages = self.messages(&new.activation);
            let mut event = work.event(self.entropy.as_ref(), now, Fact::StaffInvited, Some(&new.id));
            event.detail = Some(invitation.role.as_str().to_owned());
            match looked(self.store.add_staff(&work.act(now, vec![event]), &new).await?)? {
                Looked::Now(AddStaffOutcome::Added) => {
                    self.wake.outbox();
                    let account = self.store.staff_account(&organization.id, &new.id).await?;
                    return Ok((account.ok_or(Error::NoMember)?, new.activation.expires));
                }
                Looked::Now(AddStaffOutcome::UserNameTaken) if invitation.user_name.is_none() => {}
                Looked::Now(outcome) => return Err(not_added(outcome, organization)),
                // Invitations take no request id.
                Looked::Before(_) => return Err(Error::ChangedMeanwhile),
            }
        }
        Err(Error::UserNameTaken)
    }

    /// Makes an account at the command line. Its link is printed and sent to nobody.
    ///
    /// # Errors
    /// [`Error`]; `Ok(Err(members))` if there are active members of the role already and `even_so` is not said.
    pub async fn bootstrap(
        &self,
        organization: &Organization,
        invitation: &Invitation,
        event: Event,
        even_so: bool,
    ) -> Result<Result<PrintedLink, i64>, Error> {
        let now = event.at;
        let id = GuardianId::new(now, random_bytes(self.entropy.as_ref()));
        let mut new = self.new_staff(organization, invitation, id, now)?;
        let token = activation_links::token(self.vault.as_ref(), &new.activation.id);
        new.activation.delivery = Delivery::Printed;
        new.activation.token_digest = Some(activation_links::digest(self.vault.as_ref(), &token));
        let event = Event { guardian: Some(new.id.clone()), ..event };
        match self.store.bootstrap_staff(&new, &event, even_so).await? {
            BootstrapOutcome::NotFirst(members) => Ok(Err(members)),
            BootstrapOutcome::Looked(AddStaffOutcome::Added) => {
                let page = organization.correspondence.as_ref().and_then(|it| it.pages.get(&Portal::Staff));
                let page = page.and_then(|pages| pages.activation.as_ref());
                let link = page.map_or_else(|| token.expose().clone(), |page| page.link(token.expose()));
                let expires = new.activation.expires;
                let (staff, user_name) = (new.id, new.user_name);
                Ok(Ok(PrintedLink { staff, user_name, link: Secret::new(link), expires }))
            }
            BootstrapOutcome::Looked(outcome) => Err(not_added(outcome, organization)),
        }
    }

    /// Sends a new link; the one before ends. When it ends.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn invite_again(&self, work: &AtWork, staff: &GuardianId) -> Result<Timestamp, Error> {
        let member = self.to_change(work, staff).await?;
        if !member.is_active {
            return Err(Error::Deactivated);
        }
        require_pages(&work.organization)?;
        let now = self.clock.now();
        let mut activation = self.activation(&work.organization, staff, now);
        activation.issued_by = Some(work.on_duty.staff.clone());
        let expires = activation.expires;
        let messages = self.messages(&activation);
        let mut event = work.event(self.entropy.as_ref(), now, Fact::StaffInvited, Some(staff));
        event.detail = Some(member.role.as_str().to_owned());
        let new = NewInvitation { staff: staff.clone(), activation, messages };
        match looked(self.store.renew_invitation(&work.act(now, vec![event]), &new).await?)? {
            Looked::Now(true) => {
                self.wake.outbox();
                Ok(expires)
            }
            Looked::Now(false) | Looked::Before(_) => Err(Error::Deactivated),
        }
    }

    fn new_staff(
        &self,
        organization: &Organization,
        invitation: &Invitation,
        id: GuardianId,
        at: Timestamp,
    ) -> Result<NewStaff, Error> {
        let made = || user_name::generate(random_bytes(self.entropy.as_ref()));
        let user_name = match &invitation.user_name {
            Some(name) => name.clone(),
            None => made().map_err(|rejection| PortError::Corrupt(rejection.reason().to_owned()))?,
        };
        let identifier = invitation.eid.as_ref().map(|eid| {
            let (vault, organization) = (self.vault.as_ref(), &organization.id);
            let named = eid.scheme_and_canonical();
            let sealed = national_id::seal_for(vault, organization, Realm::Staff, &id, named);
            let parts = national_id::index_parts(organization, Realm::Staff, named.1);
            (sealed, vault.digests(Purpose::NationalIdIndex, &parts))
        });
        Ok(NewStaff {
            organization: organization.id.clone(),
            given_name: invitation.given_name.clone(),
            family_name: invitation.family_name.clone(),
            email: invitation.email.clone(),
            mobile: invitation.mobile.clone(),
            locale: invitation.locale,
            user_name,
            role: invitation.role,
            scope: invitation.scope.clone(),
            identifier,
            most_support_persons: organization.staff.most_support_persons,
            invited_by: None,
            activation: self.activation(organization, &id, at),
            messages: Vec::new(),
            at,
            id,
        })
    }

    fn activation(&self, organization: &Organization, staff: &GuardianId, at: Timestamp) -> NewActivation {
        NewActivation {
            id: ActivationId::new(at, random_bytes(self.entropy.as_ref())),
            organization: organization.id.clone(),
            portal: Portal::Staff,
            guardian: staff.clone(),
            rests_on: RestsOn::Invitation,
            delivery: if self.sends_text_messages { Delivery::Sms } else { Delivery::Email },
            code_hash: None,
            token_digest: None,
            issued_by: None,
            at,
            expires: at.plus(LINK_LIFETIME),
        }
    }

    fn messages(&self, activation: &NewActivation) -> Vec<NewMessage> {
        let link = activation_links::Link {
            activation: &activation.id,
            organization: &activation.organization,
            portal: activation.portal,
            guardian: &activation.guardian,
            locale: None,
            at: activation.at,
        };
        let channels: &[Channel] =
            if self.sends_text_messages { &[Channel::Email, Channel::Sms] } else { &[Channel::Email] };
        let message = |channel: &Channel| {
            activation_links::message(self.entropy.as_ref(), &link, Template::StaffInvitation, *channel)
        };
        channels.iter().map(message).collect()
    }
}

fn require_pages(organization: &Organization) -> Result<(), Error> {
    let pages = organization.correspondence.as_ref().and_then(|it| it.pages.get(&Portal::Staff));
    pages.and_then(|pages| pages.activation.as_ref()).map(|_| ()).ok_or(Error::NoCorrespondence)
}

fn not_added(outcome: AddStaffOutcome, organization: &Organization) -> Error {
    match outcome {
        AddStaffOutcome::UserNameTaken => Error::UserNameTaken,
        AddStaffOutcome::IdentifierTaken(holder) => Error::IdentifierTaken(holder),
        AddStaffOutcome::NoSchool(_) => Error::NoSchool,
        AddStaffOutcome::LimitReached(school) => {
            Error::LimitReached(school, organization.staff.most_support_persons)
        }
        AddStaffOutcome::Added => Error::ChangedMeanwhile,
    }
}
