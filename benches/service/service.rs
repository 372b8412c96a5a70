//! The service as it is installed: the real program with a configuration file, as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::cli::callers::new_token;
use guardian_auth::domain::secret::Secret;
use rustix::process::Signal;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::bed::Bed;
use super::process::{Process, START_DEADLINE, free_port};

/// The one organization.
pub const ORGANIZATION: &str = "sample-kommun";

/// The one master key, and its file.
const KEY: &str = "bench";
const KEY_FILE: &str = "master-key";

/// What an organization needs to send links, and limits that no benchmark reaches.
const WRITES_WITHOUT_LIMIT: &str = "[organizations.mail]\nfrom_name = \"Sample kommun\"\n\
     from_address = \"skola@kommun.example\"\ncontact = \"Servicecenter, 010-555 55 55\"\n\
     [organizations.pages.parent]\nhome = \"https://portal.example.se/\"\n\
     reset = \"https://portal.example.se/reset#{token}\"\n\
     [organizations.reset]\nmethods = [\"debtor_number_and_email\"]\n\
     [organizations.limits.reset_organization]\nburst = 1000000\nrefill = \"1ms\"\n\
     [organizations.limits.reset_network]\nburst = 1000000\nrefill = \"1ms\"\n";

/// Database and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backends {
    /// SQLite, counters in the process.
    Embedded,
    /// PostgreSQL, counters in Redis.
    Shared,
}

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Location {
    /// The file.
    Sqlite(PathBuf),
    /// The URL.
    Postgres(String),
}

/// A database with its configuration; the service can be started on it again and again.
pub struct Installation {
    program: PathBuf,
    directory: PathBuf,
    config: PathBuf,
    /// The configuration without where it listens.
    settings: String,
    grpc: SocketAddr,
    /// Its database.
    pub location: Location,
    /// What the portal calls with.
    pub token: String,
}

/// A running service. It ends with the value.
pub struct Service {
    /// Its process.
    pub process: Process,
    /// From the start of the process to SERVING.
    pub started_in: Duration,
    grpc: SocketAddr,
    token: String,
}

impl Installation {
    /// An empty database of these backends.
    pub async fn new(bed: &Bed, backends: Backends) -> anyhow::Result<Self> {
        Self::with(bed, backends, String::new(), "").await
    }

    /// The same, with reset links by the mail server on this port. As many may be asked for as a benchmark can ask.
    pub async fn with_mail(bed: &Bed, backends: Backends, port: u16) -> anyhow::Result<Self> {
        let mail = format!(
            "[mail]\nbackend = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n"
        );
        Self::with(bed, backends, mail, WRITES_WITHOUT_LIMIT).await
    }

    /// The same as [`Self::new`] on SQLite, with a provider of eIDs at this port.
    pub async fn with_provider(bed: &Bed, port: u16) -> anyhow::Result<Self> {
        let provider = format!(
            "[[organizations.oidc]]\nid = \"slow\"\ndisplay_name = \"Slow eID\"\n\
             issuer = \"http://127.0.0.1:{port}\"\nclient_id = \"bench\"\nclient_auth = \"client_secret_basic\"\n\
             client_secret = \"bench\"\nredirect_uri = \"https://portal.example.se/slow\"\n\
             identifier = {{ claims = [\"ssn\"], scheme = \"se_pnr\" }}\n\
             [organizations.limits.eid_network]\nburst = 1000000\nrefill = \"1ms\"\n"
        );
        // The tables of the organization come before those of its list.
        let (list, limits) =
            provider.split_at(provider.find("[organizations.limits").unwrap_or(provider.len()));
        Self::with(bed, Backends::Embedded, String::new(), &format!("{limits}{list}")).await
    }

    /// The same as [`Self::new`], with a portal of staff; and the token that this portal calls with.
    pub async fn with_staff(bed: &Bed, backends: Backends) -> anyhow::Result<(Self, String)> {
        let (token, digest) = new_token(&SystemEntropy);
        let caller = format!(
            "[[callers]]\nname = \"sample-admin\"\nkind = \"admin_portal\"\ntoken_sha256 = [\"{digest}\"]\n\
             organizations = [\"{ORGANIZATION}\"]\nportals = [\"staff\"]\n"
        );
        let portals = "\"parent\", \"staff\"";
        let installation = Self::with_portals(bed, backends, caller, portals, "").await?;
        Ok((installation, token.expose().clone()))
    }

    async fn with(bed: &Bed, backends: Backends, mail: String, writes: &str) -> anyhow::Result<Self> {
        Self::with_portals(bed, backends, mail, "\"parent\"", writes).await
    }

    async fn with_portals(
        bed: &Bed,
        backends: Backends,
        more: String,
        portals: &str,
        writes: &str,
    ) -> anyhow::Result<Self> {
        let directory = bed.directory("service")?;
        let (token, digest) = new_token(&SystemEntropy);
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).context("the system's random source")?;
        let key_file = directory.join(KEY_FILE);
        std::fs::write(&key_file, STANDARD.encode(key))?;
        let location = match backends {
            Backends::Embedded => Location::Sqlite(directory.join("guardian-auth.sqlite")),
            Backends::Shared => Location::Postgres(bed.database().await?),
        };
        let parts = match &location {
            Location::Sqlite(file) => format!(
                "[store]\nbackend = \"sqlite\"\nmigrate_on_start = true\n[store.sqlite]\npath = \"{}\"\n",
                file.display()
            ),
            Location::Postgres(url) => format!(
                "[store]\nbackend = \"postgres\"\nmigrate_on_start = true\n[store.postgres]\nurl = \"{url}\"\n\
                 [limits]\nbackend = \"redis\"\n[limits.redis]\nurl = \"redis://127.0.0.1:{}/0\"\n",
                bed.redis_port().await?
            ),
        };
        let settings = format!(
            "{parts}{more}\
             [[keys.master]]\nid = \"{KEY}\"\nfile = \"{}\"\n\
             [[organizations]]\nid = \"{ORGANIZATION}\"\ndisplay_name = \"Sample kommun\"\nregion = \"SE\"\n\
             portals = [{portals}]\n{writes}\
             [[callers]]\nname = \"sample-portal\"\nkind = \"portal\"\ntoken_sha256 = [\"{digest}\"]\n\
             organizations = [\"{ORGANIZATION}\"]\nportals = [\"parent\"]\nmay_assert_client_ip = true\n",
            key_file.display()
        );
        Self::configured(bed.program.clone(), directory, settings, location, token.expose().clone())
    }

    /// One more process on the same database, with the same keys and callers.
    pub fn replica(&self) -> anyhow::Result<Self> {
        let directory = self.directory.join("replica");
        std::fs::create_dir(&directory)?;
        self.beside(directory, self.settings.clone())
    }

    /// One more process on the same database, which traces every call and exports to a collector there.
    pub fn traced(&self, collector: SocketAddr) -> anyhow::Result<Self> {
        let directory = self.directory.join("traced");
        std::fs::create_dir(&directory)?;
        let traces = format!("[traces]\nendpoint = \"http://{collector}/v1/traces\"\nsample_ratio = 1.0\n");
        let settings = format!("{traces}{}", self.settings);
        self.beside(directory, settings)
    }

    fn beside(&self, directory: PathBuf, settings: String) -> anyhow::Result<Self> {
        let (location, token) = (self.location.clone(), self.token.clone());
        Self::configured(self.program.clone(), directory, settings, location, token)
    }

    fn configured(
        program: PathBuf,
        directory: PathBuf,
        settings: String,
        location: Location,
        token: String,
    ) -> anyhow::Result<Self> {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (grpc, ops) = (loopback(free_port()?), loopback(free_port()?));
        let listen = format!("[listen]\ngrpc = \"{grpc}\"\nops = \"{ops}\"\n");
        let config = directory.join("guardian-auth.toml");
        std::fs::write(&config, format!("issuer = \"https://login.example.se\"\n{listen}{settings}"))?;
        Ok(Self { program, directory, config, settings, grpc, location, token })
    }

    /// What the service seals with.
    pub fn vault(&self) -> anyhow::Result<DerivedKeyVault> {
        let bytes = STANDARD.decode(std::fs::read_to_string(self.directory.join(KEY_FILE))?)?;
        let key = bytes.try_into().ok().context("the master key has another length")?;
        Ok(DerivedKeyVault::new(&[MasterKey { id: KEY.to_owned(), key: Secret::new(key) }])?)
    }

    /// Makes the tables.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        let log = self.directory.join("migrate.log");
        let mut process = Process::start(&mut self.command(&["migrate"]), Stdio::null(), &log, Signal::TERM)?;
        loop {
            if let Some(status) = process.ended()? {
                anyhow::ensure!(status.success(), "the migration failed: {}", process.log_tail());
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Imports a directory file. The time that it took and the most memory that it had, in MiB.
    pub async fn import(&self, file: &Path) -> anyhow::Result<(Duration, f64)> {
        let log = self.directory.join("import.log");
        let mut command = self.command(&["import", "--organization", ORGANIZATION]);
        command.arg(file);
        let begun = Instant::now();
        let mut process = Process::start(&mut command, Stdio::null(), &log, Signal::TERM)?;
        let mut most_mib: f64 = 0.0;
        loop {
            // Gone for an ending process, which is no failure.
            most_mib = most_mib.max(process.memory_mib("VmHWM").unwrap_or(0.0));
            if let Some(status) = process.ended()? {
                anyhow::ensure!(status.success(), "the import failed: {}", process.log_tail());
                return Ok((begun.elapsed(), most_mib));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the service and waits until it says that it serves. Its log goes nowhere: how fast a disk or a collector
    /// takes it is not measured here.
    pub async fn start(&self) -> anyhow::Result<Service> {
        let log = self.directory.join("serve.log");
        let begun = Instant::now();
        let mut process = Process::start(&mut self.command(&["serve"]), Stdio::null(), &log, Signal::TERM)?;
        while !is_serving(self.grpc).await {
            process.must_run().context("guardian-auth serve")?;
            anyhow::ensure!(begun.elapsed() < START_DEADLINE, "the service does not serve in time");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Service { process, started_in: begun.elapsed(), grpc: self.grpc, token: self.token.clone() })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).args(words);
        command
    }
}

impl Service {
    /// Connections of one portal, and the token that it calls with.
    pub async fn portal(&self, connections: usize) -> anyhow::Result<super::clients::Portal> {
        super::clients::Portal::connect(self.grpc, connections, &self.token).await
    }

    /// A connection for health checks.
    pub async fn health(&self) -> anyhow::Result<HealthClient<Channel>> {
        Ok(HealthClient::new(self.channel().await?))
    }

    /// A connection.
    pub async fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.grpc))?.connect().await?)
    }
}

async fn is_serving(address: SocketAddr) -> bool {
    let ask = async {
        let channel = Endpoint::from_shared(format!("http://{address}")).ok()?.connect().await.ok()?;
        let request = HealthCheckRequest { service: String::new() };
        Some(HealthClient::new(channel).check(request).await.ok()?.into_inner().status())
    };
    ask.await == Some(ServingStatus::Serving)
}
