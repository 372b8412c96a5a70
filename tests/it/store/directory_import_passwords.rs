//! Importing passwords: none without a confirmed relation, none over the owner's own (domain rule 1).

use guardian_auth::domain::audit::SessionEnd;
use guardian_auth::domain::directory::{Relation, RowOutcome};
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::password::HashParameters;
use guardian_auth::ports::store::{
    ChangePasswordStore, LoginPasswordStore, SessionStore, SetPassword, SetPasswordOutcome,
};

use super::change_password::{change, ticket};
use super::directory_import::codes;
use super::on_every_database;
use super::world::{
    World, at, child, child_relation, debtor_login, guardian, hash, hash_with, password, school,
};

async fn a_password_without_a_confirmed_relation_is_not_taken(world: World) {
    let mut record = guardian("10042");
    record.relations = vec![child_relation("c", false), Relation::Contract { confirmed: true }];
    let outcomes = world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    assert!(matches!(outcomes[2], RowOutcome::Created(_)));
    assert_eq!(codes(&outcomes[2]), ["no_confirmed_relation"]);
    assert!(world.account("10042").await.password.is_none());
}

async fn a_contract_confirms_the_childminder_portal_only(world: World) {
    let mut record = guardian("10042");
    record.logins.push(debtor_login(Portal::Childminder, "10042"));
    record.relations = vec![Relation::Contract { confirmed: true }];
    record.password = Some(password(Portal::Childminder, 2));
    assert_eq!(world.import(vec![record.into()]).await, [RowOutcome::Created(vec![])]);
    assert!(
        world.candidates(Portal::Childminder, "10042").await.here.expect("an account").password.is_some()
    );
    assert!(world.candidates(Portal::Parent, "10042").await.here.expect("an account").password.is_none());
}

async fn nobody_imports_a_password_of_staff(world: World) {
    let mut record = guardian("10042");
    record.password = Some(password(Portal::Staff, 2));
    let outcomes = world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    assert_eq!(codes(&outcomes[2]), ["no_confirmed_relation"]);
    assert_eq!(world.number("SELECT count(*) FROM credential").await, 0);
}

async fn a_row_that_lost_its_confirmation_loses_the_password_and_its_sessions(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    ticket(&world, &account, [7; 32]).await;
    let mut record = guardian("10042");
    record.relations = vec![child_relation("c", false)];
    let outcome = world.import(vec![record.clone().into()]).await;
    assert!(matches!(outcome[0], RowOutcome::Updated(_)));
    assert_eq!(codes(&outcome[0]), ["credential_removed", "no_confirmed_relation"]);

    let now = world.account("10042").await;
    assert!(now.password.is_none() && now.credential_epoch > account.credential_epoch);
    let ended = world.store.session(&session.id).await.expect("an answer").expect("a session");
    assert_eq!(ended.ended, Some((at(50), SessionEnd::AccountChanged)));
    let feed = world.store.revocations_after(0, 10).await.expect("the feed");
    assert_eq!(feed.iter().map(|revocation| &revocation.session).collect::<Vec<_>>(), [&session.id]);
    assert!(world.store.ticket_holder(&[7; 32], at(101)).await.expect("an answer").is_none());
    let event = format!(
        "SELECT count(*) FROM audit_event WHERE kind = 'credential_removed' AND guardian_id = '{}' AND portal = 'parent'",
        account.guardian
    );
    assert_eq!(world.number(&event).await, 1);

    // Once: the next import has nothing to remove.
    assert_eq!(codes(&world.import(vec![record.into()]).await[0]), ["no_confirmed_relation"]);
    assert_eq!(world.number(&event).await, 1);
}

async fn a_row_that_lost_its_relation_loses_the_password_too(world: World) {
    world.guardian("10042").await;
    let mut record = guardian("10042");
    record.relations = vec![];
    record.password = None;
    assert_eq!(codes(&world.import(vec![record.into()]).await[0]), ["credential_removed"]);
    assert!(world.account("10042").await.password.is_none());
    // Confirmed again, delivered again, taken again.
    assert_eq!(world.import(vec![guardian("10042").into()]).await, [RowOutcome::Updated(vec![])]);
    assert!(world.account("10042").await.password.is_some());
}

async fn many_rows_that_lose_their_confirmation_leave_an_event_each(world: World) {
    let mut records: Vec<_> = (0..5).map(|number| guardian(&format!("1004{number}"))).collect();
    let mut rows = vec![school("s"), child("c", "s")];
    rows.extend(records.iter().cloned().map(Into::into));
    world.import(rows).await;
    for record in &mut records {
        record.relations = vec![];
    }
    world.import(records.into_iter().map(Into::into).collect()).await;
    let events = "SELECT count(DISTINCT guardian_id) FROM audit_event WHERE kind = 'credential_removed'";
    assert_eq!(world.number(events).await, 5);
}

/// The owner changes the password from 1 to 2.
async fn change_it(world: &World) {
    let account = world.account("10042").await;
    let session = world.log_in(&account).await;
    let outcome = world.store.set_password(&change(&account, SetPassword::Session(session.id))).await;
    assert!(matches!(outcome, Ok(SetPasswordOutcome::Set(_))));
}

async fn an_import_never_overwrites_a_password_that_the_owner_set(world: World) {
    world.guardian("10042").await;
    change_it(&world).await;
    let account = world.account("10042").await;
    let mut record = guardian("10042");
    for seed in [1, 3] {
        record.password = Some(password(Portal::Parent, seed));
        assert_eq!(world.import(vec![record.clone().into()]).await, [RowOutcome::Unchanged(vec![])]);
    }
    let now = world.account("10042").await;
    assert_eq!(now.password.expect("a password").hash, hash(2));
    assert_eq!(now.credential_epoch, account.credential_epoch);
}

/// Domain rule 1, by a sequence of calls: import, change, import without confirmation.
async fn a_password_that_the_owner_set_goes_with_the_relation_as_well(world: World) {
    world.guardian("10042").await;
    change_it(&world).await;
    let mut record = guardian("10042");
    record.relations = vec![];
    record.password = None;
    assert_eq!(codes(&world.import(vec![record.into()]).await[0]), ["credential_removed"]);
    assert!(world.account("10042").await.password.is_none());
    assert_eq!(world.number("SELECT count(*) FROM session WHERE ended_ms IS NULL").await, 0);
}

async fn another_password_from_the_source_replaces_its_last_one_and_ends_sessions(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    for _ in 0..3 {
        world.fail(&account, Lane::UnknownDevice).await;
    }
    let mut record = guardian("10042");
    record.password = Some(password(Portal::Parent, 2));
    assert_eq!(world.import(vec![record.clone().into()]).await, [RowOutcome::Updated(vec![])]);
    let now = world.account("10042").await;
    assert_eq!(now.password.as_ref().expect("a password").hash, hash(2));
    assert_eq!(now.credential_epoch, account.credential_epoch + 1);
    let ended = world.store.session(&session.id).await.expect("an answer").expect("a session");
    assert_eq!(ended.ended, Some((at(50), SessionEnd::AccountChanged)));
    assert_eq!(world.fail(&now, Lane::UnknownDevice).await.consecutive, 1);
    assert_eq!(world.import(vec![record.into()]).await, [RowOutcome::Unchanged(vec![])]);
}

/// The hash on file is not the one in the file any more, and is of the same password.
async fn a_hash_renewed_at_login_is_not_undone_by_the_next_import(world: World) {
    let foreign = hash_with(HashParameters::new(4096, 3, 1).expect("parameters"), 1);
    let mut record = guardian("10042");
    record.password.as_mut().expect("a password").hash = foreign.clone();
    let rows = vec![school("s"), child("c", "s"), record.into()];
    world.import(rows.clone()).await;
    let account = world.account("10042").await;
    let session = world.log_in(&account).await;
    world
        .store
        .replace_outdated_hash(&account.guardian, Portal::Parent, &foreign, &hash(1))
        .await
        .expect("an answer");

    assert_eq!(world.import(rows).await[2], RowOutcome::Unchanged(vec![]));
    assert_eq!(world.account("10042").await.password.expect("a password").hash, hash(1));
    assert_eq!(world.store.session(&session.id).await.expect("an answer").expect("a session").ended, None);
}

async fn a_row_without_a_password_leaves_the_one_that_is_there(world: World) {
    world.guardian("10042").await;
    let mut record = guardian("10042");
    record.password = None;
    assert_eq!(world.import(vec![record.into()]).await, [RowOutcome::Unchanged(vec![])]);
    assert!(world.account("10042").await.password.is_some());
}

on_every_database! {
    a_password_without_a_confirmed_relation_is_not_taken,
    a_contract_confirms_the_childminder_portal_only,
    nobody_imports_a_password_of_staff,
    a_row_that_lost_its_confirmation_loses_the_password_and_its_sessions,
    a_row_that_lost_its_relation_loses_the_password_too,
    many_rows_that_lose_their_confirmation_leave_an_event_each,
    an_import_never_overwrites_a_password_that_the_owner_set,
    a_password_that_the_owner_set_goes_with_the_relation_as_well,
    another_password_from_the_source_replaces_its_last_one_and_ends_sessions,
    a_hash_renewed_at_login_is_not_undone_by_the_next_import,
    a_row_without_a_password_leaves_the_one_that_is_there,
}
