//! Making passwords of what staff issued: once, while it is borne, and not after ten wrong codes.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::audit::{Fact, SessionEnd};
use guardian_auth::domain::fallback_credential::{ActivationEnd, Delivery, RestsOn};
use guardian_auth::domain::id::ActivationId;
use guardian_auth::domain::message::Channel;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    Acted, ActivateOutcome, ActivatedCredential, ActivationHolder, ChangePasswordStore,
    FallbackCredentialStore, NewCredential, OutboxStore, SessionStore, SetPassword, StaffChange,
    StaffChangeOutcome, StaffRightsChange, StaffStore,
};

use super::change_password::{change, ticket};
use super::contents::contents;
use super::credential_facts::{
    act, activate, activated, confirm, hire, issue, linked, mistype, new_link, new_sheet, unconfirm,
};
use super::on_every_database;
use super::races::at_once;
use super::reset_facts::import_reachable;
use super::world::{World, at, hash, login_name, organization, random};

async fn of_name(world: &World, name: &str) -> Option<ActivationHolder> {
    let sunnanvik = organization("sunnanvik");
    world.store.activation_of_name(&sunnanvik, Portal::Parent, &login_name(name)).await.expect("an answer")
}

async fn what_waits_is_found_by_name_and_then_what_was_last(world: World) {
    assert!(of_name(&world, "10042").await.is_none());
    let account = linked(&world, "10042").await;
    assert!(of_name(&world, "10042").await.expect("an account").activation.is_none());
    let staff = hire(&world, &["s"]).await;
    issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(90))).await;
    let holder = of_name(&world, "10042").await.expect("an account");
    let held = holder.activation.expect("it waits");
    assert_eq!(holder.user_name.as_ref().map(|name| name.as_str()), Some("10042"));
    assert_eq!((holder.portal, holder.organization), (Portal::Parent, organization("sunnanvik")));
    assert_eq!((held.id, held.end, held.rests_on), (id.clone(), None, RestsOn::Staff));
    assert_eq!(held.code_hash, Some(hash(9)));
    activate(&world, &activated(&account, &id, account.credential_epoch, at(101))).await;
    let ended = of_name(&world, "10042").await.and_then(|holder| holder.activation);
    // Of those that ended, the one that was made last by its id.
    assert_eq!(ended.and_then(|held| held.end), Some(ActivationEnd::Replaced));
}

async fn an_activated_password_opens_everything_and_ends_all_sessions(world: World) {
    let account = world.guardian("10042").await;
    confirm(&world, &account.guardian).await;
    let staff = hire(&world, &["s"]).await;
    let session = world.log_in(&account).await;
    ticket(&world, &account, [7; 32]).await;
    let closed = "failures_unknown = 100, closed_unknown_ms = 1, must_change = 1, expires_ms = 5";
    world.change(&format!("UPDATE credential SET {closed}")).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let outcome = activate(&world, &activated(&account, &id, account.credential_epoch, at(101))).await;
    let ActivateOutcome::Activated(ended) = outcome else { panic!("{outcome:?}") };
    assert_eq!((ended.live, ended.sessions), (1, vec![session.id.clone()]));
    let now = world.account("10042").await;
    let password = now.password.expect("a password");
    assert_eq!(password.hash, hash(3));
    assert!(!password.must_change && password.expires.is_none() && !password.closed_to_unknown_devices);
    assert_eq!(now.credential_epoch, account.credential_epoch + 1);
    let ended = world.store.session(&session.id).await.expect("an answer").expect("a session");
    assert_eq!(ended.ended, Some((at(101), SessionEnd::PasswordChanged)));
    assert!(world.store.ticket_holder(&[7; 32], at(101)).await.expect("an answer").is_none());
    let rests = "SELECT count(*) FROM credential WHERE rests_on = 'staff' AND origin = 'owner'";
    assert_eq!(world.number(rests).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'credential_activated'").await, 1);
}

/// Threat: everything that ended is used all the same.
async fn what_ended_is_not_activated(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let old = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let good = activated(&account, &id, account.credential_epoch, at(101));
    let expired = at(100).plus(Duration::from_hours(14 * 24));
    for wrong in [
        ActivatedCredential { activation: old, ..good.clone() },
        ActivatedCredential { activation: ActivationId::new(at(100), random()), ..good.clone() },
        ActivatedCredential { portal: Portal::Childminder, ..good.clone() },
        ActivatedCredential { credential_epoch: account.credential_epoch + 1, ..good.clone() },
        ActivatedCredential { guardian: staff.clone(), credential_epoch: 0, ..good.clone() },
        ActivatedCredential { at: expired, ..good.clone() },
    ] {
        let before = contents(&world).await;
        assert_eq!(activate(&world, &wrong).await, ActivateOutcome::ChangedMeanwhile);
        assert_eq!(contents(&world).await, before);
    }
    world.change("UPDATE guardian SET state = 'locked' WHERE kind = 'guardian'").await;
    assert_eq!(activate(&world, &good).await, ActivateOutcome::ChangedMeanwhile);
    world.change("UPDATE guardian SET state = 'active' WHERE kind = 'guardian'").await;
    assert!(matches!(activate(&world, &good).await, ActivateOutcome::Activated(_)));
    let again = ActivatedCredential { credential_epoch: account.credential_epoch + 1, ..good };
    assert_eq!(activate(&world, &again).await, ActivateOutcome::ChangedMeanwhile);
}

/// Threat: the link was removed after the sheet was handed over.
async fn what_is_not_borne_any_more_is_not_activated(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    unconfirm(&world, &account.guardian).await;
    world.change("UPDATE child_link SET confirmed_by = 'source', confirmed_ms = 0").await;
    let before = contents(&world).await;
    let made = activated(&account, &id, account.credential_epoch, at(101));
    assert_eq!(activate(&world, &made).await, ActivateOutcome::NotBorne);
    assert_eq!(contents(&world).await, before);
}

/// Threat: somebody guesses codes.
async fn ten_wrong_codes_end_the_right_one(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let end = async || of_name(&world, "10042").await.and_then(|it| it.activation).and_then(|it| it.end);
    for _ in 0..9 {
        mistype(&world, &id, &account.guardian).await;
    }
    assert_eq!(end().await, None);
    mistype(&world, &id, &account.guardian).await;
    assert_eq!(end().await, Some(ActivationEnd::Exhausted));
    let made = activated(&account, &id, account.credential_epoch, at(111));
    assert_eq!(activate(&world, &made).await, ActivateOutcome::ChangedMeanwhile);
    // A code that ended is counted no further.
    mistype(&world, &id, &account.guardian).await;
    assert_eq!(world.number("SELECT failures FROM activation").await, 10);
}

async fn wrong_codes_at_once_are_counted_exactly(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let world = Arc::new(world);
    at_once((0..9).map(|_| {
        let (world, id, guardian) = (Arc::clone(&world), id.clone(), account.guardian.clone());
        async move { mistype(&world, &id, &guardian).await }
    }))
    .await;
    assert_eq!(world.number("SELECT failures FROM activation WHERE ended_ms IS NULL").await, 9);
}

async fn a_failure_of_a_decoy_runs_the_same_statements(world: World) {
    const STATEMENTS: [&str; 4] = ["begin", "count_wrong_code", "add_audit_event", "commit"];
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    for activation in [id, ActivationId::new(at(100), random())] {
        let runs = STATEMENTS.map(|name| world.metrics.runs_of(name));
        mistype(&world, &activation, &account.guardian).await;
        let after = STATEMENTS.map(|name| world.metrics.runs_of(name));
        assert_eq!(after, runs.map(|before| before + 1));
    }
}

/// B16: one of a thousand wins.
async fn b16_of_a_thousand_that_redeem_one_code_at_once_one_does(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let other = Arc::new(world.replica().await);
    let outcomes = at_once((0..1000).map(|number| {
        let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        let made = activated(&account, &id, account.credential_epoch, at(101));
        async move { store.activate_credential(&made).await }
    }))
    .await;
    // Who found no connection in time has won nothing either.
    let won = outcomes.iter().filter(|it| matches!(it, Ok(ActivateOutcome::Activated(_)))).count();
    assert_eq!(won, 1);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'credential_activated'").await, 1);
    other.close().await;
}

async fn a_link_is_kept_while_it_works_and_leads_to_its_account(world: World) {
    let account = import_reachable(&world, "10042").await;
    confirm(&world, &account.guardian).await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_link(&staff, &account.guardian, at(100), Channel::Email)).await;
    let leased = world.store.lease_messages(Channel::Email, at(100), at(110), 1).await.expect("an answer");
    assert_eq!(leased[0].activation.as_ref(), Some(&id));

    let link = async |digest: [u8; 32], minute| {
        world.store.link_activation(&id, &digest, at(minute)).await.expect("an answer")
    };
    let day = at(100).plus(Duration::from_hours(24));
    assert_eq!(link([1; 32], 101).await, Some(day));
    // The try after a lost answer.
    assert_eq!(link([2; 32], 102).await, Some(day));
    let of_token =
        async |digest: [u8; 32]| world.store.activation_of_token(&digest).await.expect("an answer");
    assert!(of_token([1; 32]).await.is_none());
    let holder = of_token([2; 32]).await.expect("an account");
    assert_eq!(holder.activation.expect("it waits").id, id);
    assert!(holder.has_email && !holder.has_mobile);

    assert_eq!(link([3; 32], 100 + 24 * 60).await, None, "too old");
    world.change("UPDATE guardian SET state = 'locked' WHERE kind = 'guardian'").await;
    assert_eq!(link([3; 32], 103).await, None, "locked");
    world.change("UPDATE guardian SET state = 'active', credential_epoch = credential_epoch + 1").await;
    assert_eq!(link([3; 32], 103).await, None, "another epoch");
    world.change("UPDATE guardian SET credential_epoch = credential_epoch - 1").await;
    issue(&world, &staff, new_sheet(&staff, &account.guardian, at(103))).await;
    assert_eq!(link([3; 32], 104).await, None, "replaced");
}

async fn an_invitation_is_borne_by_an_active_member(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let sheet = new_sheet(&staff, &staff, at(100)).activation;
    let id = sheet.id.clone();
    // As `add_activation` writes it in the transaction of an invitation.
    world
        .change(&format!(
            "INSERT INTO activation (id, organization, portal, guardian_id, rests_on, delivery, credential_epoch, \
             failures, issued_ms, expires_ms) VALUES ('{id}', 'sunnanvik', 'staff', '{staff}', 'invitation', \
             '{}', 0, 0, 0, {})",
            Delivery::Email.as_str(),
            at(1000).as_millis()
        ))
        .await;
    let made = ActivatedCredential {
        guardian: staff.clone(),
        portal: Portal::Staff,
        rests_on: RestsOn::Invitation,
        ..activated(&account, &id, 0, at(101))
    };
    world.change("UPDATE staff_member SET state = 'deactivated'").await;
    assert_eq!(activate(&world, &made).await, ActivateOutcome::NotBorne);
    world.change("UPDATE staff_member SET state = 'active'").await;
    assert!(matches!(activate(&world, &made).await, ActivateOutcome::Activated(_)));
    assert_eq!(world.number("SELECT count(*) FROM credential WHERE rests_on = 'invitation'").await, 1);
}

async fn who_is_deactivated_while_choosing_a_password_has_none(world: World) {
    let account = linked(&world, "10042").await;
    let admin = hire(&world, &[]).await;
    for _ in 0..20 {
        let member = hire(&world, &["s"]).await;
        let id = ActivationId::new(at(100), random());
        world
            .change(&format!(
                "INSERT INTO activation (id, organization, portal, guardian_id, rests_on, delivery, credential_epoch, \
                 failures, issued_ms, expires_ms) VALUES ('{id}', 'sunnanvik', 'staff', '{member}', 'invitation', \
                 'email', 0, 0, 0, {})",
                at(1000).as_millis()
            ))
            .await;
        let made = ActivatedCredential {
            guardian: member.clone(),
            portal: Portal::Staff,
            rests_on: RestsOn::Invitation,
            ..activated(&account, &id, 0, at(101))
        };
        let end = StaffChange {
            staff: member.clone(),
            revision: 1,
            to: StaffRightsChange::Deactivated,
            most_support_persons: 5,
        };
        let act = act(&admin, at(101), Fact::StaffDeactivated, &member);
        let (choosing, ending) = (Arc::clone(&world.store), Arc::clone(&world.store));
        let (chosen, ended) = tokio::join!(
            tokio::spawn(async move { choosing.activate_credential(&made).await }),
            tokio::spawn(async move { ending.change_staff(&act, &end).await }),
        );
        chosen.expect("no panic").expect("an answer");
        let ended = ended.expect("no panic").expect("an answer");
        assert!(matches!(ended, Acted::Now(StaffChangeOutcome::Changed(_))), "{ended:?}");
        let left = format!("SELECT count(*) FROM credential WHERE guardian_id = '{member}'");
        assert_eq!(world.number(&left).await, 0);
    }
}

async fn the_code_of_the_other_portal_goes_on(world: World) {
    let account = linked(&world, "10042").await;
    let contract = "INSERT INTO contract (guardian_id, source, confirmed_by, confirmed_ms) VALUES";
    world.change(&format!("{contract} ('{}', 'staff', 'staff', 0)", account.guardian)).await;
    let staff = hire(&world, &[]).await;
    let parent = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let mut sheet = new_sheet(&staff, &account.guardian, at(100));
    sheet.activation.portal = Portal::Childminder;
    let minder = issue(&world, &staff, sheet).await;
    let epoch = account.credential_epoch;
    let first = activate(&world, &activated(&account, &parent, epoch, at(101))).await;
    assert!(matches!(first, ActivateOutcome::Activated(_)));
    let other = ActivatedCredential {
        portal: Portal::Childminder,
        ..activated(&account, &minder, epoch + 1, at(102))
    };
    assert!(matches!(activate(&world, &other).await, ActivateOutcome::Activated(_)));
    assert_eq!(world.number("SELECT count(*) FROM credential").await, 2);
}

async fn a_changed_password_rests_on_what_it_rested_on(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    activate(&world, &activated(&account, &id, account.credential_epoch, at(101))).await;
    let account = world.account("10042").await;
    ticket(&world, &account, [7; 32]).await;
    let change = NewCredential { replaces: hash(3), ..change(&account, SetPassword::Ticket([7; 32])) };
    world.store.set_password(&change).await.expect("an answer");
    assert_eq!(world.account("10042").await.password.expect("a password").hash, hash(2));
    assert_eq!(world.number("SELECT count(*) FROM credential WHERE rests_on = 'staff'").await, 1);
}

async fn what_ran_out_before_is_swept(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let expires = at(100).plus(Duration::from_hours(14 * 24));
    assert_eq!(world.store.sweep_activations(expires).await.expect("an answer"), 0);
    let later = expires.plus(Duration::from_millis(1));
    assert_eq!(world.store.sweep_activations(later).await.expect("an answer"), 1);
}

on_every_database! {
    what_waits_is_found_by_name_and_then_what_was_last,
    an_activated_password_opens_everything_and_ends_all_sessions,
    what_ended_is_not_activated,
    what_is_not_borne_any_more_is_not_activated,
    ten_wrong_codes_end_the_right_one,
    wrong_codes_at_once_are_counted_exactly,
    a_failure_of_a_decoy_runs_the_same_statements,
    b16_of_a_thousand_that_redeem_one_code_at_once_one_does,
    a_link_is_kept_while_it_works_and_leads_to_its_account,
    an_invitation_is_borne_by_an_active_member,
    who_is_deactivated_while_choosing_a_password_has_none,
    the_code_of_the_other_portal_goes_on,
    a_changed_password_rests_on_what_it_rested_on,
    what_ran_out_before_is_swept,
}
