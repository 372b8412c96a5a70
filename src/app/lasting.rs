//! What lasts as long as the process, whatever is configured anew: pools, counters and what they tell of themselves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aws_lc_rs::digest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Outside;
use crate::adapters::argon2::Argon2Pool;
use crate::adapters::limiter::LimiterMetrics;
use crate::adapters::store::SqlStore;
use crate::config::{self, Config, Hash, Listen, StoreBackend};
use crate::flows::audit_sealer::SealerGauges;
use crate::flows::bankid_collector::CollectorCounts;
use crate::flows::outbox::DeliveryCounts;
use crate::flows::session::ReuseCounts;
use crate::grpc::health::Health;
use crate::telemetry::RpcMetrics;
use crate::telemetry::spans::Tracer;

/// What is counted for metrics, whatever configuration is in use: a counter that began anew would hide what it counts.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) refusals_dropped: Arc<AtomicU64>,
    pub(super) reuse: ReuseCounts,
    pub(super) deliveries: DeliveryCounts,
    pub(super) bankid: CollectorCounts,
    /// Only what it counts is kept.
    pub(super) sealer: SealerGauges,
}

/// Made once.
pub(super) struct Lasting {
    pub(super) outside: Outside,
    pub(super) store: SqlStore,
    /// The same store by connections of its own: mails that wait must not keep logins waiting.
    pub(super) worker_store: SqlStore,
    pub(super) hasher: Arc<Argon2Pool>,
    pub(super) limiter_metrics: LimiterMetrics,
    pub(super) rpcs: RpcMetrics,
    pub(super) counts: Counts,
    pub(super) health: Health,
    /// The gRPC port accepts and answers until this is cancelled.
    pub(super) drain: CancellationToken,
    /// Everything that works beside the calls goes on until this is cancelled.
    pub(super) stop: CancellationToken,
    /// The certificates, the limiter's connection.
    pub(super) background: TaskTracker,
    /// What opens the spans of calls.
    pub(super) tracer: Option<Tracer>,
    pub(super) fixed: Fixed,
}

/// What stays as it was at the start: sockets and their bounds, hashing threads, the database, the exporter of spans.
#[derive(Clone, PartialEq)]
pub(super) struct Fixed {
    pub(super) listen: Listen,
    pub(super) hash: Hash,
    store: Place,
    max_connections: u32,
    /// A digest: there are secrets in it.
    traces: Option<[u8; 32]>,
}

#[derive(Clone, PartialEq)]
enum Place {
    Sqlite { path: PathBuf },
    Postgres { url_without_login: String },
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let (store, max_connections) = match &config.store.backend {
            StoreBackend::Sqlite { path } => (Place::Sqlite { path: path.clone() }, 0),
            StoreBackend::Postgres { url, max_connections } => {
                (Place::Postgres { url_without_login: without_login(url.expose()) }, *max_connections)
            }
        };
        let traces = config.traces.as_ref().map(digest_of_traces);
        Self { listen: config.listen.clone(), hash: config.hash, store, max_connections, traces }
    }

    /// Whether it is the same database, whoever logs in to it and by how many connections.
    pub(super) fn is_same_database(&self, other: &Self) -> bool {
        self.store == other.store
    }

    /// The sections in which another configuration says something else.
    pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let sections = [
            ("listen", self.listen == other.listen),
            ("hash", self.hash == other.hash),
            ("store", self.store == other.store && self.max_connections == other.max_connections),
            ("traces", self.traces == other.traces),
        ];
        sections.into_iter().filter(|(_, same)| !same).map(|(section, _)| section).collect()
    }
}

/// A digest of who logs in to the database and by what password; none where nobody does.
pub(super) fn digest_of_login(config: &Config) -> Option<[u8; 32]> {
    match &config.store.backend {
        StoreBackend::Sqlite { .. } => None,
        StoreBackend::Postgres { url, .. } => Some(sha256([url.expose().as_bytes()])),
    }
}

/// Of everything that says where and which spans are sent, and to whom: of the file with authorities, what it holds.
fn digest_of_traces(traces: &config::Traces) -> [u8; 32] {
    let config::Traces { endpoint, headers, ca_file, sample_ratio, timeout, queue } = traces;
    let numbers = format!("{sample_ratio} {timeout:?} {queue} {}", ca_file.is_some());
    let authorities = ca_file.as_deref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let headers = headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.expose().as_bytes()]);
    sha256([endpoint.as_bytes(), numbers.as_bytes(), &authorities].into_iter().chain(headers))
}

/// Of several texts, with their lengths.
fn sha256<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> [u8; 32] {
    let mut digest = digest::Context::new(&digest::SHA256);
    for text in texts {
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}

/// `postgres://user:password@host/database` without user and password, which may be replaced while connections are open.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::without_login;

    #[test]
    fn a_database_is_the_same_whoever_logs_in() {
        let place = "postgres://db.example:5432/guardian?sslmode=verify-full";
        for login in ["", "a@", "a:b@", "a:b@c@"] {
            let url = format!("postgres://{login}db.example:5432/guardian?sslmode=verify-full");
            assert_eq!(without_login(&url), place, "{login}");
        }
        assert_ne!(without_login("postgres://a:b@other.example:5432/guardian?sslmode=verify-full"), place);
    }
}
