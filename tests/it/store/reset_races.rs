//! Reset links beside logins, changes of password and each other.

use std::sync::Arc;

use futures_util::future::join_all;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    ChangePasswordStore, LoginPasswordStore, OpenOutcome, PasswordResetStore, ResetOutcome, SessionStore,
    SetPassword, SetPasswordOutcome,
};

use super::change_password::{change, ticket};
use super::on_every_database;
use super::races::at_once;
use super::reset_facts::{add_token, confirmed, import_reachable, is_ended, token};
use super::world::{World, at, hash, new_session, random, session_of};

async fn of_two_hundred_uses_of_one_link_over_two_replicas_one_sets_the_password(world: World) {
    let account = import_reachable(&world, "10042").await;
    let other = Arc::new(world.replica().await);
    add_token(&world, &account, [7; 32]).await;
    let outcomes = at_once((0..200).map(|number| {
        let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        let confirmed = confirmed(&account, [7; 32]);
        async move { store.confirm_reset(&confirmed).await.expect("an answer") }
    }))
    .await;
    let is_reset = |outcome: &&ResetOutcome| matches!(outcome, ResetOutcome::Reset(_));
    assert_eq!(outcomes.iter().filter(is_reset).count(), 1);
    assert_eq!(world.account("10042").await.credential_epoch, account.credential_epoch + 1);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'password_reset'").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM message").await, 1);
    other.close().await;
}

async fn of_three_links_of_one_account_used_at_once_one_sets_the_password(world: World) {
    for round in 0..5 {
        let account = import_reachable(&world, &format!("1004{round}")).await;
        for seed in 1..=3 {
            add_token(&world, &account, [10 * round + seed; 32]).await;
        }
        let outcomes = at_once((1..=3).map(|seed| {
            let store = Arc::clone(&world.store);
            let confirmed = confirmed(&account, [10 * round + seed; 32]);
            async move { store.confirm_reset(&confirmed).await.expect("an answer") }
        }))
        .await;
        let is_reset = |outcome: &&ResetOutcome| matches!(outcome, ResetOutcome::Reset(_));
        assert_eq!(outcomes.iter().filter(is_reset).count(), 1);
    }
}

async fn a_reset_and_a_login_at_once_leave_no_session_of_the_old_password(world: World) {
    for round in 0..10 {
        let account = import_reachable(&world, &format!("1004{round}")).await;
        add_token(&world, &account, [round; 32]).await;
        let logins = (0..8).map(|_| {
            let (store, session) = (Arc::clone(&world.store), session_of(&account));
            async move {
                let outcome = store.open_session(&new_session(&session)).await.expect("an answer");
                (outcome == OpenOutcome::Opened).then_some(session.id)
            }
        });
        let logins: Vec<_> = logins.map(tokio::spawn).collect();
        let outcome = world.store.confirm_reset(&confirmed(&account, [round; 32])).await.expect("an answer");
        let ResetOutcome::Reset(ended) = outcome else { panic!("not set") };
        for opened in join_all(logins).await.into_iter().filter_map(|login| login.expect("no panic")) {
            // Opened before the reset, so the reset saw it.
            assert!(ended.sessions.contains(&opened), "a session outlived the password");
        }
        let live = world.store.list_sessions(&account.guardian, Portal::Parent, None, 50, at(101)).await;
        assert!(live.expect("a page").is_empty());
    }
}

async fn of_a_reset_and_a_change_of_password_at_once_one_is_made(world: World) {
    for round in 0..10 {
        let name = format!("1004{round}");
        let account = import_reachable(&world, &name).await;
        add_token(&world, &account, [round; 32]).await;
        ticket(&world, &account, [100 + round; 32]).await;
        let (reset, mut set) =
            (confirmed(&account, [round; 32]), change(&account, SetPassword::Ticket([100 + round; 32])));
        set.hash = hash(3);
        let stores = (Arc::clone(&world.store), Arc::clone(&world.store));
        let (reset, set) = tokio::join!(
            tokio::spawn(async move { stores.0.confirm_reset(&reset).await.expect("an answer") }),
            tokio::spawn(async move { stores.1.set_password(&set).await.expect("an answer") }),
        );
        let (reset, set) = (reset.expect("no panic"), set.expect("no panic"));
        let expected = match (reset, set) {
            (ResetOutcome::Reset(_), SetPasswordOutcome::ChangedMeanwhile) => hash(2),
            (ResetOutcome::ChangedMeanwhile, SetPasswordOutcome::Set(_)) => hash(3),
            both => panic!("both or none: {both:?}"),
        };
        assert_eq!(world.account(&name).await.password.expect("a password").hash, expected);
        // Whoever won, the other one's proof is dead.
        assert!(is_ended(&world, [round; 32]).await);
        assert!(world.store.ticket_holder(&[100 + round; 32], at(101)).await.expect("an answer").is_none());
    }
}

async fn links_and_sweeps_and_resets_at_once_do_not_lock_each_other_out(world: World) {
    let account = import_reachable(&world, "10042").await;
    add_token(&world, &account, [7; 32]).await;
    let done = at_once((0..40).map(|number| {
        let store = Arc::clone(&world.store);
        let (token, confirmed) = (token(&account, random()), confirmed(&account, [7; 32]));
        async move {
            match number % 4 {
                0 => store.sweep_resets(at(50), at(50)).await.map(|_| false),
                1 => store.confirm_reset(&confirmed).await.map(|it| matches!(it, ResetOutcome::Reset(_))),
                _ => store.add_reset_token(&token).await.map(|()| false),
            }
        }
    }))
    .await;
    let resets: Vec<bool> = done.into_iter().map(|done| done.expect("an answer")).collect();
    // Three newer links may have ended this one before it was used.
    assert!(resets.into_iter().filter(|reset| *reset).count() <= 1);
}

on_every_database! {
    of_two_hundred_uses_of_one_link_over_two_replicas_one_sets_the_password,
    of_three_links_of_one_account_used_at_once_one_sets_the_password,
    a_reset_and_a_login_at_once_leave_no_session_of_the_old_password,
    of_a_reset_and_a_change_of_password_at_once_one_is_made,
    links_and_sweeps_and_resets_at_once_do_not_lock_each_other_out,
}
