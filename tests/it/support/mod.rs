//! What tests own: servers, databases, ports, names, faults on the line; all of it private and gone afterwards.

pub mod balancer;
pub mod certified_provider;
pub mod collector;
pub mod evil_provider;
pub mod fault_proxy;
pub mod installation;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod redis_sets;
pub mod rust_source;
pub mod service;
pub mod sms_gateway;
pub mod smtp;
pub mod sql;
pub mod staff;

use std::fs::File;
use std::future::Future;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a server of ours may take to come up, on a busy machine.
pub const START_DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds, and fails with `what` when it does not within the `deadline`. The condition is
/// asked every 10 ms. This is the only place in the tests that waits for time to pass.
#[track_caller]
pub fn eventually(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let asked_at = Location::caller();
    async move {
        let poll = async {
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                if condition().await {
                    return;
                }
            }
        };
        assert!(
            tokio::time::timeout(deadline, poll).await.is_ok(),
            "{asked_at}: not within {deadline:?}: {what}"
        );
    }
}

/// A name that no other test has, in this run or in one beside it: `prefix`, then digits of `[0-9a-f_]`.
pub fn unique_name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut random).expect("the system's random source works");
    format!("{prefix}_{count}_{:016x}", u64::from_be_bytes(random))
}

/// Reads what `tests/run` tells the tests.
pub fn told_by_tests_run(variable: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests read the environment")]
    let value = std::env::var(variable);
    value.unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: start the tests with tests/run, which starts the servers that they need"
        )
    })
}

/// Whether tests that have a small and a full size run at full size: minutes instead of seconds.
pub fn full_size() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests read their size")]
    let value = std::env::var("GUARDIAN_AUTH_TEST_FULL");
    value.is_ok_and(|value| value == "1")
}

/// The program of the version before this one, where it is given: restarts then go back and forth between the two.
pub fn previous_program() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests read it")]
    let path = std::env::var("GUARDIAN_AUTH_TEST_PREVIOUS");
    path.ok().map(PathBuf::from)
}

/// Looks for a program on PATH, then in `elsewhere`.
fn find_program(name: &str, elsewhere: &[PathBuf]) -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "PATH is how the system names its programs")]
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(elsewhere.iter().cloned())
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{name} not found on PATH or in {elsewhere:?}: tests/run installs it"))
}

/// A server process of a test. It is killed when the value is dropped.
struct Process(Child);

impl Process {
    /// Starts a program whose output goes to the `log` file.
    fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::create(log).expect("the log file can be made");
        let errors = output.try_clone().expect("the log file can be shared");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        Self(
            child.unwrap_or_else(|error| {
                panic!("{} does not start: {error}", command.get_program().display())
            }),
        )
    }

    fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Sends a signal, unless the process has ended: its number may be another's by then.
    fn signal(&mut self, signal: Signal) {
        assert!(self.is_running(), "the server is down: no {signal:?} for it");
        send_signal(self.id(), signal);
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Waits until the process has ended.
    fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("the server ends")
    }

    /// Ends the process at once. Nothing happens when it has ended before.
    fn kill(&mut self) {
        self.0.kill().expect("the server can be killed");
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process that ends before it is told to is no fault.
fn send_signal(process: Pid, signal: Signal) {
    match kill_process(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("{signal:?} for {process:?}: {error}"),
    }
}

/// The end of a server's log, for the text of a failure.
fn log_tail(file: &Path) -> String {
    let log = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[tokio::test]
async fn eventually_returns_when_the_condition_holds() {
    let mut asked = 0;
    eventually(START_DEADLINE, "asked three times", async || {
        asked += 1;
        asked == 3
    })
    .await;
    assert_eq!(asked, 3);
}

#[tokio::test]
#[should_panic(expected = "not within 30ms: pigs fly")]
async fn eventually_fails_with_its_text() {
    eventually(Duration::from_millis(30), "pigs fly", async || false).await;
}

#[tokio::test]
#[should_panic(expected = "not within 30ms: an answer comes")]
async fn eventually_ends_a_condition_that_hangs() {
    eventually(Duration::from_millis(30), "an answer comes", async || std::future::pending().await).await;
}

#[test]
fn unique_names_differ() {
    assert_ne!(unique_name("a"), unique_name("a"));
}
