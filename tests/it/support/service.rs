//! The service as its callers see it, with its own store, counters, keys, clock and guardians.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guardian_auth::adapters::argon2::{Argon2Pool, HasherMetrics, PoolSettings};
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::app::{self, App, Outside};
use guardian_auth::cli::callers::new_token;
use guardian_auth::cli::import;
use guardian_auth::config::{Config, LimitsBackend, Redis, StoreBackend};
use guardian_auth::domain::password::{HashParameters, NewPassword};
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::clock::Clock;
use guardian_auth::ports::password_hasher::PasswordHasher as _;
use guardian_auth::proto;
use guardian_auth::proto::login_bank_id_service_client::LoginBankIdServiceClient;
use guardian_auth::proto::login_oidc_service_client::LoginOidcServiceClient;
use guardian_auth::proto::login_service_client::LoginServiceClient;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::password_reset_service_client::PasswordResetServiceClient;
use guardian_auth::proto::password_service_client::PasswordServiceClient;
use guardian_auth::proto::session_service_client::SessionServiceClient;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::postgres::TestDatabase;
use super::redis::shared_redis;

/// The Swedish organization: portals `parent` and `staff`.
pub const KOMMUN: &str = "sample-kommun";
/// The Dutch organization: portals `parent` and `childminder`.
pub const OPVANG: &str = "voorbeeld-opvang";
/// 2026-11-21T12:00:00Z, where the clocks of tests start.
pub const NOON_MS: i64 = 1_795_262_400_000;

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    /// At noon of the day of the vectors.
    pub fn at_noon() -> Arc<Self> {
        Self::at(Timestamp::from_millis(NOON_MS))
    }

    /// At a time of the test's choice.
    pub fn at(time: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.as_millis())))
    }

    /// Moves on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// The two sets of parts that every story must run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// SQLite and counters in this process.
    Embedded,
    /// PostgreSQL and Redis.
    Shared,
}

impl Parts {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Shared];
}

/// A running service.
pub struct Service {
    app: Option<App>,
    grpc: SocketAddr,
    ops: SocketAddr,
    /// Its clock. With [`Parts::Shared`], limits follow the clock of Redis instead.
    pub clock: Arc<TestClock>,
    world: Arc<World>,
}

/// What replicas of a service share.
struct World {
    parts: Parts,
    directory: TempDir,
    database: Option<TestDatabase>,
    master_key: [u8; 32],
    tokens: Mutex<HashMap<String, (String, guardian_auth::domain::caller::TokenDigest)>>,
}

/// Cheap parameters: tests of the order of steps need not wait for real work.
pub fn cheap() -> HashParameters {
    HashParameters::new(64, 1, 1).unwrap()
}

impl Service {
    /// A service on these parts, with cheap hashes and without guardians.
    pub async fn start(parts: Parts) -> Self {
        Self::start_with(parts, |_| {}).await
    }

    /// The same with changes to its configuration.
    pub async fn start_with(parts: Parts, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(TestClock::at_noon(), parts, change).await
    }

    /// The same with a clock that others have, too.
    pub async fn start_on(clock: Arc<TestClock>, parts: Parts, change: impl FnOnce(&mut Config)) -> Self {
        let mut master_key = [0; 32];
        aws_lc_rs::rand::fill(&mut master_key).unwrap();
        let database = match parts {
            Parts::Embedded => None,
            Parts::Shared => Some(TestDatabase::create().await),
        };
        let directory = tempfile::tempdir().unwrap();
        let world = World { parts, directory, database, master_key, tokens: Mutex::default() };
        Self::run(Arc::new(world), clock, change).await
    }

    /// Another replica of this service: the same store, counters, keys and clock.
    pub async fn replica(&self) -> Self {
        self.replica_with(|_| {}).await
    }

    /// The same with changes to its configuration.
    pub async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        Self::run(Arc::clone(&self.world), Arc::clone(&self.clock), change).await
    }

    async fn run(world: Arc<World>, clock: Arc<TestClock>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = world.config();
        change(&mut config);
        let outside = Outside { clock: Arc::clone(&clock) as _, entropy: Arc::new(SystemEntropy) };
        let app = App::start(config, outside).await.unwrap();
        let (grpc, ops) = (app.grpc_address(), app.ops_address());
        Self { app: Some(app), grpc, ops, clock, world }
    }

    /// The configuration that the service runs with, before a test's changes: for commands beside it.
    pub fn config(&self) -> Config {
        self.world.config()
    }

    /// Puts the configuration that it started with into use, with a test's changes; the sections that need a restart.
    pub async fn reload(&self, change: impl FnOnce(&mut Config)) -> anyhow::Result<Vec<&'static str>> {
        let mut config = self.world.config();
        change(&mut config);
        self.app.as_ref().unwrap().reload(config).await
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// Lets go of it without stopping it, as a failure to start does.
    pub fn abandon(&mut self) {
        self.app = None;
    }

    /// Where it listens for calls.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The address of health and metrics.
    pub fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// The database file, or the URL of the database.
    pub fn store_location(&self) -> String {
        match &self.world.database {
            None => self.world.directory.path().join("guardian-auth.sqlite").display().to_string(),
            Some(database) => database.url(),
        }
    }

    /// Takes rows of a directory file in; panics on a row that is not taken.
    pub async fn import(&self, organization: &str, rows: &[Value]) {
        self.import_with(&self.world.config(), organization, rows).await;
    }

    /// The same into the store of another configuration.
    pub async fn import_with(&self, config: &Config, organization: &str, rows: &[Value]) {
        let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let import = app::directory_import(config).await.unwrap();
        let organization = app::organization(config, organization).unwrap();
        let bytes = std::io::Cursor::new(text.into_bytes());
        let summary =
            import::quietly(&import, organization, app::directory_rows(bytes).as_mut()).await.unwrap();
        assert_eq!(summary.rejected, 0, "rows of the test were rejected");
    }

    /// A connection of its own.
    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    /// The token of a caller, e.g. `sample-kommun-portal`.
    pub fn token(&self, caller: &str) -> String {
        self.world.token(caller).0
    }

    /// What the portal of an organization calls with.
    pub async fn portal(&self, organization: &str) -> Calls {
        self.caller(&format!("{organization}-portal")).await
    }

    /// What a caller calls with, on a connection of its own.
    pub async fn caller(&self, name: &str) -> Calls {
        Calls::new(self.channel().await, &self.token(name))
    }

    /// The metrics as text.
    pub async fn metrics(&self) -> String {
        http_get(self.ops, "/metrics").await.1
    }

    /// The sum of a metric's samples whose labels contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        sum_of(&self.metrics().await, name, labels)
    }
}

/// The sum of a metric's samples in a text of metrics whose labels contain `labels`.
pub fn sum_of(metrics: &str, name: &str, labels: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        })
        .filter(|line| line.contains(labels))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

impl World {
    fn token(&self, caller: &str) -> (String, guardian_auth::domain::caller::TokenDigest) {
        let mut tokens = self.tokens.lock().unwrap();
        let entry = tokens.entry(caller.to_owned()).or_insert_with(|| {
            let (token, digest) = new_token(&SystemEntropy);
            (token.expose().clone(), digest)
        });
        entry.clone()
    }

    fn config(&self) -> Config {
        let key = Secret::new(self.master_key);
        let pages = SocketAddr::from(([127, 0, 0, 1], 8025));
        let mut config =
            Config::development(self.directory.path(), key, pages, |caller| self.token(caller).1);
        config.listen.grpc = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listen.ops = SocketAddr::from(([127, 0, 0, 1], 0));
        config.issuer = "https://auth.example.se".to_owned();
        // As in production; `dev` alone is lenient.
        for organization in &mut config.organizations {
            organization.staff.password_is_enough_because = None;
        }
        config.hash.parameters = cheap();
        // Tests throw more at once than people do; tests of the queue set their own.
        config.hash.queue = 1024;
        if let Some(database) = &self.database {
            config.store.backend =
                StoreBackend::Postgres { url: Secret::new(database.url()), max_connections: 10 };
        }
        if self.parts == Parts::Shared {
            let url = Secret::new(shared_redis());
            // A busy machine must not look like an outage: tests of outages set their own.
            config.limits.backend =
                LimitsBackend::Redis(Box::new(Redis::standalone(url, Duration::from_secs(1))));
        }
        config
    }
}

/// The services for one caller.
#[derive(Clone)]
pub struct Calls {
    /// `LoginService`.
    pub login: LoginServiceClient<AsCaller>,
    /// `SessionService`.
    pub session: SessionServiceClient<AsCaller>,
    /// `PasswordService`.
    pub password: PasswordServiceClient<AsCaller>,
    /// `LoginOidcService`.
    pub oidc: LoginOidcServiceClient<AsCaller>,
    /// `LoginBankIdService`.
    pub bankid: LoginBankIdServiceClient<AsCaller>,
    /// `PasswordResetService`.
    pub reset: PasswordResetServiceClient<AsCaller>,
}

/// A channel that shows a caller's token.
pub type AsCaller = InterceptedService<Channel, Bearer>;

/// Puts a caller's token on every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Calls {
    /// Over a channel, with a token.
    pub fn new(channel: Channel, token: &str) -> Self {
        let bearer = Bearer(format!("Bearer {token}").parse().unwrap());
        let through = || InterceptedService::new(channel.clone(), bearer.clone());
        Self {
            login: LoginServiceClient::new(through()),
            oidc: LoginOidcServiceClient::new(through()),
            bankid: LoginBankIdServiceClient::new(through()),
            session: SessionServiceClient::new(through()),
            password: PasswordServiceClient::new(through()),
            reset: PasswordResetServiceClient::new(through()),
        }
    }

    /// Logs in with whatever is given.
    pub async fn log_in(&self, attempt: Attempt<'_>) -> Result<proto::LoginWithPasswordResponse, Status> {
        self.login.clone().login_with_password(attempt.request()).await.map(tonic::Response::into_inner)
    }

    /// Logs in and takes the session; panics if there is none.
    pub async fn session(&self, attempt: Attempt<'_>) -> proto::SessionTokens {
        match self.log_in(attempt).await.unwrap().outcome.unwrap() {
            Outcome::Session(tokens) => tokens,
            Outcome::PasswordChangeRequired(_) => panic!("the password must be changed first"),
        }
    }

    /// Verifies an access token.
    pub async fn verify(
        &self,
        access_token: &str,
        organization: &str,
        portal: proto::Portal,
    ) -> Result<proto::VerifySessionResponse, Status> {
        let request = proto::VerifySessionRequest {
            access_token: access_token.to_owned(),
            organization: organization.to_owned(),
            portal: portal.into(),
        };
        self.session.clone().verify_session(request).await.map(tonic::Response::into_inner)
    }

    /// Refreshes a session.
    pub async fn refresh(&self, refresh_token: &str) -> Result<proto::SessionTokens, Status> {
        let request = proto::RefreshSessionRequest { refresh_token: refresh_token.to_owned(), client: None };
        let answer = self.session.clone().refresh_session(request).await?;
        Ok(answer.into_inner().session.unwrap())
    }
}

/// A login with its usual values.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The organization.
    pub organization: &'a str,
    /// The portal.
    pub portal: proto::Portal,
    /// As typed.
    pub login_name: &'a str,
    /// As typed.
    pub password: &'a str,
    /// The end user's address.
    pub ip: &'a str,
    /// From an earlier login, or empty.
    pub device_token: &'a str,
}

impl<'a> Attempt<'a> {
    /// At the parent portal of the Swedish organization, from one address.
    pub fn new(login_name: &'a str, password: &'a str) -> Self {
        let (organization, portal) = (KOMMUN, proto::Portal::Parent);
        Self { organization, portal, login_name, password, ip: "192.0.2.7", device_token: "" }
    }

    /// The same from another address.
    pub fn from(self, ip: &'a str) -> Self {
        Self { ip, ..self }
    }

    /// The same with a device token.
    pub fn with_device(self, device_token: &'a str) -> Self {
        Self { device_token, ..self }
    }

    /// The message.
    pub fn request(self) -> proto::LoginWithPasswordRequest {
        proto::LoginWithPasswordRequest {
            organization: self.organization.to_owned(),
            portal: self.portal.into(),
            login_name: self.login_name.to_owned(),
            password: self.password.to_owned(),
            client: Some(proto::ClientContext {
                ip: self.ip.to_owned(),
                user_agent: "tests".to_owned(),
                device_token: self.device_token.to_owned(),
            }),
        }
    }
}

/// The rows that any guardian needs before it: a school and a child.
pub fn school_and_child() -> Vec<Value> {
    vec![
        json!({"type": "school", "key": "s-1", "name": "Granskolan"}),
        json!({"type": "child", "key": "c-1", "given_name": "Maja", "family_name": "Ek", "school": "s-1"}),
    ]
}

/// A guardian of child `c-1` with a confirmed link, a user name at the parent portal, and a password if there is a hash.
pub fn guardian(key: &str, user_name: &str, hash: Option<&str>) -> Value {
    let mut row = json!({
        "type": "guardian",
        "key": key,
        "given_name": "Kim",
        "family_name": "Ek",
        "user_names": [{"portal": "parent", "name": user_name}],
        "child_links": [{"child": "c-1", "confirmed": true}],
    });
    if let Some(hash) = hash {
        row["password"] = json!({"portal": "parent", "hash": hash, "must_change": false});
    }
    row
}

/// A hash with parameters of a test's choice.
pub async fn hash_with(parameters: HashParameters, password: &str) -> String {
    let settings = PoolSettings { parameters, workers: NonZeroUsize::MIN, places: 1 };
    let metrics = HasherMetrics::register(&mut Registry::default());
    let pool = Argon2Pool::start(settings, Arc::new(SystemEntropy), metrics).unwrap();
    let password = NewPassword::already_in_use(Secret::new(password.to_owned()));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let hash = pool.hash(&password, deadline).await.unwrap();
    pool.shutdown().await;
    hash.as_str().to_owned()
}

/// A hash with the parameters of [`cheap`], which a service of tests has as its live ones.
pub async fn hash(password: &str) -> String {
    hash_with(cheap(), password).await
}

/// The name of the reason in a status.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_details_error_info().map_or_else(String::new, |info| info.reason)
}

/// A value of the metadata of a status' reason.
pub fn metadata(status: &Status, key: &str) -> Option<String> {
    use tonic_types::StatusExt as _;
    status.get_details_error_info()?.metadata.remove(key)
}

/// A GET over HTTP/1.1: status and body.
pub async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}
