//! `keys`: the master keys, from which every other key is derived.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::organization::OrganizationId;
use crate::domain::secret::Secret;

use super::form::{Form, Parsed, SecretFile};
use super::reader::{Reader, Spot};

/// Keys that no database holds.
#[derive(Debug)]
pub struct Keys {
    /// At least one, ids unique. The first one seals; all of them open.
    pub master: Vec<MasterKey>,
}

/// A key from which one key a purpose is derived.
#[derive(Debug)]
pub struct MasterKey {
    /// Its name, kept beside everything that it sealed: `[a-z0-9-]`, 1–40 characters.
    pub id: String,
    /// 256 random bits.
    pub key: Secret<[u8; 32]>,
}

impl Keys {
    /// Whether the keys that seal are the same: what is derived from the first one stays.
    pub fn has_same_first(&self, other: &Self) -> bool {
        match (self.master.first(), other.master.first()) {
            (Some(one), Some(another)) => one.is_same_as(another),
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// Whether all keys are the same, in the same order.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.master.len() == other.master.len()
            && self.master.iter().zip(&other.master).all(|(one, another)| one.is_same_as(another))
    }
}

impl MasterKey {
    fn is_same_as(&self, other: &Self) -> bool {
        self.id == other.id && self.key.expose() == other.key.expose()
    }
}

const KEY_ID: Parsed<String> = Parsed {
    form: "a name of a-z, 0-9 and -, 1 to 40 characters",
    parse: |text| OrganizationId::parse(text).map(|id| id.as_str().to_owned()),
};

/// A file with 32 random bytes in base64.
struct KeyFile;

impl Form for KeyFile {
    type Value = Secret<[u8; 32]>;

    fn describe(&self) -> String {
        "the path of a file with 32 random bytes in base64".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<Secret<[u8; 32]>> {
        let text = SecretFile.read(spot)?;
        let decoded = Secret::new(STANDARD.decode(text.expose()).unwrap_or_default());
        let Ok(key) = <[u8; 32]>::try_from(decoded.expose().as_slice()).map(Secret::new) else {
            return spot
                .wrong("does not name a file with 32 bytes in base64", "make one: openssl rand -base64 32");
        };
        if key.expose().iter().all(|byte| *byte == key.expose()[0]) {
            return spot.wrong("names a file whose key is not random", "make one: openssl rand -base64 32");
        }
        Some(key)
    }
}

pub(super) fn read(keys: &mut Reader<'_>) -> Option<Keys> {
    let mut master: Vec<MasterKey> = Vec::new();
    keys.list("master", "master keys; the first one seals, all of them open what they sealed", |entry| {
        let id = entry.required("id", "its name, kept beside everything that it sealed", &KEY_ID);
        let key = entry.required("file", "the key", &KeyFile);
        let (Some(id), Some(key)) = (id, key) else { return };
        if master.iter().any(|other| other.id == id) {
            entry.fault("id", "is that of an earlier key", "give each key a name of its own");
        }
        if master.iter().any(|other| other.key.expose() == key.expose()) {
            entry.fault("file", "holds the same key as an earlier one", "a new id needs a new key");
        }
        master.push(MasterKey { id, key });
    });
    (!master.is_empty()).then_some(Keys { master })
}
