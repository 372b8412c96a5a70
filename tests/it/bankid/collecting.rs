//! How far an order is: every status and hint code, by the clock and by what the person does.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use guardian_auth::domain::bankid::Risk;
use guardian_auth::ports::bankid::{BankId as _, Collected, Completion};
use guardian_auth::simulators::bankid::{Endpoint, Fault, Persona};
use serde_json::json;

use super::{PHONE, World, outcome};

#[tokio::test]
async fn every_pending_hint_code_is_pending() {
    let world = World::new().await;
    let order = world.opened().await;
    for hint in [
        "outstandingTransaction",
        "noClient",
        "started",
        "userMrtd",
        "userCallConfirm",
        "userSign",
        "processing",
        "userStepUp",
        "userFace",
        "aCodeOfTomorrow",
    ] {
        world.simulator.show(order.order_ref.expose(), hint).unwrap();
        assert_eq!(world.collect(&order).await.unwrap(), format!("pending {hint}"));
    }
    world.simulator.show(order.order_ref.expose(), "<script>").unwrap();
    assert_eq!(world.collect(&order).await.unwrap(), "pending unknown");
}

#[tokio::test]
async fn every_failed_hint_code_is_failed_and_told_once() {
    let world = World::new().await;
    for hint in [
        "expiredTransaction",
        "certificateErr",
        "userCancel",
        "cancelled",
        "startFailed",
        "userDeclinedCall",
        "notSupportedByUserApp",
        "transactionRiskBlocked",
        "mrtdVerificationFailed",
        "facialRecognitionFailed",
        "nfcNotSupportedByDevice",
        "multipleBankIdsOnDevice",
        "stepUpFailed",
        "aCodeOfTomorrow",
    ] {
        let order = world.opened().await;
        world.simulator.fail(order.order_ref.expose(), hint).unwrap();
        assert_eq!(world.collect(&order).await.unwrap(), format!("failed {hint}"));
        assert_eq!(outcome(world.client.collect(&order.order_ref).await), "invalid parameters", "{hint}");
    }
    let order = world.opened().await;
    world.simulator.decline(order.order_ref.expose()).unwrap();
    assert_eq!(world.collect(&order).await.unwrap(), "failed userCancel");
}

#[tokio::test]
async fn an_order_goes_by_the_clock() {
    let world = World::new().await;
    let (unseen, forgotten) = (world.by_code().await, world.by_code().await);
    world.clock.advance(Duration::from_millis(29_999));
    assert_eq!(world.collect(&unseen).await.unwrap(), "pending outstandingTransaction");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.collect(&unseen).await.unwrap(), "failed startFailed");
    world.clock.advance(Duration::from_millis(160_001));
    assert_eq!(outcome(world.client.collect(&forgotten.order_ref).await), "invalid parameters");

    let slow = world.opened().await;
    world.clock.advance(Duration::from_millis(179_999));
    assert_eq!(world.collect(&slow).await.unwrap(), "pending started");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.collect(&slow).await.unwrap(), "failed expiredTransaction");

    let persona = Persona::by_number("197001019806").unwrap();
    let (signed, late) = (world.opened().await, world.opened().await);
    world.simulator.sign(signed.order_ref.expose(), &persona).unwrap();
    world.simulator.sign(late.order_ref.expose(), &persona).unwrap();
    world.clock.advance(Duration::from_mins(3));
    assert_eq!(world.collect(&signed).await.unwrap(), "complete");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(outcome(world.client.collect(&late.order_ref).await), "invalid parameters");
}

async fn completion(world: &World, persona: &Persona) -> Completion {
    let order = world.opened().await;
    world.simulator.sign(order.order_ref.expose(), persona).unwrap();
    let Ok(Collected::Complete(completion)) = world.client.collect(&order.order_ref).await else {
        panic!("it is complete")
    };
    assert_eq!(outcome(world.client.collect(&order.order_ref).await), "invalid parameters", "told once");
    *completion
}

#[tokio::test]
async fn who_signed_is_told_as_bankid_says_it() {
    let world = World::new().await;
    for (number, family_name, risk) in [
        ("197001019806", "Sjöberg", Some(Risk::Low)),
        ("198001011371", "ÅSTRÖM", Some(Risk::Low)),
        ("198107011481", "Medel", Some(Risk::Moderate)),
        ("196802020575", "Fara", Some(Risk::High)),
        ("197203039826", "Hedlund", None),
    ] {
        let completion = completion(&world, &Persona::by_number(number).unwrap()).await;
        assert_eq!(completion.personal_number.unwrap().as_str(), format!("se.pnr:{number}"));
        assert_eq!((completion.family_name.as_str(), completion.risk), (family_name, risk));
        assert_eq!(completion.app_address, Some(PHONE));
        let signature = BASE64_STANDARD.decode(completion.signature.expose()).unwrap();
        assert!(String::from_utf8(signature).unwrap().contains(number));
        assert!(BASE64_STANDARD.decode(completion.ocsp_response.expose()).is_ok());
    }
    for no_personnummer in ["197302889931", "199908072392", "9908072391", ""] {
        let persona = Persona::new(no_personnummer, "Ingen", "Person");
        assert!(completion(&world, &persona).await.personal_number.is_none(), "{no_personnummer}");
    }
}

#[tokio::test]
async fn a_signature_of_200_kilobytes_comes_as_it_is_and_more_is_refused() {
    let world = World::new().await;
    let order = world.opened().await;
    let answer = |length| {
        let data = json!({"user": {}, "device": {}, "signature": "A".repeat(length), "ocspResponse": "B"});
        let body =
            json!({"orderRef": order.order_ref.expose(), "status": "complete", "completionData": data});
        Fault::json(&body)
    };
    world.simulator.inject(Endpoint::Collect, answer(200_000));
    let Ok(Collected::Complete(completion)) = world.client.collect(&order.order_ref).await else { panic!() };
    assert_eq!(completion.signature.expose().len(), 200_000);
    assert_eq!(completion.app_address, None);
    world.simulator.inject(Endpoint::Collect, answer(300_000));
    assert_eq!(outcome(world.client.collect(&order.order_ref).await), "unavailable");
}

#[tokio::test]
async fn another_relying_party_neither_collects_nor_cancels() {
    let world = World::new().await;
    let identity = super::pem(&world.simulator.another_client("Another relying party").unwrap());
    let settings =
        guardian_auth::adapters::bankid::BankIdSettings { identity, ..super::settings(&world.simulator) };
    let other = guardian_auth::adapters::bankid::BankIdClient::new(settings).unwrap();
    let order = world.by_link().await;
    assert_eq!(outcome(other.collect(&order.order_ref).await), "invalid parameters");
    assert_eq!(outcome(other.cancel(&order.order_ref).await), "invalid parameters");
    assert_eq!(world.collect(&order).await.unwrap(), "pending outstandingTransaction");
}
