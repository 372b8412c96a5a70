//! What is asked when an order begins, and how an app comes to it.

use std::time::Duration;

use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::bankid::{AuthRequest, BankId as _};
use guardian_auth::simulators::bankid::{DriverError, Endpoint, Persona};
use serde_json::json;

use super::{PHONE, World, outcome, request};

#[tokio::test]
async fn an_order_by_link_holds_what_it_should_and_nothing_else() {
    let world = World::new().await;
    let url = Secret::new("https://portal.example.se/bankid#nonce=abc".to_owned());
    let device = Secret::new("0123456789abcdef".to_owned());
    let asked = AuthRequest {
        end_user_ip: "::ffff:192.0.2.7".parse().unwrap(),
        user_agent: &"a".repeat(300),
        device_identifier: Some(&device),
        return_url: Some(&url),
        intent: "Logga in i föräldraportalen",
        ..request()
    };
    let order = world.client.auth(&asked).await.unwrap();
    let expected = json!({
        "endUserIp": "192.0.2.7",
        "returnRisk": true,
        "returnUrl": "https://portal.example.se/bankid#nonce=abc",
        "web": {
            "referringDomain": "portal.example.se",
            "userAgent": "a".repeat(256),
            "deviceIdentifier": "0123456789abcdef",
        },
        "userVisibleData": "TG9nZ2EgaW4gaSBmw7Zyw6RsZHJhcG9ydGFsZW4=",
    });
    assert_eq!(world.simulator.requests()[0].body, expected);

    let order_ref = world.simulator.open(order.autostart_token.expose(), PHONE).unwrap();
    assert_eq!(order_ref, *order.order_ref.expose());
    let view = &world.simulator.list_orders()[0];
    assert_eq!((view.intent.as_str(), view.is_mobile_only), ("Logga in i föräldraportalen", false));
    let back = world.simulator.sign(&order_ref, &Persona::by_number("197001019806").unwrap()).unwrap();
    assert_eq!(back.as_deref(), Some(url.expose().as_str()));
}

#[tokio::test]
async fn an_order_by_code_is_for_mobile_bankid_and_returns_nowhere() {
    let world = World::new().await;
    world.by_code().await;
    let expected = json!({
        "endUserIp": "192.0.2.7",
        "returnRisk": true,
        "web": {"referringDomain": "portal.example.se", "userAgent": "Mozilla/5.0"},
        "requirement": {"certificatePolicies": ["1.2.752.78.1.5"]},
    });
    assert_eq!(world.simulator.requests()[0].body, expected);
    let view = &world.simulator.list_orders()[0];
    assert!(view.is_mobile_only && view.return_url.is_none());
}

#[tokio::test]
async fn every_second_has_its_code_and_old_ones_are_not_taken() {
    let world = World::new().await;
    let order = world.by_code().await;
    let scan = |second| world.simulator.scan(world.client.qr_text(&order, second).expose(), PHONE);
    world.clock.advance(Duration::from_millis(10_999));
    for (second, expected) in
        [(0, DriverError::StaleCode), (7, DriverError::StaleCode), (13, DriverError::StaleCode)]
    {
        assert_eq!(scan(second), Err(expected), "{second}");
    }
    let good = world.client.qr_text(&order, 10);
    let (_, code) = good.expose().rsplit_once('.').unwrap();
    let other_second = good.expose().replace(".10.", ".11.");
    for forged in
        [&other_second, &good.expose().replace(code, &"0".repeat(64)), "", "bankid", "https://a.b.c"]
    {
        assert_eq!(world.simulator.scan(forged, PHONE), Err(DriverError::NoCode), "{forged}");
    }
    assert_eq!(scan(10).unwrap(), *order.order_ref.expose());
    assert_eq!(scan(11), Err(DriverError::NotPending), "one app takes an order");
    assert_eq!(world.collect(&order).await.unwrap(), "pending started");
}

#[tokio::test]
async fn a_launch_link_opens_the_app_once() {
    let world = World::new().await;
    for begin in ["https://app.bankid.com/?autostarttoken=", "bankid:///?redirect=null&autostarttoken=", ""] {
        let order = world.by_link().await;
        let token = order.autostart_token.expose();
        let link = if begin.is_empty() { token.clone() } else { format!("{begin}{token}&redirect=null") };
        assert_eq!(world.simulator.open(&link, PHONE).unwrap(), *order.order_ref.expose(), "{link}");
        assert_eq!(world.simulator.open(&link, PHONE), Err(DriverError::NotPending), "{link}");
    }
    assert_eq!(world.simulator.open("bankid:///", PHONE), Err(DriverError::UnknownOrder));
}

#[tokio::test]
async fn an_order_is_given_up_once() {
    let world = World::new().await;
    let order = world.by_link().await;
    assert_eq!(outcome(world.client.cancel(&order.order_ref).await), "taken");
    assert_eq!(outcome(world.client.cancel(&order.order_ref).await), "invalid parameters");
    assert_eq!(outcome(world.client.collect(&order.order_ref).await), "invalid parameters");
    assert_eq!(
        world.simulator.open(order.autostart_token.expose(), PHONE),
        Err(DriverError::UnknownOrder),
        "the app cannot take it any more"
    );
    assert_eq!(world.simulator.times(Endpoint::Cancel, order.order_ref.expose()).len(), 2);
}

/// BankID has answered with `{}` and with nothing.
#[tokio::test]
async fn an_empty_answer_to_cancel_is_good() {
    let world = World::new().await;
    let order = world.by_link().await;
    for body in ["", "{}"] {
        let fault = guardian_auth::simulators::bankid::Fault::Answer {
            status: 200,
            content_type: "application/json",
            body: body.to_owned(),
        };
        world.simulator.inject(Endpoint::Cancel, fault);
        assert_eq!(outcome(world.client.cancel(&order.order_ref).await), "taken");
    }
}

#[tokio::test]
async fn a_second_order_of_a_person_ends_both() {
    let world = World::new().await;
    let (first, second) = (world.opened().await, world.opened().await);
    let persona = Persona::by_number("197001019806").unwrap();
    world.simulator.identify(first.order_ref.expose(), &persona).unwrap();
    assert_eq!(world.collect(&first).await.unwrap(), "pending userSign");
    let signed = world.simulator.sign(second.order_ref.expose(), &persona);
    assert_eq!(signed, Err(DriverError::AlreadyInProgress));
    for order in [&first, &second] {
        assert_eq!(world.collect(order).await.unwrap(), "failed cancelled");
    }
}
