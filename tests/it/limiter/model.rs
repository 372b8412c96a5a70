//! The script and the Rust counters agree with a leaky bucket, written down in another way, over random histories.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Three buckets of different quotas, so that any of them may be the one that refuses.
const QUOTAS: [(u32, Duration); 3] =
    [(1, Duration::from_secs(97)), (4, Duration::from_mins(1)), (9, Duration::from_millis(12_345))];

#[derive(Clone, Debug)]
enum Step {
    /// An attempt on the buckets whose flags are set.
    Attempt([bool; 3]),
    /// Gives back what the n-th attempt charged, if it was admitted and is not given back yet.
    GiveBack(prop::sample::Index),
    Pass(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<[bool; 3]>().prop_map(Step::Attempt),
        2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        3 => (0_u64..90_000).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
    ]
}

/// Levels that leak: what the limiters are meant to be, without arrival times.
#[derive(Default)]
struct LeakyBuckets {
    /// Level in µs of leaking, and when it was so.
    levels: HashMap<usize, (i128, i128)>,
}

impl LeakyBuckets {
    /// The level of a bucket now.
    fn level(&self, which: usize, now_us: i128) -> i128 {
        let (level, at_us) = self.levels.get(&which).copied().unwrap_or((0, now_us));
        (level - (now_us - at_us)).max(0)
    }

    fn attempt(&mut self, buckets: &[usize], now_us: i128) -> Option<Duration> {
        let mut retry_after_us = 0;
        for &which in buckets {
            let over_us = self.level(which, now_us) + refill_us(which) - full_us(which);
            retry_after_us = retry_after_us.max(over_us);
        }
        if retry_after_us > 0 {
            return Some(Duration::from_micros(u64::try_from(retry_after_us).expect("a positive wait")));
        }
        for &which in buckets {
            let level = self.level(which, now_us) + refill_us(which);
            self.levels.insert(which, (level, now_us));
        }
        None
    }

    fn give_back(&mut self, buckets: &[usize], now_us: i128) {
        for &which in buckets {
            let level = (self.level(which, now_us) - refill_us(which)).max(0);
            self.levels.insert(which, (level, now_us));
        }
    }
}

fn refill_us(which: usize) -> i128 {
    i128::try_from(QUOTAS[which].1.as_micros()).expect("a short refill")
}

fn full_us(which: usize) -> i128 {
    i128::from(QUOTAS[which].0) * refill_us(which)
}

async fn agrees_with_the_model(replica: &Replica, steps: &[Step]) {
    let prefix = unique_name("model");
    let charges: Vec<Charge> =
        (0..3).map(|n| bucket(&format!("{prefix}{n}"), QUOTAS[n].0, QUOTAS[n].1)).collect();
    let mut model = LeakyBuckets::default();
    let mut receipts: Vec<Option<(Receipt, Vec<usize>)>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let now_us = i128::from(replica.clock.now().as_millis()) * 1000;
        match step {
            Step::Attempt(flags) => {
                let which: Vec<usize> = (0..3).filter(|&n| flags[n]).collect();
                let attempt = replica.reservation(which.iter().map(|&n| charges[n].clone()).collect());
                let said = reserve(&*replica.limiter, attempt).await;
                let expected = model.attempt(&which, now_us);
                assert_eq!(said.as_ref().err(), expected.as_ref(), "step {index}: {step:?}");
                receipts.push(said.ok().map(|(_admitted, receipt)| (receipt, which)));
            }
            Step::GiveBack(index) if !receipts.is_empty() => {
                if let Some((receipt, which)) = index.get_mut(&mut receipts).take() {
                    model.give_back(&which, now_us);
                    replica.give_back(receipt).await;
                }
            }
            Step::GiveBack(_) => {}
            Step::Pass(span) => replica.clock.pass(*span),
        }
    }
}

fn all_histories_agree(cases: u32, replica: impl AsyncFn() -> Replica) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let replica = runtime.block_on(replica());
    let cases = if full_size() { cases * 20 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let histories = prop::collection::vec(step(), 1..60);
    let result = TestRunner::new(config).run(&histories, |steps| {
        runtime.block_on(agrees_with_the_model(&replica, &steps));
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_counters_in_memory_agree_with_a_leaky_bucket() {
    all_histories_agree(256, async || Replica::in_memory());
}

#[test]
fn the_script_in_redis_agrees_with_a_leaky_bucket() {
    all_histories_agree(64, async || Replica::on_redis());
}
