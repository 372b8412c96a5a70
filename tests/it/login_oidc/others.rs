//! Further modules of the `OpenID` Foundation for clients, as far as they are about the code flow, by their names.

use guardian_auth::config::{OidcClientAuth, OidcPushed};
use guardian_auth::domain::oidc::{ClaimSource, IdentifierScheme, OidcFault};
use serde_json::json;

use super::bed::OidcBed;
use super::party::{NUMBER, file, mapping};
use crate::support::evil_provider::behaviour::{ClientProof, Signing, UserinfoForm};
use crate::support::evil_provider::keys::Key;
use crate::support::evil_provider::trap::Trap;
use crate::support::evil_provider::{CLIENT_SECRET, half_hash};

#[tokio::test]
async fn oidcc_client_test_missing_aud() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("aud"));
    bed.is_refused(OidcFault::IdTokenAudience).await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_es256() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.signing = Signing::With(Key::StrangeEc));
    bed.is_refused(OidcFault::IdTokenSignature).await;
}

/// Neither a wrong secret nor the right one: no HMAC is ever taken.
#[tokio::test]
async fn oidcc_client_test_invalid_sig_hs256() {
    let bed = OidcBed::start().await;
    for secret in ["another secret", CLIENT_SECRET] {
        bed.op.behave(|op| {
            op.signing = Signing::Hs256(secret.as_bytes().to_vec());
            op.metadata(|metadata| {
                metadata["id_token_signing_alg_values_supported"] = json!(["RS256", "HS256"]);
            });
        });
        bed.is_refused(OidcFault::IdTokenAlgorithm).await;
    }
}

#[tokio::test]
async fn oidcc_client_test_invalid_athash() {
    let bed = OidcBed::start().await;
    for hash in [json!(half_hash("another token")), json!(""), json!(1)] {
        bed.op.behave(|op| op.claim("at_hash", hash));
        bed.is_refused(OidcFault::IdTokenAccessTokenHash).await;
    }
}

/// In the code flow it may be missing (`OpenID` Connect Core §3.1.3.6).
#[tokio::test]
async fn oidcc_client_test_missing_athash() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("at_hash"));
    bed.logs_in().await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_chash() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.claim("c_hash", json!(half_hash("another code"))));
    bed.is_refused(OidcFault::IdTokenCodeHash).await;
}

/// In the code flow it is usually missing; the good logins of this suite have none.
#[tokio::test]
async fn oidcc_client_test_missing_chash() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.without_claim("c_hash"));
    bed.logs_in().await;
}

/// A party may leave the nonce out in the code flow; this one never does, and misses it.
#[tokio::test]
async fn oidcc_client_test_nonce_unless_code_flow() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    assert!(bed.op.last_request()["nonce"].len() >= 22);
    bed.op.behave(|op| op.without_claim("nonce"));
    bed.is_refused(OidcFault::IdTokenNonce).await;
}

/// A refresh token of the provider is none of our business: not asked for, and not used if it comes.
#[tokio::test]
async fn oidcc_client_test_refresh_token() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.token_answer(|answer| answer["refresh_token"] = json!("of no use")));
    bed.logs_in().await;
    assert!(!bed.op.last_request()["scope"].contains("offline_access"));
    assert_eq!(bed.op.hits("/token"), 1, "the code is all that is redeemed");
}

#[tokio::test]
async fn oidcc_client_test_userinfo_signed() {
    let bed = from_userinfo(UserinfoForm::Signed).await;
    bed.logs_in().await;
}

#[tokio::test]
async fn oidcc_client_test_userinfo_signed_by_a_stranger() {
    let bed = from_userinfo(UserinfoForm::SignedByStranger).await;
    bed.is_refused(OidcFault::Userinfo).await;
}

/// The provider of these tests takes the access token in the header and nowhere else.
#[tokio::test]
async fn oidcc_client_test_userinfo_bearer_header() {
    let bed = from_userinfo(UserinfoForm::Json).await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/userinfo"), 1);
}

/// A claim that another source vouches for is not a claim of the provider.
#[tokio::test]
async fn oidcc_client_test_aggregated_claims() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.person.clear();
        op.claims(|claims| {
            claims["_claim_names"] = json!({"ssn": "src1"});
            claims["_claim_sources"] = json!({"src1": {"JWT": "eyJhbGciOiJub25lIn0.eyJzc24iOiIxIn0."}});
        });
    });
    bed.is_refused(OidcFault::ClaimMissing).await;
}

/// Nor is one that the provider says to fetch elsewhere: nothing is fetched.
#[tokio::test]
async fn oidcc_client_test_distributed_claims() {
    let (bed, trap) = (OidcBed::start().await, Trap::start().await);
    let elsewhere = trap.url();
    bed.op.behave(|op| {
        op.person.clear();
        op.claims(move |claims| {
            claims["_claim_names"] = json!({"ssn": "src1"});
            claims["_claim_sources"] = json!({"src1": {"endpoint": elsewhere, "access_token": "x"}});
        });
    });
    bed.is_refused(OidcFault::ClaimMissing).await;
    assert_eq!(trap.calls(), 0);
}

/// With a client certificate the endpoints of RFC 8705 §5 are the ones to call.
#[tokio::test]
async fn oidcc_client_test_mtls_endpoint_aliases() {
    let certificate = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let chain = file(directory.path(), "client.pem", &certificate.cert.pem());
    let key = file(directory.path(), "key.pem", &certificate.signing_key.serialize_pem());
    let bed = OidcBed::start_with(|provider| {
        provider.client_auth = OidcClientAuth::Tls;
        provider.client_certificate = Some((chain, key));
        provider.pushed = OidcPushed::Never;
    })
    .await;
    let alias = format!("{}/mtls/token", bed.op.issuer());
    bed.op.behave(|op| {
        op.proof = ClientProof::Tls;
        op.metadata(move |metadata| metadata["mtls_endpoint_aliases"] = json!({"token_endpoint": alias}));
    });
    bed.logs_in().await;
    assert_eq!((bed.op.hits("/mtls/token"), bed.op.hits("/token")), (1, 0));
}

async fn from_userinfo(form: UserinfoForm) -> OidcBed {
    let bed = OidcBed::start_with(|provider| {
        provider.mapping = mapping(ClaimSource::Either, &["nin"], IdentifierScheme::SePnr);
    })
    .await;
    bed.op.behave(|op| {
        op.userinfo_form = form;
        op.userinfo_person.insert("nin".to_owned(), json!(NUMBER));
    });
    bed
}
