//! The line to BankID: who is trusted, who is let in, and the exact form of a request.

use std::sync::Arc;

use guardian_auth::adapters::bankid::{BankIdClient, BankIdSettings, Environment, Identity};
use guardian_auth::adapters::client_tls::mutual_config;
use guardian_auth::adapters::http_client::{HttpClient, HttpSettings};
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::bankid::BankId as _;
use guardian_auth::simulators::bankid::{Endpoint, Fault};
use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use reqwest::{Method, Url};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{AMPLE, World, outcome, pem, request, settings, simulator};

#[tokio::test]
async fn a_server_of_another_root_is_not_talked_to() {
    let world = World::new().await;
    let other = simulator(Arc::new(SystemClock)).await;
    let wrong_root =
        BankIdSettings { authorities_pem: other.authorities_pem(), ..settings(&world.simulator) };
    let client = BankIdClient::new(wrong_root).unwrap();
    let expected = "BankID is unavailable: no connection: the network, or a server that is not BankID's";
    assert_eq!(client.auth(&request()).await.err().unwrap().to_string(), expected);
    assert_eq!(client.probe().await.unwrap_err().to_string(), expected);
    assert_eq!(world.simulator.count(Endpoint::Auth), 0);
}

#[tokio::test]
async fn a_client_of_another_authority_is_not_let_in() {
    let world = World::new().await;
    let other = simulator(Arc::new(SystemClock)).await;
    let stranger =
        BankIdSettings { identity: pem(other.client_identity_pem()), ..settings(&world.simulator) };
    let client = BankIdClient::new(stranger).unwrap();
    assert_eq!(outcome(client.auth(&request()).await), "unavailable");
    assert_eq!(world.simulator.count(Endpoint::Auth), 0);
}

/// Trap: a test root that is accepted at the real address.
#[tokio::test]
async fn only_bankids_root_is_taken_for_bankids_environments() {
    let simulator = simulator(Arc::new(SystemClock)).await;
    let root = String::from_utf8(simulator.authorities_pem()).unwrap();
    for (environment, expected) in [
        (Environment::Production, "E6A2D45C0A1051C959428649F86A09A9B2152CD551993CC2EB4CF094BDACBECB"),
        (Environment::Test, "F3D0740EBFB3700E3B81AA791FEE451472698C84E199C2EB48A443FF1D5B405C"),
    ] {
        for (authorities, found) in
            [(String::new(), "none"), (root.clone(), ""), (root.repeat(2), "2 certificates")]
        {
            let settings = BankIdSettings {
                environment: environment.clone(),
                authorities_pem: authorities.into_bytes(),
                ..settings(&simulator)
            };
            let error = BankIdClient::new(settings).err().unwrap().to_string();
            assert!(error.starts_with("ca_file: ") && error.contains(expected), "{error}");
            assert!(error.contains(found), "{error}");
        }
    }
}

#[tokio::test]
async fn a_pkcs12_file_of_any_age_lets_us_in() {
    let world = World::new().await;
    let identity = world.simulator.client_identity_pem();
    let certificate = CertificateDer::from_pem_slice(&identity.chain_pem).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose()).unwrap();
    let chain = PrivateKeyChain::new(
        "1",
        PrivateKey::from_der(key.secret_der()).unwrap(),
        [Certificate::from_der(&certificate).unwrap()],
    );
    let mut store = KeyStore::new();
    store.add_entry("1", KeyStoreEntry::PrivateKeyChain(chain));
    for how in [
        EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
        EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
        EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc,
    ] {
        let bytes =
            store.writer("qwerty123").encryption_algorithm(how).encryption_iterations(10).write().unwrap();
        let identity = |password: &str| Identity::Pkcs12 {
            bytes: Secret::new(bytes.clone()),
            password: Secret::new(password.to_owned()),
        };
        let settings = |identity| BankIdSettings { identity, ..settings(&world.simulator) };
        let client = BankIdClient::new(settings(identity("qwerty123"))).unwrap();
        assert_eq!(outcome(client.probe().await), "taken", "{how:?}");
        assert!(BankIdClient::new(settings(identity("qwerty"))).is_err(), "{how:?}");
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_at_the_start() {
    let world = World::new().await;
    let other = world.simulator.another_client("Another").unwrap();
    let identity =
        Identity::Pem { chain: world.simulator.client_identity_pem().chain_pem.clone(), key: other.key_pem };
    assert!(BankIdClient::new(BankIdSettings { identity, ..settings(&world.simulator) }).is_err());
}

#[tokio::test]
async fn the_probe_begins_nothing_and_knows_405_from_all_else() {
    let world = World::new().await;
    assert_eq!(outcome(world.client.probe().await), "taken");
    assert!(world.simulator.list_orders().is_empty());
    for (fault, expected) in [
        (Fault::gateway_page(), "misconfigured"),
        (Fault::error(401, "unauthorized"), "misconfigured"),
        (Fault::error(404, "notFound"), "misconfigured"),
        (Fault::json(&serde_json::json!({})), "misconfigured"),
        (Fault::maintenance(), "unavailable"),
        (Fault::Dropped, "unavailable"),
    ] {
        world.simulator.inject(Endpoint::Auth, fault.clone());
        assert_eq!(outcome(world.client.probe().await), expected, "{fault:?}");
    }
}

/// The least that `/auth` takes.
const GOOD: &str = r#"{"endUserIp":"192.0.2.7"}"#;

/// The simulator is as strict as BankID, so that what passes here passes there.
#[tokio::test]
async fn a_request_of_another_form_is_refused() {
    let world = World::new().await;
    let identity = world.simulator.client_identity_pem();
    let chain = vec![CertificateDer::from_pem_slice(&identity.chain_pem).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose()).unwrap();
    let http = HttpClient::with(HttpSettings {
        tls: mutual_config(Some(&world.simulator.authorities_pem()), chain, key).unwrap(),
        timeout: AMPLE,
        longest_answer_bytes: 64 * 1024,
        kept_connections: 1,
    })
    .unwrap();
    for (method, path, content_type, body, status, code) in [
        (Method::POST, "auth", "application/json", GOOD, 200, ""),
        (Method::POST, "auth", "application/json; charset=utf-8", GOOD, 415, "unsupportedMediaType"),
        (Method::POST, "auth", "text/plain", GOOD, 415, "unsupportedMediaType"),
        (Method::GET, "auth", "application/json", "", 405, "methodNotAllowed"),
        (Method::PUT, "collect", "application/json", "{}", 405, "methodNotAllowed"),
        (Method::POST, "auth/", "application/json", GOOD, 404, "notFound"),
        (Method::POST, "phone/auth", "application/json", GOOD, 404, "notFound"),
        (
            Method::POST,
            "auth",
            "application/json",
            r#"{"endUserIp":"::ffff:192.0.2.7"}"#,
            400,
            "invalidParameters",
        ),
        (Method::POST, "sign", "application/json", GOOD, 400, "invalidParameters"),
        (Method::POST, "collect", "application/json", r#"{"orderRef":"none"}"#, 400, "invalidParameters"),
        (Method::POST, "collect", "application/json", "", 400, "invalidParameters"),
    ] {
        let url = Url::parse(&format!("{}/{path}", world.simulator.base_url())).unwrap();
        let request = http.request(method.clone(), url).header("content-type", content_type).body(body);
        let answer = http.send(request).await.unwrap();
        let read: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let found = (answer.status.as_u16(), read["errorCode"].as_str().unwrap_or_default());
        assert_eq!(found, (status, code), "{method} {path} {content_type} {body}");
    }
}
