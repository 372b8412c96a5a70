//! The tokens of the evil provider, in every form that a forger may give them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Signing};
use super::keys::{Key, base64url};

/// What an ID token is about.
pub struct Subject<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: Option<&'a str>,
    pub access_token: &'a str,
    pub now_seconds: i64,
}

/// Left half of the SHA-256 of a token or code, as `at_hash` and `c_hash` have it.
pub fn half_hash(text: &str) -> String {
    base64url(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

/// An ID token.
pub fn id_token(behaviour: &Behaviour, about: &Subject<'_>) -> String {
    let mut claims = json!({
        "iss": about.issuer,
        "sub": behaviour.subject,
        "aud": about.client_id,
        "iat": about.now_seconds,
        "exp": about.now_seconds + 300,
        "auth_time": about.now_seconds,
        "at_hash": half_hash(about.access_token),
    });
    if let Some(nonce) = about.nonce {
        claims["nonce"] = json!(nonce);
    }
    for (name, value) in &behaviour.person {
        claims[name] = value.clone();
    }
    let mut header = json!({"alg": algorithm(&behaviour.signing), "typ": "JWT"});
    if let Some(key) = key(&behaviour.signing) {
        header["kid"] = json!(key.id());
    }
    if let Some(change) = &behaviour.edit_id_token {
        change(&mut header, &mut claims);
    }
    let mut text = claims.to_string();
    if let Some(change) = &behaviour.edit_claims_text {
        change(&mut text);
    }
    compact(&behaviour.signing, &header, &text)
}

/// Userinfo as a signed JWT.
pub fn signed_userinfo(key: Key, claims: &Value) -> String {
    let header = json!({"alg": key.algorithm(), "kid": key.id(), "typ": "JWT"});
    compact(&Signing::With(key), &header, &claims.to_string())
}

fn key(signing: &Signing) -> Option<Key> {
    match signing {
        Signing::With(key) => Some(*key),
        Signing::Ps256 | Signing::BadSignature | Signing::Nested => Some(Key::Rsa),
        Signing::None | Signing::Hs256(_) | Signing::Jwe => None,
    }
}

fn algorithm(signing: &Signing) -> &'static str {
    match signing {
        Signing::With(key) => key.algorithm(),
        Signing::BadSignature | Signing::Nested => "RS256",
        Signing::Ps256 => "PS256",
        Signing::None => "none",
        Signing::Hs256(_) => "HS256",
        Signing::Jwe => "RSA-OAEP-256",
    }
}

fn compact(signing: &Signing, header: &Value, claims: &str) -> String {
    let mut header = header.clone();
    let mut payload = claims.to_owned();
    match signing {
        Signing::Jwe => {
            header["enc"] = json!("A256GCM");
            let head = base64url(header.to_string());
            let parts = [[1_u8; 256].as_slice(), &[2; 12], payload.as_bytes(), &[3; 16]].map(base64url);
            return format!("{head}.{}", parts.join("."));
        }
        Signing::Nested => {
            payload = compact(&Signing::With(Key::Rsa), &header, claims);
            header["cty"] = json!("JWT");
        }
        Signing::With(_) | Signing::Ps256 | Signing::None | Signing::Hs256(_) | Signing::BadSignature => {}
    }
    let message = format!("{}.{}", base64url(header.to_string()), base64url(payload));
    let mut signature = match signing {
        Signing::Hs256(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }
        _ => key(signing).map(|key| key.sign(algorithm(signing), message.as_bytes())).unwrap_or_default(),
    };
    if *signing == Signing::BadSignature {
        signature[0] ^= 1;
    }
    format!("{message}.{}", base64url(signature))
}
