//! Sealing and digesting with keys derived from the configured master keys.

use std::collections::HashMap;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{hkdf, hmac};

use crate::domain::secret::Secret;
use crate::ports::key_vault::{KeyVault, Purpose, Sealed, Signature, Signed};

const NONCE_LENGTH: usize = 12;

/// A master key: 256 random bits from configuration, with the id that is stored beside everything sealed by it.
pub struct MasterKey {
    /// Its id.
    pub id: String,
    /// The key.
    pub key: Secret<[u8; 32]>,
}

/// AES-256-GCM-SIV (RFC 8452) and HMAC-SHA-256 under keys of their own for each purpose (HKDF-SHA-256, RFC 5869).
/// GCM-SIV because a repeated random nonce then shows no more than that two equal plaintexts are equal.
pub struct DerivedKeyVault {
    active: String,
    keys: HashMap<String, PurposeKeys>,
    order: Vec<String>,
}

struct PurposeKeys {
    seal: HashMap<Purpose, RandomizedNonceKey>,
    digest: HashMap<Purpose, hmac::Key>,
    sign: HashMap<Purpose, Ed25519KeyPair>,
}

const SEALING: [Purpose; 8] = [
    Purpose::NationalIdSeal,
    Purpose::SigningKeySeal,
    Purpose::DeviceToken,
    Purpose::PageToken,
    Purpose::ResetRequestSeal,
    Purpose::EidAttemptSeal,
    Purpose::EvidenceSeal,
    Purpose::MergeSeal,
];

const DIGESTING: [Purpose; 11] = [
    Purpose::NationalIdIndex,
    Purpose::RefreshToken,
    Purpose::RefreshSuccessor,
    Purpose::DeviceLoginName,
    Purpose::ChangeTicket,
    Purpose::ResetToken,
    Purpose::MessageAddress,
    Purpose::EidAttemptToken,
    Purpose::ActivationToken,
    Purpose::StaffRequest,
    Purpose::LimiterKey,
];

const SIGNING: [Purpose; 1] = [Purpose::AuditHead];

/// What makes the derived keys differ; part of stored data, so never changed.
const fn label(purpose: Purpose) -> &'static [u8] {
    match purpose {
        Purpose::NationalIdSeal => b"guardian-auth/v1/national-id-seal",
        Purpose::NationalIdIndex => b"guardian-auth/v1/national-id-index",
        Purpose::SigningKeySeal => b"guardian-auth/v1/signing-key-seal",
        Purpose::RefreshToken => b"guardian-auth/v1/refresh-token",
        Purpose::RefreshSuccessor => b"guardian-auth/v1/refresh-successor",
        Purpose::DeviceToken => b"guardian-auth/v1/device-token",
        Purpose::DeviceLoginName => b"guardian-auth/v1/device-login-name",
        Purpose::ChangeTicket => b"guardian-auth/v1/change-ticket",
        Purpose::PageToken => b"guardian-auth/v1/page-token",
        Purpose::ResetRequestSeal => b"guardian-auth/v1/reset-request-seal",
        Purpose::ResetToken => b"guardian-auth/v1/reset-token",
        Purpose::MessageAddress => b"guardian-auth/v1/message-address",
        Purpose::EidAttemptSeal => b"guardian-auth/v1/eid-attempt-seal",
        Purpose::EidAttemptToken => b"guardian-auth/v1/eid-attempt-token",
        Purpose::EvidenceSeal => b"guardian-auth/v1/evidence-seal",
        Purpose::ActivationToken => b"guardian-auth/v1/activation-token",
        Purpose::StaffRequest => b"guardian-auth/v1/staff-request",
        Purpose::MergeSeal => b"guardian-auth/v1/merge-seal",
        Purpose::LimiterKey => b"guardian-auth/v1/limiter-key",
        Purpose::AuditHead => b"guardian-auth/v1/audit-head",
    }
}

/// The vault could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No master key is configured.
    #[error("no master key is configured")]
    NoKey,
    /// Two master keys have one id.
    #[error("two master keys have the id {0}")]
    DuplicateId(String),
    /// The provider refused a key.
    #[error("the crypto provider refused a derived key")]
    Provider,
}

impl DerivedKeyVault {
    /// A vault over the master keys; the first one is active, the others only open and look up.
    ///
    /// # Errors
    /// [`VaultError`] without a key, or with two of one id.
    pub fn new(masters: &[MasterKey]) -> Result<Self, VaultError> {
        let active = masters.first().ok_or(VaultError::NoKey)?.id.clone();
        let mut keys = HashMap::new();
        let mut order = Vec::new();
        for master in masters {
            if keys.insert(master.id.clone(), PurposeKeys::derive(master.key.expose())?).is_some() {
                return Err(VaultError::DuplicateId(master.id.clone()));
            }
            order.push(master.id.clone());
        }
        Ok(Self { active, keys, order })
    }

    fn active_keys(&self) -> &PurposeKeys {
        // `new` put it there.
        &self.keys[&self.active]
    }

    /// The active key of a digesting purpose as raw bytes, for adapters that digest on their own (the limiter).
    pub fn raw_key(&self, purpose: Purpose) -> [u8; 32] {
        self.digest(purpose, &[b"raw key"])
    }
}

impl PurposeKeys {
    fn derive(master: &[u8; 32]) -> Result<Self, VaultError> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"guardian-auth/v1").extract(master);
        let expand = |purpose: Purpose| -> Result<[u8; 32], VaultError> {
            let mut key = [0_u8; 32];
            let info = [label(purpose)];
            let okm = extracted.expand(&info, hkdf::HKDF_SHA256).map_err(|_| VaultError::Provider)?;
            okm.fill(&mut key).map_err(|_| VaultError::Provider)?;
            Ok(key)
        };
        let mut seal = HashMap::new();
        for purpose in SEALING {
            let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &expand(purpose)?)
                .map_err(|_| VaultError::Provider)?;
            seal.insert(purpose, key);
        }
        let mut digest = HashMap::new();
        for purpose in DIGESTING {
            digest.insert(purpose, hmac::Key::new(hmac::HMAC_SHA256, &expand(purpose)?));
        }
        let mut sign = HashMap::new();
        for purpose in SIGNING {
            let pair = Ed25519KeyPair::from_seed_unchecked(&expand(purpose)?);
            sign.insert(purpose, pair.map_err(|_| VaultError::Provider)?);
        }
        Ok(Self { seal, digest, sign })
    }

    fn digest(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.digest[&purpose]);
        for part in parts {
            context.update(&length(part));
            context.update(part);
        }
        let mut out = [0_u8; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

fn length(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

/// The context, each part with its length, so that no two contexts read the same.
fn additional_data(context: &[&[u8]]) -> Vec<u8> {
    context.iter().flat_map(|part| length(part).into_iter().chain(part.iter().copied())).collect()
}

impl KeyVault for DerivedKeyVault {
    fn seal(&self, purpose: Purpose, context: &[&[u8]], plaintext: &[u8]) -> Sealed {
        let key = &self.active_keys().seal[&purpose];
        let mut body = plaintext.to_vec();
        let aad = Aad::from(additional_data(context));
        #[expect(clippy::expect_used, reason = "fails only beyond 64 GiB or without randomness")]
        let nonce = key.seal_in_place_append_tag(aad, &mut body).expect("sealing a short value");
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut body);
        Sealed { bytes, key_id: self.active.clone() }
    }

    fn open(&self, purpose: Purpose, context: &[&[u8]], sealed: &Sealed) -> Option<Secret<Vec<u8>>> {
        let key = self.keys.get(&sealed.key_id)?.seal.get(&purpose)?;
        let (nonce, body) = sealed.bytes.split_at_checked(NONCE_LENGTH)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(additional_data(context)), &mut body).ok()?.len();
        body.truncate(opened);
        Some(Secret::new(body))
    }

    fn digest(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        self.active_keys().digest(purpose, parts)
    }

    fn digests(&self, purpose: Purpose, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.order.iter().map(|id| self.keys[id].digest(purpose, parts)).collect()
    }

    fn sign(&self, purpose: Purpose, statement: &[u8]) -> Signature {
        let signature = self.active_keys().sign[&purpose].sign(statement);
        Signature { bytes: signature.as_ref().to_vec(), key_id: self.active.clone() }
    }

    fn verify(&self, purpose: Purpose, statement: &[u8], signature: &Signature) -> Signed {
        let Some(pair) = self.keys.get(&signature.key_id).and_then(|keys| keys.sign.get(&purpose)) else {
            return Signed::KeyGone;
        };
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key());
        public.verify(statement, &signature.bytes).map_or(Signed::Forged, |()| Signed::Genuine)
    }

    fn key_ids(&self) -> &[String] {
        &self.order
    }

    fn active_key_id(&self) -> &str {
        &self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(ids: &[(&str, u8)]) -> DerivedKeyVault {
        let masters: Vec<MasterKey> = ids
            .iter()
            .map(|(id, byte)| MasterKey { id: (*id).to_owned(), key: Secret::new([*byte; 32]) })
            .collect();
        DerivedKeyVault::new(&masters).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place() {
        let vault = vault(&[("k1", 1)]);
        let here: &[&[u8]] = &[b"organization", b"table", b"row"];
        let sealed = vault.seal(Purpose::NationalIdSeal, here, b"se.pnr:199908072391");
        assert_eq!(
            vault.open(Purpose::NationalIdSeal, here, &sealed).unwrap().expose().as_slice(),
            b"se.pnr:199908072391"
        );
        let elsewhere: [&[&[u8]]; 3] = [
            &[b"organization", b"table", b"other row"],
            &[b"organizationtable", b"row"],
            &[b"organization", b"tablerow", b""],
        ];
        for context in elsewhere {
            assert!(vault.open(Purpose::NationalIdSeal, context, &sealed).is_none());
        }
        assert!(
            vault.open(Purpose::SigningKeySeal, here, &sealed).is_none(),
            "another purpose has another key"
        );
    }

    #[test]
    fn every_bit_of_a_sealed_value_counts() {
        let vault = vault(&[("k1", 1)]);
        let sealed = vault.seal(Purpose::DeviceToken, &[], b"content");
        for bit in 0..sealed.bytes.len() * 8 {
            let mut bent = sealed.clone();
            bent.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(vault.open(Purpose::DeviceToken, &[], &bent).is_none(), "bit {bit}");
        }
        for end in 0..sealed.bytes.len() {
            let cut = Sealed { bytes: sealed.bytes[..end].to_vec(), key_id: "k1".to_owned() };
            assert!(vault.open(Purpose::DeviceToken, &[], &cut).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn an_old_master_key_still_opens_and_looks_up() {
        let old = vault(&[("k1", 1)]);
        let sealed = old.seal(Purpose::SigningKeySeal, &[b"x"], b"private");
        let both = vault(&[("k2", 2), ("k1", 1)]);
        assert!(both.open(Purpose::SigningKeySeal, &[b"x"], &sealed).is_some());
        let index = old.digest(Purpose::NationalIdIndex, &[b"a"]);
        assert_ne!(both.digest(Purpose::NationalIdIndex, &[b"a"]), index);
        assert!(both.digests(Purpose::NationalIdIndex, &[b"a"]).contains(&index));
    }

    #[test]
    fn a_signature_is_of_one_statement_and_one_key() {
        let old = vault(&[("k1", 1)]);
        let signature = old.sign(Purpose::AuditHead, b"a statement");
        assert_eq!(old.verify(Purpose::AuditHead, b"a statement", &signature), Signed::Genuine);
        assert_eq!(old.verify(Purpose::AuditHead, b"a statemenT", &signature), Signed::Forged);
        let cut = Signature { bytes: signature.bytes[1..].to_vec(), ..signature.clone() };
        assert_eq!(old.verify(Purpose::AuditHead, b"a statement", &cut), Signed::Forged);
        let both = vault(&[("k2", 2), ("k1", 1)]);
        assert_eq!(both.verify(Purpose::AuditHead, b"a statement", &signature), Signed::Genuine);
        let renamed = Signature { key_id: "k2".to_owned(), ..signature.clone() };
        assert_eq!(both.verify(Purpose::AuditHead, b"a statement", &renamed), Signed::Forged);
        let new = vault(&[("k2", 2)]);
        assert_eq!(new.verify(Purpose::AuditHead, b"a statement", &signature), Signed::KeyGone);
        assert_eq!(both.sign(Purpose::AuditHead, b"x").key_id, "k2");
    }

    #[test]
    fn digests_depend_on_where_parts_end() {
        let vault = vault(&[("k1", 1)]);
        assert_ne!(
            vault.digest(Purpose::NationalIdIndex, &[b"ab", b"c"]),
            vault.digest(Purpose::NationalIdIndex, &[b"a", b"bc"])
        );
    }
}
