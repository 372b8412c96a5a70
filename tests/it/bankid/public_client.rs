//! A BankID client of somebody else logs in at the simulator, and has BankID's roots: neither was made by us.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::bankid::{BankIdClient, BankIdSettings, Environment};
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::simulators::bankid::{BankIdSimulator, Persona};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};

use super::{PHONE, settings, simulator};
use crate::support::service::TestClock;
use crate::support::told_by_tests_run;

const DEADLINE: Duration = Duration::from_secs(60);

/// Where `tests/run` has put npm's `bankid`.
fn packages() -> PathBuf {
    told_by_tests_run("GUARDIAN_AUTH_TEST_BANKID_CLIENT").into()
}

/// The certificate of a relying party as a bank hands it out, and the root to trust.
fn write_files(simulator: &BankIdSimulator, directory: &Path) {
    let identity = simulator.client_identity_pem();
    let certificate = CertificateDer::from_pem_slice(&identity.chain_pem).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose()).unwrap();
    let key = PrivateKey::from_der(key.secret_der()).unwrap();
    let chain = PrivateKeyChain::new("1", key, [Certificate::from_der(&certificate).unwrap()]);
    let mut store = KeyStore::new();
    store.add_entry("1", KeyStoreEntry::PrivateKeyChain(chain));
    std::fs::write(directory.join("client.p12"), store.writer("qwerty123").write().unwrap()).unwrap();
    std::fs::write(directory.join("ca.pem"), simulator.authorities_pem()).unwrap();
}

/// What the client tells of its next step.
async fn next(lines: &mut tokio::io::Lines<BufReader<ChildStdout>>, step: &str) -> Value {
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await;
    let line = line.expect("it goes on in time").unwrap().expect("it goes on");
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["step"], step, "{told}");
    told
}

#[tokio::test]
async fn a_client_of_somebody_else_logs_in_at_the_simulator() {
    // It stands still: however slow the machine is, the code is that of now.
    let simulator = simulator(TestClock::at_noon()).await;
    let files = tempfile::tempdir().unwrap();
    write_files(&simulator, files.path());
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/public_bankid_client/client.mjs");
    let mut client = Command::new("node")
        .arg(script)
        .arg(packages())
        .arg(simulator.base_url())
        .arg(files.path())
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();

    let started = next(&mut lines, "started").await;
    let order_ref = simulator.scan(started["qr"].as_str().unwrap(), PHONE).unwrap();
    assert_eq!(started["orderRef"], order_ref.as_str());
    assert_eq!(simulator.list_orders()[0].intent, "Logga in");
    let persona = Persona::by_number("198001011371").unwrap();
    assert_eq!(simulator.sign(&order_ref, &persona), Ok(None));

    let complete = next(&mut lines, "complete").await;
    let data = &complete["completionData"];
    assert_eq!(complete["status"], "complete");
    assert_eq!(data["user"]["personalNumber"], "198001011371");
    assert_eq!(data["user"]["name"], "ANNA KARIN ÅSTRÖM");
    assert_eq!(data["risk"], "low");
    assert_eq!(data["device"]["ipAddress"].as_str().unwrap().parse::<IpAddr>().unwrap(), PHONE);
    assert_eq!(next(&mut lines, "collect again").await["code"], "invalidParameters");

    let pending = next(&mut lines, "pending").await;
    assert_eq!(
        (&pending["status"], &pending["hintCode"]),
        (&"pending".into(), &"outstandingTransaction".into())
    );
    assert_eq!(next(&mut lines, "cancel").await["code"], "taken");
    assert_eq!(next(&mut lines, "cancel again").await["code"], "invalidParameters");
    assert_eq!(next(&mut lines, "mapped address").await["code"], "invalidParameters");
    assert!(client.wait().await.unwrap().success());
}

/// The fingerprints are BankID's: the roots that another client carries have them, and each fits its environment alone.
#[tokio::test]
async fn bankids_roots_are_known_each_in_its_environment_alone() {
    let simulator = simulator(Arc::new(SystemClock)).await;
    let with = |environment: &Environment, authorities_pem: &[u8]| {
        let settings = BankIdSettings {
            environment: environment.clone(),
            authorities_pem: authorities_pem.to_vec(),
            ..settings(&simulator)
        };
        BankIdClient::new(settings).map(drop).map_err(|error| error.to_string())
    };
    let root = |file: &str| std::fs::read(packages().join("node_modules/bankid/cert").join(file)).unwrap();
    let (production, test) = (root("prod.ca"), root("test.ca"));
    assert_eq!(with(&Environment::Production, &production), Ok(()));
    assert_eq!(with(&Environment::Test, &test), Ok(()));
    assert!(with(&Environment::Production, &test).unwrap_err().contains("ca_file"));
    assert!(with(&Environment::Test, &production).unwrap_err().contains("ca_file"));
    assert!(with(&Environment::Production, &[production, test].join(&b'\n')).is_err());
}
