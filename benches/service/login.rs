//! Logins through gRPC beside the bare hashing that they cannot do without.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use guardian_auth::adapters::argon2::{HashWorker, OUTPUT_BYTES, PoolSettings, SALT_BYTES};
use guardian_auth::domain::password::HashParameters;

use super::bed::Bed;
use super::clients::Portal;
use super::figures::Results;
use super::guardians;
use super::service::{Backends, Installation};
use super::windows::{Spent, Timing, alternate, closed_loop, number};

/// Logins at a time: four for each hashing thread of two cores, so that a thread never waits for the next one.
pub const IN_FLIGHT: usize = 8;

/// The threads' niceness in the pool.
const NICENESS: i32 = 10;

/// SQLite and limits in the process.
pub async fn sqlite(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    measure(bed, Backends::Embedded, "login_ratio", timing, results).await
}

/// PostgreSQL and Redis.
pub async fn postgres(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    measure(bed, Backends::Shared, "login_ratio_postgres", timing, results).await
}

async fn measure(
    bed: &Bed,
    backends: Backends,
    key: &'static str,
    timing: Timing,
    results: &mut Results,
) -> anyhow::Result<()> {
    let installation = seeded(bed, backends, timing.few).await?;
    let service = installation.start().await?;
    let portal = service.portal(1).await?;
    let (turn, mut bench) = (Arc::new(AtomicUsize::new(0)), HashBench::new());
    let (mut of_login, mut of_hash) = (Spent::default(), Spent::default());
    let pairs = alternate(
        timing,
        async |window| {
            of_login.on(window, &service.process, logins(window, &portal, &turn, timing.few)).await
        },
        async |window| of_hash.on(window, &service.process, bench.run(window)).await,
    )
    .await?;
    let costs = format!("a login {}, a hash {}", of_login.note(), of_hash.note());
    results.put(key, pairs.ratio(), format!("{}; {costs}", pairs.note("/s")));
    Ok(())
}

/// An installation with so many guardians.
pub async fn seeded(bed: &Bed, backends: Backends, guardians: usize) -> anyhow::Result<Installation> {
    with_guardians(bed, Installation::new(bed, backends).await?, guardians).await
}

/// The same, and it writes to them by the mail server on this port.
pub async fn seeded_with_mail(
    bed: &Bed,
    backends: Backends,
    guardians: usize,
    mail_port: u16,
) -> anyhow::Result<Installation> {
    with_guardians(bed, Installation::with_mail(bed, backends, mail_port).await?, guardians).await
}

/// The same on SQLite, with a provider of eIDs at this port.
pub async fn seeded_with_provider(bed: &Bed, guardians: usize, port: u16) -> anyhow::Result<Installation> {
    with_guardians(bed, Installation::with_provider(bed, port).await?, guardians).await
}

async fn with_guardians(
    bed: &Bed,
    installation: Installation,
    guardians: usize,
) -> anyhow::Result<Installation> {
    let file = bed.directory("directory")?.join("guardians.jsonl");
    guardians::write(&file, guardians)?;
    installation.import(&file).await?;
    std::fs::remove_file(&file)?;
    Ok(installation)
}

/// Right logins for a window, of one guardian after the other; logins per second.
pub async fn logins(
    window: Duration,
    portal: &Portal,
    turn: &Arc<AtomicUsize>,
    guardians: usize,
) -> anyhow::Result<f64> {
    let portal = portal.clone();
    closed_loop(window, IN_FLIGHT, turn, move |turn| {
        let portal = portal.clone();
        async move {
            portal.access_token(turn, turn % guardians).await.context("a login with the right password")?;
            Ok(())
        }
    })
    .await
}

/// The pool's own hash code in memory that is kept, on as many plain threads as the service has.
struct HashBench {
    workers: Vec<HashWorker>,
}

impl HashBench {
    fn new() -> Self {
        let live = HashParameters::default();
        let threads = PoolSettings::for_this_machine(live).workers.get();
        Self { workers: (0..threads).map(|_| HashWorker::new(live)).collect() }
    }

    /// Hashes per second.
    async fn run(&mut self, window: Duration) -> anyhow::Result<f64> {
        let end = Instant::now() + window;
        let mut done = 0;
        let threads: Vec<_> =
            self.workers.drain(..).map(|worker| thread::spawn(move || hash_until(worker, end))).collect();
        tokio::time::sleep_until(end.into()).await;
        for thread in threads {
            let (worker, hashes) = thread.join().map_err(|_| anyhow::anyhow!("a hash panicked"))??;
            self.workers.push(worker);
            done += hashes;
        }
        Ok(number(done) / window.as_secs_f64())
    }
}

fn hash_until(mut worker: HashWorker, end: Instant) -> anyhow::Result<(HashWorker, u64)> {
    // On Linux niceness belongs to the thread.
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS)?;
    let (live, salt, mut output) = (HashParameters::default(), [7; SALT_BYTES], [0; OUTPUT_BYTES]);
    let mut done = 0;
    loop {
        worker.run(live, guardians::PASSWORD.as_bytes(), &salt, &mut output)?;
        if Instant::now() > end {
            return Ok((worker, done));
        }
        done += 1;
    }
}
