//! Decisions of the limiter beside the bare `EVALSHA` commands that it sends: the same keys, one connection each.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context as _;
use guardian_auth::adapters::limiter::{
    BucketKeys, LimiterKey, LimiterMetrics, MemoryLimiter, RedisLimiter, RedisSettings, RedisTopology,
    ResilientLimiter,
};
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::domain::client::Network;
use guardian_auth::domain::identifier::{LeadingZeros, LoginName};
use guardian_auth::domain::limits::{Lane, LimitPolicy, Quota, Reservation, password_reservation};
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::rate_limiter::{Decision, Ledger, RateLimiter};
use prometheus_client::registry::Registry;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, IntoConnectionInfo as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bed::Bed;
use super::figures::Results;
use super::guardians;
use super::process::eventually;
use super::service::ORGANIZATION;
use super::windows::{Timing, alternate, closed_loop, number};

/// Attempts of as many guardians, in turn.
const ATTEMPTS: usize = 1000;
/// Decisions at a time.
const IN_FLIGHT: usize = 32;

/// Measures both. What is charged is never given back, as giving back is not waited for by an attempt: the buckets are
/// so large that all attempts fit.
pub async fn run(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let port = bed.redis_port().await?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let _stopped = stop.clone().drop_guard();
    let limiter = Arc::new(limiter(port, &tasks, &stop)?);
    let reservations: Arc<[Reservation]> = reservations()?.into();
    let first = &reservations[0];
    eventually("the limiter reaches Redis", async || Ok(is_shared(limiter.decide(first).await))).await?;

    let commands = overheard(port, limiter.as_ref(), &reservations).await?;
    let round_trips = number(commands.len() as u64) / number(ATTEMPTS as u64);
    results.put("limiter_round_trips", round_trips, format!("{} commands for {ATTEMPTS}", commands.len()));

    let commands: Arc<[Cmd]> = commands.into();
    let connection = connection(port).await?;
    let turn = Arc::new(AtomicUsize::new(0));
    let decisions = async |window: Duration| {
        let (limiter, reservations) = (Arc::clone(&limiter), Arc::clone(&reservations));
        closed_loop(window, IN_FLIGHT, &turn, move |turn| {
            let (limiter, reservations) = (Arc::clone(&limiter), Arc::clone(&reservations));
            async move {
                let decision = limiter.decide(&reservations[turn % ATTEMPTS]).await;
                anyhow::ensure!(is_shared(decision), "the limiter did not decide by Redis: {decision:?}");
                Ok(())
            }
        })
        .await
    };
    let bare = async |window: Duration| {
        let (connection, commands) = (connection.clone(), Arc::clone(&commands));
        closed_loop(window, IN_FLIGHT, &turn, move |turn| {
            let (mut connection, commands) = (connection.clone(), Arc::clone(&commands));
            async move {
                let answer = connection.send_packed_command(&commands[turn % ATTEMPTS]).await?;
                anyhow::ensure!(answer == redis::Value::Int(0), "the script did not admit: {answer:?}");
                Ok(())
            }
        })
        .await
    };
    let pairs = alternate(timing, decisions, bare).await?;
    results.put("limiter_ratio", pairs.ratio(), pairs.note("/s"));
    Ok(())
}

fn is_shared(decision: Decision) -> bool {
    matches!(decision, Decision::Admitted(Ledger::Shared))
}

/// The limiter of the service. Its budget is wider: a busy machine must not look like an outage.
fn limiter(port: u16, tasks: &TaskTracker, stop: &CancellationToken) -> anyhow::Result<ResilientLimiter> {
    let metrics = LimiterMetrics::register(&mut Registry::default());
    let keys = || BucketKeys::new(LimiterKey::new([7; 32]));
    let local = MemoryLimiter::new(keys(), Arc::new(SystemClock), 1, metrics.clone());
    let url = Secret::new(format!("redis://127.0.0.1:{port}/0"));
    let mut settings = RedisSettings::new(RedisTopology::Standalone { url });
    settings.budget = Duration::from_secs(1);
    let shared = RedisLimiter::start(settings, metrics.clone(), tasks, stop)?;
    Ok(ResilientLimiter::new(keys(), shared, local, metrics))
}

fn reservations() -> anyhow::Result<Vec<Reservation>> {
    // A million decisions and as many bare ones go into the organization's.
    let wide = Quota::new(100_000_000, Duration::from_millis(1));
    let policy = LimitPolicy {
        organization: wide,
        network: wide,
        account: wide,
        account_long: wide,
        account_network: wide,
        device: wide,
        ..LimitPolicy::default()
    };
    let organization = OrganizationId::parse(ORGANIZATION).context("the organization has a name")?;
    (0..ATTEMPTS)
        .map(|guardian| {
            let name = LoginName::parse(&guardians::login_name(guardian), LeadingZeros::Keep)
                .map_err(|rejection| anyhow::anyhow!(rejection.reason()))?;
            let address: Ipv4Addr = guardians::address(guardian).parse()?;
            let network = Network::of(IpAddr::V4(address));
            let lane = Lane::UnknownDevice;
            Ok(password_reservation(&policy, &organization, &name, network, "sample-portal", &lane))
        })
        .collect()
}

async fn connection(port: u16) -> anyhow::Result<MultiplexedConnection> {
    let address = format!("redis://127.0.0.1:{port}/0").into_connection_info()?;
    let tcp = address.tcp_settings().clone().set_nodelay(true);
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(address.set_tcp_settings(tcp))?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// The commands that arrive at Redis while the limiter decides on each reservation once, as `MONITOR` tells them.
async fn overheard(
    port: u16,
    limiter: &dyn RateLimiter,
    reservations: &[Reservation],
) -> anyhow::Result<Vec<Cmd>> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    stream.write_all(b"MONITOR\r\n").await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    anyhow::ensure!(line.starts_with("+OK"), "MONITOR was refused: {line}");
    for reservation in reservations {
        anyhow::ensure!(is_shared(limiter.decide(reservation).await), "a decision without Redis");
    }
    // Marks the end.
    let mut other = connection(port).await?;
    redis::cmd("PING").arg("the end").exec_async(&mut other).await?;
    let mut commands = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        line.clear();
        anyhow::ensure!(stream.read_line(&mut line).await? > 0, "MONITOR ended");
        let (origin, words) = line.split_once(']').context("a line of MONITOR")?;
        let words: Vec<&str> = words.split('"').skip(1).step_by(2).collect();
        match words.as_slice() {
            ["PING", "the end"] => break,
            // What the script itself calls is no round trip; how the other connection introduces itself is not ours.
            ["CLIENT" | "HELLO", ..] => {}
            _ if origin.ends_with(" lua") => {}
            words => {
                seen.insert(words.first().copied().unwrap_or_default().to_owned());
                let mut command = Cmd::new();
                for word in words {
                    command.arg(*word);
                }
                commands.push(command);
            }
        }
    }
    anyhow::ensure!(seen.iter().eq(["EVALSHA"]), "the limiter sent other commands: {seen:?}");
    Ok(commands)
}
