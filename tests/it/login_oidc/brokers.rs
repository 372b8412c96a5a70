//! Tokens in the shapes of the brokers that guardians come through.

use guardian_auth::config::OidcClientAuth;
use guardian_auth::domain::oidc::{ClaimMapping, ClaimSource, IdentifierScheme, OidcFault, Requirement};
use serde_json::{Map, Value, json};

use super::bed::OidcBed;
use super::party::{BSN, NUMBER, file, mapping};
use crate::support::evil_provider::behaviour::ClientProof;

/// Another BSN of the numbers for tests.
const OTHER_BSN: &str = "999993653";

fn requirement(claim: &str, any_of: &[&str]) -> Requirement {
    Requirement { claim: claim.to_owned(), any_of: any_of.iter().map(|&value| value.to_owned()).collect() }
}

fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Personnummer in `ssn`, `sub` in braces.
#[tokio::test]
async fn idura() {
    let bed = OidcBed::start_with(|provider| {
        provider.acr_values = vec!["urn:grn:authn:se:bankid".to_owned()];
        provider.mapping = mapping(ClaimSource::IdToken, &["ssn"], IdentifierScheme::SePnr);
    })
    .await;
    bed.op.behave(|op| {
        op.person = claims(json!({
            "ssn": NUMBER, "identityscheme": "sebankid", "name": "KIM EK", "family_name": "EK",
            "nameidentifier": "7f3c2a901f1e4bb09b0c000000000001", "country": "SE",
        }));
    });
    bed.logs_in().await;
    assert_eq!(bed.op.last_request()["acr_values"], "urn:grn:authn:se:bankid");
}

fn signicat() -> ClaimMapping {
    ClaimMapping {
        require: vec![
            requirement("idp", &["sbid"]),
            requirement("nin_type", &["PERSON"]),
            requirement("nin_issuing_country", &["SE"]),
        ],
        ..mapping(ClaimSource::Userinfo, &["nin"], IdentifierScheme::SeAny)
    }
}

/// The number is in userinfo, and not in the ID token.
#[tokio::test]
async fn signicat_userinfo() {
    let bed = OidcBed::start_with(|provider| {
        provider.scopes = vec!["nin".to_owned()];
        provider.acr_values = vec!["idp:sbid".to_owned()];
        provider.extra_params = vec![("prompt".to_owned(), "login".to_owned())];
        provider.mapping = signicat();
    })
    .await;
    let number = |kind: &str, eid: &str| {
        claims(json!({"nin": NUMBER, "nin_type": kind, "nin_issuing_country": "SE", "idp": eid}))
    };
    bed.op.behave(|op| {
        op.person.clear();
        op.userinfo_person = number("PERSON", "sbid");
    });
    bed.logs_in().await;
    assert_eq!(bed.op.last_request()["prompt"], "login");
    bed.op.behave(|op| op.userinfo_person = number("ORGANIZATION", "sbid"));
    bed.is_refused(OidcFault::ClaimRefused).await;
    // Another one than was asked for: what is asked for stands in the address, where it can be changed.
    bed.op.behave(|op| op.userinfo_person = number("PERSON", "sms-otp"));
    bed.is_refused(OidcFault::ClaimRefused).await;
    bed.op.behave(|op| op.userinfo_person.clear());
    bed.is_refused(OidcFault::ClaimMissing).await;
}

const FREJA: &str = "https://frejaeid.com/oidc/claims/";

fn freja(country: &str, level: &str) -> Map<String, Value> {
    [("personalIdentityNumber", NUMBER), ("country", country), ("registrationLevel", level)]
        .into_iter()
        .map(|(name, value)| (format!("{FREJA}{name}"), json!(value)))
        .collect()
}

/// Numbers of other countries look like ours; and not every level has been checked.
#[tokio::test]
async fn freja_refuses_other_countries_and_levels() {
    let bed = OidcBed::start_with(|provider| {
        let name = |claim: &str| format!("{FREJA}{claim}");
        provider.mapping = ClaimMapping {
            require: vec![
                requirement(&name("country"), &["SE"]),
                requirement(&name("registrationLevel"), &["EXTENDED", "PLUS"]),
            ],
            ..mapping(ClaimSource::IdToken, &[&name("personalIdentityNumber")], IdentifierScheme::SeAny)
        };
    })
    .await;
    for level in ["EXTENDED", "PLUS"] {
        bed.op.behave(|op| op.person = freja("SE", level));
        bed.logs_in().await;
    }
    for (country, level) in [("NO", "PLUS"), ("FI", "EXTENDED"), ("se", "PLUS"), ("SE", "BASIC")] {
        bed.op.behave(|op| op.person = freja(country, level));
        bed.is_refused(OidcFault::ClaimRefused).await;
    }
    bed.op.behave(|op| {
        op.person.remove(&format!("{FREJA}country"));
    });
    bed.is_refused(OidcFault::ClaimRefused).await;
}

/// One of two claims, `private_key_jwt`; both together are a fault of the provider.
#[tokio::test]
async fn sweden_connect() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key_file = file(directory.path(), "key.pem", &key.serialize_pem());
    let personal = "https://id.oidc.se/claim/personalIdentityNumber";
    let coordination = "https://id.oidc.se/claim/coordinationNumber";
    let bed = OidcBed::start_with(|provider| {
        provider.scopes = vec!["https://id.oidc.se/scope/naturalPersonNumber".to_owned()];
        provider.client_auth = OidcClientAuth::PrivateKeyJwt { key_file, key_id: None };
        provider.mapping = ClaimMapping {
            previous_claim: Some("https://id.oidc.se/claim/previousCoordinationNumber".to_owned()),
            staff_roles: None,
            ..mapping(ClaimSource::IdToken, &[personal, coordination], IdentifierScheme::SeAny)
        };
    })
    .await;
    bed.op.behave(|op| {
        op.proof = ClientProof::PrivateKeyJwt(key.public_key_raw().to_vec());
        op.person = claims(json!({
            personal: NUMBER, "https://id.oidc.se/claim/previousCoordinationNumber": "197302889931",
        }));
    });
    bed.logs_in().await;
    bed.op.behave(|op| {
        op.person.insert(coordination.to_owned(), json!("197302889931"));
    });
    bed.is_refused(OidcFault::ClaimMissing).await;
}

fn digid() -> ClaimMapping {
    ClaimMapping {
        strip_prefix: Some("s00000000:".to_owned()),
        ..mapping(ClaimSource::IdToken, &["idp_id"], IdentifierScheme::NlBsn)
    }
}

/// The sector is part of the value; that of old numbers (sofi) is none of ours.
#[tokio::test]
async fn digid_with_its_sector() {
    let bed = OidcBed::start_dutch(|provider| provider.mapping = digid()).await;
    bed.op.behave(|op| op.person = claims(json!({"idp_id": format!("s00000000:{BSN}"), "nin": BSN})));
    bed.logs_in().await;
    for value in [format!("s00000001:{BSN}"), BSN.to_owned(), format!("S00000000:{BSN}")] {
        bed.op.behave(|op| op.person = claims(json!({"idp_id": value})));
        bed.is_refused(OidcFault::ClaimRefused).await;
    }
    bed.op.behave(|op| op.person = claims(json!({"idp_id": "s00000000:123456789"})));
    bed.is_refused(OidcFault::ClaimMalformed).await;
}

/// Who acts for somebody is not that somebody: the number of the one who was authorised names nobody here.
#[tokio::test]
async fn acting_nin_is_ignored() {
    let bed = OidcBed::start_dutch(|provider| provider.mapping = digid()).await;
    let idp_id = format!("s00000000:{BSN}");
    bed.op.behave(|op| op.person = claims(json!({"idp_id": idp_id, "acting_nin": OTHER_BSN})));
    bed.logs_in().await;
    bed.op.behave(|op| op.person = claims(json!({"acting_nin": BSN})));
    bed.is_refused(OidcFault::ClaimMissing).await;
}

#[tokio::test]
async fn a_number_that_is_none_is_refused() {
    let bed = OidcBed::start().await;
    for number in ["", "19990807-2390", "870101-TF12", "19990807239", "1999080723911", "١٩٩٩٠٨٠٧٢٣٩١"]
    {
        bed.op.behave(|op| op.person = claims(json!({"ssn": number})));
        bed.is_refused(OidcFault::ClaimMalformed).await;
    }
    bed.op.behave(|op| op.person = claims(json!({"ssn": [NUMBER, "198001011371"]})));
    bed.is_refused(OidcFault::ClaimMissing).await;
}

/// An e-mail address never finds anybody, however well it is verified.
#[tokio::test]
async fn an_e_mail_address_names_nobody() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.person = claims(json!({"email": "kim@example.se", "email_verified": true})));
    bed.is_refused(OidcFault::ClaimMissing).await;
}
