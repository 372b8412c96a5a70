//! `OpenID` Connect providers: what is configured of one, what it may answer, and how its claims name a person.

mod fault;

use std::time::Duration;

use jiff::civil::Date;

use super::eid_login::{AssertedId, Assertion};
use super::identifier::{Bsn, NationalId, SwedishNumber};
use super::organization::Portal;
use super::staff::Role;

pub use fault::OidcFault;

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
    /// Its issuer: what its own names for persons are told apart by.
    pub issuer: String,
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
    /// At the portal `staff`: how the provider tells roles, if it is to be asked.
    pub staff_roles: Option<RoleMapping>,
}

/// How a provider tells the roles of staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMapping {
    /// The claim, in the same place as the identifying claim.
    pub claim: String,
    /// Values of the claim with the role that each stands for. Others stand for none.
    pub roles: Vec<(String, Role)>,
}

impl RoleMapping {
    fn roles(&self, claims: &Claims) -> Vec<Role> {
        let values = claims.get(&self.claim).map(Vec::as_slice).unwrap_or_default();
        self.roles.iter().filter(|(value, _)| values.contains(value)).map(|(_, role)| *role).collect()
    }
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
            roles: self.staff_roles.as_ref().map(|mapping| mapping.roles(claims)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://op.example";

    /// Numbers of Skatteverket's test data: a personnummer, and a coordination number.
    const PNR: &str = "199908072391";
    const SNR: &str = "197302889931";

    fn claims<const N: usize>(claims: [(&str, &str); N]) -> Claims {
        claims.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into()
    }

    fn of_token<const N: usize>(of: [(&str, &str); N]) -> ProvenClaims {
        ProvenClaims { id_token: claims(of), userinfo: None }
    }

    fn mapping(source: ClaimSource, names: &[&str], scheme: IdentifierScheme) -> ClaimMapping {
        ClaimMapping {
            source,
            claims: names.iter().map(|name| (*name).to_owned()).collect(),
            scheme,
            strip_prefix: None,
            require: Vec::new(),
            previous_claim: None,
            staff_roles: None,
        }
    }

    fn requirement(claim: &str, any_of: &[&str]) -> Requirement {
        Requirement {
            claim: claim.to_owned(),
            any_of: any_of.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn read(mapping: &ClaimMapping, proven: &ProvenClaims) -> Result<Assertion, OidcFault> {
        mapping.assertion(proven, ISSUER, jiff::civil::date(2026, 11, 22))
    }

    /// The canonical form of who is named.
    fn named(mapping: &ClaimMapping, proven: &ProvenClaims) -> Result<String, OidcFault> {
        read(mapping, proven).map(|assertion| assertion.id.canonical().to_owned())
    }

    #[test]
    fn idura_names_a_person_by_ssn_in_the_id_token() {
        let mapping = mapping(ClaimSource::IdToken, &["ssn"], IdentifierScheme::SePnr);
        let token = |ssn| {
            of_token([
                ("identityscheme", "sebankid"),
                ("sub", "{d3b0a5f2-0000-4000-8000-5f0d1c2b3a49}"),
                ("ssn", ssn),
                ("family_name", "SJÖBERG"),
            ])
        };
        let assertion = read(&mapping, &token(PNR)).unwrap();
        assert_eq!(assertion.id.canonical(), format!("se.pnr:{PNR}"));
        assert_eq!(assertion.family_name.as_deref(), Some("SJÖBERG"));
        assert_eq!(assertion.previous, None);
        // The number of a Norwegian, and a number with a wrong last digit.
        for other in ["01010012345", "199908072390", "", SNR] {
            assert_eq!(named(&mapping, &token(other)), Err(OidcFault::ClaimMalformed), "{other}");
        }
    }

    #[test]
    fn signicat_names_a_person_by_nin_in_userinfo() {
        let mut mapping = mapping(ClaimSource::Userinfo, &["nin"], IdentifierScheme::SeAny);
        mapping.require =
            vec![requirement("nin_type", &["PERSON"]), requirement("nin_issuing_country", &["SE"])];
        let userinfo = |country| {
            let userinfo = claims([("nin", PNR), ("nin_type", "PERSON"), ("nin_issuing_country", country)]);
            ProvenClaims { id_token: claims([("sub", "hash"), ("nin", SNR)]), userinfo: Some(userinfo) }
        };
        assert!(mapping.needs_userinfo(&userinfo("SE").id_token));
        assert_eq!(named(&mapping, &userinfo("SE")), Ok(format!("se.pnr:{PNR}")));
        assert_eq!(named(&mapping, &userinfo("NO")), Err(OidcFault::ClaimRefused));
        // What the ID token says is not taken instead.
        assert_eq!(named(&mapping, &of_token([("nin", PNR)])), Err(OidcFault::Userinfo));
        let empty = ProvenClaims { id_token: claims([("nin", PNR)]), userinfo: Some(Claims::new()) };
        assert_eq!(named(&mapping, &empty), Err(OidcFault::ClaimMissing));
    }

    #[test]
    fn either_place_is_one_place_at_a_time() {
        let mut mapping = mapping(ClaimSource::Either, &["nin"], IdentifierScheme::SeAny);
        assert!(!mapping.needs_userinfo(&claims([("nin", PNR)])));
        assert!(mapping.needs_userinfo(&claims([("sub", "hash")])));
        let both = ProvenClaims { id_token: claims([("nin", PNR)]), userinfo: Some(claims([("nin", SNR)])) };
        assert_eq!(named(&mapping, &both), Ok(format!("se.pnr:{PNR}")));
        // A requirement is met where the number stands, or not at all.
        mapping.require = vec![requirement("nin_type", &["PERSON"])];
        let apart = ProvenClaims {
            id_token: claims([("nin", PNR)]),
            userinfo: Some(claims([("nin_type", "PERSON")])),
        };
        assert_eq!(named(&mapping, &apart), Err(OidcFault::ClaimRefused));
    }

    #[test]
    fn freja_names_swedes_of_a_sufficient_level() {
        let name = |last: &str| format!("https://frejaeid.com/oidc/claims/{last}");
        let number = name("personalIdentityNumber");
        let mut mapping = mapping(ClaimSource::IdToken, &[number.as_str()], IdentifierScheme::SePnr);
        mapping.require = vec![
            requirement(&name("country"), &["SE"]),
            requirement(&name("registrationLevel"), &["EXTENDED", "PLUS"]),
        ];
        let token = |number: &str, country: &str, level: &str| {
            of_token([
                (&name("personalIdentityNumber"), number),
                (&name("country"), country),
                (&name("registrationLevel"), level),
            ])
        };
        assert_eq!(named(&mapping, &token(PNR, "SE", "PLUS")), Ok(format!("se.pnr:{PNR}")));
        assert_eq!(named(&mapping, &token(PNR, "SE", "EXTENDED")), Ok(format!("se.pnr:{PNR}")));
        assert_eq!(named(&mapping, &token(PNR, "SE", "BASIC")), Err(OidcFault::ClaimRefused));
        assert_eq!(named(&mapping, &token("01010012345", "NO", "PLUS")), Err(OidcFault::ClaimRefused));
        assert_eq!(named(&mapping, &token(PNR, "se", "PLUS")), Err(OidcFault::ClaimRefused));
        // Names are taken to the letter: with one slash it is another claim.
        let misspelt = number.replace("https://", "https:/");
        assert_eq!(named(&mapping, &of_token([(&misspelt, PNR)])), Err(OidcFault::ClaimMissing));
    }

    #[test]
    fn the_swedish_profile_has_one_number_of_either_kind() {
        let pnr = "https://id.oidc.se/claim/personalIdentityNumber";
        let snr = "https://id.oidc.se/claim/coordinationNumber";
        let previous = "https://id.oidc.se/claim/previousCoordinationNumber";
        let mut mapping = mapping(ClaimSource::IdToken, &[pnr, snr], IdentifierScheme::SeAny);
        mapping.previous_claim = Some(previous.to_owned());
        assert_eq!(named(&mapping, &of_token([(pnr, PNR)])), Ok(format!("se.pnr:{PNR}")));
        assert_eq!(named(&mapping, &of_token([(snr, SNR)])), Ok(format!("se.snr:{SNR}")));
        assert_eq!(named(&mapping, &of_token([(pnr, PNR), (snr, SNR)])), Err(OidcFault::ClaimMissing));
        assert_eq!(named(&mapping, &of_token([])), Err(OidcFault::ClaimMissing));
        let moved = read(&mapping, &of_token([(pnr, PNR), (previous, SNR)])).unwrap();
        assert_eq!(moved.id.canonical(), format!("se.pnr:{PNR}"));
        assert_eq!(moved.previous.map(|it| it.canonical().to_owned()), Some(format!("se.snr:{SNR}")));
        let broken = of_token([(pnr, PNR), (previous, "1")]);
        assert_eq!(named(&mapping, &broken), Err(OidcFault::ClaimMalformed));
    }

    #[test]
    fn digid_names_a_person_by_bsn_in_its_sector() {
        let mut mapping = mapping(ClaimSource::IdToken, &["idp_id"], IdentifierScheme::NlBsn);
        mapping.strip_prefix = Some("s00000000:".to_owned());
        let token = |id| of_token([("sub", "hash"), ("idp_id", id), ("acting_nin", "123456782")]);
        assert_eq!(named(&mapping, &token("s00000000:999999990")), Ok("nl.bsn:999999990".to_owned()));
        // Another sector, and none.
        for other in ["s00000001:999999990", "999999990", "S00000000:999999990"] {
            assert_eq!(named(&mapping, &token(other)), Err(OidcFault::ClaimRefused), "{other}");
        }
        assert_eq!(named(&mapping, &token("s00000000:999999991")), Err(OidcFault::ClaimMalformed));
    }

    #[test]
    fn an_opaque_name_is_one_of_its_issuer() {
        let mapping = mapping(ClaimSource::IdToken, &["sub"], IdentifierScheme::Opaque);
        let subject = "7a1c1c2e-0000-4000-8000-1c2d3e4f5a6b";
        let token = of_token([("sub", subject), ("email", "somebody@example.org")]);
        assert_eq!(named(&mapping, &token), Ok(format!("oidc:{ISSUER}:{subject}")));
        assert_eq!(named(&mapping, &of_token([("sub", "")])), Err(OidcFault::ClaimMalformed));
        assert_eq!(
            named(&mapping, &of_token([("email", "somebody@example.org")])),
            Err(OidcFault::ClaimMissing)
        );
    }

    #[test]
    fn a_list_of_numbers_names_nobody() {
        let mapping = mapping(ClaimSource::IdToken, &["ssn"], IdentifierScheme::SeAny);
        for numbers in [vec![], vec![PNR.to_owned(), SNR.to_owned()]] {
            let id_token = Claims::from([("ssn".to_owned(), numbers)]);
            let proven = ProvenClaims { id_token, userinfo: None };
            assert_eq!(named(&mapping, &proven), Err(OidcFault::ClaimMissing));
        }
    }

    #[test]
    fn a_scheme_takes_its_own_kind_of_number() {
        for (scheme, pnr, snr) in [
            (IdentifierScheme::SePnr, true, false),
            (IdentifierScheme::SeSnr, false, true),
            (IdentifierScheme::SeAny, true, true),
            (IdentifierScheme::NlBsn, false, false),
        ] {
            let mapping = mapping(ClaimSource::IdToken, &["n"], scheme);
            let is_taken = |number| named(&mapping, &of_token([("n", number)])).is_ok();
            assert_eq!((is_taken(PNR), is_taken(SNR)), (pnr, snr), "{scheme:?}");
        }
    }

    #[test]
    fn a_provider_has_a_short_name() {
        for right in ["a", "freja-1", &"x".repeat(40)] {
            assert_eq!(ProviderId::parse(right).map(|id| id.as_str().to_owned()).as_deref(), Some(right));
        }
        for wrong in ["", "A", "a b", "å", "a/b", &"x".repeat(41)] {
            assert_eq!(ProviderId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn roles_come_from_the_named_values_of_the_claim_alone() {
        let mapping = RoleMapping {
            claim: "groups".to_owned(),
            roles: vec![
                ("school-admins".to_owned(), Role::SchoolAdministrator),
                ("helpdesk".to_owned(), Role::SupportPerson),
            ],
        };
        let claims = |values: &[&str]| {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            Claims::from([("groups".to_owned(), values)])
        };
        assert_eq!(mapping.roles(&claims(&["x", "helpdesk"])), [Role::SupportPerson]);
        assert_eq!(mapping.roles(&claims(&["Helpdesk", "school-admins "])), []);
        assert_eq!(mapping.roles(&Claims::new()), []);
    }
}
