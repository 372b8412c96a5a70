//! `limits`: where the counters of the rate limits are kept.

use super::form::{Choice, Count};
use super::reader::Reader;
use super::redis_servers::{self, Redis};

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
    Redis(Box<Redis>),
}

impl Limits {
    /// Whether the counters are the same, kept in the same place and reached in the same way.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let backend = match (&self.backend, &other.backend) {
            (LimitsBackend::Memory, LimitsBackend::Memory) => true,
            (LimitsBackend::Redis(redis), LimitsBackend::Redis(other)) => redis.is_same_as(other),
            (LimitsBackend::Memory, LimitsBackend::Redis(_))
            | (LimitsBackend::Redis(_), LimitsBackend::Memory) => false,
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
    let redis = limits.chosen_section("redis", Some(kind == Kind::Redis), redis_servers::read);
    let backend = match kind {
        Kind::Memory => LimitsBackend::Memory,
        Kind::Redis => LimitsBackend::Redis(Box::new(redis??)),
    };
    Some(Limits { backend, replicas })
}
