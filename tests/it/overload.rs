//! More logins at once than there is room for: refused at once, in bounded memory, with everything else still answering.

use std::time::Duration;

use base64::Engine as _;
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::cli::callers::new_token;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::full_size;
use crate::support::process::Process;
use crate::support::service::{Attempt, Calls, http_get, reason, sum_of};

const ORGANIZATION: &str = "sample-kommun";
/// Connections, logins at once, and connections without a request.
fn crowd() -> (usize, usize, usize) {
    if full_size() { (100, 10_000, 1000) } else { (20, 600, 200) }
}
const MEMORY_LIMIT_MIB: u64 = 128;

/// The real binary, with the real cost of a hash.
struct Overloaded {
    process: Process,
    token: String,
    _directory: tempfile::TempDir,
}

impl Overloaded {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (token, digest) = new_token(&SystemEntropy);
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).unwrap();
        std::fs::write(path("master-key"), base64::engine::general_purpose::STANDARD.encode(key)).unwrap();
        let config = format!(
            r#"
issuer = "https://auth.example.se"
[listen]
grpc = "127.0.0.1:0"
ops = "127.0.0.1:0"
max_connections_per_peer = 2000
[store]
backend = "sqlite"
migrate_on_start = true
[store.sqlite]
path = "{sqlite}"
[hash]
workers = 2
queue = 16
[[keys.master]]
id = "test"
file = "{key}"
[[organizations]]
id = "{ORGANIZATION}"
display_name = "Sample kommun"
region = "SE"
portals = ["parent"]
[[callers]]
name = "portal"
kind = "portal"
token_sha256 = ["{digest}"]
organizations = ["{ORGANIZATION}"]
portals = ["parent"]
may_assert_client_ip = true
"#,
            sqlite = path("store.sqlite").display(),
            key = path("master-key").display(),
        );
        std::fs::write(path("config.toml"), config).unwrap();
        let process = Process::start(&path("config.toml"));
        Self { process, token: token.expose().clone(), _directory: directory }
    }

    fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    async fn connect(&self) -> Calls {
        self.process.calls(&self.token).await
    }
}

/// B30 and B31, in the size of a test; the benchmark measures the figures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b31_memory_is_bounded_when_many_log_in_at_once() {
    let (connections, logins, silent_connections) = crowd();
    let overloaded = Overloaded::start();
    let mut silent = Vec::new();
    for _ in 0..silent_connections {
        silent.push(TcpStream::connect(overloaded.process.grpc).await.unwrap());
    }
    let mut portals = Vec::new();
    for _ in 0..connections {
        portals.push(overloaded.connect().await);
    }
    let mut attempts = JoinSet::new();
    for number in 0..logins {
        let portal = portals[number % connections].clone();
        attempts.spawn(async move {
            let (name, ip) =
                (format!("user-{number}"), format!("198.51.{}.{}", number / 250 % 250, number % 250 + 1));
            portal.log_in(Attempt::new(&name, "some password or other").from(&ip)).await.unwrap_err()
        });
    }
    // Everything else answers meanwhile.
    for path in ["/live", "/ready", "/metrics"] {
        let answer =
            tokio::time::timeout(Duration::from_secs(5), http_get(overloaded.process.ops, path)).await;
        assert_eq!(answer.expect("ops answers under load").0, 200, "{path}");
    }
    let (mut checked, mut refused) = (0, 0);
    while let Some(status) = attempts.join_next().await {
        let status = status.unwrap();
        match (status.code(), reason(&status).as_str()) {
            (Code::Unauthenticated, "INVALID_CREDENTIALS") => checked += 1,
            (Code::ResourceExhausted, "OVERLOADED") => {
                use tonic_types::StatusExt as _;
                let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
                assert!(wait.is_some_and(|wait| wait >= Duration::from_secs(1)), "{status:?}");
                refused += 1;
            }
            _ => panic!("{status:?}"),
        }
    }
    assert!(checked >= 16, "what fits the queue is checked: {checked}");
    assert!(refused > 0, "what does not fit is refused");
    let metrics = http_get(overloaded.process.ops, "/metrics").await.1;
    let runs = sum_of(&metrics, "guardian_auth_hash_runs_total", "purpose=\"verify\"");
    assert!((runs - f64::from(checked)).abs() < 0.5, "{runs} runs for {checked} checked passwords");
    let peak = overloaded.peak_memory_mib();
    assert!(peak <= MEMORY_LIMIT_MIB, "{peak} MiB");
    drop(silent);
}
