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
