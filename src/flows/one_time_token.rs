//! Tokens that are good once: 256 random bits behind a prefix that says what for. The store sees their digests.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::secret::Secret;
use crate::ports::entropy::{Entropy, random_bytes};

/// A change ticket: long enough to think of a new password, short enough to be worthless when found.
pub const TICKET_LIFETIME: Duration = Duration::from_mins(10);

/// Bytes of randomness in a token.
const RANDOM_BYTES: usize = 32;

/// What a token is for, shown in front of it. Digests are keyed by purpose as well: a token of one kind is none of
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenKind(&'static str);

impl TokenKind {
    /// Lets a guardian change a password that was right but must be changed first.
    pub const CHANGE_TICKET: Self = Self("gct_");
    /// In the link that sets a new password.
    pub const RESET: Self = Self("grt_");
    /// In the link that staff issued, to choose a first password with.
    pub const ACTIVATION: Self = Self("gak_");
    /// Binds a login with an eID to the browser that began it.
    pub const BINDING: Self = Self("gbs_");
    /// The `state` of a login at an `OpenID` provider.
    pub const STATE: Self = Self("gos_");
    /// The `nonce` of a login at an `OpenID` provider.
    pub const NONCE: Self = Self("gon_");
    /// The PKCE code verifier of a login at an `OpenID` provider: 47 characters of the 43 to 128 that RFC 7636 asks for.
    pub const CODE_VERIFIER: Self = Self("gov_");
    /// What BankID's app brings back to the browser at the same device.
    pub const RETURN_NONCE: Self = Self("gbn_");

    /// A new token.
    pub fn new_token(self, entropy: &dyn Entropy) -> Secret<String> {
        let random = random_bytes::<RANDOM_BYTES>(entropy);
        Secret::new(format!("{}{}", self.0, URL_SAFE_NO_PAD.encode(random)))
    }

    /// A token from bytes that were derived: the same bytes give the same token.
    pub fn derived_token(self, bytes: [u8; RANDOM_BYTES]) -> Secret<String> {
        Secret::new(format!("{}{}", self.0, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Whether a text has the form of such a token; anything else is refused before the store is asked.
    pub fn is_well_formed(self, text: &str) -> bool {
        text.strip_prefix(self.0)
            .is_some_and(|rest| URL_SAFE_NO_PAD.decode(rest).is_ok_and(|bytes| bytes.len() == RANDOM_BYTES))
    }
}
