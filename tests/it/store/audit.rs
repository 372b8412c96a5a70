//! Events that belong to no other fact.

use guardian_auth::domain::audit::{Cause, Fact};
use guardian_auth::ports::store::AuditStore;

use super::on_every_database;
use super::world::{World, event, removal_event};

async fn events_are_written_as_they_are(world: World) {
    let mut denied = event(Fact::LoginDenied(Cause::RateLimited), None);
    denied.known_device = true;
    let plain = removal_event();
    let code = denied.reference.as_ref().expect("a code").as_str().to_owned();
    world.store.record_events(&[denied, plain]).await.expect("they are written");
    let found = format!(
        "SELECT count(*) FROM audit_event WHERE organization = 'sunnanvik' AND reference_code = '{code}' \
         AND kind = 'login_denied' AND cause = 'rate_limited' AND portal = 'parent' AND address = '192.0.2.7' \
         AND caller = 'test-portal' AND user_agent = 'Suite/1' AND known_device = 1 AND guardian_id IS NULL \
         AND consecutive_failures IS NULL AND password_closed = 0"
    );
    assert_eq!(world.number(&found).await, 1);
    let plain =
        "SELECT count(*) FROM audit_event WHERE portal IS NULL AND cause IS NULL AND reference_code IS NULL";
    assert_eq!(world.number(plain).await, 1);
}

async fn many_events_are_written_at_once(world: World) {
    let events: Vec<_> = (0..300).map(|_| event(Fact::LoginDenied(Cause::RateLimited), None)).collect();
    world.store.record_events(&events).await.expect("they are written");
    assert_eq!(world.number("SELECT count(*) FROM audit_event").await, 300);
    world.store.record_events(&[]).await.expect("nothing is written");
}

async fn of_events_that_cannot_all_be_written_none_is(world: World) {
    let events = vec![event(Fact::LoggedIn, None); 2];
    world.store.record_events(&events).await.expect_err("one id twice");
    assert_eq!(world.number("SELECT count(*) FROM audit_event").await, 0);
}

on_every_database! {
    events_are_written_as_they_are,
    many_events_are_written_at_once,
    of_events_that_cannot_all_be_written_none_is,
}
