//! Whole logins at a provider that the `OpenID` Foundation has certified (npm `oidc-provider`).

use std::time::Duration;

use guardian_auth::adapters::http_client::HttpClient;
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::config::{OidcAccess, OidcClientAuth, OidcPushed};
use guardian_auth::domain::oidc::{ClaimSource, IdentifierScheme};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::clock::Clock as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::party::{NUMBER, Party, REDIRECT_URI, Verdict, file, mapping, usual};
use crate::support::certified_provider::CertifiedProvider;
use crate::support::evil_provider::keys::base64url;
use crate::support::evil_provider::{CLIENT_ID, CLIENT_SECRET};
use crate::support::service::{KOMMUN, Parts, TestClock};

/// Where the provider puts the number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    IdToken,
    Userinfo,
}

/// The client as it is registered there, with the algorithm of its ID tokens.
fn client(algorithm: &str, proof: &str) -> Value {
    json!({
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "id_token_signed_response_alg": algorithm,
        "token_endpoint_auth_method": proof,
    })
}

/// Logs in twice, each time in a new browser.
async fn logs_in(client: Value, place: Place, change: impl FnOnce(&mut OidcAccess)) {
    let provider = CertifiedProvider::start(&json!({
        "clients": [client],
        "person": {"ssn": NUMBER, "family_name": "Ek"},
        "scopes": {"nin": ["ssn", "family_name"]},
        "claimsInIdToken": place == Place::IdToken,
    }))
    .await;
    let mut access = usual(KOMMUN, provider.issuer());
    access.scopes = vec!["nin".to_owned()];
    let source = match place {
        Place::IdToken => ClaimSource::IdToken,
        Place::Userinfo => ClaimSource::Userinfo,
    };
    access.mapping = mapping(source, &["ssn"], IdentifierScheme::SePnr);
    change(&mut access);
    let pushed = access.pushed != OidcPushed::Never;
    // The provider has the clock of the machine.
    let clock = TestClock::at(SystemClock.now());
    let party = Party::start(Parts::Embedded, KOMMUN, clock, vec![access]).await;
    let browser = HttpClient::new(None, Duration::from_secs(20)).unwrap();
    for _ in 0..2 {
        let begun = party.begin("evil").await;
        let begun = begun.unwrap_or_else(|verdict| panic!("{verdict:?}\n{}", provider.log()));
        assert_eq!(begun.url.contains("request_uri="), pushed, "{}", begun.url);
        let came = provider.visit(&browser, &begun.url, REDIRECT_URI).await;
        let verdict = party.complete(party.callback(&begun, &came)).await;
        assert_eq!(verdict, Verdict::Session, "{}", provider.log());
    }
}

#[tokio::test]
async fn es256_with_client_secret_basic_pushed_and_the_number_in_the_id_token() {
    logs_in(client("ES256", "client_secret_basic"), Place::IdToken, |_| {}).await;
}

#[tokio::test]
async fn rs256_with_client_secret_basic_not_pushed_and_the_number_in_userinfo() {
    logs_in(client("RS256", "client_secret_basic"), Place::Userinfo, |provider| {
        provider.pushed = OidcPushed::Never;
    })
    .await;
}

#[tokio::test]
async fn rs256_with_client_secret_post_pushed_and_the_number_in_userinfo() {
    logs_in(client("RS256", "client_secret_post"), Place::Userinfo, with_secret_in_the_form).await;
}

#[tokio::test]
async fn ps256_with_client_secret_post_not_pushed_and_the_number_in_the_id_token() {
    logs_in(client("PS256", "client_secret_post"), Place::IdToken, |provider| {
        with_secret_in_the_form(provider);
        provider.pushed = OidcPushed::Never;
    })
    .await;
}

#[tokio::test]
async fn es256_with_private_key_jwt_pushed_and_the_number_in_userinfo() {
    let directory = tempfile::tempdir().unwrap();
    let (registered, own) = with_private_key("ES256", &directory);
    logs_in(registered, Place::Userinfo, |provider| {
        provider.client_auth = own;
        provider.pushed = OidcPushed::Always;
    })
    .await;
}

#[tokio::test]
async fn ps256_with_private_key_jwt_not_pushed_and_the_number_in_the_id_token() {
    let directory = tempfile::tempdir().unwrap();
    let (registered, own) = with_private_key("PS256", &directory);
    logs_in(registered, Place::IdToken, |provider| {
        provider.client_auth = own;
        provider.pushed = OidcPushed::Never;
    })
    .await;
}

fn with_secret_in_the_form(provider: &mut OidcAccess) {
    provider.client_auth = OidcClientAuth::SecretPost(Secret::new(CLIENT_SECRET.to_owned()));
}

/// A client that signs assertions with a key on P-256, as it is registered and as we have it.
fn with_private_key(algorithm: &str, directory: &TempDir) -> (Value, OidcClientAuth) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    // An uncompressed point: 4, x, y.
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    let mut registered = client(algorithm, "private_key_jwt");
    registered["token_endpoint_auth_signing_alg"] = json!("ES256");
    registered["jwks"] = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": "client-1", "x": base64url(x), "y": base64url(y),
    }]});
    let key_file = file(directory.path(), "key.pem", &key.serialize_pem());
    let own = OidcClientAuth::PrivateKeyJwt { key_file, key_id: Some("client-1".to_owned()) };
    (registered, own)
}
