//! What an ID token must say to be about this login (OpenID Connect Core §3.1.3.7), its signature checked before.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::algorithm::Algorithm;
use super::json::Members;
use crate::domain::oidc::{OidcFault, Strength};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// How far the provider's clock may be from ours where a time ends or begins (RFC 7519 §4.1.4: a few minutes at most).
const LEEWAY: Duration = Duration::from_secs(60);

/// A token of the future is one of a clock that is wrong; this much is borne.
const MOST_AHEAD: Duration = Duration::from_mins(5);

/// The token is made when the code is exchanged, which is now: this is much for any clock.
const MOST_BEHIND: Duration = Duration::from_mins(10);

/// `sub` has 255 characters at most (OpenID Connect Core §2).
const LONGEST_SUBJECT: usize = 255;

/// What the token must fit.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a Secret<String>,
    pub(super) code: &'a Secret<String>,
    pub(super) access_token: &'a Secret<String>,
    pub(super) strength: &'a Strength,
    pub(super) now: Timestamp,
}

/// Checks the claims of a token that was signed with this algorithm, and answers its `sub`.
pub(super) fn subject<'a>(
    claims: &'a Members,
    algorithm: Algorithm,
    expected: &Expected<'_>,
) -> Result<&'a str, OidcFault> {
    check_parties(claims, expected)?;
    check_times(claims, expected.now)?;
    let nonce = claims.text("nonce").ok_or(OidcFault::IdTokenNonce)?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.expose().as_bytes())) {
        return Err(OidcFault::IdTokenNonce);
    }
    check_hash(claims, "at_hash", algorithm, expected.access_token)
        .ok_or(OidcFault::IdTokenAccessTokenHash)?;
    check_hash(claims, "c_hash", algorithm, expected.code).ok_or(OidcFault::IdTokenCodeHash)?;
    let subject = claims.text("sub").ok_or(OidcFault::IdTokenSubject)?;
    if !(1..=LONGEST_SUBJECT).contains(&subject.len()) {
        return Err(OidcFault::IdTokenSubject);
    }
    check_strength(claims, expected)?;
    Ok(subject)
}

/// Who made it, and for whom.
fn check_parties(claims: &Members, expected: &Expected<'_>) -> Result<(), OidcFault> {
    if claims.text("iss") != Some(expected.issuer) {
        return Err(OidcFault::IdTokenIssuer);
    }
    if !is_for_us_alone(claims, expected.client_id) {
        return Err(OidcFault::IdTokenAudience);
    }
    match claims.get("azp") {
        Some(party) if party.as_str() != Some(expected.client_id) => Err(OidcFault::IdTokenAuthorizedParty),
        Some(_) | None => Ok(()),
    }
}

/// Whether `aud` is this client and nobody else: another that may show the token, too, is one we do not trust, and `azp`
/// does not change that.
pub(super) fn is_for_us_alone(claims: &Members, client_id: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(audiences)) => {
            !audiences.is_empty() && audiences.iter().all(|it| it.as_str() == Some(client_id))
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

fn check_times(claims: &Members, now: Timestamp) -> Result<(), OidcFault> {
    let now = now.as_seconds();
    let expires = claims.seconds("exp").ok_or(OidcFault::IdTokenExpired)?;
    if now.saturating_sub(expires) > seconds(LEEWAY) {
        return Err(OidcFault::IdTokenExpired);
    }
    let issued = claims.seconds("iat").ok_or(OidcFault::IdTokenIssuedAt)?;
    let age = now.saturating_sub(issued);
    if age < -seconds(MOST_AHEAD) || age > seconds(MOST_BEHIND) {
        return Err(OidcFault::IdTokenIssuedAt);
    }
    match (claims.get("nbf"), claims.seconds("nbf")) {
        (None, _) => Ok(()),
        (Some(_), Some(begins)) if begins.saturating_sub(now) <= seconds(LEEWAY) => Ok(()),
        (Some(_), Some(_) | None) => Err(OidcFault::IdTokenIssuedAt),
    }
}

/// How well and how lately the person was authenticated.
fn check_strength(claims: &Members, expected: &Expected<'_>) -> Result<(), OidcFault> {
    let Strength { required_acr, max_age } = expected.strength;
    let strong = claims.text("acr").is_some_and(|acr| required_acr.iter().any(|it| it == acr));
    if !required_acr.is_empty() && !strong {
        return Err(OidcFault::TooWeak);
    }
    if let Some(max_age) = max_age {
        let authenticated = claims.seconds("auth_time").ok_or(OidcFault::TooOld)?;
        let age = expected.now.as_seconds().saturating_sub(authenticated);
        if age < -seconds(MOST_AHEAD) || age > seconds(*max_age).saturating_add(seconds(LEEWAY)) {
            return Err(OidcFault::TooOld);
        }
    }
    Ok(())
}

/// The left half of the digest of a value, by the digest of the algorithm (OpenID Connect Core §3.3.2.11). `None`: it is
/// there, and another's. It need not be there in the code flow.
fn check_hash(claims: &Members, name: &str, algorithm: Algorithm, value: &Secret<String>) -> Option<()> {
    let Some(claimed) = claims.get(name) else { return Some(()) };
    let digest = digest::digest(algorithm.digest(), value.expose().as_bytes());
    let (left, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    (claimed.as_str() == Some(&URL_SAFE_NO_PAD.encode(left))).then_some(())
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}
