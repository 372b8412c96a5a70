//! The rate limiter: one suite on every adapter, and the bars B04, B07, B10 and B24 to B26.

mod accuracy;
mod cardinality;
mod cluster;
mod conformance;
mod model;
mod outage;
mod race;
mod redis_rules;
mod sentinel;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use guardian_auth::adapters::limiter::{
    BucketKeys, LimiterKey, LimiterMetrics, MemoryLimiter, RedisLimiter, RedisLogin, RedisSettings,
    RedisTime, RedisTls, RedisTopology, ResilientLimiter,
};
use guardian_auth::domain::client::Network;
use guardian_auth::domain::identifier::{LeadingZeros, LoginName};
use guardian_auth::domain::limits::{Charge, Quota, Reservation, Scope};
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::clock::Clock;
use guardian_auth::ports::rate_limiter::{Decision, Ledger, RateLimiter, Receipt, reserve};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::ports::free_port;
use crate::support::redis::shared_redis;
use crate::support::{eventually, unique_name};

/// Longer than Redis ever needs: a busy machine must not turn a test of Redis into one of the fallback.
const PATIENT: Duration = Duration::from_secs(30);

/// Long beside the real time of a test, so that nothing in Redis expires in real time.
const REFILL: Duration = Duration::from_mins(1);

/// Whether to run at the size of the bar instead of one that a pull request can wait for.
fn full_size() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the service")]
    let value = std::env::var("GUARDIAN_AUTH_TEST_FULL");
    value.is_ok_and(|value| value == "1")
}

/// A clock that goes when told to.
struct HandSetClock(AtomicI64);

impl HandSetClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_700_000_000_000)))
    }

    fn pass(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).expect("a short span"), Ordering::Relaxed);
    }

    fn go_back(&self, span: Duration) {
        self.0.fetch_sub(i64::try_from(span.as_millis()).expect("a short span"), Ordering::Relaxed);
    }
}

impl Clock for HandSetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// One replica's limiter, with a name space of its own in the counters.
struct Replica {
    limiter: Arc<dyn RateLimiter>,
    clock: Arc<HandSetClock>,
    organization: OrganizationId,
    registry: Registry,
}

/// How a replica is set up; the rest is as in production.
struct Plan {
    topology: RedisTopology,
    tls: Option<RedisTls>,
    replicas: u32,
    budget: Duration,
    /// Time of all counters, in Redis too.
    clock: Arc<HandSetClock>,
    organization: OrganizationId,
}

impl Plan {
    /// A lone replica with all the time in the world.
    fn patient(redis_url: &str) -> Self {
        Self::patient_on(RedisTopology::Standalone { url: Secret::new(redis_url.to_owned()) }, None)
    }

    /// The same on several servers.
    fn patient_on(topology: RedisTopology, tls: Option<RedisTls>) -> Self {
        Self {
            topology,
            tls,
            replicas: 1,
            budget: PATIENT,
            clock: HandSetClock::new(),
            organization: new_organization(),
        }
    }

    /// A lone replica with the budget of production.
    fn in_production(redis_url: &str) -> Self {
        Self::patient(redis_url).with_budget_of_production()
    }

    fn with_budget_of_production(self) -> Self {
        Self { budget: guardian_auth::adapters::limiter::DECISION_BUDGET, ..self }
    }

    fn start(&self) -> Replica {
        self.start_with(&TaskTracker::new(), &CancellationToken::new())
    }

    fn start_with(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Replica {
        let mut registry = Registry::default();
        let metrics = LimiterMetrics::register(&mut registry);
        let settings = RedisSettings {
            topology: same(&self.topology),
            tls: self.tls.clone(),
            budget: self.budget,
            time: RedisTime::Clock(self.clock.clone()),
        };
        let shared = RedisLimiter::start(settings, metrics.clone(), tasks, stop).expect("a good address");
        let local = MemoryLimiter::new(keys(), self.clock.clone(), self.replicas, metrics.clone());
        Replica {
            limiter: Arc::new(ResilientLimiter::new(keys(), shared, local, metrics)),
            clock: self.clock.clone(),
            organization: self.organization.clone(),
            registry,
        }
    }
}

impl Replica {
    fn in_memory() -> Self {
        let clock = HandSetClock::new();
        let mut registry = Registry::default();
        let metrics = LimiterMetrics::register(&mut registry);
        let limiter = Arc::new(MemoryLimiter::new(keys(), clock.clone(), 1, metrics));
        Self { limiter, clock, organization: new_organization(), registry }
    }

    fn on_redis() -> Self {
        Plan::patient(&shared_redis()).start()
    }

    /// The fallback, as Redis is not there.
    async fn without_redis() -> Self {
        let replica = Plan::in_production(&format!("redis://127.0.0.1:{}/0", free_port())).start();
        replica.gives_up_on_redis().await;
        replica
    }

    fn reservation(&self, charges: Vec<Charge>) -> Reservation {
        Reservation { organization: self.organization.clone(), charges }
    }

    async fn decide(&self, charges: &[Charge]) -> Decision {
        self.limiter.decide(&self.reservation(charges.to_vec())).await
    }

    async fn admits(&self, charges: &[Charge]) -> bool {
        matches!(self.decide(charges).await, Decision::Admitted(_))
    }

    async fn admitted_of(&self, attempts: usize, charges: &[Charge]) -> usize {
        let mut admitted = 0;
        for _ in 0..attempts {
            admitted += usize::from(self.admits(charges).await);
        }
        admitted
    }

    async fn refused_for(&self, charges: &[Charge]) -> Duration {
        match self.decide(charges).await {
            Decision::Refused { retry_after } => retry_after,
            Decision::Admitted(ledger) => panic!("admitted by the {ledger:?} ledger"),
        }
    }

    async fn receipt(&self, charges: &[Charge]) -> Receipt {
        let (_admitted, receipt) =
            reserve(&*self.limiter, self.reservation(charges.to_vec())).await.expect("there is room");
        receipt
    }

    /// Gives back, and returns when it is done.
    async fn give_back(&self, receipt: Receipt) {
        self.limiter.give_back(receipt);
        self.settle().await;
    }

    /// Waits until all give-backs so far are done: they are done in order, so it is enough to see one more of them.
    async fn settle(&self) {
        let marker = [bucket(&unique_name("marker"), 1, REFILL)];
        let receipt = self.receipt(&marker).await;
        self.limiter.give_back(receipt);
        eventually(PATIENT, "the marker is given back", async || self.admits(&marker).await).await;
    }

    /// Waits until decisions are no longer Redis's.
    async fn gives_up_on_redis(&self) {
        eventually(PATIENT, "the breaker opens", async || self.ledger().await == Ledger::Local).await;
    }

    /// Who admits now.
    async fn ledger(&self) -> Ledger {
        let free = [bucket(&unique_name("free"), 1, Duration::from_millis(1))];
        match self.decide(&free).await {
            Decision::Admitted(ledger) => ledger,
            Decision::Refused { retry_after } => panic!("a new bucket is full for {retry_after:?}"),
        }
    }

    /// A series of the metrics, such as `name_total{kind="timeout"}`; 0 if there is none. All of ours are whole numbers.
    fn metric(&self, series: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics are text");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }
}

/// Secrets are not copied by accident: here on purpose.
fn same(topology: &RedisTopology) -> RedisTopology {
    let secret = |secret: &Secret<String>| Secret::new(secret.expose().clone());
    let login = |login: &RedisLogin| RedisLogin {
        username: login.username.clone(),
        password: login.password.as_ref().map(secret),
    };
    match topology {
        RedisTopology::Standalone { url } => RedisTopology::Standalone { url: secret(url) },
        RedisTopology::Sentinel { sentinels, master_name, sentinel_login, login: at_primary } => {
            RedisTopology::Sentinel {
                sentinels: sentinels.clone(),
                master_name: master_name.clone(),
                sentinel_login: login(sentinel_login),
                login: login(at_primary),
            }
        }
        RedisTopology::Cluster { seeds, login: at_nodes } => {
            RedisTopology::Cluster { seeds: seeds.clone(), login: login(at_nodes) }
        }
    }
}

fn keys() -> BucketKeys {
    BucketKeys::new(LimiterKey::new([7; 32]))
}

fn new_organization() -> OrganizationId {
    OrganizationId::parse(&unique_name("o").replace('_', "-")).expect("an organization's name")
}

/// A bucket that only its name tells apart from others.
fn bucket(name: &str, burst: u32, refill: Duration) -> Charge {
    Charge {
        scope: Scope::AccountUnknownNetwork(login_name("anna"), name.to_owned()),
        quota: Quota::new(burst, refill),
    }
}

fn login_name(text: &str) -> LoginName {
    LoginName::parse(text, LeadingZeros::Keep).expect("a login name")
}

/// The n-th of 2^32 networks.
fn network(n: u32) -> Network {
    Network::V4(Ipv4Addr::from(n))
}
