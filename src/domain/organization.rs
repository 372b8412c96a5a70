//! An organization (the tenant) with its portals and the rules that it may set.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bankid::BankIdPolicy;
use super::identifier::{Email, LeadingZeros, Region};
use super::limits::LimitPolicy;
use super::oidc::{Provider, ProviderId};
use super::password::PasswordPolicy;
use super::password_reset::ResetMethod;
use super::staff::StaffPolicy;

/// The short name of an organization in configuration, tokens and keys: `[a-z0-9-]`, 1–40 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationId(String);

impl OrganizationId {
    /// Reads an organization's short name; `None` if it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let formed = (1..=40).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        formed.then(|| Self(text.to_owned()))
    }

    /// The short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A front door of an organization with its own audience (`domain.md`, words we use).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Portal {
    /// Guardians (vårdnadshavare, vraagouder).
    Parent,
    /// Childminders (gastouder).
    Childminder,
    /// School administrators and support persons.
    Staff,
}

impl Portal {
    /// All portals, for walking over them.
    pub const ALL: [Self; 3] = [Self::Parent, Self::Childminder, Self::Staff];

    /// The name on the wire, in configuration and in audiences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Childminder => "childminder",
            Self::Staff => "staff",
        }
    }

    /// Reads the name of a portal.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|portal| portal.as_str() == text)
    }

    /// The other guardian portal: people try the wrong one. Never `staff`.
    pub const fn sibling(self) -> Option<Self> {
        match self {
            Self::Parent => Some(Self::Childminder),
            Self::Childminder => Some(Self::Parent),
            Self::Staff => None,
        }
    }
}

/// How long sessions of an organization live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// A session without a refresh for this long is over. Default 60 min.
    pub idle: Duration,
    /// A session that began with a password is over after this time, whatever happens. Default 12 h, at most 30 days.
    pub absolute_password: Duration,
    /// The same for a session that began with an eID. Default 12 h, at most 24 h.
    pub absolute_eid: Duration,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            idle: Duration::from_hours(1),
            absolute_password: Duration::from_hours(12),
            absolute_eid: Duration::from_hours(12),
        }
    }
}

/// Pages of a portal that messages link to. Nothing of a link comes from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalPages {
    /// Where the portal begins: an https URL.
    pub home: String,
    /// The page that takes a new password.
    pub reset: LinkPage,
    /// The page that takes a first password, with a code or a link that staff issued; `None`: codes are typed at `home`.
    pub activation: Option<LinkPage>,
}

/// The URL of a page that a message links to, with a place for the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPage(String);

impl LinkPage {
    /// What stands for the token.
    pub const PLACE: &str = "{token}";

    /// Reads a URL that has the place for the token once, behind the host; `None` if it is none.
    pub fn parse(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let formed = !host.contains('{') && path.matches(Self::PLACE).count() == 1;
        formed.then(|| Self(url.to_owned()))
    }

    /// The page without the token, for people who type it; `None` if the token's place is not behind a `#`.
    pub fn address(&self) -> Option<&str> {
        let (address, fragment) = self.0.split_once('#')?;
        fragment.contains(Self::PLACE).then_some(address)
    }

    /// The link with a token.
    pub fn link(&self, token: &str) -> String {
        self.0.replace(Self::PLACE, token)
    }
}

/// How an organization writes to its guardians.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correspondence {
    /// The name that mails come from.
    pub from_name: String,
    /// The address that mails come from.
    pub from_address: Email,
    /// Where people write or call when a mail does not help: shown in mails. Empty: not shown.
    pub contact: String,
    /// Pages of each portal.
    pub pages: BTreeMap<Portal, PortalPages>,
}

/// How passwords are reset by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetPolicy {
    /// By what a link can be asked for, in the order in which a portal should offer it.
    pub methods: Vec<ResetMethod>,
    /// How long a link lives. Default 60 min, 30 min to 24 h.
    pub link_lifetime: Duration,
}

/// One organization as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its short name.
    pub id: OrganizationId,
    /// Its name for people.
    pub display_name: String,
    /// Default region for mobile numbers.
    pub region: Region,
    /// Whether leading zeros of debtor numbers and user names are dropped on both sides. Default: kept.
    pub strip_leading_zeros: bool,
    /// The portals that exist; a call for another one is refused.
    pub portals: Vec<Portal>,
    /// The rule for new passwords.
    pub password: PasswordPolicy,
    /// The lifetimes of sessions.
    pub session: SessionPolicy,
    /// The rate limits.
    pub limits: LimitPolicy,
    /// How it writes to guardians; `None`: it does not.
    pub correspondence: Option<Correspondence>,
    /// How passwords are reset by mail; `None`: they are not. Needs a correspondence with pages of each portal.
    pub reset: Option<ResetPolicy>,
    /// How BankID is used; `None`: it is not. Portals without a return page offer it on another device only.
    pub bankid: Option<BankIdPolicy>,
    /// The `OpenID` providers, in the order in which a portal should offer them.
    pub oidc: Vec<Provider>,
    /// How it works with staff.
    pub staff: StaffPolicy,
}

impl Organization {
    /// What the organization does with zeros in front of login names.
    pub const fn leading_zeros(&self) -> LeadingZeros {
        if self.strip_leading_zeros { LeadingZeros::Strip } else { LeadingZeros::Keep }
    }

    /// The provider of this name, if the portal offers it.
    pub fn provider(&self, id: &ProviderId, portal: Portal) -> Option<&Provider> {
        self.oidc.iter().find(|provider| provider.id == *id && provider.portals.contains(&portal))
    }

    /// How the portal uses BankID, if it offers it.
    pub fn bankid_at(&self, portal: Portal) -> Option<&BankIdPolicy> {
        self.bankid.as_ref().filter(|policy| policy.portals.contains(&portal))
    }
}
