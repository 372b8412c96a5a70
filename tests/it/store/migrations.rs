//! Migrations: the same in both databases, applied once, never changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use guardian_auth::ports::error::PortError;

use super::on_every_database;
use super::world::World;

fn files(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|file| file.expect("an entry").file_name().into_string().expect("text"))
        .map(|name| name.strip_suffix(".sql").expect("only SQL").to_owned())
        .collect()
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_eq!(files("sqlite"), files("postgres"));
}

async fn every_file_is_applied_once_and_in_order(world: World) {
    let empty = world.empty().await;
    let files: Vec<String> = files(world.folder()).into_iter().collect();
    assert_eq!(empty.store.pending_migrations().await.expect("an answer"), files);
    assert_eq!(empty.store.migrate().await.expect("they apply"), files);
    assert!(empty.store.pending_migrations().await.expect("an answer").is_empty());
    assert!(empty.store.migrate().await.expect("an answer").is_empty());
    let applied = empty.number("SELECT count(*) FROM schema_migration").await;
    assert_eq!(usize::try_from(applied), Ok(files.len()));
}

async fn replicas_that_migrate_at_once_apply_each_once(world: World) {
    let empty = world.empty().await;
    let other = Arc::new(empty.replica().await);
    let replicas = [&empty.store, &other, &empty.store, &other];
    let applied = join_all(replicas.map(|store| store.migrate())).await;
    // One replica may apply the first file and another one the second.
    let mut applied: Vec<&str> =
        applied.into_iter().flat_map(|applied| applied.expect("an answer")).collect();
    applied.sort_unstable();
    assert_eq!(applied, files(world.folder()).iter().collect::<Vec<_>>());
    other.close().await;
}

async fn a_migration_of_the_next_release_is_no_fault(world: World) {
    world.change("INSERT INTO schema_migration (number, name, checksum) SELECT 9999, '9999_next', checksum FROM schema_migration WHERE number = 1").await;
    assert!(world.store.pending_migrations().await.expect("an answer").is_empty());
    assert!(world.store.migrate().await.expect("an answer").is_empty());
}

async fn a_migration_that_was_changed_afterwards_is_found(world: World) {
    let checksum = match world.folder() {
        "sqlite" => "zeroblob(32)",
        _ => "decode(repeat('00', 32), 'hex')",
    };
    world.change(&format!("UPDATE schema_migration SET checksum = {checksum}")).await;
    for result in [world.store.pending_migrations().await, world.store.migrate().await] {
        assert!(matches!(result, Err(PortError::Corrupt(_))), "{result:?}");
    }
}

on_every_database! {
    every_file_is_applied_once_and_in_order,
    replicas_that_migrate_at_once_apply_each_once,
    a_migration_of_the_next_release_is_no_fault,
    a_migration_that_was_changed_afterwards_is_found,
}
