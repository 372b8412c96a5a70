//! The brokers that are stood in for: what each says of a person, and where.

use serde_json::{Map, Value, json};

use super::person::{DUTCH, Person, SWEDISH};

/// A broker, by the form of its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broker {
    /// Idura Verify (Criipto before): the number in the ID token, requests may be pushed.
    Idura,
    /// Signicat with Swedish `BankID`: the number in userinfo alone.
    Signicat,
    /// Freja, asked directly: claims with URIs as names, RS256.
    Freja,
    /// The Swedish `OpenID` profile: a personnummer or a coordination number, each in a claim of its own.
    SwedenConnect,
    /// Signicat with `DigiD`: a BSN behind the number of its sector.
    DigiD,
}

/// What a broker says of a person.
pub(super) struct Said {
    /// In the ID token.
    pub(super) id_token: Map<String, Value>,
    /// In userinfo.
    pub(super) userinfo: Map<String, Value>,
}

/// What the Swedish profile calls its claims and scope.
const OIDC_SE: &str = "https://id.oidc.se/claim/";
/// With this scope the Swedish profile tells the number.
const OIDC_SE_SCOPE: &str = "https://id.oidc.se/scope/naturalPersonNumber";
/// What Freja calls its claims.
const FREJA: &str = "https://frejaeid.com/oidc/claims/";

impl Broker {
    /// All brokers.
    pub const ALL: [Self; 5] = [Self::Idura, Self::Signicat, Self::Freja, Self::SwedenConnect, Self::DigiD];

    /// Its part of the address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Idura => "idura",
            Self::Signicat => "signicat",
            Self::Freja => "freja",
            Self::SwedenConnect => "swedenconnect",
            Self::DigiD => "digid",
        }
    }

    /// Its name for people.
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Idura => "BankID (Idura)",
            Self::Signicat => "BankID (Signicat)",
            Self::Freja => "Freja eID",
            Self::SwedenConnect => "Sweden Connect",
            Self::DigiD => "DigiD (Signicat)",
        }
    }

    /// The `acr` of a login; also the one value that is announced.
    pub const fn acr(self) -> &'static str {
        match self {
            Self::Idura => "urn:grn:authn:se:bankid",
            Self::Signicat => "idp:sbid",
            Self::Freja => "https://frejaeid.com/oidc/acr/loa3",
            Self::SwedenConnect => "http://id.elegnamnden.se/loa/1.0/loa3",
            Self::DigiD => "idp:digid",
        }
    }

    /// The scopes that are known besides `openid` and `profile`.
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Idura | Self::Freja => &[],
            Self::Signicat | Self::DigiD => &["nin"],
            Self::SwedenConnect => &[OIDC_SE_SCOPE],
        }
    }

    /// Whether it signs with RS256; the others sign with ES256.
    pub(super) const fn is_rsa(self) -> bool {
        matches!(self, Self::Freja)
    }

    /// Whether requests can be pushed (RFC 9126).
    pub(super) const fn takes_pushed(self) -> bool {
        matches!(self, Self::Idura)
    }

    /// Who can log in there.
    pub fn persons(self) -> Vec<Person> {
        let everybody: &[Person] = match self {
            Self::Idura | Self::Signicat | Self::Freja | Self::SwedenConnect => &SWEDISH,
            Self::DigiD => &DUTCH,
        };
        let is_here = |person: &&Person| match self {
            // BankID is for personnummer.
            Self::Idura | Self::Signicat => person.country == "SE" && !person.is_coordination_number(),
            Self::SwedenConnect => person.country == "SE",
            Self::Freja | Self::DigiD => true,
        };
        everybody.iter().filter(is_here).copied().collect()
    }

    /// What is said of a person under the name `pseudonym` to who asked with these scopes.
    pub(super) fn said(self, person: &Person, pseudonym: &str, scopes: &[String]) -> Said {
        let has_scope = self.scopes().iter().all(|scope| scopes.iter().any(|one| one == scope));
        let (id_token, userinfo) = match self {
            Self::Idura => {
                let number = json!({
                    "identityscheme": "sebankid",
                    "nameidentifier": pseudonym.replace(['{', '}', '-'], ""),
                    "ssn": person.number,
                    "country": person.country,
                });
                (number.clone(), number)
            }
            Self::Signicat => {
                let number = json!({
                    "nin": person.number, "nin_type": "PERSON", "nin_issuing_country": person.country,
                });
                (json!({ "idp": "sbid" }), if has_scope { number } else { json!({}) })
            }
            Self::Freja => {
                let number = json!({
                    format!("{FREJA}personalIdentityNumber"): person.number,
                    format!("{FREJA}country"): person.country,
                    format!("{FREJA}registrationLevel"): "EXTENDED",
                    format!("{FREJA}relyingPartyUserId"): pseudonym,
                });
                (number.clone(), number)
            }
            Self::SwedenConnect if !has_scope => (json!({}), json!({})),
            Self::SwedenConnect if person.is_coordination_number() => {
                let number = json!({
                    format!("{OIDC_SE}coordinationNumber"): person.number,
                    format!("{OIDC_SE}coordinationNumberLevel"): "confirmed",
                });
                (number.clone(), number)
            }
            Self::SwedenConnect => {
                let number = json!({ format!("{OIDC_SE}personalIdentityNumber"): person.number });
                (number.clone(), number)
            }
            Self::DigiD => {
                let number = json!({
                    "nin": person.number,
                    "nin_type": "PERSON",
                    "nin_issuing_country": person.country,
                    "idp_id": format!("{}:{}", person.sector, person.number),
                });
                (json!({ "idp": "digid" }), if has_scope { number } else { json!({}) })
            }
        };
        let mut said = Said { id_token: members(id_token), userinfo: members(userinfo) };
        // DigiD tells no names.
        if self != Self::DigiD {
            for claims in [&mut said.id_token, &mut said.userinfo] {
                claims.insert("given_name".to_owned(), json!(person.given_name));
                claims.insert("family_name".to_owned(), json!(person.family_name));
                claims.insert("name".to_owned(), json!(person.name()));
            }
        }
        said
    }

    /// What this broker calls a person, from sixteen bytes of their own.
    pub(super) fn pseudonym(self, bytes: [u8; 16]) -> String {
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
        let uuid = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-");
        match self {
            // In braces, as the real one writes it.
            Self::Idura => format!("{{{uuid}}}"),
            Self::Signicat | Self::Freja | Self::SwedenConnect | Self::DigiD => uuid,
        }
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(broker: Broker, number: &str, scopes: &[&str]) -> Said {
        let person = broker.persons().into_iter().find(|person| person.number == number).unwrap();
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        broker.said(&person, "{a-b}", &scopes)
    }

    #[test]
    fn a_number_is_where_its_broker_has_it() {
        assert_eq!(said(Broker::Idura, "197001019806", &[]).id_token["ssn"], "197001019806");
        let signicat = said(Broker::Signicat, "197001019806", &["nin"]);
        assert!(!signicat.id_token.contains_key("nin"), "in userinfo alone");
        assert_eq!(signicat.userinfo["nin"], "197001019806");
        assert!(
            !said(Broker::Signicat, "197001019806", &[]).userinfo.contains_key("nin"),
            "with its scope alone"
        );
        let digid = said(Broker::DigiD, "999990007", &["nin"]);
        assert_eq!(digid.userinfo["idp_id"], "s00000000:999990007");
        assert!(!digid.userinfo.contains_key("family_name"));
    }

    #[test]
    fn a_personnummer_and_a_coordination_number_are_never_both_there() {
        for (number, there, missing) in [
            ("197001019806", "personalIdentityNumber", "coordinationNumber"),
            ("197302889931", "coordinationNumber", "personalIdentityNumber"),
        ] {
            let claims = said(Broker::SwedenConnect, number, &[OIDC_SE_SCOPE]).id_token;
            assert_eq!(claims[&format!("{OIDC_SE}{there}")], number);
            assert!(!claims.contains_key(&format!("{OIDC_SE}{missing}")));
        }
        assert!(Broker::Idura.persons().iter().all(|person| !person.is_coordination_number()));
    }
}
