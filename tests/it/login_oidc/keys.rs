//! B21: made-up key names in tokens do not make us a load on the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use guardian_auth::adapters::oidc::{ClientAuth, OidcProvider, OidcSettings, Pushed};
use guardian_auth::domain::oidc::{ClaimSource, IdentifierScheme, OidcFault, Strength};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::clock::Clock as _;
use guardian_auth::ports::identity_provider::{AuthorizationResponse, IdentityProvider as _, ProviderError};
use serde_json::json;

use super::party::{REDIRECT_URI, mapping};
use crate::support::evil_provider::behaviour::Signing;
use crate::support::evil_provider::{CLIENT_ID, CLIENT_SECRET, EvilProvider};
use crate::support::full_size;
use crate::support::service::TestClock;

/// Unknown keys are looked up once in this time at most.
const PAUSE: Duration = Duration::from_secs(30);
/// Answers that are looked at together.
const TOGETHER: usize = 16;
/// What the provider of this test takes for the verifier of any code.
const VERIFIER: &str = "the-verifier-of-all-codes-of-this-test-alone";

/// At the port: what comes before it has no part in this, and costs the most.
fn provider(issuer: &str) -> OidcProvider {
    let settings = OidcSettings {
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_auth: ClientAuth::SecretBasic(Secret::new(CLIENT_SECRET.to_owned())),
        client_certificate: None,
        redirect_uri: REDIRECT_URI.to_owned(),
        scopes: Vec::new(),
        acr_values: Vec::new(),
        extra_params: Vec::new(),
        mapping: mapping(ClaimSource::IdToken, &["ssn"], IdentifierScheme::SeAny),
        strength: Strength::default(),
        pkce_unannounced: false,
        pushed: Pushed::Announced,
        authorities_pem: None,
        timeout: Duration::from_secs(10),
    };
    OidcProvider::new(settings).unwrap()
}

#[tokio::test]
async fn b21_unknown_keys_are_looked_up_once_in_thirty_seconds() {
    let tokens = if full_size() { 10_000 } else { 1_000 };
    let clock = TestClock::at_noon();
    let op = EvilProvider::start(Arc::clone(&clock) as _, REDIRECT_URI).await;
    let provider = provider(op.issuer());
    let names = Arc::<AtomicUsize>::default();
    op.behave(|op| {
        // Its signature is never looked at.
        op.signing = Signing::Hs256(b"x".to_vec());
        op.header(move |header| {
            header["alg"] = json!("RS256");
            header["kid"] = json!(format!("made-up-{}", names.fetch_add(1, Ordering::SeqCst)));
        });
    });
    let (began, now) = (Instant::now(), clock.now());
    let (provider, op) = (&provider, &op);
    let faults: Vec<OidcFault> = futures_util::stream::iter(0..tokens)
        .map(|_| async move {
            let nonce = Secret::new("nonce".to_owned());
            let code = Secret::new(op.grant(VERIFIER, nonce.expose()));
            let verifier = Secret::new(VERIFIER.to_owned());
            let response = AuthorizationResponse {
                code: &code,
                iss: Some(op.issuer()),
                nonce: &nonce,
                code_verifier: &verifier,
                now,
            };
            match provider.identify(&response).await {
                Err(ProviderError::Refused(fault)) => fault,
                other => panic!("{other:?}"),
            }
        })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    assert!(faults.iter().all(|fault| *fault == OidcFault::IdTokenKey), "{faults:?}");
    assert_eq!(faults.len(), tokens);
    // The first set, one look at once for the first unknown name, and one more each half minute.
    let most = 2 + began.elapsed().as_secs() / PAUSE.as_secs();
    let fetched = u64::try_from(op.hits("/jwks")).unwrap();
    assert!((1..=most).contains(&fetched), "{fetched} fetches in {:?}", began.elapsed());
    assert_eq!(op.complaints(), Vec::<String>::new());
}
