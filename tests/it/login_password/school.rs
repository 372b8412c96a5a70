//! A school is one address: a morning of logins and typos keeps nobody out.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{PASSWORD, service_with};
use crate::support::service::{Attempt, KOMMUN, Parts, guardian, hash, reason};

const GUARDIANS: usize = 600;
/// Every twelfth guardian mistypes once before: 50 of 600, a little more than 8 %.
const EVERY: usize = 12;
const STEPS: usize = 60;

#[tokio::test]
async fn b09_school_nat_600_logins_with_8_percent_typos_from_one_address_in_10_minutes() {
    let hash = hash(PASSWORD).await;
    let rows: Vec<_> = (0..GUARDIANS)
        .map(|number| guardian(&format!("g-{number}"), &format!("U{number}"), Some(&hash)))
        .collect();
    let service = service_with(Parts::Embedded, |_| {}, &rows).await;
    let calls = service.portal(KOMMUN).await;
    // All typos in the first fifth of the time, then none: the bucket has the least room then.
    let early = GUARDIANS / EVERY / (STEPS / 5) + 1;
    let mut typists = (0..GUARDIANS).step_by(EVERY);
    for step in 0..STEPS {
        let mut attempts = JoinSet::new();
        for number in typists.by_ref().take(early) {
            let calls = calls.clone();
            attempts.spawn(async move {
                let typo =
                    calls.log_in(Attempt::new(&format!("u{number}"), "lingon-cykel-fyrtorn-vantr")).await;
                assert_eq!(reason(&typo.unwrap_err()), "INVALID_CREDENTIALS");
                calls.session(Attempt::new(&format!("u{number}"), PASSWORD)).await;
            });
        }
        for number in (step * GUARDIANS / STEPS)..((step + 1) * GUARDIANS / STEPS) {
            let calls = calls.clone();
            attempts.spawn(async move {
                calls.session(Attempt::new(&format!("u{number}"), PASSWORD)).await;
            });
        }
        while let Some(done) = attempts.join_next().await {
            done.unwrap();
        }
        service.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(typists.next(), None);
}
