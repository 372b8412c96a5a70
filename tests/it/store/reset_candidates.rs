//! The accounts that a request for a reset link may mean.

use guardian_auth::domain::directory::{Contact, Relation};
use guardian_auth::domain::login_password::AccountState;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::password_reset::{Candidate, EmailOnFile, PasswordOnFile};
use guardian_auth::ports::store::{CandidateKey, PasswordResetStore};

use super::on_every_database;
use super::reset_facts::{ADDRESS, email, reachable};
use super::world::{
    World, child, debtor_login, guardian, key, login_name, national_id, numbered, organization, password,
    school,
};

const NO_DIGESTS: &[[u8; 32]] = &[];

async fn find(world: &World, portal: Portal, key: CandidateKey) -> Vec<Candidate> {
    world.store.reset_candidates(&organization("sunnanvik"), portal, &key).await.expect("an answer")
}

async fn by_name(world: &World, portal: Portal, name: &str, digests: &[[u8; 32]]) -> Vec<Candidate> {
    let key = CandidateKey::LoginName { name: login_name(name), national_id: digests.to_vec() };
    find(world, portal, key).await
}

async fn by_email(world: &World, portal: Portal, address: &str) -> Vec<Candidate> {
    find(world, portal, CandidateKey::Email(email(address))).await
}

/// One person with a number at both portals, and a password at the parents' alone.
async fn at_both_portals(world: &World, debtor_number: &str) {
    let mut record = reachable(debtor_number);
    record.logins.push(debtor_login(Portal::Childminder, debtor_number));
    record.relations.push(Relation::Contract { confirmed: true });
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
}

async fn a_login_name_means_the_accounts_at_both_guardian_portals(world: World) {
    at_both_portals(&world, "10042").await;
    for portal in [Portal::Parent, Portal::Childminder] {
        let mut found = by_name(&world, portal, "10042", NO_DIGESTS).await;
        found.sort_by_key(|candidate| candidate.portal);
        let [parent, childminder] = found.as_slice() else { panic!("two accounts") };
        assert_eq!((parent.portal, childminder.portal), (Portal::Parent, Portal::Childminder));
        assert_eq!(parent.email, EmailOnFile::Usable(email(ADDRESS)));
        assert_eq!(parent.state, AccountState::Active);
        assert_eq!(parent.password, Some(PasswordOnFile { expires: None }));
        assert_eq!(childminder.password, None);
        assert!(!parent.has_national_id && !childminder.has_national_id);
    }
    assert!(by_name(&world, Portal::Staff, "10042", NO_DIGESTS).await.is_empty());
    assert!(by_name(&world, Portal::Parent, "10043", NO_DIGESTS).await.is_empty());
    let elsewhere = CandidateKey::LoginName { name: login_name("10042"), national_id: Vec::new() };
    let other = organization("otherton");
    let found = world.store.reset_candidates(&other, Portal::Parent, &elsewhere).await.expect("an answer");
    assert!(found.is_empty());
}

async fn what_is_on_file_is_told_as_it_is(world: World) {
    let mut unusable = guardian("10042");
    unusable.email = Some(Contact { delivered: "maja at example".to_owned(), canonical: None });
    world.import(vec![school("s"), child("c", "s"), unusable.into(), guardian("10043").into()]).await;
    let one = async |name| by_name(&world, Portal::Parent, name, NO_DIGESTS).await.remove(0);
    assert_eq!(one("10042").await.email, EmailOnFile::Unusable);
    assert_eq!(one("10043").await.email, EmailOnFile::Absent);
    world.change("UPDATE credential SET expires_ms = 17").await;
    world.change("UPDATE guardian SET state = 'locked'").await;
    let changed = one("10042").await;
    let end = guardian_auth::domain::time::Timestamp::from_millis(17);
    assert_eq!(changed.password, Some(PasswordOnFile { expires: Some(end) }));
    assert_eq!(changed.state, AccountState::Locked);
    world.change("UPDATE guardian SET email_canonical = ' Maja@Example.se'").await;
    let broken = CandidateKey::LoginName { name: login_name("10042"), national_id: Vec::new() };
    let read = world.store.reset_candidates(&organization("sunnanvik"), Portal::Parent, &broken).await;
    read.expect_err("an address that does not read back as it stands is none to write to");
}

async fn a_national_id_is_of_its_guardian_as_long_as_it_is_active(world: World) {
    let with_id = |number, seed| numbered(guardian(number), national_id(seed));
    world.import(vec![school("s"), child("c", "s"), with_id("10042", 1), with_id("10043", 2)]).await;
    let has = async |name, digests: &[[u8; 32]]| {
        let found = by_name(&world, Portal::Parent, name, digests).await;
        assert_eq!(found.len(), 1);
        found[0].has_national_id
    };
    assert!(has("10042", &[[1; 32]]).await);
    assert!(has("10042", &[[9; 32], [1; 32]]).await, "under an older key");
    assert!(has("10042", &[[1; 32], [9; 32]]).await, "under a newer key");
    assert!(!has("10042", &[[2; 32]]).await, "another's");
    assert!(!has("10042", NO_DIGESTS).await);
    world.change("UPDATE guardian_identifier SET retired_ms = 1").await;
    assert!(!has("10042", &[[1; 32]]).await);
}

/// Known or not, with a number or without: the same statement, as often as there are keys.
async fn a_look_up_by_name_runs_one_statement_a_key(world: World) {
    world.guardian("10042").await;
    let runs = async |name, digests: &[[u8; 32]]| {
        let before = world.metrics.runs_of("find_reset_candidates_by_login_name");
        by_name(&world, Portal::Parent, name, digests).await;
        world.metrics.runs_of("find_reset_candidates_by_login_name") - before
    };
    for name in ["10042", "99999"] {
        assert_eq!(runs(name, NO_DIGESTS).await, 1);
        assert_eq!(runs(name, &[[1; 32]]).await, 1);
        assert_eq!(runs(name, &[[1; 32], [2; 32]]).await, 2);
    }
}

async fn an_address_means_each_account_once(world: World) {
    at_both_portals(&world, "10042").await;
    let mut other = reachable("10043");
    other.logins.push(debtor_login(Portal::Parent, "10044"));
    world.import(vec![other.into(), guardian("10045").into()]).await;
    let found = by_email(&world, Portal::Parent, ADDRESS).await;
    assert_eq!(
        found.iter().map(|one| one.portal).collect::<Vec<_>>(),
        [Portal::Parent, Portal::Parent, Portal::Childminder]
    );
    assert_ne!(found[0].guardian, found[1].guardian);
    assert!(found.iter().all(|one| one.email == EmailOnFile::Usable(email(ADDRESS)) && !one.has_national_id));
    assert!(by_email(&world, Portal::Parent, "maja@example.nl").await.is_empty());
    assert!(by_email(&world, Portal::Staff, ADDRESS).await.is_empty());
    world.import_into(&organization("otherton"), vec![school("s"), child("c", "s")]).await;
    let key = CandidateKey::Email(email(ADDRESS));
    let other = organization("otherton");
    let found = world.store.reset_candidates(&other, Portal::Parent, &key).await.expect("an answer");
    assert!(found.is_empty());
}

async fn an_address_without_a_login_name_means_no_account(world: World) {
    let mut record = reachable("10042");
    record.logins = Vec::new();
    record.password = None;
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    assert!(by_email(&world, Portal::Parent, ADDRESS).await.is_empty());
}

/// Were one in use cut off behind merged ones, or one here behind those elsewhere, the wrong mail would be sent.
async fn of_many_accounts_those_that_count_are_kept(world: World) {
    let mut rows = vec![school("s"), child("c", "s")];
    for number in 0..30 {
        let mut record = reachable(&format!("200{number:02}"));
        record.key = key(&format!("g{number:02}"));
        if number % 3 == 1 {
            record.logins = vec![debtor_login(Portal::Childminder, &format!("200{number:02}"))];
            record.relations = vec![Relation::Contract { confirmed: true }];
            record.password = Some(password(Portal::Childminder, 1));
        }
        rows.push(record.into());
    }
    world.import(rows).await;
    assert_eq!(by_email(&world, Portal::Parent, ADDRESS).await.len(), 10);
    assert!(by_email(&world, Portal::Parent, ADDRESS).await.iter().all(|one| one.portal == Portal::Parent));
    // All at the parents' portal but two are merged: the two, then those at the other portal, then merged ones.
    world
        .change(
            "UPDATE guardian SET state = 'merged' WHERE id IN \
             (SELECT guardian_id FROM guardian_login WHERE portal = 'parent' AND login_name NOT IN ('20027', '20029'))",
        )
        .await;
    let found = by_email(&world, Portal::Parent, ADDRESS).await;
    let kinds: Vec<_> = found.iter().map(|one| (one.state, one.portal)).collect();
    let mut expected = vec![(AccountState::Active, Portal::Parent); 2];
    expected.extend([(AccountState::Active, Portal::Childminder); 8]);
    assert_eq!(kinds, expected);
}

on_every_database! {
    a_login_name_means_the_accounts_at_both_guardian_portals,
    what_is_on_file_is_told_as_it_is,
    a_national_id_is_of_its_guardian_as_long_as_it_is_active,
    a_look_up_by_name_runs_one_statement_a_key,
    an_address_means_each_account_once,
    an_address_without_a_login_name_means_no_account,
    of_many_accounts_those_that_count_are_kept,
}
