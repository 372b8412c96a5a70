//! What a provider says of itself (`OpenID` Connect Discovery, RFC 8414), as far as it is believed.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::cache::Lifetime;
use super::settings::{ClientAuth, OidcSettings, Pushed};
use super::wire::{Wire, WireFault};
use crate::adapters::http_client::is_safe;

/// Endpoints change with years' notice, so a day of old metadata is no danger: keys and tokens are checked all the same,
/// and a provider whose metadata are away for longer is not in order.
pub(super) const LIFETIME: Lifetime =
    Lifetime { fresh: Duration::from_mins(10), stale: Duration::from_hours(24) };

/// The document, as far as we read it.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    userinfo_signing_alg_values_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
    mtls_endpoint_aliases: Option<Aliases>,
}

/// Endpoints that ask for a client certificate (RFC 8705 §5).
#[derive(Default, Deserialize)]
struct Aliases {
    #[serde(rename = "token_endpoint")]
    token: Option<String>,
    #[serde(rename = "userinfo_endpoint")]
    userinfo: Option<String>,
    #[serde(rename = "pushed_authorization_request_endpoint")]
    pushed: Option<String>,
}

/// What is believed: addresses over TLS, of the provider that we were told of.
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) jwks: Url,
    pub(super) userinfo: Option<Url>,
    /// Where requests are pushed to, if they are.
    pub(super) pushed: Option<Url>,
    /// Algorithms of ID tokens, if they are announced.
    pub(super) id_token_algorithms: Option<Vec<String>>,
    /// Algorithms of signed userinfo, if they are announced.
    pub(super) userinfo_algorithms: Option<Vec<String>>,
    /// Whether each authorization response has an `iss` (RFC 9207).
    pub(super) answers_with_issuer: bool,
}

/// What is demanded of the metadata.
pub(super) struct Rules {
    issuer: String,
    pkce_unannounced: bool,
    pushed: Pushed,
    /// Whether the client is known by its certificate.
    by_certificate: bool,
}

impl Rules {
    pub(super) fn new(settings: &OidcSettings) -> Self {
        Self {
            issuer: settings.issuer.clone(),
            pkce_unannounced: settings.pkce_unannounced,
            pushed: settings.pushed,
            by_certificate: matches!(settings.client_auth, ClientAuth::Tls),
        }
    }
}

/// Where the document is: behind the issuer without its last slash (Discovery §4.1).
pub(super) fn address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Asks the provider for its metadata.
pub(super) async fn fetch(wire: &Wire, address: &Url, rules: &Rules) -> Result<Metadata, WireFault> {
    believed(wire.document(address).await?, rules)
}

fn believed(document: Document, rules: &Rules) -> Result<Metadata, WireFault> {
    // Byte by byte: the issuer is a name (Discovery §4.3), and a provider that lets another's pass is an impostor's tool.
    if document.issuer != rules.issuer {
        return Err(WireFault::OtherIssuer);
    }
    match &document.code_challenge_methods_supported {
        Some(methods) if methods.iter().any(|method| method == "S256") => {}
        None if rules.pkce_unannounced => {}
        Some(_) | None => return Err(WireFault::NoPkce),
    }
    let aliases = document.mtls_endpoint_aliases.filter(|_| rules.by_certificate).unwrap_or_default();
    let read = |text: String| endpoint(&text, &rules.issuer);
    let pushed = aliases.pushed.or(document.pushed_authorization_request_endpoint);
    let pushed = match (rules.pushed, pushed) {
        (Pushed::Never, _) | (Pushed::Announced, None) => None,
        (Pushed::Announced | Pushed::Always, Some(text)) => Some(read(text)?),
        (Pushed::Always, None) => return Err(WireFault::NoPushedRequests),
    };
    Ok(Metadata {
        authorization: read(document.authorization_endpoint)?,
        token: read(aliases.token.unwrap_or(document.token_endpoint))?,
        jwks: read(document.jwks_uri)?,
        userinfo: aliases.userinfo.or(document.userinfo_endpoint).map(read).transpose()?,
        pushed,
        id_token_algorithms: document.id_token_signing_alg_values_supported,
        userinfo_algorithms: document.userinfo_signing_alg_values_supported,
        answers_with_issuer: document.authorization_response_iss_parameter_supported.unwrap_or(false),
    })
}

/// An endpoint is over TLS. Without, it is on this machine and of a provider on this machine: a provider elsewhere must
/// not make us ask what listens here.
fn endpoint(text: &str, issuer: &str) -> Result<Url, WireFault> {
    let url = Url::parse(text).map_err(|_| WireFault::UnsafeEndpoint)?;
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let secure = url.scheme() == "https" || (is_safe(&url) && !issuer.starts_with("https:"));
    if bare && secure { Ok(url) } else { Err(WireFault::UnsafeEndpoint) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::oidc::settings::tests::settings;
    use crate::domain::secret::Secret;

    fn document() -> Value {
        json!({
            "issuer": "https://op.example",
            "authorization_endpoint": "https://op.example/auth?tenant=1",
            "token_endpoint": "https://op.example/token",
            "jwks_uri": "https://keys.example/jwks",
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = document();
        document[name] = value;
        document
    }

    fn read(document: Value, settings: &OidcSettings) -> Result<Metadata, WireFault> {
        believed(serde_json::from_value(document).unwrap(), &Rules::new(settings))
    }

    fn refused(document: Value) -> Option<WireFault> {
        read(document, &settings()).err()
    }

    #[test]
    fn metadata_are_behind_the_issuer() {
        assert_eq!(address("https://op.example"), "https://op.example/.well-known/openid-configuration");
        assert_eq!(address("https://op.example/a/"), "https://op.example/a/.well-known/openid-configuration");
    }

    #[test]
    fn the_issuer_is_equal_to_the_byte() {
        assert_eq!(refused(document()), None);
        for other in ["https://op.example/", "https://OP.example", "https://op.example.evil", ""] {
            assert_eq!(refused(with("issuer", json!(other))), Some(WireFault::OtherIssuer), "{other}");
        }
    }

    #[test]
    fn endpoints_are_asked_over_tls_only() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
            for text in [
                "http://op.example/x",
                "http://127.0.0.1/x",
                "ftp://op.example/x",
                "/x",
                "https://u@op.example/x",
                "https://op.example/x#f",
            ] {
                assert_eq!(
                    refused(with(name, json!(text))),
                    Some(WireFault::UnsafeEndpoint),
                    "{name} {text}"
                );
            }
        }
    }

    #[test]
    fn a_provider_on_this_machine_needs_no_tls() {
        let mut settings = settings();
        settings.issuer = "http://127.0.0.1:8080".to_owned();
        let mut local = with("issuer", json!(settings.issuer));
        local["token_endpoint"] = json!("http://127.0.0.1:8080/token");
        assert!(read(local.clone(), &settings).is_ok());
        local["token_endpoint"] = json!("http://169.254.169.254/token");
        assert_eq!(read(local, &settings).err(), Some(WireFault::UnsafeEndpoint));
    }

    #[test]
    fn pkce_is_announced_or_known_to_be_there() {
        let mut lenient = settings();
        lenient.pkce_unannounced = true;
        let plain = with("code_challenge_methods_supported", json!(["plain"]));
        let silent = with("code_challenge_methods_supported", Value::Null);
        assert_eq!(refused(plain.clone()), Some(WireFault::NoPkce));
        assert_eq!(read(plain, &lenient).err(), Some(WireFault::NoPkce));
        assert_eq!(refused(silent.clone()), Some(WireFault::NoPkce));
        assert!(read(silent, &lenient).is_ok());
    }

    #[test]
    fn requests_are_pushed_as_configured() {
        let takes = with("pushed_authorization_request_endpoint", json!("https://op.example/par"));
        for (pushed, announced, unannounced) in [
            (Pushed::Announced, Ok(true), Ok(false)),
            (Pushed::Always, Ok(true), Err(WireFault::NoPushedRequests)),
            (Pushed::Never, Ok(false), Ok(false)),
        ] {
            let mut settings = settings();
            settings.pushed = pushed;
            let is_pushed = |document| read(document, &settings).map(|it| it.pushed.is_some());
            assert_eq!((is_pushed(takes.clone()), is_pushed(document())), (announced, unannounced));
        }
    }

    #[test]
    fn endpoints_for_certificates_are_for_clients_with_one() {
        let aliases =
            with("mtls_endpoint_aliases", json!({"token_endpoint": "https://mtls.op.example/token"}));
        let mut settings = settings();
        assert_eq!(read(aliases.clone(), &settings).unwrap().token.host_str(), Some("op.example"));
        settings.client_auth = ClientAuth::Tls;
        assert_eq!(read(aliases, &settings).unwrap().token.host_str(), Some("mtls.op.example"));
        settings.client_auth = ClientAuth::SecretPost(Secret::new("s".to_owned()));
        assert_eq!(read(document(), &settings).unwrap().token.host_str(), Some("op.example"));
    }
}
