//! Rule 1: no sequence of calls by any role, and of imports, yields a usable password without a confirmed relation.

mod bed;
mod case;
mod model;
mod race;
mod steps;

use std::sync::atomic::Ordering;

use proptest::test_runner::{self, TestRunner};

use self::bed::Bed;
use self::steps::{Step, step};
use crate::support::full_size;
use crate::support::service::{KOMMUN, OPVANG, Parts};

/// Staff of both organizations, by index in [`Bed::staff`].
const STAFF: usize = 10;
/// An administrator of the Swedish organization with a strong session.
const ADMINISTRATOR: usize = 0;
/// An administrator of the school `s-1` with a strong session.
const OF_SCHOOL: usize = 1;

const SCHOOLS: [&str; 2] = ["s-1", "s-2"];

fn organization_of_guardian(guardian: usize) -> &'static str {
    if guardian < 3 { KOMMUN } else { OPVANG }
}

fn organization_of_child(child: usize) -> &'static str {
    if child < 2 { KOMMUN } else { OPVANG }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sequence_of_calls_and_imports_yields_a_usable_credential_without_a_confirmed_link() {
    let (cases, longest) = if full_size() { (200, 60) } else { (8, 36) };
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let handle = tokio::runtime::Handle::current();
        let config = test_runner::Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 300,
            ..test_runner::Config::default()
        };
        let sequences = proptest::collection::vec(step(), 1..=longest);
        let done = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&sequences, |steps| handle.block_on(bed.run(&steps)))
        });
        if let Err(fault) = done {
            panic!("{parts:?}: {fault}");
        }
    }
}

/// Positive control, and sequences that were thought of rather than found.
#[tokio::test]
async fn sequences_around_merges_and_removals_keep_rule_one() {
    let (by, child) = (ADMINISTRATOR, 0);
    let confirm = |guardian| Step::Confirm { by, guardian, child };
    let remove = |guardian| Step::Remove { by, guardian, child };
    let add = |guardian| Step::Add { by, guardian, child };
    let issue = |guardian| Step::Issue { by, guardian };
    let activate = Step::Activate { code: 0 };
    let merge = Step::Merge { by, kept: 0, absorbed: 1 };
    let undo = Step::Undo { by, merge: 0 };
    let password = |links| Step::Import { guardian: 1, links, password: true };
    let sequences: [&[Step]; 9] = [
        &[confirm(1), issue(1), activate, remove(1), add(1), activate],
        &[confirm(1), issue(1), remove(1), confirm(1), activate],
        &[confirm(1), issue(1), activate, merge, remove(0), undo],
        // The kept account had the link as well: nothing moved, and what staff removed since does not come back.
        &[confirm(0), confirm(1), merge, remove(0), add(0), undo, issue(1)],
        &[confirm(0), issue(0), activate, confirm(1), issue(1), activate, merge, remove(0), add(0), undo],
        &[confirm(0), issue(0), activate, confirm(1), issue(1), activate, merge, remove(0), undo],
        &[confirm(1), issue(1), merge, activate, undo, activate],
        &[password([Some(true), None]), merge, remove(0), undo, password([Some(true), None])],
        &[password([Some(true), None]), password([None, None]), password([Some(false), None])],
    ];
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        for (number, steps) in sequences.iter().enumerate() {
            if let Err(fault) = bed.run(steps).await {
                panic!("{parts:?}, sequence {number}: {fault}");
            }
        }
        assert!(bed.logins.load(Ordering::Relaxed) >= 10, "passwords that are borne work");
    }
}
