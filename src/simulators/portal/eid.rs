//! What logins with an eID share: cookies that bind them to this browser, and the page at the end.

use axum::response::{Html, IntoResponse as _, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use maud::html;
use tonic::Status;

use super::visit::Visit;
use crate::proto;
use crate::proto::session_service_client::SessionServiceClient;
use crate::simulators::failure::Failure;

/// As long as an attempt lives.
const COOKIE_SECONDS: u32 = 15 * 60;

/// A cookie that scripts cannot read and forms of other sites do not bring. A real portal adds `Secure`; this one is not
/// reached by https.
pub(super) fn cookie(name: &str, value: &str, path: &str) -> Option<HeaderValue> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let cookie = format!("{name}={value}; Path={path}; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax");
    if is_plain { HeaderValue::try_from(cookie).ok() } else { None }
}

/// Takes a cookie away.
pub(super) fn no_cookie(name: &str, path: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{name}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Lax")).ok()
}

/// Sends the browser elsewhere with a cookie.
pub(super) fn go(to: &str, cookie: Option<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::try_from(to) else { return StatusCode::BAD_GATEWAY.into_response() };
    with_cookie((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(), cookie)
}

pub(super) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Who logged in, and by what. A portal would keep the tokens on its own side; this one drops them.
pub(super) async fn logged_in(visit: &Visit, tokens: Option<proto::SessionTokens>) -> Response {
    let Some(tokens) = tokens else { return failed(visit, &Status::unknown("an answer without session")) };
    let request = proto::VerifySessionRequest {
        access_token: tokens.access_token,
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
    };
    let mut client = SessionServiceClient::new(visit.channel());
    let verified = match client.verify_session(visit.call(request)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return failed(visit, &status),
    };
    let content = html! {
        section.done role="status" {
            p { strong { "Logged in." } }
            dl {
                dt { "Guardian" } dd { (tokens.guardian_id) }
                dt { "Session" } dd { (tokens.session_id) }
                dt { "Authenticated by" } dd { (verified.authentication_methods.join(", ")) }
            }
        }
        p { a href=(visit.door.path()) { "Back" } }
    };
    visit.page("Log in", content).into_response()
}

/// Why there is no session.
pub(super) fn failed(visit: &Visit, status: &Status) -> Response {
    let failure = Failure::of(status).among(&visit.door.organization);
    let content = html! {
        (failure)
        p { a href=(visit.door.path()) { "Begin again" } }
    };
    visit.page("Log in", content).into_response()
}

/// This browser has begun nothing: whoever led it here did.
pub(super) fn other_browser(visit: &Visit) -> (StatusCode, Html<String>) {
    let content = html! {
        section.alert role="alert" {
            p { strong { "This login was begun in another browser, or is over." } }
        }
        p { a href=(visit.door.path()) { "Begin again" } }
    };
    (StatusCode::FORBIDDEN, visit.page("Log in", content))
}
