//! Setting a password through a reset link: everything at once, or nothing.

use std::time::Duration;

use guardian_auth::domain::audit::SessionEnd;
use guardian_auth::domain::directory::{Contact, Relation};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    ChangePasswordStore, ConfirmedReset, NewCredential, NewResetToken, PasswordResetStore, ResetOutcome,
    SessionStore, SetPassword, SetPasswordOutcome,
};

use super::change_password::{change, ticket};
use super::contents::{contents, gained};
use super::on_every_database;
use super::reset_facts::{
    add_token, confirmed, email, import_reachable, is_ended, message, reachable, token,
};
use super::world::{
    World, at, child, child_relation, debtor_login, event, hash, known_device, random, school,
};

async fn confirm(world: &World, confirmed: &ConfirmedReset) -> ResetOutcome {
    world.store.confirm_reset(confirmed).await.expect("an answer")
}

async fn a_link_sets_the_password_and_ends_all_that_rested_on_the_old_one(world: World) {
    let account = import_reachable(&world, "10042").await;
    let stranger = import_reachable(&world, "10043").await;
    let sessions = [world.log_in(&account).await.id, world.log_in(&account).await.id];
    let untouched = world.log_in(&stranger).await;
    ticket(&world, &account, [3; 32]).await;
    add_token(&world, &account, [7; 32]).await;
    add_token(&world, &account, [8; 32]).await;
    add_token(&world, &stranger, [9; 32]).await;
    let there = NewResetToken { portal: Portal::Childminder, ..token(&account, [10; 32]) };
    world.store.add_reset_token(&there).await.expect("it is kept");
    for lane in [Lane::UnknownDevice, known_device()] {
        for _ in 0..100 {
            world.fail(&account, lane.clone()).await;
        }
    }
    world.change("UPDATE credential SET must_change = 1").await;
    let before = contents(&world).await;

    let confirmed = confirmed(&account, [7; 32]);
    let ResetOutcome::Reset(mut ended) = confirm(&world, &confirmed).await else { panic!("not set") };
    ended.sessions.sort();
    let mut expected = sessions.to_vec();
    expected.sort();
    assert_eq!((ended.sessions, ended.live), (expected, 2));
    let expected = [("audit_event", 1), ("change_ticket", -1), ("message", 1), ("revocation", 2)];
    assert_eq!(gained(&before, &contents(&world).await), expected.into());

    let now = world.account("10042").await;
    assert_eq!(now.credential_epoch, account.credential_epoch + 1);
    let password = now.password.as_ref().expect("a password");
    assert_eq!(password.hash, hash(2));
    assert!(!password.must_change && password.expires.is_none());
    assert!(!password.closed_to_unknown_devices && !password.closed_to_known_devices);
    assert_eq!(world.number("SELECT count(*) FROM credential WHERE origin = 'owner'").await, 1);
    assert_eq!(world.fail(&now, Lane::UnknownDevice).await.consecutive, 1);
    assert_eq!(world.fail(&now, known_device()).await.consecutive, 1);
    for session in &sessions {
        let session = world.store.session(session).await.expect("an answer").expect("a session");
        assert_eq!(session.ended, Some((at(105), SessionEnd::PasswordReset)));
    }
    let other = world.store.session(&untouched.id).await.expect("an answer").expect("a session");
    assert_eq!(other.ended, None);
    assert!(
        is_ended(&world, [7; 32]).await
            && is_ended(&world, [8; 32]).await
            && is_ended(&world, [10; 32]).await
    );
    assert!(!is_ended(&world, [9; 32]).await);
    let ends = "SELECT count(*) FROM reset_token WHERE end_reason = ";
    assert_eq!(world.number(&format!("{ends}'used'")).await, 1);
    assert_eq!(world.number(&format!("{ends}'superseded'")).await, 2);
    let notice = "SELECT count(*) FROM message WHERE state = 'queued' AND template = 'password_changed'";
    assert_eq!(world.number(notice).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'password_reset'").await, 1);
}

/// Nothing at all was written.
async fn refused(world: &World, why: &str, confirmed: ConfirmedReset) {
    let before = contents(world).await;
    assert_eq!(confirm(world, &confirmed).await, ResetOutcome::ChangedMeanwhile, "{why}");
    assert_eq!(contents(world).await, before, "{why}");
}

/// An account with everything that a reset ends, and a good token.
async fn ready(world: &World) -> Account {
    let account = import_reachable(world, "10042").await;
    world.log_in(&account).await;
    ticket(world, &account, [3; 32]).await;
    add_token(world, &account, [7; 32]).await;
    add_token(world, &account, [8; 32]).await;
    account
}

async fn a_link_works_once(world: World) {
    let account = ready(&world).await;
    assert!(matches!(confirm(&world, &confirmed(&account, [7; 32])).await, ResetOutcome::Reset(_)));
    let now = world.account("10042").await;
    refused(&world, "used", confirmed(&now, [7; 32])).await;
    refused(&world, "superseded", confirmed(&now, [8; 32])).await;
    // Had the epoch not been bumped, the end alone would have to do.
    world.change("UPDATE guardian SET credential_epoch = credential_epoch - 1").await;
    refused(&world, "used", confirmed(&account, [7; 32])).await;
    refused(&world, "superseded", confirmed(&account, [8; 32])).await;
}

async fn what_is_not_as_it_was_read_sets_nothing(world: World) {
    let account = ready(&world).await;
    let stranger = import_reachable(&world, "10043").await;
    add_token(&world, &stranger, [9; 32]).await;
    let good = || confirmed(&account, [7; 32]);
    refused(&world, "no such token", confirmed(&account, [1; 32])).await;
    refused(&world, "another's token", confirmed(&account, [9; 32])).await;
    refused(&world, "expired now", ConfirmedReset { at: at(160), ..good() }).await;
    refused(&world, "expired", ConfirmedReset { at: at(170), ..good() }).await;
    refused(&world, "no guardian", ConfirmedReset { guardian: GuardianId::new(at(1), random()), ..good() })
        .await;
    refused(&world, "other portal", ConfirmedReset { portal: Portal::Childminder, ..good() }).await;
    refused(&world, "other address", ConfirmedReset { email: email("eva@example.se"), ..good() }).await;
    let epoch = account.credential_epoch + 1;
    refused(&world, "other epoch read", ConfirmedReset { credential_epoch: epoch, ..good() }).await;
    // And at the last millisecond it works.
    let last = at(160).minus(Duration::from_millis(1));
    assert!(matches!(confirm(&world, &ConfirmedReset { at: last, ..good() }).await, ResetOutcome::Reset(_)));
}

/// Changes the database, sees that the link sets nothing, and changes it back.
async fn refused_while(world: &World, account: &Account, change: &str, back: &str) {
    world.change(change).await;
    refused(world, change, confirmed(account, [7; 32])).await;
    world.change(back).await;
}

async fn what_has_changed_since_sets_nothing(world: World) {
    let account = ready(&world).await;
    let bump = "UPDATE guardian SET credential_epoch = credential_epoch + 1";
    let back = "UPDATE guardian SET credential_epoch = credential_epoch - 1";
    refused_while(&world, &account, bump, back).await;
    let active = "UPDATE guardian SET state = 'active'";
    refused_while(&world, &account, "UPDATE guardian SET state = 'locked'", active).await;
    refused_while(&world, &account, "UPDATE guardian SET state = 'merged'", active).await;
    let same = "UPDATE guardian SET email_canonical = 'maja@example.se'";
    refused_while(&world, &account, "UPDATE guardian SET email_canonical = 'eva@example.se'", same).await;
    refused_while(&world, &account, "UPDATE guardian SET email_canonical = NULL", same).await;
    let withdrawn = "UPDATE reset_token SET ended_ms = 1, end_reason = 'withdrawn'";
    let alive = "UPDATE reset_token SET ended_ms = NULL, end_reason = NULL";
    refused_while(&world, &account, withdrawn, alive).await;
    let other_epoch = "UPDATE reset_token SET credential_epoch = credential_epoch + 1";
    let same_epoch = "UPDATE reset_token SET credential_epoch = credential_epoch - 1";
    refused_while(&world, &account, other_epoch, same_epoch).await;
    let endless = "UPDATE credential SET expires_ms = NULL";
    let ending = |minute| format!("UPDATE credential SET expires_ms = {}", at(minute).as_millis());
    refused_while(&world, &account, &ending(105), endless).await;
    refused_while(&world, &account, &ending(104), endless).await;
    let none = "UPDATE credential SET portal = 'childminder'";
    refused_while(&world, &account, none, "UPDATE credential SET portal = 'parent'").await;
    // All is back: the link was good all along. A credential that has not ended yet is set free of its end.
    world.change(&ending(106)).await;
    assert!(matches!(confirm(&world, &confirmed(&account, [7; 32])).await, ResetOutcome::Reset(_)));
    assert!(world.account("10042").await.password.expect("a password").expires.is_none());
}

/// Both accounts have a password: only the token tells which one it sets.
async fn a_link_for_one_portal_sets_no_password_at_the_other(world: World) {
    let mut record = reachable("10042");
    record.logins.push(debtor_login(Portal::Childminder, "10042"));
    record.relations.push(Relation::Contract { confirmed: true });
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    world
        .change(
            "INSERT INTO credential SELECT guardian_id, 'childminder', organization, hash, hash_parameters, origin, \
             import_fingerprint, must_change, expires_ms, failures_unknown, failures_known, closed_unknown_ms, \
             closed_known_ms, set_ms, rests_on FROM credential",
        )
        .await;
    let account = world.account("10042").await;
    add_token(&world, &account, [7; 32]).await;
    let there = ConfirmedReset { portal: Portal::Childminder, ..confirmed(&account, [7; 32]) };
    refused(&world, "other portal", there).await;
    assert!(matches!(confirm(&world, &confirmed(&account, [7; 32])).await, ResetOutcome::Reset(_)));
    let other = world.candidates(Portal::Childminder, "10042").await.here.expect("an account");
    assert_eq!(other.password.expect("a password").hash, hash(1));
}

async fn a_change_of_password_ends_reset_tokens_and_tells_the_owner(world: World) {
    let account = ready(&world).await;
    let stranger = import_reachable(&world, "10043").await;
    add_token(&world, &stranger, [9; 32]).await;
    let notice =
        message(Some(&account.guardian), Some(guardian_auth::domain::message::Template::PasswordChanged));
    let by = SetPassword::Ticket([3; 32]);
    let refused =
        NewCredential { replaces: hash(5), notices: vec![notice.clone()], ..change(&account, by.clone()) };
    let before = contents(&world).await;
    let outcome = world.store.set_password(&refused).await.expect("an answer");
    assert_eq!(outcome, SetPasswordOutcome::ChangedMeanwhile);
    assert_eq!(contents(&world).await, before);

    let new = NewCredential { notices: vec![notice], ..change(&account, by) };
    let outcome = world.store.set_password(&new).await.expect("an answer");
    assert!(matches!(outcome, SetPasswordOutcome::Set(_)));
    let superseded = "SELECT count(*) FROM reset_token WHERE end_reason = 'superseded'";
    assert_eq!(world.number(superseded).await, 2);
    assert!(!is_ended(&world, [9; 32]).await);
    assert_eq!(world.number("SELECT count(*) FROM message WHERE state = 'queued'").await, 1);
}

/// An import neither ends links nor stumbles over them: what it changed makes them worthless.
async fn an_import_that_changes_the_account_makes_its_links_worthless(world: World) {
    let account = ready(&world).await;
    let mut moved = reachable("10042");
    moved.email =
        Some(Contact { delivered: "eva@example.se".to_owned(), canonical: Some(email("eva@example.se")) });
    world.import(vec![moved.into()]).await;
    refused(&world, "the source changed the address", confirmed(&account, [7; 32])).await;
    let mut unconfirmed = reachable("10042");
    unconfirmed.relations = vec![child_relation("c", false)];
    world.import(vec![unconfirmed.into()]).await;
    refused(&world, "the source took the password back", confirmed(&account, [7; 32])).await;
    assert_eq!(world.number("SELECT count(*) FROM credential").await, 0);
    assert!(!is_ended(&world, [7; 32]).await);
    // Read anew it is still of another epoch, and there is nothing to set.
    let now = world.account("10042").await;
    refused(&world, "another epoch", confirmed(&now, [7; 32])).await;
    add_token(&world, &now, [9; 32]).await;
    refused(&world, "no password", confirmed(&now, [9; 32])).await;
}

/// The log comes last: if it cannot be written, nothing is.
async fn a_reset_whose_event_cannot_be_written_sets_nothing(world: World) {
    let account = ready(&world).await;
    let good = confirmed(&account, [7; 32]);
    let taken = event(good.event.fact, None);
    guardian_auth::ports::store::AuditStore::record_events(
        world.store.as_ref(),
        std::slice::from_ref(&taken),
    )
    .await
    .expect("it is written");
    let before = contents(&world).await;
    let mut twice = good;
    twice.event.id = taken.id;
    world.store.confirm_reset(&twice).await.expect_err("one id twice");
    assert_eq!(contents(&world).await, before);
}

on_every_database! {
    a_link_sets_the_password_and_ends_all_that_rested_on_the_old_one,
    a_link_works_once,
    what_is_not_as_it_was_read_sets_nothing,
    what_has_changed_since_sets_nothing,
    a_link_for_one_portal_sets_no_password_at_the_other,
    a_change_of_password_ends_reset_tokens_and_tells_the_owner,
    an_import_that_changes_the_account_makes_its_links_worthless,
    a_reset_whose_event_cannot_be_written_sets_nothing,
}
