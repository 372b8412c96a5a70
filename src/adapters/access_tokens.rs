//! Access tokens as EdDSA-signed JWTs (RFC 9068), with a cache of tokens that were verified before.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::domain::id::{GuardianId, SessionId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::secret::Secret;
use crate::domain::session::Method;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::{AccessTokens, Claims, KeyRing, PublishedKeys, SigningKey};
use crate::ports::error::PortError;

/// `typ` of access tokens (RFC 9068 §2.1): no other JWT of anybody passes for one.
const TOKEN_TYPE: &str = "at+jwt";

/// Longer texts are no tokens of ours; refused before any work.
const MAX_TOKEN_BYTES: usize = 2048;

/// Verified tokens that are kept: 20,000 × about 400 bytes stay under 8 MiB.
const CACHE_CAPACITY: usize = 20_000;

/// A full cache is searched for expired tokens this often at most; tokens live 300 times as long.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

struct LoadedKey {
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: [u8; 32],
    signs_from: Timestamp,
    published_until: Option<Timestamp>,
}

impl LoadedKey {
    fn is_published(&self, now: Timestamp) -> bool {
        self.published_until.is_none_or(|end| now < end)
    }
}

/// The keys of this issuer, replaced as a whole whenever the store has others.
pub struct JwtKeyring {
    issuer: String,
    validation: Validation,
    keys: RwLock<Arc<Vec<LoadedKey>>>,
    verified: RwLock<Verified>,
}

/// A token that was verified.
#[derive(Clone)]
struct Remembered {
    claims: Arc<Claims>,
    /// The end of the token or of its key, whichever comes first.
    until: Timestamp,
}

/// Tokens that were verified, by the digest of their text.
struct Verified {
    tokens: HashMap<[u8; 32], Remembered>,
    capacity: usize,
    swept: Timestamp,
}

impl Verified {
    fn new(capacity: usize) -> Self {
        Self { tokens: HashMap::new(), capacity, swept: Timestamp::from_millis(0) }
    }

    /// Keeps a token if there is room, or room can be made: by forgetting those that have expired, a whole pass, so not
    /// for each token of a busy second.
    fn keep(&mut self, key: [u8; 32], token: Remembered, now: Timestamp) {
        if self.tokens.len() >= self.capacity && now >= self.swept.plus(SWEEP_EVERY) {
            self.tokens.retain(|_, token| now < token.until);
            self.swept = now;
        }
        if self.tokens.len() < self.capacity {
            self.tokens.insert(key, token);
        }
    }
}

impl JwtKeyring {
    /// A keyring without keys for an issuer (`iss`, an https URL).
    pub fn new(issuer: String) -> Self {
        // Times and audience are checked below, against the injected clock and our own types.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let verified = RwLock::new(Verified::new(CACHE_CAPACITY));
        Self { issuer, validation, keys: RwLock::default(), verified }
    }

    /// The ids of the loaded keys, oldest first.
    pub fn key_ids(&self) -> Vec<String> {
        self.current().iter().map(|key| key.kid.clone()).collect()
    }

    fn current(&self) -> Arc<Vec<LoadedKey>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn verify_anew(&self, token: &str, now: Timestamp) -> Option<Remembered> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA
            || header.typ.as_deref() != Some(TOKEN_TYPE)
            || header.crit.is_some()
        {
            return None;
        }
        let kid = header.kid?;
        let keys = self.current();
        let key = keys.iter().find(|key| key.kid == kid)?;
        let wire: WireClaims = jsonwebtoken::decode(token, &key.verifying, &self.validation).ok()?.claims;
        if wire.iss != self.issuer {
            return None;
        }
        let claims = Arc::new(wire.into_claims()?);
        // The store stops giving a key whose time is over; a store that is away must not lengthen it.
        let until = key.published_until.map_or(claims.expires, |end| end.min(claims.expires));
        (now < until).then_some(Remembered { claims, until })
    }
}

/// The claims as they stand in the token.
#[derive(Serialize, Deserialize)]
struct WireClaims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    client_id: String,
    amr: Vec<String>,
    acr: String,
    auth_time: i64,
    iat: i64,
    exp: i64,
    jti: String,
}

impl WireClaims {
    fn new(issuer: &str, claims: &Claims) -> Self {
        Self {
            iss: issuer.to_owned(),
            aud: format!("{}/{}", claims.organization.as_str(), claims.portal.as_str()),
            sub: claims.guardian.as_str().to_owned(),
            sid: claims.session.as_str().to_owned(),
            client_id: claims.client.clone(),
            amr: vec![claims.method.amr().to_owned()],
            acr: claims.method.acr().to_owned(),
            auth_time: claims.authenticated.as_seconds(),
            iat: claims.issued.as_seconds(),
            exp: claims.expires.as_seconds(),
            jti: claims.token_id.clone(),
        }
    }

    fn into_claims(self) -> Option<Claims> {
        let seconds = |value: i64| Some(Timestamp::from_millis(value.checked_mul(1000)?));
        let (organization, portal) = self.aud.split_once('/')?;
        Some(Claims {
            organization: OrganizationId::parse(organization)?,
            portal: Portal::parse(portal)?,
            guardian: GuardianId::parse(&self.sub)?,
            session: SessionId::parse(&self.sid)?,
            client: self.client_id,
            method: Method::parse(self.amr.first()?)?,
            authenticated: seconds(self.auth_time)?,
            issued: seconds(self.iat)?,
            expires: seconds(self.exp)?,
            token_id: self.jti,
        })
    }
}

impl AccessTokens for JwtKeyring {
    fn sign(&self, claims: &Claims) -> Result<String, PortError> {
        let missing =
            |detail: &str| PortError::Unavailable { dependency: "signing keys", detail: detail.to_owned() };
        let keys = self.current();
        let usable =
            keys.iter().rev().find(|key| key.signs_from <= claims.issued && key.is_published(claims.issued));
        let key = usable.ok_or_else(|| missing("none is loaded"))?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, &WireClaims::new(&self.issuer, claims), &key.signing)
            .map_err(|_| missing("the provider refused the key"))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Option<Arc<Claims>> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut key = [0_u8; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let known = self.verified.read().unwrap_or_else(PoisonError::into_inner).tokens.get(&key).cloned();
        if let Some(Remembered { claims, until }) = known {
            return (now < until).then_some(claims);
        }
        let token = self.verify_anew(token, now)?;
        let claims = Arc::clone(&token.claims);
        self.verified.write().unwrap_or_else(PoisonError::into_inner).keep(key, token, now);
        Some(claims)
    }

    fn published(&self, now: Timestamp) -> PublishedKeys {
        let keys = self.current();
        let mut published: Vec<&LoadedKey> = keys.iter().filter(|key| key.is_published(now)).collect();
        published.sort_by_key(|key| (key.signs_from > now, std::cmp::Reverse(key.signs_from)));
        PublishedKeys { keys: published.into_iter().map(|key| (key.kid.clone(), key.public)).collect() }
    }
}

impl KeyRing for JwtKeyring {
    fn generate(&self, signs_from: Timestamp) -> Result<SigningKey, PortError> {
        let failed =
            |_| PortError::Unavailable { dependency: "crypto", detail: "no key pair was made".to_owned() };
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        let document = pair.to_pkcs8v1().map_err(failed)?;
        let mut public = [0_u8; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        let private = Secret::new(document.as_ref().to_vec());
        Ok(SigningKey { kid: key_id(&public), private, public, signs_from, published_until: None })
    }

    fn load(&self, keys: Vec<SigningKey>) {
        let loaded: Vec<LoadedKey> = keys
            .into_iter()
            .map(|key| LoadedKey {
                signing: EncodingKey::from_ed_der(key.private.expose()),
                verifying: DecodingKey::from_ed_der(&key.public),
                kid: key.kid,
                public: key.public,
                signs_from: key.signs_from,
                published_until: key.published_until,
            })
            .collect();
        let before = self.key_ids();
        let changed = before.len() != loaded.len() || before.iter().ne(loaded.iter().map(|key| &key.kid));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        if changed {
            self.verified.write().unwrap_or_else(PoisonError::into_inner).tokens.clear();
        }
    }
}

/// The `kid` of a public key: its JWK thumbprint (RFC 7638), so that a key has one name everywhere.
pub fn key_id(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signing_key(signs_from: i64) -> SigningKey {
        keyring().generate(Timestamp::from_millis(signs_from)).unwrap()
    }

    fn claims(issued: i64) -> Claims {
        Claims {
            organization: OrganizationId::parse("sample-kommun").unwrap(),
            portal: Portal::Parent,
            guardian: GuardianId::new(Timestamp::from_millis(1), [1; 10]),
            session: SessionId::new(Timestamp::from_millis(1), [2; 10]),
            client: "portal-1".to_owned(),
            method: Method::Password,
            authenticated: Timestamp::from_millis(issued),
            issued: Timestamp::from_millis(issued),
            expires: Timestamp::from_millis(issued + 300_000),
            token_id: "j".to_owned(),
        }
    }

    fn keyring() -> JwtKeyring {
        let ring = JwtKeyring::new("https://auth.example.se".to_owned());
        ring.load(vec![ring.generate(Timestamp::from_millis(0)).unwrap()]);
        ring
    }

    #[test]
    fn a_signed_token_verifies_until_it_expires() {
        let ring = keyring();
        let token = ring.sign(&claims(1_000_000)).unwrap();
        for _ in 0..2 {
            assert_eq!(*ring.verify(&token, Timestamp::from_millis(1_299_999)).unwrap(), claims(1_000_000));
            assert!(ring.verify(&token, Timestamp::from_millis(1_300_000)).is_none());
        }
    }

    #[test]
    fn a_full_cache_forgets_expired_tokens_for_live_ones() {
        let mut verified = Verified::new(2);
        let at = Timestamp::from_millis;
        let held = |verified: &Verified, key: u8| verified.tokens.contains_key(&[key; 32]);
        let remembered = |issued| {
            let claims = Arc::new(claims(issued));
            Remembered { until: claims.expires, claims }
        };
        for (key, issued) in [(1, 1_000_000), (2, 1_100_000)] {
            verified.keep([key; 32], remembered(issued), at(issued));
        }
        // Full, and both live for 300 s.
        verified.keep([3; 32], remembered(1_200_000), at(1_200_000));
        assert!(held(&verified, 1) && held(&verified, 2) && !held(&verified, 3));
        verified.keep([3; 32], remembered(1_200_000), at(1_300_000));
        assert!(!held(&verified, 1) && held(&verified, 2) && held(&verified, 3));
    }

    #[test]
    fn b15_no_bent_or_cut_token_verifies() {
        let ring = keyring();
        let now = Timestamp::from_millis(1_000_000);
        let token = ring.sign(&claims(1_000_000)).unwrap();
        for end in 0..token.len() {
            assert!(ring.verify(&token[..end], now).is_none(), "cut at {end}");
        }
        for position in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bytes).unwrap();
            // The last character of a base64url part has bits that carry nothing; strict decoding refuses them.
            assert!(ring.verify(&bent, now).is_none(), "bent at {position}");
        }
    }

    #[test]
    fn forged_headers_are_refused() {
        let ring = keyring();
        let now = Timestamp::from_millis(1_000_000);
        let kid = ring.key_ids().remove(0);
        let token = ring.sign(&claims(1_000_000)).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        for header in [
            r#"{"alg":"none","typ":"at+jwt"}"#.to_owned(),
            format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#),
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(),
            r#"{"alg":"EdDSA","typ":"at+jwt","kid":"other"}"#.to_owned(),
            format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}","jwk":{{}}}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}","crit":["x"],"x":1}}"#),
        ] {
            for signature in [parts[2], ""] {
                let forged = format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(&header), parts[1]);
                assert!(ring.verify(&forged, now).is_none(), "{header}");
            }
        }
    }

    #[test]
    fn a_new_key_is_published_before_it_signs() {
        let ring = keyring();
        let (first, next) = (signing_key(0), signing_key(2_000_000));
        let (old, new) = (first.kid.clone(), next.kid.clone());
        ring.load(vec![first, next]);
        let at = |ms| Timestamp::from_millis(ms);
        let kid_of = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        assert_eq!(kid_of(&ring.sign(&claims(1_999_000)).unwrap()), old);
        assert_eq!(kid_of(&ring.sign(&claims(2_000_000)).unwrap()), new);
        let order = |ms| ring.published(at(ms)).keys.into_iter().map(|(kid, _)| kid).collect::<Vec<_>>();
        assert_eq!(order(1_000_000), [old.clone(), new.clone()]);
        assert_eq!(order(2_000_000), [new, old]);
    }
}
