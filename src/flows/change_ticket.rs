//! The token that lets a guardian change a password which was right but must be changed first.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::secret::Secret;
use crate::ports::entropy::{Entropy, random_bytes};

/// 10 minutes: long enough to think of a new password, short enough to be worthless when found.
pub const TICKET_LIFETIME: Duration = Duration::from_mins(10);

/// Marks change tokens.
const PREFIX: &str = "gct_";

/// A new token of 256 random bits.
pub fn new_token(entropy: &dyn Entropy) -> Secret<String> {
    Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>(entropy))))
}

/// Whether a text has the form of one; anything else is refused before the store is asked.
pub fn is_well_formed(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| URL_SAFE_NO_PAD.decode(rest).is_ok_and(|bytes| bytes.len() == 32))
}
