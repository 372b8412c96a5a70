//! What no plan of the `OpenID` Foundation has: forged tokens that were taken elsewhere.

use guardian_auth::domain::oidc::OidcFault;
use serde_json::{Value, json};

use super::bed::OidcBed;
use super::party::Verdict;
use crate::support::evil_provider::behaviour::Signing;
use crate::support::evil_provider::keys::{Key, public_pem};
use crate::support::evil_provider::trap::Trap;
use crate::support::evil_provider::{CLIENT_ID, half_hash};

#[tokio::test]
async fn azp_of_another_client_is_refused() {
    let bed = OidcBed::start().await;
    for party in [json!("another-client"), json!(""), json!([CLIENT_ID])] {
        bed.op.behave(|op| op.claim("azp", party));
        bed.is_refused(OidcFault::IdTokenAuthorizedParty).await;
    }
    bed.op.behave(|op| op.claim("azp", json!(CLIENT_ID)));
    bed.logs_in().await;
}

/// A claim of time, moved from now by so many seconds.
fn at(bed: &OidcBed, claim: &'static str, seconds: i64) {
    let now = guardian_auth::ports::clock::Clock::now(bed.clock.as_ref()).as_seconds();
    bed.op.behave(|op| op.claim(claim, json!(now + seconds)));
}

#[tokio::test]
async fn iat_of_the_future_is_refused_from_five_minutes() {
    let bed = OidcBed::start().await;
    at(&bed, "iat", 300);
    bed.logs_in().await;
    at(&bed, "iat", 301);
    bed.is_refused(OidcFault::IdTokenIssuedAt).await;
}

#[tokio::test]
async fn iat_of_the_past_is_refused_from_ten_minutes() {
    let bed = OidcBed::start().await;
    at(&bed, "iat", -600);
    bed.logs_in().await;
    at(&bed, "iat", -601);
    bed.is_refused(OidcFault::IdTokenIssuedAt).await;
}

#[tokio::test]
async fn exp_has_a_leeway_of_exactly_a_minute() {
    let bed = OidcBed::start().await;
    at(&bed, "exp", -60);
    bed.logs_in().await;
    at(&bed, "exp", -61);
    bed.is_refused(OidcFault::IdTokenExpired).await;
}

#[tokio::test]
async fn nbf_has_a_leeway_of_exactly_a_minute() {
    let bed = OidcBed::start().await;
    at(&bed, "nbf", 60);
    bed.logs_in().await;
    at(&bed, "nbf", 61);
    bed.is_refused(OidcFault::IdTokenIssuedAt).await;
}

#[tokio::test]
async fn times_that_are_no_numbers_are_refused() {
    let bed = OidcBed::start().await;
    for (claim, fault) in [
        ("exp", OidcFault::IdTokenExpired),
        ("iat", OidcFault::IdTokenIssuedAt),
        ("nbf", OidcFault::IdTokenIssuedAt),
    ] {
        for value in [json!("1795262400"), json!({}), json!(true)] {
            bed.op.behave(|op| op.claim(claim, value));
            bed.is_refused(fault).await;
        }
    }
}

/// Whoever signs would choose the key that he is checked with.
#[tokio::test]
async fn keys_that_a_token_brings_along_are_ignored() {
    let (bed, trap) = (OidcBed::start().await, Trap::start().await);
    let url = trap.url();
    let own_key = Key::StrangeRsa.jwk();
    let bring = move |header: &mut Value| {
        header["jku"] = json!(url);
        header["x5u"] = json!(url);
        header["jwk"] = own_key.clone();
        header["x5c"] = json!(["MIIB"]);
    };
    bed.op.behave(|op| {
        op.signing = Signing::With(Key::StrangeRsa);
        op.header(bring.clone());
    });
    bed.is_refused(OidcFault::IdTokenSignature).await;
    bed.op.behave(|op| op.signing = Signing::With(Key::Rsa));
    bed.logs_in().await;
    assert_eq!(trap.calls(), 0);
}

#[tokio::test]
async fn a_header_with_crit_is_refused() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.header(|header| {
            header["crit"] = json!(["https://evil.example/ext"]);
            header["https://evil.example/ext"] = json!(true);
        });
    });
    bed.is_refused(OidcFault::IdTokenMalformed).await;
}

/// The public key, which everybody has, as the secret of an HMAC.
#[tokio::test]
async fn hs256_with_the_public_key_is_refused() {
    let modulus = Key::Rsa.jwk()["n"].as_str().unwrap().as_bytes().to_vec();
    for secret in [public_pem(), modulus] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| hs256(op, secret));
        bed.is_refused(OidcFault::IdTokenAlgorithm).await;
    }
}

/// CVE-2026-45363.
#[tokio::test]
async fn hs256_with_an_empty_key_is_refused() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| hs256(op, Vec::new()));
    bed.is_refused(OidcFault::IdTokenAlgorithm).await;
}

/// Even announced, and with a secret in the key set, which makes it none.
fn hs256(op: &mut crate::support::evil_provider::behaviour::Behaviour, secret: Vec<u8>) {
    let published = json!({
        "kty": "oct", "kid": "hmac", "alg": "HS256",
        "k": crate::support::evil_provider::keys::base64url(&secret),
    });
    op.signing = Signing::Hs256(secret);
    op.header(|header| header["kid"] = json!("hmac"));
    op.key_set(move |set| set["keys"].as_array_mut().unwrap().push(published.clone()));
    op.metadata(|metadata| metadata["id_token_signing_alg_values_supported"] = json!(["HS256", "RS256"]));
}

#[tokio::test]
async fn an_encrypted_token_is_refused() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.signing = Signing::Jwe);
    bed.is_refused(OidcFault::IdTokenMalformed).await;
}

#[tokio::test]
async fn a_token_inside_a_token_is_refused() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.signing = Signing::Nested);
    bed.is_refused(OidcFault::IdTokenMalformed).await;
}

#[tokio::test]
async fn a_token_of_seventeen_kibibytes_is_refused() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("padding", json!("x".repeat(17 * 1024))));
    bed.is_refused(OidcFault::IdTokenMalformed).await;
}

/// With evidence of the eID in it, a token has ten KiB.
#[tokio::test]
async fn a_token_of_ten_kibibytes_is_taken() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("evidence", json!("x".repeat(7 * 1024))));
    bed.logs_in().await;
}

/// The answer is not even read to its end: what it says is not known.
#[tokio::test]
async fn a_token_of_a_mebibyte_is_not_read() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("padding", json!("x".repeat(1024 * 1024))));
    bed.ends_with(Verdict::unavailable()).await;
}

#[tokio::test]
async fn ten_thousand_keys_are_not_read() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.key_set(|set| {
            let key = set["keys"][0].clone();
            set["keys"].as_array_mut().unwrap().extend(vec![key; 10_000]);
        });
    });
    bed.ends_with(Verdict::unavailable()).await;
}

#[tokio::test]
async fn thirty_three_keys_are_too_many() {
    for (strangers, verdict) in [(30, Verdict::Session), (31, Verdict::unavailable())] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| {
            op.key_set(move |set| {
                let mut key = set["keys"][1].clone();
                key["kid"] = json!("another");
                set["keys"].as_array_mut().unwrap().extend(vec![key; strangers]);
            });
        });
        bed.ends_with(verdict).await;
    }
}

/// Parsers differ in which of the two they take.
#[tokio::test]
async fn a_claim_that_is_there_twice_is_refused() {
    for twice in [r#""sub":"somebody else","#, r#""ssn":"198001011371","#, r#""aud":"another-client","#] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| op.claims_text(move |text| text.insert_str(1, twice)));
        bed.is_refused(OidcFault::IdTokenMalformed).await;
    }
}

#[tokio::test]
async fn claims_that_are_no_object_are_refused() {
    let bed = OidcBed::start().await;
    for text in ["[]", "null", "\"x\"", "", "{", "{}x"] {
        bed.op.behave(|op| op.claims_text(move |claims| text.clone_into(claims)));
        bed.is_refused(OidcFault::IdTokenMalformed).await;
    }
}

#[tokio::test]
async fn a_token_answer_that_is_none_is_refused() {
    for (field, value, fault) in [
        ("id_token", Value::Null, OidcFault::IdTokenMalformed),
        ("id_token", json!("no.jwt.at all"), OidcFault::IdTokenMalformed),
        ("access_token", Value::Null, OidcFault::TokenAnswer),
        ("token_type", json!("DPoP"), OidcFault::TokenAnswer),
    ] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| op.token_answer(move |answer| answer[field] = value.clone()));
        bed.is_refused(fault).await;
    }
}

#[tokio::test]
async fn a_right_c_hash_is_taken() {
    let bed = OidcBed::start().await;
    let begun = bed.begin().await.unwrap();
    let came = bed.visit(&begun).await;
    let hash = half_hash(&came["code"]);
    bed.op.behave(|op| op.claim("c_hash", json!(hash)));
    assert_eq!(bed.complete(&begun, &came).await, Verdict::Session);
}

/// Identified, and not well enough.
#[tokio::test]
async fn acr_lower_than_asked_is_refused() {
    let bed = OidcBed::start_with(|provider| {
        provider.acr_values = vec!["urn:example:loa3".to_owned()];
        provider.strength.required_acr = vec!["urn:example:loa3".to_owned(), "urn:example:loa4".to_owned()];
    })
    .await;
    bed.is_refused(OidcFault::TooWeak).await;
    for acr in [json!("urn:example:loa2"), json!(""), json!(["urn:example:loa3"])] {
        bed.op.behave(|op| op.claim("acr", acr));
        bed.is_refused(OidcFault::TooWeak).await;
    }
    for acr in ["urn:example:loa3", "urn:example:loa4"] {
        bed.op.behave(|op| op.claim("acr", json!(acr)));
        bed.logs_in().await;
    }
    assert_eq!(bed.op.last_request()["acr_values"], "urn:example:loa3");
}

#[tokio::test]
async fn an_authentication_that_is_too_old_is_refused() {
    let bed = OidcBed::start_with(|provider| {
        provider.strength.max_age = Some(std::time::Duration::from_mins(5));
    })
    .await;
    bed.logs_in().await;
    assert_eq!(bed.op.last_request()["max_age"], "300");
    at(&bed, "auth_time", -360);
    bed.logs_in().await;
    at(&bed, "auth_time", -361);
    bed.is_refused(OidcFault::TooOld).await;
    bed.op.behave(|op| op.without_claim("auth_time"));
    bed.is_refused(OidcFault::TooOld).await;
}
