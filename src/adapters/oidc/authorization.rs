//! Where the browser is sent: the authorization request, in the address or pushed to the provider before.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::client_auth::{Client, Form};
use super::settings::OidcSettings;
use super::unavailable;
use super::wire::{Wire, WireFault, is_passing};
use crate::domain::oidc::OidcFault;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::identity_provider::{AuthorizationRequest, ProviderError};

/// Where a failure to push is told.
const WHAT: &str = "pushing the request";

/// Parameters that this service sets, or that would set them behind its back.
const OURS: [&str; 18] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "acr_values",
    "ui_locales",
    "login_hint",
    "max_age",
    "request",
    "request_uri",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// The longest name for a pushed request that goes into an address.
const LONGEST_REQUEST_URI: usize = 1024;

/// Whether a parameter is none that may be configured.
pub(super) fn is_ours(name: &str) -> bool {
    OURS.contains(&name)
}

/// What is configured of each request.
pub(super) struct Requested {
    redirect_uri: String,
    scope: String,
    acr_values: Option<String>,
    max_age: Option<u64>,
    extra: Vec<(String, String)>,
}

impl Requested {
    pub(super) fn new(settings: &OidcSettings) -> Self {
        let others = settings.scopes.iter().filter(|scope| *scope != "openid");
        let scope: Vec<&str> = std::iter::once("openid").chain(others.map(String::as_str)).collect();
        Self {
            redirect_uri: settings.redirect_uri.clone(),
            scope: scope.join(" "),
            acr_values: (!settings.acr_values.is_empty()).then(|| settings.acr_values.join(" ")),
            max_age: settings.strength.max_age.map(|age| age.as_secs()),
            extra: settings.extra_params.clone(),
        }
    }

    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The parameters of this request: code flow (`OpenID` Connect Core §3.1.2.1) with PKCE (RFC 7636), always S256.
    pub(super) fn parameters(&self, client_id: &str, request: &AuthorizationRequest<'_>) -> Form {
        let mut form: Form = vec![
            ("response_type".into(), "code".to_owned()),
            ("client_id".into(), client_id.to_owned()),
            ("redirect_uri".into(), self.redirect_uri.clone()),
            ("scope".into(), self.scope.clone()),
            ("state".into(), request.state.expose().clone()),
            ("nonce".into(), request.nonce.expose().clone()),
            ("code_challenge".into(), challenge(request.code_verifier)),
            ("code_challenge_method".into(), "S256".to_owned()),
        ];
        let optional = [
            ("acr_values", self.acr_values.clone()),
            ("max_age", self.max_age.map(|age| age.to_string())),
            ("ui_locales", request.locale.map(str::to_owned)),
            ("login_hint", request.login_hint.map(|hint| hint.expose().clone())),
        ];
        form.extend(optional.into_iter().filter_map(|(name, value)| Some((name.into(), value?))));
        form.extend(self.extra.iter().map(|(name, value)| (name.clone().into(), value.clone())));
        form
    }
}

/// `BASE64URL(SHA256(verifier))` (RFC 7636 §4.2).
fn challenge(verifier: &Secret<String>) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()))
}

/// The address with the whole request in it.
pub(super) fn address(endpoint: &Url, parameters: &Form) -> Secret<String> {
    let mut url = endpoint.clone();
    url.query_pairs_mut().extend_pairs(parameters);
    Secret::new(url.into())
}

/// The address of a request that was pushed (RFC 9126 §4): nothing of it but our name and the provider's name for it.
pub(super) fn pushed_address(endpoint: &Url, client_id: &str, request_uri: &str) -> Secret<String> {
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair("client_id", client_id).append_pair("request_uri", request_uri);
    Secret::new(url.into())
}

#[derive(Deserialize)]
struct Answer {
    request_uri: String,
    expires_in: u64,
}

/// Pushes a request to the provider (RFC 9126 §2), and answers the provider's name for it.
pub(super) async fn push(
    wire: &Wire,
    endpoint: &Url,
    client: &Client,
    parameters: Form,
    now: Timestamp,
) -> Result<String, ProviderError> {
    let request = client.prove(wire.request(Method::POST, endpoint), parameters, now)?;
    let answer = wire.send(request).await.map_err(|fault| unavailable(WHAT, fault))?;
    match answer.status {
        // RFC 9126 says 201; some say 200.
        StatusCode::CREATED | StatusCode::OK => {}
        status if is_passing(status) => return Err(unavailable(WHAT, WireFault::Status(status))),
        _ => return Err(ProviderError::Refused(OidcFault::ProviderError)),
    }
    let answer: Answer =
        serde_json::from_slice(&answer.body).map_err(|_| unavailable(WHAT, WireFault::Unreadable))?;
    if is_request_uri(&answer.request_uri) && answer.expires_in > 0 {
        Ok(answer.request_uri)
    } else {
        Err(ProviderError::Refused(OidcFault::ProviderError))
    }
}

/// Whether a name for a pushed request is a URI of decent length, in a scheme that such names have.
fn is_request_uri(text: &str) -> bool {
    text.len() <= LONGEST_REQUEST_URI
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "urn" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::oidc::settings::tests::settings;

    fn request(secrets: &[Secret<String>; 4]) -> AuthorizationRequest<'_> {
        let [state, nonce, code_verifier, hint] = secrets;
        AuthorizationRequest {
            state,
            nonce,
            code_verifier,
            locale: Some("sv"),
            login_hint: Some(hint),
            now: Timestamp::from_millis(0),
        }
    }

    fn secrets() -> [Secret<String>; 4] {
        // The verifier of RFC 7636, appendix B.
        ["state", "nonce", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "sub:1 2"]
            .map(|text| Secret::new(text.to_owned()))
    }

    fn pairs(url: &Secret<String>) -> Vec<(String, String)> {
        Url::parse(url.expose()).unwrap().query_pairs().into_owned().collect()
    }

    #[test]
    fn the_address_has_the_whole_request_in_it() {
        let mut settings = settings();
        settings.scopes = vec!["openid".to_owned(), "nin".to_owned()];
        settings.acr_values = vec!["a".to_owned(), "b".to_owned()];
        settings.extra_params = vec![("prompt".to_owned(), "login".to_owned())];
        settings.strength.max_age = Some(std::time::Duration::from_secs(90));
        let secrets = secrets();
        let parameters = Requested::new(&settings).parameters("portal", &request(&secrets));
        let endpoint = Url::parse("https://op.example/auth?tenant=1").unwrap();
        let expected = [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "portal"),
            ("redirect_uri", "https://portal.example/callback"),
            ("scope", "openid nin"),
            ("state", "state"),
            ("nonce", "nonce"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
            ("acr_values", "a b"),
            ("max_age", "90"),
            ("ui_locales", "sv"),
            ("login_hint", "sub:1 2"),
            ("prompt", "login"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&address(&endpoint, &parameters)), expected);
    }

    #[test]
    fn the_address_of_a_pushed_request_tells_nothing_of_it() {
        let endpoint = Url::parse("https://op.example/auth").unwrap();
        let url = pushed_address(&endpoint, "portal", "urn:x:1&state=2");
        let expected = [("client_id", "portal"), ("request_uri", "urn:x:1&state=2")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&url), expected);
    }

    #[test]
    fn the_name_of_a_pushed_request_is_a_uri() {
        for right in
            ["urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c", "https://op.example/r/1"]
        {
            assert!(is_request_uri(right), "{right}");
        }
        let long = format!("urn:{}", "x".repeat(LONGEST_REQUEST_URI));
        for wrong in ["", "x", "javascript:1", "http://op.example", "urn:a b", "urn:å", &long] {
            assert!(!is_request_uri(wrong), "{wrong}");
        }
    }
}
