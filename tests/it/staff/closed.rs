//! B02 for passwords that staff issued: a hundred failures close one, and a new code from staff opens it.

use std::time::Duration;

use guardian_auth::domain::staff::Role;
use tonic_types::StatusExt as _;

use crate::fallback_credential::{NEW, activate, code, confirm, id_of, issue, sheet, with_guardians};
use crate::support::service::{Attempt, Calls, KOMMUN, Parts, Service, reason};
use crate::support::sql::Sql;
use crate::support::staff::hire;

const OTHER: &str = "tofs-ankare-blixt-havre";

/// Guesses wrongly as soon as the limits let it, until the answer is that it was looked at.
async fn guess(service: &Service, portal: &Calls, number: u32) {
    loop {
        let ip = format!("198.51.100.{}", number % 250);
        let refused = portal.log_in(Attempt::new("alma", "a wrong guess").from(&ip)).await.unwrap_err();
        if reason(&refused) == "INVALID_CREDENTIALS" {
            return;
        }
        assert_eq!(reason(&refused), "RATE_LIMITED");
        let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(wait > Duration::ZERO, "it says when to come back");
        service.clock.advance(wait);
    }
}

#[tokio::test]
async fn b02_a_password_that_staff_issued_is_closed_after_a_hundred_failures_and_opened_by_a_new_code() {
    let (service, staff) = with_guardians(Parts::Embedded).await;
    confirm(&service, "alma").await;
    let portal = service.portal(KOMMUN).await;
    let alma = id_of(&service, "alma").await;
    let issued = issue(&staff, &alma, sheet()).await.unwrap();
    activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap();
    portal.session(Attempt::new("alma", NEW)).await;

    let begun = guardian_auth::ports::clock::Clock::now(&*service.clock);
    for number in 0..100 {
        guess(&service, &portal, number).await;
    }
    let taken = guardian_auth::ports::clock::Clock::now(&*service.clock).as_millis() - begun.as_millis();
    assert!(taken >= 12 * 3_600_000, "a hundred failures took {taken} ms");
    let mut sql = Sql::open(&service).await;
    let closed = "SELECT count(*) FROM credential WHERE portal = 'parent' AND closed_unknown_ms IS NOT NULL";
    assert_eq!(sql.number(closed).await, 1);
    service.clock.advance(Duration::from_hours(24));
    let refused = portal.log_in(Attempt::new("alma", NEW)).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_CREDENTIALS", "closed, also to the right one");

    // The day is over, and so is the session of before.
    let staff = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let issued = issue(&staff, &alma, sheet()).await.unwrap();
    assert_eq!(sql.number(closed).await, 1, "issuing alone opens nothing");
    portal.log_in(Attempt::new("alma", NEW)).await.unwrap_err();
    service.clock.advance(Duration::from_hours(1));
    activate(&portal, code("alma", &issued.activation_code), OTHER).await.unwrap();
    let open = "SELECT count(*) FROM credential WHERE portal = 'parent' AND closed_unknown_ms IS NULL \
                AND failures_unknown = 0 AND failures_known = 0";
    assert_eq!(sql.number(open).await, 1);
    portal.session(Attempt::new("alma", OTHER)).await;
    portal.log_in(Attempt::new("alma", NEW)).await.unwrap_err();
}
