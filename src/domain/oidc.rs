//! `OpenID` Connect providers: what is configured of one, what it may answer, and how its claims name a person.

use std::time::Duration;

use jiff::civil::Date;

use super::eid_login::{AssertedId, Assertion};
use super::identifier::{Bsn, NationalId, SwedishNumber};
use super::organization::Portal;

/// The short name of a provider inside its organization: `[a-z0-9-]`, 1–40 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    /// Reads a short name; `None` if it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let formed = (1..=40).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        formed.then(|| Self(text.to_owned()))
    }

    /// The short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What flows and portals need to know of a provider. How it is talked to is the adapter's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its short name.
    pub id: ProviderId,
    /// Its name for people.
    pub display_name: String,
    /// The portals that offer it.
    pub portals: Vec<Portal>,
    /// Whether a portal may say who will log in (`login_hint`). Off by default: it puts a number into an address.
    pub login_hint: bool,
}

/// From where the identifying claim is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimSource {
    /// The ID token.
    IdToken,
    /// The answer of the userinfo endpoint.
    Userinfo,
    /// The ID token if it has the claim, else userinfo.
    Either,
}

/// What the identifying claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierScheme {
    /// A personnummer.
    SePnr,
    /// A coordination number.
    SeSnr,
    /// Either of them; never a temporary number, which means something in one organization only.
    SeAny,
    /// A BSN.
    NlBsn,
    /// The provider's own name for the person.
    Opaque,
}

/// How a provider's claims name a person: data, so that a new broker needs no release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    /// Where the claim is.
    pub source: ClaimSource,
    /// Exact names, URIs literally. The one that is there counts; two of them are a fault (Swedish OIDC profile:
    /// personnummer and coordination number exclude each other).
    pub claims: Vec<String>,
    /// What it holds.
    pub scheme: IdentifierScheme,
    /// Dropped in front of the value, and the value refused without it (`DigiD`: the sector `s00000000:`).
    pub strip_prefix: Option<String>,
    /// Claims that must be there with one of these values, in the same place as the identifying claim.
    pub require: Vec<Requirement>,
    /// The claim with the number before, if the provider has one.
    pub previous_claim: Option<String>,
}

/// A claim that must have one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its exact name.
    pub claim: String,
    /// The values; one of them.
    pub any_of: Vec<String>,
}

/// How strong and how fresh the authentication must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strength {
    /// The `acr` must be one of these; empty: not asked.
    pub required_acr: Vec<String>,
    /// `auth_time` must not be older.
    pub max_age: Option<Duration>,
}

/// Texts of claims by name; numbers and flags as their text, lists as each of their texts.
pub type Claims = std::collections::BTreeMap<String, Vec<String>>;

/// What a provider said of a person, after every check of its tokens.
#[derive(Clone, Default)]
pub struct ProvenClaims {
    /// The claims of the ID token.
    pub id_token: Claims,
    /// The claims of userinfo, if it was asked.
    pub userinfo: Option<Claims>,
}

/// Why a provider's answer names nobody. Read by audit and diagnosis; it has no path into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OidcFault {
    /// The attempt was never begun, or is used.
    AttemptUnknown,
    /// The attempt is too old.
    AttemptExpired,
    /// The attempt was begun in another browser.
    OtherBrowser,
    /// The answer came to the redirect address of another provider, portal or organization.
    OtherProvider,
    /// The guardian gave up, or the provider says so (`access_denied` and its kin).
    GivenUp,
    /// The provider answered with another error.
    ProviderError,
    /// `iss` of the answer is missing where it must be there, or another's (RFC 9207).
    ResponseIssuer,
    /// The provider did not take the code.
    CodeRefused,
    /// The token answer is none.
    TokenAnswer,
    /// There is no ID token, or it is no JWT, too long, encrypted, or has a claim twice.
    IdTokenMalformed,
    /// Its algorithm is none of those that are allowed.
    IdTokenAlgorithm,
    /// No published key is the one that it was signed with.
    IdTokenKey,
    /// Its signature is wrong.
    IdTokenSignature,
    /// `iss` is missing or another's.
    IdTokenIssuer,
    /// `aud` is missing, another's, or names others besides us.
    IdTokenAudience,
    /// `azp` is another's.
    IdTokenAuthorizedParty,
    /// `exp` is missing or over.
    IdTokenExpired,
    /// `iat` is missing, in the future or too long ago, or `nbf` is in the future.
    IdTokenIssuedAt,
    /// `nonce` is missing or another's: the token is of another attempt.
    IdTokenNonce,
    /// `at_hash` does not fit the access token.
    IdTokenAccessTokenHash,
    /// `c_hash` does not fit the code.
    IdTokenCodeHash,
    /// `sub` is missing.
    IdTokenSubject,
    /// `acr` is none of those that are required.
    TooWeak,
    /// `auth_time` is missing or too long ago.
    TooOld,
    /// Userinfo is no answer, or not signed as it should be.
    Userinfo,
    /// Userinfo is about another `sub`.
    UserinfoSubject,
    /// The identifying claim is missing, or there are two.
    ClaimMissing,
    /// A claim that is required has another value.
    ClaimRefused,
    /// The identifying claim holds no identifier of its kind.
    ClaimMalformed,
}

impl OidcFault {
    /// All faults, for documentation tests.
    pub const ALL: [Self; 29] = [
        Self::AttemptUnknown,
        Self::AttemptExpired,
        Self::OtherBrowser,
        Self::OtherProvider,
        Self::GivenUp,
        Self::ProviderError,
        Self::ResponseIssuer,
        Self::CodeRefused,
        Self::TokenAnswer,
        Self::IdTokenMalformed,
        Self::IdTokenAlgorithm,
        Self::IdTokenKey,
        Self::IdTokenSignature,
        Self::IdTokenIssuer,
        Self::IdTokenAudience,
        Self::IdTokenAuthorizedParty,
        Self::IdTokenExpired,
        Self::IdTokenIssuedAt,
        Self::IdTokenNonce,
        Self::IdTokenAccessTokenHash,
        Self::IdTokenCodeHash,
        Self::IdTokenSubject,
        Self::TooWeak,
        Self::TooOld,
        Self::Userinfo,
        Self::UserinfoSubject,
        Self::ClaimMissing,
        Self::ClaimRefused,
        Self::ClaimMalformed,
    ];

    /// The name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptUnknown => "attempt_unknown",
            Self::AttemptExpired => "attempt_expired",
            Self::OtherBrowser => "other_browser",
            Self::OtherProvider => "other_provider",
            Self::GivenUp => "given_up",
            Self::ProviderError => "provider_error",
            Self::ResponseIssuer => "response_issuer",
            Self::CodeRefused => "code_refused",
            Self::TokenAnswer => "token_answer",
            Self::IdTokenMalformed => "id_token_malformed",
            Self::IdTokenAlgorithm => "id_token_algorithm",
            Self::IdTokenKey => "id_token_key",
            Self::IdTokenSignature => "id_token_signature",
            Self::IdTokenIssuer => "id_token_issuer",
            Self::IdTokenAudience => "id_token_audience",
            Self::IdTokenAuthorizedParty => "id_token_authorized_party",
            Self::IdTokenExpired => "id_token_expired",
            Self::IdTokenIssuedAt => "id_token_issued_at",
            Self::IdTokenNonce => "id_token_nonce",
            Self::IdTokenAccessTokenHash => "id_token_at_hash",
            Self::IdTokenCodeHash => "id_token_c_hash",
            Self::IdTokenSubject => "id_token_subject",
            Self::TooWeak => "too_weak",
            Self::TooOld => "too_old",
            Self::Userinfo => "userinfo",
            Self::UserinfoSubject => "userinfo_subject",
            Self::ClaimMissing => "claim_missing",
            Self::ClaimRefused => "claim_refused",
            Self::ClaimMalformed => "claim_malformed",
        }
    }
}

impl ClaimMapping {
    /// Whether userinfo must be asked, with an ID token of these claims.
    pub fn needs_userinfo(&self, id_token: &Claims) -> bool {
        match self.source {
            ClaimSource::IdToken => false,
            ClaimSource::Userinfo => true,
            ClaimSource::Either => !self.claims.iter().any(|claim| id_token.contains_key(claim)),
        }
    }

    /// The person that proven claims name. `issuer` and `today` are what opaque names and short forms need.
    ///
    /// # Errors
    /// [`OidcFault`]: fails closed, and never falls back to another claim.
    pub fn assertion(
        &self,
        proven: &ProvenClaims,
        issuer: &str,
        today: Date,
    ) -> Result<Assertion, OidcFault> {
        let claims = if self.needs_userinfo(&proven.id_token) {
            proven.userinfo.as_ref().ok_or(OidcFault::Userinfo)?
        } else {
            &proven.id_token
        };
        let mut present = self.claims.iter().filter_map(|claim| claims.get(claim));
        let (Some(values), None) = (present.next(), present.next()) else {
            return Err(OidcFault::ClaimMissing);
        };
        let [value] = values.as_slice() else { return Err(OidcFault::ClaimMissing) };
        for Requirement { claim, any_of } in &self.require {
            let there = claims.get(claim).is_some_and(|values| values.iter().any(|it| any_of.contains(it)));
            if !there {
                return Err(OidcFault::ClaimRefused);
            }
        }
        let value = match &self.strip_prefix {
            None => value.as_str(),
            Some(prefix) => value.strip_prefix(prefix.as_str()).ok_or(OidcFault::ClaimRefused)?,
        };
        let previous = self.previous_claim.as_ref().and_then(|claim| claims.get(claim));
        Ok(Assertion {
            id: self.scheme.parse(value, issuer, today)?,
            previous: match previous.map(Vec::as_slice) {
                None => None,
                Some([number]) => Some(previous_number(number, today)?),
                Some(_) => return Err(OidcFault::ClaimMalformed),
            },
            family_name: claims.get("family_name").and_then(|names| names.first()).cloned(),
        })
    }
}

fn previous_number(number: &str, today: Date) -> Result<NationalId, OidcFault> {
    SwedishNumber::parse(number, today).map(NationalId::from).map_err(|_| OidcFault::ClaimMalformed)
}

impl IdentifierScheme {
    fn parse(self, value: &str, issuer: &str, today: Date) -> Result<AssertedId, OidcFault> {
        let national = match self {
            Self::Opaque => return AssertedId::opaque(issuer, value).ok_or(OidcFault::ClaimMalformed),
            Self::NlBsn => Bsn::parse(value).map(NationalId::from),
            Self::SePnr | Self::SeSnr | Self::SeAny => {
                SwedishNumber::parse(value, today).map(NationalId::from)
            }
        };
        let national = national.map_err(|_| OidcFault::ClaimMalformed)?;
        let fits = match (&national, self) {
            (NationalId::Pnr(_), Self::SePnr | Self::SeAny)
            | (NationalId::Snr(_), Self::SeSnr | Self::SeAny)
            | (NationalId::Bsn(_), Self::NlBsn) => true,
            (NationalId::Pnr(_) | NationalId::Snr(_) | NationalId::Tf(_) | NationalId::Bsn(_), _) => false,
        };
        if fits { Ok(AssertedId::National(national)) } else { Err(OidcFault::ClaimMalformed) }
    }
}
