//! Redis Cluster: the same suite, B24 to B26 when a primary is lost, and slots that move.

use guardian_auth::adapters::limiter::{REDIS_ERRORS, REDIS_NODES, REDIS_UP};

use super::conformance::every_case;
use super::outage::{decisions_are_quick, decisions_go_on, healed_within};
use super::*;
use crate::support::redis::{RedisServer, TestTls};
use crate::support::redis_sets::{RedisCluster, SETTLED_WITHIN, tls_of};

fn plan(cluster: &RedisCluster) -> Plan {
    Plan::patient_on(cluster.topology(), cluster.tls.as_deref().map(tls_of))
}

/// An organization whose counters are on the primary of this number, and their slot.
async fn organization_on(cluster: &RedisCluster, primary: usize) -> (OrganizationId, u16) {
    loop {
        let organization = new_organization();
        let (slot, home) = cluster.home_of(organization.as_str()).await;
        if home == primary {
            return (organization, slot);
        }
    }
}

/// A replica with the budget of production for such an organization, when the cluster decides.
async fn started_on(cluster: &RedisCluster, primary: usize) -> (Arc<Replica>, u16) {
    let (organization, slot) = organization_on(cluster, primary).await;
    let replica = Arc::new(Plan { organization, ..plan(cluster) }.with_budget_of_production().start());
    eventually(PATIENT, "all primaries answer", async || replica.metric(REDIS_UP) == 1).await;
    assert_eq!(replica.ledger().await, Ledger::Shared);
    assert_eq!(replica.metric(&format!("{REDIS_NODES}{{state=\"up\"}}")), 3);
    (replica, slot)
}

async fn keys_on(server: &RedisServer, organization: &OrganizationId) -> Vec<String> {
    let pattern = format!("guardian:{{{}}}:*", organization.as_str());
    server.command(&["KEYS", &pattern]).await.expect("an answer")
}

#[tokio::test]
async fn every_case_on_a_cluster() {
    let cluster = RedisCluster::start(false, None).await;
    every_case(|| plan(&cluster).start()).await;
    for primary in &cluster.primaries {
        let refused: Vec<redis::Value> = primary.command(&["ACL", "LOG"]).await.expect("an answer");
        assert!(refused.is_empty(), "refused by the ACL: {refused:?}");
        let keys: i64 = primary.command(&["DBSIZE"]).await.expect("an answer");
        assert!(keys > 1, "organizations spread over the primaries");
    }
}

#[tokio::test]
async fn every_case_on_a_cluster_by_tls() {
    let cluster = RedisCluster::start(false, Some(TestTls::new())).await;
    every_case(|| plan(&cluster).start()).await;
    let settings = RedisSettings { tls: plan(&cluster).tls, ..RedisSettings::new(cluster.topology()) };
    let text = RedisLimiter::probe(settings).await.expect("it is there").to_string();
    assert!(text.starts_with("cluster of 3 primaries, "), "{text}");
}

/// A primary is killed and its replica promoted: its organizations go by local counters meanwhile, others notice
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn b24_a_primary_of_a_cluster_dies_and_its_replica_is_promoted() {
    let mut cluster = RedisCluster::start(true, Some(TestTls::new())).await;
    let (lost, _) = started_on(&cluster, 0).await;
    let (other, _) = started_on(&cluster, 1).await;
    cluster.primaries[0].kill9();
    decisions_go_on(&lost).await;
    decisions_are_quick(&lost).await;
    assert_eq!(other.ledger().await, Ledger::Shared);
    assert_eq!(lost.metric(REDIS_UP), 0);
    assert_eq!(lost.metric(&format!("{REDIS_NODES}{{state=\"down\"}}")), 1);
    let promoted = &cluster.replicas[0];
    eventually(SETTLED_WITHIN, "the replica is promoted", async || {
        assert_eq!(other.ledger().await, Ledger::Shared, "other organizations notice nothing");
        let told: String = promoted.command(&["INFO", "replication"]).await.expect("an answer");
        told.contains("role:master")
    })
    .await;
    let back_at = tokio::time::Instant::now();
    eventually(healed_within(), "Redis decides", async || {
        lost.ledger().await == Ledger::Shared && lost.metric(REDIS_UP) == 1
    })
    .await;
    println!("recovered after {:?}", back_at.elapsed());
    assert!(lost.admits(&[bucket("kept", 3, REFILL)]).await);
    assert_eq!(keys_on(promoted, &lost.organization).await.len(), 1);
}

/// A fail-over by hand: the old primary lives, and sends us on.
#[tokio::test(flavor = "multi_thread")]
async fn b26_a_primary_of_a_cluster_becomes_a_replica() {
    let cluster = RedisCluster::start(true, None).await;
    let (replica, _) = started_on(&cluster, 2).await;
    let bucket = [bucket("account", 10, Duration::from_hours(1000))];
    assert_eq!(replica.admitted_of(6, &bucket).await, 6);
    cluster.replicas[2].command::<()>(&["CLUSTER", "FAILOVER"]).await.expect("a fail-over begins");
    eventually(SETTLED_WITHIN, "the promoted server counts", async || {
        let told: String = cluster.primaries[2].command(&["INFO", "replication"]).await.expect("an answer");
        told.contains("role:slave") && replica.ledger().await == Ledger::Shared
    })
    .await;
    // Nothing was lost, as the replica had caught up; whatever was decided locally comes on top.
    let after = replica.admitted_of(20, &bucket).await;
    assert!(6 + after <= 10 + 10, "one burst and one extra: {after}");
}

/// A slot moves while its organization logs in: keys that are still there are counted there, new ones where they will
/// be, buckets at both ends in the process; and then everything is where it went.
async fn a_slot_moves(cluster: &RedisCluster) {
    let (organization, slot) = organization_on(cluster, 0).await;
    let replica = Plan { organization, ..plan(cluster) }.start();
    let (old, new) = (bucket("old", 10, REFILL), bucket("new", 10, REFILL));
    assert_eq!(replica.admitted_of(6, std::slice::from_ref(&old)).await, 6);

    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let slot = slot.to_string();
    let id =
        async |server: &RedisServer| server.command::<String>(&["CLUSTER", "MYID"]).await.expect("an id");
    let (from_id, to_id) = (id(from).await, id(to).await);
    let set_slot = async |server: &RedisServer, state: &str, node: &str| {
        server.command::<()>(&["CLUSTER", "SETSLOT", &slot, state, node]).await.expect("it is set");
    };
    set_slot(to, "IMPORTING", &from_id).await;
    set_slot(from, "MIGRATING", &to_id).await;
    let admitted_by = async |charges: &[Charge]| match replica.decide(charges).await {
        Decision::Admitted(ledger) => ledger,
        Decision::Refused { retry_after } => panic!("refused for {retry_after:?}"),
    };
    assert_eq!(
        admitted_by(std::slice::from_ref(&old)).await,
        Ledger::Shared,
        "all keys are at the old place"
    );
    assert_eq!(admitted_by(std::slice::from_ref(&new)).await, Ledger::Shared, "ASK leads to the new place");
    assert_eq!(keys_on(to, &replica.organization).await.len(), 1);
    let both = [old.clone(), new.clone()];
    assert_eq!(admitted_by(&both).await, Ledger::Local, "neither place has both keys");
    assert!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"moved\"}}")) >= 1);
    assert_eq!(replica.metric(REDIS_UP), 1, "a slot on its way is no outage");

    let keys = keys_on(from, &replica.organization).await;
    let (port, password) = (to.port().to_string(), cluster.harness_password());
    let mut migrate =
        vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "AUTH2", "harness", password, "KEYS"];
    migrate.extend(keys.iter().map(String::as_str));
    from.command::<()>(&migrate).await.expect("the keys move");
    for server in [to, from, &cluster.primaries[2]] {
        set_slot(server, "NODE", &to_id).await;
    }
    assert_eq!(admitted_by(&both).await, Ledger::Shared, "MOVED leads to the new place at once");
    // Six, one and the last at the old bucket are all that were charged in Redis.
    assert_eq!(replica.admitted_of(9, &[old]).await, 2);
    let errors = replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"moved\"}}"));
    eventually(SETTLED_WITHIN, "the slots are looked up again", async || {
        replica.ledger().await == Ledger::Shared
    })
    .await;
    assert_eq!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"moved\"}}")), errors);
}

#[tokio::test]
async fn b26_a_slot_moves_to_another_primary() {
    a_slot_moves(&RedisCluster::start(false, None).await).await;
}

/// Behind a translated address nodes do not know their hosts: clients go on with the one that they came by.
#[tokio::test]
async fn b26_a_slot_moves_where_redirections_have_no_host() {
    let cluster = RedisCluster::start(false, None).await;
    for primary in &cluster.primaries {
        let set = ["CONFIG", "SET", "cluster-preferred-endpoint-type", "unknown-endpoint"];
        primary.command::<()>(&set).await.expect("it is set");
    }
    a_slot_moves(&cluster).await;
}

/// A slot is lost: its organizations go by local counters, and the metrics say that not all is well.
#[tokio::test]
async fn a_slot_that_no_primary_has_is_seen_in_the_metrics() {
    let cluster = RedisCluster::start(false, None).await;
    let ((lost, slot), (other, _)) = (started_on(&cluster, 0).await, started_on(&cluster, 1).await);
    let slot = slot.to_string();
    for primary in &cluster.primaries {
        primary.command::<()>(&["CLUSTER", "DELSLOTS", &slot]).await.expect("the slot is taken away");
    }
    let nodes = |state: &str| lost.metric(&format!("{REDIS_NODES}{{state=\"{state}\"}}"));
    eventually(SETTLED_WITHIN, "the metrics say so, while all servers answer", async || {
        let local = lost.ledger().await == Ledger::Local;
        local && lost.metric(REDIS_UP) == 0 && (nodes("up"), nodes("down")) == (3, 1)
    })
    .await;
    assert_eq!(other.ledger().await, Ledger::Shared, "other organizations notice nothing");
    let back = ["CLUSTER", "ADDSLOTS", &slot];
    cluster.primaries[0].command::<()>(&back).await.expect("the slot is given back");
    eventually(SETTLED_WITHIN, "Redis decides", async || {
        lost.ledger().await == Ledger::Shared
            && lost.metric(REDIS_UP) == 1
            && (nodes("up"), nodes("down")) == (3, 0)
    })
    .await;
}

/// A cluster without a majority of its primaries serves nothing, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn b24_a_cluster_that_is_down_is_left_alone_and_found_again() {
    let mut cluster = RedisCluster::start(false, None).await;
    let (replica, _) = started_on(&cluster, 2).await;
    cluster.primaries[0].sigstop();
    cluster.primaries[1].sigstop();
    eventually(SETTLED_WITHIN, "the last node is alone", async || {
        let told: String = cluster.primaries[2].command(&["CLUSTER", "INFO"]).await.expect("an answer");
        told.contains("cluster_state:fail")
    })
    .await;
    decisions_go_on(&replica).await;
    assert!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"cluster_down\"}}")) >= 1);
    cluster.primaries[0].sigcont();
    cluster.primaries[1].sigcont();
    eventually(SETTLED_WITHIN, "Redis decides", async || {
        replica.ledger().await == Ledger::Shared && replica.metric(REDIS_UP) == 1
    })
    .await;
}

#[tokio::test]
async fn without_any_node_of_a_cluster_local_counters_decide_until_there_is_one() {
    let mut cluster = RedisCluster::start(false, None).await;
    for primary in &mut cluster.primaries {
        primary.sigstop();
    }
    let replica = plan(&cluster).with_budget_of_production().start();
    let asked_at = tokio::time::Instant::now();
    assert_eq!(replica.ledger().await, Ledger::Local);
    assert!(asked_at.elapsed() < super::outage::longest_decision() * 2, "{:?}", asked_at.elapsed());
    replica.gives_up_on_redis().await;
    for primary in &mut cluster.primaries {
        primary.sigcont();
    }
    eventually(SETTLED_WITHIN, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
}

#[tokio::test]
async fn b26_noscript_on_a_cluster() {
    let cluster = RedisCluster::start(false, None).await;
    let (replica, _) = started_on(&cluster, 1).await;
    for _ in 0..3 {
        for primary in &cluster.primaries {
            primary.command::<()>(&["SCRIPT", "FLUSH"]).await.expect("the scripts are gone");
        }
        assert_eq!(replica.ledger().await, Ledger::Shared);
    }
}
