//! What every limiter does: in memory, in Redis, and in memory because Redis is away.

use std::time::Duration;

use guardian_auth::domain::id::{DeviceId, GuardianId};
use guardian_auth::domain::limits::{Charge, Lane, LimitPolicy, Quota, Scope, password_reservation};
use guardian_auth::domain::time::Timestamp;

use super::*;

/// The suite: each case runs on each limiter.
macro_rules! on_every_limiter {
    ($($case:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $case() { super::$case(super::Replica::in_memory()).await; })+
        }
        mod on_redis {
            $(#[tokio::test] async fn $case() { super::$case(super::Replica::on_redis()).await; })+
        }
        mod without_redis {
            $(#[tokio::test] async fn $case() { super::$case(super::Replica::without_redis().await).await; })+
        }

        /// All cases one after another on servers of one test, each with a replica and an organization of its own.
        pub(super) async fn every_case(replica: impl Fn() -> Replica) {
            $(
                println!(stringify!($case));
                $case(replica()).await;
            )+
        }
    };
}

on_every_limiter! {
    a_burst_is_admitted_then_refused_with_the_exact_time,
    one_more_is_admitted_each_refill,
    a_refused_attempt_charges_nothing,
    the_longest_wait_is_told,
    a_charge_is_given_back_exactly_once,
    a_charge_is_given_back_after_a_partial_refill,
    a_bucket_is_never_emptier_than_empty,
    giving_back_what_was_forgotten_makes_nothing,
    scopes_do_not_share,
    organizations_do_not_share,
    callers_without_addresses_do_not_share,
    a_known_device_has_a_lane_of_its_own,
    a_clock_that_goes_back_does_not_close_a_bucket,
}

async fn a_burst_is_admitted_then_refused_with_the_exact_time(replica: Replica) {
    let bucket = [bucket("a", 5, REFILL)];
    assert_eq!(replica.admitted_of(5, &bucket).await, 5);
    assert_eq!(replica.refused_for(&bucket).await, REFILL);
    replica.clock.pass(Duration::from_millis(59_999));
    assert_eq!(replica.refused_for(&bucket).await, Duration::from_millis(1));
    replica.clock.pass(Duration::from_millis(1));
    assert!(replica.admits(&bucket).await);
}

async fn one_more_is_admitted_each_refill(replica: Replica) {
    let bucket = [bucket("a", 5, REFILL)];
    assert_eq!(replica.admitted_of(9, &bucket).await, 5);
    for _ in 0..3 {
        replica.clock.pass(REFILL);
        assert_eq!(replica.admitted_of(9, &bucket).await, 1);
    }
    replica.clock.pass(REFILL * 3);
    assert_eq!(replica.admitted_of(9, &bucket).await, 3);
    replica.clock.pass(REFILL * 500);
    assert_eq!(replica.admitted_of(9, &bucket).await, 5);
}

async fn a_refused_attempt_charges_nothing(replica: Replica) {
    let (wide, narrow) = (bucket("wide", 10, REFILL), bucket("narrow", 2, REFILL));
    let both = [wide.clone(), narrow.clone()];
    assert_eq!(replica.admitted_of(50, &both).await, 2);
    assert_eq!(replica.admitted_of(50, &[narrow, wide.clone()]).await, 0);
    assert_eq!(replica.admitted_of(50, &[wide]).await, 8);
}

async fn the_longest_wait_is_told(replica: Replica) {
    let (minute, hour) = (bucket("minute", 1, REFILL), bucket("hour", 1, REFILL * 60));
    for both in [[minute.clone(), hour.clone()], [hour, minute]] {
        replica.admits(&both).await;
        assert_eq!(replica.refused_for(&both).await, REFILL * 60);
    }
}

async fn a_charge_is_given_back_exactly_once(replica: Replica) {
    let both = [bucket("a", 3, REFILL), bucket("b", 4, REFILL)];
    let receipt = replica.receipt(&both).await;
    assert_eq!(replica.admitted_of(9, &both).await, 2);
    replica.give_back(receipt).await;
    assert_eq!(replica.admitted_of(9, &both).await, 1);
    assert_eq!(replica.admitted_of(9, &both[1..]).await, 1);
}

async fn a_charge_is_given_back_after_a_partial_refill(replica: Replica) {
    let bucket = [bucket("a", 3, REFILL)];
    let receipt = replica.receipt(&bucket).await;
    assert_eq!(replica.admitted_of(9, &bucket).await, 2);
    replica.clock.pass(REFILL / 2);
    replica.give_back(receipt).await;
    // One and a half are left of the three.
    assert_eq!(replica.admitted_of(9, &bucket).await, 1);
    assert_eq!(replica.refused_for(&bucket).await, REFILL / 2);
}

async fn a_bucket_is_never_emptier_than_empty(replica: Replica) {
    let bucket = [bucket("a", 3, REFILL)];
    let (first, second) = (replica.receipt(&bucket).await, replica.receipt(&bucket).await);
    replica.clock.pass(REFILL + REFILL / 2);
    // Half a charge is left of the two.
    replica.give_back(first).await;
    replica.give_back(second).await;
    assert_eq!(replica.admitted_of(9, &bucket).await, 3);
}

async fn giving_back_what_was_forgotten_makes_nothing(replica: Replica) {
    let bucket = [bucket("a", 3, REFILL)];
    let receipt = replica.receipt(&bucket).await;
    replica.clock.pass(REFILL * 100);
    replica.give_back(receipt).await;
    assert_eq!(replica.admitted_of(9, &bucket).await, 3);
}

async fn scopes_do_not_share(replica: Replica) {
    let (anna, bo) = (login_name("anna"), login_name("bo"));
    let device = |n| DeviceId::new(Timestamp::from_millis(1), [n; 10]);
    let scopes = [
        Scope::Organization,
        Scope::Network(network(1)),
        Scope::Network(network(2)),
        Scope::AccountUnknownNetwork(anna.clone(), "anna".to_owned()),
        Scope::Account(anna.clone()),
        Scope::Account(bo.clone()),
        Scope::AccountLong(anna.clone()),
        Scope::AccountNetwork(anna.clone(), network(1)),
        Scope::AccountNetwork(anna.clone(), network(2)),
        Scope::AccountNetwork(bo, network(1)),
        Scope::Device(anna.clone(), device(1)),
        Scope::Device(anna, device(2)),
        Scope::Guardian(GuardianId::new(Timestamp::from_millis(1), [1; 10])),
        Scope::Guardian(GuardianId::new(Timestamp::from_millis(1), [2; 10])),
    ];
    for scope in scopes {
        let charge = [Charge { scope, quota: Quota::new(2, REFILL) }];
        assert_eq!(replica.admitted_of(3, &charge).await, 2, "{:?}", charge[0].scope);
    }
}

async fn organizations_do_not_share(mut replica: Replica) {
    let charge = [Charge { scope: Scope::Organization, quota: Quota::new(2, REFILL) }];
    assert_eq!(replica.admitted_of(3, &charge).await, 2);
    replica.organization = new_organization();
    assert_eq!(replica.admitted_of(3, &charge).await, 2);
}

async fn callers_without_addresses_do_not_share(replica: Replica) {
    let policy = LimitPolicy { account_network: Quota::new(2, REFILL), ..LimitPolicy::default() };
    let charges = |name: &str, caller| {
        let (name, lane) = (login_name(name), Lane::UnknownDevice);
        password_reservation(&policy, &replica.organization, &name, Network::Unknown, caller, &lane).charges
    };
    assert!(replica.admits(&charges("anna", "portal-a")).await);
    assert!(replica.admits(&charges("anna", "portal-a")).await);
    assert!(!replica.admits(&charges("anna", "portal-a")).await);
    assert!(replica.admits(&charges("anna", "portal-b")).await, "another caller's unknown is another one");
    assert!(replica.admits(&charges("bo", "portal-a")).await, "one attacker does not refuse everybody");
}

async fn a_known_device_has_a_lane_of_its_own(replica: Replica) {
    let policy = LimitPolicy::default();
    let charges = |from, lane: &Lane| {
        let name = login_name("anna");
        password_reservation(&policy, &replica.organization, &name, network(from), "portal", lane).charges
    };
    let mut admitted = 0;
    for from in 0..50 {
        admitted += usize::from(replica.admits(&charges(from, &Lane::UnknownDevice)).await);
    }
    assert_eq!(admitted, 10);
    let device = Lane::KnownDevice(DeviceId::new(Timestamp::from_millis(1), [0; 10]));
    assert_eq!(replica.admitted_of(50, &charges(99, &device)).await, 10);
}

async fn a_clock_that_goes_back_does_not_close_a_bucket(replica: Replica) {
    let bucket = [bucket("a", 3, REFILL)];
    assert!(replica.admits(&bucket).await);
    replica.clock.go_back(REFILL * 1000);
    assert_eq!(replica.refused_for(&bucket).await, REFILL);
    replica.clock.pass(REFILL);
    assert_eq!(replica.admitted_of(9, &bucket).await, 1);
}
