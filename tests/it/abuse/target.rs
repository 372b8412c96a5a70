//! The process under attack, with a guardian in its store, and a portal that has nothing to do with the attack.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::app;
use guardian_auth::cli::callers::new_token;
use guardian_auth::cli::import;
use guardian_auth::config::Config;
use guardian_auth::domain::password::HashParameters;
use guardian_auth::proto::Portal;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::support::process::{Process, serve};
use crate::support::service::{
    Attempt, Calls, KOMMUN, guardian, hash_with, http_get, school_and_child, sum_of,
};
use crate::support::{eventually, full_size};

/// The name in the certificate of a process that speaks TLS.
pub const TLS_NAME: &str = "guardian.example";

pub const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

/// Calls of the portal in a second.
const CALLS_PER_SECOND: u32 = 20;
/// Guardians who log in in turns.
const GUARDIANS: u32 = 50;
/// No call of the portal lasts longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Room for what an attack makes us keep, B37.
const MEMORY_MIB: u64 = 64;

/// How long an attack lasts, and how long the portal is alone before.
pub fn spans() -> (Duration, Duration) {
    if full_size() {
        (Duration::from_secs(60), Duration::from_secs(10))
    } else {
        (Duration::from_secs(1), Duration::from_millis(400))
    }
}

/// By how much a p99 of few calls may be off on a machine that runs other tests beside.
fn noise() -> Duration {
    if full_size() { Duration::from_millis(250) } else { Duration::from_secs(4) }
}

/// A process with a guardian and a caller.
pub struct Target {
    pub process: Process,
    pub token: String,
    /// Who signed its certificate, PEM, if it speaks TLS.
    pub authority: Option<String>,
    _directory: TempDir,
}

/// Files that a process can serve with, and the token of its caller.
pub struct Installation {
    pub token: String,
    pub config: PathBuf,
    pub directory: TempDir,
}

impl Installation {
    /// With these lines in `[listen]`, and the database beside the rest.
    pub fn make(listen: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (token, digest) = new_token(&SystemEntropy);
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).unwrap();
        std::fs::write(path("master-key"), base64::engine::general_purpose::STANDARD.encode(key)).unwrap();
        let (grpc, ops) = if listen.contains("grpc =") { ("", "") } else { (ANY_PORT_GRPC, ANY_PORT_OPS) };
        let config = format!(
            r#"
issuer = "https://auth.example.se"
[listen]
{grpc}
{ops}
{listen}
[store]
backend = "sqlite"
migrate_on_start = true
[store.sqlite]
path = "{sqlite}"
[hash]
workers = 2
[[keys.master]]
id = "test"
file = "{key}"
[[organizations]]
id = "{KOMMUN}"
display_name = "Sample kommun"
region = "SE"
portals = ["parent"]
[[callers]]
name = "portal"
kind = "portal"
token_sha256 = ["{digest}"]
organizations = ["{KOMMUN}"]
portals = ["parent"]
may_assert_client_ip = true
"#,
            sqlite = path("store.sqlite").display(),
            key = path("master-key").display(),
        );
        std::fs::write(path("config.toml"), config).unwrap();
        Self { token: token.expose().clone(), config: path("config.toml"), directory }
    }

    /// Puts the guardian into the store.
    pub async fn import(&self) {
        let config = Config::load(Some(&self.config), std::iter::empty()).unwrap();
        let hash = hash_with(HashParameters::new(19_456, 2, 1).unwrap(), PASSWORD).await;
        let mut rows = school_and_child();
        // As many as may log in at once: no account is logged in to in parallel, as none is in the world.
        rows.extend(
            (0..GUARDIANS).map(|it| guardian(&format!("g-{it}"), &format!("user-{it}"), Some(&hash))),
        );
        let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let import = app::directory_import(&config).await.unwrap();
        let organization = app::organization(&config, KOMMUN).unwrap();
        let mut rows = app::directory_rows(std::io::Cursor::new(text.into_bytes()));
        assert_eq!(import::quietly(&import, organization, rows.as_mut()).await.unwrap().rejected, 0);
    }
}

const ANY_PORT_GRPC: &str = "grpc = \"127.0.0.1:0\"";
const ANY_PORT_OPS: &str = "ops = \"127.0.0.1:0\"";

impl Target {
    /// With these lines in `[listen]`.
    pub async fn start(listen: &str) -> Self {
        Self::start_by(listen, serve).await
    }

    /// The same by a command that becomes the process.
    pub async fn start_by(listen: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let Installation { token, config, directory } = {
            let installation = Installation::make(listen);
            installation.import().await;
            installation
        };
        let process = Process::start_by(command(&config));
        Self { process, token, authority: None, _directory: directory }
    }

    /// A portal with a session.
    pub async fn portal(&self) -> PortalBeside {
        PortalBeside::log_in(self.process.grpc, &self.token, self.authority.clone()).await
    }

    /// The sum of a metric's samples whose labels contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        sum_of(&http_get(self.process.ops, "/metrics").await.1, name, labels)
    }

    /// Connections that were closed for this.
    pub async fn closed(&self, why: &str) -> f64 {
        self.metric("guardian_auth_connections_closed_total", &format!("why=\"{why}\"")).await
    }

    /// A line of /proc/PID/status, in MiB.
    pub fn memory_mib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|each| each.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Processor time so far.
    pub fn worked(&self) -> Duration {
        // Linux counts in hundredths of a second for others to see.
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        TICK * (fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap())
    }

    /// B37: attacks for a while, with a portal beside. The attack's tasks end with it.
    pub async fn withstands<A: Future<Output = ()>>(&mut self, what: &str, attack: impl FnOnce() -> A) {
        let (span, alone) = spans();
        let portal = self.portal().await;
        let idle = portal.call_for(alone).await;
        assert!(idle.failures.is_empty(), "{what}: before the attack: {:?}", idle.failures);
        let before = self.memory_mib("VmRSS:");
        // The high-water mark begins anew.
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();

        let worked = self.worked();
        let under_attack = tokio::select! {
            measured = portal.call_for(span) => measured,
            () = attack() => panic!("{what}: the attack ended by itself"),
        };

        let (Measured { calls, failures, p99 }, worked) = (&under_attack, self.worked() - worked);
        assert!(failures.len() * 100 <= *calls, "{what}: of {calls} calls failed {failures:?}");
        let most = 2 * idle.p99 + noise();
        assert!(*p99 <= most, "{what}: p99 {p99:?}, alone {:?}", idle.p99);
        let grown = self.memory_mib("VmHWM:").saturating_sub(before);
        assert!(grown <= MEMORY_MIB, "{what}: {grown} MiB more");
        assert!(self.process.is_running(), "{what}");
        // The portal's, and the one that asks.
        eventually(Duration::from_secs(30), "the attacker's connections are closed", async || {
            self.metric("guardian_auth_connections_open", "").await <= 2.0
        })
        .await;
        let (failed, idle) = (failures.len(), idle.p99);
        println!(
            "{what}: {calls} calls, {failed} failed, p99 {p99:?} (alone {idle:?}), +{grown} MiB, {worked:?} of work"
        );
    }
}

/// What a portal saw.
#[derive(Debug)]
pub struct Measured {
    pub calls: usize,
    pub failures: Vec<String>,
    pub p99: Duration,
}

/// A portal that has nothing to do with the attack.
#[derive(Clone)]
pub struct PortalBeside {
    address: SocketAddr,
    token: String,
    authority: Option<String>,
    access_token: String,
    calls: Option<Calls>,
}

impl PortalBeside {
    /// Logs in.
    pub async fn log_in(address: SocketAddr, token: &str, authority: Option<String>) -> Self {
        let (token, access_token) = (token.to_owned(), String::new());
        let mut portal = Self { address, token, authority, access_token, calls: None };
        let calls = portal.connect().await.unwrap();
        portal.access_token = calls.session(Attempt::new("user-0", PASSWORD)).await.access_token;
        portal.calls = Some(calls);
        portal
    }

    /// A connection of its own.
    async fn connect(&self) -> Result<Calls, String> {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address)).unwrap();
        if let Some(pem) = &self.authority {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)).domain_name(TLS_NAME);
            endpoint = endpoint.tls_config(tls).unwrap();
        }
        let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
        Ok(Calls::new(channel, &self.token))
    }

    /// A login on the connection that it has.
    pub async fn log_in_again(&self) -> Result<(), Status> {
        self.log_in_as(0).await
    }

    async fn log_in_as(&self, guardian: u32) -> Result<(), Status> {
        let (calls, name) = (self.calls.as_ref().unwrap(), format!("user-{guardian}"));
        calls.log_in(Attempt::new(&name, PASSWORD)).await.map(drop)
    }

    /// A verification on the connection that it has.
    pub async fn verify(&self) -> Result<(), Status> {
        let calls = self.calls.as_ref().unwrap();
        calls.verify(&self.access_token, KOMMUN, Portal::Parent).await.map(drop)
    }

    /// Twenty calls a second, on a thread of its own, so that the attacker does not keep it from measuring.
    pub async fn call_for(&self, span: Duration) -> Measured {
        let portal = Self { calls: None, ..self.clone() };
        let (done, measured) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            drop(done.send(runtime.block_on(portal.measure(span))));
        });
        measured.await.unwrap()
    }

    async fn measure(mut self, span: Duration) -> Measured {
        self.calls = Some(self.connect().await.unwrap());
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / CALLS_PER_SECOND);
        let (end, mut calls) = (Instant::now() + span, tokio::task::JoinSet::new());
        for number in 0.. {
            let due = ticks.tick().await;
            if due >= end {
                break;
            }
            let portal = self.clone();
            calls.spawn(async move {
                let called = tokio::time::timeout(PATIENCE, portal.call(number)).await;
                let result = called.unwrap_or_else(|_| Err(format!("call {number} hangs")));
                // From when it was due: who waits in line waits too.
                (due.elapsed(), result)
            });
        }
        let (mut times, mut failures) = (Vec::new(), Vec::new());
        while let Some(call) = calls.join_next().await {
            let (time, result) = call.unwrap();
            times.push(time);
            failures.extend(result.err());
        }
        times.sort();
        let p99 = times[(times.len() * 99).div_ceil(100) - 1];
        Measured { calls: times.len(), failures, p99 }
    }

    /// Mostly verifications, every fifth call a login, every tenth on a new connection.
    async fn call(&self, number: u32) -> Result<(), String> {
        let failed = |status: Status| format!("call {number}: {status:?}");
        if number.is_multiple_of(10) {
            let calls = self.connect().await?;
            return Self { calls: Some(calls), ..self.clone() }.verify().await.map_err(failed);
        }
        let is_login = number % 5 == 1;
        let result =
            if is_login { self.log_in_as(number / 5 % GUARDIANS).await } else { self.verify().await };
        result.map_err(failed)
    }
}
