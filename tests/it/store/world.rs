//! An empty store of one's own, and short ways to fill it.

use std::path::Path;
use std::sync::Arc;

use guardian_auth::adapters::store::{SqlStore, StoreConfig, StoreMetrics};
use guardian_auth::domain::audit::{Fact, SessionEnd};
use guardian_auth::domain::directory::{
    ChildRecord, GuardianLogin, GuardianRecord, ImportedPassword, LoginNameKind, Relation, RowOutcome,
    SchoolRecord, SourceKey,
};
use guardian_auth::domain::id::{ChildId, DeviceId, GuardianId, SchoolId, SessionId};
use guardian_auth::domain::identifier::{LeadingZeros, LoginName};
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::login_password::{Account, Candidates};
use guardian_auth::domain::organization::{OrganizationId, Portal};
use guardian_auth::domain::passphrase::Locale;
use guardian_auth::domain::password::{HashParameters, PasswordHash};
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::session::Session;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{
    DirectoryStore, EndSessions, LoginPasswordStore, PreparedChild, PreparedGuardian, PreparedRow,
    PreparedSchool, SealedNationalId,
};
use prometheus_client::registry::Registry;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tempfile::TempDir;

pub use super::facts::{event, failure, new_session, removal_event, session_of};
use crate::support::postgres::TestDatabase;

/// What must live as long as the store.
enum Home {
    Directory(TempDir),
    Database(TestDatabase),
    Server(String),
}

/// A store with its metrics.
pub struct World {
    pub store: Arc<SqlStore>,
    pub metrics: StoreMetrics,
    pub registry: Registry,
    home: Home,
}

impl World {
    pub async fn on_sqlite() -> Self {
        Self::migrated(Home::Directory(directory())).await
    }

    pub async fn on_postgres() -> Self {
        Self::migrated(Home::Database(TestDatabase::create().await)).await
    }

    /// In the database that a server has from the beginning.
    pub async fn on_server(url: &str) -> Self {
        Self::migrated(Home::Server(url.to_owned())).await
    }

    async fn migrated(home: Home) -> Self {
        let world = Self::unmigrated(home).await;
        world.store.migrate().await.expect("the migrations apply");
        world
    }

    async fn unmigrated(home: Home) -> Self {
        let mut registry = Registry::default();
        let metrics = StoreMetrics::register(&mut registry);
        let store = SqlStore::connect(&home.config(), &metrics).await.expect("the store opens");
        Self { store: Arc::new(store), metrics, registry, home }
    }

    /// An empty database beside this one, of the same kind, without tables.
    pub async fn empty(&self) -> Self {
        let home = match &self.home {
            Home::Directory(_) => Home::Directory(directory()),
            Home::Database(_) | Home::Server(_) => Home::Database(TestDatabase::create().await),
        };
        Self::unmigrated(home).await
    }

    /// The store as another replica sees it.
    pub async fn replica(&self) -> SqlStore {
        SqlStore::connect(&self.home.config(), &self.metrics).await.expect("the store opens")
    }

    /// The address of the database itself.
    pub fn url(&self) -> String {
        self.home.url()
    }

    /// Where its migrations are.
    pub const fn folder(&self) -> &'static str {
        match self.home {
            Home::Directory(_) => "sqlite",
            Home::Database(_) | Home::Server(_) => "postgres",
        }
    }

    /// Asks the database itself, for what no port tells.
    pub async fn number(&self, question: &str) -> i64 {
        let mut connection = AnyConnection::connect(&self.home.url()).await.expect("a connection");
        let row = sqlx::query(AssertSqlSafe(question.to_owned())).fetch_one(&mut connection).await;
        let number = row.expect("an answer").get(0);
        connection.close().await.expect("it closes");
        number
    }

    /// Changes the database itself, for what no port does yet.
    pub async fn change(&self, statement: &str) {
        let mut connection = AnyConnection::connect(&self.home.url()).await.expect("a connection");
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("it runs");
        connection.close().await.expect("it closes");
    }

    /// The same for a change that the database refuses: what it says.
    pub async fn refused(&self, statement: &str) -> String {
        let mut connection = AnyConnection::connect(&self.home.url()).await.expect("a connection");
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await;
        connection.close().await.expect("it closes");
        done.err().map_or_else(String::new, |error| error.to_string())
    }

    /// Imports as the import flow does: known keys keep their ids.
    pub async fn import(&self, rows: Vec<Delivered>) -> Vec<RowOutcome> {
        self.import_into(&organization("sunnanvik"), rows).await
    }

    pub async fn import_into(&self, organization: &OrganizationId, rows: Vec<Delivered>) -> Vec<RowOutcome> {
        let rows = self.prepare(organization, rows).await;
        self.store
            .import_rows(organization, &rows, at(50), &removal_event())
            .await
            .expect("the batch is written")
    }

    pub async fn prepare(&self, organization: &OrganizationId, rows: Vec<Delivered>) -> Vec<PreparedRow> {
        let keys: Vec<SourceKey> = rows.iter().map(|row| row.key().clone()).collect();
        let known = self.store.known_rows(organization, &keys).await.expect("known rows");
        let prepare = |row| match row {
            Delivered::School(record) => PreparedRow::School(PreparedSchool {
                id: known.schools.get(&record.key).cloned().unwrap_or_else(|| SchoolId::new(at(0), random())),
                record,
            }),
            Delivered::Child(record) => PreparedRow::Child(PreparedChild {
                id: known.children.get(&record.key).cloned().unwrap_or_else(|| ChildId::new(at(0), random())),
                record,
            }),
            Delivered::Guardian(record, national_id) => PreparedRow::Guardian(Box::new(PreparedGuardian {
                id: known
                    .guardians
                    .get(&record.key)
                    .cloned()
                    .unwrap_or_else(|| GuardianId::new(at(0), random())),
                record: *record,
                national_id,
            })),
        };
        rows.into_iter().map(prepare).collect()
    }

    /// A guardian of the child `c`, with debtor number and password, confirmed.
    pub async fn guardian(&self, debtor_number: &str) -> Account {
        self.import(vec![school("s"), child("c", "s"), guardian(debtor_number).into()]).await;
        self.account(debtor_number).await
    }

    pub async fn candidates(&self, portal: Portal, name: &str) -> Candidates {
        let organization = organization("sunnanvik");
        self.store.login_candidates(&organization, portal, &login_name(name)).await.expect("candidates")
    }

    pub async fn account(&self, name: &str) -> Account {
        self.candidates(Portal::Parent, name).await.here.expect("an account")
    }

    /// Begins a session of the account as it was read.
    pub async fn log_in(&self, account: &Account) -> Session {
        let session = session_of(account);
        let outcome = self.store.open_session(&new_session(&session)).await.expect("an answer");
        assert_eq!(outcome, guardian_auth::ports::store::OpenOutcome::Opened);
        session
    }

    pub async fn fail(&self, account: &Account, lane: Lane) -> guardian_auth::ports::store::FailureCount {
        self.store.record_login_failure(&failure(&account.guardian, lane)).await.expect("it is counted")
    }

    pub async fn end_all(&self, account: &Account) -> Vec<SessionId> {
        use guardian_auth::ports::store::SessionStore;
        let end = EndSessions {
            guardian: account.guardian.clone(),
            only: None,
            reason: SessionEnd::LoggedOutEverywhere,
            at: at(200),
            event: event(Fact::SessionEnded(SessionEnd::LoggedOutEverywhere), Some(&account.guardian)),
        };
        self.store.end_sessions(&end).await.expect("an answer").sessions
    }
}

impl Home {
    fn config(&self) -> StoreConfig {
        match self {
            Self::Directory(directory) => StoreConfig::Sqlite { path: directory.path().join("store?.db") },
            Self::Database(_) | Self::Server(_) => {
                StoreConfig::Postgres { url: Secret::new(self.url()), pool_size: 10 }
            }
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Directory(directory) => format!("sqlite:{}/store%3F.db", directory.path().display()),
            Self::Database(database) => database.url(),
            Self::Server(url) => url.clone(),
        }
    }
}

/// In memory where the system offers that: a test outlives no power cut, and need not wait for the disk.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// A row as the source delivers it.
#[derive(Clone)]
pub enum Delivered {
    School(SchoolRecord),
    Child(ChildRecord),
    Guardian(Box<GuardianRecord>, Option<SealedNationalId>),
}

impl Delivered {
    fn key(&self) -> &SourceKey {
        match self {
            Self::School(school) => &school.key,
            Self::Child(child) => &child.key,
            Self::Guardian(guardian, _) => &guardian.key,
        }
    }
}

impl From<GuardianRecord> for Delivered {
    fn from(record: GuardianRecord) -> Self {
        Self::Guardian(Box::new(record), None)
    }
}

/// A guardian with a national id.
pub fn numbered(record: GuardianRecord, number: SealedNationalId) -> Delivered {
    Delivered::Guardian(Box::new(record), Some(number))
}

pub fn organization(name: &str) -> OrganizationId {
    OrganizationId::parse(name).expect("an organization")
}

pub fn key(text: &str) -> SourceKey {
    SourceKey::parse(text).expect("a key")
}

pub fn login_name(text: &str) -> LoginName {
    LoginName::parse(text, LeadingZeros::Keep).expect("a login name")
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source works");
    bytes
}

/// A minute of the test's day.
pub const fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + minute * 60_000)
}

/// A hash that no test computes.
pub fn hash(seed: u8) -> PasswordHash {
    hash_with(HashParameters::default(), seed)
}

pub fn hash_with(parameters: HashParameters, seed: u8) -> PasswordHash {
    PasswordHash::new(parameters, &[seed; 16], &[seed; 32]).expect("a hash")
}

pub fn school(name: &str) -> Delivered {
    Delivered::School(SchoolRecord { key: key(name), name: "Sjöskolan".to_owned() })
}

pub fn child(name: &str, school: &str) -> Delivered {
    Delivered::Child(ChildRecord {
        key: key(name),
        given_name: "Alva".to_owned(),
        family_name: "Ek".to_owned(),
        school: key(school),
    })
}

/// A guardian of the child `c`, with debtor number and password, confirmed.
pub fn guardian(debtor_number: &str) -> GuardianRecord {
    GuardianRecord {
        key: key(&format!("g{debtor_number}")),
        given_name: "Maja".to_owned(),
        family_name: "Ek".to_owned(),
        locale: Locale::Sv,
        logins: vec![debtor_login(Portal::Parent, debtor_number)],
        spare_user_names: vec![(Portal::Parent, login_name(&format!("SPARE{debtor_number}")))],
        national_id: None,
        email: None,
        mobile: None,
        relations: vec![child_relation("c", true)],
        password: Some(password(Portal::Parent, 1)),
    }
}

pub fn debtor_login(portal: Portal, debtor_number: &str) -> GuardianLogin {
    GuardianLogin { portal, kind: LoginNameKind::DebtorNumber, name: login_name(debtor_number) }
}

pub fn child_relation(child: &str, confirmed: bool) -> Relation {
    Relation::Child { child: key(child), confirmed }
}

pub fn password(portal: Portal, seed: u8) -> ImportedPassword {
    ImportedPassword { portal, hash: hash(seed), must_change: false }
}

pub fn national_id(seed: u8) -> SealedNationalId {
    SealedNationalId {
        scheme: "se.pnr",
        index: [seed; 32],
        other_indexes: Vec::new(),
        sealed: random::<40>().to_vec(),
        key_id: "k1".to_owned(),
    }
}

pub fn known_device() -> Lane {
    Lane::KnownDevice(DeviceId::new(at(0), random()))
}

#[track_caller]
pub fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, PortError>) {
    let error = result.expect_err("an outage");
    assert!(matches!(error, PortError::Unavailable { .. }), "not an outage: {error}");
}
