//! Budgets of messages: exact under parallel use, and refilled to the millisecond.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::{
    LeasedResetRequest, MessageBudget, OutboxStore, PasswordResetStore, SettleOutcome,
};

use super::contents::contents;
use super::on_every_database;
use super::races::at_once;
use super::reset_facts::{budget, import_reachable, request, settled};
use super::world::{World, at};

/// Requests of minute 100, leased until minute 1000.
async fn leased_requests(world: &World, number: u32) -> Vec<LeasedResetRequest> {
    for _ in 0..number {
        world.store.add_reset_request(&request()).await.expect("it is kept");
    }
    world.store.lease_reset_requests(at(100), at(1000), number).await.expect("an answer")
}

async fn of_a_hundred_requests_at_once_as_many_are_granted_as_there_is_room_for(world: World) {
    const BURST: u32 = 5;
    let account = import_reachable(&world, "10042").await;
    let other = Arc::new(world.replica().await);
    let leased = leased_requests(&world, 100).await;
    let outcomes = at_once(leased.into_iter().enumerate().map(|(number, leased)| {
        let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        let settled = settled(&leased, Some(&account.guardian), budget("a", BURST, 20, at(100)));
        async move { store.settle_reset(&settled).await.expect("an answer") }
    }))
    .await;
    let granted = outcomes.iter().filter(|outcome| **outcome == SettleOutcome::Granted).count();
    assert_eq!(u32::try_from(granted), Ok(BURST));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == SettleOutcome::Folded).count(), 95);
    assert_eq!(world.number("SELECT count(*) FROM message WHERE state = 'queued'").await, 5);
    assert_eq!(world.number("SELECT count(*) FROM message").await, 100);
    other.close().await;
}

const MS: Duration = Duration::from_millis(1);

async fn a_budget_has_room_again_at_the_exact_time(world: World) {
    let account = import_reachable(&world, "10042").await;
    let mut leased = leased_requests(&world, 20).await;
    let mut settle = async |now: Timestamp| {
        let leased = leased.pop().expect("enough requests");
        let settled = settled(&leased, Some(&account.guardian), budget("a", 2, 10, now));
        world.store.settle_reset(&settled).await.expect("an answer")
    };
    let expected = [
        (at(100), SettleOutcome::Granted),
        (at(100), SettleOutcome::Granted),
        (at(100), SettleOutcome::Folded),
        (at(110).minus(MS), SettleOutcome::Folded),
        (at(110), SettleOutcome::Granted),
        (at(110), SettleOutcome::Folded),
        (at(120).minus(MS), SettleOutcome::Folded),
        (at(120), SettleOutcome::Granted),
        // Full again, and no fuller than full.
        (at(500), SettleOutcome::Granted),
        (at(500), SettleOutcome::Granted),
        (at(500), SettleOutcome::Folded),
        // The clock of another replica.
        (at(400), SettleOutcome::Folded),
    ];
    for (step, (now, outcome)) in expected.into_iter().enumerate() {
        assert_eq!(settle(now).await, outcome, "step {step}");
    }
}

async fn take(world: &World, budgets: &[MessageBudget]) -> Option<Timestamp> {
    world.store.take_budgets(budgets).await.expect("an answer")
}

async fn budgets_are_taken_all_or_none(world: World) {
    // The one that is refused comes last in the order in which they are taken.
    let both = |now| [budget("recipient", 1, 10, now), budget("organization", 3, 1, now)];
    assert_eq!(take(&world, &both(at(0))).await, None);
    let before = contents(&world).await;
    for _ in 0..3 {
        assert_eq!(take(&world, &both(at(0))).await, Some(at(10)));
        assert_eq!(take(&world, &both(at(10).minus(MS))).await, Some(at(10)));
    }
    assert_eq!(contents(&world).await, before, "what is refused costs nothing");
    assert_eq!(take(&world, &both(at(10))).await, None);
    assert_eq!(take(&world, &[]).await, None);
}

async fn who_is_refused_learns_when_all_have_room(world: World) {
    assert_eq!(take(&world, &[budget("a", 1, 10, at(0))]).await, None);
    assert_eq!(take(&world, &[budget("b", 1, 30, at(0))]).await, None);
    let three = |now| [budget("a", 1, 10, now), budget("b", 1, 30, now), budget("c", 1, 60, now)];
    assert_eq!(take(&world, &three(at(1))).await, Some(at(30)));
    assert_eq!(take(&world, &three(at(30).minus(MS))).await, Some(at(30)));
    assert_eq!(take(&world, &three(at(30))).await, None);
    // One budget twice counts twice.
    let twice = |now| [budget("d", 1, 10, now), budget("d", 1, 10, now)];
    assert!(take(&world, &twice(at(0))).await.is_some());
    assert_eq!(take(&world, &[budget("d", 1, 10, at(0))]).await, None);
}

async fn of_a_hundred_takings_at_once_as_many_succeed_as_there_is_room_for(world: World) {
    let other = Arc::new(world.replica().await);
    let taken = at_once((0..100).map(|number| {
        let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        let mut budgets = vec![budget("a", 100, 10, at(0)), budget("b", 7, 10, at(0))];
        if number % 3 == 0 {
            budgets.reverse();
        }
        async move { store.take_budgets(&budgets).await.expect("an answer") }
    }))
    .await;
    assert_eq!(taken.iter().filter(|refused| refused.is_none()).count(), 7);
    // The first budget was charged for those that got both.
    let charged = at(0).plus(Duration::from_mins(70)).as_millis();
    assert_eq!(world.number("SELECT full_at_ms FROM message_budget WHERE subject = 'a'").await, charged);
    other.close().await;
}

async fn full_budgets_are_swept_and_no_others(world: World) {
    for minute in 0..10 {
        let subject = format!("s{minute}");
        take(&world, &[budget(&subject, 3, 10, at(minute))]).await;
    }
    // Full from minute 10 on, from minute 11 on, and so forth.
    assert_eq!(world.store.sweep_resets(at(0), at(15)).await.expect("an answer"), 5);
    assert_eq!(world.number("SELECT count(*) FROM message_budget").await, 5);
    let first = "SELECT min(full_at_ms) FROM message_budget";
    assert_eq!(world.number(first).await, at(15).as_millis());
}

async fn a_sweep_beside_takings_drops_no_charge(world: World) {
    for round in 0..10 {
        let subject = format!("s{round}");
        // Full at minute 10, and taken from again while a sweep finds it full.
        take(&world, &[budget(&subject, 5, 10, at(0))]).await;
        let done = at_once((0..20).map(|number| {
            let store = Arc::clone(&world.store);
            let budget = budget(&subject, 5, 10, at(100));
            async move {
                if number == 10 {
                    store.sweep_resets(at(0), at(100)).await.expect("an answer");
                    return false;
                }
                store.take_budgets(&[budget]).await.expect("an answer").is_none()
            }
        }))
        .await;
        assert_eq!(done.into_iter().filter(|taken| *taken).count(), 5);
    }
}

on_every_database! {
    of_a_hundred_requests_at_once_as_many_are_granted_as_there_is_room_for,
    a_budget_has_room_again_at_the_exact_time,
    budgets_are_taken_all_or_none,
    who_is_refused_learns_when_all_have_room,
    of_a_hundred_takings_at_once_as_many_succeed_as_there_is_room_for,
    full_budgets_are_swept_and_no_others,
    a_sweep_beside_takings_drops_no_charge,
}
