//! What an ID token must say to be about this login (`OpenID` Connect Core §3.1.3.7), its signature checked before.

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
const LEEWAY: Duration = Duration::from_mins(1);

/// A token of the future is one of a clock that is wrong; this much is borne.
const MOST_AHEAD: Duration = Duration::from_mins(5);

/// The token is made when the code is exchanged, which is now: this is much for any clock.
const MOST_BEHIND: Duration = Duration::from_mins(10);

/// `sub` has 255 characters at most (`OpenID` Connect Core §2).
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

/// The left half of the digest of a value, by the digest of the algorithm (`OpenID` Connect Core §3.3.2.11). `None`: it is
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// Claims of a token that fits; the hashes are those of `code` and `access` by SHA-256.
    fn right() -> Value {
        json!({
            "iss": "https://op.example",
            "aud": "portal",
            "sub": "subject",
            "nonce": "nonce",
            "iat": NOW,
            "exp": NOW + 300,
        })
    }

    fn verdict_with(claims: &Value, algorithm: Algorithm, strength: &Strength) -> Result<(), OidcFault> {
        let secret = |text: &str| Secret::new(text.to_owned());
        let (nonce, code, access_token) = (secret("nonce"), secret("code"), secret("access"));
        let expected = Expected {
            issuer: "https://op.example",
            client_id: "portal",
            nonce: &nonce,
            code: &code,
            access_token: &access_token,
            strength,
            // Not a whole second: a second begun is not over.
            now: Timestamp::from_millis(NOW * 1000 + 999),
        };
        let members = Members::read(claims.to_string().as_bytes()).unwrap();
        subject(&members, algorithm, &expected).map(|subject| assert_eq!(subject, claims["sub"]))
    }

    fn verdict(claims: &Value) -> Result<(), OidcFault> {
        verdict_with(claims, Algorithm::Rs256, &Strength::default())
    }

    /// The verdict when one claim has another value, or is not there (`null`).
    fn with(name: &str, value: Value) -> Result<(), OidcFault> {
        let mut claims = right();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        verdict(&claims)
    }

    /// None of these values is taken for the claim, and the fault is this one.
    fn refuses(name: &str, values: impl IntoIterator<Item = Value>, fault: OidcFault) {
        for value in values {
            assert_eq!(with(name, value.clone()), Err(fault), "{name} {value}");
        }
    }

    #[test]
    fn a_token_of_this_login_names_somebody() {
        assert_eq!(verdict(&right()), Ok(()));
    }

    #[test]
    fn a_claim_that_is_null_is_not_there() {
        for (name, fault) in [
            ("iss", OidcFault::IdTokenIssuer),
            ("aud", OidcFault::IdTokenAudience),
            ("exp", OidcFault::IdTokenExpired),
            ("iat", OidcFault::IdTokenIssuedAt),
            ("nonce", OidcFault::IdTokenNonce),
            ("sub", OidcFault::IdTokenSubject),
        ] {
            assert_eq!(with(name, Value::Null), Err(fault), "{name}");
            let mut claims = right();
            claims[name] = Value::Null;
            assert_eq!(verdict(&claims), Err(fault), "{name}");
        }
    }

    #[test]
    fn the_issuer_is_equal_to_the_byte() {
        let others = ["https://op.example/", "https://OP.example", "http://op.example", "op.example", ""];
        refuses("iss", others.map(Value::from), OidcFault::IdTokenIssuer);
        refuses("iss", [json!(["https://op.example"]), json!(1)], OidcFault::IdTokenIssuer);
    }

    #[test]
    fn the_token_is_for_us_alone() {
        assert_eq!(with("aud", json!(["portal"])), Ok(()));
        let others = [json!("other"), json!("Portal"), json!(["other"]), json!([]), json!(1), json!({})];
        refuses("aud", others, OidcFault::IdTokenAudience);
        let besides = [json!(["portal", "other"]), json!(["other", "portal"]), json!(["portal", 1])];
        refuses("aud", besides, OidcFault::IdTokenAudience);
        let mut claims = right();
        claims["aud"] = json!(["portal", "other"]);
        claims["azp"] = json!("portal");
        assert_eq!(verdict(&claims), Err(OidcFault::IdTokenAudience));
    }

    #[test]
    fn the_authorized_party_is_us_if_it_is_named() {
        assert_eq!(with("azp", json!("portal")), Ok(()));
        refuses("azp", [json!("other"), json!(""), json!(["portal"])], OidcFault::IdTokenAuthorizedParty);
    }

    #[test]
    fn a_token_ends_sixty_seconds_after_its_end() {
        assert_eq!(with("exp", json!(NOW - 60)), Ok(()));
        assert_eq!(with("exp", json!(1_799_999_940.5)), Ok(()));
        let over = [json!(NOW - 61), json!(0), json!(-1), json!(i64::MIN), json!((NOW + 300).to_string())];
        refuses("exp", over, OidcFault::IdTokenExpired);
        assert_eq!(with("exp", json!(i64::MAX)), Ok(()));
    }

    #[test]
    fn a_token_begins_sixty_seconds_before_its_beginning() {
        assert_eq!(with("nbf", json!(NOW + 60)), Ok(()));
        assert_eq!(with("nbf", json!(0)), Ok(()));
        refuses("nbf", [json!(NOW + 61), json!(i64::MAX), json!("0")], OidcFault::IdTokenIssuedAt);
    }

    #[test]
    fn a_token_is_made_now() {
        for issued in [NOW + 300, NOW - 600] {
            assert_eq!(with("iat", json!(issued)), Ok(()), "{issued}");
        }
        let others = [NOW + 301, NOW - 601, 0, i64::MAX, i64::MIN, NOW * 1000];
        refuses("iat", others.map(Value::from), OidcFault::IdTokenIssuedAt);
        refuses("iat", [json!(NOW.to_string())], OidcFault::IdTokenIssuedAt);
    }

    #[test]
    fn a_token_of_another_attempt_is_refused() {
        let others = ["other", "nonc", "noncee", "Nonce", ""];
        refuses("nonce", others.map(Value::from), OidcFault::IdTokenNonce);
        refuses("nonce", [json!(["nonce"]), json!(0)], OidcFault::IdTokenNonce);
    }

    fn left_half(algorithm: &'static digest::Algorithm, value: &str) -> String {
        let digest = digest::digest(algorithm, value.as_bytes());
        URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2])
    }

    #[test]
    fn the_tokens_belong_together_where_it_is_said() {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
        for (algorithm, digest) in [
            (Algorithm::Rs256, &SHA256),
            (Algorithm::Es384, &SHA384),
            (Algorithm::Ps512, &SHA512),
            (Algorithm::EdDsa, &SHA512),
        ] {
            for (name, value, fault) in [
                ("at_hash", "access", OidcFault::IdTokenAccessTokenHash),
                ("c_hash", "code", OidcFault::IdTokenCodeHash),
            ] {
                let mut claims = right();
                claims[name] = json!(left_half(digest, value));
                assert_eq!(verdict_with(&claims, algorithm, &Strength::default()), Ok(()));
                claims[name] = json!(left_half(digest, "other"));
                assert_eq!(verdict_with(&claims, algorithm, &Strength::default()), Err(fault));
            }
        }
        refuses("at_hash", [json!(""), json!(1)], OidcFault::IdTokenAccessTokenHash);
        refuses("c_hash", [json!(""), json!(1)], OidcFault::IdTokenCodeHash);
        // The example of OpenID Connect Core, appendix A.3.
        assert_eq!(
            left_half(&SHA256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }

    #[test]
    fn a_subject_is_there_and_not_endless() {
        assert_eq!(with("sub", json!("s".repeat(255))), Ok(()));
        let others = [json!(""), json!("s".repeat(256)), json!(1), json!(["s"])];
        refuses("sub", others, OidcFault::IdTokenSubject);
    }

    #[test]
    fn an_authentication_is_as_strong_as_required() {
        let strength = Strength { required_acr: vec!["high".to_owned(), "higher".to_owned()], max_age: None };
        let verdict = |acr: Value| {
            let mut claims = right();
            claims["acr"] = acr;
            verdict_with(&claims, Algorithm::Rs256, &strength)
        };
        assert_eq!(verdict(json!("high")), Ok(()));
        assert_eq!(verdict(json!("higher")), Ok(()));
        for weak in [Value::Null, json!("low"), json!("High"), json!(""), json!(["high"])] {
            assert_eq!(verdict(weak.clone()), Err(OidcFault::TooWeak), "{weak}");
        }
        assert_eq!(with("acr", json!("low")), Ok(()), "where none is required");
    }

    #[test]
    fn an_authentication_is_as_fresh_as_asked_for() {
        let strength = Strength { required_acr: Vec::new(), max_age: Some(Duration::from_secs(100)) };
        let verdict = |authenticated: Value| {
            let mut claims = right();
            claims["auth_time"] = authenticated;
            verdict_with(&claims, Algorithm::Rs256, &strength)
        };
        for fresh in [NOW, NOW - 160, NOW + 300] {
            assert_eq!(verdict(json!(fresh)), Ok(()), "{fresh}");
        }
        for old in [Value::Null, json!(NOW - 161), json!(0), json!(NOW + 301), json!("x")] {
            assert_eq!(verdict(old.clone()), Err(OidcFault::TooOld), "{old}");
        }
        assert_eq!(with("auth_time", json!(0)), Ok(()), "where it is not asked for");
    }
}
