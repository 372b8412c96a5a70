//! Turns what a bucket counts into its key: a keyed digest, so that no personal data leaves the process.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::client::Network;
use crate::domain::limits::{Quota, Reservation, Scope};
use crate::domain::organization::OrganizationId;

/// The key of the digests. All replicas of an installation have the same; another one starts all counters anew.
pub struct LimiterKey([u8; 32]);

impl LimiterKey {
    /// From 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for LimiterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimiterKey(…)")
    }
}

impl Drop for LimiterKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Makes the keys of buckets.
#[derive(Clone)]
pub struct BucketKeys(hmac::Key);

impl fmt::Debug for BucketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BucketKeys(…)")
    }
}

/// HMAC-SHA-256 of organization and scope, cut to 16 bytes: at 2^32 buckets a collision has odds of 2^-65.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BucketKey([u8; 16]);

/// One bucket of a reservation, by its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) key: BucketKey,
    pub(super) quota: Quota,
}

/// The buckets of a reservation, by their keys.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    pub(super) organization: OrganizationId,
    pub(super) list: Vec<Bucket>,
}

impl BucketKeys {
    /// Keys under this secret.
    #[expect(clippy::needless_pass_by_value, reason = "the secret is wiped when the keys are made")]
    pub fn new(key: LimiterKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key.0))
    }

    /// The buckets of a reservation.
    pub(super) fn buckets(&self, reservation: &Reservation) -> Buckets {
        let organization = &reservation.organization;
        let list = reservation
            .charges
            .iter()
            .map(|charge| Bucket { key: self.key_of(organization, &charge.scope), quota: charge.quota })
            .collect();
        Buckets { organization: organization.clone(), list }
    }

    fn key_of(&self, organization: &OrganizationId, scope: &Scope) -> BucketKey {
        let mut message = Message(hmac::Context::with_key(&self.0));
        message.field(organization.as_str().as_bytes());
        match scope {
            Scope::Organization => message.field(b"organization"),
            Scope::Network(network) => {
                message.field(b"network");
                message.network(network);
            }
            Scope::AccountUnknownNetwork(name, caller) => {
                message.field(b"account-unknown-network");
                message.field(name.as_str().as_bytes());
                message.field(caller.as_bytes());
            }
            Scope::Account(name) => {
                message.field(b"account");
                message.field(name.as_str().as_bytes());
            }
            Scope::AccountLong(name) => {
                message.field(b"account-long");
                message.field(name.as_str().as_bytes());
            }
            Scope::AccountNetwork(name, network) => {
                message.field(b"account-network");
                message.field(name.as_str().as_bytes());
                message.network(network);
            }
            Scope::Device(name, device) => {
                message.field(b"device");
                message.field(name.as_str().as_bytes());
                message.field(device.as_str().as_bytes());
            }
            Scope::Guardian(guardian) => {
                message.field(b"guardian");
                message.field(guardian.as_str().as_bytes());
            }
            Scope::GuardianLong(guardian) => {
                message.field(b"guardian-long");
                message.field(guardian.as_str().as_bytes());
            }
            Scope::ResetOrganization => message.field(b"reset-organization"),
            Scope::ResetNetwork(network) => {
                message.field(b"reset-network");
                message.network(network);
            }
            Scope::EidOrganization => message.field(b"eid-organization"),
            Scope::EidNetwork(network) => {
                message.field(b"eid-network");
                message.network(network);
            }
            Scope::EidSecretNetwork(network) => {
                message.field(b"eid-secret-network");
                message.network(network);
            }
            Scope::TokenNetwork(network) => {
                message.field(b"token-network");
                message.network(network);
            }
        }
        message.cut()
    }
}

/// Fields with their lengths before them: no two lists of fields make the same bytes.
struct Message(hmac::Context);

impl Message {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn network(&mut self, network: &Network) {
        match network {
            Network::V4(address) => self.field(&address.octets()),
            Network::V6(prefix) => self.field(prefix),
            Network::Unknown => self.field(&[]),
        }
    }

    fn cut(self) -> BucketKey {
        let tag = self.0.sign();
        let mut key = [0; 16];
        key.copy_from_slice(&tag.as_ref()[..16]);
        BucketKey(key)
    }
}

impl Buckets {
    /// The keys in Redis. The braces make all keys of an organization live in one cluster slot, so that one script
    /// reaches all buckets of a reservation, and organizations spread over the nodes.
    pub(super) fn redis_keys(&self) -> impl Iterator<Item = String> + '_ {
        let organization = self.organization.as_str();
        self.list.iter().map(move |bucket| {
            let mut key = String::with_capacity("guardian:{}:".len() + organization.len() + 22);
            key.push_str("guardian:{");
            key.push_str(organization);
            key.push_str("}:");
            URL_SAFE_NO_PAD.encode_string(bucket.key.0, &mut key);
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::domain::id::{DeviceId, GuardianId};
    use crate::domain::identifier::{LeadingZeros, LoginName};
    use crate::domain::limits::Charge;
    use crate::domain::time::Timestamp;

    fn keys_under(secret: u8, organization: &str, scopes: Vec<Scope>) -> Vec<String> {
        let quota = Quota::new(1, Duration::from_secs(1));
        let charges = scopes.into_iter().map(|scope| Charge { scope, quota }).collect();
        let organization = OrganizationId::parse(organization).unwrap();
        let keys = BucketKeys::new(LimiterKey::new([secret; 32]));
        keys.buckets(&Reservation { organization, charges }).redis_keys().collect()
    }

    fn one_of_each() -> Vec<Scope> {
        let name = LoginName::parse("anna.andersson", LeadingZeros::Keep).unwrap();
        let (v4, v6) = (Network::V4(Ipv4Addr::new(192, 0, 2, 7)), Network::V6([1; 8]));
        vec![
            Scope::Organization,
            Scope::Network(v4),
            Scope::Network(v6),
            Scope::Network(Network::Unknown),
            Scope::AccountUnknownNetwork(name.clone(), "portal".to_owned()),
            Scope::AccountUnknownNetwork(name.clone(), name.as_str().to_owned()),
            Scope::Account(name.clone()),
            Scope::AccountLong(name.clone()),
            Scope::AccountNetwork(name.clone(), v4),
            Scope::AccountNetwork(name.clone(), v6),
            Scope::AccountNetwork(name.clone(), Network::Unknown),
            Scope::Device(name, DeviceId::new(Timestamp::from_millis(1), [0; 10])),
            Scope::Guardian(GuardianId::new(Timestamp::from_millis(1), [0; 10])),
            Scope::GuardianLong(GuardianId::new(Timestamp::from_millis(1), [0; 10])),
        ]
    }

    #[test]
    fn scopes_organizations_and_secrets_do_not_share_keys() {
        let mut all = HashSet::new();
        for (secret, organization) in [(1, "solna"), (1, "kista"), (2, "solna")] {
            let digests = keys_under(secret, organization, one_of_each());
            all.extend(digests.into_iter().map(|key| key.rsplit(':').next().unwrap().to_owned()));
        }
        assert_eq!(all.len(), 3 * one_of_each().len());
    }

    #[test]
    fn a_key_in_redis_is_the_organization_and_a_digest() {
        for key in keys_under(1, "solna", one_of_each()) {
            let digest = key.strip_prefix("guardian:{solna}:").unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(digest).unwrap().len(), 16, "{key}");
        }
    }

    #[test]
    fn the_same_reservation_has_the_same_keys_in_every_replica() {
        assert_eq!(keys_under(1, "solna", one_of_each()), keys_under(1, "solna", one_of_each()));
    }
}
