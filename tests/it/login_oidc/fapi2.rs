//! The modules of the `OpenID` Foundation's FAPI 2.0 plan for clients that hold for us too, by their names.

use guardian_auth::domain::oidc::OidcFault;
use serde_json::json;

use super::bed::OidcBed;
use super::party::Verdict;
use crate::support::evil_provider::CLIENT_ID;
use crate::support::evil_provider::behaviour::Signing;
use crate::support::evil_provider::keys::Key;

/// RFC 9207: the answer names another provider.
#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_authorization_response_iss() {
    let bed = OidcBed::start().await;
    for issuer in ["https://evil.example".to_owned(), bed.op.issuer().to_owned() + "/", String::new()] {
        bed.op.behave(|op| {
            op.response(move |response| {
                response.insert("iss".to_owned(), issuer.clone());
            });
        });
        bed.is_refused(OidcFault::ResponseIssuer).await;
    }
    assert_eq!(bed.op.hits("/token"), 0, "the code goes to nobody");
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_remove_authorization_response_iss() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.response(|response| {
            response.remove("iss");
        });
    });
    bed.is_refused(OidcFault::ResponseIssuer).await;
    assert_eq!(bed.op.hits("/token"), 0, "the code goes to nobody");
}

/// A provider that does not say that it sends `iss` need not.
#[tokio::test]
async fn an_answer_without_iss_is_taken_from_a_provider_that_does_not_announce_it() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.metadata(|metadata| metadata["authorization_response_iss_parameter_supported"] = json!(false));
        op.response(|response| {
            response.remove("iss");
        });
    });
    bed.logs_in().await;
    bed.op.behave(|op| {
        op.response(|response| {
            response.insert("iss".to_owned(), "https://evil.example".to_owned());
        });
    });
    bed.is_refused(OidcFault::ResponseIssuer).await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_null_alg() {
    let bed = OidcBed::start().await;
    for alg in ["none", "None", "NONE", ""] {
        bed.op.behave(|op| {
            op.signing = Signing::None;
            op.header(move |header| header["alg"] = json!(alg));
        });
        bed.is_refused(OidcFault::IdTokenAlgorithm).await;
    }
}

/// The header says another algorithm than the key is for.
#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_alternate_alg() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.header(|header| header["alg"] = json!("ES256")));
    bed.is_refused(OidcFault::IdTokenKey).await;
    bed.op.behave(|op| op.header(|header| header["alg"] = json!("PS256")));
    bed.is_refused(OidcFault::IdTokenSignature).await;
    bed.op.behave(|op| op.header(|header| header["alg"] = json!("RS1")));
    bed.is_refused(OidcFault::IdTokenAlgorithm).await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_secondary_aud() {
    let bed = OidcBed::start().await;
    for audience in [json!([CLIENT_ID, "another-client"]), json!(["another-client", CLIENT_ID]), json!([])] {
        bed.op.behave(|op| op.claim("aud", audience));
        bed.is_refused(OidcFault::IdTokenAudience).await;
    }
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_valid_aud_as_array() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("aud", json!([CLIENT_ID])));
    bed.logs_in().await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_missing_exp() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("exp"));
    bed.is_refused(OidcFault::IdTokenExpired).await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_expired_exp() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claims(|claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 300)));
    bed.is_refused(OidcFault::IdTokenExpired).await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_missing_iss() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("iss"));
    bed.is_refused(OidcFault::IdTokenIssuer).await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_missing_nonce() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("nonce"));
    bed.is_refused(OidcFault::IdTokenNonce).await;
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_discovery_issuer_mismatch() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.metadata(|metadata| metadata["issuer"] = json!("https://another.example")));
    bed.ends_with(Verdict::unavailable()).await;
}

/// A key that may sign nothing: published for encryption, or for another algorithm.
#[tokio::test]
async fn a_key_that_is_published_for_something_else_verifies_nothing() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.published = vec![Key::Rsa];
        op.key_set(|set| set["keys"][0]["use"] = json!("enc"));
    });
    bed.is_refused(OidcFault::IdTokenKey).await;
}
