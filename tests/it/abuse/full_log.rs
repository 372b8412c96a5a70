//! Nobody takes the log: calls go on, what is lost is counted, and the process ends when it is told to.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::eventually;
use crate::support::ports::free_port;
use crate::support::process::serve;
use crate::support::service::{http_get, sum_of};

use super::target::{Installation, PortalBeside};

/// A process that says to nobody where it listens.
struct Unheard {
    child: Child,
    grpc: SocketAddr,
    ops: SocketAddr,
    token: String,
    _directory: tempfile::TempDir,
}

impl Unheard {
    async fn start(stdout: impl FnOnce() -> Stdio) -> Self {
        let [grpc, ops] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let installation = Installation::make(&format!("grpc = \"{grpc}\"\nops = \"{ops}\""));
        installation.import().await;
        let mut command: Command = serve(&installation.config);
        let child = command.stdout(stdout()).spawn().unwrap();
        let started =
            Self { child, grpc, ops, token: installation.token, _directory: installation.directory };
        eventually(Duration::from_secs(30), "the process answers", async || {
            tokio::net::TcpStream::connect(grpc).await.is_ok()
        })
        .await;
        started
    }

    async fn lost(&self) -> f64 {
        sum_of(&http_get(self.ops, "/metrics").await.1, "guardian_auth_log_lines_dropped_total", "")
    }

    /// Ends in time, whatever becomes of the last lines.
    async fn ends(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        eventually(Duration::from_secs(20), "the process ends", async || {
            self.child.try_wait().unwrap().is_some_and(|status| status.success())
        })
        .await;
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_log_on_a_full_disk_is_lost_and_counted_and_calls_go_on() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let unheard = Unheard::start(full).await;
    let portal = PortalBeside::log_in(unheard.grpc, &unheard.token, None).await;
    for _ in 0..20 {
        portal.verify().await.unwrap();
    }
    // One line for each call, and those of the start.
    eventually(Duration::from_secs(10), "lost lines are counted", async || unheard.lost().await >= 21.0)
        .await;
    unheard.ends().await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_call_and_no_end() {
    let (reader, writer) = std::io::pipe().unwrap();
    let unheard = Unheard::start(|| Stdio::from(writer)).await;
    // A pipe holds 64 KiB, and a line has 200 bytes or more.
    let portal = PortalBeside::log_in(unheard.grpc, &unheard.token, None).await;
    for _ in 0..600 {
        portal.verify().await.unwrap();
    }
    unheard.ends().await;
    drop(reader);
}
