//! `limits`: where the counters of the rate limits are kept.

use std::time::Duration;

use crate::domain::secret::Secret;

use super::form::{Choice, Count, Span, Text};
use super::reader::Reader;

/// Where the counters of the rate limits are kept.
#[derive(Debug)]
pub struct Limits {
    /// The counters.
    pub backend: LimitsBackend,
    /// Processes that share the traffic, at most. Without shared counters each admits its part of a limit.
    pub replicas: u32,
}

/// The counters, with their settings.
#[derive(Debug)]
pub enum LimitsBackend {
    /// In this process.
    Memory,
    /// Shared by all replicas.
    Redis {
        /// `rediss://user:password@host:port/database`.
        url: Secret<String>,
        /// Time for one decision; after it the local counters decide.
        timeout: Duration,
    },
}

impl Limits {
    /// Whether the counters are the same, kept in the same place: then they need not begin anew.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let backend = match (&self.backend, &other.backend) {
            (LimitsBackend::Memory, LimitsBackend::Memory) => true,
            (
                LimitsBackend::Redis { url, timeout },
                LimitsBackend::Redis { url: other_url, timeout: other_timeout },
            ) => url.expose() == other_url.expose() && timeout == other_timeout,
            (LimitsBackend::Memory, LimitsBackend::Redis { .. })
            | (LimitsBackend::Redis { .. }, LimitsBackend::Memory) => false,
        };
        backend && self.replicas == other.replicas
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Memory,
    Redis,
}

pub(super) fn read(limits: &mut Reader<'_>) -> Option<Limits> {
    let kinds = Choice(&[("memory", Kind::Memory), ("redis", Kind::Redis)]);
    let kind = limits.or("backend", "where the counters are kept", &kinds, Kind::Memory);
    let replicas = limits.or(
        "replicas",
        "processes that share the traffic, at most; counters in memory admit this part of a limit",
        &Count(1..=1000),
        1,
    );
    let redis = limits.chosen_section("redis", Some(kind == Kind::Redis), |redis| {
        let url = redis.secret("url", "`redis://` or `rediss://` URL", &Text(1..=2000), check_url);
        let bounds = Span(Duration::from_millis(1)..=Duration::from_secs(1));
        let timeout = redis.or(
            "timeout",
            "time for one decision; after it this process's own counters decide",
            &bounds,
            Duration::from_millis(50),
        );
        Some(LimitsBackend::Redis { url: url?, timeout })
    });
    let backend = match kind {
        Kind::Memory => LimitsBackend::Memory,
        Kind::Redis => redis??,
    };
    Some(Limits { backend, replicas })
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let known = url.starts_with("redis://") || url.starts_with("rediss://");
    if known { Ok(()) } else { Err("does not begin with redis:// or rediss://") }
}
