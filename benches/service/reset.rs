//! Requests for reset links through gRPC: beside the one row that they cannot do without, and with the mail server away.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bed::Bed;
use super::clients::Portal;
use super::database::Database;
use super::figures::Results;
use super::login::seeded_with_mail;
use super::mail_server::MailServer;
use super::open_loop::open_loop;
use super::process::free_port;
use super::service::{Backends, Installation};
use super::windows::{Pairs, Spent, Timing, alternate, closed_loop, percentile_ms};

/// Requests at a time, through the service and bare.
const IN_FLIGHT: usize = 16;
/// Rows before anything is measured. A write-ahead log that grows costs the file system more at each commit than one
/// that begins again at its front: SQLite's grows to 4,000 pages, a few for each row.
const WARM_UP: usize = 3000;
/// Connections of the portal.
const CONNECTIONS: usize = 4;

/// Requests each second while the mail server goes and comes.
const REQUESTS_PER_S: f64 = 50.0;
/// More guardians than mails of one budget: each gets three at once.
const GUARDIANS: usize = 2000;
/// How long the outbox may take when the server is back: its longest break is 30 s.
const CATCHING_UP: Duration = Duration::from_secs(90);

/// SQLite and limits in the process.
pub async fn sqlite(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    measure(bed, Backends::Embedded, "reset_ratio", timing, results).await
}

/// PostgreSQL and Redis.
pub async fn postgres(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    measure(bed, Backends::Shared, "reset_ratio_postgres", timing, results).await
}

/// The service has its workers on, as it is installed: while it takes requests in, it settles those before them and
/// sends their mails to a server that answers at once. More come in than it settles, so the workers never rest.
///
/// The bare rows go into another database, on the same disk or the same server, which the service has migrated: the
/// same columns, indexes, durability and number of clients and connections. The service stands still meanwhile, in the
/// middle of what it was doing: it would take processor time and the disk from them.
async fn measure(
    bed: &Bed,
    backends: Backends,
    key: &'static str,
    timing: Timing,
    results: &mut Results,
) -> anyhow::Result<()> {
    let mail = MailServer::start(bed, free_port()?, Duration::ZERO)?;
    let installation = seeded_with_mail(bed, backends, timing.few, mail.port()).await?;
    let other = Installation::new(bed, backends).await?;
    other.migrate().await?;
    let database = Database::connect(&other.location).await?;
    let service = installation.start().await?;
    let portal = service.portal(CONNECTIONS).await?;
    let turn = Arc::new(AtomicUsize::new(0));
    warm_up(&portal, &database, timing.few).await?;
    let (mut of_ours, mut of_bare) = (Spent::default(), Spent::default());
    let pairs = alternate(
        timing,
        async |window| {
            of_ours.on(window, &service.process, requests(window, &portal, &turn, timing.few)).await
        },
        async |window| {
            let _frozen = service.process.freeze()?;
            of_bare.on(window, &service.process, rows(window, &database, &turn, timing.few)).await
        },
    )
    .await?;
    let mails = mail.accepted().await?;
    let costs = format!("a request {}, a row {}", of_ours.note(), of_bare.note());
    results.put(key, pairs.ratio(), format!("{}; {costs}; {mails} mails meanwhile", pairs.note("/s")));
    Ok(())
}

async fn warm_up(portal: &Portal, database: &Database, guardians: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for lane in 0..IN_FLIGHT {
        let (portal, database) = (portal.clone(), database.clone());
        tasks.spawn(async move {
            for turn in (lane..WARM_UP).step_by(IN_FLIGHT) {
                portal.request_reset(turn, turn % guardians).await?;
                database.insert_request(turn % guardians).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Requests for a window, of one guardian after the other; requests per second.
async fn requests(
    window: Duration,
    portal: &Portal,
    turn: &Arc<AtomicUsize>,
    guardians: usize,
) -> anyhow::Result<f64> {
    let portal = portal.clone();
    closed_loop(window, IN_FLIGHT, turn, move |turn| {
        let portal = portal.clone();
        async move {
            portal.request_reset(turn, turn % guardians).await.context("a request for a reset link")?;
            Ok(())
        }
    })
    .await
}

async fn rows(
    window: Duration,
    database: &Database,
    turn: &Arc<AtomicUsize>,
    guardians: usize,
) -> anyhow::Result<f64> {
    let database = database.clone();
    closed_loop(window, IN_FLIGHT, turn, move |turn| {
        let database = database.clone();
        async move { database.insert_request(turn % guardians).await }
    })
    .await
}

/// What a caller waits for while the mail server is away, and while it is there.
///
/// On SQLite: there callers and workers share one writing connection, so that is where mails could be felt. A phase
/// begins when nothing is left of the one before: what had gathered has been sent, and its 50 requests a second are
/// settled and mailed as they come. Requests go out on the hour, and their time counts from then.
pub async fn smtp_down(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let port = free_port()?;
    let installation = seeded_with_mail(bed, Backends::Embedded, GUARDIANS, port).await?;
    let service = installation.start().await?;
    let portal = service.portal(CONNECTIONS).await?;
    let database = Database::connect(&installation.location).await?;
    let mut next = 0;
    let (mut p50, mut p99) = (Pairs::default(), Pairs::default());
    let mut count = 0;
    for pair in 0..=timing.pairs {
        // The first pair is short, and does not count.
        let phase = if pair == 0 { timing.window / 5 } else { timing.window * 2 };
        let (mut down, mut up) = (Vec::new(), Vec::new());
        latencies(phase, &portal, &mut next, &mut down).await?;
        let _mail = MailServer::start(bed, port, Duration::ZERO)?;
        database.drained(CATCHING_UP).await?;
        latencies(phase, &portal, &mut next, &mut up).await?;
        database.drained(CATCHING_UP).await?;
        if pair > 0 {
            count += up.len();
            p50.a.push(percentile_ms(&mut down, 0.50));
            p50.b.push(percentile_ms(&mut up, 0.50));
            p99.a.push(percentile_ms(&mut down, 0.99));
            p99.b.push(percentile_ms(&mut up, 0.99));
        }
    }
    let note =
        |pairs: &Pairs| format!("{}; {count} requests each, {REQUESTS_PER_S}/s, SQLite", pairs.note("ms"));
    results.put("reset_smtp_down_p50_ratio", p50.ratio(), note(&p50));
    results.put("reset_smtp_down_p99_ratio", p99.ratio(), note(&p99));
    Ok(())
}

async fn latencies(
    phase: Duration,
    portal: &Portal,
    next: &mut usize,
    taken: &mut Vec<Duration>,
) -> anyhow::Result<()> {
    let first = *next;
    let calls = open_loop(REQUESTS_PER_S, Instant::now() + phase, |number| {
        let (portal, turn) = (portal.clone(), first + number);
        async move { portal.request_reset(turn, turn % GUARDIANS).await.map(drop) }
    })
    .await;
    *next += calls.len();
    for call in calls {
        call.outcome.context("a request for a reset link")?;
        taken.push(call.took);
    }
    Ok(())
}
