//! What every request passes: only this machine, only under a name of this machine, forms only from our own pages.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::frame;

/// Of pages that do not bring a policy of their own: nothing from elsewhere, no script, in no frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Refuses what is not ours, and puts the headers on what is answered.
pub(super) async fn guard(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let host = host(&request);
    let is_here = peer.ip().to_canonical().is_loopback() && host.as_deref().is_some_and(is_of_this_machine);
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let mut response = if !is_here {
        frame::refused("These pages are for this machine only.").into_response()
    } else if reads || host.is_some_and(|host| is_from_here(request.headers(), &host)) {
        next.run(request).await
    } else {
        frame::refused("This form was not sent from one of these pages.").into_response()
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = frame::not_found().into_response();
    }
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // `no-referrer` would make the `Origin` of our own forms `null`.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Refuses what is not of this machine. For calls that no browser makes: they bring a secret instead of an origin.
pub(super) async fn here_only(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if peer.ip().to_canonical().is_loopback() && host(&request).as_deref().is_some_and(is_of_this_machine) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

/// `Host` of HTTP/1.1, `:authority` of HTTP/2.
fn host(request: &Request) -> Option<String> {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    header
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
        .map(str::to_ascii_lowercase)
}

/// A page elsewhere can point a name of its own at 127.0.0.1 and read what is answered (DNS rebinding): its name is
/// then in `Host`.
fn is_of_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a form comes from a page of the same origin. Browsers say so; who does not say is refused.
fn is_from_here(headers: &HeaderMap, host: &str) -> bool {
    if let Some(origin) = headers.get(ORIGIN) {
        return origin.to_str().is_ok_and(|origin| origin.strip_prefix("http://") == Some(host));
    }
    headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_its_own() {
        for host in ["127.0.0.1", "127.0.0.1:8025", "localhost", "localhost:80", "[::1]", "[::1]:8025"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:8025",
            "localhost.evil.example",
            "192.0.2.7:8025",
            "0.0.0.0:8025",
            "localhost@evil.example",
            "evil.example:127.0.0.1",
        ] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_form_of_another_origin_is_not_from_here() {
        let from = |name: HeaderName, value: &'static str| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            is_from_here(&headers, "127.0.0.1:8025")
        };
        assert!(from(ORIGIN, "http://127.0.0.1:8025"));
        assert!(from(FETCH_SITE, "same-origin"));
        for origin in ["null", "http://127.0.0.1:3000", "https://127.0.0.1:8025", "http://evil.example"] {
            assert!(!from(ORIGIN, origin), "{origin}");
        }
        assert!(!from(FETCH_SITE, "same-site"));
        assert!(!is_from_here(&HeaderMap::new(), "127.0.0.1:8025"));
    }
}
