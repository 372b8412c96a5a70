//! A provider that is down, slow or half there, or has another clock: logins with a password do not notice.

use std::time::{Duration, Instant};

use guardian_auth::domain::oidc::{ClaimSource, IdentifierScheme, OidcFault};
use serde_json::json;

use super::bed::OidcBed;
use super::party::{PASSWORD, Verdict, mapping};
use crate::support::evil_provider::behaviour::{Answer, Behaviour};
use crate::support::service::Attempt;

/// The shortest that can be configured: tests wait for it.
const TIMEOUT: Duration = Duration::from_millis(500);
/// A deadline that is longer than any time that the service gives itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// An endpoint that fails.
type Break = fn(&mut Behaviour, Answer);

const ENDPOINTS: [(&str, Break); 5] = [
    ("discovery", |op, answer| op.discovery = answer),
    ("jwks", |op, answer| op.jwks = answer),
    ("par", |op, answer| op.par = answer),
    ("token", |op, answer| op.token = answer),
    ("userinfo", |op, answer| op.userinfo = answer),
];

async fn bed() -> OidcBed {
    let bed = OidcBed::start_with(|provider| {
        provider.timeout = TIMEOUT;
        provider.mapping = mapping(ClaimSource::Userinfo, &["nin"], IdentifierScheme::SePnr);
    })
    .await;
    bed.op.behave(|op| {
        op.userinfo_person.insert("nin".to_owned(), json!(super::party::NUMBER));
    });
    bed
}

/// A login with a password, while something else goes on.
async fn password_login(bed: &OidcBed) {
    bed.party.portal.session(Attempt::new("alma", PASSWORD)).await;
}

#[tokio::test]
async fn a_provider_that_is_slow_is_unavailable_in_time() {
    for (name, break_it) in ENDPOINTS {
        let bed = bed().await;
        bed.op.behave(|op| break_it(op, Answer::Never));
        let asked = Instant::now();
        let login = tokio::time::timeout(PATIENCE, bed.login());
        let (verdict, ()) = tokio::join!(login, password_login(&bed));
        assert_eq!(verdict.unwrap(), Verdict::unavailable(), "{name}");
        assert!(asked.elapsed() >= TIMEOUT, "{name}: it was asked");
    }
}

#[tokio::test]
async fn a_provider_that_is_broken_is_unavailable() {
    for (name, break_it) in ENDPOINTS {
        for status in [500, 502, 503, 429] {
            let bed = bed().await;
            bed.op.behave(|op| break_it(op, Answer::Status(status)));
            assert_eq!(bed.login().await, Verdict::unavailable(), "{name} {status}");
            password_login(&bed).await;
        }
    }
}

#[tokio::test]
async fn a_provider_that_answers_by_halves_opens_no_session() {
    for (name, break_it) in ENDPOINTS {
        let bed = bed().await;
        bed.op.behave(|op| break_it(op, Answer::Half));
        // The last one is read with the rest of what is said of the person: of that nothing is believed.
        let expected =
            if name == "userinfo" { Verdict::failed(OidcFault::Userinfo) } else { Verdict::unavailable() };
        assert_eq!(bed.login().await, expected, "{name}");
        password_login(&bed).await;
    }
}

/// Nobody listens there.
#[tokio::test]
async fn a_provider_that_is_down_is_unavailable() {
    let bed = OidcBed::start_with(|provider| "http://127.0.0.1:1".clone_into(&mut provider.issuer)).await;
    assert_eq!(bed.login().await, Verdict::unavailable());
    password_login(&bed).await;
}

/// What is known of a provider lasts through an outage of what is asked rarely.
#[tokio::test]
async fn logins_go_on_while_discovery_and_keys_are_away() {
    let bed = OidcBed::start().await;
    bed.logs_in().await;
    bed.op.behave(|op| {
        op.discovery = Answer::Status(503);
        op.jwks = Answer::Status(503);
    });
    bed.logs_in().await;
}

/// Clocks that are ten minutes apart: no session either way, and the portal is told that the eID failed.
#[tokio::test]
async fn a_provider_whose_clock_is_ten_minutes_off_logs_nobody_in() {
    for (minutes, fault) in [(10, OidcFault::IdTokenIssuedAt), (-10, OidcFault::IdTokenExpired)] {
        let bed = OidcBed::start().await;
        bed.op.behave(|op| {
            op.claims(move |claims| {
                for claim in ["iat", "exp", "auth_time"] {
                    claims[claim] = json!(claims[claim].as_i64().unwrap() + minutes * 60);
                }
            });
        });
        bed.is_refused(fault).await;
        password_login(&bed).await;
    }
}
