//! What Redis may see and what it must allow: names, rights, TLS, the end of the service.

use guardian_auth::adapters::limiter::{GIVE_BACKS_DROPPED, REDIS_ERRORS, REDIS_UP};
use guardian_auth::domain::id::DeviceId;
use guardian_auth::domain::limits::{Lane, LimitPolicy, password_reservation};

use super::conformance::every_case;
use super::*;
use crate::support::redis::{RedisServer, Setup, TestTls};
use crate::support::redis_sets::{rights, tls_of};

#[tokio::test]
async fn acl_of_the_design_suffices() {
    let server = RedisServer::start_with_acl(rights::SERVER).await;
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

/// The tests run with what operators are told to give.
#[test]
fn the_documentation_gives_the_rights_that_the_tests_run_with() {
    let pages = [include_str!("../../../docs/operations.md"), include_str!("../../../docs/kubernetes.md")];
    for rules in [rights::SERVER, rights::SENTINEL, rights::CLUSTER] {
        for page in pages {
            assert!(page.lines().any(|line| line.trim_end().ends_with(rules)), "{rules}");
        }
    }
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

#[tokio::test]
async fn every_case_on_one_server_by_tls() {
    let tls = TestTls::new();
    let rules = rights::SERVER;
    let setup = Setup { user: "guardian", rules, tls: Some(Arc::clone(&tls)), ..Setup::plain() };
    let server = RedisServer::start_with(setup).await;
    every_case(|| {
        let plan = Plan::patient(&server.url());
        Plan { tls: Some(tls_of(&tls)), ..plan }.start()
    })
    .await;
}

/// Whether a replica with these files is let in, and lets itself in.
async fn is_let_in(server: &RedisServer, tls: RedisTls) -> bool {
    let plan = Plan { tls: Some(tls), ..Plan::in_production(&server.url()) };
    let replica = plan.start();
    let mut up = false;
    eventually(PATIENT, "Redis decides or is given up", async || {
        up = replica.metric(REDIS_UP) == 1;
        up || replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"connection\"}}")) >= 5
    })
    .await;
    up
}

#[tokio::test]
async fn the_certificate_of_redis_is_checked_against_the_given_roots_and_ours_is_asked_for() {
    let tls = TestTls::new();
    let setup = Setup { tls: Some(Arc::clone(&tls)), ..Setup::plain() };
    let server = RedisServer::start_with(setup).await;
    assert!(is_let_in(&server, tls_of(&tls)).await);
    let other = TestTls::new();
    let distrusted = RedisTls { ca_file: tls_of(&other).ca_file, ..tls_of(&tls) };
    assert!(!is_let_in(&server, distrusted).await, "a server of another authority");
    let system = RedisTls { ca_file: None, ..tls_of(&tls) };
    assert!(!is_let_in(&server, system).await, "the authorities of the system do not know it");
    let nobody = RedisTls { identity: None, ..tls_of(&tls) };
    assert!(!is_let_in(&server, nobody).await, "the server asks for a certificate");
    let stranger = RedisTls { identity: tls_of(&other).identity, ..tls_of(&tls) };
    assert!(!is_let_in(&server, stranger).await, "our certificate is of another authority");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_with_the_next_connection() {
    let tls = TestTls::new();
    let mut server = RedisServer::start_with(Setup { tls: Some(Arc::clone(&tls)), ..Setup::plain() }).await;
    let plan = Plan { tls: Some(tls_of(&tls)), ..Plan::in_production(&server.url()) };
    let replica = plan.start();
    eventually(PATIENT, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
    server.kill9();
    replica.gives_up_on_redis().await;
    // Another authority, for both sides.
    tls.renew();
    server.restart().await;
    eventually(PATIENT, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a directory");
    let (missing, broken) = (folder.path().join("missing"), folder.path().join("broken"));
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").expect("written");
    for ca_file in [missing, broken] {
        let topology =
            RedisTopology::Standalone { url: Secret::new("rediss://u:secret-7b1e@h:1/0".to_owned()) };
        let tls = Some(RedisTls { ca_file: Some(ca_file), identity: None });
        let settings = RedisSettings { tls, ..RedisSettings::new(topology) };
        let error = RedisLimiter::probe(settings).await.expect_err("no certificates");
        assert!(error.to_string().contains("certificates") && !error.to_string().contains("7b1e"), "{error}");
    }
}
