//! The modules of the `OpenID` Foundation's plan for discovery and keys, by their names.

use guardian_auth::domain::oidc::OidcFault;
use serde_json::json;

use super::bed::OidcBed;
use super::party::Verdict;
use crate::support::evil_provider::behaviour::{Behaviour, Signing};
use crate::support::evil_provider::keys::Key;

#[tokio::test]
async fn oidcc_client_test_discovery_openid_config() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/.well-known/openid-configuration"), 1, "what is known is not asked again");
}

#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/jwks"), 1, "what is known is not asked again");
}

#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    for wrong in ["/", ".evil.example"] {
        let bed = OidcBed::start().await;
        let issuer = format!("{}{wrong}", bed.op.issuer());
        bed.op.behave(|op| op.metadata(move |metadata| metadata["issuer"] = json!(issuer)));
        bed.ends_with(Verdict::unavailable()).await;
        assert_eq!(bed.op.hits("/authorize"), 0, "nobody is sent there");
    }
}

/// Also when the metadata say that the provider signs nothing else.
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.signing = Signing::None;
        op.metadata(|metadata| metadata["id_token_signing_alg_values_supported"] = json!(["none"]));
    });
    bed.is_refused(OidcFault::IdTokenAlgorithm).await;
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    let begun = bed.begin().await.unwrap();
    let came = bed.visit(&begun).await;
    bed.op.behave(rotate);
    assert_eq!(bed.complete(&begun, &came).await, Verdict::Session);
    assert_eq!(bed.op.hits("/jwks"), 2);
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    bed.op.behave(rotate);
    bed.logs_in().await;
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/jwks"), 2, "the new key is looked up once");
}

fn rotate(op: &mut Behaviour) {
    op.published = vec![Key::NextRsa, Key::Ec];
    op.signing = Signing::With(Key::NextRsa);
}
