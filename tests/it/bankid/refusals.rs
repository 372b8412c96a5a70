//! What BankID, or the line to it, does wrong: each fault is told for what it is, in time, and nothing is tried again.

use std::time::{Duration, Instant};

use guardian_auth::ports::bankid::{BankId as _, BankIdError};
use guardian_auth::simulators::bankid::{Endpoint, Fault, Rate};
use serde_json::json;

use super::{World, kind, outcome, request};

#[tokio::test]
async fn every_error_code_means_what_it_should() {
    let world = World::new().await;
    for (status, code, expected) in [
        (400, "alreadyInProgress", "already in progress"),
        (400, "invalidParameters", "invalid parameters"),
        (401, "unauthorized", "misconfigured"),
        (403, "unauthorized", "misconfigured"),
        (404, "notFound", "misconfigured"),
        (405, "methodNotAllowed", "misconfigured"),
        (408, "requestTimeout", "unavailable"),
        (415, "unsupportedMediaType", "misconfigured"),
        (429, "tooManyRequests", "unavailable"),
        (500, "internalError", "unavailable"),
        (503, "maintenance", "unavailable"),
        (503, "Maintenance", "unavailable"),
        (400, "ALREADYINPROGRESS", "already in progress"),
        // The code says more than the status.
        (500, "alreadyInProgress", "already in progress"),
        (400, "aCodeOfTomorrow", "invalid parameters"),
        (403, "aCodeOfTomorrow", "misconfigured"),
        (503, "aCodeOfTomorrow", "unavailable"),
    ] {
        for endpoint in [Endpoint::Auth, Endpoint::Collect, Endpoint::Cancel] {
            let order = world.by_link().await;
            let before = world.simulator.count(endpoint);
            world.simulator.inject(endpoint, Fault::error(status, code));
            let result = match endpoint {
                Endpoint::Collect => outcome(world.client.collect(&order.order_ref).await),
                Endpoint::Cancel => outcome(world.client.cancel(&order.order_ref).await),
                Endpoint::Auth | Endpoint::Sign => outcome(world.client.auth(&request()).await),
            };
            assert_eq!(result, expected, "{status} {code} at {endpoint:?}");
            assert_eq!(world.simulator.count(endpoint), before + 1, "{status} {code} was asked for again");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_unavailable() {
    let world = World::new().await;
    let order = world.opened().await;
    let page = |status| Fault::Answer { status, content_type: "text/html", body: "<html></html>".to_owned() };
    let order_ref = order.order_ref.expose();
    for (fault, expected) in [
        (Fault::gateway_page(), "misconfigured"),
        (Fault::maintenance(), "unavailable"),
        (Fault::HalfJson, "unavailable"),
        (Fault::Dropped, "unavailable"),
        (Fault::Lost, "unavailable"),
        (page(200), "unavailable"),
        (page(302), "unavailable"),
        (page(502), "unavailable"),
        (
            Fault::json(&json!({"orderRef": order_ref, "status": "paused", "hintCode": "userSign"})),
            "unavailable",
        ),
        (Fault::json(&json!({"orderRef": order_ref, "status": "complete"})), "unavailable"),
        (Fault::json(&json!({"orderRef": "another", "status": "pending"})), "unavailable"),
        (Fault::json(&json!([])), "unavailable"),
    ] {
        world.simulator.inject(Endpoint::Collect, fault.clone());
        assert_eq!(outcome(world.client.collect(&order.order_ref).await), expected, "{fault:?}");
        assert_eq!(world.collect(&order).await.unwrap(), "pending started", "after {fault:?}");
    }
    for fault in [Fault::HalfJson, Fault::json(&json!({"orderRef": "a"})), page(200)] {
        world.simulator.inject(Endpoint::Auth, fault.clone());
        assert_eq!(outcome(world.client.auth(&request()).await), "unavailable", "{fault:?}");
    }
}

/// A second order of a person ends both, so an order whose answer is lost is not begun again; on a connection that was kept
/// neither.
#[tokio::test]
async fn an_order_whose_answer_is_lost_is_not_begun_again() {
    for connection in ["new", "kept"] {
        for fault in [Fault::Dropped, Fault::Lost, Fault::HalfJson] {
            let world = World::new().await;
            if connection == "kept" {
                world.client.probe().await.unwrap();
            }
            let before = world.simulator.count(Endpoint::Auth);
            world.simulator.inject(Endpoint::Auth, fault.clone());
            assert_eq!(outcome(world.client.auth(&request()).await), "unavailable", "{fault:?}");
            let came = world.simulator.count(Endpoint::Auth) - before;
            assert_eq!(came, 1, "{fault:?} on a {connection} connection");
        }
    }
}

#[tokio::test]
async fn requests_end_in_time_and_so_do_those_that_wait_for_a_place() {
    const TIME: Duration = Duration::from_secs(2);
    let world = World::with(TIME, 2).await;
    for _ in 0..6 {
        world.simulator.inject(Endpoint::Auth, Fault::Silence);
    }
    let begun = Instant::now();
    let asked = request();
    let answers = futures_util::future::join_all((0..6).map(|_| world.client.auth(&asked))).await;
    let took = begun.elapsed();
    let mut told: Vec<String> = answers.into_iter().map(|answer| answer.err().unwrap().to_string()).collect();
    told.sort();
    let (answered, crowded) = (
        "BankID is unavailable: no answer in time, or none to our certificate",
        "BankID is unavailable: too many requests at the same time",
    );
    assert_eq!(told, [answered, answered, crowded, crowded, crowded, crowded]);
    assert!(took >= TIME && took < TIME * 8, "{took:?}");
    // Those that waited began nothing.
    assert_eq!(world.simulator.list_orders().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_late_but_in_time_is_good() {
    let world = World::new().await;
    world.simulator.inject(Endpoint::Auth, Fault::Delay(Duration::from_millis(50)));
    assert_eq!(outcome(world.client.auth(&request()).await), "taken");
}

#[tokio::test]
async fn too_many_requests_are_unavailable_until_the_window_has_passed() {
    let world = World::new().await;
    world.simulator.limit(Some(Rate { requests: 2, window: Duration::from_secs(10) }));
    let order = world.opened().await;
    assert_eq!(world.collect(&order).await.unwrap(), "pending started");
    let refused = world.collect(&order).await.unwrap_err();
    assert_eq!(kind(&refused), "unavailable");
    assert_eq!(refused.to_string(), "BankID is unavailable: 429 tooManyRequests Too many requests");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.collect(&order).await.unwrap(), "pending started");
}

#[tokio::test]
async fn an_error_repeats_nothing_that_was_sent() {
    let world = World::new().await;
    let order = world.by_link().await;
    let details = format!("No such order: {} of 199908072391 at 192.0.2.7", order.order_ref.expose());
    let body = json!({"errorCode": "invalidParameters", "details": details}).to_string();
    let fault = Fault::Answer { status: 400, content_type: "application/json", body };
    world.simulator.inject(Endpoint::Collect, fault);
    let error = world.collect(&order).await.unwrap_err();
    let expected = "400 invalidParameters No such order: ... of ############ at ###.#.#.#";
    assert_eq!(error, BankIdError::InvalidParameters(expected.to_owned()));
}
