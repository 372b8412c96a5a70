//! A primary under Sentinels: the same suite, and B24 to B26 when another server becomes the primary.

use guardian_auth::adapters::limiter::{REDIS_NODES, REDIS_UP};

use super::conformance::every_case;
use super::outage::{decisions_are_quick, decisions_go_on, healed_within};
use super::*;
use crate::support::redis::TestTls;
use crate::support::redis_sets::{MASTER_NAME, SETTLED_WITHIN, SentinelSet, tls_of};

/// A replica with the budget of production on a set that decides.
async fn started(set: &SentinelSet) -> Arc<Replica> {
    let tls = set.tls.as_deref().map(tls_of);
    let replica = Arc::new(Plan::patient_on(set.topology(), tls).with_budget_of_production().start());
    eventually(PATIENT, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
    replica
}

async fn redis_decides_again(replica: &Replica, within: Duration) {
    let back_at = tokio::time::Instant::now();
    eventually(within, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
    println!("recovered after {:?}", back_at.elapsed());
}

#[tokio::test]
async fn every_case_under_sentinels() {
    let set = SentinelSet::start(0, 1, None).await;
    every_case(|| Plan::patient_on(set.topology(), None).start()).await;
    let refused: Vec<redis::Value> = set.primary.command(&["ACL", "LOG"]).await.expect("an answer");
    assert!(refused.is_empty(), "refused by the ACL: {refused:?}");
}

#[tokio::test]
async fn every_case_under_sentinels_by_tls() {
    let set = SentinelSet::start(0, 1, Some(TestTls::new())).await;
    let tls = set.tls.as_deref().map(tls_of);
    every_case(|| Plan::patient_on(set.topology(), tls.clone()).start()).await;
}

/// The primary is killed, and two of three Sentinels elect its replica; later the old primary comes back as a replica.
#[tokio::test(flavor = "multi_thread")]
async fn b24_the_primary_dies_and_sentinels_promote_another() {
    let mut set = SentinelSet::start(1, 3, Some(TestTls::new())).await;
    let replica = started(&set).await;
    assert_eq!(replica.metric(&format!("{REDIS_NODES}{{state=\"up\"}}")), 1);
    set.primary.kill9();
    decisions_go_on(&replica).await;
    decisions_are_quick(&replica).await;
    assert_eq!(replica.metric(REDIS_UP), 0);
    set.is_failed_over().await;
    redis_decides_again(&replica, healed_within()).await;
    assert_eq!(replica.metric(REDIS_UP), 1);
    // Whoever asks a Sentinel afterwards is led to the new one, and the old one does no harm when it is back.
    set.primary.restart().await;
    let other = started(&set).await;
    assert_eq!(replica.ledger().await, Ledger::Shared);
    assert_eq!(other.ledger().await, Ledger::Shared);
}

/// The primary is made a replica while it lives: what was counted is counted on the promoted server, and nobody gets
/// more than one extra burst.
#[tokio::test(flavor = "multi_thread")]
async fn b26_readonly_after_a_failover_by_sentinels() {
    let set = SentinelSet::start(1, 3, None).await;
    let replica = started(&set).await;
    let bucket = [bucket("account", 10, Duration::from_hours(1000))];
    assert_eq!(replica.admitted_of(6, &bucket).await, 6);
    let caught_up: i64 = set.primary.command(&["WAIT", "1", "5000"]).await.expect("an answer");
    assert_eq!(caught_up, 1);
    let failover = ["SENTINEL", "FAILOVER", MASTER_NAME];
    set.sentinels[0].command::<()>(&failover).await.expect("a fail-over begins");
    set.is_failed_over().await;
    // The old primary answers until it is told of its new role, and then says that it is read-only.
    let promoted = &set.replicas[0];
    eventually(SETTLED_WITHIN, "the promoted server counts", async || {
        replica.ledger().await == Ledger::Shared
            && promoted.command::<i64>(&["DBSIZE"]).await.is_ok_and(|keys| keys > 3)
    })
    .await;
    eventually(SETTLED_WITHIN, "the old primary is a replica", async || {
        let told: String = set.primary.command(&["INFO", "replication"]).await.unwrap_or_default();
        told.contains("role:slave")
    })
    .await;
    redis_decides_again(&replica, healed_within()).await;
    let after = replica.admitted_of(20, &bucket).await;
    assert!(6 + after <= 10 + 10, "one burst and one extra: {after}");
}

/// One Sentinel is frozen, one is gone, one answers: nobody waits for the others, however long they have.
#[tokio::test]
async fn sentinels_that_do_not_answer_cost_no_time() {
    let mut set = SentinelSet::start(0, 3, None).await;
    set.sentinels[0].sigstop();
    set.sentinels[1].kill9();
    let replica = Plan::patient_on(set.topology(), None).start();
    let asked_at = tokio::time::Instant::now();
    assert_eq!(replica.ledger().await, Ledger::Shared);
    assert!(asked_at.elapsed() < PATIENT / 2, "{:?}", asked_at.elapsed());
    set.sentinels[0].sigcont();
}

#[tokio::test]
async fn a_name_that_sentinels_do_not_know_is_said_so() {
    let set = SentinelSet::start(0, 1, None).await;
    let RedisTopology::Sentinel { sentinels, sentinel_login, login, .. } = set.topology() else {
        panic!("a set of Sentinels")
    };
    let master_name = "another".to_owned();
    let topology = RedisTopology::Sentinel { sentinels, master_name, sentinel_login, login };
    let error = RedisLimiter::probe(RedisSettings::new(topology)).await.expect_err("nobody knows it");
    assert!(error.to_string().contains("does not know the name of the primary"), "{error}");
    let reached = RedisLimiter::probe(RedisSettings::new(set.topology())).await.expect("it is there");
    let text = reached.to_string();
    assert!(text.starts_with(&format!("sentinel, primary 127.0.0.1:{}", set.primary.port())), "{text}");
    assert!(text.ends_with("1 of 1 Sentinels answer"), "{text}");
}
