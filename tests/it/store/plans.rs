//! PostgreSQL keeps the plans that it made while the tables were empty; they must do for full ones.

use super::world::{World, child, guardian, school};

/// The statements of an import, with what a login asks, while the tables grow and nobody has counted them.
#[tokio::test]
async fn no_statement_reads_more_rows_than_it_asks_for() {
    const BATCHES: i64 = 8;
    const GUARDIANS_PER_BATCH: i64 = 250;
    let world = World::on_postgres().await;
    world.import(vec![school("s"), child("c", "s")]).await;
    for batch in 0..BATCHES {
        let numbers = (0..GUARDIANS_PER_BATCH).map(|number| format!("{batch}{number:04}"));
        world.import(numbers.map(|number| guardian(&number).into()).collect()).await;
        let account = world.account(&format!("{batch}0000")).await;
        world.log_in(&account).await;
        world.end_all(&account).await;
    }
    // A connection tells what it read when it ends.
    world.store.close().await;
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint";
    let rows_read = world.number(read).await;
    // Some 5 a guardian; with a scan of the organization for each chunk of keys 33, and more the larger it is.
    let limit = 10 * BATCHES * GUARDIANS_PER_BATCH;
    assert!(rows_read < limit, "{rows_read} rows were read for {} guardians", BATCHES * GUARDIANS_PER_BATCH);
    assert!(rows_read > BATCHES * GUARDIANS_PER_BATCH, "the count is not there: {rows_read}");
}
