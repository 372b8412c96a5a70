//! The process that asks BankID is killed in the middle: another one goes on, and the person has one session.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use guardian_auth::adapters::system::{SystemClock, SystemEntropy};
use guardian_auth::cli::callers::new_token;
use guardian_auth::proto::{BankIdDevice, BankIdStatus};
use guardian_auth::simulators::bankid::{BankIdSimulator, Endpoint};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::bed::{address, begin_at, outcome, persona, with_number};
use crate::support::eventually;
use crate::support::postgres::TestDatabase;
use crate::support::process::Process;
use crate::support::service::{KOMMUN, http_get, reason, school_and_child, sum_of};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";
const WATCHERS: usize = 50;

async fn collects(process: &Process) -> bool {
    let metrics = http_get(process.ops, "/metrics").await.1;
    sum_of(&metrics, "guardian_auth_bankid_orders_collected", "") > 0.5
}

/// Writes a configuration of the municipality, and its guardians into the store. The token of the portal.
fn install(directory: &Path, database: &TestDatabase, bankid: &BankIdSimulator) -> String {
    let write = |name: &str, content: &[u8]| std::fs::write(directory.join(name), content).unwrap();
    let (token, digest) = new_token(&SystemEntropy);
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).unwrap();
    write("master-key", base64::engine::general_purpose::STANDARD.encode(key).as_bytes());
    write("postgres-url", database.url().as_bytes());
    write("ca.pem", &bankid.authorities_pem());
    let client = bankid.client_identity_pem();
    write("client.pem", &client.chain_pem);
    write("key.pem", client.key_pem.expose());
    let config = format!(
        r#"
issuer = "https://auth.example.se"
[listen]
grpc = "127.0.0.1:0"
ops = "127.0.0.1:0"
[store]
backend = "postgres"
migrate_on_start = false
[store.postgres]
url_file = "{directory}/postgres-url"
max_connections = 10
[[keys.master]]
id = "test"
file = "{directory}/master-key"
[[organizations]]
id = "{KOMMUN}"
display_name = "Sample kommun"
region = "SE"
portals = ["parent"]
[organizations.bankid]
environment = "other"
url = "{url}"
ca_file = "{directory}/ca.pem"
certificate_file = "{directory}/client.pem"
key_file = "{directory}/key.pem"
referring_domain = "portal.example.se"
[[callers]]
name = "portal"
kind = "portal"
token_sha256 = ["{digest}"]
organizations = ["{KOMMUN}"]
portals = ["parent"]
may_assert_client_ip = true
"#,
        directory = directory.display(),
        url = bankid.base_url(),
    );
    write("config.toml", config.as_bytes());
    let mut rows = school_and_child();
    rows.push(with_number("g-1", NUMBER));
    write("directory.jsonl", rows.iter().map(|row| format!("{row}\n")).collect::<String>().as_bytes());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-auth"));
        let output =
            command.arg("--config").arg(directory.join("config.toml")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    run(&["migrate"]);
    run(&["import", "--organization", KOMMUN, &directory.join("directory.jsonl").display().to_string()]);
    token.expose().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_outlives_the_process_that_collects_it() {
    let (database, directory) = (TestDatabase::create().await, TempDir::new().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bankid = BankIdSimulator::start(listener, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
    let token = install(directory.path(), &database, &bankid);
    let config = directory.path().join("config.toml");
    let (mut first, second) = (Process::start(&config), Process::start(&config));
    let (here, there) = (first.calls(&token).await, second.calls(&token).await);

    let browser = begin_at(&here, BankIdDevice::Other, "192.0.2.7").await.unwrap();
    let order = bankid.scan(&browser.qr_text(), address()).unwrap();
    bankid.identify(&order, &persona(NUMBER)).unwrap();
    let (mut dying, mut living) = (JoinSet::new(), JoinSet::new());
    for _ in 0..WATCHERS / 2 {
        let (browser, beside) = (browser.clone(), browser.through(&there));
        dying.spawn(async move {
            let Ok(mut stream) = browser.watch().await else { return };
            while let Ok(Some(frame)) = stream.message().await {
                assert_eq!(frame.status(), BankIdStatus::Pending);
            }
        });
        living.spawn(async move { beside.watch_to_the_end().await });
    }
    let soon = Duration::from_secs(30);
    eventually(soon, "the first process collects", async || collects(&first).await).await;
    let asked = async || bankid.count(Endpoint::Collect) > 0;
    eventually(soon, "BankID was asked", asked).await;
    first.kill();
    bankid.sign(&order, &persona(NUMBER)).unwrap();
    dying.join_all().await;
    for frames in living.join_all().await {
        assert_eq!(outcome(&frames), BankIdStatus::Complete);
    }

    let mut completions = JoinSet::new();
    for _ in 0..8 {
        let browser = browser.through(&there);
        completions.spawn(async move { browser.complete("").await });
    }
    let (opened, refused): (Vec<_>, Vec<_>) =
        completions.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(opened.len(), 1);
    for status in refused.into_iter().filter_map(Result::err) {
        assert_eq!(reason(&status), "LOGIN_ATTEMPT_INVALID", "{status:?}");
    }
    let mut sql = Sql::at(&database.url()).await;
    assert_eq!(sql.number("SELECT COUNT(*) FROM session").await, 1);
    let logins = "SELECT COUNT(*) FROM audit_event WHERE kind = 'logged_in_with_eid'";
    assert_eq!(sql.number(logins).await, 1);
}
