//! B24 through the wire: a primary of Redis is killed under load, and no guardian notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use guardian_auth::config::{LimitsBackend, Redis, RedisServers, RedisTls};
use guardian_auth::proto::Portal;
use tokio::task::JoinHandle;

use crate::support::redis::TestTls;
use crate::support::redis_sets::{RedisCluster, SETTLED_WITHIN, SentinelSet};
use crate::support::service::{Attempt, KOMMUN, Parts, Service, guardian, hash, school_and_child};
use crate::support::{eventually, full_size};

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const DECISIONS: &str = "guardian_auth_limiter_decisions_total";
const REDIS_UP: &str = "guardian_auth_limiter_redis_up";

/// How soon Redis decides again, at most, once it has another primary. At full size the machine is the test's own.
fn healed_within() -> Duration {
    if full_size() { Duration::from_secs(3) } else { SETTLED_WITHIN }
}

/// A service on these servers, by TLS.
async fn service_on(servers: RedisServers, tls: &TestTls) -> Service {
    let tls = RedisTls {
        ca_file: Some(tls.file("ca.pem")),
        identity: Some((tls.file("client.pem"), tls.file("client.key"))),
    };
    let redis = Redis { servers, tls: Some(tls), timeout: Duration::from_millis(50) };
    let service = Service::start_with(Parts::Shared, |config| {
        config.limits.backend = LimitsBackend::Redis(Box::new(redis));
        config.limits.replicas = 2;
    })
    .await;
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    let guardians = 0..20;
    rows.extend(
        guardians.map(|number| guardian(&format!("g-{number}"), &format!("user-{number}"), Some(&hash))),
    );
    service.import(KOMMUN, &rows).await;
    service
}

/// Guardians who log in all the time, and portals that verify their sessions.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
    lanes: Vec<JoinHandle<()>>,
}

impl Load {
    async fn on(service: &Service) -> Self {
        let portal = service.portal(KOMMUN).await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let lanes = (0..4)
            .map(|lane: usize| {
                let (portal, stop, done) = (portal.clone(), Arc::clone(&stop), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut number = lane;
                    while !stop.load(Ordering::Relaxed) {
                        let name = format!("user-{}", number % 20);
                        let tokens = portal.session(Attempt::new(&name, PASSWORD)).await;
                        portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await.unwrap();
                        done.fetch_add(1, Ordering::Relaxed);
                        number += 4;
                    }
                })
            })
            .collect();
        Self { stop, done, lanes }
    }

    /// Returns when twenty more have logged in.
    async fn more(&self, what: &str) {
        let before = self.done.load(Ordering::Relaxed);
        let enough = async || self.done.load(Ordering::Relaxed) >= before + 20;
        eventually(Duration::from_secs(30), what, enough).await;
    }

    /// Ends the load, and fails if one login failed.
    async fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            lane.await.expect("no login failed");
        }
        self.done.load(Ordering::Relaxed)
    }
}

async fn decisions(service: &Service, mode: &str) -> f64 {
    service.metric(DECISIONS, &format!("mode=\"{mode}\"")).await
}

async fn redis_decides(service: &Service, within: Duration) {
    eventually(within, "Redis decides", async || service.metric(REDIS_UP, "").await > 0.5).await;
    let before = decisions(service, "shared").await;
    eventually(within, "decisions by Redis", async || decisions(service, "shared").await > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b24_no_login_fails_while_sentinels_promote_another_primary() {
    let mut set = SentinelSet::start(1, 3, Some(TestTls::new())).await;
    let tls = Arc::clone(set.tls.as_ref().expect("TLS"));
    let service = service_on(set.servers(), &tls).await;
    let load = Load::on(&service).await;
    redis_decides(&service, SETTLED_WITHIN).await;

    set.primary.kill9();
    let (killed_at, before) = (Instant::now(), decisions(&service, "local").await);
    load.more("logins without a primary").await;
    assert!(decisions(&service, "local").await > before, "decided from local counters");
    set.is_failed_over().await;
    println!("another primary after {:?}", killed_at.elapsed());
    let promoted_at = Instant::now();
    redis_decides(&service, healed_within()).await;
    println!("healed after {:?} more", promoted_at.elapsed());
    load.more("logins on the promoted server").await;
    println!("{} logins, none failed", load.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b24_no_login_fails_while_a_cluster_misses_a_primary() {
    let mut cluster = RedisCluster::start(true, Some(TestTls::new())).await;
    let tls = Arc::clone(cluster.tls.as_ref().expect("TLS"));
    let service = service_on(cluster.servers(), &tls).await;
    let load = Load::on(&service).await;
    redis_decides(&service, SETTLED_WITHIN).await;

    let (_, home) = cluster.home_of(KOMMUN).await;
    cluster.primaries[home].kill9();
    let (killed_at, before) = (Instant::now(), decisions(&service, "local").await);
    load.more("logins without the primary").await;
    assert!(decisions(&service, "local").await > before, "decided from local counters");
    let promoted = &cluster.replicas[home];
    eventually(SETTLED_WITHIN, "the replica is promoted", async || {
        let told: String = promoted.command(&["INFO", "replication"]).await.expect("an answer");
        told.contains("role:master")
    })
    .await;
    println!("another primary after {:?}", killed_at.elapsed());
    let promoted_at = Instant::now();
    redis_decides(&service, healed_within()).await;
    println!("healed after {:?} more", promoted_at.elapsed());
    load.more("logins on the promoted server").await;
    println!("{} logins, none failed", load.end().await);
}
