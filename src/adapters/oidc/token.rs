//! The code against tokens (RFC 6749 §4.1.3, with the code verifier of RFC 7636).

use reqwest::{Method, StatusCode, Url};

use super::client_auth::{Client, Form};
use super::json::Members;
use super::unavailable;
use super::wire::{Wire, WireFault, is_passing};
use crate::adapters::http_client::HttpAnswer;
use crate::domain::oidc::OidcFault;
use crate::domain::secret::Secret;
use crate::ports::identity_provider::{AuthorizationResponse, ProviderError};

/// Where a failure is told.
const WHAT: &str = "the token request";

/// What a code is worth.
pub(super) struct Tokens {
    pub(super) id_token: Secret<String>,
    pub(super) access_token: Secret<String>,
}

/// Gives the provider the code. A code is good once, so this is not tried again.
pub(super) async fn exchange(
    wire: &Wire,
    endpoint: &Url,
    client: &Client,
    redirect_uri: &str,
    response: &AuthorizationResponse<'_>,
) -> Result<Tokens, ProviderError> {
    let form: Form = vec![
        ("grant_type".into(), "authorization_code".to_owned()),
        ("code".into(), response.code.expose().clone()),
        ("redirect_uri".into(), redirect_uri.to_owned()),
        ("code_verifier".into(), response.code_verifier.expose().clone()),
    ];
    let request = client.prove(wire.request(Method::POST, endpoint), form, response.now)?;
    read(&wire.send(request).await.map_err(|fault| unavailable(WHAT, fault))?)
}

fn read(answer: &HttpAnswer) -> Result<Tokens, ProviderError> {
    let refused = |fault| Err(ProviderError::Refused(fault));
    match answer.status {
        StatusCode::OK => {}
        status if is_passing(status) => return Err(unavailable(WHAT, WireFault::Status(status))),
        StatusCode::BAD_REQUEST if names_error(&answer.body, "invalid_grant") => {
            return refused(OidcFault::CodeRefused);
        }
        status if status.is_client_error() => return refused(OidcFault::ProviderError),
        _ => return refused(OidcFault::TokenAnswer),
    }
    // Cut off or no JSON at all: something is broken there. Whole and not what was asked for is another matter.
    if serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_err() {
        return Err(unavailable(WHAT, WireFault::Unreadable));
    }
    let Some(members) = Members::read(&answer.body) else { return refused(OidcFault::TokenAnswer) };
    let bearer = members.text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"));
    let access_token = members.text("access_token").filter(|token| is_bearer_token(token));
    let (true, Some(access_token)) = (bearer, access_token) else { return refused(OidcFault::TokenAnswer) };
    let Some(id_token) = members.text("id_token") else { return refused(OidcFault::IdTokenMalformed) };
    Ok(Tokens {
        id_token: Secret::new(id_token.to_owned()),
        access_token: Secret::new(access_token.to_owned()),
    })
}

/// Whether a token can stand in a header (RFC 6750 §2.1).
fn is_bearer_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn names_error(body: &[u8], name: &str) -> bool {
    Members::read(body).is_some_and(|members| members.text("error") == Some(name))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn verdict(status: u16, body: &str) -> Result<(String, String), ProviderError> {
        let answer = HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        read(&answer).map(|it| (it.id_token.expose().clone(), it.access_token.expose().clone()))
    }

    fn refused(status: u16, body: &str) -> Option<OidcFault> {
        match verdict(status, body) {
            Err(ProviderError::Refused(fault)) => Some(fault),
            Err(ProviderError::Unavailable(_)) | Ok(_) => None,
        }
    }

    fn is_unavailable(status: u16, body: &str) -> bool {
        matches!(verdict(status, body), Err(ProviderError::Unavailable(_)))
    }

    #[test]
    fn tokens_are_read() {
        let body = r#"{"access_token":"a","token_type":"bearer","expires_in":60,"id_token":"x.y.z"}"#;
        assert!(matches!(verdict(200, body), Ok((id, access)) if id == "x.y.z" && access == "a"));
    }

    #[test]
    fn a_refused_code_is_told_from_another_error() {
        assert_eq!(refused(400, r#"{"error":"invalid_grant"}"#), Some(OidcFault::CodeRefused));
        for (status, body) in [
            (400, r#"{"error":"invalid_request"}"#),
            (400, "<html>"),
            (401, r#"{"error":"invalid_client"}"#),
            (401, r#"{"error":"invalid_grant"}"#),
            (404, ""),
        ] {
            assert_eq!(refused(status, body), Some(OidcFault::ProviderError), "{status} {body}");
        }
    }

    #[test]
    fn a_broken_provider_is_unavailable() {
        for (status, body) in
            [(500, ""), (503, r#"{"error":"invalid_grant"}"#), (429, ""), (408, ""), (200, "{\"a")]
        {
            assert!(is_unavailable(status, body), "{status} {body}");
        }
    }

    #[test]
    fn an_answer_without_tokens_is_none() {
        for body in [
            "[]",
            "{}",
            r#"{"access_token":"a","id_token":"x"}"#,
            r#"{"access_token":"a","token_type":"DPoP","id_token":"x"}"#,
            r#"{"access_token":"a b","token_type":"Bearer","id_token":"x"}"#,
            r#"{"access_token":"","token_type":"Bearer","id_token":"x"}"#,
            r#"{"access_token":"a","token_type":"Bearer","id_token":"x","id_token":"y"}"#,
        ] {
            assert_eq!(refused(200, body), Some(OidcFault::TokenAnswer), "{body}");
        }
        let without = r#"{"access_token":"a","token_type":"Bearer"}"#;
        assert_eq!(refused(200, without), Some(OidcFault::IdTokenMalformed));
        assert_eq!(refused(302, ""), Some(OidcFault::TokenAnswer));
    }
}
