//! Logging in with BankID: the page that waits with a link or a code, and the one that the app returns to.

use axum::extract::{Form, Query};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tonic::Status;

use super::eid::{cookie, failed, go, logged_in, no_cookie, other_browser, with_cookie};
use super::qr;
use super::visit::Visit;
use crate::proto;
use crate::proto::bank_id_view::Start;
use crate::proto::login_bank_id_service_client::LoginBankIdServiceClient;
use crate::simulators::failure::Failure;
use crate::simulators::phone;

/// The cookie with the order and its secret.
const COOKIE: &str = "bankid";

/// A code is of its second.
const REFRESH_SECONDS: u32 = 1;

/// Where BankID is.
#[derive(Deserialize)]
pub(in crate::simulators) struct StartForm {
    device: String,
}

/// What the app brings back.
#[derive(Deserialize)]
pub(in crate::simulators) struct Returned {
    #[serde(default)]
    nonce: String,
}

/// An order of this browser, as its cookie names it.
struct Order {
    is_same_device: bool,
    login_id: String,
    binding_secret: String,
}

impl Order {
    fn of(visit: &Visit) -> Option<Self> {
        let cookie = visit.cookie(COOKIE)?;
        let mut parts = cookie.splitn(3, '.');
        let (device, login_id, binding_secret) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            is_same_device: device == "same",
            login_id: login_id.to_owned(),
            binding_secret: binding_secret.to_owned(),
        })
    }

    /// The same for the cookie.
    fn written(&self) -> String {
        let device = if self.is_same_device { "same" } else { "other" };
        format!("{device}.{}.{}", self.login_id, self.binding_secret)
    }

    async fn cancel(self, visit: &Visit) -> Result<(), Status> {
        let request = proto::CancelBankIdLoginRequest {
            organization: visit.door.organization.clone(),
            portal: visit.door.proto_portal().into(),
            login_id: self.login_id,
            binding_secret: self.binding_secret,
            client: Some(visit.client.clone()),
        };
        let mut client = LoginBankIdServiceClient::new(visit.channel());
        client.cancel_bank_id_login(visit.call(request)).await.map(drop)
    }
}

fn path(visit: &Visit) -> String {
    format!("{}/bankid", visit.door.path())
}

/// Begins an order, and ends the one before it.
pub(in crate::simulators) async fn start(visit: Visit, Form(form): Form<StartForm>) -> Response {
    if let Some(before) = Order::of(&visit) {
        // It may be over: then there is nothing to give up.
        drop(before.cancel(&visit).await);
    }
    let is_same_device = form.device == "same";
    let device = if is_same_device { proto::BankIdDevice::Same } else { proto::BankIdDevice::Other };
    let request = proto::StartBankIdLoginRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        device: device.into(),
        client: Some(visit.client.clone()),
        device_identifier: String::new(),
    };
    let mut client = LoginBankIdServiceClient::new(visit.channel());
    match client.start_bank_id_login(visit.call(request)).await {
        Ok(answer) => {
            let proto::StartBankIdLoginResponse { login_id, binding_secret, .. } = answer.into_inner();
            let order = Order { is_same_device, login_id, binding_secret };
            let path = path(&visit);
            go(&path, cookie(COOKIE, &order.written(), &path))
        }
        Err(status) => failed(&visit, &status),
    }
}

/// Shows how far the order is. It loads itself again, and takes one frame of the stream each time; a portal with scripts
/// would keep the stream open and pass the frames on.
pub(in crate::simulators) async fn wait(visit: Visit) -> Response {
    let Some(order) = Order::of(&visit) else { return other_browser(&visit).into_response() };
    let frame = match first_frame(&visit, &order).await {
        Ok(frame) => frame.unwrap_or_default(),
        Err(status) => return failed(&visit, &status),
    };
    let view = frame.view.clone().unwrap_or_default();
    match frame.status() {
        proto::BankIdStatus::Pending | proto::BankIdStatus::Unspecified => {
            visit.page_again("BankID", REFRESH_SECONDS, waiting(&visit, &view)).into_response()
        }
        proto::BankIdStatus::Complete if order.is_same_device => {
            let content = html! {
                section.done role="status" { p { "Signed. Go on where BankID opened the portal again." } }
            };
            visit.page("BankID", content).into_response()
        }
        proto::BankIdStatus::Complete => complete(&visit, order, String::new()).await,
        proto::BankIdStatus::Failed => {
            let content = html! {
                section.alert role="alert" {
                    (said(&view))
                    dl { dt { "Reference code" } dd.code { (frame.reference_code) } }
                }
                p { a href=(visit.door.path()) { "Begin again" } }
            };
            let response = visit.page("BankID", content).into_response();
            with_cookie(response, no_cookie(COOKIE, &path(&visit)))
        }
    }
}

async fn first_frame(
    visit: &Visit,
    order: &Order,
) -> Result<Option<proto::WatchBankIdLoginResponse>, Status> {
    let request = proto::WatchBankIdLoginRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        login_id: order.login_id.clone(),
        binding_secret: order.binding_secret.clone(),
        client: Some(visit.client.clone()),
    };
    let mut client = LoginBankIdServiceClient::new(visit.channel());
    client.watch_bank_id_login(visit.call(request)).await?.into_inner().message().await
}

fn said(view: &proto::BankIdView) -> Markup {
    html! {
        @if let Some(message) = &view.message {
            p { strong { (message.text_en) } }
            p.hint lang="sv" { (message.text_sv) " (" (message.message_id) ")" }
        }
    }
}

fn waiting(visit: &Visit, view: &proto::BankIdView) -> Markup {
    html! {
        section role="status" {
            (said(view))
            @match &view.start {
                Some(Start::QrText(text)) => {
                    (qr::drawn(text))
                    p { a href=(phone::scan_path(text)) target="_blank" { "Scan it with the simulated phone" } }
                    p.hint { code { (text) } }
                }
                Some(Start::Links(links)) => {
                    p { a href=(phone::open_path(&links.desktop_url)) { "Open BankID (the simulated one)" } }
                    p.hint { "A portal links to " code { (links.mobile_url) } " on phones, and to " code { (links.desktop_url) } " elsewhere." }
                }
                None => {}
            }
        }
        form method="post" action={ (path(visit)) "/cancel" } { button { "Cancel" } }
    }
}

/// What the app opens after signing on this device. It may be faster than the service, which asks BankID every two seconds:
/// then this page tries again.
pub(in crate::simulators) async fn returned(visit: Visit, Query(returned): Query<Returned>) -> Response {
    match Order::of(&visit) {
        Some(order) => complete(&visit, order, returned.nonce).await,
        None => other_browser(&visit).into_response(),
    }
}

async fn complete(visit: &Visit, order: Order, return_nonce: String) -> Response {
    let request = proto::CompleteBankIdLoginRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        login_id: order.login_id,
        binding_secret: order.binding_secret,
        return_nonce,
        client: Some(visit.client.clone()),
    };
    let mut client = LoginBankIdServiceClient::new(visit.channel());
    let response = match client.complete_bank_id_login(visit.call(request)).await {
        Ok(answer) => logged_in(visit, answer.into_inner().session).await,
        Err(status) if Failure::of(&status).is("LOGIN_NOT_FINISHED") => {
            let content = html! { section role="status" { p { "One moment: BankID is being asked." } } };
            return visit.page_again("BankID", REFRESH_SECONDS, content).into_response();
        }
        Err(status) => failed(visit, &status),
    };
    with_cookie(response, no_cookie(COOKIE, &path(visit)))
}

/// Gives the order up.
pub(in crate::simulators) async fn cancel(visit: Visit) -> Response {
    let Some(order) = Order::of(&visit) else { return other_browser(&visit).into_response() };
    match order.cancel(&visit).await {
        Ok(()) => go(&visit.door.path(), no_cookie(COOKIE, &path(&visit))),
        Err(status) => failed(&visit, &status),
    }
}
