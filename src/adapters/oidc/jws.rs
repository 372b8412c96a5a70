//! Signed texts (RFC 7515, compact form): what they say of their key, and what they hold once that key is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::Algorithm;
use super::json::Members;
use super::jwks::Key;

/// Bytes of a signed text at most. With evidence of the eID in it, some have 10 KiB.
const LONGEST_BYTES: usize = 16 * 1024;

/// Why a signed text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwsFault {
    /// It is none: too long, of another number of parts, or a part is unreadable.
    Malformed,
    /// Its algorithm is none of those that are allowed.
    Algorithm,
    /// No published key, or not exactly one, can have signed it.
    Key,
    /// Its signature is wrong.
    Signature,
}

/// A signed text before its signature is checked: nothing in it is believed.
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl std::fmt::Debug for Unverified<'_> {
    /// Hides the text: it is a token, and tells of a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<'a> Unverified<'a> {
    /// Reads the header. `announced`: the algorithms that the provider says it uses, if it says so. Of the header, `jku`,
    /// `jwk`, `x5c` and `x5u` are not read: a text does not choose whom we believe.
    pub(super) fn read(text: &'a str, announced: Option<&[String]>) -> Result<Self, JwsFault> {
        if text.len() > LONGEST_BYTES {
            return Err(JwsFault::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsFault::Malformed);
        };
        let header_members = decoded(header).ok_or(JwsFault::Malformed)?;
        // `crit` names what must be understood (§4.1.11): we understand none.
        if header_members.get("crit").is_some() {
            return Err(JwsFault::Malformed);
        }
        let name = header_members.text("alg").ok_or(JwsFault::Algorithm)?;
        if announced.is_some_and(|names| !names.iter().any(|it| it == name)) {
            return Err(JwsFault::Algorithm);
        }
        let kid = match header_members.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(JwsFault::Malformed)?.to_owned()),
        };
        Ok(Self {
            algorithm: Algorithm::parse(name).ok_or(JwsFault::Algorithm)?,
            kid,
            signed: &text[..header.len() + 1 + payload.len()],
            payload,
            signature,
        })
    }

    /// What it holds, if this key signed it.
    pub(super) fn verified(&self, key: &Key) -> Result<Members, JwsFault> {
        let signed = self.signed.as_bytes();
        let algorithm = self.algorithm.in_jsonwebtoken();
        let right = jsonwebtoken::crypto::verify(self.signature, signed, &key.verifying, algorithm);
        if !right.unwrap_or(false) {
            return Err(JwsFault::Signature);
        }
        decoded(self.payload).ok_or(JwsFault::Malformed)
    }
}

fn decoded(part: &str) -> Option<Members> {
    Members::read(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use serde_json::{Value, json};

    use super::super::jwks::{Found, Keys};
    use super::super::signer::{base64url, ed25519_jwk, p256_jwk, rsa_jwk, signed};
    use super::*;

    const CLAIMS: &str = r#"{"sub":"somebody"}"#;

    fn published() -> Keys {
        Keys::of(vec![rsa_jwk(), p256_jwk(), ed25519_jwk()])
    }

    /// What comes of a text with the keys of [`published`].
    fn verdict(text: &str) -> Result<Members, JwsFault> {
        let unverified = Unverified::read(text, None)?;
        match published().find(unverified.kid.as_deref(), unverified.algorithm) {
            Found::Key(key) => unverified.verified(key),
            Found::None | Found::Several => Err(JwsFault::Key),
        }
    }

    fn refused(text: &str) -> Option<JwsFault> {
        verdict(text).err()
    }

    fn header(members: &Value) -> String {
        signed(members, CLAIMS)
    }

    #[test]
    fn what_the_provider_signed_is_believed() {
        for algorithm in ["RS256", "PS384", "ES256", "EdDSA"] {
            let members = verdict(&header(&json!({"alg": algorithm, "typ": "JWT"}))).unwrap();
            assert_eq!(members.text("sub"), Some("somebody"), "{algorithm}");
        }
    }

    #[test]
    fn a_changed_text_has_a_wrong_signature() {
        for algorithm in ["RS256", "PS384", "ES256", "EdDSA"] {
            let text = header(&json!({"alg": algorithm}));
            let other = signed(&json!({"alg": algorithm}), r#"{"sub":"another"}"#);
            let (head, _) = text.rsplit_once('.').unwrap();
            let (_, signature) = other.rsplit_once('.').unwrap();
            for forged in [signature, "", "AAAA", "!"] {
                assert_eq!(refused(&format!("{head}.{forged}")), Some(JwsFault::Signature), "{algorithm}");
            }
        }
        // By the right key, with another algorithm than it says.
        let text = header(&json!({"alg": "RS256"}));
        let (_, rest) = text.split_once('.').unwrap();
        let renamed = format!("{}.{rest}", base64url(r#"{"alg":"PS256"}"#));
        assert_eq!(refused(&renamed), Some(JwsFault::Signature));
    }

    #[test]
    fn a_text_without_signature_is_refused() {
        for name in ["none", "None", "NONE", "nOnE", ""] {
            let head = base64url(json!({"alg": name}).to_string());
            let text = format!("{head}.{}.", base64url(CLAIMS));
            assert_eq!(refused(&text), Some(JwsFault::Algorithm), "{name}");
        }
        assert_eq!(refused(&header(&json!({"typ": "JWT"}))), Some(JwsFault::Algorithm));
        assert_eq!(refused(&header(&json!({"alg": 1}))), Some(JwsFault::Algorithm));
    }

    /// A published key is no secret: what is signed with it, or with nothing, as if it were one, anybody can sign.
    #[test]
    fn a_shared_secret_signs_nothing() {
        let jwk = rsa_jwk();
        let modulus = jwk["n"].as_str().unwrap();
        let spki = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(
            aws_lc_rs::signature::KeyPair::public_key(&super::super::signer::keys().rsa),
        );
        let spki = spki.unwrap();
        for secret in [modulus.as_bytes(), jwk.to_string().as_bytes(), spki.as_ref(), b""] {
            for name in ["HS256", "HS384", "HS512"] {
                let head = format!("{}.{}", base64url(json!({"alg": name}).to_string()), base64url(CLAIMS));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), head.as_bytes());
                let text = format!("{head}.{}", base64url(tag));
                assert_eq!(refused(&text), Some(JwsFault::Algorithm), "{name}");
            }
        }
    }

    #[test]
    fn algorithms_that_are_not_announced_are_refused() {
        let text = header(&json!({"alg": "ES256"}));
        let announced = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Unverified::read(&text, Some(&names)).err()
        };
        assert_eq!(announced(&["RS256", "ES256"]), None);
        assert_eq!(announced(&["RS256"]), Some(JwsFault::Algorithm));
        assert_eq!(announced(&[]), Some(JwsFault::Algorithm));
        // Announced by the provider, and refused by us.
        let names = ["none".to_owned(), "HS256".to_owned()];
        for name in &names {
            let text = header(&json!({"alg": name}));
            assert_eq!(Unverified::read(&text, Some(&names)).err(), Some(JwsFault::Algorithm));
        }
    }

    /// The key stands in the header and is right: whoever made the text put it there.
    #[test]
    fn a_text_does_not_bring_its_own_key() {
        let own = json!({"alg": "RS256", "kid": "own", "jwk": rsa_jwk(), "jku": "https://evil.example/jwks",
            "x5u": "https://evil.example/x5u", "x5c": ["AAAA"]});
        assert_eq!(refused(&header(&own)), Some(JwsFault::Key));
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("x")] {
            let text = header(&json!({"alg": "RS256", "crit": crit, "b64": true}));
            assert_eq!(refused(&text), Some(JwsFault::Malformed), "{crit}");
        }
    }

    #[test]
    fn what_is_no_signed_text_is_malformed() {
        let right = header(&json!({"alg": "RS256"}));
        let nested = signed(&json!({"alg": "RS256", "cty": "JWT"}), &right);
        let twice = signed(&json!({"alg": "RS256"}), r#"{"sub":"a","sub":"b"}"#);
        let (_, rest) = right.split_once('.').unwrap();
        let head_twice = format!("{}.{rest}", base64url(r#"{"alg":"RS256","alg":"RS256"}"#));
        let kid_of_number = header(&json!({"alg": "RS256", "kid": 1}));
        let encrypted = "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d".to_owned();
        let huge = signed(&json!({"alg": "RS256"}), "x".repeat(1 << 20));
        let dots = ".".repeat(LONGEST_BYTES);
        let padded = format!("{right}=.");
        for text in [&nested, &twice, &head_twice, &kid_of_number, &encrypted, &huge, &dots, &padded] {
            assert_eq!(refused(text), Some(JwsFault::Malformed), "{}", &text[..text.len().min(200)]);
        }
        for text in ["", ".", "..", "a.b", "å.ä.ö", " . . ", "e30.e30.e30.e30"] {
            assert_eq!(refused(text), Some(JwsFault::Malformed), "{text}");
        }
    }

    #[test]
    fn a_text_of_the_greatest_length_is_read() {
        let claims = |pad: usize| json!({"sub": "somebody", "evidence": "x".repeat(pad)}).to_string();
        let text = |pad| signed(&json!({"alg": "EdDSA"}), claims(pad));
        let pad = (LONGEST_BYTES - text(0).len()) * 3 / 4;
        assert!(verdict(&text(pad - 3)).is_ok());
        assert_eq!(refused(&text(pad + 3)), Some(JwsFault::Malformed));
    }
}
