//! Attempts: whose they are, how often they are good, and until when.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::oidc::{OidcFault, ProviderId};
use guardian_auth::proto;
use serde_json::json;

use super::bed::OidcBed;
use super::party::{Begun, NUMBER, Party, REDIRECT_URI, Verdict, usual};
use crate::support::evil_provider::{EvilProvider, Parameters};
use crate::support::service::{KOMMUN, OPVANG, Parts, TestClock, reason};

/// An attempt is dead after this time.
const LIFETIME: Duration = Duration::from_mins(15);

async fn came(bed: &OidcBed) -> (Begun, Parameters) {
    let begun = bed.begin().await.unwrap();
    let came = bed.visit(&begun).await;
    (begun, came)
}

#[tokio::test]
async fn an_authorization_response_is_consumed_once() {
    for parts in Parts::ALL {
        let bed = OidcBed::start_on(parts).await;
        let (begun, came) = came(&bed).await;
        assert_eq!(bed.complete(&begun, &came).await, Verdict::Session);
        let again = bed.complete(&begun, &came).await;
        assert_eq!(again, Verdict::invalid(OidcFault::AttemptUnknown), "{parts:?}");
        assert_eq!(bed.op.hits("/token"), 1, "{parts:?}");
    }
}

/// Also one that failed: the code may have been stolen with it.
#[tokio::test]
async fn an_attempt_that_failed_cannot_be_completed() {
    let bed = OidcBed::start().await;
    let (begun, came) = came(&bed).await;
    let mut wrong = came.clone();
    wrong.insert("iss".to_owned(), "https://evil.example".to_owned());
    assert_eq!(bed.complete(&begun, &wrong).await, Verdict::failed(OidcFault::ResponseIssuer));
    assert_eq!(bed.complete(&begun, &came).await, Verdict::invalid(OidcFault::AttemptUnknown));
    assert_eq!(bed.op.hits("/token"), 0);
}

#[tokio::test]
async fn one_of_many_that_complete_at_once_gets_the_session() {
    for parts in Parts::ALL {
        let bed = OidcBed::start_on(parts).await;
        let (begun, came) = came(&bed).await;
        let all = (0..20).map(|_| bed.complete(&begun, &came));
        let verdicts = futures_util::future::join_all(all).await;
        let sessions = verdicts.iter().filter(|verdict| **verdict == Verdict::Session).count();
        assert_eq!(sessions, 1, "{parts:?}");
        let others = verdicts.iter().filter(|it| **it == Verdict::invalid(OidcFault::AttemptUnknown)).count();
        assert_eq!(others, 19, "{parts:?}");
    }
}

/// Whoever is led to another person's answer has another cookie, or none; the owner can still use hers.
#[tokio::test]
async fn another_browser_does_not_consume_the_attempt() {
    for parts in Parts::ALL {
        let bed = OidcBed::start_on(parts).await;
        let (begun, came) = came(&bed).await;
        let (other, _) = self::came(&bed).await;
        let mut callback = bed.party.callback(&other, &came);
        assert_eq!(bed.party.complete(callback.clone()).await, Verdict::invalid(OidcFault::OtherBrowser));
        callback.binding_secret = "of a form that was never made".to_owned();
        assert_eq!(bed.party.complete(callback).await, Verdict::invalid(OidcFault::AttemptUnknown));
        assert_eq!(bed.complete(&begun, &came).await, Verdict::Session, "{parts:?}");
    }
}

#[tokio::test]
async fn an_attempt_ends_after_a_quarter_of_an_hour() {
    for (span, verdict) in [
        (LIFETIME - Duration::from_millis(1), Verdict::Session),
        (LIFETIME, Verdict::invalid(OidcFault::AttemptExpired)),
    ] {
        let bed = OidcBed::start().await;
        let (begun, came) = came(&bed).await;
        bed.clock.advance(span);
        assert_eq!(bed.complete(&begun, &came).await, verdict);
    }
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_state_fails() {
    let bed = OidcBed::start().await;
    let (begun, came) = came(&bed).await;
    let (_, other) = self::came(&bed).await;
    for state in ["x".to_owned(), format!("{}A", came["state"]), came["state"].to_lowercase()] {
        let wrong = with(&came, "state", &state);
        assert_eq!(
            bed.complete(&begun, &wrong).await,
            Verdict::invalid(OidcFault::AttemptUnknown),
            "{state}"
        );
    }
    // That of an attempt of another browser.
    let wrong = with(&came, "state", &other["state"]);
    assert_eq!(bed.complete(&begun, &wrong).await, Verdict::invalid(OidcFault::OtherBrowser));
    assert_eq!(bed.complete(&begun, &came).await, Verdict::Session);
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_ensure_authorization_response_with_missing_state_fails() {
    let bed = OidcBed::start().await;
    let (begun, came) = came(&bed).await;
    let wrong = with(&came, "state", "");
    let refused = Verdict::Refused("INVALID_REQUEST".to_owned(), String::new());
    assert_eq!(bed.complete(&begun, &wrong).await, refused);
    assert_eq!(bed.op.hits("/token"), 0);
}

#[tokio::test]
async fn access_denied_is_told_from_other_errors_in_the_audit_log_alone() {
    let bed = OidcBed::start().await;
    for (error, fault) in [
        ("access_denied", OidcFault::GivenUp),
        ("login_required", OidcFault::GivenUp),
        ("server_error", OidcFault::ProviderError),
        ("no such error", OidcFault::ProviderError),
    ] {
        bed.op.behave(|op| {
            op.response(move |response| {
                response.remove("code");
                response.insert("error".to_owned(), error.to_owned());
            });
        });
        bed.is_refused(fault).await;
    }
}

/// RFC 9207 §2.4: an error of another provider is none. Errors come by query here, whatever the module's name says: this
/// party asks for no `form_post`.
#[tokio::test]
async fn oidcc_client_test_form_post_error() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.response(|response| {
            response.remove("code");
            response.insert("error".to_owned(), "access_denied".to_owned());
            response.insert("iss".to_owned(), "https://evil.example".to_owned());
        });
    });
    bed.is_refused(OidcFault::ResponseIssuer).await;
    assert!(!bed.op.last_request().contains_key("response_mode"));
}

/// Both say that somebody made the answer up.
#[tokio::test]
async fn an_error_beside_a_code_is_an_error() {
    let bed = OidcBed::start().await;
    bed.op.behave(|op| {
        op.response(|response| {
            response.insert("error".to_owned(), "access_denied".to_owned());
        });
    });
    bed.is_refused(OidcFault::GivenUp).await;
    assert_eq!(bed.op.hits("/token"), 0);
}

fn with(came: &Parameters, name: &str, value: &str) -> Parameters {
    let mut changed = came.clone();
    changed.insert(name.to_owned(), value.to_owned());
    changed
}

/// Two providers at one organization, and the first at another organization, too.
struct Two {
    first: EvilProvider,
    second: EvilProvider,
    party: Party,
}

impl Two {
    async fn start() -> Self {
        let clock = TestClock::at_noon();
        let first = EvilProvider::start(Arc::clone(&clock) as _, REDIRECT_URI).await;
        let second = EvilProvider::start(Arc::clone(&clock) as _, REDIRECT_URI).await;
        first.behave(|op| {
            op.person.insert("ssn".to_owned(), json!(NUMBER));
        });
        let mut other = usual(KOMMUN, second.issuer());
        other.provider = ProviderId::parse("other").unwrap();
        let providers = vec![usual(KOMMUN, first.issuer()), other, usual(OPVANG, first.issuer())];
        let party = Party::start(Parts::Embedded, KOMMUN, clock, providers).await;
        Self { first, second, party }
    }

    /// An answer of the first provider, with what the portal should send then.
    async fn answer(&self) -> proto::CompleteOidcLoginRequest {
        let begun = self.party.begin("evil").await.unwrap();
        let came = super::bed::visit(&self.first, &begun.url).await;
        self.party.callback(&begun, &came)
    }

    fn asked_for_tokens(&self) -> usize {
        self.first.hits("/token") + self.second.hits("/token")
    }
}

/// Mix-up (RFC 9700 §4.4): the code of one provider must not be shown to another.
#[tokio::test]
async fn a_code_of_one_provider_on_the_callback_of_another_is_refused() {
    let two = Two::start().await;
    let mut answer = two.answer().await;
    answer.provider = "other".to_owned();
    assert_eq!(two.party.complete(answer.clone()).await, Verdict::invalid(OidcFault::OtherProvider));
    // It is used up by that: somebody is at work.
    answer.provider = "evil".to_owned();
    assert_eq!(two.party.complete(answer).await, Verdict::invalid(OidcFault::AttemptUnknown));
    assert_eq!(two.asked_for_tokens(), 0);
}

#[tokio::test]
async fn a_state_of_another_portal_is_refused() {
    let two = Two::start().await;
    let mut answer = two.answer().await;
    answer.portal = proto::Portal::Staff.into();
    assert_eq!(two.party.complete(answer).await, Verdict::invalid(OidcFault::OtherProvider));
    assert_eq!(two.asked_for_tokens(), 0);
}

#[tokio::test]
async fn a_state_of_another_organization_is_refused() {
    let two = Two::start().await;
    let mut answer = two.answer().await;
    answer.organization = OPVANG.to_owned();
    let opvang = two.party.service.portal(OPVANG).await;
    let status = opvang.oidc.clone().complete_oidc_login(answer).await.unwrap_err();
    assert_eq!(reason(&status), "LOGIN_ATTEMPT_INVALID");
    assert_eq!(two.asked_for_tokens(), 0);
}

/// The portal of one organization cannot complete for another in its own name either.
#[tokio::test]
async fn a_caller_of_another_organization_completes_nothing() {
    let two = Two::start().await;
    let answer = two.answer().await;
    let opvang = two.party.service.portal(OPVANG).await;
    let status = opvang.oidc.clone().complete_oidc_login(answer.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "CALLER_NOT_ALLOWED");
    assert_eq!(two.party.complete(answer).await, Verdict::Session);
}
