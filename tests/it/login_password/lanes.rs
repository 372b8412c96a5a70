//! Known and unknown devices: strangers do not keep the owner out, and a hundred failures close what they reached.

use std::time::Duration;

use guardian_auth::proto::Portal;
use tonic_types::StatusExt as _;

use super::{
    PASSWORD, RUNS, address, change_password, childminder, count, device_token, refusal,
    service_with_guardian,
};
use crate::support::service::{
    Attempt, Calls, KOMMUN, OPVANG, Parts, Service, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::sql::Sql;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const NEW_PASSWORD: &str = "tofsvipa-kaffe-rondell-mossa";

/// Guesses wrongly as soon as the limits let it, until the answer is that it was looked at. Gives the time it waited.
async fn paced_guess(service: &Service, calls: &Calls, number: u32, device: &str) -> Duration {
    let mut waited = Duration::ZERO;
    loop {
        let ip = address(number);
        let attempt = Attempt::new("alma", "a wrong guess").from(&ip).with_device(device);
        let status = calls.log_in(attempt).await.unwrap_err();
        if reason(&status) == "INVALID_CREDENTIALS" {
            return waited;
        }
        assert_eq!(reason(&status), "RATE_LIMITED");
        let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(wait > Duration::ZERO && wait <= HOUR, "{wait:?}");
        service.clock.advance(wait);
        waited += wait;
    }
}

async fn state(sql: &mut Sql) -> String {
    let columns = "failures_unknown || ' ' || failures_known || \
                   CASE WHEN closed_unknown_ms IS NULL THEN '' ELSE ' unknown' END || \
                   CASE WHEN closed_known_ms IS NULL THEN '' ELSE ' known' END";
    sql.texts(&format!("SELECT {columns} FROM credential")).await.remove(0)
}

#[tokio::test]
async fn b02_hundred_failures_close_a_password_to_unknown_devices_not_before_12_hours() {
    let service = service_with_guardian(Parts::Embedded).await;
    let calls = service.portal(KOMMUN).await;
    let mut sql = Sql::open(&service).await;
    let device = device_token(&calls, Attempt::new("alma", PASSWORD)).await;

    // Each lane is set back by its own successes only.
    for number in 0..5 {
        paced_guess(&service, &calls, number, "").await;
    }
    paced_guess(&service, &calls, 5, &device).await;
    assert_eq!(state(&mut sql).await, "5 1");
    calls.session(Attempt::new("alma", PASSWORD).with_device(&device)).await;
    assert_eq!(state(&mut sql).await, "5 0");
    calls.session(Attempt::new("alma", PASSWORD)).await;
    assert_eq!(state(&mut sql).await, "0 0");
    service.clock.advance(DAY);

    let mut taken = Duration::ZERO;
    for number in 0..99 {
        taken += paced_guess(&service, &calls, 1000 + number, "").await;
    }
    assert_eq!(state(&mut sql).await, "99 0");
    taken += paced_guess(&service, &calls, 2000, "").await;
    assert_eq!(state(&mut sql).await, "100 0 unknown");
    assert!(taken >= 12 * HOUR, "{taken:?}");

    // Closed to strangers, whatever they know, and for good.
    service.clock.advance(DAY);
    assert_eq!(refusal(&calls, Attempt::new("alma", PASSWORD)).await, "INVALID_CREDENTIALS");
    // The owner's device still gets in, and that opens nothing.
    let owner = calls.session(Attempt::new("alma", PASSWORD).with_device(&device)).await;
    assert_eq!(refusal(&calls, Attempt::new("alma", PASSWORD)).await, "INVALID_CREDENTIALS");
    let closings = "SELECT count(*) FROM audit_event WHERE password_closed = 1";
    assert_eq!(sql.number(closings).await, 1);

    // Set anew, it is open again.
    change_password(&calls, &owner.access_token, PASSWORD, NEW_PASSWORD).await.unwrap();
    assert_eq!(state(&mut sql).await, "0 0");
    calls.session(Attempt::new("alma", NEW_PASSWORD)).await;
}

#[tokio::test]
async fn b02_hundred_failures_from_known_devices_close_a_password_wholly() {
    let service = service_with_guardian(Parts::Embedded).await;
    let calls = service.portal(KOMMUN).await;
    let mut sql = Sql::open(&service).await;
    let other = device_token(&calls, Attempt::new("alma", PASSWORD)).await;
    let device = device_token(&calls, Attempt::new("alma", PASSWORD)).await;
    let mut session = calls.session(Attempt::new("alma", PASSWORD)).await;
    for number in 0..100 {
        assert!(!state(&mut sql).await.ends_with("known"));
        paced_guess(&service, &calls, number, &device).await;
        session = calls.refresh(&session.refresh_token).await.unwrap();
    }
    assert_eq!(state(&mut sql).await, "0 100 known");
    service.clock.advance(Duration::from_mins(4));
    for device in ["", &device, &other] {
        let attempt = Attempt::new("alma", PASSWORD).with_device(device);
        assert_eq!(refusal(&calls, attempt).await, "INVALID_CREDENTIALS");
    }
    // Nor does a session make up for it: what it knows may be what was guessed.
    let refused = change_password(&calls, &session.access_token, PASSWORD, NEW_PASSWORD).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_CREDENTIALS");
    assert_eq!(state(&mut sql).await, "1 103 known");
}

#[tokio::test]
async fn b06_targeted_lockout_does_not_reach_the_owners_device() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let calls = service.portal(KOMMUN).await;
        let device = device_token(&calls, Attempt::new("alma", PASSWORD)).await;
        for round in 0..20 {
            // More guesses than the budget gains while the owner logs in.
            for number in 0..12 {
                refusal(&calls, Attempt::new("alma", "wrong").from(&address(round * 100 + number))).await;
            }
            let stranger = Attempt::new("alma", PASSWORD).from("198.51.100.9");
            assert_eq!(refusal(&calls, stranger).await, "RATE_LIMITED", "{parts:?} {round}");
            calls.session(Attempt::new("alma", PASSWORD).with_device(&device)).await;
        }
    }
}

/// A character in the middle replaced by another of the alphabet.
fn bent(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn b06_tokens_of_others_and_forged_tokens_are_the_unknown_lane_with_the_same_answer() {
    for parts in Parts::ALL {
        let hash = hash(PASSWORD).await;
        let service = service_with_guardian(parts).await;
        service.import(KOMMUN, &[guardian("g-2", "beata", Some(&hash))]).await;
        service.import(OPVANG, &[childminder("g-1", "alma", &hash)]).await;
        let calls = service.portal(KOMMUN).await;
        let own = device_token(&calls, Attempt::new("alma", PASSWORD)).await;
        let of_other_account = device_token(&calls, Attempt::new("beata", PASSWORD)).await;
        let attempt =
            Attempt { organization: OPVANG, portal: Portal::Childminder, ..Attempt::new("alma", PASSWORD) };
        let of_other_organization = device_token(&service.portal(OPVANG).await, attempt).await;
        let mut strange = vec![
            ("of another account", of_other_account),
            ("of another organization", of_other_organization),
            ("forged", format!("gdt_dev.{}", "A".repeat(own.len() - 8))),
            ("nonsense", "\u{1f511}".to_owned()),
            ("half", own[..own.len() / 2].to_owned()),
            ("as long as may be", "x".repeat(1024)),
        ];
        strange.extend((0..own.len()).step_by(7).map(|at| ("bent", bent(&own, at))));
        for number in 0..15 {
            refusal(&calls, Attempt::new("alma", "wrong").from(&address(number))).await;
        }
        for (what, token) in &strange {
            let attempt = Attempt::new("alma", PASSWORD).from("198.51.100.9").with_device(token);
            let status = calls.log_in(attempt).await.unwrap_err();
            assert_eq!(reason(&status), "RATE_LIMITED", "{parts:?} {what} {token}");
            assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
        }
        let known = Attempt::new("alma", PASSWORD).from("198.51.100.9").with_device(&own);
        calls.session(known).await;
    }
}

#[tokio::test]
async fn b06_a_token_of_the_same_name_at_the_sibling_portal_is_the_unknown_lane() {
    for parts in Parts::ALL {
        let hash = hash(PASSWORD).await;
        let service = service_with_guardian(parts).await;
        let mut rows = school_and_child();
        rows.extend([childminder("g-1", "1001", &hash), guardian("g-2", "1001", Some(&hash))]);
        service.import(OPVANG, &rows).await;
        let calls = service.portal(OPVANG).await;
        let parent = Attempt { organization: OPVANG, ..Attempt::new("1001", PASSWORD) };
        let of_sibling = device_token(&calls, Attempt { portal: Portal::Childminder, ..parent }).await;
        for number in 0..15 {
            let guess = Attempt { password: "wrong", ..parent };
            refusal(&calls, guess.from(&address(number))).await;
        }
        let attempt = parent.from("198.51.100.9").with_device(&of_sibling);
        assert_eq!(refusal(&calls, attempt).await, "RATE_LIMITED", "{parts:?}");
    }
}

#[tokio::test]
async fn b06_a_device_is_known_for_180_days() {
    let service = service_with_guardian(Parts::Embedded).await;
    let calls = service.portal(KOMMUN).await;
    let device = device_token(&calls, Attempt::new("alma", PASSWORD)).await;
    let mut ip = 0;
    for (days, expected) in [(179, true), (2, false)] {
        service.clock.advance(days * DAY);
        for _ in 0..15 {
            ip += 1;
            refusal(&calls, Attempt::new("alma", "wrong").from(&address(ip))).await;
        }
        let known = calls.log_in(Attempt::new("alma", PASSWORD).with_device(&device)).await;
        assert_eq!(known.is_ok(), expected, "{days}");
    }
}

#[tokio::test]
async fn b06_one_device_is_one_lane_however_often_it_logs_in() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let calls = service.portal(KOMMUN).await;
        let mut tokens = vec![device_token(&calls, Attempt::new("alma", PASSWORD)).await];
        for _ in 0..5 {
            let attempt = Attempt::new("alma", PASSWORD).with_device(&tokens[tokens.len() - 1]);
            tokens.push(device_token(&calls, attempt).await);
        }
        let before = count(&service, RUNS, "verify").await;
        let begun = std::time::Instant::now();
        for (number, token) in (0..40).zip(tokens.iter().cycle()) {
            refusal(&calls, Attempt::new("alma", "wrong").from(&address(number)).with_device(token)).await;
        }
        let runs = count(&service, RUNS, "verify").await - before;
        assert!(runs <= 10 + begun.elapsed().as_secs() / 60, "{parts:?}: {runs} runs");
        // The unknown lane has its own budget and its own count.
        assert_eq!(refusal(&calls, Attempt::new("alma", "wrong")).await, "INVALID_CREDENTIALS");
    }
}
