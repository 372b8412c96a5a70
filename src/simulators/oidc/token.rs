//! What relying parties ask for: pushing a request, tokens for a code, and what else is known of a person.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::extract::Form;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use super::parameters::Parameters;
use super::request::{Grant, Request, Wrong};
use super::{Asked, Provider, RelyingParty};

/// A pushed request is for now (RFC 9126 §2.2: between 5 and 600 seconds).
const PUSHED_LIFE: Duration = Duration::from_mins(1);

/// An access token is for userinfo, right after.
const TOKEN_LIFE: Duration = Duration::from_mins(5);

type Pairs = Form<Vec<(String, String)>>;

/// Takes a request (RFC 9126 §2).
pub(super) async fn push(Asked(provider): Asked, headers: HeaderMap, Form(pairs): Pairs) -> Response {
    let Some(client) = client(&provider, &headers) else { return unknown_client() };
    let Some(parameters) = Parameters::new(pairs) else { return error("invalid_request") };
    if !provider.broker.takes_pushed() || parameters.get("client_id") != Some(&client.client_id) {
        return error("invalid_request");
    }
    match Request::read(&parameters, &provider.clients) {
        Ok(request) => {
            let name = format!("urn:ietf:params:oauth:request_uri:{}", provider.random());
            provider.state().pushed.put(name.clone(), request, PUSHED_LIFE, provider.now());
            let answer = json!({ "request_uri": name, "expires_in": PUSHED_LIFE.as_secs() });
            (StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err(Wrong::Asked { error: code, .. }) => error(code),
        Err(Wrong::Stranger(_)) => error("invalid_request"),
    }
}

/// Exchanges a code (RFC 6749 §4.1.3), which is good once, whatever comes of it.
pub(super) async fn exchange(Asked(provider): Asked, headers: HeaderMap, Form(pairs): Pairs) -> Response {
    let Some(client) = client(&provider, &headers) else { return unknown_client() };
    let Some(parameters) = Parameters::new(pairs) else { return error("invalid_request") };
    if parameters.get("grant_type") != Some("authorization_code") {
        return error("unsupported_grant_type");
    }
    let now = provider.now();
    let grant = provider.state().codes.take(parameters.get("code").unwrap_or_default(), now);
    let verifier = parameters.get("code_verifier").unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let fits = |grant: &Grant| {
        grant.request.client_id == client.client_id
            && Some(grant.request.redirect_uri.as_str()) == parameters.get("redirect_uri")
            && grant.request.challenge == challenge
    };
    let Some(grant) = grant.filter(fits) else { return error("invalid_grant") };
    let access_token = provider.random();
    let Ok(id_token) = provider.key.sign(claims(&provider, &grant, &access_token)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFE.as_secs(),
        "scope": grant.request.scopes.join(" "),
        "id_token": id_token,
    });
    provider.state().tokens.put(access_token, grant, TOKEN_LIFE, now);
    ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// The claims of an ID token (`OpenID` Connect Core §2).
fn claims(provider: &Provider, grant: &Grant, access_token: &str) -> Map<String, Value> {
    let (now, broker) = (provider.now().as_seconds(), provider.broker);
    let subject = subject(provider, grant);
    let mut claims = broker.said(&grant.person, &subject, &grant.request.scopes).id_token;
    let hash = digest(&SHA256, access_token.as_bytes());
    let left = hash.as_ref().get(..16).unwrap_or_default();
    let lifetime = i64::try_from(TOKEN_LIFE.as_secs()).unwrap_or_default();
    claims.extend([
        ("iss".to_owned(), json!(provider.issuer)),
        ("sub".to_owned(), json!(subject)),
        ("aud".to_owned(), json!(grant.request.client_id)),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(now.saturating_add(lifetime))),
        ("auth_time".to_owned(), json!(grant.at.as_seconds())),
        ("acr".to_owned(), json!(broker.acr())),
        ("at_hash".to_owned(), json!(URL_SAFE_NO_PAD.encode(left))),
    ]);
    if let Some(nonce) = &grant.request.nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    claims
}

/// Another name for the same person at each client (pairwise, `OpenID` Connect Core §8.1).
fn subject(provider: &Provider, grant: &Grant) -> String {
    let person = format!("{} {} {}", grant.request.client_id, grant.person.sector, grant.person.number);
    let digest = digest(&SHA256, person.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, from)| *byte = *from);
    provider.broker.pseudonym(bytes)
}

/// What else is known of a person (`OpenID` Connect Core §5.3).
pub(super) async fn userinfo(Asked(provider): Asked, headers: HeaderMap) -> Response {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.strip_prefix("Bearer ").unwrap_or_default();
    let grant = provider.state().tokens.get(token, provider.now()).cloned();
    let Some(grant) = grant else {
        let challenge = [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    };
    let subject = subject(&provider, &grant);
    let mut claims = provider.broker.said(&grant.person, &subject, &grant.request.scopes).userinfo;
    claims.insert("sub".to_owned(), json!(subject));
    ([(CACHE_CONTROL, "no-store")], Json(Value::Object(claims))).into_response()
}

/// The client whose name and secret are in the header, each form-encoded (RFC 6749 §2.3.1).
fn client<'a>(provider: &'a Provider, headers: &HeaderMap) -> Option<&'a RelyingParty> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let pair = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let (id, secret) = (form_decoded(id)?, form_decoded(secret)?);
    let client = provider.clients.iter().find(|client| client.client_id == id)?;
    bool::from(client.client_secret.expose().as_bytes().ct_eq(secret.as_bytes())).then_some(client)
}

fn form_decoded(text: &str) -> Option<String> {
    let mut url = Url::parse("http://localhost/").ok()?;
    url.set_query(Some(&format!("value={text}")));
    url.query_pairs().next().map(|(_, value)| value.into_owned())
}

fn unknown_client() -> Response {
    let challenge = [(WWW_AUTHENTICATE, "Basic"), (CACHE_CONTROL, "no-store")];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "error": "invalid_client" }))).into_response()
}

fn error(code: &str) -> Response {
    let headers = [(CACHE_CONTROL, "no-store")];
    (StatusCode::BAD_REQUEST, headers, Json(json!({ "error": code }))).into_response()
}
