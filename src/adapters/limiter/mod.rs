//! Answers `RateLimiter`: in this process, in Redis, or in Redis with this process as the fallback.

mod access;
mod breaker;
mod cluster;
mod fallback;
mod gcra;
mod keys;
mod link;
mod memory;
mod metrics;
mod redis;
mod script;
mod sentinel;
mod settings;
mod slots;
mod trace;

pub use self::redis::{Reached, RedisLimiter};
pub use fallback::ResilientLimiter;
pub use keys::{BucketKeys, LimiterKey};
pub use memory::{CAPACITY, MemoryLimiter};
pub use metrics::{
    DECISIONS, GIVE_BACKS_DROPPED, LOCAL_KEYS, LOCAL_KEYS_REFUSED, LimiterMetrics, REDIS_ERRORS, REDIS_NODES,
    REDIS_UP, ROUND_TRIP_SECONDS,
};
pub use settings::{
    DECISION_BUDGET, InvalidRedisSettings, RedisIdentity, RedisLogin, RedisNode, RedisSettings, RedisTime,
    RedisTls, RedisTopology,
};
