//! What lasts as long as the process, whatever is configured anew: pools, counters and what they tell of themselves.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Outside;
use crate::adapters::argon2::Argon2Pool;
use crate::adapters::limiter::LimiterMetrics;
use crate::adapters::store::SqlStore;
use crate::config::{self, Config, Hash, Listen, StoreBackend};
use crate::grpc::health::Health;
use crate::telemetry::RpcMetrics;
use crate::telemetry::spans::Tracer;

/// Made once.
pub(super) struct Lasting {
    pub(super) outside: Outside,
    pub(super) store: SqlStore,
    /// The same store by connections of its own: mails that wait must not keep logins waiting.
    pub(super) worker_store: SqlStore,
    pub(super) hasher: Arc<Argon2Pool>,
    pub(super) limiter_metrics: LimiterMetrics,
    pub(super) rpcs: RpcMetrics,
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
    /// A digest: there are secrets in it.
    traces: Option<u64>,
}

#[derive(Clone, PartialEq)]
enum Place {
    Sqlite { path: PathBuf },
    Postgres { url_without_login: String, max_connections: u32 },
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let store = match &config.store.backend {
            StoreBackend::Sqlite { path } => Place::Sqlite { path: path.clone() },
            StoreBackend::Postgres { url, max_connections } => Place::Postgres {
                url_without_login: without_login(url.expose()),
                max_connections: *max_connections,
            },
        };
        let traces = config.traces.as_ref().map(digest);
        Self { listen: config.listen.clone(), hash: config.hash, store, traces }
    }

    /// The sections in which another configuration says something else.
    pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let sections = [
            ("listen", self.listen == other.listen),
            ("hash", self.hash == other.hash),
            ("store", self.store == other.store),
            ("traces", self.traces == other.traces),
        ];
        sections.into_iter().filter(|(_, same)| !same).map(|(section, _)| section).collect()
    }
}

/// Of everything that says where and which spans are sent.
fn digest(traces: &config::Traces) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&traces.endpoint, &traces.ca_file, traces.sample_ratio.to_bits(), traces.timeout, traces.queue)
        .hash(&mut hasher);
    for (name, value) in &traces.headers {
        (name, value.expose()).hash(&mut hasher);
    }
    hasher.finish()
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
