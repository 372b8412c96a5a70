//! The comparator of work, proven on a login flow that saves the work for names that do not exist.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guardian_auth::adapters::access_tokens::JwtKeyring;
use guardian_auth::adapters::argon2::{Argon2Pool, HasherMetrics, PoolSettings};
use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::limiter::{BucketKeys, LimiterKey, LimiterMetrics, MemoryLimiter};
use guardian_auth::adapters::store::{SqlStore, StoreConfig, StoreMetrics};
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::domain::client::ClientContext;
use guardian_auth::domain::identifier::LoginName;
use guardian_auth::domain::organization::{OrganizationId, Portal};
use guardian_auth::domain::password::{ClaimedPassword, NewPassword, PasswordHash};
use guardian_auth::domain::secret::Secret;
use guardian_auth::flows::attempt::Origin;
use guardian_auth::flows::devices::Devices;
use guardian_auth::flows::gate::Gate;
use guardian_auth::flows::login_password::{Attempt, LoginFlow};
use guardian_auth::flows::organizations::Organizations;
use guardian_auth::flows::refusal_log::refusal_log;
use guardian_auth::flows::session_tokens::TokenMint;
use guardian_auth::ports::entropy::Entropy;
use guardian_auth::ports::password_hasher::{Comparison, HasherError, PasswordHasher, Verdict};
use guardian_auth::ports::rate_limiter::Admitted;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::equal_work::{Work, between, counters, differences};
use super::service_with_guardian;
use crate::support::service::{KOMMUN, Parts, Service, TestClock, cheap};

/// Runs nothing where nothing is on file, if it leaks.
struct Hasher {
    pool: Argon2Pool,
    leaks: bool,
}

#[async_trait]
impl PasswordHasher for Hasher {
    fn capacity(&self) -> usize {
        self.pool.capacity()
    }

    fn has_room(&self) -> bool {
        self.pool.has_room()
    }

    fn expected_wait(&self) -> Duration {
        self.pool.expected_wait()
    }

    async fn verify(
        &self,
        admitted: Admitted,
        password: Secret<String>,
        comparison: Comparison,
        deadline: Instant,
    ) -> Result<Verdict, HasherError> {
        if self.leaks && comparison.stored.is_none() {
            return Ok(Verdict::Mismatch);
        }
        self.pool.verify(admitted, password, comparison, deadline).await
    }

    async fn hash(&self, password: &NewPassword, deadline: Instant) -> Result<PasswordHash, HasherError> {
        self.pool.hash(password, deadline).await
    }
}

struct Bench {
    flow: Arc<LoginFlow>,
    registry: Registry,
    service: Service,
}

impl Bench {
    /// A flow beside a service, over the same database.
    async fn start(leaks: bool) -> Self {
        let service = service_with_guardian(Parts::Embedded).await;
        let mut registry = Registry::default();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let clock = TestClock::at_noon();
        let path = PathBuf::from(service.store_location());
        let metrics = StoreMetrics::register(&mut registry);
        let store = Arc::new(SqlStore::connect(&StoreConfig::Sqlite { path }, &metrics).await.unwrap());
        let master = MasterKey { id: "test".to_owned(), key: Secret::new([7; 32]) };
        let vault = Arc::new(DerivedKeyVault::new(&[master]).unwrap());
        let workers = std::num::NonZeroUsize::MIN;
        let settings = PoolSettings { parameters: cheap(), workers, places: 16 };
        let metrics = HasherMetrics::register(&mut registry);
        let pool = Argon2Pool::start(settings, Arc::clone(&entropy), metrics).unwrap();
        let hasher: Arc<dyn PasswordHasher> = Arc::new(Hasher { pool, leaks });
        let keys = BucketKeys::new(LimiterKey::new([7; 32]));
        let metrics = LimiterMetrics::register(&mut registry);
        let limiter = Arc::new(MemoryLimiter::new(keys, Arc::clone(&clock) as _, 1, metrics));
        let ring = Arc::new(JwtKeyring::new("https://auth.example.se".to_owned()));
        let flow = LoginFlow {
            gate: Gate::new(limiter, Arc::clone(&hasher)),
            hasher,
            organizations: Arc::new(Organizations::new(service.config().organizations)),
            store: Arc::clone(&store) as _,
            vault: Arc::clone(&vault) as _,
            mint: TokenMint::new(Arc::clone(&vault) as _, ring, Arc::clone(&entropy)),
            devices: Devices::new(vault, Arc::clone(&entropy)),
            refusals: refusal_log(store, Arc::default()).0,
            clock,
            entropy,
            tasks: TaskTracker::new(),
        };
        Self { flow: Arc::new(flow), registry, service }
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    async fn work(&self, login_name: &str) -> Work {
        let organization = OrganizationId::parse(KOMMUN).unwrap();
        let organization = self.flow.organizations.get(&organization).unwrap();
        let caller = Arc::new(self.service.config().callers[0].caller.clone());
        let client = ClientContext { address: None, user_agent: String::new(), device_token: None };
        let attempt = Attempt {
            login_name: LoginName::parse(login_name, organization.leading_zeros()).unwrap(),
            organization,
            portal: Portal::Parent,
            password: ClaimedPassword::parse(Secret::new("wrong".to_owned())).unwrap(),
            origin: Origin { caller, client, deadline: Instant::now() + Duration::from_secs(30) },
        };
        let before = counters(&self.metrics());
        let answer = self.flow.log_in(attempt).await;
        assert!(answer.is_err());
        Work { counts: between(&before, &counters(&self.metrics())), answer: Vec::new() }
    }

    async fn differences(&self) -> Vec<String> {
        differences(&[("nobody", self.work("nobody").await), ("alma", self.work("alma").await)])
    }
}

#[tokio::test]
async fn b11_positive_control_a_hasher_that_saves_the_work_for_unknown_names_is_seen() {
    assert_eq!(Bench::start(false).await.differences().await, Vec::<String>::new());
    let seen = Bench::start(true).await.differences().await;
    assert_eq!(seen.len(), 1);
    assert!(seen[0].contains("hash_runs"), "{seen:?}");
}
