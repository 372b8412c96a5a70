//! The service as a process of its own, beside a simulated BankID in this one.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_auth::adapters::system::{SystemClock, SystemEntropy};
use guardian_auth::cli::callers::new_token;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::clock::Clock;
use guardian_auth::simulators::bankid::BankIdSimulator;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

use super::process::{Process, START_DEADLINE, free_port};

/// The one organization.
pub const ORGANIZATION: &str = "sample-kommun";

/// BankID's clock is this much slower than ours, so that no order is given up while all are gathered. The service's own
/// clock is right.
pub const SLOWER: i64 = 20;

/// A clock that begins now and is slow.
struct SlowClock {
    begun: Timestamp,
}

impl Clock for SlowClock {
    fn now(&self) -> Timestamp {
        let real = SystemClock.now().as_millis() - self.begun.as_millis();
        Timestamp::from_millis(self.begun.as_millis() + real / SLOWER)
    }
}

/// A running service with its BankID.
pub struct Installation {
    /// The service's process.
    pub process: Process,
    /// BankID.
    pub bankid: BankIdSimulator,
    /// BankID's port.
    pub bankid_port: u16,
    grpc: SocketAddr,
    /// What the portal calls with.
    pub token: String,
    _directory: TempDir,
}

impl Installation {
    /// A service that bears so many watches over so many connections.
    pub async fn start(watches: usize, connections: usize) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let path = |name: &str| directory.path().join(name);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let bankid_port = listener.local_addr()?.port();
        let clock = Arc::new(SlowClock { begun: SystemClock.now() });
        let bankid = BankIdSimulator::start(listener, clock, Arc::new(SystemEntropy))?;
        std::fs::write(path("ca.pem"), bankid.authorities_pem())?;
        std::fs::write(path("client.pem"), &bankid.client_identity_pem().chain_pem)?;
        std::fs::write(path("client.key"), bankid.client_identity_pem().key_pem.expose())?;
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).context("the system's random source")?;
        std::fs::write(path("master-key"), STANDARD.encode(key))?;
        let (token, digest) = new_token(&SystemEntropy);
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (grpc, ops) = (loopback(free_port()?), loopback(free_port()?));
        let at = directory.path().display();
        let streams = watches.div_ceil(connections) + 10;
        let config = format!(
            "issuer = \"https://login.example.se\"\n\
             [listen]\ngrpc = \"{grpc}\"\nops = \"{ops}\"\nmax_streams = {streams}\n\
             max_connections_per_peer = 1000\n\
             [store]\nbackend = \"sqlite\"\nmigrate_on_start = true\n[store.sqlite]\npath = \"{at}/db.sqlite\"\n\
             [[keys.master]]\nid = \"bench\"\nfile = \"{at}/master-key\"\n\
             [[organizations]]\nid = \"{ORGANIZATION}\"\ndisplay_name = \"Sample kommun\"\nregion = \"SE\"\n\
             portals = [\"parent\"]\n\
             [organizations.limits.eid_organization]\nburst = 1000000\nrefill = \"1ms\"\n\
             [organizations.limits.eid_network]\nburst = 1000000\nrefill = \"1ms\"\n\
             [organizations.limits.network]\nburst = 1000000\nrefill = \"1ms\"\n\
             [organizations.bankid]\nenvironment = \"other\"\nurl = \"{}\"\nca_file = \"{at}/ca.pem\"\n\
             certificate_file = \"{at}/client.pem\"\nkey_file = \"{at}/client.key\"\n\
             referring_domain = \"portal.example.se\"\n\
             [[callers]]\nname = \"sample-portal\"\nkind = \"portal\"\ntoken_sha256 = [\"{digest}\"]\n\
             organizations = [\"{ORGANIZATION}\"]\nportals = [\"parent\"]\nmay_assert_client_ip = true\n",
            bankid.base_url(),
        );
        std::fs::write(path("guardian-auth.toml"), config)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-auth"));
        command.arg("--config").arg(path("guardian-auth.toml")).arg("serve");
        let mut process = Process::start(&mut command, Stdio::null(), &path("serve.log"), Signal::TERM)?;
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(grpc).await.is_err() {
            process.must_run().context("guardian-auth serve")?;
            anyhow::ensure!(begun.elapsed() < START_DEADLINE, "the service does not serve in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let token = token.expose().clone();
        Ok(Self { process, bankid, bankid_port, grpc, token, _directory: directory })
    }

    /// A connection of the portal.
    pub async fn connect(&self) -> anyhow::Result<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.grpc))?.connect().await?)
    }

    /// Connections that are open to BankID's port now, from its side.
    pub fn upstream_connections(&self) -> anyhow::Result<usize> {
        // "sl local_address rem_address st …": 01 is ESTABLISHED, addresses are hexadecimal.
        let table = std::fs::read_to_string("/proc/net/tcp").context("/proc/net/tcp cannot be read")?;
        let port = format!(":{:04X}", self.bankid_port);
        let is_open = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() > 3 && fields[1].ends_with(&port) && fields[3] == "01"
        };
        Ok(table.lines().filter(is_open).count())
    }
}
