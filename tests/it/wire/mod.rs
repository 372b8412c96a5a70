//! The gRPC port with handlers that do next to nothing, for tests of what lies before them.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::revocations::RecentRevocations;
use guardian_auth::domain::caller::{AllOrSome, Caller, CallerKind, SubjectName, TokenDigest, WebOrigin};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::identifier::Region;
use guardian_auth::domain::limits::LimitPolicy;
use guardian_auth::domain::organization::{Organization, OrganizationId, Portal, SessionPolicy};
use guardian_auth::domain::password::PasswordPolicy;
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::staff::StaffPolicy;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::flows::duty::Duty;
use guardian_auth::flows::organizations::Organizations;
use guardian_auth::grpc::caller::CallerDirectory;
use guardian_auth::grpc::client_address::TrustedProxies;
use guardian_auth::grpc::connection::ConnectionLimits;
use guardian_auth::grpc::deadline::Deadlines;
use guardian_auth::grpc::front::{self, Front, MAX_REQUEST_BYTES, Parts};
use guardian_auth::grpc::health::Health;
use guardian_auth::grpc::listener::{self, Settings};
use guardian_auth::ports::access_tokens::{AccessTokens, Claims, PublishedKeys};
use guardian_auth::ports::clock::Clock;
use guardian_auth::ports::entropy::Entropy;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{DutyStore, StaffRights};
use guardian_auth::proto::login_bank_id_service_server::LoginBankIdServiceServer;
use guardian_auth::proto::login_service_server::LoginServiceServer;
use guardian_auth::proto::password_service_server::PasswordServiceServer;
use guardian_auth::proto::session_service_server::SessionServiceServer;
use guardian_auth::telemetry::{ConnectionMetrics, RpcMetrics};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

pub mod frames;
mod handlers;
pub mod raw;

pub use handlers::{Gate, WATCHED};

/// The origin of the `web` caller's page.
pub const ORIGIN: &str = "https://portal.example.se";
/// The organization that the callers may act for; `other-kommun` exists too.
pub const ORGANIZATION: &str = "sample-kommun";

/// A time that stands still.
pub struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_286_400_000)
    }
}

/// The system's randomness.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::fill(buffer).unwrap();
    }
}

/// No token is a staff member's: the front answers as to a stranger.
fn nobody_on_duty(organizations: Arc<Organizations>) -> Duty {
    let key = MasterKey { id: "k1".to_owned(), key: Secret::new([1; 32]) };
    Duty {
        access: Arc::new(TwoKeys),
        revocations: Arc::new(RecentRevocations::default()),
        store: Arc::new(NoStaff),
        organizations,
        vault: Arc::new(DerivedKeyVault::new(&[key]).unwrap()),
        clock: Arc::new(StillClock),
    }
}

struct NoStaff;

#[tonic::async_trait]
impl DutyStore for NoStaff {
    async fn staff_rights(&self, _: &GuardianId) -> Result<Option<StaffRights>, PortError> {
        Ok(None)
    }

    async fn sweep_staff_requests(&self, _: Timestamp) -> Result<u64, PortError> {
        Ok(0)
    }
}

struct TwoKeys;

impl AccessTokens for TwoKeys {
    fn sign(&self, _: &Claims) -> Result<String, PortError> {
        Err(PortError::Unavailable { dependency: "keys", detail: "none in this test".to_owned() })
    }

    fn verify(&self, _: &str, _: Timestamp) -> Option<Arc<Claims>> {
        None
    }

    fn published(&self, _: Timestamp) -> PublishedKeys {
        PublishedKeys { keys: vec![("new".to_owned(), [1; 32]), ("old".to_owned(), [0xff; 32])] }
    }
}

/// An id that is well-formed.
pub fn organization_id(text: &str) -> OrganizationId {
    OrganizationId::parse(text).unwrap()
}

fn organization(id: &str, portals: &[Portal]) -> Organization {
    Organization {
        id: organization_id(id),
        display_name: id.to_owned(),
        region: Region::Se,
        strip_leading_zeros: false,
        portals: portals.to_vec(),
        password: PasswordPolicy::default(),
        session: SessionPolicy::default(),
        limits: LimitPolicy::default(),
        correspondence: None,
        reset: None,
        bankid: None,
        oidc: Vec::new(),
        staff: StaffPolicy::default(),
    }
}

/// The token of a caller of this kind.
pub fn token(kind: CallerKind) -> String {
    format!("gat_{}", kind.as_str())
}

/// A caller for the sample organization, named after its kind.
pub fn caller(kind: CallerKind) -> Caller {
    Caller {
        name: kind.as_str().replace('_', "-"),
        kind,
        organizations: AllOrSome::Some(vec![organization_id(ORGANIZATION)]),
        portals: AllOrSome::All,
        may_assert_client_address: kind == CallerKind::Portal,
        origins: if kind == CallerKind::Web { vec![WebOrigin::parse(ORIGIN).unwrap()] } else { Vec::new() },
    }
}

/// A caller of each kind. Each but `web` has a token, and `portal` and `sync` have names in certificates.
pub fn callers() -> CallerDirectory {
    let mut directory = CallerDirectory::default();
    for (_, kind) in CallerKind::NAMED {
        let tokens = (kind != CallerKind::Web).then(|| TokenDigest::of(&token(kind)));
        let name = match kind {
            CallerKind::Portal => SubjectName::parse("spiffe://example.se/portal"),
            CallerKind::Sync => SubjectName::parse("sync.example.se"),
            CallerKind::AdminPortal | CallerKind::Operator | CallerKind::Web => None,
        };
        directory = directory.with(caller(kind), tokens, name);
    }
    directory
}

/// What a test may change before the port opens.
pub struct Setup {
    pub parts: Parts,
    pub settings: Settings,
    pub gate: Gate,
}

impl Setup {
    /// Callers of each kind, no TLS, no trusted proxies, the default limits.
    pub async fn usual() -> Self {
        let mut registry = Registry::default();
        let gate = Gate::default();
        let routes = Routes::new(
            LoginServiceServer::new(gate.handlers()).max_decoding_message_size(MAX_REQUEST_BYTES),
        )
        .add_service(SessionServiceServer::new(gate.handlers()).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(PasswordServiceServer::new(gate.handlers()).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(LoginBankIdServiceServer::new(gate.handlers()));
        let organizations = [
            organization(ORGANIZATION, &[Portal::Parent, Portal::Childminder]),
            organization("other-kommun", &Portal::ALL),
        ];
        let health = Health::starting().await;
        health.set_ready(true).await;
        let organizations = Arc::new(Organizations::new(organizations));
        let parts = Parts {
            routes,
            callers: callers(),
            duty: Arc::new(nobody_on_duty(Arc::clone(&organizations))),
            organizations,
            trusted_proxies: TrustedProxies::default(),
            deadlines: Deadlines::default(),
            health,
            reflection: false,
            access_tokens: Arc::new(TwoKeys),
            clock: Arc::new(StillClock),
            entropy: Arc::new(SystemEntropy),
            metrics: RpcMetrics::register(&mut registry, &front::rpc_names()),
            tracer: None,
        };
        let settings = Settings {
            tls: None,
            connection: ConnectionLimits::default(),
            max_connections: 1000,
            max_connections_per_peer: 1000,
            balancers: TrustedProxies::default(),
            drain_timeout: Duration::from_secs(10),
            entropy: Arc::new(SystemEntropy),
            metrics: ConnectionMetrics::register(&mut registry),
        };
        Self { parts, settings, gate }
    }

    /// Opens the port.
    pub async fn open(self) -> Port {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = CancellationToken::new();
        let front = Arc::new(Front::new(self.parts).unwrap());
        let served = tokio::spawn(listener::serve(listener, front, self.settings, drain.clone()));
        Port { address, drain, served, gate: self.gate }
    }
}

/// An open port.
pub struct Port {
    pub address: SocketAddr,
    pub drain: CancellationToken,
    pub served: JoinHandle<()>,
    pub gate: Gate,
}

impl Port {
    /// With everything as usual.
    pub async fn usual() -> Self {
        Setup::usual().await.open().await
    }
}
