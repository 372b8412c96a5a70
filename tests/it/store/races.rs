//! Many at once: exactly one wins where one may, and nothing is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::session::RefreshDigest;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::{
    ChangePasswordStore, DirectoryStore, LoginPasswordStore, OpenOutcome, Rotation, RotationOutcome,
    SealedSigningKey, SessionStore, SetPassword, SetPasswordOutcome, SigningKeyStore,
};

use super::change_password::{change, ticket};
use super::world::{
    World, at, child, guardian, new_session, organization, random, removal_event, school, session_of,
};
use super::{on_every_database, world};

/// Runs them all at once, on tasks of their own.
pub(super) async fn at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    join_all(tasks).await.into_iter().map(|done| done.expect("no panic")).collect()
}

async fn of_a_hundred_rotations_of_one_token_one_rotates(world: World) {
    let session = world.log_in(&world.guardian("10042").await).await;
    let outcomes = at_once((0..100).map(|_| {
        let store = Arc::clone(&world.store);
        let rotation = Rotation {
            session: session.id.clone(),
            presented: session.current,
            successor: RefreshDigest(random()),
            salt: random(),
            at: at(110),
            idle_expires: at(170),
        };
        async move { (rotation.successor, store.rotate(&rotation).await.expect("an answer")) }
    }))
    .await;
    let winners: Vec<RefreshDigest> = outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, RotationOutcome::Rotated(_)))
        .map(|(successor, _)| *successor)
        .collect();
    assert_eq!(winners.len(), 1);
    for (_, outcome) in outcomes {
        let (RotationOutcome::Rotated(seen) | RotationOutcome::Standing(seen)) = outcome else {
            panic!("unknown")
        };
        assert_eq!((seen.current, seen.previous), (winners[0], Some(session.current)));
    }
}

async fn a_hundred_failures_are_counted_exactly_and_close_once(world: World) {
    let account = world.guardian("10042").await;
    let counts = at_once((0..120).map(|_| {
        let store = Arc::clone(&world.store);
        let failure = world::failure(&account.guardian, Lane::UnknownDevice);
        async move { store.record_login_failure(&failure).await.expect("an answer") }
    }))
    .await;
    let distinct: BTreeSet<i64> = counts.iter().map(|count| count.consecutive).collect();
    assert_eq!(distinct, (1..=120).collect());
    assert_eq!(counts.iter().filter(|count| count.closed_now).count(), 1);
}

async fn a_login_and_a_change_of_password_at_once_leave_no_session_of_the_old_password(world: World) {
    for round in 0..10 {
        let name = format!("1004{round}");
        let account = world.guardian(&name).await;
        let digest = [round; 32];
        ticket(&world, &account, digest).await;
        let logins = (0..8).map(|_| {
            let (store, session) = (Arc::clone(&world.store), session_of(&account));
            async move {
                let outcome = store.open_session(&new_session(&session)).await.expect("an answer");
                (outcome == OpenOutcome::Opened).then_some(session.id)
            }
        });
        let logins: Vec<_> = logins.map(tokio::spawn).collect();
        let changed = world
            .store
            .set_password(&change(&account, SetPassword::Ticket(digest)))
            .await
            .expect("an answer");
        let SetPasswordOutcome::Set(ended) = changed else { panic!("not set") };
        for opened in join_all(logins).await.into_iter().filter_map(|login| login.expect("no panic")) {
            // Opened before the change, so the change saw it.
            assert!(ended.sessions.contains(&opened), "a session outlived the password");
        }
        let live = world.store.list_sessions(&account.guardian, Portal::Parent, None, 50, at(101)).await;
        assert!(live.expect("a page").is_empty());
    }
}

async fn of_two_changes_of_password_at_once_one_is_made(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    let outcomes = at_once((0..10).map(|_| {
        let (store, new) =
            (Arc::clone(&world.store), change(&account, SetPassword::Session(session.id.clone())));
        async move { store.set_password(&new).await.expect("an answer") }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, SetPasswordOutcome::Set(_))).count(), 1);
}

async fn replicas_that_start_together_agree_on_one_signing_key(world: World) {
    let other = Arc::new(world.replica().await);
    let added = at_once((0..20_u8).map(|seed| {
        let store = if seed % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        let key = SealedSigningKey {
            kid: format!("key-{seed}"),
            public: [seed; 32],
            sealed_private: vec![seed; 80],
            key_id: "k1".to_owned(),
            created: at(1),
            signs_from: at(1),
            published_until: None,
        };
        async move { store.add_signing_key(&key, at(9), true).await.expect("an answer") }
    }))
    .await;
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    assert_eq!(world.store.signing_keys(at(2)).await.expect("keys").len(), 1);
    other.close().await;
}

async fn two_imports_of_one_file_at_once_make_each_row_once(world: World) {
    let sunnanvik = organization("sunnanvik");
    let mut rows = vec![school("s"), child("c", "s")];
    rows.extend((0..20).map(|number| guardian(&format!("100{number}")).into()));
    // Prepared before either is written: with ids of their own.
    let (one, other) = (world.prepare(&sunnanvik, rows.clone()).await, world.prepare(&sunnanvik, rows).await);
    let outcomes = at_once([one, other].map(|rows| {
        let (store, organization) = (Arc::clone(&world.store), sunnanvik.clone());
        async move { store.import_rows(&organization, &rows, at(50), &removal_event()).await }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let conflict = outcomes.into_iter().find_map(Result::err).expect("one lost");
    assert!(matches!(conflict, guardian_auth::ports::error::PortError::Conflict(_)), "{conflict}");
    assert_eq!(world.number("SELECT count(*) FROM guardian").await, 20);
}

async fn an_import_and_logins_at_once_do_not_lock_each_other_out(world: World) {
    let mut rows = vec![school("s"), child("c", "s")];
    rows.extend((0..20).map(|number| guardian(&format!("100{number}")).into()));
    world.import(rows.clone()).await;
    let sunnanvik = organization("sunnanvik");
    let mut accounts = Vec::new();
    for number in 0..20 {
        accounts.push(world.account(&format!("100{number}")).await);
    }
    // Every row loses its confirmation while its guardian logs in, fails and logs in again.
    for row in &mut rows {
        if let world::Delivered::Guardian(record, _) = row {
            record.relations = vec![world::child_relation("c", false)];
        }
    }
    let rows = world.prepare(&sunnanvik, rows).await;
    let logins: Vec<_> = accounts
        .iter()
        .cloned()
        .map(|account| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move {
                for _ in 0..3 {
                    store.open_session(&new_session(&session_of(&account))).await.expect("an answer");
                    store
                        .record_login_failure(&world::failure(&account.guardian, Lane::UnknownDevice))
                        .await
                        .expect("an answer");
                }
            })
        })
        .collect();
    world
        .store
        .import_rows(&sunnanvik, &rows, at(100), &removal_event())
        .await
        .expect("the import goes through");
    for login in join_all(logins).await {
        login.expect("no login failed");
    }
    for account in accounts {
        let live = world.store.list_sessions(&account.guardian, Portal::Parent, None, 50, at(101)).await;
        assert!(live.expect("a page").is_empty(), "a session without a confirmed relation");
    }
}

async fn a_sweep_beside_logins_loses_none(world: World) {
    let account = world.guardian("10042").await;
    let opened = at_once((0..20).map(|number| {
        let (store, session) = (Arc::clone(&world.store), session_of(&account));
        async move {
            if number % 5 == 0 {
                store
                    .sweep_sessions(Timestamp::from_millis(1), Timestamp::from_millis(1))
                    .await
                    .expect("an answer");
            }
            store.open_session(&new_session(&session)).await.expect("an answer")
        }
    }))
    .await;
    assert!(opened.iter().all(|outcome| *outcome == OpenOutcome::Opened));
    assert_eq!(world.number("SELECT count(*) FROM session").await, 20);
}

on_every_database! {
    of_a_hundred_rotations_of_one_token_one_rotates,
    a_hundred_failures_are_counted_exactly_and_close_once,
    a_login_and_a_change_of_password_at_once_leave_no_session_of_the_old_password,
    of_two_changes_of_password_at_once_one_is_made,
    replicas_that_start_together_agree_on_one_signing_key,
    two_imports_of_one_file_at_once_make_each_row_once,
    an_import_and_logins_at_once_do_not_lock_each_other_out,
    a_sweep_beside_logins_loses_none,
}
