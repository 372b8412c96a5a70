//! File descriptors: what is kept for the store and for calls to others, and how many connections are left for portals.
//!
//! A connection that was accepted and then leaves no descriptor for the database is worth nothing. So connections are
//! capped at what the limit of the process leaves beside everything else.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::parts;
use crate::adapters::store::SQLITE_CONNECTIONS;
use crate::config::{Config, LimitsBackend, Mail, RedisServers, StoreBackend};
use crate::telemetry;

/// Standard streams, the runtime, both listeners, files that are read again, look-ups of names; with room to spare, also
/// for the eIDs that a changed configuration adds.
const OWN: u64 = 64;
/// An SQLite connection has the database, its log and the log's index open, and a journal at times.
const PER_SQLITE_CONNECTION: u64 = 4;
/// The limiter's connections to a server of Redis and to Sentinels, old ones beside new ones.
const REDIS: u64 = 8;
/// A cluster is taken to have this many primaries, unless more nodes are configured.
const REDIS_PRIMARIES: u64 = 8;
/// Nodes of a cluster that are asked for its slots, beside the connections to its primaries.
const REDIS_ASKED: u64 = 3;
/// To a provider or to BankID: what waits at a time, unless it is away.
const PER_EID: u64 = 4;
/// To the SMS gateway.
const SMS: u64 = 8;
/// To the collector of spans, an old one beside a new one.
const TRACES: u64 = 2;
/// What belongs to a configuration is there twice while another one takes its place.
const GENERATIONS: u64 = 2;
/// Connections of the ops port: probes and scrapers are few.
pub(super) const OPS_CONNECTIONS: usize = 64;
/// With fewer places for connections there is no point in starting.
const FEWEST_CONNECTIONS: u64 = 16;

/// How many connections the gRPC port takes: `listen.max_connections`, or what the limit of open files leaves. Raises
/// the soft limit as far as it is needed and allowed.
///
/// # Errors
/// If it leaves too few to start.
pub(super) fn connections(config: &Config) -> anyhow::Result<usize> {
    let wanted = u64::try_from(config.listen.max_connections)?;
    let kept = kept(config) + u64::try_from(OPS_CONNECTIONS)?;
    let limit = raised(kept + wanted);
    let left = limit.map_or(wanted, |limit| limit.saturating_sub(kept));
    if left < wanted.min(FEWEST_CONNECTIONS) {
        bail!(
            "the limit of open files is {}, and {kept} are kept for the store, for calls to others and for probes: \
             raise it to {} (ulimit -n, LimitNOFILE)",
            limit.unwrap_or_default(),
            kept + wanted
        );
    }
    if left < wanted {
        tracing::warn!(
            target: telemetry::CONNECTION,
            connections = left,
            wanted = kept + wanted,
            "the limit of open files leaves room for fewer connections than listen.max_connections"
        );
    }
    Ok(usize::try_from(left.min(wanted))?)
}

/// The soft limit, raised to what is needed if it may be. `None`: there is none.
fn raised(needed: u64) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current?;
    if current >= needed {
        return Some(current);
    }
    let raised = maximum.map_or(needed, |maximum| needed.min(maximum));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => Some(raised),
        Err(_) => Some(current),
    }
}

/// Descriptors that are not for connections of portals.
fn kept(config: &Config) -> u64 {
    let store = match &config.store.backend {
        StoreBackend::Sqlite { .. } => u64::from(SQLITE_CONNECTIONS) * PER_SQLITE_CONNECTION,
        StoreBackend::Postgres { max_connections, .. } => {
            // A connection that is given up is closed beside the one that takes its place.
            2 * u64::from(max_connections + parts::WORKER_CONNECTIONS)
        }
    };
    let redis = match &config.limits.backend {
        LimitsBackend::Memory => 0,
        LimitsBackend::Redis(redis) => to_redis(&redis.servers),
    };
    let mail = match &config.mail {
        Some(Mail::Smtp(smtp)) => smtp.connections as u64,
        Some(Mail::Folder { .. }) => 1,
        None => 0,
    };
    let sms = if config.sms.is_some() { SMS } else { 0 };
    let eids = (config.bankid.len() + config.oidc.len()) as u64 * PER_EID;
    let traces = if config.traces.is_some() { TRACES } else { 0 };
    OWN + store + redis + traces + GENERATIONS * (mail + sms + eids)
}

fn to_redis(servers: &RedisServers) -> u64 {
    match servers {
        RedisServers::Standalone { .. } | RedisServers::Sentinel { .. } => REDIS,
        RedisServers::Cluster { nodes, .. } => {
            GENERATIONS * REDIS_PRIMARIES.max(nodes.len() as u64) + REDIS_ASKED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HostPort, RedisLogin};

    #[test]
    fn a_cluster_has_a_descriptor_for_each_of_its_primaries_while_another_configuration_takes_over() {
        let cluster = |seeds: u16| {
            let node = |port| HostPort { host: "redis".to_owned(), port };
            let login = RedisLogin { username: None, password: None };
            to_redis(&RedisServers::Cluster { nodes: (1..=seeds).map(node).collect(), login })
        };
        assert!(cluster(1) >= 2 * 8);
        assert!(cluster(50) >= 2 * 50);
    }

    #[test]
    fn a_limit_that_is_high_enough_is_left_alone() {
        let Rlimit { current, .. } = getrlimit(Resource::Nofile);
        assert_eq!(raised(1), current);
    }
}
