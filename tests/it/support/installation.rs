//! What a municipality runs: replicas of the real binary with files in a directory, on PostgreSQL and Redis.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::domain::caller::TokenDigest;
use guardian_auth::domain::password::HashParameters;
use guardian_auth::ports::clock::Clock as _;
use serde_json::Value;
use tempfile::TempDir;

use super::ports::free_port;
use super::process::{self, PROGRAM, Process};
use super::redis::shared_redis;
use super::service::{KOMMUN, Parts, Service, TestClock, hash_with};

/// The weakest hash that a configuration may ask for.
pub fn weakest_hash() -> HashParameters {
    HashParameters::new(7168, 5, 1).unwrap()
}

/// A hash as the installation makes them.
pub async fn weakest_hash_of(password: &str) -> String {
    hash_with(weakest_hash(), password).await
}

/// The files of an installation, its database, and a service in this process that has stopped.
pub struct Installation {
    /// Made the database and its keys; knows the callers' tokens.
    pub service: Service,
    directory: TempDir,
}

impl Installation {
    /// With an empty database of the Swedish organization. Its clock is the machine's: that of the replicas.
    pub async fn new() -> Self {
        let clock = TestClock::at(SystemClock.now());
        let service = Service::start_on(Arc::clone(&clock), Parts::Shared, |_| {}).await;
        let directory = tempfile::tempdir().unwrap();
        let installation = Self { service, directory };
        let first = &installation.service.config().keys.master[0];
        let key = base64::engine::general_purpose::STANDARD.encode(first.key.expose());
        installation.write("master-key-dev", &key);
        installation.write("database-url", &installation.service.store_location());
        installation.write("redis-url", &shared_redis());
        installation
    }

    /// Takes rows of a directory file in.
    pub async fn import(&self, rows: &[Value]) {
        self.service.import(KOMMUN, rows).await;
    }

    /// Writes a file, whole or not at all.
    pub fn write(&self, name: &str, content: &str) {
        let unfinished = self.path(&format!("{name}.new"));
        std::fs::write(&unfinished, content).unwrap();
        std::fs::rename(unfinished, self.path(name)).unwrap();
    }

    /// Makes a master key.
    pub fn make_master_key(&self, id: &str) {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).unwrap();
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        self.write(&format!("master-key-{id}"), &key);
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A replica that has no configuration yet.
    pub fn replica(&self, name: &str) -> Replica {
        let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Replica { file: self.path(&format!("{name}.toml")), grpc: address(), ops: address() }
    }

    /// Writes the configuration of a replica.
    pub fn configure(&self, replica: &Replica, settings: &Settings<'_>) {
        let name = replica.file.file_name().unwrap().to_str().unwrap();
        self.write(name, &self.configuration(replica, settings));
    }

    fn configuration(&self, replica: &Replica, settings: &Settings<'_>) -> String {
        let digest = |caller: &str| {
            let token = self.service.token(caller);
            TokenDigest::of(&token).to_string()
        };
        let keys: String = settings
            .master_keys
            .iter()
            .map(|id| {
                let file = self.path(&format!("master-key-{id}"));
                format!("[[keys.master]]\nid = \"{id}\"\nfile = \"{}\"\n", file.display())
            })
            .collect();
        let tls = settings.tls.map_or_else(String::new, |(chain, key)| {
            format!(
                "[listen.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
                self.path(chain).display(),
                self.path(key).display()
            )
        });
        format!(
            r#"
issuer = "https://auth.example.se"
[listen]
grpc = "{grpc}"
ops = "{ops}"
max_connections_per_peer = 2000
{listen}
{tls}
[store]
backend = "postgres"
migrate_on_start = false
[store.postgres]
url_file = "{database}"
max_connections = 10
[limits]
backend = "redis"
replicas = 2
[limits.redis]
url_file = "{redis}"
timeout = "1s"
[hash]
workers = 2
queue = 256
memory_kib = 7168
passes = 5
[log]
level = "{log}"
{keys}
[[organizations]]
id = "{KOMMUN}"
display_name = "Sample kommun"
region = "SE"
portals = ["parent", "staff"]
[[callers]]
name = "{KOMMUN}-portal"
kind = "portal"
token_sha256 = ["{portal}"]
organizations = ["{KOMMUN}"]
portals = ["parent", "staff"]
may_assert_client_ip = true
[[callers]]
name = "{KOMMUN}-admin"
kind = "admin_portal"
token_sha256 = ["{admin}"]
organizations = ["{KOMMUN}"]
portals = ["staff"]
{more}
"#,
            grpc = replica.grpc,
            ops = replica.ops,
            listen = settings.listen,
            database = self.path("database-url").display(),
            redis = self.path("redis-url").display(),
            log = settings.log,
            portal = digest(&format!("{KOMMUN}-portal")),
            admin = digest(&format!("{KOMMUN}-admin")),
            more = settings.more,
        )
    }
}

/// What a test may choose.
pub struct Settings<'a> {
    /// Further keys of `listen`.
    pub listen: &'a str,
    /// Certificate and key of the gRPC port, names of files.
    pub tls: Option<(&'a str, &'a str)>,
    /// Ids of the master keys, the active one first.
    pub master_keys: &'a [&'a str],
    /// What is logged.
    pub log: &'a str,
    /// Further sections.
    pub more: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self { listen: "", tls: None, master_keys: &["dev"], log: "info", more: "" }
    }
}

/// Where a replica listens, also after a restart, and its configuration file.
pub struct Replica {
    file: PathBuf,
    /// For calls.
    pub grpc: SocketAddr,
    /// For health and metrics.
    pub ops: SocketAddr,
}

impl Replica {
    /// Its configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Starts it; returns when it serves.
    pub fn start(&self) -> Process {
        self.start_program(Path::new(PROGRAM))
    }

    /// The same with the program of another version.
    pub fn start_program(&self, program: &Path) -> Process {
        // Reads the first lines of its log, which takes a while.
        tokio::task::block_in_place(|| Process::start_by(process::serve_by(program, &self.file)))
    }
}
