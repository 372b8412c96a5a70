//! The list of one's sessions.

use std::time::Duration;

use guardian_auth::domain::session::REFRESH_GRACE;
use guardian_auth::proto::end_session_request::Token;

use super::{MINUTE, PASSWORD, alma, assert_invalid, end, end_all, list, service, service_with};
use crate::support::service::{Attempt, KOMMUN, Parts, reason};

#[tokio::test]
async fn the_list_has_every_live_session_once_newest_first_on_pages_of_any_size() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let mut expected = Vec::new();
        let mut current = alma(&portal).await;
        expected.push(current.session_id.clone());
        for _ in 0..6 {
            service.clock.advance(Duration::from_secs(1));
            current = alma(&portal).await;
            expected.push(current.session_id.clone());
        }
        portal.session(Attempt::new("bo", PASSWORD)).await;
        expected.reverse();
        for size in [1, 2, 3, 7, 8, 200, 0] {
            let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page = list(&portal, &current.access_token, size, &token).await.unwrap();
                assert!(size == 0 || page.sessions.len() <= usize::try_from(size).unwrap());
                for session in &page.sessions {
                    assert_eq!(session.current, session.session_id == current.session_id);
                    assert_eq!(session.user_agent, "tests");
                }
                found.extend(page.sessions.into_iter().map(|session| session.session_id));
                token = page.next_page_token;
                pages += 1;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(found, expected, "{parts:?}, pages of {size}");
            let full = if size == 0 { 1 } else { 7_i32.div_euclid(size) + i32::from(7 % size > 0) };
            assert_eq!(pages, full, "{parts:?}: no empty last page at {size}");
        }
        for size in [-1, 201, i32::MAX, i32::MIN] {
            let status = list(&portal, &current.access_token, size, "").await.unwrap_err();
            assert_eq!(reason(&status), "INVALID_REQUEST", "{size}");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_is_not_listed() {
    for parts in Parts::ALL {
        let service = service_with(parts, |config| {
            config.organizations[0].session.idle = 20 * MINUTE;
        })
        .await;
        let portal = service.portal(KOMMUN).await;
        let _idle = alma(&portal).await;
        service.clock.advance(19 * MINUTE);
        let (ended, reused) = (alma(&portal).await, alma(&portal).await);
        let mut own = alma(&portal).await;
        end(&portal, Token::AccessToken(ended.access_token.clone()), "").await.unwrap();
        portal.refresh(&reused.refresh_token).await.unwrap();
        service.clock.advance(REFRESH_GRACE + MINUTE);
        assert_invalid(&portal.refresh(&reused.refresh_token).await.unwrap_err());
        own = portal.refresh(&own.refresh_token).await.unwrap();
        let page = list(&portal, &own.access_token, 0, "").await.unwrap();
        let listed: Vec<&str> = page.sessions.iter().map(|session| session.session_id.as_str()).collect();
        assert_eq!(listed, [own.session_id.as_str()], "{parts:?}");
        assert_eq!(page.sessions[0].expire_time, own.idle_expire_time);
        assert_eq!(end_all(&portal, &own.access_token).await.unwrap(), 1, "{parts:?}");
        assert_invalid(&list(&portal, &own.access_token, 0, "").await.unwrap_err());
    }
}
