//! B10: two replicas share one limit exactly, at one round trip a decision.

use super::*;
use crate::support::redis::RedisServer;

#[tokio::test]
async fn b10_accuracy_of_two_replicas() {
    let plan = Plan::patient(&shared_redis());
    let replicas = [plan.start(), plan.start()];
    // Ten a minute.
    let account = [bucket("a", 10, Duration::from_secs(6))];
    let mut admitted = 0;
    let step = Duration::from_millis(500);
    let steps = 10 * 60 * 1000 / step.as_millis();
    for turn in 0..steps {
        admitted += usize::from(replicas[usize::from(turn % 2 == 1)].admits(&account).await);
        plan.clock.pass(step);
    }
    // The burst, and then one each six seconds of ten minutes; the last is due when they are over.
    let ideal = 10_usize + 99;
    assert!(admitted.abs_diff(ideal) <= 1, "{admitted}");
}

#[tokio::test]
async fn b10_a_decision_is_one_round_trip() {
    let server = RedisServer::start().await;
    let replica = Plan::patient(&server.url()).start();
    let charges: Vec<Charge> = (0..5).map(|n| bucket(&n.to_string(), 1000, REFILL)).collect();
    assert!(replica.admits(&charges).await);
    server.command::<()>(&["CONFIG", "RESETSTAT"]).await.expect("an answer");
    assert_eq!(replica.admitted_of(200, &charges).await, 200);

    let stats: String = server.command(&["INFO", "commandstats"]).await.expect("an answer");
    let calls = |command: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().expect("a count").parse::<u64>().expect("a number"))
    };
    assert_eq!(calls("evalsha"), 200);
    assert_eq!(calls("script|load") + calls("eval") + calls("ping"), 0);
    // What the script itself does.
    assert_eq!((calls("get"), calls("set")), (1000, 1000));
}

#[tokio::test]
async fn the_clock_of_redis_is_one_clock_for_all_replicas() {
    let mut registry = Registry::default();
    let metrics = LimiterMetrics::register(&mut registry);
    let topology = RedisTopology::Standalone { url: Secret::new(shared_redis()) };
    let settings = RedisSettings { budget: PATIENT, ..RedisSettings::new(topology) };
    let shared =
        RedisLimiter::start(settings, metrics.clone(), &TaskTracker::new(), &CancellationToken::new())
            .expect("a good address");
    // The clock of this process is wrong by years, and does not move.
    let clock = HandSetClock::new();
    let local = MemoryLimiter::new(keys(), clock.clone(), 1, metrics.clone());
    let limiter = Arc::new(ResilientLimiter::new(keys(), shared, local, metrics));
    let replica = Replica { limiter, clock, organization: new_organization(), registry };

    let hour = [bucket("a", 2, Duration::from_hours(1))];
    assert_eq!(replica.admitted_of(5, &hour).await, 2);
    let wait = replica.refused_for(&hour).await;
    assert!(wait > Duration::from_mins(59) && wait < Duration::from_hours(1), "{wait:?}");
    let moment = [bucket("b", 1, Duration::from_millis(50))];
    assert!(replica.admits(&moment).await);
    eventually(PATIENT, "the bucket refills in real time", async || replica.admits(&moment).await).await;
}
