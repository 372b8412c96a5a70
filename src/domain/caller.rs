//! Who calls us: the portals, systems and operators that are let in, with what each may do.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use super::organization::{OrganizationId, Portal};

/// What a caller is; decides which services it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// The backend of a portal: logs guardians in.
    Portal,
    /// The backend of an admin portal: staff services.
    AdminPortal,
    /// A sync client: feeds the directory.
    Sync,
    /// The platform team.
    Operator,
    /// A page in a browser, known by its origin: holds no secret, so it is believed least.
    Web,
}

impl CallerKind {
    /// All kinds, with their names in configuration, logs and metrics.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("portal", Self::Portal),
        ("admin_portal", Self::AdminPortal),
        ("sync", Self::Sync),
        ("operator", Self::Operator),
        ("web", Self::Web),
    ];

    /// The name in configuration, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::AdminPortal => "admin_portal",
            Self::Sync => "sync",
            Self::Operator => "operator",
            Self::Web => "web",
        }
    }
}

/// Everything, also what is added later, or these only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllOrSome<T> {
    /// `"*"` in configuration.
    All,
    /// Named ones.
    Some(Vec<T>),
}

impl<T: PartialEq> AllOrSome<T> {
    /// Whether `item` is among them.
    pub fn contains(&self, item: &T) -> bool {
        match self {
            Self::All => true,
            Self::Some(items) => items.contains(item),
        }
    }

    /// Whether something is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::Some(items)) | (Self::Some(items), Self::All) => !items.is_empty(),
            (Self::Some(items), Self::Some(_)) => items.iter().any(|item| other.contains(item)),
        }
    }
}

/// One caller as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name: `client_id` in access tokens, in logs and in the audit log. `[a-z0-9-]`, 1–40 characters.
    pub name: String,
    /// What it is.
    pub kind: CallerKind,
    /// The organizations for which it may act.
    pub organizations: AllOrSome<OrganizationId>,
    /// The portals for which it may act.
    pub portals: AllOrSome<Portal>,
    /// Whether the end user's address in `ClientContext` is believed. Never for [`CallerKind::Web`].
    pub may_assert_client_address: bool,
    /// The origins from which a [`CallerKind::Web`] calls; empty for every other kind.
    pub origins: Vec<WebOrigin>,
}

impl Caller {
    /// Whether it may act for this portal of this organization. Whether the organization has that portal is asked elsewhere.
    pub fn may_act_for(&self, organization: &OrganizationId, portal: Portal) -> bool {
        self.may_act_in(organization) && self.portals.contains(&portal)
    }

    /// Whether it may act in this organization, for calls that name no portal.
    pub fn may_act_in(&self, organization: &OrganizationId) -> bool {
        self.organizations.contains(organization)
    }
}

/// Whether `text` has the form of a caller's name.
pub fn is_caller_name(text: &str) -> bool {
    OrganizationId::parse(text).is_some()
}

/// SHA-256 of a caller's bearer token. Plain and fast on purpose: a token is 256 random bits, which nobody guesses
/// from a digest, and it is compared with every call. A slow hash is for what people choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token as it is presented, prefix and all.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }

    /// The raw digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for TokenDigest {
    /// 64 lower-case hexadecimal digits, as [`TokenDigest::parse`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A name in a caller's client certificate. Compared exactly, no wildcards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectName {
    /// A DNS name, lower case.
    Dns(String),
    /// A URI such as `spiffe://example.se/portal`, byte for byte.
    Uri(String),
}

impl SubjectName {
    /// Reads a name: a URI if it holds `://`, else a DNS name in lower case without wildcard.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let formed = !scheme.is_empty()
                && scheme.bytes().all(|byte| byte.is_ascii_lowercase())
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_graphic());
            return formed.then(|| Self::Uri(text.to_owned()));
        }
        is_host_name(text).then(|| Self::Dns(text.to_owned()))
    }
}

/// The origin of a page as browsers send it (RFC 6454): scheme, host and a port that is not the scheme's own.
/// `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Reads an origin exactly as a browser writes it, so that bytes can be compared.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let secure = scheme == "https" || (scheme == "http" && ["localhost", "127.0.0.1"].contains(&host));
        let port_formed = port.is_none_or(|port| {
            let own = if scheme == "https" { "443" } else { "80" };
            port != own && !port.starts_with('0') && port.parse::<u16>().is_ok()
        });
        (secure && is_host_name(host) && port_formed).then(|| Self(text.to_owned()))
    }

    /// The origin as a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_host_name(text: &str) -> bool {
    let label_formed = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(label_formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization(id: &str) -> OrganizationId {
        OrganizationId::parse(id).unwrap()
    }

    #[test]
    fn a_caller_acts_only_where_organization_and_portal_are_its_own() {
        let caller = Caller {
            name: "sample".to_owned(),
            kind: CallerKind::Portal,
            organizations: AllOrSome::Some(vec![organization("a")]),
            portals: AllOrSome::Some(vec![Portal::Parent]),
            may_assert_client_address: false,
            origins: Vec::new(),
        };
        assert!(caller.may_act_for(&organization("a"), Portal::Parent));
        assert!(!caller.may_act_for(&organization("a"), Portal::Staff));
        assert!(!caller.may_act_for(&organization("b"), Portal::Parent));
    }

    #[test]
    fn an_empty_choice_overlaps_nothing() {
        let none = AllOrSome::<Portal>::Some(Vec::new());
        assert!(!none.overlaps(&AllOrSome::All));
        assert!(AllOrSome::<Portal>::All.overlaps(&AllOrSome::All));
    }

    #[test]
    fn a_digest_is_read_as_it_is_written_and_in_no_other_way() {
        let digest = TokenDigest::of("gat_sample");
        let written = digest.to_string();
        assert_eq!(TokenDigest::parse(&written), Some(digest));
        for wrong in [written.to_uppercase(), format!("{written}0"), written[..63].to_owned(), "é".repeat(32)]
        {
            assert_eq!(TokenDigest::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        let published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4, "abc"
        assert_eq!(TokenDigest::of("abc").to_string(), published);
    }

    #[test]
    fn origins_are_what_a_browser_sends() {
        for text in ["https://portal.example.se", "https://portal.example.se:8443", "http://localhost:3000"] {
            assert!(WebOrigin::parse(text).is_some(), "{text}");
        }
        for text in [
            "https://portal.example.se/",
            "https://portal.example.se:443",
            "http://portal.example.se",
            "https://Portal.example.se",
            "https://*.example.se",
            "https://user@portal.example.se",
            "null",
            "",
        ] {
            assert!(WebOrigin::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn certificate_names_are_dns_names_or_uris_without_wildcard() {
        assert!(matches!(SubjectName::parse("portal.example.se"), Some(SubjectName::Dns(_))));
        assert!(matches!(SubjectName::parse("spiffe://example.se/portal"), Some(SubjectName::Uri(_))));
        for text in ["*.example.se", "Portal.example.se", "portal..se", "", "spiffe://", "a b"] {
            assert_eq!(SubjectName::parse(text), None, "{text}");
        }
    }
}
