//! The end user's address behind trusted proxies: `X-Forwarded-For`, read from the right.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Entries that are read at most, from the right. A longer chain of our own proxies does not exist.
const MAX_HOPS: usize = 32;

/// The networks of proxies whose `X-Forwarded-For` is believed. `Forwarded` (RFC 7239), `X-Real-IP` and their kin are
/// never read: one header, one truth.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Those of the configuration.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether this address is a proxy of ours. IPv4-mapped addresses are the IPv4 address that they carry.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The first address from the right that is no proxy of ours: what is left of it, anybody may have written.
    /// An untrusted peer is itself the answer, whatever it sends. A trusted one that sends nothing readable hides
    /// somebody: then nobody's address is known, and the proxy's own is not taken for everybody's.
    /// If all are ours, the call began at the leftmost.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return Some(peer);
        }
        let mut nearest = None;
        let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let entries = values.iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for (hop, entry) in entries.enumerate() {
            let address = (hop < MAX_HOPS).then(|| parse(entry)).flatten()?;
            nearest = Some(address);
            if !self.contains(address) {
                break;
            }
        }
        nearest
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(bare) = bare {
        return bare.parse().ok().filter(IpAddr::is_ipv6);
    }
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    Some(address.ok()?.to_canonical())
}
