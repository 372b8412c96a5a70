//! What limits refuse, what they charge, and what they give back.

use std::time::Duration;

use guardian_auth::domain::password::HashParameters;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{PASSWORD, RUNS, address, count, refusal, service_with, service_with_guardian};
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, Parts, guardian, hash_with, metadata, reason};
use crate::support::sql::Sql;
use crate::wire::raw::{LOGIN, framed};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_answer_at_a_limit_is_the_same_for_names_that_exist_and_for_right_passwords() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let calls = service.portal(KOMMUN).await;
        for name in ["alma", "nobody"] {
            for number in 0..12 {
                refusal(&calls, Attempt::new(name, "wrong").from(&address(number))).await;
            }
        }
        let before = count(&service, RUNS, "").await;
        let mut answers = Vec::new();
        for (name, password) in [("alma", PASSWORD), ("alma", "wrong"), ("nobody", "wrong")] {
            let status = calls.log_in(Attempt::new(name, password)).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
            assert!(wait > Duration::ZERO && wait <= Duration::from_mins(1), "{wait:?}");
            assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
            let mut keys: Vec<_> = status.metadata().keys().map(|key| format!("{key:?}")).collect();
            keys.sort();
            answers.push((reason(&status), status.message().to_owned(), keys));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{parts:?} {answers:?}");
        assert_eq!(answers[0].0, "RATE_LIMITED");
        assert_eq!(count(&service, RUNS, "").await, before, "{parts:?}: nothing was compared");
    }
}

#[tokio::test]
async fn a_refused_attempt_charges_no_bucket() {
    let service = service_with_guardian(Parts::Embedded).await;
    let calls = service.portal(KOMMUN).await;
    for number in 0..10 {
        let ip = address(number);
        let attempt = Attempt::new("alma", "wrong").from(&ip);
        assert_eq!(refusal(&calls, attempt).await, "INVALID_CREDENTIALS");
    }
    for _ in 0..100 {
        assert_eq!(refusal(&calls, Attempt::new("alma", "wrong")).await, "RATE_LIMITED");
    }
    // The network of the refused attempts still has all of its 60.
    for number in 0..61 {
        let name = format!("nobody{number}");
        let expected = if number < 60 { "INVALID_CREDENTIALS" } else { "RATE_LIMITED" };
        assert_eq!(refusal(&calls, Attempt::new(&name, "wrong")).await, expected, "{number}");
    }
    // And the account refills as if nobody had been refused.
    service.clock.advance(Duration::from_secs(59));
    assert_eq!(refusal(&calls, Attempt::new("alma", "wrong").from("10.9.0.1")).await, "RATE_LIMITED");
    service.clock.advance(Duration::from_secs(1));
    assert_eq!(refusal(&calls, Attempt::new("alma", "wrong").from("10.9.0.1")).await, "INVALID_CREDENTIALS");
    assert_eq!(refusal(&calls, Attempt::new("alma", "wrong").from("10.9.0.1")).await, "RATE_LIMITED");
}

#[tokio::test]
async fn right_passwords_are_given_back_once_each() {
    let service = service_with_guardian(Parts::Embedded).await;
    let calls = service.portal(KOMMUN).await;
    for number in 0..4 {
        let ip = address(number);
        let attempt = Attempt::new("alma", "wrong").from(&ip);
        assert_eq!(refusal(&calls, attempt).await, "INVALID_CREDENTIALS");
    }
    for _ in 0..100 {
        calls.session(Attempt::new("alma", PASSWORD)).await;
    }
    // Six are left: neither was a right one kept, nor a wrong one forgotten.
    for number in 4..11 {
        let expected = if number < 10 { "INVALID_CREDENTIALS" } else { "RATE_LIMITED" };
        let ip = address(number);
        let attempt = Attempt::new("alma", "wrong").from(&ip);
        assert_eq!(refusal(&calls, attempt).await, expected, "{number}");
    }
}

#[tokio::test]
async fn right_passwords_from_many_places_at_once_never_wear_the_budget_out() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let calls = service.portal(KOMMUN).await;
        // Two at a time: six times what the bucket of an account and a network holds in all.
        for _ in 0..15 {
            let attempt = Attempt::new("alma", PASSWORD);
            tokio::join!(calls.session(attempt), calls.session(attempt));
        }
    }
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_counted_and_written_down() {
    for parts in Parts::ALL {
        let slow = HashParameters::new(64 * 1024, 4, 1).unwrap();
        let rows = [guardian("g-1", "alma", Some(&hash_with(slow, PASSWORD).await))];
        let service = service_with(parts, |config| config.hash.parameters = slow, &rows).await;
        let mut sql = Sql::open(&service).await;
        let stream = tokio::net::TcpStream::connect(service.grpc()).await.unwrap();
        let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let request = http::Request::post(format!("http://guardian.example{LOGIN}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", service.token("sample-kommun-portal")));
        let (answer, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(framed(&Attempt::new("alma", "wrong").request()), true).unwrap();
        eventually(SOON, "the attempt runs", async || {
            count(&service, "guardian_auth_hash_running", "").await == 1
        })
        .await;
        body.send_reset(h2::Reason::CANCEL);
        drop((answer, body));
        eventually(SOON, "the attempt is counted", async || {
            sql.number("SELECT CAST(SUM(failures_unknown) AS BIGINT) FROM credential").await == 1
        })
        .await;
        let causes = sql.texts("SELECT cause FROM audit_event WHERE kind = 'login_denied'").await;
        assert_eq!(causes, ["wrong_password"], "{parts:?}");
    }
}
