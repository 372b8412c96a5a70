//! The end user's side of a call: address, user agent, device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of an end user as a limit sees it: one IPv4 address, or one IPv6 /64
/// (a household or a school has a whole /64; single addresses in it cost nothing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
    /// No address was given by a caller that may assert one. Not a bucket shared with anybody else's unknown:
    /// the limiter keys it by caller.
    Unknown,
}

impl Network {
    /// The network of an address. IPv4-mapped (`::ffff:0:0/96`) and NAT64 (`64:ff9b::/96`, RFC 6052) addresses
    /// are the IPv4 address that they carry.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let octets = address.octets();
        let carried = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
        let nat64 = [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
        if address.to_ipv4_mapped().is_some() || octets[..12] == nat64 {
            return Self::V4(carried);
        }
        let mut prefix = [0_u8; 8];
        prefix.copy_from_slice(&octets[..8]);
        Self::V6(prefix)
    }
}

/// What we are told of the end user; believed only from callers that may assert it.
#[derive(Debug)]
pub struct ClientContext {
    /// The address; `None` if the caller did not or may not say.
    pub address: Option<IpAddr>,
    /// The user agent, control characters removed, cut at 256 characters. Empty if unknown.
    pub user_agent: String,
    /// The device token from an earlier login, as given.
    pub device_token: Option<super::secret::Secret<String>>,
}

impl ClientContext {
    /// The network that limits see.
    pub fn network(&self) -> Network {
        self.address.map_or(Network::Unknown, Network::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn mapped_and_nat64_addresses_are_their_ipv4_address() {
        for text in ["192.0.2.7", "::ffff:192.0.2.7", "64:ff9b::192.0.2.7"] {
            assert_eq!(network(text), Network::V4(Ipv4Addr::new(192, 0, 2, 7)), "{text}");
        }
    }

    #[test]
    fn all_hosts_of_a_64_are_one_network() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
