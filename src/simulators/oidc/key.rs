//! The key of a broker: signs tokens, and is published.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value, json};

/// A key.
pub(super) enum SigningKey {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl SigningKey {
    /// Makes one.
    pub(super) fn new(is_rsa: bool) -> Result<Self, Unspecified> {
        if is_rsa {
            return RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rs256);
        }
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Es256)
    }

    /// The name of its algorithm (RFC 7518 §3.1).
    pub(super) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// `kid`.
    const fn id(&self) -> &'static str {
        match self {
            Self::Es256(_) => "simulated-ec",
            Self::Rs256(_) => "simulated-rsa",
        }
    }

    /// The public half as a JWK (RFC 7517).
    pub(super) fn public(&self) -> Option<Value> {
        let mut key = match self {
            Self::Es256(pair) => {
                // 0x04, then both coordinates.
                let (x, y) = pair.public_key().as_ref().get(1..65)?.split_at(32);
                let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
            Self::Rs256(pair) => {
                let public = DecodingKey::from_rsa_der(pair.public_key().as_ref());
                serde_json::to_value(Jwk::from_decoding_key(&public, Some(Algorithm::RS256)).ok()?).ok()?
            }
        };
        key["alg"] = json!(self.algorithm());
        key["kid"] = json!(self.id());
        key["use"] = json!("sig");
        Some(key)
    }

    /// A token of these claims.
    pub(super) fn sign(&self, claims: Map<String, Value>) -> Result<String, Unspecified> {
        let header = json!({ "alg": self.algorithm(), "kid": self.id(), "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Es256(pair) => pair.sign(&random, signed.as_bytes())?.as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)?;
                signature
            }
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
