//! A mail server that takes every mail and keeps none, as a process of its own on this machine.
//!
//! It is written here because it shares the cores with what is measured: a mail costs it some tens of microseconds, and
//! an interpreter some milliseconds, more than the service itself. It speaks plain TCP, which the service allows on
//! loopback only.

use std::io::{BufRead as _, BufReader as LineReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::bed::Bed;
use super::process::Process;
use super::windows::number;

/// The server as a process. It ends with the value.
pub struct MailServer {
    process: Process,
    address: SocketAddr,
}

impl MailServer {
    /// Starts it on this port. It waits for `pause` before each answer, as one does that is away from here and looks
    /// things up.
    pub fn start(bed: &Bed, port: u16, pause: Duration) -> anyhow::Result<Self> {
        let log = bed.directory("mail-server")?.join("log");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["mail-server", &port.to_string(), &pause.as_millis().to_string()]);
        let mut process = Process::start(&mut command, Stdio::piped(), &log, Signal::KILL)?;
        let mut line = String::new();
        LineReader::new(process.output().context("no pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| process.log_tail())?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many mails it took.
    pub async fn accepted(&self) -> anyhow::Result<usize> {
        Ok(self.ask("HELP").await?.parse()?)
    }

    /// Mails a second between these two, counted from 1.
    pub async fn rate(&self, first: usize, last: usize) -> anyhow::Result<f64> {
        let micros: u64 = self.ask(&format!("HELP {first} {last}")).await?.parse()?;
        Ok(number((last - first) as u64) / Duration::from_micros(micros).as_secs_f64())
    }

    /// Its processor time.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        self.process.cpu()
    }

    async fn ask(&self, command: &str) -> anyhow::Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        line.clear();
        stream.read_line(&mut line).await?;
        let answer = line.trim_end().strip_prefix("214 ");
        Ok(answer.with_context(|| format!("{command} was answered {line:?}"))?.to_owned())
    }
}

/// When each mail was taken.
type Taken = Arc<Mutex<Vec<Instant>>>;

/// Serves until it is killed.
pub async fn serve(port: u16, pause: Duration) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    drop(out);
    let taken = Taken::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that hangs up ends its own conversation only.
        tokio::spawn(converse(stream, pause, Arc::clone(&taken)));
    }
}

async fn converse(stream: TcpStream, pause: Duration, taken: Taken) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut answer = "220 ready".to_owned();
    loop {
        if !pause.is_zero() && !answer.starts_with("214") {
            tokio::time::sleep(pause).await;
        }
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if answer.starts_with("354") {
            while line != b".\r\n" {
                line.clear();
                if stream.read_until(b'\n', &mut line).await? == 0 {
                    return Ok(());
                }
            }
            taken.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            "250 taken".clone_into(&mut answer);
            continue;
        }
        line.clear();
        if answer.starts_with("221") || stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        answer = reply(&String::from_utf8_lossy(&line), &taken);
    }
}

fn reply(line: &str, taken: &Taken) -> String {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("EHLO" | "MAIL" | "RCPT" | "RSET") => "250 fine".to_owned(),
        Some("DATA") => "354 go on".to_owned(),
        Some("QUIT") => "221 bye".to_owned(),
        // Not what a mail server says, but where it may say something.
        Some("HELP") => {
            let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            let mut at = || taken.get(words.next()?.parse::<usize>().ok()?.checked_sub(1)?).copied();
            match at().zip(at()) {
                Some((first, last)) => format!("214 {}", last.saturating_duration_since(first).as_micros()),
                None => format!("214 {}", taken.len()),
            }
        }
        _ => "500 what".to_owned(),
    }
}
