//! `organizations[].staff`: how an organization works with its staff.

use crate::domain::staff::StaffPolicy;

use super::form::{Count, Text};
use super::reader::Reader;

pub(super) fn read(staff: &mut Reader<'_>) -> StaffPolicy {
    let usual = StaffPolicy::default();
    let least_support_persons = staff.or(
        "least_support_persons",
        "support persons that a school should have; answers name the schools that have fewer",
        &Count(0..=100),
        usual.least_support_persons,
    );
    let most_support_persons = staff.or(
        "most_support_persons",
        "support persons that a school may have",
        &Count(1..=100),
        usual.most_support_persons,
    );
    if most_support_persons < least_support_persons {
        staff.fault("most_support_persons", "is less than `least_support_persons`", "raise it");
    }
    let issues_per_hour = staff.or(
        "issues_per_hour",
        "fallback credentials that one person issues in an hour before another administrator must approve",
        &Count(1..=10_000),
        usual.issues_per_hour,
    );
    let password_is_enough_because = staff.optional(
        "password_is_enough_because",
        "why staff may issue, correct and merge after a login with a password alone",
        &Text(20..=1000),
        "it needs a login by eID",
    );
    StaffPolicy { least_support_persons, most_support_persons, issues_per_hour, password_is_enough_because }
}
