//! Counting failures: exact, per lane, and the same work whether or not there is an account.

use std::collections::BTreeMap;

use guardian_auth::domain::audit::{Cause, Fact};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{FailureCount, LoginPasswordStore, NewSession, OpenOutcome};
use prometheus_client::encoding::text::encode;

use super::on_every_database;
use super::world::{World, at, event, failure, known_device, new_session, random, session_of};

async fn failures_are_counted_per_lane(world: World) {
    let account = world.guardian("10042").await;
    for consecutive in 1..=3 {
        let counted = world.fail(&account, Lane::UnknownDevice).await;
        assert_eq!(counted, FailureCount { consecutive, closed_now: false });
    }
    assert_eq!(world.fail(&account, known_device()).await.consecutive, 1);
    assert_eq!(world.fail(&account, known_device()).await.consecutive, 2, "all known devices are one lane");
}

async fn a_success_resets_its_own_lane_only(world: World) {
    let account = world.guardian("10042").await;
    for lane in [Lane::UnknownDevice, Lane::UnknownDevice, known_device()] {
        world.fail(&account, lane).await;
    }
    world.log_in(&account).await;
    assert_eq!(world.fail(&account, Lane::UnknownDevice).await.consecutive, 1);
    assert_eq!(world.fail(&account, known_device()).await.consecutive, 2);
}

async fn the_hundredth_failure_of_unknown_devices_closes_the_password_to_them(world: World) {
    let account = world.guardian("10042").await;
    for _ in 1..100 {
        assert!(!world.fail(&account, Lane::UnknownDevice).await.closed_now);
    }
    let open = world.account("10042").await.password.expect("a password");
    assert!(!open.closed_to_unknown_devices);
    let hundredth = world.fail(&account, Lane::UnknownDevice).await;
    assert_eq!(hundredth, FailureCount { consecutive: 100, closed_now: true });
    assert!(!world.fail(&account, Lane::UnknownDevice).await.closed_now, "it closes once");
    let closed = world.account("10042").await.password.expect("a password");
    assert!(closed.closed_to_unknown_devices && !closed.closed_to_known_devices);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE password_closed = 1").await, 1);
    assert_eq!(world.number("SELECT max(consecutive_failures) FROM audit_event").await, 101);
}

async fn the_hundredth_failure_of_known_devices_closes_it_to_all(world: World) {
    let account = world.guardian("10042").await;
    for _ in 0..100 {
        world.fail(&account, known_device()).await;
    }
    let closed = world.account("10042").await.password.expect("a password");
    assert!(closed.closed_to_known_devices);
    for lane in [Lane::UnknownDevice, known_device()] {
        let new = NewSession { lane, ..new_session(&session_of(&account)) };
        assert_eq!(world.store.open_session(&new).await.expect("an answer"), OpenOutcome::AccountChanged);
    }
}

async fn a_failure_of_nobody_counts_nothing(world: World) {
    world.guardian("10042").await;
    let nobody = GuardianId::new(at(1), random());
    let mut decoy = failure(&nobody, Lane::UnknownDevice);
    decoy.event = event(Fact::LoginDenied(Cause::UnknownLoginName), None);
    let counted = world.store.record_login_failure(&decoy).await.expect("an answer");
    assert_eq!(counted, FailureCount { consecutive: 0, closed_now: false });
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE cause = 'unknown_login_name'").await, 1);
    assert_eq!(world.number("SELECT max(failures_unknown) FROM credential").await, 0);
}

/// Runs of each statement since the beginning.
fn work(world: &World) -> BTreeMap<String, u64> {
    let mut text = String::new();
    encode(&mut text, &world.registry).expect("metrics");
    text.lines()
        .filter_map(|line| line.strip_prefix("guardian_auth_sql_statements_total{statement=\""))
        .filter_map(|line| line.split_once("\"} "))
        .map(|(statement, runs)| (statement.to_owned(), runs.parse().expect("a number")))
        .collect()
}

/// What ran between two looks.
fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    after
        .iter()
        .map(|(statement, runs)| (statement.clone(), runs - before.get(statement).unwrap_or(&0)))
        .filter(|(_, runs)| *runs > 0)
        .collect()
}

async fn a_failure_does_the_same_work_for_an_account_and_for_nobody(world: World) {
    let account = world.guardian("10042").await;
    let nobody = GuardianId::new(at(1), random());
    let mut vectors = Vec::new();
    let closing = 100;
    for attempt in 1..=closing {
        for guardian in [&account.guardian, &nobody] {
            for lane in [Lane::UnknownDevice, known_device()] {
                let before = work(&world);
                world.candidates(Portal::Parent, "10042").await;
                let counted =
                    world.store.record_login_failure(&failure(guardian, lane)).await.expect("an answer");
                assert_eq!(counted.closed_now, attempt == closing && *guardian == account.guardian);
                vectors.push(difference(&before, &work(&world)));
            }
        }
    }
    vectors.dedup();
    let expected = ["add_audit_event", "begin", "commit", "count_login_failure", "find_login_candidates"]
        .map(|name| (name.to_owned(), 1));
    assert_eq!(vectors, [BTreeMap::from(expected)]);
}

async fn work_is_seen_to_differ_where_it_does(world: World) {
    let account = world.guardian("10042").await;
    let before = work(&world);
    world.log_in(&account).await;
    let middle = work(&world);
    world.fail(&account, Lane::UnknownDevice).await;
    assert_ne!(difference(&before, &middle), difference(&middle, &work(&world)));
}

on_every_database! {
    failures_are_counted_per_lane,
    a_success_resets_its_own_lane_only,
    the_hundredth_failure_of_unknown_devices_closes_the_password_to_them,
    the_hundredth_failure_of_known_devices_closes_it_to_all,
    a_failure_of_nobody_counts_nothing,
    a_failure_does_the_same_work_for_an_account_and_for_nobody,
    work_is_seen_to_differ_where_it_does,
}
