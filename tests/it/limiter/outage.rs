//! B24 to B26: Redis dies, hangs, changes role, forgets the script or is full, and decisions go on.

use guardian_auth::adapters::limiter::{DECISION_BUDGET, REDIS_ERRORS};
use guardian_auth::domain::limits::{Lane, LimitPolicy, password_reservation};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::redis::RedisServer;

/// How soon Redis must decide again after it is back.
const RECOVERY: Duration = Duration::from_secs(2);

/// What a decision may take while Redis is missed. At full size the machine is the test's own.
pub(super) fn longest_decision() -> Duration {
    if full_size() { Duration::from_millis(60) } else { Duration::from_millis(500) }
}

/// How soon a promoted server must decide.
pub(super) fn healed_within() -> Duration {
    if full_size() { Duration::from_secs(3) } else { PATIENT }
}

/// Attempts of four callers, one after another each, from before the fault until the breaker is open.
pub(super) async fn decisions_go_on(replica: &Arc<Replica>) {
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let replica = Arc::clone(replica);
        callers.spawn(async move {
            let bucket = [bucket(&format!("caller{caller}"), 1_000_000, Duration::from_millis(1))];
            let mut longest = Duration::ZERO;
            // Well into the time in which the breaker is open: decisions then take microseconds.
            let mut local_in_a_row = 0;
            while local_in_a_row < 200 {
                let asked_at = Instant::now();
                match replica.decide(&bucket).await {
                    Decision::Admitted(Ledger::Local) => local_in_a_row += 1,
                    Decision::Admitted(Ledger::Shared) => local_in_a_row = 0,
                    Decision::Refused { retry_after } => panic!("refused for {retry_after:?}"),
                }
                longest = longest.max(asked_at.elapsed());
            }
            longest
        });
    }
    let longest = callers.join_all().await.into_iter().max().expect("four callers");
    println!("longest decision {longest:?}");
    assert!(longest <= longest_decision(), "{longest:?}");
}

/// With the breaker open, Redis costs nothing.
pub(super) async fn decisions_are_quick(replica: &Replica) {
    let bucket = [bucket("quick", 1_000_000, Duration::from_millis(1))];
    let mut spans = Vec::new();
    for _ in 0..2000 {
        let asked_at = Instant::now();
        assert!(replica.admits(&bucket).await);
        spans.push(asked_at.elapsed());
    }
    spans.sort();
    println!("breaker open: p50 {:?}, p99 {:?}", spans[1000], spans[1980]);
    assert!(spans[1980] <= Duration::from_millis(1), "{:?}", spans[1980]);
}

async fn redis_decides_again(replica: &Replica) {
    let back_at = Instant::now();
    eventually(RECOVERY, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
    println!("recovered after {:?}", back_at.elapsed());
}

/// A replica with the budget of production, on a Redis that decides.
async fn started(redis_url: &str) -> Arc<Replica> {
    let replica = Arc::new(Plan::in_production(redis_url).start());
    eventually(PATIENT, "Redis decides", async || replica.ledger().await == Ledger::Shared).await;
    replica
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_redis_dies_killed() {
    let mut server = RedisServer::start().await;
    let replica = started(&server.url()).await;
    server.kill9();
    decisions_go_on(&replica).await;
    decisions_are_quick(&replica).await;
    assert!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"connection\"}}")) >= 5);
    server.restart().await;
    redis_decides_again(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_redis_dies_frozen() {
    let mut server = RedisServer::start().await;
    let replica = started(&server.url()).await;
    server.sigstop();
    decisions_go_on(&replica).await;
    decisions_are_quick(&replica).await;
    assert!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"timeout\"}}")) >= 5);
    server.sigcont();
    redis_decides_again(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_redis_dies_in_a_blackhole() {
    let proxy = FaultProxy::in_front_of(&shared_redis()).await;
    let replica = started(&proxy.url()).await;
    proxy.set(Mode::Blackhole);
    decisions_go_on(&replica).await;
    decisions_are_quick(&replica).await;
    proxy.set(Mode::Pass);
    redis_decides_again(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_redis_dies_by_slowness() {
    for slowness in [Mode::Latency(Duration::from_millis(200)), Mode::OneBytePerSecond, Mode::Reset] {
        let proxy = FaultProxy::in_front_of(&shared_redis()).await;
        let replica = started(&proxy.url()).await;
        proxy.set(slowness);
        decisions_go_on(&replica).await;
        proxy.set(Mode::Pass);
        redis_decides_again(&replica).await;
    }
}

#[tokio::test]
async fn b24_a_cut_connection_is_replaced() {
    let proxy = FaultProxy::in_front_of(&shared_redis()).await;
    let replica = started(&proxy.url()).await;
    proxy.set(Mode::CutAfter(1));
    replica.gives_up_on_redis().await;
    proxy.set(Mode::Pass);
    redis_decides_again(&replica).await;
}

#[tokio::test]
async fn what_was_charged_in_one_ledger_is_not_given_back_in_the_other() {
    let proxy = FaultProxy::in_front_of(&shared_redis()).await;
    let replica = started(&proxy.url()).await;
    let bucket = [bucket("a", 3, REFILL)];
    let shared = replica.receipt(&bucket).await;
    assert_eq!(shared.ledger(), Ledger::Shared);

    proxy.set(Mode::Reset);
    replica.gives_up_on_redis().await;
    let local = replica.receipt(&bucket).await;
    assert_eq!(local.ledger(), Ledger::Local);
    // One in the shadow, one of our own, one more; what the shared ledger had is out of the shadow again.
    assert_eq!(replica.admitted_of(9, &bucket).await, 1);

    proxy.set(Mode::Pass);
    redis_decides_again(&replica).await;
    assert_eq!(replica.admitted_of(9, &bucket).await, 2);
    replica.limiter.give_back(local);
    replica.settle().await;
    assert_eq!(replica.admitted_of(9, &bucket).await, 0);
    replica.limiter.give_back(shared);
    replica.settle().await;
    assert_eq!(replica.admitted_of(9, &bucket).await, 1);
}

/// Guesses at one name by an attacker with many networks during one minute, over both replicas in turn.
async fn guesses_in_a_minute(plan: &Plan, replicas: &[Replica; 2]) -> usize {
    let policy = LimitPolicy::default();
    let mut admitted = 0;
    for n in 0..6000_u32 {
        let name = login_name("anna");
        let attempt = password_reservation(
            &policy,
            &plan.organization,
            &name,
            network(n),
            "portal",
            &Lane::UnknownDevice,
        );
        let replica = &replicas[usize::from(n % 2 == 1)];
        admitted += usize::from(matches!(replica.limiter.decide(&attempt).await, Decision::Admitted(_)));
        plan.clock.pass(Duration::from_millis(10));
    }
    admitted
}

#[tokio::test]
async fn b25_no_free_guesses_while_redis_is_away() {
    let mut plan = Plan::in_production(&format!("redis://127.0.0.1:{}/0", free_port()));
    plan.replicas = 2;
    let replicas = [plan.start(), plan.start()];
    let guesses = guesses_in_a_minute(&plan, &replicas).await;
    assert!((2 * 5..=2 * 5 + 2).contains(&guesses), "{guesses}");
}

#[tokio::test]
async fn b25_no_free_guesses_when_redis_goes_away() {
    let mut server = RedisServer::start().await;
    let mut plan = Plan::patient(&server.url());
    plan.replicas = 2;
    let replicas = [plan.start(), plan.start()];
    let with_redis = guesses_in_a_minute(&plan, &replicas).await;
    assert!((10..=11).contains(&with_redis), "{with_redis}");
    server.kill9();
    // What Redis counted is known here: nothing but the refill is left.
    let without_redis = guesses_in_a_minute(&plan, &replicas).await;
    assert!(without_redis <= 4, "{without_redis}");
}

/// A bucket of 10 that never refills, tried before, during and after a fault; how many were admitted in each phase.
struct Phases {
    replica: Arc<Replica>,
    bucket: [Charge; 1],
}

impl Phases {
    async fn on(server: &RedisServer) -> Self {
        let replica = started(&server.url()).await;
        Self { replica, bucket: [bucket("account", 10, Duration::from_hours(1000))] }
    }

    async fn admitted_of(&self, attempts: usize) -> usize {
        self.replica.admitted_of(attempts, &self.bucket).await
    }

    /// Admitted during a fault under which Redis keeps what it knows, and after it, at most one burst too many.
    async fn go_through(self, server: &RedisServer, fault: &[&str], repair: &[&str], kind: &str) {
        assert_eq!(self.admitted_of(6).await, 6);
        server.command::<()>(fault).await.expect("the fault is set");
        decisions_go_on(&self.replica).await;
        // The local counters know of the six.
        assert_eq!(self.admitted_of(20).await, 4);
        let series = format!("{REDIS_ERRORS}_total{{kind=\"{kind}\"}}");
        assert!(self.replica.metric(&series) >= 5, "{series}");
        server.command::<()>(repair).await.expect("the fault is repaired");
        redis_decides_again(&self.replica).await;
        let after = self.admitted_of(20).await;
        assert!(6 + 4 + after <= 10 + 10, "one burst and one extra: {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b26_readonly_after_a_failover() {
    let server = RedisServer::start().await;
    let phases = Phases::on(&server).await;
    let nowhere = free_port().to_string();
    let demote = ["REPLICAOF", "127.0.0.1", &nowhere];
    phases.go_through(&server, &demote, &["REPLICAOF", "NO", "ONE"], "readonly").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b26_out_of_memory() {
    let server = RedisServer::start().await;
    let phases = Phases::on(&server).await;
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await.expect("it is set");
    let (full, free) = (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]);
    phases.go_through(&server, &full, &free, "out_of_memory").await;
}

/// A server that comes back with much to read says `-LOADING` until it has read it.
#[tokio::test(flavor = "multi_thread")]
async fn b26_loading_after_a_restart() {
    let mut server = RedisServer::start().await;
    let replica = started(&server.url()).await;
    // Between two kilobytes it looks who is there, and between two keys it sleeps: four seconds.
    let (keys, value) = ((0..800).map(|key| format!("filler{key}")).collect::<Vec<_>>(), "x".repeat(1100));
    let fill = ["MSET"].into_iter().chain(keys.iter().flat_map(|key| [key.as_str(), value.as_str()]));
    server.command::<()>(&fill.collect::<Vec<_>>()).await.expect("they are set");
    server.command::<()>(&["CONFIG", "SET", "rdbcompression", "no"]).await.expect("it is set");
    server.command::<()>(&["SAVE"]).await.expect("it is on disk");
    let slowly = ["--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"];
    server.restart_with(&slowly).await;
    let series = format!("{REDIS_ERRORS}_total{{kind=\"loading\"}}");
    eventually(PATIENT, "it says that it is loading", async || {
        replica.ledger().await;
        replica.metric(&series) > 0
    })
    .await;
    decisions_go_on(&replica).await;
    eventually(PATIENT, "it has its data", async || server.command::<String>(&["PING"]).await.is_ok()).await;
    redis_decides_again(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b26_noscript_under_load() {
    let server = RedisServer::start().await;
    let replica = Arc::new(Plan::patient(&server.url()).start());
    let wide = bucket("wide", 1_000_000, REFILL);
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (replica, wide) = (Arc::clone(&replica), wide.clone());
        callers.spawn(async move {
            let both = [wide, bucket(&format!("caller{caller}"), 100, REFILL)];
            for attempt in 0..200 {
                let admitted = match replica.decide(&both).await {
                    Decision::Admitted(ledger) => {
                        assert_eq!(ledger, Ledger::Shared);
                        true
                    }
                    Decision::Refused { .. } => false,
                };
                assert_eq!(admitted, attempt < 100);
            }
        });
    }
    for _ in 0..20 {
        server.command::<()>(&["SCRIPT", "FLUSH"]).await.expect("the scripts are gone");
    }
    callers.join_all().await;
    assert_eq!(replica.metric(&format!("{REDIS_ERRORS}_total{{kind=\"other\"}}")), 0);
}

#[tokio::test]
async fn b26_a_lost_script_is_loaded_again() {
    let server = RedisServer::start().await;
    let replica = started(&server.url()).await;
    for _ in 0..3 {
        server.command::<()>(&["SCRIPT", "FLUSH"]).await.expect("the scripts are gone");
        assert_eq!(replica.ledger().await, Ledger::Shared);
    }
}

#[tokio::test]
async fn the_first_decision_does_not_wait_for_a_redis_that_never_was() {
    let replica = Plan::in_production(&format!("redis://127.0.0.1:{}/0", free_port())).start();
    let asked_at = Instant::now();
    assert_eq!(replica.ledger().await, Ledger::Local);
    assert!(asked_at.elapsed() < DECISION_BUDGET + longest_decision(), "{:?}", asked_at.elapsed());
}
