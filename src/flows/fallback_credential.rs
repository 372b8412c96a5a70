//! Credentials that staff issue to guardians who cannot use an eID: given, taken away, listed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::domain::activation_code::ActivationCode;
use crate::domain::audit::Fact;
use crate::domain::fallback_credential::{
    ActivationState, Day, Delivery, ISSUING_SPAN, LINK_LIFETIME, RestsOn, state,
};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::login_password::AccountState;
use crate::domain::message::{Channel, Template};
use crate::domain::organization::{LinkPage, Organization, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::password::{NewPassword, PasswordHash};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::user_name;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose, Sealed};
use crate::ports::password_hasher::PasswordHasher;
use crate::ports::store::{
    ApproveOutcome, CredentialQuery, IssueOutcome, IssuedCredential, NewActivation, NewFallbackCredential,
    RevokeOutcome, Store,
};

use super::activation_links;
use super::activation_sheet::{Sheet, activation_page, sheet};
use super::duty::{AtWork, Looked, Refused, looked};
use super::gate::{Gate, Refusal};
use super::outbox::Wake;

/// Names that are tried for a guardian who has none: of 2³⁵ one is hardly ever taken.
const USER_NAMES: usize = 4;

/// How a guardian gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// On a sheet, good for so long.
    Sheet(Duration),
    /// By a link to the contact on file.
    Link(Channel),
}

/// A credential to be issued.
pub struct Issue {
    /// At which portal.
    pub portal: Portal,
    /// To whom.
    pub guardian: GuardianId,
    /// How.
    pub by: By,
    /// The language; the one on file if `None`.
    pub locale: Option<Locale>,
    /// No work is begun after this.
    pub deadline: Instant,
}

/// A credential that was issued. It holds a code: no Debug.
pub struct Issued {
    /// Its id.
    pub id: ActivationId,
    /// The name to log in with.
    pub user_name: LoginName,
    /// What is handed over; `None` if a link is sent.
    pub sheet: Option<Sheet>,
    /// Dead after this.
    pub expires: Timestamp,
}

/// A credential in a list.
pub struct Listed {
    /// As it was issued.
    pub issued: IssuedCredential,
    /// Where it stands.
    pub state: ActivationState,
}

/// A page of credentials.
pub struct CredentialPage {
    /// Those issued last first.
    pub credentials: Vec<Listed>,
    /// For the next page.
    pub next: Option<String>,
}

/// Which credentials are asked for.
pub struct Wanted {
    /// Only this guardian's.
    pub guardian: Option<GuardianId>,
    /// Only those that wait to be used.
    pub only_waiting: bool,
    /// At most so many.
    pub page_size: u32,
    /// From the page before.
    pub page_token: Option<String>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The member is off duty, or the request's id is another's.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such guardian in the member's scope.
    #[error("there is no such guardian in the scope")]
    NoGuardian,
    /// There is no such colleague in the member's scope.
    #[error("there is no such colleague in the scope")]
    NoColleague,
    /// The account is not in use.
    #[error("the account is not in use")]
    NotActive(AccountState),
    /// Staff have confirmed no relation that bears a password at the portal.
    #[error("no relation is confirmed by staff")]
    NotConfirmed,
    /// More than so many in an hour: another administrator must approve.
    #[error("another administrator must approve")]
    NeedsApproval(u32),
    /// The guardian has no contact on file for this channel.
    #[error("there is no contact on file")]
    NoContact,
    /// The portal has no page that a link could lead to.
    #[error("the portal has no page for links")]
    NoPage,
    /// There is no way for messages by this channel.
    #[error("there is no way for messages by this channel")]
    NoWay,
    /// Nobody approves for oneself.
    #[error("nobody approves for oneself")]
    Oneself,
    /// The page token is not one of ours for this list.
    #[error("the page token cannot be read")]
    PageToken,
    /// The code could not be hashed now.
    #[error(transparent)]
    Gate(Refusal),
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What the flow needs.
pub struct FallbackCredentialFlow {
    /// Reads what a full hashing queue means.
    pub gate: Gate,
    /// Hashes codes.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Seals page tokens.
    pub vault: Arc<dyn KeyVault>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Tells the outbox that there is something to send.
    pub wake: Wake,
    /// Whether there is a way for text messages.
    pub sends_text_messages: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl FallbackCredentialFlow {
    /// Issues a credential. The relation that it rests on is looked at in the transaction that issues.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn issue(&self, work: &AtWork, issue: Issue) -> Result<Issued, Error> {
        let organization = &work.organization;
        let page = activation_page(organization, issue.portal);
        self.ways(organization, page, issue.by)?;
        // Before the transaction: no lock waits for a hash.
        let (code, code_hash) = match issue.by {
            By::Sheet(_) => {
                let code = ActivationCode::new(random_bytes(self.entropy.as_ref()));
                let hash = self.hash(&code, issue.deadline).await?;
                (Some(code), Some(hash))
            }
            By::Link(_) => (None, None),
        };
        let now = self.clock.now();
        let new = self.new_credential(work, &issue, code_hash, now);
        let mut event = work.event(self.entropy.as_ref(), now, Fact::CredentialIssued, Some(&issue.guardian));
        event.portal = Some(issue.portal);
        event.detail = Some(new.activation.delivery.as_str().to_owned());
        let act = work.act(now, vec![event]);
        let acted = self.store.issue_credential(&act, &new).await?;
        let (user_name, on_file) = match looked(acted)? {
            Looked::Now(IssueOutcome::Issued { user_name, locale }) => (user_name, locale),
            Looked::Now(IssueOutcome::NotFound) => return Err(Error::NoGuardian),
            Looked::Now(IssueOutcome::NotActive(state)) => return Err(Error::NotActive(state)),
            Looked::Now(IssueOutcome::NotConfirmed) => return Err(Error::NotConfirmed),
            Looked::Now(IssueOutcome::NeedsApproval) => return Err(Error::NeedsApproval(new.most)),
            Looked::Now(IssueOutcome::NoContact(_)) => return Err(Error::NoContact),
            // A secret is made each time: there is no id to repeat a request by.
            Looked::Before(_) => return Err(Error::Refused(Refused::OtherRequest)),
        };
        if new.message.is_some() {
            self.wake.outbox();
        }
        let NewActivation { id, expires, .. } = new.activation;
        let locale = issue.locale.unwrap_or(on_file);
        let sheet = code.map(|code| sheet(organization, issue.portal, &user_name, &code, expires, locale));
        Ok(Issued { id, user_name, sheet, expires })
    }

    /// Takes a password away. The number of sessions that ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn revoke(&self, work: &AtWork, guardian: &GuardianId, portal: Portal) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut event = work.event(self.entropy.as_ref(), now, Fact::CredentialRevoked, Some(guardian));
        event.portal = Some(portal);
        let act = work.act(now, vec![event]);
        match looked(self.store.revoke_credential(&act, guardian, portal).await?)? {
            Looked::Now(RevokeOutcome::Revoked(ended)) => {
                for session in &ended.sessions {
                    self.revocations.note(session, now);
                }
                Ok(ended.live)
            }
            Looked::Now(RevokeOutcome::NotFound) => Err(Error::NoGuardian),
            Looked::Now(RevokeOutcome::NotThere(state)) => Err(Error::NotActive(state)),
            // What it ended is ended.
            Looked::Before(_) => Ok(0),
        }
    }

    /// What was issued to guardians in the member's scope.
    ///
    /// # Errors
    /// [`Error::PageToken`], [`Error::Port`].
    pub async fn list(&self, work: &AtWork, wanted: Wanted) -> Result<CredentialPage, Error> {
        let Wanted { guardian, only_waiting, page_size, page_token } = wanted;
        let of = guardian.as_ref().map(GuardianId::as_str).unwrap_or_default();
        let context: [&[u8]; 5] = [
            b"fallback_credentials",
            work.organization.id.as_str().as_bytes(),
            work.on_duty.staff.as_str().as_bytes(),
            of.as_bytes(),
            &[u8::from(only_waiting)],
        ];
        let before = match page_token {
            Some(text) => Some(self.open_page_token(&context, &text).ok_or(Error::PageToken)?),
            None => None,
        };
        let now = self.clock.now();
        let query = CredentialQuery {
            organization: work.organization.id.clone(),
            staff: work.on_duty.staff.clone(),
            guardian: guardian.clone(),
            only_waiting,
            before,
            limit: page_size.saturating_add(1),
            now,
        };
        let mut issued = self.store.list_credentials(&query).await?;
        let full = issued.len() > page_size as usize;
        issued.truncate(page_size as usize);
        let next = issued.last().filter(|_| full).map(|last| {
            let sealed = self.vault.seal(Purpose::PageToken, &context, last.id.as_str().as_bytes());
            format!("{}.{}", sealed.key_id, URL_SAFE_NO_PAD.encode(sealed.bytes))
        });
        let listed = |issued: IssuedCredential| {
            let state = state(issued.end, issued.expires, issued.is_current, now);
            Listed { issued, state }
        };
        Ok(CredentialPage { credentials: issued.into_iter().map(listed).collect(), next })
    }

    /// Lets a colleague issue more today. Until when.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn approve(&self, work: &AtWork, colleague: &GuardianId) -> Result<Timestamp, Error> {
        if *colleague == work.on_duty.staff {
            return Err(Error::Oneself);
        }
        let now = self.clock.now();
        let day = Day::of(now);
        let event = work.event(self.entropy.as_ref(), now, Fact::IssuingApproved, Some(colleague));
        let act = work.act(now, vec![event]);
        match looked(self.store.approve_issuing(&act, colleague, day).await?)? {
            Looked::Now(ApproveOutcome::Approved) | Looked::Before(_) => Ok(day.end()),
            Looked::Now(ApproveOutcome::NotFound) => Err(Error::NoColleague),
        }
    }

    /// Whether a link can go out at all.
    fn ways(&self, organization: &Organization, page: Option<&LinkPage>, by: By) -> Result<(), Error> {
        let By::Link(channel) = by else { return Ok(()) };
        let is_sent = match channel {
            Channel::Email => organization.correspondence.is_some(),
            Channel::Sms => organization.correspondence.is_some() && self.sends_text_messages,
        };
        if !is_sent {
            return Err(Error::NoWay);
        }
        page.map(|_| ()).ok_or(Error::NoPage)
    }

    async fn hash(&self, code: &ActivationCode, deadline: Instant) -> Result<PasswordHash, Error> {
        let code = NewPassword::one_time_code(Secret::new(code.expose().to_owned()));
        self.hasher.hash(&code, deadline).await.map_err(|error| Error::Gate(self.gate.refusal(error)))
    }

    fn new_credential(
        &self,
        work: &AtWork,
        issue: &Issue,
        code_hash: Option<PasswordHash>,
        now: Timestamp,
    ) -> NewFallbackCredential {
        let entropy = self.entropy.as_ref();
        let id = ActivationId::new(now, random_bytes(entropy));
        let (delivery, lifetime) = match issue.by {
            By::Sheet(lifetime) => (Delivery::Sheet, lifetime),
            By::Link(Channel::Email) => (Delivery::Email, LINK_LIFETIME),
            By::Link(Channel::Sms) => (Delivery::Sms, LINK_LIFETIME),
        };
        let link = activation_links::Link {
            activation: &id,
            organization: &work.organization.id,
            portal: issue.portal,
            guardian: &issue.guardian,
            locale: issue.locale,
            at: now,
        };
        let message = match issue.by {
            By::Sheet(_) => None,
            By::Link(channel) => {
                Some(activation_links::message(entropy, &link, Template::ActivationLink, channel))
            }
        };
        let names = (0..USER_NAMES).filter_map(|_| user_name::generate(random_bytes(entropy)).ok());
        NewFallbackCredential {
            user_names: names.collect(),
            counted_from: now.minus(ISSUING_SPAN),
            most: work.organization.staff.issues_per_hour,
            day: Day::of(now),
            message,
            activation: NewActivation {
                organization: work.organization.id.clone(),
                portal: issue.portal,
                guardian: issue.guardian.clone(),
                rests_on: RestsOn::Staff,
                delivery,
                code_hash,
                token_digest: None,
                issued_by: Some(work.on_duty.staff.clone()),
                at: now,
                expires: now.plus(lifetime),
                id,
            },
        }
    }

    fn open_page_token(&self, context: &[&[u8]], text: &str) -> Option<ActivationId> {
        let (key_id, bytes) = text.rsplit_once('.')?;
        let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(bytes).ok()? };
        let opened = self.vault.open(Purpose::PageToken, context, &sealed)?;
        ActivationId::parse(std::str::from_utf8(opened.expose()).ok()?)
    }
}
