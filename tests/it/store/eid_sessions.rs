//! A login with an eID becomes one session or one denial, and uses its order up by that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use guardian_auth::domain::bankid::{BankIdFault, OrderState};
use guardian_auth::domain::directory::Contact;
use guardian_auth::domain::id::{BankIdLoginId, GuardianId};
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{
    DeniedEidLogin, EidLoginStore, EidOpenOutcome, LoginBankIdStore, NewEidSession, PasswordResetStore,
    ResetOutcome, SessionStore,
};

use super::contents::{contents, gained};
use super::eid_facts::{
    begun, denied, failed, import_numbered, new_eid_session, note, proposal, signed, standing,
};
use super::on_every_database;
use super::races::at_once;
use super::reset_facts::{ADDRESS, add_token, confirmed, email};
use super::world::{
    World, at, child, event, guardian, known_device, national_id, numbered, organization, random, school,
};

async fn open(world: &World, new: &NewEidSession) -> EidOpenOutcome {
    world.store.open_eid_session(new).await.expect("an answer")
}

async fn deny(world: &World, denied: &DeniedEidLogin) -> bool {
    world.store.deny_eid_login(denied).await.expect("an answer")
}

async fn a_session_begins_with_its_evidence_and_events_and_uses_the_order_up(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    world.fail(&account, known_device()).await;
    let order = signed(&world).await;
    let before = contents(&world).await;

    let new = new_eid_session(&account, 1, Some(order.clone()));
    assert_eq!(open(&world, &new).await, EidOpenOutcome::Opened);

    let after = contents(&world).await;
    assert_eq!(gained(&before, &after), [("audit_event", 2), ("eid_evidence", 1), ("session", 1)].into());
    assert_eq!(after["credential"], before["credential"], "no password was compared");
    let session = world.store.session(&new.session.id).await.expect("an answer").expect("a session");
    assert_eq!(session, new.session);
    let used = standing(&world, &order).await;
    assert_eq!((used.state, used.result), (OrderState::Used, None));
    let kept = format!(
        "SELECT count(*) FROM eid_evidence WHERE guardian_id = '{}' AND session_id = '{}' AND organization = 'sunnanvik' \
         AND key_id = 'k1' AND at_ms = {} AND expires_ms = {}",
        account.guardian,
        session.id,
        at(100).as_millis(),
        at(500).as_millis(),
    );
    assert_eq!(world.number(&kept).await, 1);
}

async fn a_session_needs_no_order_and_no_evidence(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let mut new = new_eid_session(&account, 1, None);
    new.evidence = None;
    new.events.truncate(1);
    let before = contents(&world).await;
    assert_eq!(open(&world, &new).await, EidOpenOutcome::Opened);
    assert_eq!(gained(&before, &contents(&world).await), [("audit_event", 1), ("session", 1)].into());
}

async fn an_account_that_changed_gets_no_session_and_the_order_stays_for_the_denial(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    import_numbered(&world, "10043", 2).await;
    let order = signed(&world).await;
    let refused = async |new: NewEidSession, why: &str| {
        let before = contents(&world).await;
        assert_eq!(open(&world, &new).await, EidOpenOutcome::AccountChanged, "{why}");
        assert_eq!(contents(&world).await, before, "{why}");
    };
    let new = |seed| new_eid_session(&account, seed, Some(order.clone()));
    refused(new(9), "a number of nobody").await;
    refused(new(2), "another guardian's number").await;
    refused(NewEidSession { identifier: Vec::new(), ..new(1) }, "no number").await;
    let mut elsewhere = new(1);
    elsewhere.session.organization = organization("nordanvik");
    refused(elsewhere, "another organization").await;
    for (change, back) in [
        (
            "guardian SET credential_epoch = credential_epoch + 1",
            "guardian SET credential_epoch = credential_epoch - 1",
        ),
        ("guardian SET state = 'locked'", "guardian SET state = 'active'"),
        ("guardian SET state = 'merged'", "guardian SET state = 'active'"),
        ("guardian_identifier SET retired_ms = 1", "guardian_identifier SET retired_ms = NULL"),
    ] {
        world.change(&format!("UPDATE {change}")).await;
        refused(new(1), change).await;
        world.change(&format!("UPDATE {back}")).await;
    }
    assert!(deny(&world, &denied(Some(order.clone()))).await);
    assert_eq!(open(&world, &new(1)).await, EidOpenOutcome::OrderGone, "the denial used it up");
}

async fn a_number_under_any_of_the_keys_is_the_guardians(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let identifier = vec![[9; 32], [1; 32], [8; 32]];
    let new = NewEidSession { identifier, ..new_eid_session(&account, 1, None) };
    assert_eq!(open(&world, &new).await, EidOpenOutcome::Opened);
}

async fn an_order_that_is_not_complete_becomes_nothing(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let (pending, given_up, lost) = (begun(&world).await.id, signed(&world).await, begun(&world).await.id);
    let used = signed(&world).await;
    assert!(deny(&world, &denied(Some(used.clone()))).await);
    assert!(note(&world, &lost, "one", &failed(BankIdFault::ResultLost)).await);
    let over = event(guardian_auth::domain::audit::Fact::LoggedIn, None);
    assert!(world.store.cancel_bankid_order(&given_up, &over).await.expect("an answer"));
    let unknown = BankIdLoginId::new(at(100), random());
    let before = contents(&world).await;
    for order in [pending, given_up, lost, used, unknown] {
        let new = new_eid_session(&account, 1, Some(order.clone()));
        assert_eq!(open(&world, &new).await, EidOpenOutcome::OrderGone);
        assert!(!deny(&world, &denied(Some(order))).await);
    }
    assert_eq!(contents(&world).await, before);
}

/// Results wait until minute 104.
async fn a_result_that_is_too_old_becomes_nothing(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let begin_at = |order: BankIdLoginId, now: Timestamp| {
        let mut new = new_eid_session(&account, 1, Some(order));
        new.session.authenticated = now;
        new
    };
    let order = signed(&world).await;
    let before = contents(&world).await;
    assert_eq!(open(&world, &begin_at(order.clone(), at(104))).await, EidOpenOutcome::OrderGone);
    assert!(!deny(&world, &DeniedEidLogin { order: Some((order.clone(), at(104))), ..denied(None) }).await);
    assert_eq!(contents(&world).await, before);
    let just_before = at(104).minus(Duration::from_millis(1));
    assert_eq!(open(&world, &begin_at(order, just_before)).await, EidOpenOutcome::Opened);
}

async fn a_denial_uses_the_order_up_and_proposes_the_new_number(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let order = signed(&world).await;
    let before = contents(&world).await;
    let proposal = Some(proposal(&account.guardian, 2));
    let denied = DeniedEidLogin { proposal, ..denied(Some(order.clone())) };
    assert!(deny(&world, &denied).await);
    let after = contents(&world).await;
    assert_eq!(gained(&before, &after), [("audit_event", 1), ("number_proposal", 1)].into());
    let used = standing(&world, &order).await;
    assert_eq!((used.state, used.result), (OrderState::Used, None));
    let open = "scheme = 'se.pnr' AND key_id = 'k1' AND settled_ms IS NULL AND organization = 'sunnanvik'";
    assert_eq!(world.number(&format!("SELECT count(*) FROM number_proposal WHERE {open}")).await, 1);

    assert!(!deny(&world, &denied).await);
    assert_eq!(contents(&world).await, after);
}

async fn a_proposal_is_made_once_until_staff_have_decided(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let other = import_numbered(&world, "10043", 3).await;
    let propose = async |guardian: &GuardianId, seed| {
        let proposal = Some(proposal(guardian, seed));
        assert!(deny(&world, &DeniedEidLogin { proposal, ..denied(None) }).await);
        world.number("SELECT count(*) FROM number_proposal").await
    };
    assert_eq!(propose(&account.guardian, 2).await, 1);
    assert_eq!(propose(&account.guardian, 2).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'eid_login_denied'").await, 2);
    assert_eq!(propose(&account.guardian, 4).await, 2, "another number");
    assert_eq!(propose(&other.guardian, 2).await, 3, "another guardian");
    world.change("UPDATE number_proposal SET settled_ms = 1").await;
    assert_eq!(propose(&account.guardian, 2).await, 4, "the first one was settled");
    at_once((0..16).map(|_| {
        let (store, proposal) = (Arc::clone(&world.store), Some(proposal(&account.guardian, 5)));
        async move {
            let denied = DeniedEidLogin { proposal, ..denied(None) };
            assert!(store.deny_eid_login(&denied).await.expect("an answer"));
        }
    }))
    .await;
    assert_eq!(world.number("SELECT count(*) FROM number_proposal").await, 5);
}

async fn what_cannot_be_written_whole_is_not_written(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let order = signed(&world).await;
    let first = new_eid_session(&account, 1, None);
    assert_eq!(open(&world, &first).await, EidOpenOutcome::Opened);
    let before = contents(&world).await;
    let new = NewEidSession { evidence: first.evidence, ..new_eid_session(&account, 1, Some(order.clone())) };
    let refused = world.store.open_eid_session(&new).await;
    assert!(matches!(refused, Err(PortError::Conflict(_))), "{refused:?}");
    let proposal = Some(proposal(&GuardianId::new(at(1), random()), 2));
    let refused = world.store.deny_eid_login(&DeniedEidLogin { proposal, ..denied(Some(order)) }).await;
    assert!(matches!(refused, Err(PortError::Conflict(_))), "{refused:?}");
    assert_eq!(contents(&world).await, before);
}

async fn evidence_is_swept_when_its_time_is_over(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let longer = |minute| {
        let mut new = new_eid_session(&account, 1, None);
        if let Some(evidence) = &mut new.evidence {
            evidence.expires = at(minute);
        }
        new
    };
    for minute in [500, 500, 501] {
        assert_eq!(open(&world, &longer(minute)).await, EidOpenOutcome::Opened);
    }
    let sweep = async |now| world.store.sweep_evidence(now).await.expect("an answer");
    assert_eq!(sweep(at(500)).await, 0);
    assert_eq!(sweep(at(500).plus(Duration::from_millis(1))).await, 2);
    assert_eq!(world.number("SELECT count(*) FROM eid_evidence").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM session").await, 3);
}

async fn of_sixteen_sessions_of_one_order_over_two_replicas_one_begins(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let other = Arc::new(world.replica().await);
    for _ in 0..5 {
        let order = signed(&world).await;
        let before = contents(&world).await;
        let outcomes = at_once((0..16).map(|number| {
            let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
            let new = new_eid_session(&account, 1, Some(order.clone()));
            async move { store.open_eid_session(&new).await.expect("an answer") }
        }))
        .await;
        let of = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
        assert_eq!((of(EidOpenOutcome::Opened), of(EidOpenOutcome::OrderGone)), (1, 15));
        let expected = [("audit_event", 2), ("eid_evidence", 1), ("session", 1)];
        assert_eq!(gained(&before, &contents(&world).await), expected.into());
    }
    other.close().await;
}

async fn of_a_session_a_denial_and_a_cancellation_at_once_one_happens(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    for _ in 0..10 {
        let order = signed(&world).await;
        let happened = at_once((0..3).map(|what| {
            let store = Arc::clone(&world.store);
            let new = new_eid_session(&account, 1, Some(order.clone()));
            let (denied, order) = (denied(Some(order.clone())), order.clone());
            async move {
                let happened = match what {
                    0 => store.open_eid_session(&new).await.map(|it| it == EidOpenOutcome::Opened),
                    1 => store.deny_eid_login(&denied).await,
                    _ => store.cancel_bankid_order(&order, &new.events[0]).await,
                };
                happened.expect("an answer")
            }
        }))
        .await;
        assert_eq!(happened.iter().filter(|happened| **happened).count(), 1, "{happened:?}");
        let state = if happened[2] { OrderState::Cancelled } else { OrderState::Used };
        assert_eq!(standing(&world, &order).await.state, state);
    }
}

/// A reset bumps the epoch and ends the sessions that it sees.
async fn a_reset_and_logins_at_once_leave_no_session_of_the_old_epoch(world: World) {
    for round in 0..10 {
        let account = import_reachable_and_numbered(&world, &format!("1004{round}"), round).await;
        add_token(&world, &account, [round; 32]).await;
        let logins = (0..8).map(|_| {
            let store = Arc::clone(&world.store);
            let new = new_eid_session(&account, round, None);
            async move {
                let outcome = store.open_eid_session(&new).await.expect("an answer");
                (outcome == EidOpenOutcome::Opened).then_some(new.session.id)
            }
        });
        let logins: Vec<_> = logins.map(tokio::spawn).collect();
        let outcome = world.store.confirm_reset(&confirmed(&account, [round; 32])).await.expect("an answer");
        let ResetOutcome::Reset(ended) = outcome else { panic!("not set") };
        for opened in join_all(logins).await.into_iter().filter_map(|login| login.expect("no panic")) {
            assert!(ended.sessions.contains(&opened), "a session outlived the epoch");
        }
        let live = world.store.list_sessions(&account.guardian, Portal::Parent, None, 50, at(101)).await;
        assert!(live.expect("a page").is_empty());
    }
}

async fn import_reachable_and_numbered(world: &World, debtor_number: &str, seed: u8) -> Account {
    let mut record = guardian(debtor_number);
    record.email = Some(Contact { delivered: ADDRESS.to_owned(), canonical: Some(email(ADDRESS)) });
    world.import(vec![school("s"), child("c", "s"), numbered(record, national_id(seed))]).await;
    world.account(debtor_number).await
}

/// An import that replaces the number holds the guardian meanwhile.
async fn an_import_of_a_new_number_and_logins_by_the_old_one_at_once_lock_nobody_out(world: World) {
    let account = import_numbered(&world, "10042", 1).await;
    let logins = (0..16).map(|_| {
        let store = Arc::clone(&world.store);
        let new = new_eid_session(&account, 1, None);
        async move { store.open_eid_session(&new).await.expect("an answer") }
    });
    let logins: Vec<_> = logins.map(tokio::spawn).collect();
    import_numbered(&world, "10042", 2).await;
    let mut opened = 0;
    for outcome in join_all(logins).await {
        opened += i64::from(outcome.expect("no panic") == EidOpenOutcome::Opened);
    }
    assert_eq!(world.number("SELECT count(*) FROM session").await, opened);
    assert_eq!(open(&world, &new_eid_session(&account, 1, None)).await, EidOpenOutcome::AccountChanged);
    let account = world.account("10042").await;
    assert_eq!(open(&world, &new_eid_session(&account, 2, None)).await, EidOpenOutcome::Opened);
}

on_every_database! {
    a_session_begins_with_its_evidence_and_events_and_uses_the_order_up,
    a_session_needs_no_order_and_no_evidence,
    an_account_that_changed_gets_no_session_and_the_order_stays_for_the_denial,
    a_number_under_any_of_the_keys_is_the_guardians,
    an_order_that_is_not_complete_becomes_nothing,
    a_result_that_is_too_old_becomes_nothing,
    a_denial_uses_the_order_up_and_proposes_the_new_number,
    a_proposal_is_made_once_until_staff_have_decided,
    what_cannot_be_written_whole_is_not_written,
    evidence_is_swept_when_its_time_is_over,
    of_sixteen_sessions_of_one_order_over_two_replicas_one_begins,
    of_a_session_a_denial_and_a_cancellation_at_once_one_happens,
    a_reset_and_logins_at_once_leave_no_session_of_the_old_epoch,
    an_import_of_a_new_number_and_logins_by_the_old_one_at_once_lock_nobody_out,
}
