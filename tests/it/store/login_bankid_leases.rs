//! Leases of BankID orders: one process collects each, and another takes over when it is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::bankid::{BankIdFault, HintCode, OrderState};
use guardian_auth::domain::id::BankIdLoginId;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::{BankIdOrder, LoginBankIdStore, Progress};

use super::contents::contents;
use super::eid_facts::{begin, begun, complete, failed, lease_until, note, order, sealed, signed, standing};
use super::on_every_database;
use super::races::at_once;
use super::world::{World, at, event};

/// Takes what is free, until five minutes later.
async fn take(world: &World, collector: &str, now: Timestamp) -> Vec<BankIdOrder> {
    let lease = lease_until(collector, now.plus(Duration::from_mins(5)));
    world.store.lease_bankid_orders(&lease, now, 100).await.expect("an answer")
}

async fn an_order_is_its_beginners_until_the_lease_ends(world: World) {
    let order = begun(&world).await;
    assert!(take(&world, "two", at(101).minus(Duration::from_millis(1))).await.is_empty());
    assert_eq!(take(&world, "two", at(101)).await, std::slice::from_ref(&order));
    assert!(take(&world, "three", at(106).minus(Duration::from_millis(1))).await.is_empty());
    assert_eq!(take(&world, "three", at(106)).await, [order]);
}

async fn the_oldest_are_taken_first_and_no_more_than_wanted(world: World) {
    let mut expected = Vec::new();
    for minute in [3, 1, 5, 2, 4] {
        let order = BankIdOrder { begun: at(minute), ..order() };
        begin(&world, &order).await;
        expected.push(order);
    }
    expected.sort_by_key(|order| order.begun);
    let take = async |limit| {
        let lease = lease_until("two", at(300));
        world.store.lease_bankid_orders(&lease, at(200), limit).await.expect("an answer")
    };
    assert_eq!(take(0).await, []);
    assert_eq!(take(2).await, expected[..2]);
    assert_eq!(take(2).await, expected[2..4]);
    assert_eq!(take(2).await, expected[4..]);
}

/// Somebody must write down that it failed.
async fn an_order_whose_time_is_over_is_taken_while_it_is_pending(world: World) {
    let order = begun(&world).await;
    assert_eq!(take(&world, "two", at(900)).await, std::slice::from_ref(&order));
    assert!(note(&world, &order.id, "two", &failed(BankIdFault::OrderExpired)).await);
    assert_eq!(standing(&world, &order.id).await.state, OrderState::Failed);
}

async fn an_order_that_is_over_is_nobodys(world: World) {
    signed(&world).await;
    let (lost, given_up) = (begun(&world).await.id, begun(&world).await.id);
    assert!(note(&world, &lost, "one", &failed(BankIdFault::Failed)).await);
    let event = event(guardian_auth::domain::audit::Fact::LoggedIn, None);
    assert!(world.store.cancel_bankid_order(&given_up, &event).await.expect("an answer"));
    // Whatever else the rows say.
    world.change("UPDATE bankid_order SET collector = 'one', lease_ms = 1").await;
    let before = contents(&world).await;
    assert!(take(&world, "two", at(900)).await.is_empty());
    assert!(renewed(&world, "one", at(950)).await.is_empty());
    world.store.release_bankid_orders("one", at(900)).await.expect("an answer");
    assert_eq!(contents(&world).await, before);
}

async fn renewed(world: &World, collector: &str, until: Timestamp) -> BTreeSet<BankIdLoginId> {
    let renewed = world.store.renew_bankid_leases(&lease_until(collector, until)).await;
    renewed.expect("an answer").into_iter().collect()
}

async fn a_collector_keeps_its_own_orders_and_learns_which_they_are(world: World) {
    let (one, other) = (begun(&world).await, begun(&world).await);
    let done = signed(&world).await;
    let theirs = order();
    world.store.add_bankid_order(&theirs, &lease_until("two", at(101))).await.expect("it is kept");
    let both: BTreeSet<_> = [one.id.clone(), other.id.clone()].into();
    assert_eq!(renewed(&world, "one", at(103)).await, both);
    assert!(!both.contains(&done));
    assert_eq!(take(&world, "three", at(102)).await, [theirs]);
    assert_eq!(take(&world, "three", at(103)).await.len(), 2);
    assert!(renewed(&world, "one", at(105)).await.is_empty(), "they were taken over");
    assert_eq!(renewed(&world, "three", at(110)).await.len(), 3);
}

async fn a_lease_that_ended_and_that_nobody_took_is_kept_by_renewing_it(world: World) {
    let order = begun(&world).await;
    assert_eq!(renewed(&world, "one", at(109)).await, [order.id].into());
    assert!(take(&world, "two", at(108)).await.is_empty());
}

async fn orders_that_are_let_go_are_anothers_at_once(world: World) {
    let let_go = begun(&world).await;
    world.store.add_bankid_order(&order(), &lease_until("two", at(105))).await.expect("it is kept");
    world.store.release_bankid_orders("one", at(100)).await.expect("an answer");
    for progress in [Progress::Hint(HintCode::new("userSign")), failed(BankIdFault::Failed)] {
        assert!(!note(&world, &let_go.id, "one", &progress).await);
    }
    assert_eq!(take(&world, "three", at(100)).await, [let_go]);
}

async fn who_was_taken_over_says_nothing_any_more_but_that_it_was_signed(world: World) {
    let order = begun(&world).await;
    assert_eq!(take(&world, "two", at(101)).await.len(), 1);
    let before = contents(&world).await;
    for progress in [
        Progress::Hint(HintCode::new("userSign")),
        Progress::Restarted { sealed: sealed(), started: at(101) },
        failed(BankIdFault::ResultLost),
    ] {
        assert!(!note(&world, &order.id, "one", &progress).await);
    }
    assert_eq!(contents(&world).await, before);
    // BankID told it to the first, and will never tell it to the second.
    assert!(note(&world, &order.id, "one", &complete()).await);
    assert!(!note(&world, &order.id, "two", &failed(BankIdFault::ResultLost)).await);
    assert_eq!(standing(&world, &order.id).await.state, OrderState::Complete);
}

async fn collectors_that_take_at_once_share_no_order(world: World) {
    let other = Arc::new(world.replica().await);
    let mut orders = BTreeSet::new();
    for _ in 0..100 {
        orders.insert(begun(&world).await.id);
    }
    let taken = at_once((0..8).map(|worker| {
        let store = if worker % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        async move {
            let lease = lease_until(&format!("worker-{worker}"), at(110));
            let mut taken = Vec::new();
            loop {
                let leased = store.lease_bankid_orders(&lease, at(105), 7).await.expect("an answer");
                if leased.is_empty() {
                    break taken;
                }
                taken.extend(leased.into_iter().map(|order| order.id));
            }
        }
    }))
    .await
    .concat();
    assert_eq!(taken.len(), 100);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), orders);
    other.close().await;
}

/// Both believe that the order is theirs: the old collector has its answer, the new one the lease.
async fn a_result_counts_whoever_takes_the_order_over_at_once(world: World) {
    for _ in 0..10 {
        let order = begun(&world).await;
        let (noting, taking) = (Arc::clone(&world.store), Arc::clone(&world.store));
        let id = order.id.clone();
        let (noted, taken) = tokio::join!(
            tokio::spawn(async move { noting.note_bankid_progress(&id, "one", &complete()).await }),
            tokio::spawn(async move {
                taking.lease_bankid_orders(&lease_until("two", at(110)), at(101), 10).await
            }),
        );
        let noted = noted.expect("no panic").expect("an answer");
        taken.expect("no panic").expect("an answer");
        assert!(noted);
        assert_eq!(standing(&world, &order.id).await.state, OrderState::Complete);
        assert!(renewed(&world, "two", at(120)).await.is_empty(), "nobody collects it any more");
    }
}

/// Renewals, take-overs, results and sweeps of the same rows: each answers, whoever comes first.
async fn collectors_and_sweeps_at_once_do_not_lock_each_other_out(world: World) {
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(begun(&world).await.id);
    }
    let done = at_once((0..40_usize).map(|number| {
        let (store, id) = (Arc::clone(&world.store), ids[number].clone());
        let lease = lease_until(if number % 8 < 4 { "one" } else { "two" }, at(105));
        async move {
            match number % 4 {
                0 => store.lease_bankid_orders(&lease, at(101), 10).await.map(|_| ()),
                1 => store.renew_bankid_leases(&lease).await.map(|_| ()),
                2 => store.sweep_bankid_orders(at(50)).await.map(|_| ()),
                _ => store.note_bankid_progress(&id, "one", &complete()).await.map(|_| ()),
            }
        }
    }))
    .await;
    for done in done {
        done.expect("an answer");
    }
    assert_eq!(world.number("SELECT count(*) FROM bankid_order").await, 50);
}

on_every_database! {
    an_order_is_its_beginners_until_the_lease_ends,
    the_oldest_are_taken_first_and_no_more_than_wanted,
    an_order_whose_time_is_over_is_taken_while_it_is_pending,
    an_order_that_is_over_is_nobodys,
    a_collector_keeps_its_own_orders_and_learns_which_they_are,
    a_lease_that_ended_and_that_nobody_took_is_kept_by_renewing_it,
    orders_that_are_let_go_are_anothers_at_once,
    who_was_taken_over_says_nothing_any_more_but_that_it_was_signed,
    collectors_that_take_at_once_share_no_order,
    a_result_counts_whoever_takes_the_order_over_at_once,
    collectors_and_sweeps_at_once_do_not_lock_each_other_out,
}
