//! Where a list goes on: sealed, so that nobody reads or makes one, and bound to the list that it is of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ports::key_vault::{KeyVault, Purpose, Sealed};

/// Makes a token of where the next page begins. `list` says which list, of whom, and what was asked for.
pub fn seal(vault: &dyn KeyVault, list: &[&[u8]], place: &str) -> String {
    let sealed = vault.seal(Purpose::PageToken, list, place.as_bytes());
    format!("{}.{}", sealed.key_id, URL_SAFE_NO_PAD.encode(sealed.bytes))
}

/// Reads it back; `None` if it is none of this list.
pub fn open(vault: &dyn KeyVault, list: &[&[u8]], token: &str) -> Option<String> {
    let (key_id, bytes) = token.rsplit_once('.')?;
    let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(bytes).ok()? };
    let opened = vault.open(Purpose::PageToken, list, &sealed)?;
    std::str::from_utf8(opened.expose()).ok().map(str::to_owned)
}
