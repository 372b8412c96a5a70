//! A provider's keys for tests: they sign what no provider should.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA384,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Keys that are made once: an RSA key takes a while.
pub(super) struct Keys {
    pub(super) rsa: RsaKeyPair,
    pub(super) p256: EcdsaKeyPair,
    pub(super) ed25519: Ed25519KeyPair,
}

pub(super) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        ed25519: Ed25519KeyPair::generate().unwrap(),
    })
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public RSA key as a JWK.
pub(super) fn rsa_jwk() -> Value {
    let public = keys().rsa.public_key();
    let modulus = public.modulus().big_endian_without_leading_zero();
    let exponent = public.exponent().big_endian_without_leading_zero();
    json!({"kty": "RSA", "n": base64url(modulus), "e": base64url(exponent)})
}

/// The public P-256 key as a JWK.
pub(super) fn p256_jwk() -> Value {
    let point = keys().p256.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
}

/// The public Ed25519 key as a JWK.
pub(super) fn ed25519_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(keys().ed25519.public_key())})
}

/// A JWK with more members.
pub(super) fn with(mut jwk: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// A signed text of this header and payload: by the key that `alg` asks for, and by the RSA key if it asks for none.
pub(super) fn signed(header: &Value, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(payload));
    let signature = signature(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
    format!("{signed}.{}", base64url(signature))
}

fn signature(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let Keys { rsa, p256, ed25519 } = keys();
    let random = SystemRandom::new();
    match algorithm {
        "ES256" => p256.sign(&random, message).unwrap().as_ref().to_vec(),
        "EdDSA" => ed25519.sign(message).as_ref().to_vec(),
        _ => {
            let mut signature = vec![0; rsa.public_modulus_len()];
            let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                if algorithm == "PS384" { &RSA_PSS_SHA384 } else { &RSA_PKCS1_SHA256 };
            rsa.sign(encoding, &random, message, &mut signature).unwrap();
            signature
        }
    }
}

/// PKCS#8 as PEM text.
pub(super) fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// The private keys as PEM, by the algorithm that they sign with.
pub(super) fn private_pems() -> [(&'static str, String); 3] {
    let Keys { rsa, p256, ed25519 } = keys();
    let rsa: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let p256 = p256.to_pkcs8v1().unwrap();
    let ed25519 = ed25519.to_pkcs8v1().unwrap();
    [("PS256", pem(rsa.as_ref())), ("ES256", pem(p256.as_ref())), ("EdDSA", pem(ed25519.as_ref()))]
}
