//! B20: what ends sessions ends them, on every replica within a second.

use guardian_auth::proto::end_session_request::Token;
use guardian_auth::proto::{self, Portal};
use sqlx::{AssertSqlSafe, Connection as _};

use super::{
    PASSWORD, Pair, SEEN_WITHIN, alma, assert_invalid, audited, end, end_all, end_reason, import_noor,
    is_valid, pair, pair_with, service, sql,
};
use crate::change_password::{change_with_session, roomy};
use crate::support::eventually;
use crate::support::service::{Attempt, Calls, KOMMUN, OPVANG, Parts, reason};

/// A session is over: at once where it was ended and for refreshes, and within a second on the other replica.
async fn assert_dead(pair: &Pair, tokens: &proto::SessionTokens) {
    assert_invalid(&pair.there.refresh(&tokens.refresh_token).await.unwrap_err());
    assert!(!is_valid(&pair.here, &tokens.access_token).await);
    eventually(SEEN_WITHIN, "the other replica refuses the access token", async || {
        !is_valid(&pair.there, &tokens.access_token).await
    })
    .await;
    assert_invalid(&pair.here.refresh(&tokens.refresh_token).await.unwrap_err());
}

/// A session whose access token both replicas have verified, and so remember.
async fn warm(pair: &Pair) -> proto::SessionTokens {
    let tokens = alma(&pair.here).await;
    assert!(is_valid(&pair.here, &tokens.access_token).await);
    assert!(is_valid(&pair.there, &tokens.access_token).await);
    tokens
}

#[tokio::test]
async fn b20_session_kill_by_logout() {
    for parts in Parts::ALL {
        let pair = pair(parts).await;
        let kept = warm(&pair).await;
        for by_refresh_token in [false, true] {
            let tokens = warm(&pair).await;
            let proof = if by_refresh_token {
                Token::RefreshToken(tokens.refresh_token.clone())
            } else {
                Token::AccessToken(tokens.access_token.clone())
            };
            assert_eq!(end(&pair.here, proof, "").await.unwrap(), 1);
            assert_dead(&pair, &tokens).await;
            assert_eq!(audited(&pair.first, "session_ended", "logged_out", &tokens.session_id).await, 1);
            // Ending an ended session succeeds.
            let again = Token::RefreshToken(tokens.refresh_token.clone());
            assert_eq!(end(&pair.there, again, "").await.unwrap(), 0);
        }
        assert!(is_valid(&pair.there, &kept.access_token).await, "{parts:?}");
        pair.there.refresh(&kept.refresh_token).await.unwrap();
    }
}

#[tokio::test]
async fn b20_session_kill_from_the_list() {
    for parts in Parts::ALL {
        let pair = pair(parts).await;
        let (own, other) = (warm(&pair).await, warm(&pair).await);
        let proof = Token::AccessToken(own.access_token.clone());
        assert_eq!(end(&pair.here, proof, &other.session_id).await.unwrap(), 1);
        assert_dead(&pair, &other).await;
        assert!(is_valid(&pair.there, &own.access_token).await, "{parts:?}");
    }
}

#[tokio::test]
async fn b20_session_kill_everywhere_is_at_all_portals() {
    for parts in Parts::ALL {
        let first = crate::support::service::Service::start(parts).await;
        import_noor(&first).await;
        let second = first.replica().await;
        let (here, there) = (first.portal(OPVANG).await, second.portal(OPVANG).await);
        let at = |portal| Attempt { organization: OPVANG, portal, ..Attempt::new("noor", PASSWORD) };
        let parent = here.session(at(Portal::Parent)).await;
        let childminder = here.session(at(Portal::Childminder)).await;
        assert_eq!(parent.guardian_id, childminder.guardian_id);
        let valid = async |calls: &Calls, tokens: &proto::SessionTokens, portal| {
            calls.verify(&tokens.access_token, OPVANG, portal).await.is_ok()
        };
        assert!(valid(&there, &childminder, Portal::Childminder).await);
        // One portal's session cannot be ended by its id from another portal.
        let proof = Token::AccessToken(parent.access_token.clone());
        assert_eq!(end(&here, proof, &childminder.session_id).await.unwrap(), 0);

        assert_eq!(end_all(&here, &parent.access_token).await.unwrap(), 2, "{parts:?}");
        assert_invalid(&there.refresh(&childminder.refresh_token).await.unwrap_err());
        assert_invalid(&there.refresh(&parent.refresh_token).await.unwrap_err());
        eventually(SEEN_WITHIN, "the other replica refuses both", async || {
            !valid(&there, &childminder, Portal::Childminder).await
                && !valid(&there, &parent, Portal::Parent).await
        })
        .await;
        assert_eq!(audited(&first, "session_ended", "logged_out_everywhere", "").await, 1);
        // The door is not locked.
        here.session(at(Portal::Parent)).await;
    }
}

#[tokio::test]
async fn b20_session_kill_by_change_of_password() {
    for parts in Parts::ALL {
        let pair = pair(parts).await;
        let (own, other) = (warm(&pair).await, warm(&pair).await);
        let bystander = pair.here.session(Attempt::new("bo", PASSWORD)).await;
        let changed = change_with_session(&pair.here, &own, PASSWORD, "mossa-kanel-segel-tratt").await;
        assert_eq!(changed.unwrap().ended_session_count, 1);
        assert_dead(&pair, &other).await;
        assert_eq!(end_reason(&pair.first, &other.session_id).await, "password_changed");
        assert!(is_valid(&pair.there, &own.access_token).await, "{parts:?}: one's own stays");
        pair.there.refresh(&own.refresh_token).await.unwrap();
        assert!(is_valid(&pair.there, &bystander.access_token).await);
    }
}

#[tokio::test]
async fn b20_no_session_that_began_with_the_old_password_survives_its_change() {
    const ROUNDS: usize = 6;
    for parts in Parts::ALL {
        let pair = pair_with(parts, roomy).await;
        let mut own = alma(&pair.here).await;
        for round in 0..ROUNDS {
            let old = if round == 0 { PASSWORD.to_owned() } else { format!("{PASSWORD}-{}", round - 1) };
            let new = format!("{PASSWORD}-{round}");
            let mut logins = tokio::task::JoinSet::new();
            for number in 0..12 {
                let portal = if number % 2 == 0 { pair.here.clone() } else { pair.there.clone() };
                let old = old.clone();
                logins.spawn(async move { portal.log_in(Attempt::new("alma", &old)).await });
            }
            own = pair.here.refresh(&own.refresh_token).await.unwrap();
            change_with_session(&pair.there, &own, &old, &new).await.unwrap();
            for answer in logins.join_all().await {
                let Ok(answer) = answer else { continue };
                let Some(proto::login_with_password_response::Outcome::Session(tokens)) = answer.outcome
                else {
                    panic!("no change was asked for");
                };
                assert_invalid(&pair.here.refresh(&tokens.refresh_token).await.unwrap_err());
                for portal in [&pair.here, &pair.there] {
                    eventually(SEEN_WITHIN, "the access token is refused", async || {
                        !is_valid(portal, &tokens.access_token).await
                    })
                    .await;
                }
            }
            pair.here.refresh(&own.refresh_token).await.unwrap_or_else(|status| {
                panic!("{parts:?}, round {round}: the session that changed it died: {status:?}")
            });
        }
    }
}

#[tokio::test]
async fn b20_a_refresh_beside_a_change_of_password_is_no_logout() {
    for parts in Parts::ALL {
        let pair = pair_with(parts, roomy).await;
        let mut own = alma(&pair.here).await;
        let mut old = PASSWORD.to_owned();
        for round in 0..5 {
            let new = format!("{PASSWORD}-{round}");
            let mut refreshes = tokio::task::JoinSet::new();
            for number in 0..10 {
                let portal = if number % 2 == 0 { pair.here.clone() } else { pair.there.clone() };
                let token = own.refresh_token.clone();
                refreshes.spawn(async move { portal.refresh(&token).await });
            }
            change_with_session(&pair.there, &own, &old, &new).await.unwrap();
            for answer in refreshes.join_all().await {
                own = answer.unwrap_or_else(|status| panic!("{parts:?}, round {round}: {status:?}"));
            }
            old = new;
        }
    }
}

#[tokio::test]
async fn b20_a_replica_that_starts_later_knows_of_the_end() {
    for parts in Parts::ALL {
        let mut pair = pair(parts).await;
        let tokens = warm(&pair).await;
        pair.second.stop().await;
        let proof = Token::AccessToken(tokens.access_token.clone());
        assert_eq!(end(&pair.here, proof, "").await.unwrap(), 1);
        let restarted = pair.first.replica().await;
        let there = restarted.portal(KOMMUN).await;
        assert!(!is_valid(&there, &tokens.access_token).await, "{parts:?}: the very first answer");
    }
}

#[tokio::test]
async fn b20_the_feed_is_followed_when_commits_come_out_of_order() {
    // SQLite has one writer: positions are committed in order.
    let pair = pair(Parts::Shared).await;
    let (late, early) = (warm(&pair).await, warm(&pair).await);
    let mut connection = sql(&pair.first).await;
    let mut slow = connection.begin().await.unwrap();
    let row = format!(
        "INSERT INTO revocation (session_id, at_ms) VALUES ('{}', {})",
        late.session_id,
        crate::support::service::NOON_MS
    );
    sqlx::query(AssertSqlSafe(row)).execute(&mut *slow).await.unwrap();

    let proof = Token::AccessToken(early.access_token.clone());
    assert_eq!(end(&pair.here, proof, "").await.unwrap(), 1);
    eventually(SEEN_WITHIN, "a later position is read", async || {
        !is_valid(&pair.there, &early.access_token).await
    })
    .await;
    assert!(is_valid(&pair.there, &late.access_token).await);
    slow.commit().await.unwrap();
    for portal in [&pair.here, &pair.there] {
        eventually(SEEN_WITHIN, "the earlier position is read too", async || {
            !is_valid(portal, &late.access_token).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_dead_refresh_token_does_not_end_other_sessions() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let other = alma(&portal).await;
        let replaced = alma(&portal).await;
        let next = portal.refresh(&replaced.refresh_token).await.unwrap();
        portal.refresh(&next.refresh_token).await.unwrap();
        let ended = alma(&portal).await;
        assert_eq!(end(&portal, Token::RefreshToken(ended.refresh_token.clone()), "").await.unwrap(), 1);
        for dead in [&replaced, &ended] {
            let proof = Token::RefreshToken(dead.refresh_token.clone());
            assert_invalid(&end(&portal, proof, &other.session_id).await.unwrap_err());
        }
        assert!(is_valid(&portal, &other.access_token).await, "{parts:?}");
        // Its own session it may end: that is what its theft would do as well.
        let proof = Token::RefreshToken(replaced.refresh_token.clone());
        assert_eq!(end(&portal, proof, &replaced.session_id).await.unwrap(), 1);
        let proof = Token::RefreshToken(other.refresh_token.clone());
        let status = end(&portal, proof, "not a session id").await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_REQUEST");
    }
}
