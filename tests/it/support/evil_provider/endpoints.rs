//! The endpoints of the evil provider: strict with the client, and as wicked in their answers as they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::Url;
use serde_json::{Value, json};

use super::behaviour::{Answer, Behaviour, ClientProof, UserinfoForm};
use super::keys::{Key, base64url};
use super::tokens::{Subject, id_token, signed_userinfo};
use super::{CLIENT_ID, CLIENT_SECRET, Shared, random};

/// Names and values; of a name that comes twice, the last.
pub type Parameters = BTreeMap<String, String>;

/// Reads a query or a form.
pub fn parameters(text: &str) -> Parameters {
    let url = Url::parse(&format!("http://form.invalid/?{text}")).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Every request.
pub async fn serve(
    State(op): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let behaviour = op.behaviour.lock().unwrap().clone();
    *op.hits.lock().unwrap().entry(uri.path().to_owned()).or_default() += 1;
    let form = parameters(&String::from_utf8_lossy(&body));
    match uri.path() {
        "/.well-known/openid-configuration" => {
            send(&behaviour.discovery, || json_answer(200, &metadata(&op, &behaviour))).await
        }
        "/jwks" => send(&behaviour.jwks, || json_answer(200, &key_set(&behaviour))).await,
        "/par" => send(&behaviour.par, || push(&op, &behaviour, &headers, &form)).await,
        "/authorize" => authorize(&op, &behaviour, &parameters(uri.query().unwrap_or_default())),
        "/token" | "/mtls/token" => send(&behaviour.token, || token(&op, &behaviour, &headers, &form)).await,
        "/userinfo" => send(&behaviour.userinfo, || userinfo(&op, &behaviour, &headers)).await,
        _ => json_answer(404, &json!({})),
    }
}

async fn send(answer: &Answer, well: impl FnOnce() -> Response<Body>) -> Response<Body> {
    match answer {
        Answer::Well => well(),
        Answer::Never => std::future::pending().await,
        Answer::Half => {
            let (parts, body) = well().into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let mut half = Response::new(Body::from(bytes.slice(..bytes.len() / 2)));
            half.headers_mut().insert(header::CONTENT_TYPE, parts.headers[header::CONTENT_TYPE].clone());
            half
        }
        Answer::Status(status) => {
            (StatusCode::from_u16(*status).unwrap(), "<html>Something went wrong</html>").into_response()
        }
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to.as_str())]).into_response(),
    }
}

fn json_answer(status: u16, value: &Value) -> Response<Body> {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::from_u16(status).unwrap(), headers, value.to_string()).into_response()
}

fn metadata(op: &Shared, behaviour: &Behaviour) -> Value {
    let at = |path: &str| json!(format!("{}{path}", op.issuer));
    let mut document = json!({
        "issuer": op.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "pushed_authorization_request_endpoint": at("/par"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "PS256", "EdDSA"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if let Some(change) = &behaviour.edit_metadata {
        change(&mut document);
    }
    document
}

fn key_set(behaviour: &Behaviour) -> Value {
    let keys: Vec<Value> = behaviour.published.iter().map(|key| key.jwk()).collect();
    let mut set = json!({"keys": keys});
    if let Some(change) = &behaviour.edit_jwks {
        change(&mut set);
    }
    set
}

/// What is wrong with a request is told to the client, and kept for the test.
fn complain(op: &Shared, error: &str, what: &str) -> Response<Body> {
    op.complaints.lock().unwrap().push(what.to_owned());
    json_answer(400, &json!({"error": error, "error_description": what}))
}

fn push(op: &Shared, behaviour: &Behaviour, headers: &HeaderMap, form: &Parameters) -> Response<Body> {
    if let Err(what) = is_client(op, behaviour, headers, form) {
        return complain(op, "invalid_client", what);
    }
    if let Err(what) = is_request(op, form) {
        return complain(op, "invalid_request", what);
    }
    let name = format!("urn:ietf:params:oauth:request_uri:{}", random());
    op.pushed.lock().unwrap().insert(name.clone(), form.clone());
    json_answer(201, &json!({"request_uri": name, "expires_in": 60}))
}

/// The browser comes: nobody is asked anything, and it goes back.
fn authorize(op: &Shared, behaviour: &Behaviour, query: &Parameters) -> Response<Body> {
    if ["client_secret", "client_assertion", "code_verifier"].iter().any(|name| query.contains_key(*name)) {
        return complain(op, "invalid_request", "a secret goes through the browser");
    }
    let pushed = query.get("request_uri").map(|name| op.pushed.lock().unwrap().remove(name));
    let request = match pushed {
        Some(Some(request)) if query.get("client_id").is_some_and(|id| id == CLIENT_ID) => request,
        Some(_) => return complain(op, "invalid_request_uri", "no such request was pushed"),
        None if behaviour.pushed_only => return complain(op, "invalid_request", "requests are pushed here"),
        None => query.clone(),
    };
    if let Err(what) = is_request(op, &request) {
        return complain(op, "invalid_request", what);
    }
    let code = random();
    let mut response = Parameters::from([
        ("code".to_owned(), code.clone()),
        ("state".to_owned(), request["state"].clone()),
        ("iss".to_owned(), op.issuer.clone()),
    ]);
    let to = request["redirect_uri"].clone();
    *op.last_request.lock().unwrap() = request.clone();
    op.codes.lock().unwrap().insert(code, request);
    if let Some(change) = &behaviour.edit_response {
        change(&mut response);
    }
    let mut to = Url::parse(&to).unwrap();
    to.query_pairs_mut().extend_pairs(&response);
    (StatusCode::FOUND, [(header::LOCATION, to.as_str())]).into_response()
}

/// Whether an authorization request is all that it must be.
fn is_request(op: &Shared, request: &Parameters) -> Result<(), &'static str> {
    let is = |name: &str, value: &str| request.get(name).is_some_and(|it| it == value);
    let long = |name: &str, least: usize| request.get(name).is_some_and(|it| it.len() >= least);
    let checks = [
        (is("response_type", "code"), "response_type is not code"),
        (is("client_id", CLIENT_ID), "client_id is another's"),
        (is("redirect_uri", &op.redirect_uri), "redirect_uri is none that was registered"),
        (is("code_challenge_method", "S256"), "code_challenge_method is not S256"),
        (request.get("code_challenge").is_some_and(|it| it.len() == 43), "code_challenge is no SHA-256"),
        // 128 bits in base64url have 22 characters.
        (long("state", 22), "state can be guessed"),
        (long("nonce", 22), "nonce can be guessed"),
        (
            request.get("scope").is_some_and(|it| it.split(' ').any(|scope| scope == "openid")),
            "scope lacks openid",
        ),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(what))
}

/// Whether the client proves to be it, in the way that was agreed and no other.
fn is_client(
    op: &Shared,
    behaviour: &Behaviour,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<(), &'static str> {
    let basic = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
    let ways = [basic.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|way| **way).count();
    if ways > 1 {
        return Err("the client proves itself in two ways");
    }
    let named = form.get("client_id").is_some_and(|id| id == CLIENT_ID);
    let holds = match &behaviour.proof {
        ClientProof::Basic => basic == Some(&basic_header()),
        ClientProof::Post => named && secret.is_some_and(|it| it == CLIENT_SECRET),
        ClientProof::Tls => named && ways == 0,
        ClientProof::PrivateKeyJwt(point) => return is_assertion(op, point, form),
    };
    if holds { Ok(()) } else { Err("the client did not prove itself as agreed") }
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
fn basic_header() -> String {
    let mut url = Url::parse("http://form.invalid").unwrap();
    url.query_pairs_mut().append_pair(CLIENT_ID, CLIENT_SECRET);
    let (id, secret) = url.query().unwrap().split_once('=').unwrap();
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

fn is_assertion(op: &Shared, point: &[u8], form: &Parameters) -> Result<(), &'static str> {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if form.get("client_assertion_type").is_none_or(|it| it != kind) {
        return Err("client_assertion_type is wrong");
    }
    let text = form.get("client_assertion").ok_or("client_assertion is missing")?;
    let (message, signature) = text.rsplit_once('.').ok_or("client_assertion is no JWT")?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| "client_assertion is no JWT");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(message.as_bytes(), &decode(signature)?)
        .map_err(|_| "client_assertion is signed by another")?;
    let (_, claims) = message.split_once('.').ok_or("client_assertion is no JWT")?;
    let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| "its claims are no JSON")?;
    let now = op.clock.now().as_seconds();
    let fresh = claims["exp"].as_i64().is_some_and(|exp| exp > now && exp <= now + 600);
    let ours = claims["iss"] == CLIENT_ID && claims["sub"] == CLIENT_ID;
    // One audience: the issuer or the endpoint.
    let audience = claims["aud"].as_str().is_some_and(|aud| aud.starts_with(&op.issuer));
    let new = claims["jti"].as_str().is_some_and(|jti| op.assertions.lock().unwrap().insert(jti.to_owned()));
    if fresh && ours && audience && new { Ok(()) } else { Err("the claims of client_assertion are wrong") }
}

fn token(op: &Shared, behaviour: &Behaviour, headers: &HeaderMap, form: &Parameters) -> Response<Body> {
    if let Err(what) = is_client(op, behaviour, headers, form) {
        return complain(op, "invalid_client", what);
    }
    if form.get("grant_type").is_none_or(|it| it != "authorization_code") {
        return complain(op, "unsupported_grant_type", "grant_type is not authorization_code");
    }
    // A code is good once.
    let Some(request) = form.get("code").and_then(|code| op.codes.lock().unwrap().remove(code)) else {
        return complain(op, "invalid_grant", "there is no such code");
    };
    if form.get("redirect_uri") != request.get("redirect_uri") {
        return complain(op, "invalid_grant", "redirect_uri is not that of the request");
    }
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    if base64url(digest(&SHA256, verifier.as_bytes())) != request["code_challenge"] {
        return complain(op, "invalid_grant", "code_verifier does not fit");
    }
    let access_token = random();
    let about = Subject {
        issuer: &op.issuer,
        client_id: CLIENT_ID,
        nonce: request.get("nonce").map(String::as_str),
        access_token: &access_token,
        now_seconds: op.clock.now().as_seconds(),
    };
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": 300,
        "id_token": id_token(behaviour, &about),
    });
    op.access_tokens.lock().unwrap().insert(access_token);
    if let Some(change) = &behaviour.edit_token {
        change(&mut answer);
    }
    json_answer(200, &answer)
}

fn userinfo(op: &Shared, behaviour: &Behaviour, headers: &HeaderMap) -> Response<Body> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let known = shown.and_then(|value| value.strip_prefix("Bearer "));
    if !known.is_some_and(|token| op.access_tokens.lock().unwrap().contains(token)) {
        return complain(op, "invalid_token", "userinfo was asked without the access token in the header");
    }
    let mut claims = json!({"sub": behaviour.subject});
    for (name, value) in &behaviour.userinfo_person {
        claims[name] = value.clone();
    }
    let key = match behaviour.userinfo_form {
        UserinfoForm::Json => None,
        UserinfoForm::Signed => Some(Key::Rsa),
        UserinfoForm::SignedByStranger => Some(Key::StrangeRsa),
    };
    if key.is_some() {
        claims["iss"] = json!(op.issuer);
        claims["aud"] = json!(CLIENT_ID);
    }
    if let Some(change) = &behaviour.edit_userinfo {
        change(&mut claims);
    }
    match key {
        None => json_answer(200, &claims),
        Some(key) => {
            ([(header::CONTENT_TYPE, "application/jwt")], signed_userinfo(key, &claims)).into_response()
        }
    }
}
