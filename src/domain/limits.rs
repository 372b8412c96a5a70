//! Rate limits of the login gate: which buckets an attempt is charged to, and how large they are.

use std::time::Duration;

use super::client::Network;
use super::id::{DeviceId, GuardianId};
use super::identifier::LoginName;
use super::organization::OrganizationId;

/// A bucket's size in the terms of GCRA: `burst` at once, then one more each `refill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Attempts that a full bucket admits at once; at least 1.
    pub burst: u32,
    /// Time after which one more attempt is admitted; at least 1 ms.
    pub refill: Duration,
}

impl Quota {
    /// A quota of `burst` and then one per `refill`.
    pub const fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill }
    }
}

/// The limits of one organization. Only failures stay charged: the reservation of a right password is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitPolicy {
    /// All failures from unknown devices in the organization: the breaker against stuffing.
    pub organization: Quota,
    /// All failures from one network. A school is one address, so it must hold the typos of a morning.
    pub network: Quota,
    /// Failures on one login name from unknown devices, first span.
    pub account: Quota,
    /// Failures on one login name from unknown devices, long span: makes 100 take more than 12 h from any number of networks.
    pub account_long: Quota,
    /// Failures on one login name from one network.
    pub account_network: Quota,
    /// Failures on one login name from one known device.
    pub device: Quota,
    /// Requests for reset links in the organization.
    pub reset_organization: Quota,
    /// Requests for reset links from one network: 60 in an hour at most (B19).
    pub reset_network: Quota,
    /// Logins with an eID that are begun in the organization: each one asks somebody else.
    pub eid_organization: Quota,
    /// Logins with an eID that are begun from one network, and apart from them wrong secrets of such logins. A school is one
    /// address, so it must hold a parents' evening.
    pub eid_network: Quota,
}

impl Default for LimitPolicy {
    /// Reasons: `docs/decisions/` on limits; B01, B02, B05, B09 of the bar are measured against these.
    fn default() -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_mins(1);
        Self {
            organization: Quota::new(600, SECOND),
            network: Quota::new(60, Duration::from_secs(10)),
            account: Quota::new(10, MINUTE),
            account_long: Quota::new(30, Duration::from_mins(15)),
            account_network: Quota::new(5, Duration::from_mins(2)),
            device: Quota::new(10, MINUTE),
            reset_organization: Quota::new(200, Duration::from_millis(300)),
            reset_network: Quota::new(30, Duration::from_mins(2)),
            eid_organization: Quota::new(3000, Duration::from_millis(20)),
            eid_network: Quota::new(200, Duration::from_millis(500)),
        }
    }
}

/// What a bucket counts. The limiter key is an HMAC of organization and scope, so no personal data leaves the process.
/// The login name is the canonical type that look-up uses too: one spelling, one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Failures of an organization.
    Organization,
    /// Failures of a network.
    Network(Network),
    /// Failures on a login name, whether or not it exists.
    Account(LoginName),
    /// The same over a longer span.
    AccountLong(LoginName),
    /// Failures on a login name from a network.
    AccountNetwork(LoginName, Network),
    /// The same where the network is not known, through a caller by name: shared with nobody else's unknown.
    AccountUnknownNetwork(LoginName, String),
    /// Failures on a login name from a known device.
    Device(LoginName, DeviceId),
    /// Failures of a guardian who holds a session or a change ticket: changing a password has a budget of its own.
    Guardian(GuardianId),
    /// The same over a longer span.
    GuardianLong(GuardianId),
    /// Requests for reset links in an organization.
    ResetOrganization,
    /// Requests for reset links from a network.
    ResetNetwork(Network),
    /// Logins with an eID that are begun in an organization.
    EidOrganization,
    /// Logins with an eID that are begun from a network.
    EidNetwork(Network),
    /// Wrong secrets of logins with an eID from a network: nobody guesses them, and a school that comes back all at once
    /// after a restart is one address.
    EidSecretNetwork(Network),
    /// Wrong tokens of reset links from a network: who mistypes passwords there does not make links void.
    TokenNetwork(Network),
}

/// One bucket of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What is counted.
    pub scope: Scope,
    /// How much of it is allowed.
    pub quota: Quota,
}

/// Everything that one attempt is charged to, all or nothing: a denied attempt charges no bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The organization; all its keys live in one Redis hash slot.
    pub organization: OrganizationId,
    /// The buckets, widest first.
    pub charges: Vec<Charge>,
}

/// Where an attempt comes from: the failure counters and the limits are kept per lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// No device token, an unreadable one, or another account's.
    UnknownDevice,
    /// A device that logged in to this account before.
    KnownDevice(DeviceId),
}

/// The buckets of a password check.
pub fn password_reservation(
    policy: &LimitPolicy,
    organization: &OrganizationId,
    login_name: &LoginName,
    network: Network,
    caller: &str,
    lane: &Lane,
) -> Reservation {
    let mut charges = Vec::with_capacity(5);
    if *lane == Lane::UnknownDevice {
        charges.push(Charge { scope: Scope::Organization, quota: policy.organization });
    }
    charges.extend(network_charge(network, Scope::Network, policy.network));
    match lane {
        Lane::UnknownDevice => {
            let name = || login_name.clone();
            let pair = match network {
                Network::Unknown => Scope::AccountUnknownNetwork(name(), caller.to_owned()),
                Network::V4(_) | Network::V6(_) => Scope::AccountNetwork(name(), network),
            };
            charges.push(Charge { scope: Scope::Account(name()), quota: policy.account });
            charges.push(Charge { scope: Scope::AccountLong(name()), quota: policy.account_long });
            charges.push(Charge { scope: pair, quota: policy.account_network });
        }
        Lane::KnownDevice(device) => {
            let scope = Scope::Device(login_name.clone(), device.clone());
            charges.push(Charge { scope, quota: policy.device });
        }
    }
    Reservation { organization: organization.clone(), charges }
}

/// The buckets of a change of password by somebody who holds a session or a change ticket.
pub fn change_reservation(
    policy: &LimitPolicy,
    organization: &OrganizationId,
    guardian: &GuardianId,
    network: Network,
) -> Reservation {
    let mut charges: Vec<Charge> =
        network_charge(network, Scope::Network, policy.network).into_iter().collect();
    charges.push(Charge { scope: Scope::Guardian(guardian.clone()), quota: policy.account });
    charges.push(Charge { scope: Scope::GuardianLong(guardian.clone()), quota: policy.account_long });
    Reservation { organization: organization.clone(), charges }
}

/// The buckets of a request for a reset link. Not of its account: the call looks up none. Nothing is given back.
pub fn reset_reservation(
    policy: &LimitPolicy,
    organization: &OrganizationId,
    network: Network,
) -> Reservation {
    let mut charges = vec![Charge { scope: Scope::ResetOrganization, quota: policy.reset_organization }];
    charges.extend(network_charge(network, Scope::ResetNetwork, policy.reset_network));
    Reservation { organization: organization.clone(), charges }
}

/// The buckets of a login with an eID that is begun. Nothing is given back: somebody else was asked.
pub fn eid_reservation(policy: &LimitPolicy, organization: &OrganizationId, network: Network) -> Reservation {
    let mut charges = vec![Charge { scope: Scope::EidOrganization, quota: policy.eid_organization }];
    charges.extend(network_charge(network, Scope::EidNetwork, policy.eid_network));
    Reservation { organization: organization.clone(), charges }
}

/// The buckets of an attempt to show the secret of a login with an eID: a wrong one is a failure of its network.
pub fn eid_secret_reservation(
    policy: &LimitPolicy,
    organization: &OrganizationId,
    network: Network,
) -> Reservation {
    let charges = network_charge(network, Scope::EidSecretNetwork, policy.eid_network).into_iter().collect();
    Reservation { organization: organization.clone(), charges }
}

/// The buckets of an attempt to show the token of a reset link: a wrong one is a failure of its network.
pub fn token_reservation(
    policy: &LimitPolicy,
    organization: &OrganizationId,
    network: Network,
) -> Reservation {
    let charges = network_charge(network, Scope::TokenNetwork, policy.network).into_iter().collect();
    Reservation { organization: organization.clone(), charges }
}

/// None where the network is not known: one bucket for everybody's unknown would let one attacker refuse them all.
fn network_charge(network: Network, scope: fn(Network) -> Scope, quota: Quota) -> Option<Charge> {
    match network {
        Network::Unknown => None,
        Network::V4(_) | Network::V6(_) => Some(Charge { scope: scope(network), quota }),
    }
}
