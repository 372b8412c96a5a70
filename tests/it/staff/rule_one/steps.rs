//! What a sequence is made of, and how likely each step is.

use proptest::prelude::*;

use super::{ADMINISTRATOR, OF_SCHOOL, STAFF};

/// One step of a sequence. Numbers are indexes; those of codes and merges count from the newest.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Import { guardian: usize, links: [Option<bool>; 2], password: bool },
    MoveChild { child: usize, school: usize },
    Add { by: usize, guardian: usize, child: usize },
    Confirm { by: usize, guardian: usize, child: usize },
    Remove { by: usize, guardian: usize, child: usize },
    Issue { by: usize, guardian: usize },
    Activate { code: usize },
    Revoke { by: usize, guardian: usize },
    Lock { by: usize, guardian: usize },
    Unlock { by: usize, guardian: usize },
    Merge { by: usize, kept: usize, absorbed: usize },
    Undo { by: usize, merge: usize },
}

pub fn step() -> impl Strategy<Value = Step> {
    // Half of the calls are by somebody who may.
    let by = || prop_oneof![2 => Just(ADMINISTRATOR), 1 => Just(OF_SCHOOL), 3 => 0..STAFF];
    let guardian = || prop_oneof![8 => 0..2_usize, 2 => Just(2_usize), 1 => Just(3_usize)];
    let child = || prop_oneof![6 => Just(0_usize), 3 => Just(1_usize), 1 => Just(2_usize)];
    let of = || (by(), guardian());
    let pair = || (by(), guardian(), child());
    let link = || prop_oneof![2 => Just(None), 2 => Just(Some(false)), 1 => Just(Some(true))];
    prop_oneof![
        3 => (guardian(), link(), link(), any::<bool>()).prop_map(|(guardian, first, second, password)| {
            Step::Import { guardian, links: [first, second], password }
        }),
        1 => (0..2_usize, 0..2_usize).prop_map(|(child, school)| Step::MoveChild { child, school }),
        1 => pair().prop_map(|(by, guardian, child)| Step::Add { by, guardian, child }),
        5 => pair().prop_map(|(by, guardian, child)| Step::Confirm { by, guardian, child }),
        3 => pair().prop_map(|(by, guardian, child)| Step::Remove { by, guardian, child }),
        5 => of().prop_map(|(by, guardian)| Step::Issue { by, guardian }),
        5 => prop_oneof![4 => Just(0_usize), 1 => 0..4_usize].prop_map(|code| Step::Activate { code }),
        1 => of().prop_map(|(by, guardian)| Step::Revoke { by, guardian }),
        1 => of().prop_map(|(by, guardian)| Step::Lock { by, guardian }),
        1 => of().prop_map(|(by, guardian)| Step::Unlock { by, guardian }),
        2 => (by(), guardian(), guardian()).prop_map(|(by, kept, absorbed)| Step::Merge { by, kept, absorbed }),
        2 => (by(), 0..2_usize).prop_map(|(by, merge)| Step::Undo { by, merge }),
    ]
}
