//! How often a password may be guessed, from however many places and under however many spellings.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;
use tokio::task::JoinSet;

use super::{PASSWORD, RUNS, address, count, patient, refusal, service_with};
use crate::support::full_size;
use crate::support::service::{Attempt, KOMMUN, Parts, Service, guardian, hash, reason};
use crate::support::sql::Sql;

/// What a login name's bucket holds, and what it gained since `begun`: Redis follows its own clock.
fn budget(parts: Parts, begun: Instant) -> std::ops::RangeInclusive<u64> {
    let gained = match parts {
        Parts::Embedded => 0,
        Parts::Shared => begun.elapsed().as_secs() / 60,
    };
    10..=10 + gained
}

/// Wrong passwords at once, each from one of 1,000 addresses, through all replicas; how often each reason was answered.
async fn flood(replicas: &[&Service], login_name: &'static str, guesses: u32) -> BTreeMap<String, u32> {
    let mut callers = Vec::new();
    for _ in 0..4 {
        for replica in replicas {
            callers.push(replica.portal(KOMMUN).await);
        }
    }
    let mut attempts = JoinSet::new();
    for (guess, calls) in (0..guesses).zip(callers.iter().cycle()) {
        let calls = calls.clone();
        attempts.spawn(async move {
            let password = format!("guess number {guess}");
            refusal(&calls, Attempt::new(login_name, &password).from(&address(guess % 1000))).await
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(answer) = attempts.join_next().await {
        *answers.entry(answer.unwrap()).or_default() += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn b01_guess_budget_holds_against_guesses_from_everywhere_at_once() {
    let guesses = if full_size() { 10_000 } else { 300 };
    for parts in Parts::ALL {
        let rows = [guardian("g-1", "alma", Some(&hash(PASSWORD).await))];
        let service = service_with(parts, patient, &rows).await;
        // Counters in memory are for one replica.
        let replica = match parts {
            Parts::Embedded => None,
            Parts::Shared => Some(service.replica_with(patient).await),
        };
        let replicas: Vec<&Service> = [&service].into_iter().chain(&replica).collect();
        for name in ["alma", "nobody"] {
            let mut before = 0;
            for replica in &replicas {
                before += count(replica, RUNS, "verify").await;
            }
            let begun = Instant::now();
            let answers = flood(&replicas, name, guesses).await;
            let mut runs = 0;
            for replica in &replicas {
                runs += count(replica, RUNS, "verify").await;
            }
            let runs = runs - before;
            assert!(budget(parts, begun).contains(&runs), "{parts:?} {name}: {runs} runs, {answers:?}");
            assert_eq!(u64::from(answers["INVALID_CREDENTIALS"]), runs, "{parts:?} {name}: {answers:?}");
            assert_eq!(
                answers["INVALID_CREDENTIALS"] + answers["RATE_LIMITED"],
                guesses,
                "{parts:?} {name}: {answers:?}"
            );
        }
    }
}

/// A hundred ways to write `AB-1029`, each of at most 32 bytes.
fn spellings() -> Vec<String> {
    let dashes = ["-", "\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}", "\u{2014}", "\u{2212}"];
    let letters = ["AB", "ab", "Ab", "aB", "a b"];
    let around = ["{}", " {} ", "\u{a0}{}", "{}\u{202f}", "'{}", "\t{}", "' {}  "];
    let mut all = Vec::new();
    for dash in dashes {
        for letters in letters {
            all.extend(around.map(|around| around.replace("{}", &format!("{letters}{dash}1029"))));
        }
    }
    all.truncate(100);
    all
}

#[tokio::test]
async fn b03_spelling_variants_share_one_budget() {
    let spellings = spellings();
    assert_eq!(spellings.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
    for parts in Parts::ALL {
        let rows = [guardian("g-1", "AB-1029", Some(&hash(PASSWORD).await))];
        let service = service_with(parts, patient, &rows).await;
        let calls = service.portal(KOMMUN).await;
        for spelling in &spellings {
            // Given back, so every spelling finds the account.
            calls.session(Attempt::new(spelling, PASSWORD)).await;
        }
        let (begun, before) = (Instant::now(), count(&service, RUNS, "verify").await);
        for (number, spelling) in (0..).zip(&spellings) {
            refusal(&calls, Attempt::new(spelling, "wrong").from(&address(number))).await;
        }
        let runs = count(&service, RUNS, "verify").await - before;
        let allowed = budget(parts, begun);
        // What Redis has not been given back yet is missing at most for a moment.
        assert!(runs <= *allowed.end() && runs > 0, "{parts:?}: {runs} runs");
        if parts == Parts::Embedded {
            assert_eq!(runs, 10);
        }
    }
}

#[tokio::test]
async fn b03_user_name_and_debtor_number_are_two_budgets_joined_by_one_failure_counter() {
    for parts in Parts::ALL {
        let mut row = guardian("g-1", "alma", Some(&hash(PASSWORD).await));
        row["debtor_numbers"] = json!([{"portal": "parent", "number": "10234"}]);
        let service = service_with(parts, patient, &[row]).await;
        let calls = service.portal(KOMMUN).await;
        let begun = Instant::now();
        for number in 0..80 {
            let name = if number % 2 == 0 { "alma" } else { "10 234" };
            let answer = calls.log_in(Attempt::new(name, "wrong").from(&address(number))).await.unwrap_err();
            assert!(
                ["INVALID_CREDENTIALS", "RATE_LIMITED"].contains(&reason(&answer).as_str()),
                "{answer:?}"
            );
        }
        let runs = count(&service, RUNS, "verify").await;
        let allowed = budget(parts, begun);
        assert!((2 * allowed.start()..=2 * allowed.end()).contains(&runs), "{parts:?}: {runs} runs");
        let failures = Sql::open(&service)
            .await
            .number("SELECT CAST(SUM(failures_unknown) AS BIGINT) FROM credential")
            .await;
        assert_eq!(u64::try_from(failures).unwrap(), runs, "{parts:?}");
    }
}
