//! Access tokens as a portal sees them: the claims, and the published keys that verify them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guardian_auth::proto;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde_json::Value;

use super::{alma, assert_invalid, is_valid, service};
use crate::support::service::{Calls, KOMMUN, NOON_MS, Parts, Service, http_get};

/// The public keys as a portal fetches them.
pub(crate) async fn jwks(service: &Service) -> JwkSet {
    let (status, body) = http_get(service.grpc(), "/.well-known/jwks.json").await;
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

/// Verifies a token as a portal does offline, but for its end: the clock is the test's.
pub(crate) fn verified(keys: &JwkSet, token: &str) -> Option<TokenData<Value>> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).ok()?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&["sample-kommun/parent"]);
    validation.set_issuer(&["https://auth.example.se"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode(token, &key, &validation).ok()
}

/// Ids and public keys from the rpc.
pub(crate) async fn keys_of_rpc(portal: &Calls) -> Vec<(String, String)> {
    let answer = portal.session.clone().get_signing_keys(proto::GetSigningKeysRequest {}).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.max_age.unwrap().seconds, 300);
    let pair = |key: proto::SigningKey| {
        assert_eq!((key.algorithm.as_str(), key.public_key.len()), ("EdDSA", 32));
        (key.key_id, URL_SAFE_NO_PAD.encode(key.public_key))
    };
    answer.keys.into_iter().map(pair).collect()
}

/// The same from the document.
pub(crate) async fn keys_of_document(service: &Service) -> Vec<(String, String)> {
    let (_, body) = http_get(service.grpc(), "/.well-known/jwks.json").await;
    let document: Value = serde_json::from_str(&body).unwrap();
    let text = |key: &Value, field: &str| key[field].as_str().unwrap().to_owned();
    let keys = document["keys"].as_array().unwrap();
    for key in keys {
        let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        // `d` would be the private key.
        assert_eq!(members, BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"]));
    }
    keys.iter().map(|key| (text(key, "kid"), text(key, "x"))).collect()
}

#[tokio::test]
async fn the_claims_are_those_of_the_design_and_nothing_personal() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = alma(&portal).await;
        let keys = jwks(&service).await;
        let token = verified(&keys, &tokens.access_token).expect("a portal can verify it");
        assert_eq!(token.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(token.header.alg, Algorithm::EdDSA);
        let header: Value = serde_json::from_slice(
            &URL_SAFE_NO_PAD.decode(tokens.access_token.split('.').next().unwrap()).unwrap(),
        )
        .unwrap();
        let members: BTreeSet<&str> = header.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["alg", "kid", "typ"]));

        let noon = NOON_MS / 1000;
        let claims = token.claims;
        let jti = claims["jti"].as_str().unwrap().to_owned();
        assert_eq!(URL_SAFE_NO_PAD.decode(&jti).unwrap().len(), 16);
        let expected = serde_json::json!({
            "iss": "https://auth.example.se",
            "aud": "sample-kommun/parent",
            "sub": tokens.guardian_id,
            "sid": tokens.session_id,
            "client_id": "sample-kommun-portal",
            "amr": ["pwd"],
            "acr": "urn:guardian-auth:acr:password",
            "auth_time": noon,
            "iat": noon,
            "exp": noon + 300,
            "jti": jti,
        });
        assert_eq!(claims, expected, "{parts:?}");

        // A refresh moves no authentication.
        service.clock.advance(super::MINUTE);
        let next = portal.refresh(&tokens.refresh_token).await.unwrap();
        let next = verified(&keys, &next.access_token).unwrap().claims;
        assert_eq!((&next["auth_time"], &next["iat"]), (&expected["auth_time"], &(noon + 60).into()));
        assert_ne!(next["jti"], expected["jti"]);
    }
}

#[tokio::test]
async fn the_rpc_and_the_document_publish_the_same_keys() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let second = service.replica().await;
        let expected = keys_of_document(&service).await;
        assert_eq!(expected.len(), 1);
        assert_eq!(keys_of_document(&second).await, expected);
        assert_eq!(keys_of_rpc(&service.portal(KOMMUN).await).await, expected, "{parts:?}");
        assert_eq!(keys_of_rpc(&second.portal(KOMMUN).await).await, expected, "{parts:?}");
        assert_eq!(keys_of_rpc(&second.caller("operator").await).await, expected);
    }
}

#[tokio::test]
async fn b15_no_bent_or_cut_access_token_is_valid() {
    // No store is asked: one set of parts tells all.
    let service = service(Parts::Embedded).await;
    let portal = service.portal(KOMMUN).await;
    let tokens = alma(&portal).await;
    assert!(is_valid(&portal, &tokens.access_token).await);
    for forged in super::rotation::bent(&tokens.access_token) {
        let status = portal.verify(&forged, KOMMUN, proto::Portal::Parent).await.unwrap_err();
        assert_invalid(&status);
    }
    // One token is not another.
    assert_invalid(&portal.verify(&tokens.refresh_token, KOMMUN, proto::Portal::Parent).await.unwrap_err());
    assert_invalid(&portal.refresh(&tokens.access_token[..256]).await.unwrap_err());
    assert!(is_valid(&portal, &tokens.access_token).await);
}
