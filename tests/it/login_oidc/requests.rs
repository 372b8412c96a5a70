//! What is sent to the provider: PKCE always, the client's proof as agreed, pushed requests where they are taken.

use std::time::{Duration, Instant};

use guardian_auth::config::{OidcClientAuth, OidcPushed};
use guardian_auth::domain::oidc::OidcFault;
use guardian_auth::domain::secret::Secret;
use serde_json::json;

use super::bed::OidcBed;
use super::party::{Verdict, file};
use crate::support::evil_provider::behaviour::{Answer, ClientProof};
use crate::support::evil_provider::trap::Trap;
use crate::support::evil_provider::{CLIENT_SECRET, parameters};

/// RFC 9700 §2.1.1.
#[tokio::test]
async fn pkce_that_is_not_announced_ends_a_login_before_it_begins() {
    for methods in [json!(["plain"]), json!([]), json!(null)] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| {
            op.metadata(move |metadata| metadata["code_challenge_methods_supported"] = methods.clone());
        });
        bed.ends_with(Verdict::unavailable()).await;
    }
}

/// The provider of these tests refuses a request without it.
#[tokio::test]
async fn pkce_is_sent_to_a_provider_that_is_known_not_to_announce_it() {
    let bed = OidcBed::start_with(|provider| provider.pkce_unannounced = true).await;
    bed.op.behave(|op| {
        op.metadata(|metadata| {
            metadata.as_object_mut().unwrap().remove("code_challenge_methods_supported");
        });
    });
    bed.logs_in().await;
    assert_eq!(bed.op.last_request()["code_challenge_method"], "S256");
}

#[tokio::test]
async fn state_nonce_and_challenge_are_new_each_time() {
    let bed = OidcBed::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        bed.logs_in().await;
        for name in ["state", "nonce", "code_challenge"] {
            assert!(seen.insert(bed.op.last_request()[name].clone()), "{name}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_pushed_shows_nothing_in_the_address() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.pushed_only = true);
    let begun = bed.begin().await.unwrap();
    let shown = parameters(begun.url.split_once('?').unwrap().1);
    assert_eq!(shown.keys().collect::<Vec<_>>(), ["client_id", "request_uri"]);
    let came = bed.visit(&begun).await;
    assert_eq!(bed.complete(&begun, &came).await, Verdict::Session);
    assert_eq!(bed.op.hits("/par"), 1);
}

#[tokio::test]
async fn a_request_is_not_pushed_to_a_provider_that_does_not_take_it() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.metadata(|metadata| {
            metadata.as_object_mut().unwrap().remove("pushed_authorization_request_endpoint");
        });
    });
    bed.logs_in().await;
    assert_eq!(bed.op.hits("/par"), 0);
}

#[tokio::test]
async fn a_provider_that_must_take_pushed_requests_and_does_not_is_not_used() {
    let bed = OidcBed::start_with(|provider| provider.pushed = OidcPushed::Always).await;
    bed.op.behave(|op| {
        op.metadata(|metadata| {
            metadata.as_object_mut().unwrap().remove("pushed_authorization_request_endpoint");
        });
    });
    bed.ends_with(Verdict::unavailable()).await;
}

/// A request that cannot be pushed is not sent in the open instead.
#[tokio::test]
async fn a_push_that_fails_ends_the_login() {
    for answer in [Answer::Status(500), Answer::Status(400), Answer::Half] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| op.par = answer);
        bed.ends_with(Verdict::unavailable()).await;
    }
}

#[tokio::test]
async fn client_secret_post() {
    let bed = OidcBed::start_with(|provider| {
        provider.client_auth = OidcClientAuth::SecretPost(Secret::new(CLIENT_SECRET.to_owned()));
    })
    .await;
    bed.op.behave(|op| op.proof = ClientProof::Post);
    bed.logs_in().await;
}

/// The provider checks signature, names, audience and time of the assertion, and that each is used once.
#[tokio::test]
async fn private_key_jwt() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key_file = file(directory.path(), "key.pem", &key.serialize_pem());
    let bed = OidcBed::start_with(|provider| {
        provider.client_auth =
            OidcClientAuth::PrivateKeyJwt { key_file, key_id: Some("client-1".to_owned()) };
    })
    .await;
    bed.op.behave(|op| op.proof = ClientProof::PrivateKeyJwt(key.public_key_raw().to_vec()));
    bed.logs_in().await;
    bed.logs_in().await;
    assert_eq!((bed.op.hits("/par"), bed.op.hits("/token")), (2, 2), "each with an assertion of its own");
}

#[tokio::test]
async fn discovery_that_redirects_is_not_followed() {
    let trap = Trap::start().await;
    for to in ["http://169.254.169.254/latest/meta-data/".to_owned(), trap.url()] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| op.discovery = Answer::Redirect(to));
        let asked = Instant::now();
        bed.ends_with(Verdict::unavailable()).await;
        assert!(asked.elapsed() < Duration::from_secs(5), "nobody waited for another address");
    }
    assert_eq!(trap.calls(), 0);
}

#[tokio::test]
async fn no_endpoint_that_redirects_is_followed() {
    let trap = Trap::start().await;
    let elsewhere = || Answer::Redirect(trap.url());
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.jwks = elsewhere());
    bed.ends_with(Verdict::unavailable()).await;
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.token = elsewhere());
    bed.is_refused(OidcFault::TokenAnswer).await;
    let bed = OidcBed::start().await;
    bed.op.behave(|op| op.par = elsewhere());
    bed.ends_with(Verdict::unavailable()).await;
    assert_eq!(trap.calls(), 0);
}

/// A provider on this machine must not make us ask another machine without TLS.
#[tokio::test]
async fn metadata_that_lead_to_plaintext_elsewhere_are_refused() {
    for field in ["token_endpoint", "jwks_uri", "userinfo_endpoint", "pushed_authorization_request_endpoint"]
    {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| {
            op.metadata(move |metadata| metadata[field] = json!("http://169.254.169.254/latest/meta-data/"));
        });
        bed.ends_with(Verdict::unavailable()).await;
    }
}
