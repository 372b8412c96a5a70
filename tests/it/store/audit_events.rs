//! The audit log as staff read it: newest first, page by page, and nothing from out of scope.

use guardian_auth::domain::audit::{Cause, Event, Fact};
use guardian_auth::domain::id::{AuditEventId, GuardianId};
use guardian_auth::ports::store::{AuditEventsStore, AuditStore, EventFilter, StoredEvent};

use super::on_every_database;
use super::staff_facts::{Member, guardian_id, member};
use super::world::{Delivered, World, at, child, event, guardian, key, random, school};

const ALL: EventFilter = EventFilter { guardian: None, reference: None, staff: None, begin: None, end: None };

/// An event of a minute.
fn denial(minute: i64, guardian: Option<&GuardianId>) -> Event {
    Event {
        id: AuditEventId::new(at(minute), random()),
        at: at(minute),
        ..event(Fact::LoginDenied(Cause::WrongPassword), guardian)
    }
}

async fn list(world: &World, who: &Member, filter: &EventFilter) -> Vec<StoredEvent> {
    world.store.audit_events(&who.viewer(), filter, None, 100).await.expect("events")
}

fn ids(events: &[StoredEvent]) -> Vec<&AuditEventId> {
    events.iter().map(|event| &event.id).collect()
}

/// A guardian at each of two schools.
async fn two_guardians(world: &World) -> (GuardianId, GuardianId) {
    use guardian_auth::domain::directory::{GuardianRecord, SchoolRecord};
    let other = Delivered::School(SchoolRecord { key: key("t"), name: "Bergskolan".to_owned() });
    let there = GuardianRecord { relations: vec![super::world::child_relation("d", true)], ..guardian("2") };
    let rows = vec![school("s"), other, child("c", "s"), child("d", "t"), guardian("1").into(), there.into()];
    world.import(rows).await;
    (guardian_id(world, "g1").await, guardian_id(world, "g2").await)
}

async fn pages_go_on_where_the_last_one_ended(world: World) {
    let (one, _) = two_guardians(&world).await;
    let who = member(&world, &[]).await;
    // Several of one millisecond.
    let events: Vec<Event> = (0..30).map(|index| denial(60 + index / 5, Some(&one))).collect();
    world.store.record_events(&events).await.expect("they are written");
    for filter in
        [EventFilter { guardian: Some(one.clone()), ..ALL }, EventFilter { begin: Some(at(60)), ..ALL }]
    {
        let whole = list(&world, &who, &filter).await;
        assert_eq!(whole.len(), 30);
        assert!(whole.windows(2).all(|pair| (pair[0].at, &pair[0].id) > (pair[1].at, &pair[1].id)));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page =
                world.store.audit_events(&who.viewer(), &filter, after.as_ref(), 7).await.expect("a page");
            let Some(last) = page.last() else { break };
            after = Some((last.at, last.id.clone()));
            paged.extend(page);
        }
        assert_eq!(paged, whole);
    }
}

async fn each_filter_leaves_out_the_others(world: World) {
    let (one, two) = two_guardians(&world).await;
    let who = member(&world, &[]).await;
    let mut events: Vec<Event> =
        [(60, &one), (61, &two), (62, &one)].map(|(minute, guardian)| denial(minute, Some(guardian))).into();
    events[2].staff = Some(who.id.clone());
    world.store.record_events(&events).await.expect("they are written");
    let expect = async |filter: EventFilter, expected: &[usize]| {
        let found = list(&world, &who, &filter).await;
        let expected: Vec<_> = expected.iter().map(|index| &events[*index].id).collect();
        assert_eq!(ids(&found), expected, "{filter:?}");
    };
    let begin = Some(at(60));
    expect(EventFilter { begin, ..ALL }, &[2, 1, 0]).await;
    expect(EventFilter { begin: Some(at(61)), end: Some(at(62)), ..ALL }, &[1]).await;
    expect(EventFilter { guardian: Some(one.clone()), ..ALL }, &[2, 0]).await;
    expect(EventFilter { reference: events[1].reference.clone(), ..ALL }, &[1]).await;
    expect(EventFilter { staff: Some(who.id.clone()), ..ALL }, &[2]).await;
    expect(EventFilter { staff: Some(who.id.clone()), guardian: Some(two), ..ALL }, &[]).await;
    let both = EventFilter { reference: events[0].reference.clone(), guardian: Some(one), ..ALL };
    expect(both, &[0]).await;
}

async fn a_school_sees_what_concerns_its_guardians_or_nobody(world: World) {
    let (one, two) = two_guardians(&world).await;
    let who = member(&world, &["s"]).await;
    let events =
        [denial(60, Some(&one)), denial(61, Some(&two)), denial(62, None), denial(63, Some(&who.id))];
    world.store.record_events(&events).await.expect("they are written");
    for (index, is_seen) in [true, false, true, false].into_iter().enumerate() {
        let filter = EventFilter { reference: events[index].reference.clone(), ..ALL };
        assert_eq!(list(&world, &who, &filter).await.len(), usize::from(is_seen), "{index}");
    }
    let hers = EventFilter { guardian: Some(one), begin: Some(at(60)), ..ALL };
    assert_eq!(ids(&list(&world, &who, &hers).await), [&events[0].id]);
    assert!(list(&world, &who, &EventFilter { guardian: Some(two), ..ALL }).await.is_empty());
}

on_every_database! {
    pages_go_on_where_the_last_one_ended,
    each_filter_leaves_out_the_others,
    a_school_sees_what_concerns_its_guardians_or_nobody,
}
