//! Changes of password by their owners.

use guardian_auth::domain::audit::{Fact, SessionEnd};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::session::Session;
use guardian_auth::ports::store::{
    ChangePasswordStore, ChangeTicket, LoginPasswordStore, NewCredential, OpenOutcome, SessionStore,
    SetPassword, SetPasswordOutcome,
};

use super::on_every_database;
use super::world::{World, at, child, event, guardian, hash, known_device, organization, random, school};

/// The change from password 1 to password 2.
pub(super) fn change(account: &Account, by: SetPassword) -> NewCredential {
    NewCredential {
        guardian: account.guardian.clone(),
        portal: account.portal,
        by,
        replaces: hash(1),
        hash: hash(2),
        credential_epoch: account.credential_epoch,
        at: at(105),
        event: event(Fact::PasswordChanged, Some(&account.guardian)),
        notices: Vec::new(),
    }
}

pub(super) async fn ticket(world: &World, account: &Account, digest: [u8; 32]) {
    let ticket = ChangeTicket {
        digest,
        guardian: account.guardian.clone(),
        portal: account.portal,
        organization: organization("sunnanvik"),
        credential_epoch: account.credential_epoch,
        expires: at(110),
        lane: Lane::UnknownDevice,
        event: event(Fact::ChangeRequired, Some(&account.guardian)),
    };
    assert_eq!(world.store.issue_change_ticket(&ticket).await.expect("an answer"), OpenOutcome::Opened);
}

async fn found(world: &World, session: &Session) -> Session {
    world.store.session(&session.id).await.expect("an answer").expect("a session")
}

async fn a_session_changes_the_password_and_is_the_only_one_to_live_on(world: World) {
    let account = world.guardian("10042").await;
    let (kept, other) = (world.log_in(&account).await, world.log_in(&account).await);
    let outcome = world.store.set_password(&change(&account, SetPassword::Session(kept.id.clone()))).await;
    let SetPasswordOutcome::Set(ended) = outcome.expect("an answer") else { panic!("not set") };
    assert_eq!(ended.sessions, std::slice::from_ref(&other.id));

    let now = world.account("10042").await;
    assert_eq!(now.credential_epoch, account.credential_epoch + 1);
    assert_eq!(now.password.expect("a password").hash, hash(2));
    let kept = found(&world, &kept).await;
    assert_eq!(
        (kept.credential_epoch, kept.account_epoch, kept.ended),
        (now.credential_epoch, now.credential_epoch, None)
    );
    let other = found(&world, &other).await;
    assert_eq!(other.ended, Some((at(105), SessionEnd::PasswordChanged)));
    let feed = world.store.revocations_after(0, 10).await.expect("the feed");
    assert_eq!(feed.iter().map(|revocation| &revocation.session).collect::<Vec<_>>(), [&other.id]);
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'password_changed'").await, 1);
}

async fn a_ticket_changes_the_password_once(world: World) {
    let mut record = guardian("10042");
    record.password.as_mut().expect("a password").must_change = true;
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    let account = world.account("10042").await;
    assert!(account.password.as_ref().expect("a password").must_change);
    ticket(&world, &account, [7; 32]).await;
    ticket(&world, &account, [8; 32]).await;

    let by_ticket = change(&account, SetPassword::Ticket([7; 32]));
    let outcome = world.store.set_password(&by_ticket).await.expect("an answer");
    assert!(matches!(outcome, SetPasswordOutcome::Set(_)));
    let now = world.account("10042").await;
    assert!(!now.password.as_ref().expect("a password").must_change);

    // Neither it nor the other one lives on.
    for digest in [[7; 32], [8; 32]] {
        assert!(world.store.ticket_holder(&digest, at(106)).await.expect("an answer").is_none());
        let mut again = change(&now, SetPassword::Ticket(digest));
        again.replaces = hash(2);
        assert_eq!(
            world.store.set_password(&again).await.expect("an answer"),
            SetPasswordOutcome::ChangedMeanwhile
        );
    }
}

async fn a_change_opens_closed_lanes_and_clears_counters_and_the_expiry(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    for lane in [Lane::UnknownDevice, known_device()] {
        for _ in 0..100 {
            world.fail(&account, lane.clone()).await;
        }
    }
    world.change("UPDATE credential SET expires_ms = 1").await;
    world.store.set_password(&change(&account, SetPassword::Session(session.id))).await.expect("an answer");
    let password = world.account("10042").await.password.expect("a password");
    assert!(
        !password.closed_to_unknown_devices
            && !password.closed_to_known_devices
            && password.expires.is_none()
    );
    assert_eq!(world.fail(&account, Lane::UnknownDevice).await.consecutive, 1);
    assert_eq!(world.fail(&account, known_device()).await.consecutive, 1);
}

/// Nothing of it was written.
async fn refused(world: &World, new: NewCredential) {
    let epochs = "SELECT max(credential_epoch) FROM guardian";
    let before = world.number(epochs).await;
    assert_eq!(
        world.store.set_password(&new).await.expect("an answer"),
        SetPasswordOutcome::ChangedMeanwhile
    );
    assert_eq!(world.number(epochs).await, before);
    assert_eq!(world.account("10042").await.password.expect("a password").hash, hash(1));
    assert_eq!(world.number("SELECT count(*) FROM audit_event WHERE kind = 'password_changed'").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM session WHERE ended_ms IS NOT NULL").await, 0);
}

async fn a_change_by_what_was_read_too_long_ago_changes_nothing(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    let by_session = || SetPassword::Session(session.id.clone());
    refused(
        &world,
        NewCredential { credential_epoch: account.credential_epoch + 1, ..change(&account, by_session()) },
    )
    .await;
    refused(&world, NewCredential { replaces: hash(3), ..change(&account, by_session()) }).await;
    refused(&world, NewCredential { at: session.idle_expires, ..change(&account, by_session()) }).await;
    refused(&world, NewCredential { portal: Portal::Childminder, ..change(&account, by_session()) }).await;
    refused(
        &world,
        NewCredential { guardian: GuardianId::new(at(1), random()), ..change(&account, by_session()) },
    )
    .await;
    refused(&world, change(&account, SetPassword::Ticket([9; 32]))).await;
}

async fn a_ticket_is_of_its_account_and_ends(world: World) {
    let account = world.guardian("10042").await;
    let stranger = world.guardian("10043").await;
    ticket(&world, &stranger, [7; 32]).await;
    refused(&world, change(&account, SetPassword::Ticket([7; 32]))).await;
    ticket(&world, &account, [8; 32]).await;
    refused(&world, NewCredential { at: at(110), ..change(&account, SetPassword::Ticket([8; 32])) }).await;
}

async fn a_session_of_another_or_of_nobody_changes_nothing(world: World) {
    let account = world.guardian("10042").await;
    let stranger = world.log_in(&world.guardian("10043").await).await;
    refused(&world, change(&account, SetPassword::Session(stranger.id))).await;
}

async fn a_locked_account_does_not_change_its_password(world: World) {
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    world.change("UPDATE guardian SET state = 'locked'").await;
    refused(&world, change(&account, SetPassword::Session(session.id))).await;
}

async fn an_account_is_found_with_and_without_a_password(world: World) {
    let account = world.guardian("10042").await;
    let find =
        async |guardian: &GuardianId, portal| world.store.account(guardian, portal).await.expect("an answer");
    let here = find(&account.guardian, Portal::Parent).await.expect("an account");
    assert_eq!(here.password.expect("a password").hash, hash(1));
    let there = find(&account.guardian, Portal::Childminder).await.expect("an account");
    assert!(there.password.is_none() && there.portal == Portal::Childminder);
    assert!(find(&GuardianId::new(at(1), random()), Portal::Parent).await.is_none());
}

on_every_database! {
    a_session_changes_the_password_and_is_the_only_one_to_live_on,
    a_ticket_changes_the_password_once,
    a_change_opens_closed_lanes_and_clears_counters_and_the_expiry,
    a_change_by_what_was_read_too_long_ago_changes_nothing,
    a_ticket_is_of_its_account_and_ends,
    a_session_of_another_or_of_nobody_changes_nothing,
    a_locked_account_does_not_change_its_password,
    an_account_is_found_with_and_without_a_password,
}
