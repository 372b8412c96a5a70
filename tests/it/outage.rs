//! Dependencies die under load: logins go on or say honestly that they cannot, and nobody gets free guesses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use guardian_auth::config::{LimitsBackend, Redis, StoreBackend};
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto::Portal;
use tonic::Code;

use crate::support::eventually;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{Attempt, KOMMUN, Parts, Service, guardian, hash, reason, school_and_child};

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
