//! The app of BankID on a simulated phone: it takes an order by code or link, and a person signs or declines.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Form, Path, Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::bankid::{BankIdSimulator, DriverError, OrderView, Persona};
use super::{Pages, frame};

/// What the app is started with.
#[derive(Default, Deserialize)]
pub(super) struct StartedWith {
    /// The text of a QR code, or a link that starts the app.
    #[serde(default)]
    scanned: String,
    /// From a link.
    #[serde(default)]
    autostarttoken: String,
}

/// Where the phone scans a text.
pub(super) fn scan_path(qr_text: &str) -> String {
    // Digits, letters, dots and dashes: nothing to encode.
    format!("/bankid?scanned={qr_text}")
}

/// Where a link that starts the app leads on this machine.
pub(super) fn open_path(link: &str) -> String {
    format!("/bankid?autostarttoken={}", autostart_token(link).unwrap_or_default())
}

fn autostart_token(link: &str) -> Option<&str> {
    link.split_once("autostarttoken=")?.1.split(['&', '#']).next()
}

/// The app. Opened with a code or a link it takes the order at once, as the real one does.
pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(started): Query<StartedWith>,
) -> Response {
    let Some(bankid) = &pages.bankid else { return away().into_response() };
    let (scanned, ip) = (started.scanned.trim(), peer.ip().to_canonical());
    let token = autostart_token(scanned).unwrap_or(&started.autostarttoken);
    let order = match (token, scanned) {
        ("", "") => return frame::page("BankID on a phone", None, ready(None)).into_response(),
        ("", code) => bankid.scan(code, ip),
        (link, _) => bankid.open(link, ip),
    };
    match order {
        Ok(order_ref) => Redirect::to(&format!("/bankid/{order_ref}")).into_response(),
        Err(error) => frame::page("BankID on a phone", None, ready(Some(error))).into_response(),
    }
}

fn ready(error: Option<DriverError>) -> Markup {
    html! {
        @if let Some(error) = error {
            section.alert role="alert" { p { strong { "It did not work: " (error) "." } } }
        }
        form method="get" action="/bankid" {
            label for="scanned" { "The text of a QR code that is shown now, or a link that starts the app" }
            input id="scanned" name="scanned" autocomplete="off";
            p.hint { "A code is of its second: this phone forgives a few more than a camera needs." }
            button { "Scan" }
        }
    }
}

fn away() -> Html<String> {
    frame::page("BankID on a phone", None, html! { section { p { "No simulated BankID runs here." } } })
}

/// What the app shows of an order that it has taken.
pub(super) async fn order(State(pages): State<Arc<Pages>>, Path(order_ref): Path<String>) -> Response {
    let Some(bankid) = &pages.bankid else { return away().into_response() };
    match view(bankid, &order_ref) {
        Some(order) => frame::page("BankID on a phone", None, asking(&order, None)).into_response(),
        None => frame::not_found().into_response(),
    }
}

/// An order that an app has taken: others are nobody's business.
fn view(bankid: &BankIdSimulator, order_ref: &str) -> Option<OrderView> {
    let order = bankid.list_orders().into_iter().find(|order| order.order_ref == order_ref);
    order.filter(|order| order.hint.as_deref() != Some("outstandingTransaction"))
}

fn asking(order: &OrderView, error: Option<DriverError>) -> Markup {
    html! {
        @if let Some(error) = error {
            section.alert role="alert" { p { strong { "It did not work: " (error) "." } } }
        }
        section {
            dl {
                dt { "Who asks" } dd { (order.referring_domain) }
                @if !order.intent.is_empty() { dt { "For what" } dd { (order.intent) } }
                dt { "State" } dd { (order.status) @if let Some(hint) = &order.hint { ", " (hint) } }
            }
        }
        @if order.status == "pending" {
            form method="post" action={ "/bankid/" (order.order_ref) } {
                fieldset {
                    legend { "Whose BankID" }
                    @for (index, persona) in Persona::known().iter().enumerate() {
                        label.choice {
                            input type="radio" name="persona" value=(persona.personal_number) checked[index == 0];
                            " " (persona.given_name) " " (persona.surname) ", " code { (persona.personal_number) }
                            " – " (persona.note)
                        }
                    }
                }
                button name="decision" value="sign" { "Sign" }
                " "
                button name="decision" value="decline" { "Cancel" }
            }
        } @else {
            p { a href="/bankid" { "Back to the app" } }
        }
    }
}

/// What the person does.
#[derive(Deserialize)]
pub(super) struct Decision {
    #[serde(default)]
    persona: String,
    decision: String,
}

/// Signs or declines. After signing on the device of the browser the app opens the return address there.
pub(super) async fn decide(
    State(pages): State<Arc<Pages>>,
    Path(order_ref): Path<String>,
    Form(decision): Form<Decision>,
) -> Response {
    let Some(bankid) = &pages.bankid else { return away().into_response() };
    let persona = Persona::by_number(&decision.persona);
    let done = match (decision.decision.as_str(), persona) {
        ("sign", Some(persona)) => bankid.sign(&order_ref, &persona),
        ("decline", _) => bankid.decline(&order_ref).map(|()| None),
        _ => return frame::not_found().into_response(),
    };
    match (done, view(bankid, &order_ref)) {
        (Ok(Some(return_url)), _) => Redirect::to(&return_url).into_response(),
        (Ok(None), _) => {
            let content = html! {
                section.done role="status" {
                    p { strong { "Done." } " Look at the page of the portal." }
                }
                p { a href="/bankid" { "Back to the app" } }
            };
            frame::page("BankID on a phone", None, content).into_response()
        }
        (Err(error), Some(order)) => {
            frame::page("BankID on a phone", None, asking(&order, Some(error))).into_response()
        }
        (Err(error), None) => frame::page("BankID on a phone", None, ready(Some(error))).into_response(),
    }
}
