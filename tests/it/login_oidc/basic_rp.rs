//! The modules of the `OpenID` Foundation's plan for basic relying parties, by their names.

use guardian_auth::domain::oidc::{ClaimSource, IdentifierScheme, OidcFault};
use serde_json::{Value, json};

use super::bed::OidcBed;
use super::party::{NUMBER, mapping};
use crate::support::evil_provider::behaviour::Signing;
use crate::support::evil_provider::keys::Key;

#[tokio::test]
async fn oidcc_client_test() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/userinfo"), 0, "the ID token said everything");
}

#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    let bed = OidcBed::start().await;
    let near =
        [bed.op.issuer().to_owned() + "/", bed.op.issuer().to_uppercase(), "https://evil.example".into()];
    for issuer in near {
        bed.op.behave(|op| op.claims(move |claims| claims["iss"] = json!(issuer)));
        bed.is_refused(OidcFault::IdTokenIssuer).await;
    }
}

#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("sub"));
    bed.is_refused(OidcFault::IdTokenSubject).await;
    bed.op.behave(|op| op.claim("sub", json!("")));
    bed.is_refused(OidcFault::IdTokenSubject).await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("aud", json!("another-client")));
    bed.is_refused(OidcFault::IdTokenAudience).await;
}

#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("iat"));
    bed.is_refused(OidcFault::IdTokenIssuedAt).await;
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.published = vec![Key::Rsa];
        op.key_set(|set| {
            set["keys"][0].as_object_mut().unwrap().remove("kid");
        });
        op.header(without_kid);
    });
    bed.logs_in().await;
}

/// The suite lets a party try all keys or refuse; which one it is must not change unnoticed.
#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.published = vec![Key::NextRsa, Key::Rsa];
        op.header(without_kid);
    });
    bed.is_refused(OidcFault::IdTokenKey).await;
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    let bed = OidcBed::start().await;
    for signing in [Signing::With(Key::Rsa), Signing::Ps256, Signing::With(Key::Ec)] {
        bed.op.behave(|op| op.signing = signing);
        bed.logs_in().await;
    }
}

/// The suite allows either in the code flow; we refuse.
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.signing = Signing::None;
        op.metadata(|metadata| metadata["id_token_signing_alg_values_supported"] = json!(["none", "RS256"]));
    });
    bed.is_refused(OidcFault::IdTokenAlgorithm).await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    let bed = OidcBed::start().await;
    for signing in [Signing::BadSignature, Signing::With(Key::StrangeRsa)] {
        bed.op.behave(|op| op.signing = signing);
        bed.is_refused(OidcFault::IdTokenSignature).await;
    }
}

#[tokio::test]
async fn oidcc_client_test_userinfo_invalid_sub() {
    let bed = from_userinfo().await;
    let wrong = [json!("somebody else"), json!(""), json!(null), json!(7)];
    for sub in wrong {
        bed.op.behave(|op| op.userinfo_claims(move |claims| claims["sub"] = sub.clone()));
        bed.is_refused(OidcFault::UserinfoSubject).await;
    }
}

#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("nonce", json!("of another attempt")));
    bed.is_refused(OidcFault::IdTokenNonce).await;
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    let bed = from_userinfo().await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/userinfo"), 1);
    assert_eq!(bed.op.last_request()["scope"], "openid nin");
}

/// The provider of these tests takes no other proof than it was told, and form-encodes both halves (RFC 6749 §2.3.1).
#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/token"), 1);
}

fn without_kid(header: &mut Value) {
    header.as_object_mut().unwrap().remove("kid");
}

async fn from_userinfo() -> OidcBed {
    let bed = OidcBed::start_with(|provider| {
        provider.scopes = vec!["nin".to_owned()];
        provider.mapping = mapping(ClaimSource::Userinfo, &["nin"], IdentifierScheme::SePnr);
    })
    .await;
    bed.op.behave(|op| {
        op.userinfo_person.insert("nin".to_owned(), json!(NUMBER));
    });
    bed
}
