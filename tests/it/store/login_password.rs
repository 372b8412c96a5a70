//! Finding accounts, beginning sessions, tickets and hashes.

use guardian_auth::domain::audit::Fact;
use guardian_auth::domain::directory::Relation;
use guardian_auth::domain::id::SessionId;
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::login_password::{Account, AccountState};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::password::HashParameters;
use guardian_auth::domain::session::{Method, Session};
use guardian_auth::ports::store::{
    ChangePasswordStore, ChangeTicket, LoginPasswordStore, NewSession, OpenOutcome, SessionStore,
};

use super::on_every_database;
use super::world::{
    World, at, child, debtor_login, event, guardian, hash, hash_with, known_device, login_name, new_session,
    organization, password, random, school, session_of,
};

async fn a_login_name_finds_its_account_with_the_password(world: World) {
    let account = world.guardian("10042").await;
    assert_eq!(account.portal, Portal::Parent);
    assert_eq!(account.state, AccountState::Active);
    let stored = account.password.expect("a password");
    assert_eq!(stored.hash, hash(1));
    assert!(!stored.must_change && stored.expires.is_none());
    assert!(!stored.closed_to_unknown_devices && !stored.closed_to_known_devices);
}

async fn an_unknown_login_name_finds_nobody(world: World) {
    world.guardian("10042").await;
    let candidates = world.candidates(Portal::Parent, "10043").await;
    assert!(candidates.here.is_none() && candidates.sibling.is_none());
}

async fn a_guardian_without_a_password_is_found_without_one(world: World) {
    let mut record = guardian("10042");
    record.password = None;
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    assert!(world.account("10042").await.password.is_none());
}

/// A childminder with contract and password.
async fn childminder(world: &World, debtor_number: &str) {
    let mut record = guardian(debtor_number);
    record.logins = vec![debtor_login(Portal::Childminder, debtor_number)];
    record.relations = vec![Relation::Contract { confirmed: true }];
    record.password = Some(password(Portal::Childminder, 2));
    world.import(vec![record.into()]).await;
}

async fn the_sibling_portal_is_looked_at_in_the_same_statement(world: World) {
    childminder(&world, "70001").await;
    let before = world.metrics.runs_of("find_login_candidates");
    let at_parent = world.candidates(Portal::Parent, "70001").await;
    let at_childminder = world.candidates(Portal::Childminder, "70001").await;
    assert_eq!(world.metrics.runs_of("find_login_candidates"), before + 2);
    assert!(at_parent.here.is_none());
    assert_eq!(at_parent.sibling.expect("the sibling").portal, Portal::Childminder);
    assert_eq!(at_childminder.here.expect("the account").portal, Portal::Childminder);
    assert!(at_childminder.sibling.is_none());
}

async fn the_same_number_at_both_portals_is_two_candidates(world: World) {
    world.guardian("10042").await;
    let mut other = guardian("10042");
    other.key = super::world::key("gastouder");
    other.logins = vec![debtor_login(Portal::Childminder, "10042")];
    other.relations = vec![Relation::Contract { confirmed: true }];
    other.password = Some(password(Portal::Childminder, 2));
    world.import(vec![other.into()]).await;
    let candidates = world.candidates(Portal::Parent, "10042").await;
    let (here, sibling) = (candidates.here.expect("here"), candidates.sibling.expect("there"));
    assert_ne!(here.guardian, sibling.guardian);
    assert_eq!((here.portal, sibling.portal), (Portal::Parent, Portal::Childminder));
}

async fn staff_is_nobodys_sibling(world: World) {
    world.guardian("10042").await;
    world.change("UPDATE guardian_login SET portal = 'staff'").await;
    let candidates = world.candidates(Portal::Parent, "10042").await;
    assert!(candidates.here.is_none() && candidates.sibling.is_none());
    assert!(world.candidates(Portal::Staff, "10042").await.here.is_some());
    world.change("UPDATE guardian_login SET portal = 'parent'").await;
    let candidates = world.candidates(Portal::Staff, "10042").await;
    assert!(candidates.here.is_none() && candidates.sibling.is_none());
}

async fn organizations_do_not_see_each_other(world: World) {
    world.guardian("10042").await;
    let other = organization("nordanvik");
    let found =
        world.store.login_candidates(&other, Portal::Parent, &login_name("10042")).await.expect("an answer");
    assert!(found.here.is_none() && found.sibling.is_none());

    // The same keys and names are free there.
    world.import_into(&other, vec![school("s"), child("c", "s"), guardian("10042").into()]).await;
    let there =
        world.store.login_candidates(&other, Portal::Parent, &login_name("10042")).await.expect("an answer");
    assert_ne!(there.here.expect("an account").guardian, world.account("10042").await.guardian);

    // A session is not begun in another organization than the account's.
    let mut session = session_of(&world.account("10042").await);
    session.organization = other;
    assert_eq!(
        world.store.open_session(&new_session(&session)).await.expect("an answer"),
        OpenOutcome::AccountChanged
    );
}

async fn a_session_begins_and_reads_back(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    assert_eq!(world.store.session(&session.id).await.expect("an answer"), Some(session.clone()));
    let unknown = SessionId::new(at(1), random());
    assert_eq!(world.store.session(&unknown).await.expect("an answer"), None);
    let events = format!(
        "SELECT count(*) FROM audit_event WHERE kind = 'logged_in' AND guardian_id = '{}'",
        account.guardian
    );
    assert_eq!(world.number(&events).await, 1);
}

async fn refused(world: &World, session: &Session) {
    let outcome = world.store.open_session(&new_session(session)).await.expect("an answer");
    assert_eq!(outcome, OpenOutcome::AccountChanged);
    assert_eq!(world.store.session(&session.id).await.expect("an answer"), None);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'logged_in'").await, 0);
}

async fn no_session_begins_after_the_epoch_was_bumped(world: World) {
    let account = world.guardian("10042").await;
    world.change("UPDATE guardian SET credential_epoch = credential_epoch + 1").await;
    refused(&world, &session_of(&account)).await;
}

async fn no_session_begins_for_a_locked_account(world: World) {
    let account = world.guardian("10042").await;
    world.change("UPDATE guardian SET state = 'locked'").await;
    refused(&world, &session_of(&account)).await;
    assert_eq!(world.account("10042").await.state, AccountState::Locked);
}

async fn no_session_begins_for_a_lane_that_closed_meanwhile(world: World) {
    let account = world.guardian("10042").await;
    for _ in 0..100 {
        world.fail(&account, Lane::UnknownDevice).await;
    }
    refused(&world, &session_of(&account)).await;
    // The owner's device may.
    let new = NewSession { lane: known_device(), ..new_session(&session_of(&account)) };
    assert_eq!(world.store.open_session(&new).await.expect("an answer"), OpenOutcome::Opened);
}

async fn a_session_by_eid_needs_no_password(world: World) {
    let mut record = guardian("10042");
    record.password = None;
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    let mut session = session_of(&world.account("10042").await);
    session.method = Method::Eid;
    assert_eq!(
        world.store.open_session(&new_session(&session)).await.expect("an answer"),
        OpenOutcome::Opened
    );
    assert_eq!(world.store.session(&session.id).await.expect("an answer"), Some(session));
}

fn ticket(account: &Account, digest: [u8; 32]) -> ChangeTicket {
    ChangeTicket {
        digest,
        guardian: account.guardian.clone(),
        portal: account.portal,
        organization: organization("sunnanvik"),
        credential_epoch: account.credential_epoch,
        expires: at(110),
        lane: Lane::UnknownDevice,
        event: event(Fact::ChangeRequired, Some(&account.guardian)),
    }
}

async fn a_ticket_names_its_holder_until_it_expires(world: World) {
    let account = world.guardian("10042").await;
    let outcome = world.store.issue_change_ticket(&ticket(&account, [7; 32])).await.expect("an answer");
    assert_eq!(outcome, OpenOutcome::Opened);
    let holder = world.store.ticket_holder(&[7; 32], at(109)).await.expect("an answer").expect("a holder");
    assert_eq!(holder.organization, organization("sunnanvik"));
    assert_eq!((holder.account.guardian, holder.account.portal), (account.guardian, account.portal));
    assert_eq!(holder.account.password.expect("a password").hash, hash(1));
    assert!(world.store.ticket_holder(&[7; 32], at(110)).await.expect("an answer").is_none());
    assert!(world.store.ticket_holder(&[8; 32], at(109)).await.expect("an answer").is_none());
}

async fn a_ticket_dies_with_the_epoch_and_is_not_issued_after_it(world: World) {
    let account = world.guardian("10042").await;
    world.store.issue_change_ticket(&ticket(&account, [7; 32])).await.expect("an answer");
    world.change("UPDATE guardian SET credential_epoch = credential_epoch + 1").await;
    assert!(world.store.ticket_holder(&[7; 32], at(101)).await.expect("an answer").is_none());
    let outcome = world.store.issue_change_ticket(&ticket(&account, [8; 32])).await.expect("an answer");
    assert_eq!(outcome, OpenOutcome::AccountChanged);
    assert_eq!(world.number("SELECT count(*) FROM change_ticket").await, 1);
}

async fn login_names_are_those_of_the_portal(world: World) {
    let mut record = guardian("10042");
    record.logins.push(debtor_login(Portal::Parent, "20042"));
    record.logins.push(debtor_login(Portal::Childminder, "30042"));
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    let account = world.account("10042").await;
    assert_eq!(account.login_names, [login_name("10042"), login_name("20042")]);
    let found = world.store.account(&account.guardian, Portal::Parent).await.expect("an answer");
    assert_eq!(found.expect("the account").login_names, account.login_names);
    let found = world.store.account(&account.guardian, Portal::Childminder).await.expect("an answer");
    assert_eq!(found.expect("the account").login_names, [login_name("30042")]);
    let found = world.store.account(&account.guardian, Portal::Staff).await.expect("an answer");
    assert!(found.expect("the account").login_names.is_empty());
}

async fn an_outdated_hash_is_replaced_only_if_it_is_still_there(world: World) {
    let account = world.guardian("10042").await;
    let replace = async |outdated, fresh| {
        world
            .store
            .replace_outdated_hash(&account.guardian, Portal::Parent, &outdated, &fresh)
            .await
            .expect("an answer");
        world.account("10042").await.password.expect("a password").hash
    };
    assert_eq!(replace(hash(1), hash(2)).await, hash(2));
    assert_eq!(replace(hash(1), hash(3)).await, hash(2));
}

async fn hash_parameters_are_listed_per_organization_as_long_as_a_hash_has_them(world: World) {
    let foreign = HashParameters::new(4096, 3, 1).expect("parameters");
    let mut record = guardian("10043");
    record.password.as_mut().expect("a password").hash = hash_with(foreign, 3);
    let account = world.guardian("10042").await;
    world.import(vec![record.into()]).await;
    let other = organization("nordanvik");
    world.import_into(&other, vec![school("s"), child("c", "s"), guardian("10042").into()]).await;

    let listed = async || -> Vec<(String, HashParameters)> {
        let found = world.store.hash_parameters_in_use().await.expect("an answer");
        found.into_iter().map(|found| (found.organization.as_str().to_owned(), found.parameters)).collect()
    };
    let live = HashParameters::default();
    let (north, south) = ("nordanvik".to_owned(), "sunnanvik".to_owned());
    assert_eq!(listed().await, [(north.clone(), live), (south.clone(), live), (south.clone(), foreign)]);

    world
        .store
        .replace_outdated_hash(&account.guardian, Portal::Parent, &hash(1), &hash_with(foreign, 4))
        .await
        .expect("ok");
    assert_eq!(listed().await, [(north, live), (south, foreign)]);
}

on_every_database! {
    a_login_name_finds_its_account_with_the_password,
    an_unknown_login_name_finds_nobody,
    a_guardian_without_a_password_is_found_without_one,
    the_sibling_portal_is_looked_at_in_the_same_statement,
    the_same_number_at_both_portals_is_two_candidates,
    staff_is_nobodys_sibling,
    organizations_do_not_see_each_other,
    a_session_begins_and_reads_back,
    no_session_begins_after_the_epoch_was_bumped,
    no_session_begins_for_a_locked_account,
    no_session_begins_for_a_lane_that_closed_meanwhile,
    a_session_by_eid_needs_no_password,
    a_ticket_names_its_holder_until_it_expires,
    a_ticket_dies_with_the_epoch_and_is_not_issued_after_it,
    login_names_are_those_of_the_portal,
    an_outdated_hash_is_replaced_only_if_it_is_still_there,
    hash_parameters_are_listed_per_organization_as_long_as_a_hash_has_them,
}
