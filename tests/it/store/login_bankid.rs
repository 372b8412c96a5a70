//! BankID orders: what they come to, once.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::audit::{EidCause, Event, Fact};
use guardian_auth::domain::bankid::{BankIdFault, Device, HintCode, OrderState};
use guardian_auth::domain::id::BankIdLoginId;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{BankIdOrder, LoginBankIdStore, Progress};

use super::contents::{contents, gained};
use super::eid_facts::{begin, begun, complete, failed, lease, note, order, sealed, signed, standing};
use super::on_every_database;
use super::races::at_once;
use super::world::{World, at, event, random};

fn cancelled() -> Event {
    event(Fact::EidLoginDenied(EidCause::BankId(BankIdFault::Cancelled)), None)
}

async fn cancel(world: &World, id: &BankIdLoginId) -> bool {
    world.store.cancel_bankid_order(id, &cancelled()).await.expect("an answer")
}

async fn an_order_is_read_back_as_it_was_begun(world: World) {
    let bare = BankIdOrder { address: None, user_agent: String::new(), ..order() };
    let full = BankIdOrder {
        portal: Portal::Childminder,
        device: Device::Same,
        nonce_digest: Some(random()),
        state: OrderState::Complete,
        hint: Some(HintCode::new("userSign")),
        fault: Some(BankIdFault::Risk),
        result: Some(sealed()),
        address: Some("2001:db8::7".parse().expect("an address")),
        started: at(101),
        restarts: 3,
        ..order()
    };
    for order in [&bare, &full] {
        begin(&world, order).await;
        assert_eq!(standing(&world, &order.id).await, *order);
    }
    let unknown = BankIdLoginId::new(at(100), random());
    assert_eq!(world.store.bankid_order(&unknown).await.expect("an answer"), None);
    let again = world.store.add_bankid_order(&bare, &lease("two")).await;
    assert!(matches!(again, Err(PortError::Conflict(_))), "{again:?}");
}

async fn several_orders_are_read_at_once_and_those_that_are_gone_left_out(world: World) {
    let mut orders = Vec::new();
    for _ in 0..45 {
        orders.push(begun(&world).await);
    }
    begun(&world).await;
    let mut ids: Vec<BankIdLoginId> = orders.iter().map(|order| order.id.clone()).collect();
    ids.push(BankIdLoginId::new(at(1), random()));
    let mut found = world.store.bankid_orders(&ids).await.expect("an answer");
    found.sort_by(|one, other| one.id.cmp(&other.id));
    orders.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(found, orders);
    assert!(world.store.bankid_orders(&[]).await.expect("an answer").is_empty());
}

/// As one that the next release writes may be.
async fn an_order_that_cannot_be_read_hides_no_other(world: World) {
    let (one, other) = (begun(&world).await, begun(&world).await);
    world.change(&format!("UPDATE bankid_order SET device = 'watch' WHERE id = '{}'", one.id)).await;
    let ids = [one.id.clone(), other.id.clone()];
    assert_eq!(world.store.bankid_orders(&ids).await.expect("an answer"), std::slice::from_ref(&other));
    let leased = world.store.lease_bankid_orders(&lease("two"), at(101), 10).await.expect("an answer");
    assert_eq!(leased, [other]);
    let alone = world.store.bankid_order(&one.id).await;
    assert!(matches!(alone, Err(PortError::Corrupt(_))), "{alone:?}");
}

async fn a_hint_replaces_the_last_one(world: World) {
    let order = begun(&world).await;
    for code in ["outstandingTransaction", "userSign"] {
        let before = contents(&world).await;
        let hint = HintCode::new(code);
        assert!(note(&world, &order.id, "one", &Progress::Hint(hint.clone())).await);
        let expected = BankIdOrder { hint: Some(hint), ..order.clone() };
        assert_eq!(standing(&world, &order.id).await, expected);
        assert!(gained(&before, &contents(&world).await).is_empty());
    }
}

async fn a_restart_is_a_new_order_under_the_same_name(world: World) {
    let order = begun(&world).await;
    for restarts in 1..=2 {
        assert!(note(&world, &order.id, "one", &Progress::Hint(HintCode::new("noClient"))).await);
        let restarted = Progress::Restarted { sealed: sealed(), started: at(100 + restarts) };
        assert!(note(&world, &order.id, "one", &restarted).await);
        let Progress::Restarted { sealed, started } = restarted else { panic!("a restart") };
        let expected = BankIdOrder { sealed, started, restarts, ..order.clone() };
        assert_eq!(standing(&world, &order.id).await, expected);
    }
}

async fn a_signed_order_waits_with_its_result_and_nobody_collects_it(world: World) {
    let order = begun(&world).await;
    let progress = complete();
    assert!(note(&world, &order.id, "one", &progress).await);
    let Progress::Complete { result, expires } = progress else { panic!("complete") };
    let expected =
        BankIdOrder { state: OrderState::Complete, result: Some(result), expires, ..order.clone() };
    assert_eq!(standing(&world, &order.id).await, expected);
    is_nobodys(&world, &order.id).await;
}

async fn a_failed_order_says_why_and_writes_the_event(world: World) {
    for hint in [None, Some(HintCode::new("userCancel"))] {
        let order = begun(&world).await;
        assert!(note(&world, &order.id, "one", &Progress::Hint(HintCode::new("userSign"))).await);
        let before = contents(&world).await;
        let fault = BankIdFault::Failed;
        let event = event(Fact::EidLoginDenied(EidCause::BankId(fault)), None);
        let progress = Progress::Failed { hint: hint.clone(), fault, event: Box::new(event) };
        assert!(note(&world, &order.id, "one", &progress).await);
        assert_eq!(gained(&before, &contents(&world).await), [("audit_event", 1)].into());
        let expected = BankIdOrder { state: OrderState::Failed, hint, fault: Some(fault), ..order.clone() };
        assert_eq!(standing(&world, &order.id).await, expected);
        is_nobodys(&world, &order.id).await;
    }
}

async fn is_nobodys(world: &World, id: &BankIdLoginId) {
    let leased = format!(
        "SELECT count(*) FROM bankid_order WHERE id = '{id}' AND (collector IS NOT NULL OR lease_ms IS NOT NULL)"
    );
    assert_eq!(world.number(&leased).await, 0);
    assert!(world.store.lease_bankid_orders(&lease("two"), at(900), 10).await.expect("an answer").is_empty());
}

fn all_progress() -> [Progress; 4] {
    [
        Progress::Hint(HintCode::new("userSign")),
        Progress::Restarted { sealed: sealed(), started: at(101) },
        complete(),
        failed(BankIdFault::Failed),
    ]
}

async fn only_its_collector_says_what_a_pending_order_came_to(world: World) {
    let (pending, signed_one) = (begun(&world).await.id, signed(&world).await);
    let (lost, given_up) = (begun(&world).await.id, begun(&world).await.id);
    assert!(note(&world, &lost, "one", &failed(BankIdFault::Failed)).await);
    assert!(cancel(&world, &given_up).await);
    // Whatever else the row says: only pending orders have progress.
    world.change("UPDATE bankid_order SET collector = 'one' WHERE collector IS NULL").await;
    let before = contents(&world).await;
    let unknown = BankIdLoginId::new(at(1), random());
    for progress in all_progress() {
        // That it was signed counts whoever was told, see `login_bankid_leases`.
        if !matches!(progress, Progress::Complete { .. }) {
            assert!(!note(&world, &pending, "two", &progress).await);
        }
        for id in [&signed_one, &lost, &given_up, &unknown] {
            assert!(!note(&world, id, "one", &progress).await);
        }
    }
    assert_eq!(contents(&world).await, before);
}

async fn progress_of_one_order_is_not_anothers(world: World) {
    for progress in all_progress() {
        let (one, other) = (begun(&world).await, begun(&world).await);
        assert!(note(&world, &one.id, "one", &progress).await);
        assert_eq!(standing(&world, &other.id).await, other);
    }
}

async fn an_order_is_given_up_once_and_drops_its_result(world: World) {
    let other = begun(&world).await;
    for id in [begun(&world).await.id, signed(&world).await] {
        let before = contents(&world).await;
        assert!(cancel(&world, &id).await);
        assert!(!cancel(&world, &id).await);
        assert_eq!(gained(&before, &contents(&world).await), [("audit_event", 1)].into());
        let given_up = standing(&world, &id).await;
        assert_eq!((given_up.state, given_up.result), (OrderState::Cancelled, None));
    }
    assert_eq!(standing(&world, &other.id).await, other);
    assert!(!cancel(&world, &BankIdLoginId::new(at(1), random())).await);
}

async fn an_order_that_is_over_is_not_given_up(world: World) {
    let lost = begun(&world).await.id;
    assert!(note(&world, &lost, "one", &failed(BankIdFault::Failed)).await);
    let used = signed(&world).await;
    world.change(&format!("UPDATE bankid_order SET state = 'used' WHERE id = '{used}'")).await;
    let before = contents(&world).await;
    for id in [&lost, &used] {
        assert!(!cancel(&world, id).await);
    }
    assert_eq!(contents(&world).await, before);
}

async fn of_a_failure_and_a_cancellation_at_once_one_happens(world: World) {
    for _ in 0..10 {
        let order = begun(&world).await;
        let before = contents(&world).await;
        let happened = at_once((0..2).map(|what| {
            let (store, id) = (Arc::clone(&world.store), order.id.clone());
            async move {
                let happened = match what {
                    0 => store.note_bankid_progress(&id, "one", &failed(BankIdFault::Failed)).await,
                    _ => store.cancel_bankid_order(&id, &cancelled()).await,
                };
                happened.expect("an answer")
            }
        }))
        .await;
        assert_ne!(happened[0], happened[1]);
        assert_eq!(gained(&before, &contents(&world).await), [("audit_event", 1)].into());
        let state = if happened[0] { OrderState::Failed } else { OrderState::Cancelled };
        assert_eq!(standing(&world, &order.id).await.state, state);
    }
}

/// Signed first, then given up; or given up first, and never signed.
async fn an_order_that_is_signed_and_given_up_at_once_is_given_up(world: World) {
    for _ in 0..10 {
        let order = begun(&world).await;
        let (noting, cancelling) = (Arc::clone(&world.store), Arc::clone(&world.store));
        let (one, other) = (order.id.clone(), order.id.clone());
        let (_, cancelled) = tokio::join!(
            tokio::spawn(async move { noting.note_bankid_progress(&one, "one", &complete()).await }),
            tokio::spawn(async move { cancelling.cancel_bankid_order(&other, &cancelled()).await }),
        );
        assert!(cancelled.expect("no panic").expect("an answer"));
        let given_up = standing(&world, &order.id).await;
        assert_eq!((given_up.state, given_up.result), (OrderState::Cancelled, None));
    }
}

async fn old_orders_are_swept(world: World) {
    for minute in [110, 110, 111] {
        begin(&world, &BankIdOrder { expires: at(minute), ..order() }).await;
    }
    let sweep = async |before| world.store.sweep_bankid_orders(before).await.expect("an answer");
    assert_eq!(sweep(at(110)).await, 0);
    assert_eq!(sweep(at(110).plus(Duration::from_millis(1))).await, 2);
    assert_eq!(world.number("SELECT count(*) FROM bankid_order").await, 1);
}

on_every_database! {
    an_order_is_read_back_as_it_was_begun,
    several_orders_are_read_at_once_and_those_that_are_gone_left_out,
    an_order_that_cannot_be_read_hides_no_other,
    a_hint_replaces_the_last_one,
    a_restart_is_a_new_order_under_the_same_name,
    a_signed_order_waits_with_its_result_and_nobody_collects_it,
    a_failed_order_says_why_and_writes_the_event,
    only_its_collector_says_what_a_pending_order_came_to,
    progress_of_one_order_is_not_anothers,
    an_order_is_given_up_once_and_drops_its_result,
    an_order_that_is_over_is_not_given_up,
    of_a_failure_and_a_cancellation_at_once_one_happens,
    an_order_that_is_signed_and_given_up_at_once_is_given_up,
    old_orders_are_swept,
}
