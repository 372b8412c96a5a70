//! Idle and absolute ends, by the clock of the service.

use std::time::Duration;

use guardian_auth::domain::session::ACCESS_TOKEN_LIFETIME;
use guardian_auth::proto::Portal;
use prost_types::Timestamp;

use super::{MINUTE, MS, PASSWORD, alma, assert_invalid, is_valid, service, service_with};
use crate::support::service::{Attempt, KOMMUN, NOON_MS, Parts};

const HOUR: Duration = Duration::from_hours(1);

fn ms(timestamp: Option<&Timestamp>) -> i64 {
    let timestamp = timestamp.unwrap();
    timestamp.seconds * 1000 + i64::from(timestamp.nanos) / 1_000_000
}

fn after_noon(span: Duration) -> i64 {
    NOON_MS + i64::try_from(span.as_millis()).unwrap()
}

#[tokio::test]
async fn a_session_without_a_refresh_is_over_after_sixty_minutes() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = alma(&portal).await;
        assert_eq!(ms(tokens.idle_expire_time.as_ref()), after_noon(HOUR));
        service.clock.advance(HOUR - MS);
        let tokens = portal.refresh(&tokens.refresh_token).await.unwrap();
        assert_eq!(ms(tokens.idle_expire_time.as_ref()), after_noon(2 * HOUR - MS));
        service.clock.advance(HOUR);
        assert_invalid(&portal.refresh(&tokens.refresh_token).await.unwrap_err());
        // Being over is no reuse: nothing comes back, also not for the token before.
        assert_invalid(&portal.refresh(&tokens.refresh_token).await.unwrap_err());
    }
}

#[tokio::test]
async fn no_number_of_refreshes_makes_a_session_longer_than_twelve_hours() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let mut tokens = alma(&portal).await;
        for _ in 0..14 {
            service.clock.advance(50 * MINUTE);
            tokens = portal.refresh(&tokens.refresh_token).await.unwrap();
            assert_eq!(ms(tokens.session_expire_time.as_ref()), after_noon(12 * HOUR), "{parts:?}");
            assert!(ms(tokens.idle_expire_time.as_ref()) <= after_noon(12 * HOUR), "{parts:?}");
        }
        // 11 h 40 min are over.
        service.clock.advance(18 * MINUTE);
        let tokens = portal.refresh(&tokens.refresh_token).await.unwrap();
        assert_eq!(ms(tokens.access_expire_time.as_ref()), after_noon(12 * HOUR), "{parts:?}");
        service.clock.advance(2 * MINUTE - MS);
        assert!(is_valid(&portal, &tokens.access_token).await);
        let last = portal.refresh(&tokens.refresh_token).await.unwrap();
        assert!(ms(last.access_expire_time.as_ref()) <= after_noon(12 * HOUR), "{parts:?}");
        service.clock.advance(MS);
        assert!(!is_valid(&portal, &tokens.access_token).await);
        assert!(!is_valid(&portal, &last.access_token).await);
        assert_invalid(&portal.refresh(&last.refresh_token).await.unwrap_err());
    }
}

#[tokio::test]
async fn an_access_token_is_valid_for_exactly_as_long_as_was_told() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        // Times on the wire have milliseconds, those in the token have not.
        service.clock.advance(Duration::from_millis(777));
        let tokens = alma(&portal).await;
        let told = ms(tokens.access_expire_time.as_ref());
        let verified = portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await.unwrap();
        assert_eq!(ms(verified.expire_time.as_ref()), told, "{parts:?}");
        assert!(told <= after_noon(ACCESS_TOKEN_LIFETIME + Duration::from_millis(777)));
        let left = u64::try_from(told - NOON_MS - 777).unwrap();
        service.clock.advance(Duration::from_millis(left) - MS);
        assert!(is_valid(&portal, &tokens.access_token).await);
        service.clock.advance(MS);
        assert!(!is_valid(&portal, &tokens.access_token).await);
        portal.refresh(&tokens.refresh_token).await.unwrap();
    }
}

#[tokio::test]
async fn an_organization_has_its_own_lifetimes() {
    for parts in Parts::ALL {
        let service = service_with(parts, |config| {
            let session = &mut config.organizations[0].session;
            session.idle = 10 * MINUTE;
            session.absolute_password = 15 * MINUTE;
        })
        .await;
        let portal = service.portal(KOMMUN).await;
        let idle = portal.session(Attempt::new("bo", PASSWORD)).await;
        let tokens = alma(&portal).await;
        assert_eq!(ms(tokens.session_expire_time.as_ref()), after_noon(15 * MINUTE));
        service.clock.advance(10 * MINUTE - MS);
        let tokens = portal.refresh(&tokens.refresh_token).await.unwrap();
        service.clock.advance(MS);
        assert_invalid(&portal.refresh(&idle.refresh_token).await.unwrap_err());
        service.clock.advance(5 * MINUTE - MS);
        let tokens = portal.refresh(&tokens.refresh_token).await.unwrap();
        service.clock.advance(MS);
        assert_invalid(&portal.refresh(&tokens.refresh_token).await.unwrap_err());
    }
}
