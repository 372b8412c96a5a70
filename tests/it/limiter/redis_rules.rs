//! What Redis may see and what it must allow: names, rights, TLS, the end of the service.

use std::process::{Child, Command, Stdio};

use guardian_auth::adapters::limiter::{GIVE_BACKS_DROPPED, REDIS_ERRORS};
use guardian_auth::domain::id::DeviceId;
use guardian_auth::domain::limits::{Lane, LimitPolicy, password_reservation};

use super::*;
use crate::support::redis::RedisServer;

/// The rights that the operations page tells operators to give.
const ACL: &str = "~guardian:* resetchannels -@all +evalsha +script|load +time +get +set +del +ping +role \
                   +cluster|slots +readonly";

#[tokio::test]
async fn acl_of_the_design_suffices() {
    let server = RedisServer::start_with_acl(ACL).await;
    let replica = Plan::patient(&server.url()).start();
    let bucket = [bucket("a", 3, REFILL)];
    for _ in 0..2 {
        let receipt = replica.receipt(&bucket).await;
        assert_eq!(receipt.ledger(), Ledger::Shared);
        assert_eq!(replica.admitted_of(9, &bucket).await, 2);
        replica.give_back(receipt).await;
        assert_eq!(replica.admitted_of(9, &bucket).await, 1);
        replica.clock.pass(REFILL * 10);
        // The script has to be loaded anew with the same rights.
        server.command::<()>(&["SCRIPT", "FLUSH"]).await.expect("the scripts are gone");
    }
    let log: Vec<redis::Value> = server.command(&["ACL", "LOG"]).await.expect("an answer");
    assert!(log.is_empty(), "refused by the ACL: {log:?}");
}

#[tokio::test]
async fn without_the_rights_local_counters_decide() {
    let server = RedisServer::start_with_acl("~guardian:* resetchannels -@all +ping").await;
    let replica = Plan::in_production(&server.url()).start();
    replica.gives_up_on_redis().await;
    assert!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"denied\"}}")) >= 1);
}

#[tokio::test]
async fn no_personal_data_in_redis_keys() {
    let server = RedisServer::start().await;
    let replica = Plan::patient(&server.url()).start();
    let policy = LimitPolicy::default();
    let name = login_name("anna.andersson");
    let device = DeviceId::new(Timestamp::from_millis(1), [1; 10]);
    for lane in [Lane::UnknownDevice, Lane::KnownDevice(device)] {
        for from in [network(0xC000_0207), Network::V6([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1]), Network::Unknown] {
            let attempt =
                password_reservation(&policy, &replica.organization, &name, from, "parent-portal", &lane);
            assert_eq!(replica.limiter.decide(&attempt).await, Decision::Admitted(Ledger::Shared));
        }
    }
    let keys: Vec<String> = server.command(&["KEYS", "*"]).await.expect("an answer");
    let prefix = format!("guardian:{{{}}}:", replica.organization.as_str());
    // The organization, three networks, account, account-long, two account-networks, one device.
    let digests: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix(&prefix)).collect();
    assert_eq!(digests.len(), 9, "{keys:?}");
    for digest in &digests {
        // 16 bytes in base64url.
        assert_eq!(digest.len(), 22, "{digest}");
        assert!(digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{digest}");
    }
    let others: Vec<&String> = keys.iter().filter(|key| !key.starts_with(&prefix)).collect();
    assert!(others.is_empty() || others == ["guardian:{probe}:probe"], "{others:?}");
    for key in &keys {
        let value: u64 = server.command(&["GET", key]).await.expect("a number");
        assert!(value > 1_000_000_000_000_000, "µs since the Unix epoch: {value}");
        let lives_ms: i64 = server.command(&["PTTL", key]).await.expect("an answer");
        assert!(lives_ms > 0, "{key} lives for ever");
    }
}

#[tokio::test]
async fn give_backs_in_the_queue_are_sent_at_the_end_and_later_ones_are_counted() {
    let server = RedisServer::start().await;
    let plan = Plan::patient(&server.url());
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let replica = plan.start_with(&tasks, &stop);
    let bucket = [bucket("a", 3, REFILL)];
    let (in_time, late) = (replica.receipt(&bucket).await, replica.receipt(&bucket).await);
    replica.limiter.give_back(in_time);
    stop.cancel();
    tasks.close();
    eventually(PATIENT, "the tasks end", async || {
        tasks.wait().await;
        true
    })
    .await;
    replica.limiter.give_back(late);
    assert_eq!(replica.metric(&format!("{GIVE_BACKS_DROPPED}_total")), 1);
    // A connection is left for the last decisions; two of the three charges are free.
    assert_eq!(replica.admitted_of(9, &bucket).await, 2);
}

/// A Redis that speaks TLS only, under a certificate of its own.
struct TlsRedis {
    child: Child,
    port: u16,
    certificate_pem: String,
    _directory: tempfile::TempDir,
}

impl TlsRedis {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate_pem = certified.cert.pem();
        let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        std::fs::write(&certificate, &certificate_pem).expect("it is written");
        std::fs::write(&key, certified.signing_key.serialize_pem()).expect("it is written");
        let port = free_port();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--bind", "127.0.0.1", "--save", "", "--tls-auth-clients", "no"])
            .arg("--tls-port")
            .arg(port.to_string())
            .arg("--tls-cert-file")
            .arg(&certificate)
            .arg("--tls-key-file")
            .arg(&key)
            .arg("--tls-ca-cert-file")
            .arg(&certificate)
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        Self { child, port, certificate_pem, _directory: directory }
    }
}

impl Drop for TlsRedis {
    fn drop(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server ends");
    }
}

#[tokio::test]
async fn the_certificate_of_redis_is_checked_against_the_given_roots() {
    let server = TlsRedis::start();
    let mut plan = Plan::in_production(&format!("rediss://localhost:{}/0", server.port));
    plan.root_certificates_pem = Some(server.certificate_pem.clone().into_bytes());
    let trusting = plan.start();
    eventually(PATIENT, "Redis decides", async || trusting.ledger().await == Ledger::Shared).await;

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    plan.root_certificates_pem = Some(other.cert.pem().into_bytes());
    let wary = plan.start();
    wary.gives_up_on_redis().await;
    assert!(wary.metric(&format!("{REDIS_ERRORS}_total{{kind=\"connection\"}}")) >= 1);
    assert_eq!(wary.metric(guardian_auth::adapters::limiter::REDIS_UP), 0);
}
