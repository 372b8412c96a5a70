//! The real binary as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use tonic::transport::Endpoint;

use super::service::{Calls, http_get, sum_of};
use super::{eventually, send_signal};

/// A process that serves. It is killed when the value is dropped.
pub struct Process {
    child: Child,
    /// Where it listens for calls.
    pub grpc: SocketAddr,
    /// The address of health and metrics.
    pub ops: SocketAddr,
    /// What it has logged.
    log: Arc<Mutex<Vec<String>>>,
}

/// The program that is tested.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_guardian-auth");

/// What serves with a configuration file.
pub fn serve(config: &Path) -> Command {
    serve_by(Path::new(PROGRAM), config)
}

/// The same by another program, that of another version.
pub fn serve_by(program: &Path, config: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--config").arg(config).arg("serve");
    command
}

/// The same, started by a shell that runs `before` first: to set limits or mount something.
pub fn serve_after(before: &str, config: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before} && exec \"$@\"")).arg("sh");
    command.arg(PROGRAM).arg("--config").arg(config).arg("serve");
    command
}

impl Process {
    /// Serves with a configuration file; panics if it does not come up.
    pub fn start(config: &Path) -> Self {
        Self::start_by(serve(config))
    }

    /// Serves by a command that becomes the process.
    pub fn start_by(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut first = Vec::new();
        let (grpc, ops) = lines
            .by_ref()
            .find_map(|line| {
                let line = line.unwrap();
                let fields: serde_json::Value = serde_json::from_str(&line).unwrap();
                first.push(line);
                let address = |name: &str| fields[name].as_str()?.parse().ok();
                address("grpc").zip(address("ops"))
            })
            .expect("the process says where it serves");
        let kept = Arc::new(Mutex::new(first));
        // Read on, so that it never waits for us.
        std::thread::spawn({
            let kept = Arc::clone(&kept);
            move || {
                for line in lines.map_while(Result::ok) {
                    kept.lock().unwrap().push(line);
                }
            }
        });
        Self { child, grpc, ops, log: kept }
    }

    /// How many lines of its log so far have this message.
    pub fn said(&self, message: &str) -> usize {
        let lines = self.log.lock().unwrap();
        let line = |line: &String| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON");
        lines.iter().map(line).filter(|line| line["message"] == message).count()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lines that it has logged since it serves, and that contain a text.
    pub fn logged(&self, text: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Tells it to stop, as Kubernetes does.
    pub fn terminate(&self) {
        send_signal(Pid::from_child(&self.child), Signal::TERM);
    }

    /// Tells it to look at its configuration now.
    pub fn hang_up(&self) {
        send_signal(Pid::from_child(&self.child), Signal::HUP);
    }

    /// Waits for its end.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        eventually(deadline, "the process ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// The sum of a metric's samples whose labels contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        sum_of(&http_get(self.ops, "/metrics").await.1, name, labels)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// As `kill -9` does. Nothing happens when it has ended before.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// A connection of its own, with a caller's token.
    pub async fn calls(&self, token: &str) -> Calls {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        Calls::new(endpoint.connect().await.unwrap(), token)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A configuration on a database file in `directory`: the Swedish organization with the portals `parent` and `staff`, and
/// a caller `admin` without anything else.
pub fn minimal_config(directory: &Path) -> String {
    use base64::Engine as _;
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).unwrap();
    let key = base64::engine::general_purpose::STANDARD.encode(key);
    std::fs::write(directory.join("master-key"), key).unwrap();
    let directory = directory.display();
    format!(
        r#"
issuer = "https://auth.example.se"
[listen]
grpc = "127.0.0.1:0"
ops = "127.0.0.1:0"
[store]
backend = "sqlite"
migrate_on_start = true
[store.sqlite]
path = "{directory}/guardian-auth.sqlite"
[[keys.master]]
id = "test"
file = "{directory}/master-key"
[[organizations]]
id = "sample-kommun"
display_name = "Sample kommun"
region = "SE"
portals = ["parent", "staff"]
[[callers]]
name = "admin"
kind = "admin_portal"
token_sha256 = ["{digest}"]
organizations = ["sample-kommun"]
portals = ["staff"]
"#,
        digest = "0".repeat(64),
    )
}
