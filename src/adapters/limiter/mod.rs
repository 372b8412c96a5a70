//! Answers `RateLimiter`: in this process, in Redis, or in Redis with this process as the fallback.

mod breaker;
mod fallback;
mod gcra;
mod keys;
mod link;
mod memory;
mod metrics;
mod redis;
mod script;
mod trace;

pub use self::redis::{
    DECISION_BUDGET, InvalidRedisAddress, RedisLimiter, RedisSettings, RedisTime, RedisTopology,
};
pub use fallback::ResilientLimiter;
pub use keys::{BucketKeys, LimiterKey};
pub use memory::{CAPACITY, MemoryLimiter};
pub use metrics::{
    DECISIONS, GIVE_BACKS_DROPPED, LOCAL_KEYS, LOCAL_KEYS_REFUSED, LimiterMetrics, REDIS_ERRORS, REDIS_UP,
    ROUND_TRIP_SECONDS,
};
