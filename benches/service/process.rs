//! Processes that the benchmark starts: they end with the value, and their memory can be read.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to come up, on a busy machine.
pub const START_DEADLINE: Duration = Duration::from_secs(30);
/// How long one may take to end before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A process that ends with the value.
pub struct Process {
    child: Child,
    end: Signal,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose output on standard error goes to `log`, and whose standard output goes to `out`. `end` is
    /// the signal that ends it well.
    pub fn start(command: &mut Command, out: Stdio, log: &Path, end: Signal) -> anyhow::Result<Self> {
        let errors = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn();
        let child = child.with_context(|| format!("{} does not start", command.get_program().display()))?;
        Ok(Self { child, end, log: log.to_owned() })
    }

    /// Its standard output, once, if that is a pipe.
    pub fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Holds it where it is until the value is dropped.
    pub fn freeze(&self) -> anyhow::Result<Frozen> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::STOP)?;
        Ok(Frozen(process))
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails with the end of its log if it has ended.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("it ended with {status}:\n{}", self.log_tail()),
        }
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    /// A figure of memory from `/proc`, in MiB: `VmRSS` now, `VmHWM` at most so far.
    pub fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.with_context(|| format!("{path} has no {name}"))? / 1024.0)
    }
}

/// A process that stands still. It goes on when the value is dropped.
pub struct Frozen(Pid);

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // It may end by itself in between.
        let _ = kill_process(Pid::from_child(&self.child), self.end);
        let patience = Instant::now() + STOP_DEADLINE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > patience {
                drop(self.child.kill());
                drop(self.child.wait());
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The processor time that this process has used.
pub fn own_cpu() -> anyhow::Result<Duration> {
    cpu_of("self")
}

fn cpu_of(process: &str) -> anyhow::Result<Duration> {
    /// Linux counts in hundredths of a second, whatever its own clock.
    const TICK: Duration = Duration::from_millis(10);
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // "pid (any name) state …", user and system time as 14th and 15th.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).with_context(|| format!("{path} has no times"))?;
    Ok(TICK * (user + system))
}

/// What the cores of this machine have done so far, for whomever.
#[derive(Clone, Copy, Debug)]
pub struct CoreTimes {
    busy: Duration,
    whole: Duration,
}

impl CoreTimes {
    /// As of now.
    pub fn now() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
        let ticks: Option<Vec<u64>> = stat.lines().next().and_then(|line| {
            // "cpu user nice system idle iowait irq softirq …", in hundredths of a second.
            line.strip_prefix("cpu ")?.split_whitespace().take(8).map(|field| field.parse().ok()).collect()
        });
        let ticks = ticks.filter(|ticks| ticks.len() == 8).context("/proc/stat has no times")?;
        let whole: u64 = ticks.iter().sum();
        let hundredths = |ticks| Duration::from_millis(10 * ticks);
        Ok(Self { busy: hundredths(whole - ticks[3] - ticks[4]), whole: hundredths(whole) })
    }

    /// The share of the time since `earlier` in which they were busy.
    pub fn busy_since(&self, earlier: &Self) -> f64 {
        let span = |later: Duration, earlier| later.saturating_sub(earlier).as_secs_f64();
        span(self.busy, earlier.busy) / span(self.whole, earlier.whole)
    }
}

/// A loopback port on which nothing listens.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Asks until the answer is yes.
pub async fn eventually(
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let patience = Instant::now() + START_DEADLINE;
    while !condition().await? {
        anyhow::ensure!(Instant::now() < patience, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Looks on PATH, then in `elsewhere`.
pub fn find_program(name: &str, elsewhere: &[PathBuf], package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(elsewhere.iter().cloned())
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is missing: install {package} (`apt-get install {package}`), or run tests/run, which does"))
}
