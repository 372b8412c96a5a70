//! The outbox: what is put in is taken by one worker at a time, and stays with what became of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::directory::Contact;
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::identifier::{Mobile, Region};
use guardian_auth::domain::login_password::{Account, AccountState};
use guardian_auth::domain::message::{Channel, NewMessage, Template};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::passphrase::Locale;
use guardian_auth::domain::password_reset::EmailOnFile;
use guardian_auth::ports::store::{
    LeasedMessage, OutboxLevel, OutboxStore, PasswordResetStore, SettleOutcome, TryOutcome,
};

use super::on_every_database;
use super::outbox_tries::settlement;
use super::races::at_once;
use super::reset_facts::{
    ADDRESS, budget, email, import_reachable, leased_request, message, reachable, settled,
};
use super::world::{World, at, child, guardian, organization, random, school};

/// Puts a message in by the way that requests for links do.
pub(super) async fn put(world: &World, message: NewMessage) {
    let leased = leased_request(world).await;
    let subject = message.id.to_string();
    let mut settled = settled(&leased, None, budget(&subject, 1, 1, at(100)));
    settled.granted.message = message;
    let outcome = world.store.settle_reset(&settled).await.expect("an answer");
    assert_eq!(outcome, SettleOutcome::Granted);
}

/// Puts a link to the account in.
pub(super) async fn put_link(world: &World, account: &Account) -> NewMessage {
    let message = message(Some(&account.guardian), Some(Template::ResetLink));
    put(world, message.clone()).await;
    message
}

async fn take(world: &World, channel: Channel) -> Vec<LeasedMessage> {
    world.store.lease_messages(channel, at(100), at(110), 100).await.expect("an answer")
}

async fn a_message_is_read_back_as_it_was_put_in(world: World) {
    let account = import_reachable(&world, "10042").await;
    let full = message(Some(&account.guardian), Some(Template::ResetLink));
    let bare = NewMessage {
        portal: Portal::Childminder,
        locale: None,
        reference: None,
        ..message(Some(&account.guardian), Some(Template::PasswordChanged))
    };
    let text = NewMessage { channel: Channel::Sms, ..full.clone() };
    let text = NewMessage { idempotency_key: "another".to_owned(), ..text };
    let text = NewMessage { id: guardian_auth::domain::id::MessageId::new(at(100), random()), ..text };
    for message in [&full, &bare, &text] {
        put(&world, message.clone()).await;
    }
    put(&world, message(Some(&account.guardian), None)).await;
    put(&world, message(None, None)).await;

    let read_back = |message: &NewMessage| LeasedMessage {
        id: message.id.clone(),
        lease: at(110),
        organization: organization("sunnanvik"),
        portal: message.portal,
        guardian: account.guardian.clone(),
        channel: message.channel,
        template: message.template.expect("a template"),
        locale: message.locale,
        reference: message.reference.clone(),
        activation: None,
        attempts: 0,
        created: at(100),
    };
    let mut expected = vec![read_back(&full), read_back(&bare)];
    expected.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(take(&world, Channel::Email).await, expected);
    assert_eq!(take(&world, Channel::Sms).await, [read_back(&text)]);
}

async fn a_leased_message_is_nobody_elses_until_the_lease_ends(world: World) {
    let account = import_reachable(&world, "10042").await;
    put_link(&world, &account).await;
    let lease = async |now, end| {
        world.store.lease_messages(Channel::Email, now, end, 10).await.expect("an answer").len()
    };
    let just_before = |minute| at(minute).minus(Duration::from_millis(1));
    assert_eq!(lease(just_before(100), at(102)).await, 0, "not due yet");
    assert_eq!(lease(at(100), at(102)).await, 1);
    assert_eq!(lease(just_before(102), at(103)).await, 0);
    assert_eq!(lease(at(102), at(104)).await, 1);
}

async fn those_due_longest_are_taken_first(world: World) {
    let account = import_reachable(&world, "10042").await;
    for minute in [3, 1, 5, 2, 4] {
        let message = message(Some(&account.guardian), Some(Template::ResetLink));
        put(&world, NewMessage { at: at(minute), ..message }).await;
    }
    let mut taken = Vec::new();
    for _ in 0..5 {
        let leased = world.store.lease_messages(Channel::Email, at(100), at(110), 1).await;
        taken.push(leased.expect("an answer").remove(0).created);
    }
    assert_eq!(taken, [1, 2, 3, 4, 5].map(at));
}

async fn of_replicas_that_take_at_once_no_two_get_one_message(world: World) {
    let account = import_reachable(&world, "10042").await;
    let other = Arc::new(world.replica().await);
    for _ in 0..100 {
        put_link(&world, &account).await;
    }
    let taken = at_once((0..8).map(|worker| {
        let store = if worker % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        async move {
            let mut taken = Vec::new();
            for _ in 0..10 {
                let leased = store.lease_messages(Channel::Email, at(100), at(110), 5).await;
                let leased = leased.expect("an answer");
                assert!(leased.len() <= 5);
                for message in leased {
                    // Half of them are settled at once, so that rows change under the others.
                    if worker % 2 == 0 {
                        let settled = settlement(&message, TryOutcome::Sent);
                        assert!(store.settle_message(&settled).await.expect("an answer").is_some());
                    }
                    taken.push(message.id);
                }
            }
            taken
        }
    }))
    .await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken.len(), 100);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 100);
    other.close().await;
}

async fn a_recipient_is_told_as_on_file_now(world: World) {
    let mut record = reachable("10042");
    let mobile = Mobile::parse("+46701740605", Region::Se).expect("a mobile number");
    record.mobile = Some(Contact { delivered: "070-174 06 05".to_owned(), canonical: Some(mobile.clone()) });
    world.import(vec![school("s"), child("c", "s"), record.into(), guardian("10043").into()]).await;
    let account = world.account("10042").await;
    let find = async |account: &Account, portal| {
        let found = world.store.recipient(&account.guardian, portal).await.expect("an answer");
        found.expect("a guardian")
    };
    let here = find(&account, Portal::Parent).await;
    assert_eq!(here.email, EmailOnFile::Usable(email(ADDRESS)));
    assert_eq!((here.mobile, here.locale), (Some(mobile), Locale::Sv));
    assert_eq!((here.state, here.credential_epoch), (AccountState::Active, account.credential_epoch));
    assert!(here.has_password);
    assert!(!find(&account, Portal::Childminder).await.has_password);
    let other = find(&world.account("10043").await, Portal::Parent).await;
    assert_eq!((other.email, other.mobile), (EmailOnFile::Absent, None));
    let nobody = GuardianId::new(at(1), random());
    assert!(world.store.recipient(&nobody, Portal::Parent).await.expect("an answer").is_none());
    world.change("UPDATE guardian SET state = 'locked', credential_epoch = 7, email_canonical = NULL").await;
    let changed = find(&account, Portal::Parent).await;
    assert_eq!((changed.state, changed.credential_epoch), (AccountState::Locked, 7));
    assert_eq!(changed.email, EmailOnFile::Unusable);
}

async fn what_waits_is_counted_by_channel(world: World) {
    let empty = Channel::ALL.map(|channel| OutboxLevel { channel, queued: 0, oldest: None });
    assert_eq!(world.store.outbox_levels().await.expect("levels"), empty);
    let account = import_reachable(&world, "10042").await;
    for minute in [7, 5, 6] {
        let message = message(Some(&account.guardian), Some(Template::ResetLink));
        put(&world, NewMessage { at: at(minute), ..message }).await;
    }
    put(&world, message(Some(&account.guardian), None)).await;
    let oldest = world.store.lease_messages(Channel::Email, at(100), at(110), 1).await.expect("one");
    let level = |queued, oldest| {
        [
            OutboxLevel { channel: Channel::Email, queued, oldest },
            OutboxLevel { channel: Channel::Sms, queued: 0, oldest: None },
        ]
    };
    // One that is being sent waits as well.
    assert_eq!(world.store.outbox_levels().await.expect("levels"), level(3, Some(at(5))));
    world.store.settle_message(&settlement(&oldest[0], TryOutcome::Sent)).await.expect("an answer");
    assert_eq!(world.store.outbox_levels().await.expect("levels"), level(2, Some(at(6))));
}

async fn settled_messages_are_swept_and_waiting_ones_stay(world: World) {
    let account = import_reachable(&world, "10042").await;
    for _ in 0..3 {
        put_link(&world, &account).await;
    }
    put(&world, message(None, None)).await;
    let leased = world.store.lease_messages(Channel::Email, at(100), at(110), 1).await.expect("one");
    world.store.settle_message(&settlement(&leased[0], TryOutcome::Sent)).await.expect("an answer");
    let sweep = async |before| world.store.sweep_messages(before).await.expect("an answer");
    assert_eq!(sweep(at(100)).await, 0);
    assert_eq!(sweep(at(101)).await, 1, "the one that said nothing");
    assert_eq!(sweep(at(105)).await, 0);
    assert_eq!(sweep(at(9999)).await, 1, "the one that was sent");
    assert_eq!(world.number("SELECT count(*) FROM message WHERE state = 'queued'").await, 2);
}

on_every_database! {
    a_message_is_read_back_as_it_was_put_in,
    a_leased_message_is_nobody_elses_until_the_lease_ends,
    those_due_longest_are_taken_first,
    of_replicas_that_take_at_once_no_two_get_one_message,
    a_recipient_is_told_as_on_file_now,
    what_waits_is_counted_by_channel,
    settled_messages_are_swept_and_waiting_ones_stay,
}
