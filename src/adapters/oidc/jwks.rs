//! The keys that a provider publishes (RFC 7517), as far as they can have signed a token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::{Algorithm, KeyKind};
use super::cache::Lifetime;
use super::wire::{Wire, WireFault};

/// Keys are asked for again within 10 minutes, the request included, so that a key that the provider withdrew is soon
/// believed no more. While the provider cannot be asked it is believed an hour: who keeps us from asking for longer has
/// no use of it.
pub(super) const LIFETIME: Lifetime =
    Lifetime { fresh: Duration::from_mins(9), stale: Duration::from_hours(1) };

/// Keys of one provider at most. Big ones publish under ten.
const MOST_KEYS: usize = 32;

/// RSA moduli in bytes: NIST SP 800-131A asks for 2048 bits; over 8192 the library refuses them.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key that may have signed a token.
pub(super) struct Key {
    kid: Option<String>,
    kind: KeyKind,
    algorithm: Option<String>,
    pub(super) verifying: DecodingKey,
}

/// The keys of a provider.
pub(super) struct Keys(Vec<Key>);

/// Which key a token is to be verified with.
pub(super) enum Found<'a> {
    /// This one.
    Key(&'a Key),
    /// There is none: the provider may have a new one.
    None,
    /// There are several, and the token does not say which.
    Several,
}

/// Asks the provider for its keys.
pub(super) async fn fetch(wire: &Wire, address: &Url) -> Result<Keys, WireFault> {
    Keys::read(wire.document(address).await?)
}

impl Keys {
    /// The usable keys of a document. One that we cannot use is passed over: providers publish keys for others, too.
    fn read(document: Document) -> Result<Self, WireFault> {
        if document.keys.len() > MOST_KEYS {
            return Err(WireFault::TooManyKeys);
        }
        Ok(Self(document.keys.into_iter().filter_map(Key::read).collect()))
    }

    /// The key of this name that fits the algorithm; without a name, the only one that fits.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let named = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        let mut fitting = self.0.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (None, _) => Found::None,
            (Some(key), None) => Found::Key(key),
            (Some(_), Some(_)) => Found::Several,
        }
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let key: WireKey = serde_json::from_value(value).ok()?;
        if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        if key.key_ops.as_ref().is_some_and(|all| !all.iter().any(|one| one == "verify")) {
            return None;
        }
        let (kind, verifying) = key.material()?;
        Some(Self { kid: key.kid, kind, algorithm: key.alg, verifying })
    }

    /// Whether the key is of the kind that the algorithm needs, and made for no other algorithm.
    fn fits(&self, algorithm: Algorithm) -> bool {
        algorithm.key_kind() == self.kind
            && self.algorithm.as_deref().is_none_or(|its| Algorithm::parse(its) == Some(algorithm))
    }
}

impl WireKey {
    fn material(&self) -> Option<(KeyKind, DecodingKey)> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = bytes(self.n.as_ref()?)?;
                let exponent = bytes(self.e.as_ref()?)?;
                let strong = RSA_MODULUS_BYTES.contains(&modulus.len());
                strong.then(|| (KeyKind::Rsa, DecodingKey::from_rsa_raw_components(&modulus, &exponent)))
            }
            ("EC", Some("P-256")) => Some((KeyKind::P256, self.point(32)?)),
            ("EC", Some("P-384")) => Some((KeyKind::P384, self.point(48)?)),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(self.x.as_ref()?).filter(|x| x.len() == 32)?;
                Some((KeyKind::Ed25519, DecodingKey::from_ed_der(&x)))
            }
            // Among them `oct`: a secret that is published is none.
            _ => None,
        }
    }

    /// A point of a curve, uncompressed (SEC 1 §2.3.3).
    fn point(&self, coordinate_bytes: usize) -> Option<DecodingKey> {
        let mut point = vec![4];
        for coordinate in [&self.x, &self.y] {
            point.extend(bytes(coordinate.as_ref()?).filter(|it| it.len() == coordinate_bytes)?);
        }
        Some(DecodingKey::from_ec_der(&point))
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::signer::{base64url, ed25519_jwk, p256_jwk, rsa_jwk, with};
    use super::*;

    impl Keys {
        /// The keys of a document.
        pub(in crate::adapters::oidc) fn of(keys: Vec<Value>) -> Self {
            Self::read(Document { keys }).unwrap()
        }
    }

    fn keys(keys: Vec<Value>) -> Keys {
        Keys::of(keys)
    }

    fn is_found(keys: &Keys, kid: Option<&str>, algorithm: Algorithm) -> bool {
        matches!(keys.find(kid, algorithm), Found::Key(_))
    }

    #[test]
    fn a_key_is_found_by_its_name_and_kind() {
        let keys = keys(vec![
            with(rsa_jwk(), &json!({"kid": "r"})),
            with(p256_jwk(), &json!({"kid": "p"})),
            with(ed25519_jwk(), &json!({"kid": "e"})),
        ]);
        assert!(is_found(&keys, Some("r"), Algorithm::Rs256));
        assert!(is_found(&keys, Some("r"), Algorithm::Ps512));
        assert!(is_found(&keys, Some("p"), Algorithm::Es256));
        assert!(is_found(&keys, Some("e"), Algorithm::EdDsa));
        assert!(matches!(keys.find(Some("r"), Algorithm::Es256), Found::None));
        assert!(matches!(keys.find(Some("p"), Algorithm::Es384), Found::None));
        assert!(matches!(keys.find(Some("x"), Algorithm::Rs256), Found::None));
    }

    #[test]
    fn without_a_name_the_only_fitting_key_is_meant() {
        let one = keys(vec![with(rsa_jwk(), &json!({"kid": "a"})), p256_jwk()]);
        assert!(is_found(&one, None, Algorithm::Rs256));
        let two = keys(vec![with(rsa_jwk(), &json!({"kid": "a"})), with(rsa_jwk(), &json!({"kid": "b"}))]);
        assert!(matches!(two.find(None, Algorithm::Rs256), Found::Several));
        assert!(is_found(&two, Some("b"), Algorithm::Rs256));
        let namesakes =
            keys(vec![with(rsa_jwk(), &json!({"kid": "a"})), with(rsa_jwk(), &json!({"kid": "a"}))]);
        assert!(matches!(namesakes.find(Some("a"), Algorithm::Rs256), Found::Several));
    }

    #[test]
    fn a_key_is_used_for_what_it_is_made_for() {
        for (members, fits) in [
            (json!({"use": "sig"}), true),
            (json!({"use": "enc"}), false),
            (json!({"use": "tls"}), false),
            (json!({"key_ops": ["verify"]}), true),
            (json!({"key_ops": ["encrypt", "wrapKey"]}), false),
            (json!({"alg": "RS256"}), true),
            (json!({"alg": "PS256"}), false),
            (json!({"alg": "RSA-OAEP"}), false),
        ] {
            let keys = keys(vec![with(rsa_jwk(), &members)]);
            assert_eq!(is_found(&keys, None, Algorithm::Rs256), fits, "{members}");
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_passed_over() {
        let weak = json!({"kty": "RSA", "n": base64url([0xFF; 128]), "e": "AQAB"});
        let huge = json!({"kty": "RSA", "n": base64url([0xFF; 2048]), "e": "AQAB"});
        let set = keys(vec![
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a"}),
            json!({"kty": "AKP", "kid": "a"}),
            json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "a"}),
            json!({"kty": "EC", "crv": "P-256", "x": base64url([1; 31]), "y": base64url([1; 32])}),
            json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": base64url([1; 33])}),
            json!({"kid": 7}),
            json!("no key"),
            weak,
            huge,
            with(rsa_jwk(), &json!({"kid": "a"})),
        ]);
        assert_eq!(set.0.len(), 1);
        assert!(is_found(&set, Some("a"), Algorithm::Rs256));
    }

    #[test]
    fn more_keys_than_anybody_needs_are_refused() {
        assert!(Keys::read(Document { keys: vec![rsa_jwk(); MOST_KEYS] }).is_ok());
        let fault = Keys::read(Document { keys: vec![json!({}); MOST_KEYS + 1] }).err();
        assert_eq!(fault, Some(WireFault::TooManyKeys));
    }
}
