//! How we prove to a provider that it is this client who asks.

use std::borrow::Cow;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use super::settings::{ClientAuth, OidcSettingsError};
use crate::adapters::system::SystemEntropy;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::entropy::random_bytes;
use crate::ports::identity_provider::ProviderError;

/// An assertion is used at once; a minute is for clocks that differ.
const ASSERTION_LIFE: Duration = Duration::from_mins(1);

/// The shortest RSA key that signs (NIST SP 800-131A).
const SHORTEST_RSA_BYTES: usize = 256;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that can prove what it is.
pub(super) struct Client {
    id: String,
    issuer: String,
    proof: Proof,
}

enum Proof {
    Basic(Secret<String>),
    Post(Secret<String>),
    Assertion { key: SigningKey, key_id: Option<String> },
    Tls,
}

enum SigningKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Names and values of a form.
pub(super) type Form = Vec<(Cow<'static, str>, String)>;

impl Client {
    /// The client of this name at this issuer.
    pub(super) fn new(id: String, issuer: String, auth: ClientAuth) -> Result<Self, OidcSettingsError> {
        let filled = |secret: Secret<String>| {
            if secret.expose().is_empty() { Err(OidcSettingsError::ClientSecret) } else { Ok(secret) }
        };
        let proof = match auth {
            ClientAuth::SecretBasic(secret) => Proof::Basic(filled(secret)?),
            ClientAuth::SecretPost(secret) => Proof::Post(filled(secret)?),
            ClientAuth::PrivateKeyJwt { key_pem, key_id } => Proof::Assertion {
                key: SigningKey::read(&key_pem).ok_or(OidcSettingsError::ClientKey)?,
                key_id,
            },
            ClientAuth::Tls => Proof::Tls,
        };
        Ok(Self { id, issuer, proof })
    }

    /// Our name there.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The request with this form and the proof.
    pub(super) fn prove(
        &self,
        request: RequestBuilder,
        mut form: Form,
        now: Timestamp,
    ) -> Result<RequestBuilder, ProviderError> {
        let mut add = |name: &'static str, value: String| {
            // Twice is an error to some: the pushed request has our name already.
            if !form.iter().any(|(there, _)| there == name) {
                form.push((name.into(), value));
            }
        };
        match &self.proof {
            Proof::Basic(secret) => {
                let request = request.basic_auth(encoded(&self.id), Some(encoded(secret.expose())));
                return Ok(request.form(&form));
            }
            Proof::Post(secret) => add("client_secret", secret.expose().clone()),
            Proof::Assertion { key, key_id } => {
                add("client_assertion_type", ASSERTION_TYPE.to_owned());
                let assertion = self.assertion(key, key_id.as_deref(), now);
                let unsigned = || ProviderError::Unavailable("the client's key does not sign".to_owned());
                add("client_assertion", assertion.ok_or_else(unsigned)?);
            }
            Proof::Tls => {}
        }
        add("client_id", self.id.clone());
        Ok(request.form(&form))
    }

    /// An assertion of ourselves (RFC 7523 §3). Its audience is the issuer and nothing else, as FAPI 2.0 §5.3.3.1 and the
    /// update of RFC 7523 ask: a provider that lies about its token endpoint must not get one that is good elsewhere. `typ`
    /// is `JWT`: providers in use that read it know no other yet.
    fn assertion(&self, key: &SigningKey, key_id: Option<&str>, now: Timestamp) -> Option<String> {
        let mut header = json!({ "alg": key.algorithm(), "typ": "JWT" });
        if let Some(kid) = key_id {
            header["kid"] = json!(kid);
        }
        let claims = json!({
            "iss": self.id,
            "sub": self.id,
            "aud": self.issuer,
            "jti": URL_SAFE_NO_PAD.encode(random_bytes::<16>(&SystemEntropy)),
            "iat": now.as_seconds(),
            "exp": now.plus(ASSERTION_LIFE).as_seconds(),
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = key.sign(signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl SigningKey {
    fn read(pem: &Secret<String>) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).ok()?;
        let der = der.secret_pkcs8_der();
        if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            return (key.public_modulus_len() >= SHORTEST_RSA_BYTES).then_some(Self::Rsa(key));
        }
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Some(Self::P256(key));
        }
        // Of either version of the form (RFC 5208, RFC 5958): openssl writes the first.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self::Ed25519)
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "PS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
            Self::P256(key) => {
                key.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
            }
            Self::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// A name or secret as `application/x-www-form-urlencoded`, which RFC 6749 §2.3.1 asks for before it goes into the header.
fn encoded(text: &str) -> String {
    let one = |byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use reqwest::Method;

    use super::super::jwks::{Found, Keys};
    use super::super::jws::Unverified;
    use super::super::signer::{ed25519_jwk, p256_jwk, pem, private_pems, rsa_jwk};
    use super::*;
    use crate::adapters::http_client::HttpClient;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn client(auth: ClientAuth) -> Client {
        Client::new("a portal".to_owned(), "https://op.example".to_owned(), auth).unwrap()
    }

    /// The header and the form of a request that proves what this client is.
    fn proven(client: &Client, form: Form) -> (Option<String>, Vec<(String, String)>) {
        let http = HttpClient::new(None, Duration::from_secs(1)).unwrap();
        let url = reqwest::Url::parse("https://op.example/token").unwrap();
        let request =
            client.prove(http.request(Method::POST, url.clone()), form, NOW).unwrap().build().unwrap();
        let header = request.headers().get("authorization").map(|it| it.to_str().unwrap().to_owned());
        let body = std::str::from_utf8(request.body().unwrap().as_bytes().unwrap()).unwrap();
        let mut read = url;
        read.set_query(Some(body));
        (header, read.query_pairs().into_owned().collect())
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    fn code() -> Form {
        vec![("code".into(), "c".to_owned())]
    }

    #[test]
    fn a_secret_in_the_header_is_encoded_twice() {
        let (header, form) = proven(&client(ClientAuth::SecretBasic(secret("a:b c+%å"))), code());
        let expected = STANDARD.encode("a+portal:a%3Ab+c%2B%25%C3%A5");
        assert_eq!(header, Some(format!("Basic {expected}")));
        assert_eq!(form, pairs([("code", "c")]));
    }

    #[test]
    fn a_secret_in_the_form_is_nowhere_else() {
        let (header, form) = proven(&client(ClientAuth::SecretPost(secret("s&x"))), code());
        assert_eq!(header, None);
        assert_eq!(form, pairs([("code", "c"), ("client_secret", "s&x"), ("client_id", "a portal")]));
    }

    #[test]
    fn a_certificate_needs_the_name_only() {
        let (header, form) = proven(&client(ClientAuth::Tls), code());
        assert_eq!((header, form), (None, pairs([("code", "c"), ("client_id", "a portal")])));
    }

    #[test]
    fn the_name_is_in_the_form_once() {
        let pushed: Form = vec![("client_id".into(), "a portal".to_owned())];
        let (_, form) = proven(&client(ClientAuth::Tls), pushed);
        assert_eq!(form, pairs([("client_id", "a portal")]));
    }

    #[test]
    fn an_assertion_is_ours_for_this_issuer_and_ends_soon() {
        let published = Keys::of(vec![rsa_jwk(), p256_jwk(), ed25519_jwk()]);
        let mut seen = Vec::new();
        for (algorithm, key_pem) in private_pems() {
            let auth = ClientAuth::PrivateKeyJwt { key_pem: Secret::new(key_pem), key_id: None };
            let (header, form) = proven(&client(auth), code());
            assert_eq!(header, None);
            let value = |name: &str| form.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
            assert_eq!(value("client_assertion_type").as_deref(), Some(ASSERTION_TYPE));
            let assertion = value("client_assertion").unwrap();
            let announced = [algorithm.to_owned()];
            let unverified = Unverified::read(&assertion, Some(&announced)).unwrap();
            let Found::Key(key) = published.find(None, unverified.algorithm) else { panic!("{algorithm}") };
            let claims = unverified.verified(key).unwrap();
            assert_eq!(claims.text("iss"), Some("a portal"));
            assert_eq!(claims.text("sub"), Some("a portal"));
            assert_eq!(claims.text("aud"), Some("https://op.example"));
            assert_eq!(claims.seconds("iat"), Some(1_800_000_000));
            assert_eq!(claims.seconds("exp"), Some(1_800_000_060));
            seen.push(claims.text("jti").unwrap().to_owned());
        }
        seen.dedup();
        assert_eq!(seen.len(), 3, "each assertion has a name of its own");
    }

    #[test]
    fn the_name_of_the_key_is_in_the_header() {
        let [(_, key_pem), ..] = private_pems();
        let auth =
            ClientAuth::PrivateKeyJwt { key_pem: Secret::new(key_pem), key_id: Some("key-1".to_owned()) };
        let (_, form) = proven(&client(auth), Form::new());
        let (_, assertion) = form.iter().find(|(name, _)| name == "client_assertion").unwrap();
        assert_eq!(Unverified::read(assertion, None).unwrap().kid.as_deref(), Some("key-1"));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let p384 = pem(p384.to_pkcs8v1().unwrap().as_ref());
        for key_pem in ["", "no key", &pem(b"no key"), &p384] {
            assert!(SigningKey::read(&secret(key_pem)).is_none());
        }
    }
}
