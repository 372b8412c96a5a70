//! Tries to send a message: which of them count, and when it is given up.

use std::time::Duration;

use guardian_auth::domain::audit::Fact;
use guardian_auth::domain::message::{Channel, DeliveryFault, MOST_ATTEMPTS, MessageState};
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::TryCounts::{Always, IfAnotherGotThrough, Never};
use guardian_auth::ports::store::{
    LeasedMessage, OutboxStore, PasswordResetStore, Settlement, TryCounts, TryOutcome,
};

use super::contents::{contents, gained};
use super::on_every_database;
use super::outbox::{put, put_link};
use super::reset_facts::{add_token, import_reachable, is_ended, message};
use super::world::{World, at, event};

/// What is written of a try at minute 105.
pub(super) fn settlement(message: &LeasedMessage, outcome: TryOutcome) -> Settlement {
    Settlement {
        message: message.id.clone(),
        lease: message.lease,
        outcome,
        withdraw: None,
        at: at(105),
        event: event(Fact::MessageUndelivered(DeliveryFault::Deferred), Some(&message.guardian)),
    }
}

pub(super) const fn again(due: Timestamp, counts: TryCounts) -> TryOutcome {
    TryOutcome::Again { fault: DeliveryFault::Deferred, due, counts }
}

async fn lease(world: &World, now: Timestamp) -> LeasedMessage {
    let end = now.plus(Duration::from_mins(10));
    let mut leased = world.store.lease_messages(Channel::Email, now, end, 1).await.expect("an answer");
    leased.pop().expect("a message")
}

async fn settle(world: &World, settlement: &Settlement) -> Option<MessageState> {
    world.store.settle_message(settlement).await.expect("an answer")
}

/// Puts a message in and takes it.
async fn leased(world: &World) -> LeasedMessage {
    let account = import_reachable(world, "10042").await;
    put_link(world, &account).await;
    lease(world, at(100)).await
}

/// How many messages are like this.
async fn count(world: &World, condition: &str) -> i64 {
    world.number(&format!("SELECT count(*) FROM message WHERE {condition}")).await
}

async fn undelivered(world: &World) -> i64 {
    world.number("SELECT count(*) FROM audit_event WHERE kind = 'message_undelivered'").await
}

/// Another message of the channel gets through at this time.
async fn another_is_sent(world: &World, channel: Channel, at: Timestamp) {
    let account = world.account("10042").await;
    let template = Some(guardian_auth::domain::message::Template::NoPassword);
    let mut other = message(Some(&account.guardian), template);
    other.channel = channel;
    let id = other.id.clone();
    put(world, other).await;
    let sent =
        format!("UPDATE message SET state = 'sent', settled_ms = {} WHERE id = '{id}'", at.as_millis());
    world.change(&sent).await;
}

async fn a_message_that_was_taken_is_sent_in_one_statement(world: World) {
    let message = leased(&world).await;
    let begun = world.metrics.runs_of("begin");
    assert_eq!(settle(&world, &settlement(&message, TryOutcome::Sent)).await, Some(MessageState::Sent));
    let later = again(at(120), Never);
    assert_eq!(settle(&world, &settlement(&message, later)).await, None, "it is settled");
    assert_eq!(world.metrics.runs_of("begin"), begun);
    let sent = format!("state = 'sent' AND error IS NULL AND settled_ms = {}", at(105).as_millis());
    assert_eq!(count(&world, &sent).await, 1);
    assert_eq!(undelivered(&world).await, 0);
    let taken = world.store.lease_messages(Channel::Email, at(999), at(1000), 10).await;
    assert!(taken.expect("an answer").is_empty());
}

async fn what_was_given_up_leaves_an_event(world: World) {
    let fault = DeliveryFault::RecipientRefused;
    let ends =
        [(TryOutcome::Failed(fault), MessageState::Failed), (TryOutcome::TooOld(fault), MessageState::Dead)];
    for (outcome, state) in ends {
        let message = leased(&world).await;
        let before = contents(&world).await;
        assert_eq!(settle(&world, &settlement(&message, outcome)).await, Some(state));
        assert_eq!(gained(&before, &contents(&world).await), [("audit_event", 1)].into());
        let given_up = format!(
            "state = '{}' AND error = 'recipient_refused' AND settled_ms = {}",
            state.as_str(),
            at(105).as_millis()
        );
        assert_eq!(count(&world, &given_up).await, 1);
    }
    assert_eq!(undelivered(&world).await, 2);
}

async fn who_lost_the_lease_writes_nothing(world: World) {
    let first = leased(&world).await;
    let account = world.account("10042").await;
    add_token(&world, &account, [7; 32]).await;
    let second = lease(&world, at(110)).await;
    let before = contents(&world).await;
    let fault = DeliveryFault::RecipientRefused;
    let outcomes = [
        TryOutcome::Sent,
        TryOutcome::Failed(fault),
        TryOutcome::TooOld(fault),
        again(at(130), IfAnotherGotThrough),
        again(at(130), Never),
    ];
    for outcome in outcomes {
        for withdraw in [None, Some([7; 32])] {
            let lost = Settlement { withdraw, ..settlement(&first, outcome.clone()) };
            assert_eq!(settle(&world, &lost).await, None);
        }
    }
    assert_eq!(contents(&world).await, before);
    assert_eq!(settle(&world, &settlement(&second, TryOutcome::Sent)).await, Some(MessageState::Sent));
    let before = contents(&world).await;
    assert_eq!(settle(&world, &settlement(&second, TryOutcome::Failed(fault))).await, None, "it is settled");
    assert_eq!(contents(&world).await, before);
}

async fn a_message_comes_back_when_it_is_due(world: World) {
    let message = leased(&world).await;
    let state = settle(&world, &settlement(&message, again(at(120), Never))).await;
    assert_eq!(state, Some(MessageState::Queued));
    let before = at(120).minus(Duration::from_millis(1));
    let early = world.store.lease_messages(Channel::Email, before, at(130), 10).await.expect("an answer");
    assert!(early.is_empty());
    let back = lease(&world, at(120)).await;
    assert_eq!((&back.id, back.attempts, back.created), (&message.id, 0, message.created));
    assert_eq!(count(&world, "error = 'deferred' AND settled_ms IS NULL").await, 1);
}

/// An outage of the mail server uses up nobody's tries.
async fn a_try_counts_if_another_message_got_through_since_the_last_one(world: World) {
    let mut message = leased(&world).await;
    let mut minute = 101;
    let mut try_again = async |counts| {
        let tried = Settlement { at: at(minute), ..settlement(&message, again(at(minute + 1), counts)) };
        assert_eq!(settle(&world, &tried).await, Some(MessageState::Queued));
        message = lease(&world, at(minute + 1)).await;
        minute += 2;
        (message.attempts, minute - 2)
    };
    // Nothing was ever sent.
    assert_eq!(try_again(IfAnotherGotThrough).await, (0, 101));
    assert_eq!(try_again(IfAnotherGotThrough).await, (0, 103));
    another_is_sent(&world, Channel::Email, at(102)).await;
    another_is_sent(&world, Channel::Sms, at(104)).await;
    assert_eq!(try_again(IfAnotherGotThrough).await.0, 0, "sent before the last try, or by another way");
    another_is_sent(&world, Channel::Email, at(106)).await;
    assert_eq!(try_again(Never).await.0, 0, "one that may not count does not");
    assert_eq!(try_again(IfAnotherGotThrough).await.0, 1, "and takes nothing from the next one");
    assert_eq!(try_again(IfAnotherGotThrough).await, (1, 111), "once for each that got through");
    another_is_sent(&world, Channel::Email, at(111)).await;
    assert_eq!(try_again(IfAnotherGotThrough).await.0, 2, "in the same millisecond is since");
    assert_eq!(try_again(Always).await.0, 3, "whether or not another got through");
    let failed = count(&world, "state = 'queued' AND attempts = 3 AND error = 'deferred'").await;
    assert_eq!(failed, 1);
}

async fn a_message_is_dead_after_the_last_try_that_counts(world: World) {
    let mut message = leased(&world).await;
    another_is_sent(&world, Channel::Email, at(9999)).await;
    for attempt in 1..MOST_ATTEMPTS {
        let minute = 100 + 2 * attempt;
        let tried =
            Settlement { at: at(minute), ..settlement(&message, again(at(minute + 1), IfAnotherGotThrough)) };
        assert_eq!(settle(&world, &tried).await, Some(MessageState::Queued));
        message = lease(&world, at(minute + 1)).await;
        assert_eq!(message.attempts, attempt);
    }
    assert_eq!(undelivered(&world).await, 0);
    let not_counted = Settlement { at: at(130), ..settlement(&message, again(at(131), Never)) };
    assert_eq!(settle(&world, &not_counted).await, Some(MessageState::Queued));
    let message = lease(&world, at(131)).await;
    let last = Settlement { at: at(132), ..settlement(&message, again(at(133), IfAnotherGotThrough)) };
    assert_eq!(settle(&world, &last).await, Some(MessageState::Dead));
    assert_eq!(undelivered(&world).await, 1);
    let dead = format!(
        "state = 'dead' AND attempts = {MOST_ATTEMPTS} AND error = 'deferred' AND settled_ms = {}",
        at(132).as_millis()
    );
    assert_eq!(count(&world, &dead).await, 1);
    let taken = world.store.lease_messages(Channel::Email, at(999), at(1000), 10).await;
    assert!(taken.expect("an answer").is_empty());
}

async fn a_token_that_nobody_has_is_withdrawn_with_its_message(world: World) {
    let message = leased(&world).await;
    let account = world.account("10042").await;
    add_token(&world, &account, [7; 32]).await;
    add_token(&world, &account, [8; 32]).await;
    let withdrawn = Settlement { withdraw: Some([7; 32]), ..settlement(&message, again(at(120), Never)) };
    assert_eq!(settle(&world, &withdrawn).await, Some(MessageState::Queued));
    assert!(is_ended(&world, [7; 32]).await && !is_ended(&world, [8; 32]).await);
    let end = format!("end_reason = 'withdrawn' AND ended_ms = {}", at(105).as_millis());
    let ends = format!("SELECT count(*) FROM reset_token WHERE {end}");
    assert_eq!(world.number(&ends).await, 1);

    // One that ended in another way keeps its end.
    world.change("UPDATE reset_token SET ended_ms = 5, end_reason = 'used'").await;
    let message = lease(&world, at(120)).await;
    let fault = DeliveryFault::RecipientRefused;
    let failed = Settlement { withdraw: Some([8; 32]), ..settlement(&message, TryOutcome::Failed(fault)) };
    assert_eq!(settle(&world, &failed).await, Some(MessageState::Failed));
    assert_eq!(world.number(&ends).await, 0);
    assert!(world.store.reset_token(&[8; 32]).await.expect("an answer").expect("a token").is_ended);
}

on_every_database! {
    a_message_that_was_taken_is_sent_in_one_statement,
    what_was_given_up_leaves_an_event,
    who_lost_the_lease_writes_nothing,
    a_message_comes_back_when_it_is_due,
    a_try_counts_if_another_message_got_through_since_the_last_one,
    a_message_is_dead_after_the_last_try_that_counts,
    a_token_that_nobody_has_is_withdrawn_with_its_message,
}
