//! Importing login names: one guardian a name, and a spare user name for the other.

use guardian_auth::domain::directory::{GuardianLogin, GuardianRecord, LoginNameKind, RowOutcome};
use guardian_auth::domain::organization::Portal;

use super::directory_import::codes;
use super::on_every_database;
use super::world::{World, child, debtor_login, guardian, key, login_name, organization, school};

/// The other carer of the child: same debtor number, a key and a spare of its own.
fn second_carer(spare: &str) -> GuardianRecord {
    GuardianRecord {
        key: key("second"),
        given_name: "Nils".to_owned(),
        spare_user_names: vec![(Portal::Parent, login_name(spare))],
        ..guardian("10042")
    }
}

async fn a_second_carer_with_the_same_debtor_number_gets_the_spare_user_name_and_keeps_it(world: World) {
    let first = world.guardian("10042").await;
    let outcome = world.import(vec![second_carer("CDF2345HJK").into()]).await;
    assert!(matches!(outcome[0], RowOutcome::Created(_)));
    assert_eq!(codes(&outcome[0]), ["login_name_taken"]);
    assert_eq!(world.account("10042").await.guardian, first.guardian);
    let second = world.account("CDF2345HJK").await;
    assert_ne!(second.guardian, first.guardian);
    assert!(second.password.is_some());

    // The next import brings another spare; the guardian was told the first.
    let outcome = world.import(vec![second_carer("XXX2222XXX").into()]).await;
    assert!(matches!(outcome[0], RowOutcome::Unchanged(_)));
    assert_eq!(codes(&outcome[0]), ["login_name_taken"]);
    assert_eq!(world.account("CDF2345HJK").await.guardian, second.guardian);
    assert!(world.candidates(Portal::Parent, "XXX2222XXX").await.here.is_none());
}

async fn both_carers_in_one_batch_are_told_apart_too(world: World) {
    let rows =
        vec![school("s"), child("c", "s"), guardian("10042").into(), second_carer("CDF2345HJK").into()];
    let outcomes = world.import(rows).await;
    assert_eq!((codes(&outcomes[2]), codes(&outcomes[3])), (vec![], vec!["login_name_taken"]));
    assert_ne!(world.account("10042").await.guardian, world.account("CDF2345HJK").await.guardian);
}

async fn a_name_that_became_free_is_taken_and_the_spare_stays(world: World) {
    world.guardian("10042").await;
    world.import(vec![second_carer("CDF2345HJK").into()]).await;
    let mut moved = guardian("10042");
    moved.logins = vec![debtor_login(Portal::Parent, "10099")];
    let outcomes = world.import(vec![moved.into(), second_carer("XXX2222XXX").into()]).await;
    assert_eq!(outcomes, [RowOutcome::Updated(vec![]), RowOutcome::Updated(vec![])]);
    let second = world.account("CDF2345HJK").await.guardian;
    assert_eq!(world.account("10042").await.guardian, second);
    assert_eq!(world.account("10042").await.login_names, [login_name("10042"), login_name("CDF2345HJK")]);
}

async fn a_spare_that_is_taken_too_is_a_finding(world: World) {
    world.guardian("10042").await;
    world.import(vec![second_carer("CDF2345HJK").into()]).await;
    let third = GuardianRecord { key: key("third"), ..second_carer("CDF2345HJK") };
    let outcome = world.import(vec![third.into()]).await;
    assert_eq!(codes(&outcome[0]), ["login_name_taken", "no_user_name_free"]);
}

async fn login_names_that_the_source_dropped_are_dropped(world: World) {
    let mut record = guardian("10042");
    record.logins.push(debtor_login(Portal::Parent, "20042"));
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    assert_eq!(world.import(vec![guardian("10042").into()]).await, [RowOutcome::Updated(vec![])]);
    assert!(world.candidates(Portal::Parent, "20042").await.here.is_none());
    assert!(world.candidates(Portal::Parent, "10042").await.here.is_some());
}

async fn a_name_delivered_twice_in_a_row_is_one_name(world: World) {
    let mut record = guardian("10042");
    record.logins.push(debtor_login(Portal::Parent, "10042"));
    let rows = vec![school("s"), child("c", "s"), record.into()];
    assert_eq!(world.import(rows.clone()).await[2], RowOutcome::Created(vec![]));
    assert_eq!(world.import(rows).await[2], RowOutcome::Unchanged(vec![]));
}

async fn a_name_may_change_what_it_is(world: World) {
    world.guardian("10042").await;
    let mut record = guardian("10042");
    record.logins = vec![GuardianLogin {
        portal: Portal::Parent,
        kind: LoginNameKind::UserName,
        name: login_name("10042"),
    }];
    assert_eq!(world.import(vec![record.clone().into()]).await, [RowOutcome::Updated(vec![])]);
    assert_eq!(world.import(vec![record.into()]).await, [RowOutcome::Unchanged(vec![])]);
    assert_eq!(world.number("SELECT count(*) FROM guardian_login WHERE kind = 'user_name'").await, 1);
}

async fn a_name_of_another_organization_is_free_here(world: World) {
    world.guardian("10042").await;
    let rows = vec![school("s"), child("c", "s"), second_carer("CDF2345HJK").into()];
    assert_eq!(world.import_into(&organization("nordanvik"), rows).await[2], RowOutcome::Created(vec![]));
}

on_every_database! {
    a_second_carer_with_the_same_debtor_number_gets_the_spare_user_name_and_keeps_it,
    both_carers_in_one_batch_are_told_apart_too,
    a_name_that_became_free_is_taken_and_the_spare_stays,
    a_spare_that_is_taken_too_is_a_finding,
    login_names_that_the_source_dropped_are_dropped,
    a_name_delivered_twice_in_a_row_is_one_name,
    a_name_may_change_what_it_is,
    a_name_of_another_organization_is_free_here,
}
