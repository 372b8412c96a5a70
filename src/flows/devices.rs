//! Device tokens: which lane an attempt comes in.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::device::{DeviceGrant, LoginNameDigest};
use crate::domain::id::DeviceId;
use crate::domain::identifier::LoginName;
use crate::domain::limits::Lane;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::key_vault::{KeyVault, Purpose, Sealed};

/// Marks device tokens.
const PREFIX: &str = "gdt_";
const DEVICE_ID_BYTES: usize = 26;
const DIGEST_BYTES: usize = 16;

/// Seals and opens device tokens. Nothing of them is stored: a token is checked by key alone.
#[derive(Clone)]
pub struct Devices {
    vault: Arc<dyn KeyVault>,
    entropy: Arc<dyn Entropy>,
}

impl Devices {
    /// Over the key vault and a random source.
    pub fn new(vault: Arc<dyn KeyVault>, entropy: Arc<dyn Entropy>) -> Self {
        Self { vault, entropy }
    }

    /// The lane of an attempt. A token that cannot be read, is too old, or is of another organization or account is
    /// the unknown lane.
    pub fn lane(
        &self,
        token: Option<&Secret<String>>,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
        now: Timestamp,
    ) -> Lane {
        let Some(grant) = token.and_then(|token| self.open(token.expose(), organization)) else {
            return Lane::UnknownDevice;
        };
        let covered = self
            .digests(organization, portal, login_name)
            .into_iter()
            .any(|digest| grant.covers(organization, digest, now));
        if covered { Lane::KnownDevice(grant.device) } else { Lane::UnknownDevice }
    }

    /// A token for a device that just logged in: the same device stays the same lane.
    pub fn issue(
        &self,
        lane: &Lane,
        organization: &OrganizationId,
        portal: Portal,
        login_names: &[LoginName],
        now: Timestamp,
    ) -> Secret<String> {
        let device = match lane {
            Lane::KnownDevice(device) => device.clone(),
            Lane::UnknownDevice => DeviceId::new(now, random_bytes(self.entropy.as_ref())),
        };
        let mut bytes = now.as_millis().to_be_bytes().to_vec();
        bytes.extend_from_slice(device.as_str().as_bytes());
        for name in login_names {
            bytes.extend_from_slice(&self.digest(organization, portal, name).0);
        }
        let sealed = self.vault.seal(Purpose::DeviceToken, &[organization.as_str().as_bytes()], &bytes);
        Secret::new(format!("{PREFIX}{}.{}", sealed.key_id, URL_SAFE_NO_PAD.encode(sealed.bytes)))
    }

    fn open(&self, token: &str, organization: &OrganizationId) -> Option<DeviceGrant> {
        let (key_id, bytes) = token.strip_prefix(PREFIX)?.rsplit_once('.')?;
        let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(bytes).ok()? };
        let opened = self.vault.open(Purpose::DeviceToken, &[organization.as_str().as_bytes()], &sealed)?;
        let (issued, rest) = opened.expose().split_first_chunk::<8>()?;
        let (device, digests) = rest.split_at_checked(DEVICE_ID_BYTES)?;
        let login_names = digests
            .chunks_exact(DIGEST_BYTES)
            .filter_map(|chunk| Some(LoginNameDigest(chunk.try_into().ok()?)))
            .collect();
        Some(DeviceGrant {
            organization: organization.clone(),
            login_names,
            device: DeviceId::parse(std::str::from_utf8(device).ok()?)?,
            issued: Timestamp::from_millis(i64::from_be_bytes(*issued)),
        })
    }

    fn digest(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
    ) -> LoginNameDigest {
        short(&self.vault.digest(Purpose::DeviceLoginName, &parts(organization, portal, login_name)))
    }

    fn digests(
        &self,
        organization: &OrganizationId,
        portal: Portal,
        login_name: &LoginName,
    ) -> Vec<LoginNameDigest> {
        let parts = parts(organization, portal, login_name);
        self.vault.digests(Purpose::DeviceLoginName, &parts).iter().map(short).collect()
    }
}

/// The portal too: the same name may be somebody else's at the sibling portal.
fn parts<'a>(organization: &'a OrganizationId, portal: Portal, login_name: &'a LoginName) -> [&'a [u8]; 3] {
    [organization.as_str().as_bytes(), portal.as_str().as_bytes(), login_name.as_str().as_bytes()]
}

fn short(digest: &[u8; 32]) -> LoginNameDigest {
    let mut out = [0_u8; DIGEST_BYTES];
    out.copy_from_slice(&digest[..DIGEST_BYTES]);
    LoginNameDigest(out)
}
