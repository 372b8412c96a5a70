//! Seal this, open this, digest this: with keys that no database holds.

use crate::domain::secret::Secret;

/// What a key is used for. Each purpose has a key of its own, derived from the master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Sealing national ids.
    NationalIdSeal,
    /// The look-up digest of national ids.
    NationalIdIndex,
    /// Sealing signing keys.
    SigningKeySeal,
    /// Digests of refresh tokens, and the check value in them.
    RefreshToken,
    /// Deriving a refresh token's successor.
    RefreshSuccessor,
    /// Sealing device tokens.
    DeviceToken,
    /// Digests of login names inside device tokens.
    DeviceLoginName,
    /// Digests of tickets for changing a password.
    ChangeTicket,
    /// Sealing page tokens.
    PageToken,
    /// Sealing what a person typed to ask for a reset link.
    ResetRequestSeal,
    /// Digests of the tokens in reset links.
    ResetToken,
    /// Digests of the addresses that reset links were sent to, and of recipients with a budget.
    MessageAddress,
    /// Sealing what belongs to a login with an eID that is under way: nonces, order references, QR secrets, results.
    EidAttemptSeal,
    /// Digests of states, binding secrets and return nonces.
    EidAttemptToken,
    /// Sealing signatures that are kept as evidence.
    EvidenceSeal,
    /// Deriving the tokens in links to choose a password, and their digests.
    ActivationToken,
    /// Digests of requests of staff, for repeated request ids.
    StaffRequest,
    /// Sealing what a merge moved, so that it can be moved back.
    MergeSeal,
    /// Keys of the rate limiter.
    LimiterKey,
    /// Signing the ends of the chains of the audit log.
    AuditHead,
}

/// Something sealed, and with which master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
    /// The id of the master key.
    pub key_id: String,
}

/// A signature, and with which master key it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Ed25519 (RFC 8032), 64 bytes.
    pub bytes: Vec<u8>,
    /// The id of the master key.
    pub key_id: String,
}

/// What a look at a signature found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// We signed exactly this.
    Genuine,
    /// We did not.
    Forged,
    /// Nobody can say: its master key is not configured.
    KeyGone,
}

/// Authenticated encryption, keyed digests and signatures.
pub trait KeyVault: Send + Sync {
    /// Seals with the active key. `context` (organization, table, row, column) must be given again to open.
    fn seal(&self, purpose: Purpose, context: &[&[u8]], plaintext: &[u8]) -> Sealed;

    /// Opens what was sealed with a key that is still configured; `None` if anything differs.
    fn open(&self, purpose: Purpose, context: &[&[u8]], sealed: &Sealed) -> Option<Secret<Vec<u8>>>;

    /// HMAC-SHA-256 over the length-prefixed parts, with the active key.
    fn digest(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32];

    /// The same with every configured key, the active one first: for look-ups while keys are rotated.
    fn digests(&self, purpose: Purpose, parts: &[&[u8]]) -> Vec<[u8; 32]>;

    /// Signs with the active key.
    fn sign(&self, purpose: Purpose, statement: &[u8]) -> Signature;

    /// Whether it was signed with a key that is still configured.
    fn verify(&self, purpose: Purpose, statement: &[u8], signature: &Signature) -> Signed;

    /// The ids of all configured master keys, the active one first.
    fn key_ids(&self) -> &[String];

    /// The id of the active master key.
    fn active_key_id(&self) -> &str;
}
