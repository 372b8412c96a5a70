//! The page to log in, which shows what came of it.

use axum::extract::Form;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use maud::{Markup, html};
use serde::Deserialize;

use super::visit::{Visit, device_cookie};
use super::{Field, faults};
use crate::proto;
use crate::proto::login_service_client::LoginServiceClient;
use crate::proto::login_with_password_response::Outcome;
use crate::simulators::failure::Failure;

/// What a person logs in with.
#[derive(Default, Deserialize)]
pub(in crate::simulators) struct LoginForm {
    #[serde(default)]
    login_name: String,
    #[serde(default)]
    password: String,
}

/// The ways to log in.
pub(in crate::simulators) async fn page(visit: Visit) -> Response {
    login_page(&visit, "", None).await
}

async fn login_page(visit: &Visit, login_name: &str, failure: Option<&Failure>) -> Response {
    // A portal without the service shows the form all the same: the call of the login tells what is wrong.
    let offered = visit.offered().await.unwrap_or_default();
    let content = html! { (form(visit, login_name, failure)) (eid_forms(visit, &offered)) };
    let page = visit.page("Log in", content);
    match visit.provider_origin() {
        // Browsers hold the redirect that answers a form to this, too.
        Some(origin) => ([(CONTENT_SECURITY_POLICY, policy_with(origin))], page).into_response(),
        None => page.into_response(),
    }
}

fn policy_with(origin: &str) -> String {
    format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {origin}; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// A button for each way to log in with an eID.
fn eid_forms(visit: &Visit, offered: &proto::ListLoginMethodsResponse) -> Markup {
    let home = visit.door.path();
    html! {
        @if offered.methods().any(|method| method == proto::LoginMethod::Bankid) {
            form method="post" action={ (home) "/bankid" } {
                button name="device" value="same" { "BankID on this device" }
                " "
                button name="device" value="other" { "BankID on another device" }
            }
        }
        @for provider in &offered.oidc_providers {
            form method="post" action={ (home) "/oidc/" (provider.provider) } { button { (provider.display_name) } }
        }
    }
}

fn form(visit: &Visit, login_name: &str, failure: Option<&Failure>) -> Markup {
    html! {
        @if let Some(failure) = failure { (failure) }
        form method="post" action=(visit.door.path()) {
            (Field {
                id: "login-name", name: "login_name", label: "User name or debtor number", kind: "text",
                autocomplete: "username", value: login_name, faults: faults(failure, "login_name"),
            })
            (Field {
                id: "password", name: "password", label: "Password", kind: "password",
                autocomplete: "current-password", value: "", faults: faults(failure, "password"),
            })
            button { "Log in" }
        }
        p { a href={ (visit.door.path()) "/forgot" } { "Forgot the password?" } }
    }
}

/// Logs in and shows what came of it. A portal would keep the tokens on its own side; this one drops them.
pub(in crate::simulators) async fn submit(visit: Visit, Form(typed): Form<LoginForm>) -> Response {
    let request = proto::LoginWithPasswordRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        login_name: typed.login_name.clone(),
        password: typed.password,
        client: Some(visit.client.clone()),
    };
    let mut client = LoginServiceClient::new(visit.channel());
    let answer = match client.login_with_password(visit.call(request)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            return login_page(&visit, &typed.login_name, Some(&Failure::of(&status))).await;
        }
    };
    let content = html! {
        section.done role="status" {
            @match &answer.outcome {
                Some(Outcome::Session(tokens)) => {
                    p { strong { "Logged in." } }
                    dl {
                        dt { "Guardian" } dd { (tokens.guardian_id) }
                        dt { "Session" } dd { (tokens.session_id) }
                    }
                }
                Some(Outcome::PasswordChangeRequired(_)) => {
                    p { strong { "The password is right, and a new one must be chosen first." } }
                    p { "A portal now asks for it and calls " code { "PasswordService.ChangePassword" } "." }
                }
                None => { p { "An answer without outcome." } }
            }
        }
        p { a href=(visit.door.path()) { "Back" } }
    };
    let page = visit.page("Log in", content);
    match device_cookie(&visit.door, &answer.device_token) {
        Some(cookie) => ([(SET_COOKIE, cookie)], page).into_response(),
        None => page.into_response(),
    }
}
