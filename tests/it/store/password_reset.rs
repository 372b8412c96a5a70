//! Requests for reset links: kept, taken by one worker at a time, settled once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{PasswordResetStore, ResetRequest, SettleOutcome, SettledReset};

use super::contents::{contents, gained};
use super::on_every_database;
use super::races::at_once;
use super::reset_facts::{budget, import_reachable, leased_request, message, request, settled};
use super::world::{World, at};

async fn settle(world: &World, settled: &SettledReset) -> SettleOutcome {
    world.store.settle_reset(settled).await.expect("an answer")
}

async fn a_request_is_read_back_as_it_was_kept(world: World) {
    let full = request();
    let empty = ResetRequest { portal: Portal::Childminder, locale: None, address: None, ..request() };
    let runs = world.metrics.runs_of("add_reset_request");
    for request in [&full, &empty] {
        world.store.add_reset_request(request).await.expect("it is kept");
    }
    assert_eq!(world.metrics.runs_of("add_reset_request"), runs + 2);
    let leased = world.store.lease_reset_requests(at(100), at(102), 10).await.expect("an answer");
    assert!(leased.iter().all(|leased| leased.lease == at(102)));
    let mut expected = [full, empty];
    expected.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(leased.into_iter().map(|leased| leased.request).collect::<Vec<_>>(), expected);
}

async fn a_leased_request_is_nobody_elses_until_the_lease_ends(world: World) {
    world.store.add_reset_request(&request()).await.expect("it is kept");
    let lease =
        async |now, end| world.store.lease_reset_requests(now, end, 10).await.expect("an answer").len();
    let just_before = |minute| at(minute).minus(Duration::from_millis(1));
    assert_eq!(lease(just_before(100), at(102)).await, 0, "not due yet");
    assert_eq!(lease(at(100), at(102)).await, 1);
    assert_eq!(lease(just_before(102), at(103)).await, 0);
    assert_eq!(lease(at(102), at(104)).await, 1);
}

async fn those_due_longest_are_taken_first(world: World) {
    for minute in [3, 1, 5, 2, 4] {
        let request = ResetRequest { at: at(minute), ..request() };
        world.store.add_reset_request(&request).await.expect("it is kept");
    }
    let mut taken = Vec::new();
    for _ in 0..5 {
        let leased = world.store.lease_reset_requests(at(100), at(110), 1).await.expect("an answer");
        assert_eq!(leased.len(), 1);
        taken.push(leased[0].request.at);
    }
    assert_eq!(taken, [1, 2, 3, 4, 5].map(at));
}

async fn of_replicas_that_take_at_once_no_two_get_one_request(world: World) {
    let other = Arc::new(world.replica().await);
    for _ in 0..100 {
        world.store.add_reset_request(&request()).await.expect("it is kept");
    }
    let taken = at_once((0..8).map(|worker| {
        let store = if worker % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        async move {
            let mut taken = Vec::new();
            // PostgreSQL passes over what another worker is at: nothing to take does not mean that nothing is left.
            for _ in 0..10 {
                let leased = store.lease_reset_requests(at(100), at(110), 5).await.expect("an answer");
                assert!(leased.len() <= 5);
                taken.extend(leased.into_iter().map(|leased| leased.request.id));
            }
            taken
        }
    }))
    .await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken.len(), 100);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 100);
    other.close().await;
}

async fn a_request_is_settled_once_and_only_by_who_holds_it(world: World) {
    let account = import_reachable(&world, "10042").await;
    let first = leased_request(&world).await;
    let again = world.store.lease_reset_requests(at(110), at(120), 10).await.expect("an answer");
    let outcome = |leased| settled(leased, Some(&account.guardian), budget("a", 3, 20, at(111)));
    let before = contents(&world).await;
    assert_eq!(settle(&world, &outcome(&first)).await, SettleOutcome::LeaseLost);
    assert_eq!(contents(&world).await, before);

    let holder = outcome(&again[0]);
    assert_eq!(settle(&world, &holder).await, SettleOutcome::Granted);
    let expected = [("audit_event", 1), ("message", 1), ("message_budget", 1), ("reset_request", -1)];
    let after = contents(&world).await;
    assert_eq!(gained(&before, &after), expected.into());
    assert_eq!(settle(&world, &holder).await, SettleOutcome::LeaseLost);
    assert_eq!(contents(&world).await, after);
}

/// Who looks at the database from outside, at its size or its log of statements, learns nothing.
async fn a_request_that_found_somebody_writes_what_one_that_found_nobody_writes(world: World) {
    const STATEMENTS: [&str; 6] =
        ["begin", "drop_reset_request", "take_message_budget", "add_message", "add_audit_event", "commit"];
    let account = import_reachable(&world, "10042").await;
    let mut written = Vec::new();
    for (guardian, subject) in [(Some(&account.guardian), "account"), (None, "request")] {
        let leased = leased_request(&world).await;
        let (before, runs) = (contents(&world).await, STATEMENTS.map(|name| world.metrics.runs_of(name)));
        let outcome = settle(&world, &settled(&leased, guardian, budget(subject, 1, 20, at(101)))).await;
        assert_eq!(outcome, SettleOutcome::Granted);
        let runs = STATEMENTS.map(|name| world.metrics.runs_of(name)).into_iter().zip(runs);
        assert!(runs.into_iter().all(|(after, before)| after == before + 1));
        written.push(gained(&before, &contents(&world).await));
    }
    assert_eq!(written[0], written[1]);

    // And one that is folded: the budget has its row already.
    let leased = leased_request(&world).await;
    let before = contents(&world).await;
    let outcome =
        settle(&world, &settled(&leased, Some(&account.guardian), budget("account", 1, 20, at(101)))).await;
    assert_eq!(outcome, SettleOutcome::Folded);
    let expected = [("audit_event", 1), ("message", 1), ("reset_request", -1)];
    assert_eq!(gained(&before, &contents(&world).await), expected.into());
    let state = "SELECT count(*) FROM message WHERE state = ";
    assert_eq!(world.number(&format!("{state}'queued'")).await, 1);
    let void = "'void' AND template = 'none' AND settled_ms = created_ms";
    assert_eq!(world.number(&format!("{state}{void}")).await, 2);
}

async fn a_second_message_with_one_key_is_not_put_in(world: World) {
    let account = import_reachable(&world, "10042").await;
    let (one, other) = (leased_request(&world).await, leased_request(&world).await);
    for leased in [one, other] {
        let mut outcome = settled(&leased, Some(&account.guardian), budget("a", 3, 20, at(101)));
        outcome.granted.message.idempotency_key = "same".to_owned();
        assert_eq!(settle(&world, &outcome).await, SettleOutcome::Granted);
    }
    assert_eq!(world.number("SELECT count(*) FROM message").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM audit_event").await, 2);
}

async fn a_message_to_nobody_is_not_queued(world: World) {
    let leased = leased_request(&world).await;
    let mut outcome = settled(&leased, None, budget("a", 3, 20, at(101)));
    outcome.granted.message = message(None, Some(guardian_auth::domain::message::Template::ResetLink));
    assert_eq!(settle(&world, &outcome).await, SettleOutcome::Granted);
    assert_eq!(world.number("SELECT count(*) FROM message WHERE state = 'void'").await, 1);
}

on_every_database! {
    a_request_is_read_back_as_it_was_kept,
    a_leased_request_is_nobody_elses_until_the_lease_ends,
    those_due_longest_are_taken_first,
    of_replicas_that_take_at_once_no_two_get_one_request,
    a_request_is_settled_once_and_only_by_who_holds_it,
    a_request_that_found_somebody_writes_what_one_that_found_nobody_writes,
    a_second_message_with_one_key_is_not_put_in,
    a_message_to_nobody_is_not_queued,
}
