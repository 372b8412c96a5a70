//! B04: attempts that arrive at once.

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::*;

const TASKS: usize = 1000;

/// Each round: a name of 10 attempts, in an organization of 15, from a thousand networks at once. Exactly 10 get
/// through, and those that did not left no trace in the organization.
async fn nobody_gets_through_twice(replica: Replica) {
    let replica = Arc::new(replica);
    for round in 0..if full_size() { 100 } else { 5 } {
        let name = login_name(&format!("name{round}"));
        let tenant = bucket(&format!("tenant{round}"), 15, REFILL);
        let account = Charge { scope: Scope::Account(name), quota: Quota::new(10, REFILL) };
        let barrier = Arc::new(Barrier::new(TASKS));
        let mut attempts = JoinSet::new();
        for task in 0..u32::try_from(TASKS).expect("a small number") {
            let (replica, barrier) = (Arc::clone(&replica), Arc::clone(&barrier));
            let from = Charge { scope: Scope::Network(network(task)), quota: Quota::new(1_000_000, REFILL) };
            let charges = [tenant.clone(), from, account.clone()];
            attempts.spawn(async move {
                barrier.wait().await;
                replica.admits(&charges).await
            });
        }
        let admitted = attempts.join_all().await.into_iter().filter(|&admitted| admitted).count();
        assert_eq!(admitted, 10, "round {round}");
        assert_eq!(replica.admitted_of(9, &[tenant]).await, 5, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_counter_race_in_memory() {
    nobody_gets_through_twice(Replica::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_counter_race_on_redis() {
    nobody_gets_through_twice(Replica::on_redis()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_counter_race_without_redis() {
    nobody_gets_through_twice(Replica::without_redis().await).await;
}

/// Attempts that are given back at once leave nothing, however they interleave.
async fn right_passwords_leave_nothing(replica: Replica) {
    let replica = Arc::new(replica);
    let both = [bucket("a", 100_000, REFILL), bucket("b", 3, REFILL)];
    let mut attempts = JoinSet::new();
    for _ in 0..TASKS {
        let (replica, both) = (Arc::clone(&replica), both.clone());
        attempts.spawn(async move {
            let attempt = replica.reservation(both.to_vec());
            if let Ok((_admitted, receipt)) = reserve(&*replica.limiter, attempt).await {
                replica.limiter.give_back(receipt);
            }
        });
    }
    attempts.join_all().await;
    replica.settle().await;
    assert_eq!(replica.admitted_of(9, &both).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_passwords_leave_nothing_in_memory() {
    right_passwords_leave_nothing(Replica::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn right_passwords_leave_nothing_on_redis() {
    right_passwords_leave_nothing(Replica::on_redis()).await;
}
