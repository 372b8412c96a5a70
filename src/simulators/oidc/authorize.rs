//! The page of a broker: who is it, and the way back with a code.

use std::time::Duration;

use axum::extract::{Form, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;
use maud::html;
use reqwest::Url;
use serde::Deserialize;

use super::parameters::Parameters;
use super::request::{Grant, Request, Wrong};
use super::{Asked, Provider};
use crate::simulators::frame;

/// A page waits this long for a click.
const PAGE_LIFE: Duration = Duration::from_mins(10);

/// A code is exchanged at once (RFC 6749 §4.1.2: ten minutes at most).
const CODE_LIFE: Duration = Duration::from_mins(1);

/// The page on which a person is chosen.
pub(super) async fn page(Asked(provider): Asked, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    match requested(&provider, pairs) {
        Ok(request) => show(&provider, request),
        Err(wrong) => refuse(&provider, wrong),
    }
}

/// The request that an address holds or names.
fn requested(provider: &Provider, pairs: Vec<(String, String)>) -> Result<Request, Wrong> {
    let parameters = Parameters::new(pairs).ok_or(Wrong::Stranger("A parameter is there twice."))?;
    if !provider.broker.takes_pushed() {
        return Request::read(&parameters, &provider.clients);
    }
    let name = parameters.get("request_uri").ok_or(Wrong::Stranger("Requests must be pushed here."))?;
    let pushed = provider.state().pushed.take(name, provider.now());
    pushed
        .filter(|request| Some(request.client_id.as_str()) == parameters.get("client_id"))
        .ok_or(Wrong::Stranger("No request of this client was pushed under this name, or it was used."))
}

fn show(provider: &Provider, request: Request) -> Response {
    let name = provider.random();
    let persons = provider.broker.persons();
    let content = html! {
        p { "A stand-in for development. Whom do you want to be at " code { (request.client_id) } "?" }
        form method="post" action=(provider.at("authorize")) {
            input type="hidden" name="transaction" value=(name);
            fieldset {
                legend { "Person" }
                @for (index, person) in persons.iter().enumerate() {
                    label.choice {
                        input type="radio" name="person" value=(index) checked[index == 0];
                        " " (person.name()) ", " code { (person.number) } " – " (person.note)
                    }
                }
            }
            button name="decision" value="approve" { "Log in" }
            " "
            button name="decision" value="decline" { "Cancel" }
        }
    };
    // The way back leads to the client, and browsers hold the redirect of a form to this, too.
    let back = Url::parse(&request.redirect_uri).map(|url| url.origin().ascii_serialization());
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        back.unwrap_or_default()
    );
    provider.state().shown.put(name, request, PAGE_LIFE, provider.now());
    ([(CONTENT_SECURITY_POLICY, policy)], frame::outside(provider.broker.display_name(), content))
        .into_response()
}

/// What was clicked.
#[derive(Deserialize)]
pub(super) struct Decision {
    transaction: String,
    #[serde(default)]
    person: usize,
    #[serde(rename = "decision")]
    clicked: String,
}

/// Sends the browser back, with a code or without.
pub(super) async fn decide(Asked(provider): Asked, Form(decision): Form<Decision>) -> Response {
    let now = provider.now();
    let Some(request) = provider.state().shown.take(&decision.transaction, now) else {
        return refuse(
            &provider,
            Wrong::Stranger("This page was used, or is too old. Begin at the portal again."),
        );
    };
    let person = provider.broker.persons().get(decision.person).copied();
    let (Some(person), "approve") = (person, decision.clicked.as_str()) else {
        let Request { redirect_uri, state, .. } = request;
        let (error, description) = ("access_denied", "The person declined.");
        return refuse(&provider, Wrong::Asked { redirect_uri, state, error, description });
    };
    let code = provider.random();
    let (redirect_uri, state) = (request.redirect_uri.clone(), request.state.clone());
    provider.state().codes.put(code.clone(), Grant { request, person, at: now }, CODE_LIFE, now);
    back(&provider, &redirect_uri, state.as_deref(), &[("code", &code)])
}

fn refuse(provider: &Provider, wrong: Wrong) -> Response {
    match wrong {
        Wrong::Stranger(why) => {
            let content = html! { section.alert role="alert" { p { (why) } } };
            (StatusCode::BAD_REQUEST, frame::outside(provider.broker.display_name(), content)).into_response()
        }
        Wrong::Asked { redirect_uri, state, error, description } => {
            let parameters = [("error", error), ("error_description", description)];
            back(provider, &redirect_uri, state.as_deref(), &parameters)
        }
    }
}

/// To the client, with `state` and `iss` (RFC 9207).
fn back(
    provider: &Provider,
    redirect_uri: &str,
    state: Option<&str>,
    parameters: &[(&str, &str)],
) -> Response {
    let Ok(mut url) = Url::parse(redirect_uri) else { return StatusCode::BAD_REQUEST.into_response() };
    url.query_pairs_mut()
        .extend_pairs(parameters)
        .extend_pairs(state.map(|state| ("state", state)))
        .append_pair("iss", &provider.issuer);
    Redirect::to(url.as_str()).into_response()
}
