//! `GET /.well-known/jwks.json`: the public keys that verify access tokens, as a JWK set (RFC 7517, RFC 8037).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use tonic::body::Body;

use crate::ports::access_tokens::PublishedKeys;

/// Where the keys are.
pub const PATH: &str = "/.well-known/jwks.json";

/// Portals may keep the public keys this long: a third of the time for which a key is published before it signs.
pub const MAX_AGE_SECONDS: i64 = 300;

/// The answer to a request of this path.
pub(super) fn answer(method: &Method, keys: impl FnOnce() -> PublishedKeys) -> Response<Body> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = super::plain::text(StatusCode::METHOD_NOT_ALLOWED, "");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let body = if method == Method::HEAD { String::new() } else { document(&keys()) };
    let mut response = super::plain::text(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    let age = HeaderValue::try_from(format!("public, max-age={MAX_AGE_SECONDS}"));
    headers.extend(age.ok().map(|age| (CACHE_CONTROL, age)));
    response
}

fn document(keys: &PublishedKeys) -> String {
    let keys: Vec<_> = keys
        .keys
        .iter()
        .map(|(id, key)| {
            serde_json::json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "use": "sig",
                "alg": "EdDSA",
                "kid": id,
                "x": URL_SAFE_NO_PAD.encode(key),
            })
        })
        .collect();
    serde_json::json!({ "keys": keys }).to_string()
}
