//! PostgreSQL keeps the plans that it made while the tables were empty: those of merges must do for full ones too.

use std::time::Duration;

use guardian_auth::domain::audit::Fact;
use guardian_auth::ports::store::{DataSubjectStore, DuplicateStore, MergeOutcome, UndoOutcome};

use super::merge::{a_merge, act, hire, merged, seal_numbers, undone};
use super::world::{
    World, child, child_relation, event, guardian, national_id, numbered, organization, school,
};
use crate::support::eventually;

const BATCHES: i64 = 4;
const ROUNDS_PER_BATCH: i64 = 4;

/// Merges, duplicates, exports and erasures, one after another, while the tables grow under their plans.
#[tokio::test]
async fn a_merge_looks_rows_up_and_never_for_them() {
    let world = World::on_postgres().await;
    world.import(vec![school("s")]).await;
    for batch in 0..BATCHES {
        for round in 0..ROUNDS_PER_BATCH {
            one_round(&world, batch * ROUNDS_PER_BATCH + round).await;
        }
        grow(&world, batch).await;
    }
    world.store.close().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    eventually(Duration::from_secs(10), "every connection has ended", async || {
        world.number(others).await == 0
    })
    .await;
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint";
    let rows_read = world.number(read).await;
    let rounds = BATCHES * ROUNDS_PER_BATCH;
    // What the growing itself reads: a key of the organization's tables for each row, and each name once.
    let grown = 20 * BATCHES * 1000;
    assert!(rows_read < grown + 2000 * rounds, "{rows_read} rows were read in {rounds} rounds");
    assert!(rows_read > 100 * rounds, "the count is not there: {rows_read}");
}

async fn one_round(world: &World, round: i64) {
    let (store, sunnanvik) = (&world.store, organization("sunnanvik"));
    let own = format!("c{round}");
    let seed = u8::try_from(round).expect("few");
    let (one, other) = (format!("3{round:03}"), format!("4{round:03}"));
    let mut records = [guardian(&one), guardian(&other)];
    for record in &mut records {
        record.relations = vec![child_relation(&own, true)];
    }
    let [first, second] = records;
    let rows = vec![
        school("s"),
        child(&own, "s"),
        numbered(first, national_id(seed)),
        numbered(second, national_id(seed + 100)),
    ];
    world.import(rows).await;
    seal_numbers(world, [seed, seed + 100]).await;
    let (kept, absorbed) = (world.account(&one).await.guardian, world.account(&other).await.guardian);
    let staff = hire(world, &[]).await;
    let of_school = hire(world, &["s"]).await;
    for staff in [&staff, &of_school] {
        store.look_alikes_of(&sunnanvik, staff, &kept).await.expect("an answer").expect("it is there");
    }
    store.look_alikes(&sunnanvik, &staff, Some(&kept), 1).await.expect("an answer");
    store.child_look_alikes(&sunnanvik, &staff, None, 1).await.expect("an answer");
    let merge = a_merge(&kept, &absorbed);
    assert!(matches!(merged(world, &of_school, &merge).await, MergeOutcome::Merged { .. }));
    assert!(matches!(undone(world, &of_school, &merge.id, 300).await, UndoOutcome::Undone(_)));
    assert!(matches!(merged(world, &staff, &a_merge(&kept, &absorbed)).await, MergeOutcome::Merged { .. }));
    store.held_of_guardian(&act(&staff, 110, None), &kept).await.expect("an answer");
    let template = event(Fact::GuardianErased, Some(&kept));
    store.erase_guardian(&act(&staff, 110, None), &kept, &template).await.expect("an answer");
}

/// A thousand accounts more, with what accounts have: other people's, of other names.
async fn grow(world: &World, batch: i64) {
    let series = format!("generate_series({batch} * 1000 + 1, {batch} * 1000 + 1000) AS i");
    let id = "'0G' || lpad(i::text, 24, '0')";
    for insert in [
        format!(
            "guardian (id, organization, source_key, given_name, family_name, locale, state, credential_epoch, \
             email_canonical, mobile_canonical, created_ms, updated_ms, names_folded) \
             SELECT {id}, 'sunnanvik', 'grown' || i, 'n' || i, 'f' || i, 'sv', 'active', 1, i || '@example.se', '+' || i, \
             1, 1, 1"
        ),
        format!("name_part SELECT 'sunnanvik', 'guardian', 'n' || i, {id}"),
        format!("guardian_login SELECT 'sunnanvik', 'parent', 'N' || i, {id}, 'user_name', 0"),
        format!("contract (guardian_id, source) SELECT {id}, 'import'"),
        format!(
            "number_proposal SELECT {id}, 'sunnanvik', {id}, 'se.pnr', sha256(i::text::bytea), '', 'k1', i, NULL"
        ),
        format!(
            "merge SELECT {id}, 'sunnanvik', 'guardian', {id}, {id}, 's', 1, 9e15::bigint, NULL, '', 'k1'"
        ),
        format!(
            "message SELECT {id}, 'sunnanvik', 'parent', {id}, 'email', 'reset_link', NULL, NULL, {id}, 'sent', 0, NULL, \
             i, i, i, i"
        ),
    ] {
        world.change(&format!("INSERT INTO {insert} FROM {series}")).await;
    }
}
