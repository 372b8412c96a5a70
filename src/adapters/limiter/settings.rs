//! What the limiter needs to know of Redis: where it is, who we are there, and how long it may take.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::secret::Secret;
use crate::ports::clock::Clock;

/// A decision takes no longer than this, or is made from local counters.
pub const DECISION_BUDGET: Duration = Duration::from_millis(50);

/// A server by name or address, and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedisNode {
    /// Name or IP address; one of version 6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl RedisNode {
    /// From `host:port`, as Redis writes it: an address of version 6 has no brackets there. A host may be empty:
    /// then it is that of the server which wrote it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// With this server's host where it has none.
    pub(super) fn on_host_of(mut self, other: &Self) -> Self {
        if self.host.is_empty() {
            self.host.clone_from(&other.host);
        }
        self
    }
}

impl fmt::Display for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Who we are at a server. Without a password nothing is said; without a user, it is `default`.
#[derive(Default)]
pub struct RedisLogin {
    /// The ACL user.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
}

/// How the Redis of an installation is found.
pub enum RedisTopology {
    /// One server, or a name that leads to the primary.
    Standalone {
        /// `redis://user:password@host:port/0`, or `rediss://…` for TLS.
        url: Secret<String>,
    },
    /// A primary and replicas, watched by Sentinels that say which is which.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<RedisNode>,
        /// The name by which they know the primary.
        master_name: String,
        /// Who we are at the Sentinels.
        sentinel_login: RedisLogin,
        /// Who we are at the primary.
        login: RedisLogin,
    },
    /// Redis Cluster: each organization's counters are in one slot, on one primary.
    Cluster {
        /// Some of its nodes; they tell of the others.
        seeds: Vec<RedisNode>,
        /// Who we are at each node.
        login: RedisLogin,
    },
}

/// TLS to all servers, Sentinels too. The files are read anew for each connection, so that a renewed certificate is
/// taken without a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The only authorities of their certificates, PEM; `None`: the public authorities (Mozilla's list).
    pub ca_file: Option<PathBuf>,
    /// Our own certificate with its chain, and its key, PEM; `None`: we show none.
    pub identity: Option<RedisIdentity>,
}

/// Our own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisIdentity {
    /// The certificate with its chain, PEM.
    pub certificate_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
}

/// Whose clock counts.
pub enum RedisTime {
    /// The clock of Redis: all replicas see the same time. In a cluster, each organization goes by one node's.
    Server,
    /// A clock of the caller, for tests.
    Clock(Arc<dyn Clock>),
}

/// What the limiter needs to know of Redis.
pub struct RedisSettings {
    /// Where it is.
    pub topology: RedisTopology,
    /// TLS; `None`: in clear. For [`RedisTopology::Standalone`] the scheme of the URL decides whether there is TLS, and
    /// this names the certificates.
    pub tls: Option<RedisTls>,
    /// Time for one decision, reconnecting included; [`DECISION_BUDGET`].
    pub budget: Duration,
    /// Whose clock counts; [`RedisTime::Server`].
    pub time: RedisTime,
}

impl RedisSettings {
    /// The defaults for this topology.
    pub const fn new(topology: RedisTopology) -> Self {
        Self { topology, tls: None, budget: DECISION_BUDGET, time: RedisTime::Server }
    }
}

/// The way to Redis cannot be used. The text is without credentials.
#[derive(Debug, thiserror::Error)]
#[error("Redis cannot be used as configured: {0}")]
pub struct InvalidRedisSettings(pub(super) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_redis_writes_them() {
        for (text, host, port, shown) in [
            ("10.0.0.1:6379", "10.0.0.1", 6379, "10.0.0.1:6379"),
            ("redis-0.redis:6379", "redis-0.redis", 6379, "redis-0.redis:6379"),
            ("2001:db8::7:6380", "2001:db8::7", 6380, "[2001:db8::7]:6380"),
            ("[2001:db8::7]:6380", "2001:db8::7", 6380, "[2001:db8::7]:6380"),
        ] {
            let node = RedisNode::parse(text).unwrap();
            assert_eq!((node.host.as_str(), node.port), (host, port));
            assert_eq!(node.to_string(), shown);
        }
        let other = RedisNode { host: "here".to_owned(), port: 1 };
        assert_eq!(RedisNode::parse(":6380").unwrap().on_host_of(&other).to_string(), "here:6380");
        assert_eq!(RedisNode::parse("10.0.0.1"), None);
        assert_eq!(RedisNode::parse("10.0.0.1:x"), None);
    }
}
