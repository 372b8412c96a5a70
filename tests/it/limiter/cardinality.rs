//! B07: a flood of names fits into the memory that was promised, and frees nobody.

use guardian_auth::adapters::limiter::{CAPACITY, LOCAL_KEYS, LOCAL_KEYS_REFUSED};
use guardian_auth::domain::limits::{Lane, LimitPolicy, password_reservation};
use tokio::task::JoinSet;

use super::*;
use crate::support::redis::RedisServer;

/// What a key may cost in Redis, bytes: 1,000,000 fit into 200 MB.
const BYTES_A_KEY: u64 = 200;

/// Attempts in flight at once.
const WORKERS: usize = 64;

fn names() -> usize {
    if full_size() { 1_000_000 } else { 20_000 }
}

/// One attempt on each of so many names, each in a bucket of its own; how many were admitted.
async fn flood(replica: &Arc<Replica>, names: usize) -> usize {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let replica = Arc::clone(replica);
        workers.spawn(async move {
            let mut admitted = 0;
            for n in (worker..names).step_by(WORKERS) {
                let scope = Scope::Account(login_name(&format!("flood{n}")));
                let charge = Charge { scope, quota: Quota::new(10, Duration::from_hours(1)) };
                admitted += usize::from(replica.admits(&[charge]).await);
            }
            admitted
        });
    }
    workers.join_all().await.into_iter().sum()
}

async fn used_memory(server: &RedisServer) -> u64 {
    let info: String = server.command(&["INFO", "memory"]).await.expect("an answer");
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("it is there");
    used.trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_cardinality_on_redis() {
    let server = RedisServer::start().await;
    let replica = Arc::new(Plan::patient(&server.url()).start());
    let victim = [bucket("victim", 3, Duration::from_hours(1))];
    assert_eq!(replica.admitted_of(9, &victim).await, 3);
    let before = used_memory(&server).await;
    assert_eq!(flood(&replica, names()).await, names());
    let bytes_a_key = (used_memory(&server).await - before) / names() as u64;
    assert!(bytes_a_key <= BYTES_A_KEY, "{bytes_a_key} bytes a key");
    assert_eq!(replica.admitted_of(9, &victim).await, 0);
    println!("{bytes_a_key} bytes a key in Redis, {} keys here", replica.metric(LOCAL_KEYS));
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_cardinality_in_memory() {
    let replica = Arc::new(Replica::in_memory());
    let victim = [bucket("victim", 3, Duration::from_hours(1))];
    assert_eq!(replica.admitted_of(9, &victim).await, 3);
    let names = names().max(CAPACITY + 20_000);
    assert_eq!(flood(&replica, names).await, CAPACITY - 1);
    assert_eq!(replica.metric(LOCAL_KEYS), CAPACITY as u64);
    assert_eq!(replica.metric(&format!("{LOCAL_KEYS_REFUSED}_total")), (names - CAPACITY + 1) as u64);
    assert_eq!(replica.admitted_of(9, &victim).await, 0);
    // Nobody is locked out for good: emptied buckets make room.
    replica.clock.pass(Duration::from_hours(1));
    let newcomer = [bucket("newcomer", 1, REFILL)];
    assert!(replica.admits(&newcomer).await);
    assert_eq!(replica.admitted_of(9, &victim).await, 1);
}

/// A stuffer meets the organization's bucket first: what is refused leaves no key behind.
#[tokio::test(flavor = "multi_thread")]
async fn b07_refused_names_take_no_memory() {
    let replica = Replica::in_memory();
    let policy = LimitPolicy::default();
    let mut admitted = 0;
    for n in 0..u32::try_from(names() / 2).expect("a small number") {
        let name = login_name(&format!("flood{n}"));
        let (organization, from) = (&replica.organization, network(n));
        let attempt =
            password_reservation(&policy, organization, &name, from, "portal", &Lane::UnknownDevice);
        admitted += u32::from(matches!(replica.limiter.decide(&attempt).await, Decision::Admitted(_)));
    }
    assert_eq!(admitted, policy.organization.burst);
    assert_eq!(replica.metric(LOCAL_KEYS), u64::from(1 + admitted * 4));
}
