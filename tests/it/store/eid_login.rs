//! From the digest of a number to the accounts that have it, and to the names of those that nearly do.

use guardian_auth::domain::directory::Relation;
use guardian_auth::domain::eid_login::EidAccount;
use guardian_auth::domain::login_password::{Account, AccountState};
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::EidLoginStore;

use super::eid_facts::import_numbered;
use super::on_every_database;
use super::world::{World, child, child_relation, guardian, national_id, numbered, organization, school};

async fn accounts(world: &World, digests: &[[u8; 32]]) -> Vec<EidAccount> {
    world.store.eid_accounts(&organization("sunnanvik"), digests).await.expect("an answer")
}

fn found(account: &Account, portals: &[Portal]) -> EidAccount {
    EidAccount {
        guardian: account.guardian.clone(),
        state: account.state,
        credential_epoch: account.credential_epoch,
        portals: portals.to_vec(),
    }
}

async fn a_number_in_use_finds_its_account_once_by_one_statement_a_digest(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    import_numbered(&world, "10043", 2).await;
    let expected = [found(&account, &[Portal::Parent])];
    for digests in [&[[1; 32]][..], &[[9; 32], [1; 32]], &[[1; 32], [1; 32]]] {
        let runs = world.metrics.runs_of("find_eid_accounts");
        assert_eq!(accounts(&world, digests).await, expected);
        let runs = world.metrics.runs_of("find_eid_accounts") - runs;
        assert_eq!(usize::try_from(runs), Ok(digests.len()));
    }
    assert_eq!(accounts(&world, &[[9; 32]]).await, []);
    // A person who has two is not guessed about.
    assert_eq!(accounts(&world, &[[1; 32], [2; 32]]).await.len(), 2);
}

async fn a_number_that_was_replaced_finds_nobody(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    import_numbered(&world, "10042", 2).await;
    assert_eq!(accounts(&world, &[[1; 32]]).await, []);
    assert_eq!(accounts(&world, &[[2; 32]]).await, [found(&account, &[Portal::Parent])]);
}

async fn a_number_means_nothing_in_another_organization(world: World) {
    import_numbered(&world, "10042", 1).await;
    let elsewhere = world.store.eid_accounts(&organization("nordanvik"), &[[1; 32]]).await;
    assert_eq!(elsewhere.expect("an answer"), []);
    let names = world.store.family_names(&organization("nordanvik"), &[[1; 32]]).await;
    assert!(names.expect("an answer").is_empty());
}

async fn an_account_is_found_with_its_state_and_epoch(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    for (name, state) in [("locked", AccountState::Locked), ("merged", AccountState::Merged)] {
        world
            .change(&format!("UPDATE guardian SET state = '{name}', credential_epoch = credential_epoch + 1"))
            .await;
        let found = &accounts(&world, &[[1; 32]]).await[0];
        assert_eq!(found.state, state);
        assert!(found.credential_epoch > account.credential_epoch);
    }
}

async fn the_portals_are_those_with_a_relation_or_a_login_name(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let portals = async || accounts(&world, &[[1; 32]]).await.remove(0).portals;
    world.change("DELETE FROM child_link").await;
    assert_eq!(portals().await, [Portal::Parent], "a login name alone");
    world.change("DELETE FROM guardian_login").await;
    assert_eq!(portals().await, []);

    // What the source has not confirmed is a relation too: only a password needs more.
    let mut record = guardian("10042");
    record.logins.clear();
    record.spare_user_names.clear();
    record.password = None;
    for (relations, expected) in [
        (vec![child_relation("c", false)], &[Portal::Parent][..]),
        (vec![Relation::Contract { confirmed: false }], &[Portal::Childminder]),
        (
            vec![child_relation("c", true), Relation::Contract { confirmed: true }],
            &[Portal::Parent, Portal::Childminder],
        ),
        (vec![], &[]),
    ] {
        record.relations = relations;
        world.import(vec![numbered(record.clone(), national_id(1))]).await;
        assert_eq!(portals().await, expected);
    }
    let mut expected = Vec::new();
    for portal in [Portal::Childminder, Portal::Staff] {
        let values =
            format!("'sunnanvik', '{}', '7', '{}', 'user_name', 0", portal.as_str(), account.guardian);
        world.change(&format!("INSERT INTO guardian_login VALUES ({values})")).await;
        if portal == Portal::Staff {
            assert_eq!(portals().await, expected, "a login name makes nobody a member of the staff");
            let values = format!(
                "'{}', 'sunnanvik', 'support_person', 'organization', 'deactivated', 1, 0",
                account.guardian
            );
            let columns = "id, organization, role, scope, state, revision, invited_ms";
            world.change(&format!("INSERT INTO staff_member ({columns}) VALUES ({values})")).await;
            assert_eq!(portals().await, expected, "nor does a membership that has ended");
            world.change("UPDATE staff_member SET state = 'active'").await;
        }
        expected.push(portal);
        assert_eq!(portals().await, expected);
    }
    // Another guardian's relations are not this one's.
    import_numbered(&world, "10043", 2).await;
    assert_eq!(portals().await, expected);
}

async fn names(world: &World, digests: &[[u8; 32]]) -> Vec<String> {
    world.store.family_names(&organization("sunnanvik"), digests).await.expect("an answer")
}

/// A digest that is one of thousands.
fn digest(number: u16) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..2].copy_from_slice(&number.to_be_bytes());
    digest
}

async fn import_named(world: &World, number: u16, family_name: &str) {
    let mut record = guardian(&format!("2{number:04}"));
    family_name.clone_into(&mut record.family_name);
    let mut national_id = national_id(1);
    national_id.index = digest(number);
    world.import(vec![school("s"), child("c", "s"), numbered(record, national_id)]).await;
}

async fn of_thousands_of_numbers_the_names_are_told_once_each(world: World) {
    let digests: Vec<[u8; 32]> = (0..2_345).map(digest).collect();
    assert!(names(&world, &digests).await.is_empty());
    assert!(names(&world, &[]).await.is_empty());
    for (number, name) in [(0, "Ek"), (1_151, "Ek"), (2_344, "Berg"), (2_345, "Nobody")] {
        import_named(&world, number, name).await;
    }
    assert_eq!(names(&world, &digests).await, ["Berg", "Ek"]);
}

async fn names_are_of_accounts_that_are_not_merged_and_of_numbers_in_use(world: World) {
    for (number, name) in [(1, "Alm"), (2, "Berg"), (3, "Ceder"), (4, "Dahl")] {
        import_named(&world, number, name).await;
    }
    world.change("UPDATE guardian SET state = 'merged' WHERE family_name = 'Alm'").await;
    world.change("UPDATE guardian SET state = 'locked' WHERE family_name = 'Berg'").await;
    let of = "guardian_id IN (SELECT id FROM guardian WHERE family_name = 'Ceder')";
    world.change(&format!("UPDATE guardian_identifier SET retired_ms = 1 WHERE {of}")).await;
    let digests: Vec<[u8; 32]> = (0..10).map(digest).collect();
    assert_eq!(names(&world, &digests).await, ["Berg", "Dahl"]);
}

async fn ten_names_are_enough(world: World) {
    for number in 0..12 {
        import_named(&world, number, &format!("Namn{number:02}")).await;
    }
    let digests: Vec<[u8; 32]> = (0..12).map(digest).collect();
    let names = names(&world, &digests).await;
    assert_eq!(names.len(), 10);
    assert_eq!((names[0].as_str(), names[9].as_str()), ("Namn00", "Namn09"));
}

on_every_database! {
    a_number_in_use_finds_its_account_once_by_one_statement_a_digest,
    a_number_that_was_replaced_finds_nobody,
    a_number_means_nothing_in_another_organization,
    an_account_is_found_with_its_state_and_epoch,
    the_portals_are_those_with_a_relation_or_a_login_name,
    of_thousands_of_numbers_the_names_are_told_once_each,
    names_are_of_accounts_that_are_not_merged_and_of_numbers_in_use,
    ten_names_are_enough,
}
