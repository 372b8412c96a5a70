//! A store of one's own, on SQLite or PostgreSQL, with the flow that imports into it and a way to look inside.

use std::path::Path;
use std::sync::Arc;

use guardian_auth::adapters::directory_file::DirectoryFile;
use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::store::{SqlStore, StoreConfig, StoreMetrics};
use guardian_auth::adapters::system::{SystemClock, SystemEntropy};
use guardian_auth::domain::organization::Organization;
use guardian_auth::domain::password::HashParameters;
use guardian_auth::domain::secret::Secret;
use guardian_auth::flows::directory_import::{DirectoryImport, Summary};
use prometheus_client::registry::Registry;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tempfile::TempDir;

use super::Noted;
use crate::support::postgres::TestDatabase;

enum Place {
    Directory(TempDir),
    Database(TestDatabase),
}

pub struct Home {
    pub import: DirectoryImport,
    pub store: Arc<SqlStore>,
    place: Place,
}

impl Home {
    /// One on each kind of database: every test runs on both.
    pub async fn both() -> [Self; 2] {
        [Self::on_sqlite().await, Self::on_postgres().await]
    }

    pub async fn on_sqlite() -> Self {
        Self::at(Place::Directory(tempfile::tempdir().expect("a temporary directory"))).await
    }

    pub async fn on_postgres() -> Self {
        Self::at(Place::Database(TestDatabase::create().await)).await
    }

    async fn at(place: Place) -> Self {
        let config = match &place {
            Place::Directory(directory) => {
                StoreConfig::Sqlite { path: directory.path().join("store.sqlite") }
            }
            Place::Database(database) => {
                StoreConfig::Postgres { url: Secret::new(database.url()), pool_size: 4 }
            }
        };
        let metrics = StoreMetrics::register(&mut Registry::default());
        let store = Arc::new(SqlStore::connect(&config, &metrics).await.expect("the store opens"));
        store.migrate().await.expect("the migrations apply");
        let master = MasterKey { id: "test".to_owned(), key: Secret::new([7; 32]) };
        let import = DirectoryImport {
            store: store.clone(),
            vault: Arc::new(DerivedKeyVault::new(&[master]).expect("a master key")),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            live_parameters: HashParameters::default(),
        };
        Self { import, store, place }
    }

    /// Imports a file that must be read to its end.
    pub async fn import(&self, organization: &Organization, file: &str) -> (Summary, Noted) {
        let mut report = Noted::default();
        let mut rows = DirectoryFile::new(file.as_bytes());
        let summary =
            self.import.run(organization, &mut rows, &mut report).await.expect("the file is read to its end");
        (summary, report)
    }

    /// Asks the database itself, for what no port tells: rows of one text column.
    pub async fn texts(&self, question: &str) -> Vec<String> {
        sqlx::any::install_default_drivers();
        let url = match &self.place {
            Place::Directory(directory) => {
                format!("sqlite:{}", directory.path().join("store.sqlite").display())
            }
            Place::Database(database) => database.url(),
        };
        let mut connection = AnyConnection::connect(&url).await.expect("a connection");
        let rows = sqlx::query(AssertSqlSafe(question.to_owned())).fetch_all(&mut connection).await;
        let texts = rows.expect("an answer").iter().map(|row| row.get(0)).collect();
        connection.close().await.expect("it closes");
        texts
    }

    /// The directory of the database file, where there is one.
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(directory) => Some(directory.path()),
            Place::Database(_) => None,
        }
    }

    /// Everything that an import writes about an organization, without ids and times.
    pub async fn state(&self, organization: &Organization) -> Vec<String> {
        let id = organization.id.as_str();
        let guardian = "guardian.organization = '{id}'";
        let mut state = Vec::new();
        for question in [
            "SELECT 'school ' || source_key || ' ' || name FROM school WHERE organization = '{id}'".to_owned(),
            "SELECT 'child ' || child.source_key || ' ' || given_name || ' ' || family_name || ' ' || school.source_key \
             FROM child JOIN school ON school.id = school_id WHERE child.organization = '{id}'"
                .to_owned(),
            format!(
                "SELECT 'guardian ' || source_key || ' ' || given_name || ' ' || family_name || ' ' || locale || ' ' || \
                 coalesce(email_delivered, '-') || ' ' || coalesce(email_canonical, '-') || ' ' || \
                 coalesce(mobile_delivered, '-') || ' ' || coalesce(mobile_canonical, '-') FROM guardian WHERE {guardian}"
            ),
            // Spare names are random.
            format!(
                "SELECT 'login ' || source_key || ' ' || portal || ' ' || guardian_login.kind || ' ' || \
                 CASE WHEN is_spare = 1 THEN '(spare)' ELSE login_name END \
                 FROM guardian_login JOIN guardian ON guardian.id = guardian_id WHERE {guardian}"
            ),
            format!(
                "SELECT 'number ' || source_key || ' ' || scheme FROM guardian_identifier \
                 JOIN guardian ON guardian.id = guardian_id WHERE retired_ms IS NULL AND {guardian}"
            ),
            format!(
                "SELECT 'link ' || guardian.source_key || ' ' || child.source_key || ' ' || coalesce(confirmed_by, '-') \
                 FROM child_link JOIN guardian ON guardian.id = guardian_id JOIN child ON child.id = child_id WHERE {guardian}"
            ),
            format!(
                "SELECT 'contract ' || source_key || ' ' || coalesce(confirmed_by, '-') \
                 FROM contract JOIN guardian ON guardian.id = guardian_id WHERE {guardian}"
            ),
            format!(
                "SELECT 'credential ' || source_key || ' ' || portal || ' ' || hash FROM credential \
                 JOIN guardian ON guardian.id = guardian_id WHERE {guardian}"
            ),
        ] {
            state.extend(self.texts(&question.replace("{id}", id)).await);
        }
        state.sort();
        state
    }
}
