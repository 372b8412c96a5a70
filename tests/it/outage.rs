//! Dependencies die under load: logins go on or say honestly that they cannot, and nobody gets free guesses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use guardian_auth::config::{Config, LimitsBackend, Redis, StoreBackend};
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto::Portal;
use tonic::Code;

use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{
    Attempt, Calls, KOMMUN, Parts, Service, guardian, hash, reason, school_and_child,
};
use crate::support::{eventually, full_size};

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
const DECISIONS: &str = "guardian_auth_limiter_decisions_total";
const RUNS: &str = "guardian_auth_hash_runs_total";

async fn import_guardians(service: &Service, count: usize) {
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    rows.extend(
        (0..count).map(|number| guardian(&format!("g-{number}"), &format!("user-{number}"), Some(&hash))),
    );
    service.import(KOMMUN, &rows).await;
}

async fn service_on(redis: &RedisServer) -> Service {
    let url = redis.url();
    Service::start_with(Parts::Shared, |config| {
        let timeout = Duration::from_millis(50);
        config.limits.backend = LimitsBackend::Redis(Box::new(Redis::standalone(Secret::new(url), timeout)));
        config.limits.replicas = 2;
    })
    .await
}

/// B24: Redis is killed, comes back, and is frozen, while guardians log in: none of them notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b24_no_login_fails_while_redis_is_away() {
    let mut redis = RedisServer::start().await;
    let service = service_on(&redis).await;
    import_guardians(&service, 20).await;
    let portal = service.portal(KOMMUN).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load: Vec<_> = (0..4)
        .map(|lane: usize| {
            let (portal, stop, done) = (portal.clone(), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let mut number = lane;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("user-{}", number % 20);
                    let tokens = portal.session(Attempt::new(&name, PASSWORD)).await;
                    portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                    number += 4;
                }
            })
        })
        .collect();
    let more = async |what: &str| {
        let before = done.load(Ordering::Relaxed);
        eventually(Duration::from_secs(20), what, async || done.load(Ordering::Relaxed) >= before + 20).await;
    };
    let shared = async || service.metric(DECISIONS, "mode=\"shared\"").await;
    let local = async || service.metric(DECISIONS, "mode=\"local\"").await;
    more("logins before the outage").await;
    redis.kill9();
    more("logins without Redis").await;
    let before = local().await;
    assert!(before > 0.0, "decided from local counters");
    redis.restart().await;
    let before = shared().await;
    eventually(Duration::from_secs(4), "decisions by Redis again", async || shared().await > before).await;
    redis.sigstop();
    let before = local().await;
    more("logins with a frozen Redis").await;
    assert!(local().await > before, "decided from local counters");
    redis.sigcont();
    let before = shared().await;
    eventually(Duration::from_secs(4), "decisions by Redis again", async || shared().await > before).await;
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("no login failed");
    }
}

/// B25: Redis is away, and an attacker guesses at one account from many networks through both replicas.
#[tokio::test]
async fn b25_no_free_guesses_while_redis_is_away() {
    let mut redis = RedisServer::start().await;
    let service = service_on(&redis).await;
    import_guardians(&service, 1).await;
    let other = {
        let url = redis.url();
        service
            .replica_with(|config| {
                let timeout = Duration::from_millis(50);
                config.limits.backend =
                    LimitsBackend::Redis(Box::new(Redis::standalone(Secret::new(url), timeout)));
                config.limits.replicas = 2;
            })
            .await
    };
    redis.kill9();
    let (first, second) = (service.portal(KOMMUN).await, other.portal(KOMMUN).await);
    for number in 0..60 {
        let ip = format!("198.51.{}.{}", number / 250, number % 250 + 1);
        for (portal, name) in
            [(&first, "user-0"), (&second, "user-0"), (&first, "nobody"), (&second, "nobody")]
        {
            let status = portal.log_in(Attempt::new(name, "a wrong guess").from(&ip)).await.unwrap_err();
            assert!(matches!(status.code(), Code::Unauthenticated | Code::ResourceExhausted), "{status:?}");
        }
    }
    // The clock stands still, so nothing is refilled: 10 / 2 for each replica and name, known or not.
    for service in [&service, &other] {
        let runs = service.metric(RUNS, "purpose=\"verify\"").await;
        assert!((10.0..=12.0).contains(&runs), "{runs} runs for two names");
    }
}

/// B27: the database stops in the middle. A right password is never called wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b27_a_database_outage_is_never_called_invalid_credentials() {
    let mut postgres = PostgresServer::start().await;
    let url = postgres.url();
    let service = Service::start_with(Parts::Embedded, |config| {
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url.clone()), max_connections: 4 };
    })
    .await;
    let import = {
        let mut config = service.config();
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections: 2 };
        config
    };
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    rows.push(guardian("g-0", "user-0", Some(&hash)));
    service.import_with(&import, KOMMUN, &rows).await;
    let portal = service.portal(KOMMUN).await;
    let tokens = portal.session(Attempt::new("user-0", PASSWORD)).await;

    postgres.stop();
    let began = Instant::now();
    for _ in 0..5 {
        let status = portal.log_in(Attempt::new("user-0", PASSWORD)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(reason(&status), "DEPENDENCY_UNAVAILABLE");
    }
    let each = began.elapsed() / 5;
    assert!(each < Duration::from_millis(2500), "an outage took {each:?} to be told");
    let verified = portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await;
    assert!(verified.is_ok(), "verification needs no database: {verified:?}");
    let refused = portal.refresh(&tokens.refresh_token).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");

    postgres.restart().await;
    eventually(Duration::from_secs(3), "logins after the restart", async || {
        match portal.log_in(Attempt::new("user-0", PASSWORD)).await {
            Ok(_) => true,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                false
            }
        }
    })
    .await;
    portal.refresh(&tokens.refresh_token).await.expect("the session outlived the outage");
}

/// What a guardian who types the right password hears while the database has a fault.
#[derive(Default)]
struct Heard {
    logins: AtomicU32,
    unavailable: AtomicU32,
    /// The longest wait for an answer, ms.
    longest_ms: AtomicU32,
}

impl Heard {
    async fn one_login(&self, portal: &Calls, name: &str) {
        let began = Instant::now();
        let mut request = tonic::Request::new(Attempt::new(name, PASSWORD).request());
        request.set_timeout(DEADLINE);
        match portal.login.clone().login_with_password(request).await {
            Ok(_) => self.logins.fetch_add(1, Ordering::Relaxed),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                assert_eq!(reason(&status), "DEPENDENCY_UNAVAILABLE", "{status:?}");
                self.unavailable.fetch_add(1, Ordering::Relaxed)
            }
        };
        let taken = u32::try_from(began.elapsed().as_millis()).unwrap();
        self.longest_ms.fetch_max(taken, Ordering::Relaxed);
    }
}

/// The deadline that is advised for a login.
const DEADLINE: Duration = Duration::from_secs(5);

/// Logins by many guardians, until `stop`; each must be told the truth.
fn guardians_log_in(
    portal: &Calls,
    heard: &Arc<Heard>,
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let lane = |lane: usize| {
        let (portal, heard, stop) = (portal.clone(), Arc::clone(heard), Arc::clone(stop));
        tokio::spawn(async move {
            let mut number = lane;
            while !stop.load(Ordering::Relaxed) {
                heard.one_login(&portal, &format!("user-{}", number % 20)).await;
                number += 8;
            }
        })
    };
    (0..8).map(lane).collect()
}

async fn on_server(url: String) -> Service {
    let on_server = move |config: &mut Config| {
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections: 8 };
    };
    let service = Service::start_with(Parts::Embedded, on_server.clone()).await;
    let mut import = service.config();
    on_server(&mut import);
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    rows.extend(
        (0..20).map(|number| guardian(&format!("g-{number}"), &format!("user-{number}"), Some(&hash))),
    );
    service.import_with(&import, KOMMUN, &rows).await;
    service
}

/// B27 under load: each fault of the server and of the way to it. No right password is called wrong, every answer comes
/// within its deadline, and logins go well 3 s after the fault is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b27_under_load_every_fault_of_the_database_is_told_in_time_and_over_soon() {
    let mut postgres = PostgresServer::start().await;
    let proxy = FaultProxy::in_front_of(&postgres.url()).await;
    let service = on_server(proxy.url()).await;
    let portal = service.portal(KOMMUN).await;
    let (heard, stop) = (Arc::new(Heard::default()), Arc::new(AtomicBool::new(false)));
    let load = guardians_log_in(&portal, &heard, &stop);
    let logins = || heard.logins.load(Ordering::Relaxed);
    let unavailable = || heard.unavailable.load(Ordering::Relaxed);
    let back = async |what: &str| {
        let before = logins();
        eventually(Duration::from_secs(3), what, async || logins() > before + 8).await;
    };
    let told = async |what: &str| {
        let before = unavailable();
        eventually(Duration::from_secs(20), what, async || unavailable() >= before + 8).await;
    };
    back("logins before").await;

    let outage = if full_size() { Duration::from_secs(10) } else { Duration::from_secs(2) };
    postgres.stop();
    let since = Instant::now();
    eventually(outage * 10, "the outage lasts", async || since.elapsed() >= outage && unavailable() >= 8)
        .await;
    postgres.restart().await;
    back("logins after a restart").await;

    postgres.sigstop();
    told("a frozen server").await;
    postgres.sigcont();
    back("logins when it goes on").await;

    for mode in [Mode::Blackhole, Mode::OneBytePerSecond, Mode::Reset] {
        proxy.set(mode);
        told("a fault of the network").await;
        proxy.set(Mode::Pass);
        back("logins when the network is well").await;
    }

    // Slow and not dead: some logins go well, the others are told.
    proxy.set(Mode::Latency(Duration::from_millis(200)));
    let before = (logins(), unavailable());
    eventually(Duration::from_secs(20), "answers over a slow line", async || {
        logins() + unavailable() >= before.0 + before.1 + 16
    })
    .await;
    proxy.set(Mode::Pass);
    back("logins when it is fast again").await;

    stop.store(true, Ordering::Relaxed);
    for lane in load {
        lane.await.expect("nobody was told something else");
    }
    let longest = Duration::from_millis(heard.longest_ms.load(Ordering::Relaxed).into());
    assert!(longest <= DEADLINE + Duration::from_millis(50), "an answer took {longest:?}");
    println!("{} logins, {} told; the longest answer took {longest:?}", logins(), unavailable());
}
