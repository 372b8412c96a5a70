//! Page tokens: where the next page of a list begins, sealed, so that callers neither read nor make one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ports::key_vault::{KeyVault, Purpose, Sealed};

/// Seals a position. `context` is what the list depends on (its name, whose it is, its filter): in another list the token
/// is none.
pub fn seal(vault: &dyn KeyVault, context: &[&[u8]], position: &str) -> String {
    let sealed = vault.seal(Purpose::PageToken, context, position.as_bytes());
    format!("{}.{}", sealed.key_id, URL_SAFE_NO_PAD.encode(sealed.bytes))
}

/// The position in a token of the same list; `None` for anything else.
pub fn open(vault: &dyn KeyVault, context: &[&[u8]], token: &str) -> Option<String> {
    let (key_id, bytes) = token.rsplit_once('.')?;
    let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(bytes).ok()? };
    let opened = vault.open(Purpose::PageToken, context, &sealed)?;
    String::from_utf8(opened.expose().clone()).ok()
}
