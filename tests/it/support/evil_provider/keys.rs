//! The keys of the evil provider: made once for all tests, as JWK and for signing.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A key that the provider may publish and sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA, 2048 bits: what it signs with by default.
    Rsa,
    /// RSA: what it rotates to.
    NextRsa,
    /// RSA: never published.
    StrangeRsa,
    /// P-256.
    Ec,
    /// P-256: never published.
    StrangeEc,
}

struct Keys {
    rsa: [RsaKeyPair; 3],
    ec: [EcdsaKeyPair; 2],
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        rsa: std::array::from_fn(|_| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        ec: std::array::from_fn(|_| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
    })
}

/// Base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    /// The name in the key set. A stranger borrows the name of a key that is published.
    pub fn id(self) -> &'static str {
        match self {
            Self::Rsa | Self::StrangeRsa => "rsa-1",
            Self::NextRsa => "rsa-2",
            Self::Ec | Self::StrangeEc => "ec-1",
        }
    }

    /// The algorithm that it usually signs with.
    pub fn algorithm(self) -> &'static str {
        match self {
            Self::Rsa | Self::NextRsa | Self::StrangeRsa => "RS256",
            Self::Ec | Self::StrangeEc => "ES256",
        }
    }

    /// The public half as the key set has it.
    pub fn jwk(self) -> Value {
        match self.pair() {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                json!({
                    "kty": "RSA", "use": "sig", "kid": self.id(),
                    "n": base64url(key.modulus().big_endian_without_leading_zero()),
                    "e": base64url(key.exponent().big_endian_without_leading_zero()),
                })
            }
            Pair::Ec(pair) => {
                // An uncompressed point: 4, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id(),
                    "x": base64url(x), "y": base64url(y),
                })
            }
        }
    }

    /// Signs with the algorithm of the key, or PS256 with an RSA key.
    pub fn sign(self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self.pair() {
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding =
                    if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    fn pair(self) -> Pair {
        let keys = keys();
        match self {
            Self::Rsa => Pair::Rsa(&keys.rsa[0]),
            Self::NextRsa => Pair::Rsa(&keys.rsa[1]),
            Self::StrangeRsa => Pair::Rsa(&keys.rsa[2]),
            Self::Ec => Pair::Ec(&keys.ec[0]),
            Self::StrangeEc => Pair::Ec(&keys.ec[1]),
        }
    }
}

/// The public RSA key as PEM: what a careless verifier takes as the secret of an HMAC.
pub fn public_pem() -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = keys().rsa[0].public_key().as_der().unwrap();
    let text = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")).into_bytes()
}

enum Pair {
    Rsa(&'static RsaKeyPair),
    Ec(&'static EcdsaKeyPair),
}
