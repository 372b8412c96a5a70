//! The device token's content: which device logged in to which login names before.

use std::time::Duration;

use super::id::DeviceId;
use super::organization::OrganizationId;
use super::time::Timestamp;

/// A device stays known for 180 days after its last login with a password.
pub const DEVICE_TOKEN_LIFETIME: Duration = Duration::from_hours(180 * 24);

/// A keyed digest of organization, portal and login name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginNameDigest(pub [u8; 16]);

/// What a device token says once it is opened. Stateless: nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGrant {
    /// Valid in this organization only.
    pub organization: OrganizationId,
    /// Valid for these login names of one account only.
    pub login_names: Vec<LoginNameDigest>,
    /// The device; its lane in limits.
    pub device: DeviceId,
    /// When it was issued.
    pub issued: Timestamp,
}

impl DeviceGrant {
    /// Whether this grant puts an attempt into the known-device lane.
    pub fn covers(&self, organization: &OrganizationId, login_name: LoginNameDigest, now: Timestamp) -> bool {
        self.organization == *organization
            && self.login_names.contains(&login_name)
            && now < self.issued.plus(DEVICE_TOKEN_LIFETIME)
    }
}
