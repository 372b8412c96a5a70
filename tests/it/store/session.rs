//! Rotation, end, list and feed of sessions.

use std::time::Duration;

use guardian_auth::domain::audit::{Fact, SessionEnd};
use guardian_auth::domain::id::{GuardianId, SessionId};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::session::{RefreshDigest, Session};
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::{
    EndSessions, LoginPasswordStore, OpenOutcome, Rotation, RotationOutcome, SessionStore,
};

use super::on_every_database;
use super::world::{World, at, event, new_session, random, session_of};

fn rotation(session: &Session, presented: RefreshDigest, now: Timestamp) -> Rotation {
    Rotation {
        session: session.id.clone(),
        presented,
        successor: RefreshDigest(random()),
        salt: random(),
        at: now,
        idle_expires: now.plus(Duration::from_hours(1)),
    }
}

fn end_of(session: &Session) -> EndSessions {
    EndSessions {
        guardian: session.guardian.clone(),
        only: Some(session.id.clone()),
        reason: SessionEnd::LoggedOut,
        at: at(120),
        event: event(Fact::SessionEnded(SessionEnd::LoggedOut), Some(&session.guardian)),
    }
}

async fn the_current_token_rotates_and_becomes_the_previous_one(world: World) {
    let session = world.log_in(&world.guardian("10042").await).await;
    let rotation = rotation(&session, session.current, at(110));
    let expected = Session {
        current: rotation.successor,
        previous: Some(session.current),
        rotation_salt: rotation.salt,
        rotated: at(110),
        refreshed: at(110),
        idle_expires: rotation.idle_expires,
        ..session.clone()
    };
    let outcome = world.store.rotate(&rotation).await.expect("an answer");
    assert_eq!(outcome, RotationOutcome::Rotated(expected.clone()));
    assert_eq!(world.store.session(&session.id).await.expect("an answer"), Some(expected.clone()));
    // Once more with the token that was replaced.
    let again = world.store.rotate(&rotation).await.expect("an answer");
    assert_eq!(again, RotationOutcome::Standing(expected));
}

async fn an_unknown_session_does_not_rotate(world: World) {
    let mut session = session_of(&world.guardian("10042").await);
    session.id = SessionId::new(at(1), random());
    let outcome = world.store.rotate(&rotation(&session, session.current, at(110))).await.expect("an answer");
    assert_eq!(outcome, RotationOutcome::Unknown);
}

async fn stands(world: &World, session: &Session, now: Timestamp) -> Session {
    match world.store.rotate(&rotation(session, session.current, now)).await.expect("an answer") {
        RotationOutcome::Standing(standing) => {
            assert_eq!(standing.current, session.current);
            standing
        }
        other @ (RotationOutcome::Rotated(_) | RotationOutcome::Unknown) => panic!("{other:?}"),
    }
}

async fn a_session_that_is_over_does_not_rotate(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    stands(&world, &session, session.idle_expires).await;

    let mut short = session_of(&account);
    short.absolute_expires = at(105);
    assert_eq!(world.store.open_session(&new_session(&short)).await.expect("an answer"), OpenOutcome::Opened);
    stands(&world, &short, at(105)).await;

    world.store.end_sessions(&end_of(&session)).await.expect("an answer");
    let standing = stands(&world, &session, at(121)).await;
    assert_eq!(standing.ended, Some((at(120), SessionEnd::LoggedOut)));
}

async fn a_session_of_an_earlier_epoch_does_not_rotate(world: World) {
    let session = world.log_in(&world.guardian("10042").await).await;
    world.change("UPDATE guardian SET credential_epoch = credential_epoch + 1").await;
    let standing = stands(&world, &session, at(110)).await;
    assert_eq!(standing.account_epoch, session.credential_epoch + 1);
}

async fn ending_one_session_ends_it_once_and_no_other(world: World) {
    let account = world.guardian("10042").await;
    let (one, other) = (world.log_in(&account).await, world.log_in(&account).await);
    let ended = world.store.end_sessions(&end_of(&one)).await.expect("an answer");
    assert_eq!(ended.sessions, std::slice::from_ref(&one.id));
    let again = world.store.end_sessions(&end_of(&one)).await.expect("an answer");
    assert!(again.sessions.is_empty());
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'session_ended'").await, 1);
    let found = world.store.session(&other.id).await.expect("an answer").expect("the other session");
    assert_eq!(found.ended, None);
    let feed = world.store.revocations_after(0, 10).await.expect("the feed");
    assert_eq!(feed.len(), 1);
    assert_eq!((&feed[0].session, feed[0].at), (&one.id, at(120)));
}

async fn nobody_ends_anothers_session(world: World) {
    let session = world.log_in(&world.guardian("10042").await).await;
    let end = EndSessions { guardian: GuardianId::new(at(1), random()), ..end_of(&session) };
    assert!(world.store.end_sessions(&end).await.expect("an answer").sessions.is_empty());
    assert_eq!(world.store.session(&session.id).await.expect("an answer").expect("a session").ended, None);
}

async fn ending_all_sessions_puts_each_into_the_feed(world: World) {
    let account = world.guardian("10042").await;
    let stranger = world.log_in(&world.guardian("10043").await).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(world.log_in(&account).await.id);
    }
    let mut ended = world.end_all(&account).await;
    ended.sort();
    sessions.sort();
    assert_eq!(ended, sessions);
    assert!(world.end_all(&account).await.is_empty());

    let feed = world.store.revocations_after(0, 2).await.expect("the feed");
    assert_eq!(feed.len(), 2);
    let rest = world.store.revocations_after(feed[1].position, 10).await.expect("the feed");
    let mut heard: Vec<SessionId> =
        feed.iter().chain(&rest).map(|revocation| revocation.session.clone()).collect();
    assert!(feed[0].position < feed[1].position && feed[1].position < rest[0].position);
    heard.sort();
    assert_eq!(heard, sessions);
    assert_eq!(world.store.session(&stranger.id).await.expect("an answer").expect("a session").ended, None);
}

async fn the_list_has_live_sessions_newest_first_in_pages(world: World) {
    let account = world.guardian("10042").await;
    world.log_in(&world.guardian("10043").await).await;
    let mut ids = Vec::new();
    for minute in 101..=105 {
        let mut session = session_of(&account);
        session.id = SessionId::new(at(minute), random());
        assert_eq!(
            world.store.open_session(&new_session(&session)).await.expect("an answer"),
            OpenOutcome::Opened
        );
        ids.push(session.id);
    }
    // Ended, idle for too long, of an earlier epoch: not listed.
    let ended = world.log_in(&account).await;
    world.store.end_sessions(&end_of(&ended)).await.expect("an answer");
    let mut idle = session_of(&account);
    idle.idle_expires = at(110);
    world.store.open_session(&new_session(&idle)).await.expect("an answer");
    let old = world.log_in(&account).await;
    world.change(&format!("UPDATE session SET credential_epoch = 0 WHERE id = '{}'", old.id)).await;

    ids.reverse();
    let list = async |before: Option<&SessionId>| -> Vec<SessionId> {
        let page = world.store.list_sessions(&account.guardian, Portal::Parent, before, 3, at(110)).await;
        page.expect("a page").into_iter().map(|session| session.id).collect()
    };
    let first = list(None).await;
    assert_eq!(first, ids[..3]);
    assert_eq!(list(first.last()).await, ids[3..]);
    let elsewhere = world.store.list_sessions(&account.guardian, Portal::Childminder, None, 3, at(110)).await;
    assert!(elsewhere.expect("a page").is_empty());
}

async fn sweeping_deletes_what_is_long_over_and_nothing_else(world: World) {
    let account = world.guardian("10042").await;
    let (ended, live) = (world.log_in(&account).await, world.log_in(&account).await);
    world.store.end_sessions(&end_of(&ended)).await.expect("an answer");
    world.change("UPDATE session SET absolute_expires_ms = 1 WHERE ended_ms IS NOT NULL").await;

    assert_eq!(world.store.sweep_sessions(at(120), Timestamp::from_millis(1)).await.expect("an answer"), 0);
    assert_eq!(world.store.sweep_sessions(at(121), Timestamp::from_millis(2)).await.expect("an answer"), 2);
    assert!(world.store.revocations_after(0, 10).await.expect("the feed").is_empty());
    assert_eq!(world.store.session(&ended.id).await.expect("an answer"), None);
    assert_eq!(world.store.session(&live.id).await.expect("an answer"), Some(live));
}

async fn positions_of_the_feed_are_not_used_again(world: World) {
    let account = world.guardian("10042").await;
    world.store.end_sessions(&end_of(&world.log_in(&account).await)).await.expect("an answer");
    let before = world.store.revocations_after(0, 10).await.expect("the feed")[0].position;
    world.store.sweep_sessions(at(500), at(0)).await.expect("an answer");
    world.store.end_sessions(&end_of(&world.log_in(&account).await)).await.expect("an answer");
    assert!(world.store.revocations_after(0, 10).await.expect("the feed")[0].position > before);
}

on_every_database! {
    the_current_token_rotates_and_becomes_the_previous_one,
    an_unknown_session_does_not_rotate,
    a_session_that_is_over_does_not_rotate,
    a_session_of_an_earlier_epoch_does_not_rotate,
    ending_one_session_ends_it_once_and_no_other,
    nobody_ends_anothers_session,
    ending_all_sessions_puts_each_into_the_feed,
    the_list_has_live_sessions_newest_first_in_pages,
    sweeping_deletes_what_is_long_over_and_nothing_else,
    positions_of_the_feed_are_not_used_again,
}
