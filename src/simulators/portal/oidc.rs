//! Logging in at an `OpenID` provider: off to it with a cookie, and back with what it says.

use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::eid::{cookie, failed, go, logged_in, no_cookie, other_browser, with_cookie};
use super::visit::Visit;
use crate::proto;
use crate::proto::login_oidc_service_client::LoginOidcServiceClient;

/// The cookie with the secret, for the pages of its provider alone.
const COOKIE: &str = "oidc";

/// Which provider.
#[derive(Deserialize)]
pub(in crate::simulators) struct At {
    provider: String,
}

/// What a provider sends back.
#[derive(Deserialize)]
pub(in crate::simulators) struct Callback {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    iss: String,
    #[serde(default)]
    error: String,
}

fn path(visit: &Visit, provider: &str) -> String {
    format!("{}/oidc/{provider}", visit.door.path())
}

/// Sends the browser to the provider.
pub(in crate::simulators) async fn start(visit: Visit, Path(At { provider }): Path<At>) -> Response {
    let request = proto::StartOidcLoginRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        provider: provider.clone(),
        locale: visit.locale(),
        login_hint: String::new(),
        client: Some(visit.client.clone()),
    };
    let mut client = LoginOidcServiceClient::new(visit.channel());
    match client.start_oidc_login(visit.call(request)).await {
        Ok(answer) => {
            let started = answer.into_inner();
            let cookie = cookie(COOKIE, &started.binding_secret, &path(&visit, &provider));
            go(&started.authorization_url, cookie)
        }
        Err(status) => failed(&visit, &status),
    }
}

/// Takes what the provider sent. The cookie goes, whatever comes of it: an attempt is good once.
pub(in crate::simulators) async fn callback(
    visit: Visit,
    Path(At { provider }): Path<At>,
    Query(answer): Query<Callback>,
) -> Response {
    let Some(binding_secret) = visit.cookie(COOKIE) else { return other_browser(&visit).into_response() };
    let request = proto::CompleteOidcLoginRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        provider: provider.clone(),
        binding_secret,
        state: answer.state,
        code: answer.code,
        iss: answer.iss,
        error: answer.error,
        client: Some(visit.client.clone()),
    };
    let mut client = LoginOidcServiceClient::new(visit.channel());
    let response = match client.complete_oidc_login(visit.call(request)).await {
        Ok(answer) => logged_in(&visit, answer.into_inner().session).await,
        Err(status) => failed(&visit, &status),
    };
    with_cookie(response, no_cookie(COOKIE, &path(&visit, &provider)))
}
