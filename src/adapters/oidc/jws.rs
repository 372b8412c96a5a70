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
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
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
        let algorithm = self.algorithm.library();
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
