//! Logins at a provider on this machine, whose documents change and whose questions are counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::settings::tests::settings;
use super::signer::{ed25519_jwk, p256_jwk, signed, with};
use super::*;
use crate::domain::oidc::ClaimSource;

const PNR: &str = "199908072391";
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// What the provider answers, and what it was asked.
struct Op {
    issuer: String,
    metadata: Mutex<Value>,
    keys: Mutex<Value>,
    /// Header and claims of the ID token.
    id_token: Mutex<(Value, Value)>,
    userinfo: Mutex<(&'static str, String)>,
    is_down: AtomicBool,
    metadata_asked: AtomicUsize,
    keys_asked: AtomicUsize,
    forms: Mutex<Vec<HashMap<String, String>>>,
}

impl Op {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let at = |path| format!("{issuer}/{path}");
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "jwks_uri": at("jwks"),
            "userinfo_endpoint": at("userinfo"),
            "code_challenge_methods_supported": ["S256"],
        });
        let seconds = NOW.as_seconds();
        let claims = json!({"iss": issuer, "aud": "portal", "sub": "subject", "nonce": "nonce", "iat": seconds,
            "exp": seconds + 60, "ssn": PNR});
        let op = Arc::new(Self {
            metadata: Mutex::new(metadata),
            keys: Mutex::new(json!({"keys": [with(p256_jwk(), &json!({"kid": "a"}))]})),
            id_token: Mutex::new((json!({"alg": "ES256", "kid": "a"}), claims)),
            userinfo: Mutex::new(("application/json", json!({"sub": "subject", "ssn": PNR}).to_string())),
            is_down: AtomicBool::new(false),
            metadata_asked: AtomicUsize::new(0),
            keys_asked: AtomicUsize::new(0),
            forms: Mutex::default(),
            issuer,
        });
        let router = axum::Router::new()
            .route("/.well-known/openid-configuration", get(metadata_document))
            .route("/jwks", get(keys_document))
            .route("/token", post(token_answer))
            .route("/par", post(pushed_answer))
            .route("/userinfo", get(userinfo_answer))
            .with_state(Arc::clone(&op));
        tokio::spawn(async move { axum::serve(listener, router).await });
        op
    }

    fn provider(&self) -> OidcProvider {
        self.provider_with(|_| {})
    }

    fn provider_with(&self, change: impl FnOnce(&mut OidcSettings)) -> OidcProvider {
        let mut settings = settings();
        settings.issuer.clone_from(&self.issuer);
        change(&mut settings);
        OidcProvider::new(settings).unwrap()
    }

    /// Changes the metadata of a provider.
    fn announces(&self, name: &str, value: Value) {
        self.metadata.lock().unwrap()[name] = value;
    }

    /// Publishes this key alone, and signs with it from now on.
    fn rotates_to(&self, kid: &str) {
        *self.keys.lock().unwrap() = json!({"keys": [with(ed25519_jwk(), &json!({"kid": kid}))]});
        self.signs_as(kid);
    }

    fn signs_as(&self, kid: &str) {
        self.id_token.lock().unwrap().0 = json!({"alg": "EdDSA", "kid": kid});
    }

    fn keys_asked(&self) -> usize {
        self.keys_asked.load(Ordering::SeqCst)
    }

    fn metadata_asked(&self) -> usize {
        self.metadata_asked.load(Ordering::SeqCst)
    }
}

async fn metadata_document(State(op): State<Arc<Op>>) -> Response {
    op.metadata_asked.fetch_add(1, Ordering::SeqCst);
    if op.is_down.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    op.metadata.lock().unwrap().to_string().into_response()
}

async fn keys_document(State(op): State<Arc<Op>>) -> Response {
    op.keys_asked.fetch_add(1, Ordering::SeqCst);
    op.keys.lock().unwrap().to_string().into_response()
}

async fn token_answer(State(op): State<Arc<Op>>, Form(form): Form<HashMap<String, String>>) -> Response {
    op.forms.lock().unwrap().push(form);
    let (head, claims) = op.id_token.lock().unwrap().clone();
    let id_token = signed(&head, claims.to_string());
    json!({"access_token": "access", "token_type": "Bearer", "id_token": id_token})
        .to_string()
        .into_response()
}

async fn pushed_answer(State(op): State<Arc<Op>>, Form(form): Form<HashMap<String, String>>) -> Response {
    op.forms.lock().unwrap().push(form);
    let answer = json!({"request_uri": "urn:ietf:params:oauth:request_uri:1", "expires_in": 60});
    (StatusCode::CREATED, answer.to_string()).into_response()
}

async fn userinfo_answer(State(op): State<Arc<Op>>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != "Bearer access") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (media_type, body) = op.userinfo.lock().unwrap().clone();
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// Who is named at the end of a login, by the canonical form.
async fn login_with(provider: &OidcProvider, iss: Option<&str>) -> Result<String, ProviderError> {
    let (code, nonce, code_verifier) = (secret("code"), secret("nonce"), secret("verifier"));
    let response =
        AuthorizationResponse { code: &code, iss, nonce: &nonce, code_verifier: &code_verifier, now: NOW };
    provider.identify(&response).await.map(|assertion| assertion.id.canonical().to_owned())
}

async fn login(provider: &OidcProvider) -> Result<String, ProviderError> {
    login_with(provider, None).await
}

async fn address(provider: &OidcProvider) -> Result<String, ProviderError> {
    let (state, nonce, code_verifier) = (secret("state"), secret("nonce"), secret("verifier"));
    let request = AuthorizationRequest {
        state: &state,
        nonce: &nonce,
        code_verifier: &code_verifier,
        locale: None,
        login_hint: None,
        now: NOW,
    };
    provider.authorization_url(&request).await.map(|url| url.expose().clone())
}

fn fault<T>(result: &Result<T, ProviderError>) -> Option<OidcFault> {
    match result {
        Err(ProviderError::Refused(fault)) => Some(*fault),
        Err(ProviderError::Unavailable(_)) | Ok(_) => None,
    }
}

fn is_unavailable<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::Unavailable(_)))
}

#[tokio::test]
async fn a_code_is_worth_a_person() {
    let op = Op::start().await;
    assert_eq!(login(&op.provider()).await.unwrap(), format!("se.pnr:{PNR}"));
    let forms = op.forms.lock().unwrap();
    let expected = [
        ("grant_type", "authorization_code"),
        ("code", "code"),
        ("redirect_uri", "https://portal.example/callback"),
        ("code_verifier", "verifier"),
    ];
    assert_eq!(forms[..], [expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()]);
}

#[tokio::test]
async fn logins_at_once_ask_for_each_document_once() {
    let op = Op::start().await;
    let provider = op.provider();
    for result in join_all((0..50).map(|_| login(&provider))).await {
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!((op.metadata_asked(), op.keys_asked()), (1, 1));
}

#[tokio::test]
async fn a_new_key_is_found_and_made_up_ones_are_not_looked_for_again() {
    let op = Op::start().await;
    let provider = op.provider();
    login(&provider).await.unwrap();
    op.rotates_to("b");
    login(&provider).await.unwrap();
    assert_eq!(op.keys_asked(), 2);
    for number in 0..200 {
        op.signs_as(&format!("made-up-{number}"));
        assert_eq!(fault(&login(&provider).await), Some(OidcFault::IdTokenKey));
    }
    assert_eq!(op.keys_asked(), 2);
}

#[tokio::test]
async fn keys_that_nobody_can_read_are_no_verdict_on_the_token() {
    let op = Op::start().await;
    for keys in [json!({"keys": vec![p256_jwk(); 33]}), json!({"keys": "x".repeat(1 << 17)}), json!([])] {
        *op.keys.lock().unwrap() = keys;
        assert!(is_unavailable(&login(&op.provider()).await));
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_asked_by_every_login() {
    let op = Op::start().await;
    op.is_down.store(true, Ordering::SeqCst);
    let provider = op.provider();
    for _ in 0..20 {
        assert!(is_unavailable(&address(&provider).await));
        assert!(is_unavailable(&login(&provider).await));
    }
    assert_eq!(op.metadata_asked(), 1);
}

#[tokio::test]
async fn metadata_of_another_issuer_are_refused_and_no_code_is_sent() {
    let op = Op::start().await;
    op.announces("issuer", json!("https://op.example"));
    let provider = op.provider();
    assert!(is_unavailable(&address(&provider).await));
    assert!(is_unavailable(&login(&provider).await));
    assert!(op.forms.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_of_another_issuer_sends_no_code() {
    let op = Op::start().await;
    let provider = op.provider();
    let other = Some("https://other.example");
    assert!(!provider.accepts_issuer(other).await.unwrap());
    assert!(provider.accepts_issuer(None).await.unwrap());
    assert_eq!(fault(&login_with(&provider, other).await), Some(OidcFault::ResponseIssuer));
    assert!(op.forms.lock().unwrap().is_empty());

    op.announces("authorization_response_iss_parameter_supported", json!(true));
    let provider = op.provider();
    assert!(!provider.accepts_issuer(None).await.unwrap());
    assert!(provider.accepts_issuer(Some(&op.issuer)).await.unwrap());
    assert_eq!(fault(&login(&provider).await), Some(OidcFault::ResponseIssuer));
    assert!(op.forms.lock().unwrap().is_empty());
    assert!(login_with(&provider, Some(&op.issuer)).await.is_ok());
}

#[tokio::test]
async fn a_request_is_pushed_with_the_proof_of_who_we_are() {
    let op = Op::start().await;
    let provider = op.provider_with(|it| it.client_auth = ClientAuth::SecretPost(secret("secret")));
    let whole = address(&provider).await.unwrap();
    assert!(whole.contains("state=state") && whole.contains("code_challenge="), "{whole}");

    op.announces("pushed_authorization_request_endpoint", json!(format!("{}/par", op.issuer)));
    let provider = op.provider_with(|it| it.client_auth = ClientAuth::SecretPost(secret("secret")));
    let expected = "authorize?client_id=portal&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A1";
    assert_eq!(address(&provider).await.unwrap(), format!("{}/{expected}", op.issuer));
    let forms = op.forms.lock().unwrap();
    for (name, value) in [("state", "state"), ("client_id", "portal"), ("client_secret", "secret")] {
        assert_eq!(forms[0].get(name).map(String::as_str), Some(value));
    }
}

#[tokio::test]
async fn userinfo_is_about_the_person_of_the_token() {
    let op = Op::start().await;
    let provider = op.provider_with(|it| it.mapping.source = ClaimSource::Userinfo);
    assert_eq!(login(&provider).await.unwrap(), format!("se.pnr:{PNR}"));
    let claims = |members: Value| with(json!({"sub": "subject", "ssn": PNR}), &members);
    let from = |issuer: &str, audience: &str| claims(json!({"iss": issuer, "aud": audience}));
    let jwt =
        |claims: Value| ("application/jwt", signed(&json!({"alg": "ES256", "kid": "a"}), claims.to_string()));
    let ours = jwt(from(&op.issuer, "portal"));
    let forged = ours.1.replacen("ey", "eY", 1);
    for (answer, expected) in [
        (ours, None),
        (("application/json", claims(json!({"sub": "other"})).to_string()), Some(OidcFault::UserinfoSubject)),
        (("application/json", json!({"ssn": PNR}).to_string()), Some(OidcFault::UserinfoSubject)),
        (
            ("application/json", format!(r#"{{"sub":"subject","ssn":"{PNR}","ssn":""}}"#)),
            Some(OidcFault::Userinfo),
        ),
        (("application/json", "{".to_owned()), Some(OidcFault::Userinfo)),
        (("text/html", claims(json!({})).to_string()), Some(OidcFault::Userinfo)),
        (("application/jwt", forged), Some(OidcFault::Userinfo)),
        (jwt(from("https://other.example", "portal")), Some(OidcFault::Userinfo)),
        (jwt(from(&op.issuer, "other")), Some(OidcFault::Userinfo)),
        (jwt(with(from(&op.issuer, "portal"), &json!({"sub": "other"}))), Some(OidcFault::UserinfoSubject)),
    ] {
        *op.userinfo.lock().unwrap() = answer;
        let result = login(&provider).await;
        assert_eq!(result.is_ok(), expected.is_none(), "{result:?}");
        assert_eq!(fault(&result), expected);
    }
}
