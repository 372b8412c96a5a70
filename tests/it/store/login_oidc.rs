//! Attempts at `OpenID` providers: taken once, in the browser that began them.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::oidc::ProviderId;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{LoginOidcStore, OidcAttempt, TakenAttempt};

use super::contents::contents;
use super::eid_facts::sealed;
use super::on_every_database;
use super::races::at_once;
use super::world::{World, at, organization};

/// An attempt of minute 100 with the state `[seed; 32]` in the browser `[seed + 100; 32]`.
pub(super) fn attempt(seed: u8) -> OidcAttempt {
    OidcAttempt {
        state_digest: [seed; 32],
        binding_digest: [seed + 100; 32],
        organization: organization("sunnanvik"),
        portal: Portal::Childminder,
        provider: ProviderId::parse("freja-eid").expect("a provider"),
        sealed: sealed(),
        begun: at(100),
        expires: at(110),
    }
}

async fn begun(world: &World, seed: u8) -> OidcAttempt {
    let attempt = attempt(seed);
    world.store.add_oidc_attempt(&attempt).await.expect("it is kept");
    attempt
}

async fn take(world: &World, states: &[u8], bindings: &[u8]) -> TakenAttempt {
    let digests = |seeds: &[u8]| seeds.iter().map(|seed| [*seed; 32]).collect::<Vec<_>>();
    world.store.take_oidc_attempt(&digests(states), &digests(bindings)).await.expect("an answer")
}

async fn an_attempt_is_taken_as_it_was_begun_and_once(world: World) {
    let (one, other) = (begun(&world, 1).await, begun(&world, 2).await);
    assert_eq!(take(&world, &[1], &[101]).await, TakenAttempt::Taken(Box::new(one)));
    assert_eq!(take(&world, &[1], &[101]).await, TakenAttempt::Unknown);
    assert_eq!(take(&world, &[2], &[102]).await, TakenAttempt::Taken(Box::new(other)));
    assert_eq!(take(&world, &[3], &[103]).await, TakenAttempt::Unknown);
    assert_eq!(take(&world, &[], &[]).await, TakenAttempt::Unknown);
}

async fn an_attempt_is_found_under_any_of_the_keys(world: World) {
    let attempt = begun(&world, 1).await;
    assert_eq!(take(&world, &[9, 1], &[8, 101]).await, TakenAttempt::Taken(Box::new(attempt)));
    begun(&world, 1).await;
    assert_eq!(take(&world, &[9, 1], &[8]).await, TakenAttempt::OtherBrowser);
}

async fn another_browser_takes_nothing_and_spoils_nothing(world: World) {
    let owners = begun(&world, 1).await;
    begun(&world, 2).await;
    let before = contents(&world).await;
    // Another attempt's browser; nobody's; none at all.
    for binding in [&[102][..], &[9], &[]] {
        assert_eq!(take(&world, &[1], binding).await, TakenAttempt::OtherBrowser);
    }
    assert_eq!(contents(&world).await, before);
    assert_eq!(take(&world, &[1], &[101]).await, TakenAttempt::Taken(Box::new(owners)));
}

async fn an_attempt_that_is_too_old_is_told_from_one_that_never_was(world: World) {
    let old = OidcAttempt { expires: at(0), ..attempt(1) };
    world.store.add_oidc_attempt(&old).await.expect("it is kept");
    assert_eq!(take(&world, &[1], &[101]).await, TakenAttempt::Taken(Box::new(old)));
}

async fn a_state_is_of_one_attempt(world: World) {
    begun(&world, 1).await;
    let again = world.store.add_oidc_attempt(&OidcAttempt { binding_digest: [9; 32], ..attempt(1) }).await;
    assert!(matches!(again, Err(PortError::Conflict(_))), "{again:?}");
    assert_eq!(take(&world, &[1], &[9]).await, TakenAttempt::OtherBrowser);
}

async fn of_sixteen_who_take_one_attempt_over_two_replicas_one_gets_it(world: World) {
    let other = Arc::new(world.replica().await);
    for seed in 1..=10 {
        let attempt = begun(&world, seed).await;
        let taken =
            at_once((0..16).map(|number| {
                let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
                async move {
                    store.take_oidc_attempt(&[[seed; 32]], &[[seed + 100; 32]]).await.expect("an answer")
                }
            }))
            .await;
        let of = |outcome| taken.iter().filter(|other| **other == outcome).count();
        assert_eq!((of(TakenAttempt::Taken(Box::new(attempt))), of(TakenAttempt::Unknown)), (1, 15));
    }
    other.close().await;
}

async fn old_attempts_are_swept(world: World) {
    for (seed, minute) in [(1, 110), (2, 110), (3, 111)] {
        let attempt = OidcAttempt { expires: at(minute), ..attempt(seed) };
        world.store.add_oidc_attempt(&attempt).await.expect("it is kept");
    }
    let sweep = async |before| world.store.sweep_oidc_attempts(before).await.expect("an answer");
    assert_eq!(sweep(at(110)).await, 0);
    assert_eq!(sweep(at(110).plus(Duration::from_millis(1))).await, 2);
    assert!(matches!(take(&world, &[3], &[103]).await, TakenAttempt::Taken(_)));
}

on_every_database! {
    an_attempt_is_taken_as_it_was_begun_and_once,
    an_attempt_is_found_under_any_of_the_keys,
    another_browser_takes_nothing_and_spoils_nothing,
    an_attempt_that_is_too_old_is_told_from_one_that_never_was,
    a_state_is_of_one_attempt,
    of_sixteen_who_take_one_attempt_over_two_replicas_one_gets_it,
    old_attempts_are_swept,
}
