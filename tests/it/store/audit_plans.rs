//! The statements of the audit chain on PostgreSQL, while the log grows under their plans.

use std::time::Duration;

use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::domain::audit::{Cause, Event, Fact};
use guardian_auth::domain::audit_chain::ChainEnd;
use guardian_auth::domain::id::AuditEventId;
use guardian_auth::domain::secret::Secret;
use guardian_auth::flows::audit_head;
use guardian_auth::ports::store::{
    AuditChainStore, AuditStore, ChainGrowth, NewLink, ResealStore, SealedKind, WorkLease,
};

use super::plans::close;
use super::world::{World, at, event, organization, random};

/// Events a batch.
const EVENTS: i64 = 250;

fn events(batch: i64) -> Vec<Event> {
    let made = |number: i64| {
        let time = at(100).plus(Duration::from_millis((batch * EVENTS + number).unsigned_abs()));
        let id = AuditEventId::new(time, random());
        Event { id, at: time, ..event(Fact::LoginDenied(Cause::RateLimited), None) }
    };
    (0..EVENTS).map(made).collect()
}

#[tokio::test]
async fn the_chain_is_gone_along_and_never_looked_for() {
    const BATCHES: i64 = 20;
    let world = World::on_postgres().await;
    let (store, sunnanvik) = (&world.store, organization("sunnanvik"));
    let master = MasterKey { id: "k1".to_owned(), key: Secret::new([1; 32]) };
    let vault = DerivedKeyVault::new(&[master]).expect("a vault");
    let (mut end, mut after) = (ChainEnd::NONE, String::new());
    for batch in 0..BATCHES {
        store.record_events(&events(batch)).await.expect("they are written");
        let lease = WorkLease { name: "audit-sealer", holder: "one".to_owned(), until: at(200) };
        assert!(store.take_work(&lease, at(100)).await.expect("an answer"));
        let page = store.unchained_events(&after, 1000).await.expect("a page");
        assert_eq!(i64::try_from(page.events.len()), Ok(EVENTS));
        let before = end;
        let links = page.events.iter().map(|event| {
            end = end.after(&event.bytes);
            NewLink { end, event_id: event.id.clone() }
        });
        let links: Vec<_> = links.collect();
        after.clone_from(&links.last().expect("some").event_id);
        let head = audit_head::sign(&vault, &sunnanvik, end, at(100));
        assert!(store.grow_chains(&[ChainGrowth { before, links, head }]).await.expect("an answer"));
        store.audit_heads().await.expect("heads");
        assert_eq!(store.next_audited("").await.expect("an answer"), Some(sunnanvik.clone()));
        assert_eq!(store.next_audited("sunnanvik").await.expect("an answer"), None);
        assert_eq!(store.chain_extent(&sunnanvik).await.expect("an answer").last, end.position);
        let links = store.chain_links(&sunnanvik, before.position, end.position, 1000).await.expect("links");
        assert_eq!(i64::try_from(links.len()), Ok(EVENTS));
        assert_eq!(store.position_at(&sunnanvik, at(500)).await.expect("an answer"), end.position);
        for kind in SealedKind::ALL {
            store.sealed_otherwise(kind, "k1", "", 100).await.expect("a page");
        }
        store.passing("k1", at(100)).await.expect("an answer");
    }
    close(&world).await;
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint";
    let rows_read = world.number(read).await;
    let all = BATCHES * EVENTS;
    // Some 4 an event; with a scan of the log for each batch, twenty and more.
    assert!(rows_read < 8 * all, "{rows_read} rows were read for {all} events");
    assert!(rows_read > all, "the count is not there: {rows_read}");
}
