//! Rotation of refresh tokens: one successor, a short grace, and reuse that ends the session.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guardian_auth::domain::session::REFRESH_GRACE;

use super::{MS, alma, assert_invalid, audited, end_reason, is_valid, pair, questions, service};
use crate::support::service::{KOMMUN, Parts};

#[tokio::test]
async fn a_replaced_token_gets_the_same_successor_for_thirty_seconds() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let first = alma(&portal).await;
        let second = portal.refresh(&first.refresh_token).await.unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
        assert_ne!(second.access_token, first.access_token);

        service.clock.advance(REFRESH_GRACE);
        let again = portal.refresh(&first.refresh_token).await.unwrap();
        assert_eq!(again.refresh_token, second.refresh_token, "{parts:?}");
        assert!(is_valid(&portal, &again.access_token).await);
        // The repeat begins no new grace and moves nothing.
        assert_eq!(again.idle_expire_time, second.idle_expire_time);
        portal.refresh(&second.refresh_token).await.unwrap();
    }
}

#[tokio::test]
async fn a_hundred_parallel_refreshes_on_two_replicas_agree_on_one_successor() {
    for parts in Parts::ALL {
        let pair = pair(parts).await;
        let mut token = alma(&pair.here).await.refresh_token;
        for round in 0..3 {
            let mut calls = tokio::task::JoinSet::new();
            for number in 0..100 {
                let portal = if number % 2 == 0 { pair.here.clone() } else { pair.there.clone() };
                let token = token.clone();
                calls.spawn(async move { portal.refresh(&token).await });
            }
            let answers = calls.join_all().await;
            let successors: HashSet<String> = answers
                .into_iter()
                .map(|answer| answer.unwrap_or_else(|status| panic!("{parts:?}, round {round}: {status:?}")))
                .map(|tokens| tokens.refresh_token)
                .collect();
            assert_eq!(successors.len(), 1, "{parts:?}, round {round}");
            token = successors.into_iter().next().unwrap();
        }
        pair.there.refresh(&token).await.unwrap();
    }
}

#[tokio::test]
async fn the_previous_token_after_its_grace_ends_the_session() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let first = alma(&portal).await;
        let second = portal.refresh(&first.refresh_token).await.unwrap();
        service.clock.advance(REFRESH_GRACE + MS);
        assert_invalid(&portal.refresh(&first.refresh_token).await.unwrap_err());

        assert_invalid(&portal.refresh(&second.refresh_token).await.unwrap_err());
        assert!(!is_valid(&portal, &second.access_token).await, "{parts:?}");
        let session = &first.session_id;
        assert_eq!(end_reason(&service, session).await, "refresh_reused");
        assert_eq!(audited(&service, "refresh_reused", "recent_previous", session).await, 1, "{parts:?}");
        // A second use finds it ended and writes nothing.
        assert_invalid(&portal.refresh(&first.refresh_token).await.unwrap_err());
        assert_eq!(audited(&service, "refresh_reused", "recent_previous", session).await, 1);
    }
}

#[tokio::test]
async fn an_older_token_ends_the_session_at_once() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let first = alma(&portal).await;
        let second = portal.refresh(&first.refresh_token).await.unwrap();
        let third = portal.refresh(&second.refresh_token).await.unwrap();
        assert_invalid(&portal.refresh(&first.refresh_token).await.unwrap_err());

        assert_invalid(&portal.refresh(&third.refresh_token).await.unwrap_err());
        assert!(!is_valid(&portal, &third.access_token).await);
        let session = &first.session_id;
        assert_eq!(audited(&service, "refresh_reused", "stale_lineage", session).await, 1, "{parts:?}");
    }
}

#[tokio::test]
async fn reuse_in_one_session_leaves_the_others_alone() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let (stolen, other) = (alma(&portal).await, alma(&portal).await);
        portal.refresh(&stolen.refresh_token).await.unwrap();
        service.clock.advance(REFRESH_GRACE + MS);
        assert_invalid(&portal.refresh(&stolen.refresh_token).await.unwrap_err());
        assert!(is_valid(&portal, &other.access_token).await);
        portal.refresh(&other.refresh_token).await.unwrap();
    }
}

#[tokio::test]
async fn a_made_up_token_of_a_known_session_ends_nothing() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = alma(&portal).await;
        let (_, genuine) = tokens.refresh_token.split_at(4 + 26);
        let genuine = URL_SAFE_NO_PAD.decode(genuine).unwrap();
        for fill in 0..50_u8 {
            let mut bytes = vec![fill; 48];
            // The check value of a genuine token under another secret, or random.
            if fill % 2 == 0 {
                bytes[32..].copy_from_slice(&genuine[32..]);
            }
            let forged = format!("grt_{}{}", tokens.session_id, URL_SAFE_NO_PAD.encode(bytes));
            assert_invalid(&portal.refresh(&forged).await.unwrap_err());
        }
        assert!(is_valid(&portal, &tokens.access_token).await, "{parts:?}");
        portal.refresh(&tokens.refresh_token).await.unwrap();
    }
}

/// Every proper prefix and suffix of a token, and every token that differs in one bit.
pub(crate) fn bent(token: &str) -> Vec<String> {
    let mut bent: Vec<String> = (1..token.len()).map(|end| token[..end].to_owned()).collect();
    bent.extend((1..token.len()).map(|start| token[start..].to_owned()));
    bent.extend(["A", "=", " ", "\n"].map(|more| format!("{token}{more}")));
    bent.push(format!(" {token}"));
    for position in 0..token.len() {
        for bit in 0..8 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[position] ^= 1 << bit;
            // What is no UTF-8 does not decode as a message at all.
            bent.extend(String::from_utf8(bytes));
        }
    }
    bent
}

#[tokio::test]
async fn b15_no_bent_or_cut_refresh_token_is_taken_or_asked_about() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = alma(&portal).await;
        let before = questions(&service).await;
        let forgeries = bent(&tokens.refresh_token);
        assert!(forgeries.len() > 800, "{}", forgeries.len());
        for forged in forgeries {
            let status = portal.refresh(&forged).await.unwrap_err();
            assert_invalid(&status);
        }
        assert!((questions(&service).await - before).abs() < 0.5, "{parts:?}: the store was asked");
        service.clock.advance(Duration::from_secs(1));
        portal.refresh(&tokens.refresh_token).await.unwrap();
    }
}

#[tokio::test]
async fn blank_tokens_are_refused_before_the_store_is_asked() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let before = questions(&service).await;
        for blank in ["", " ", "\t", "\r\n", "\u{a0}", "\u{200b}", "\0", "grt_", "grt_ ", "null", "undefined"]
        {
            let refused = portal.refresh(blank).await.unwrap_err();
            if blank.is_empty() {
                assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            } else {
                assert_invalid(&refused);
            }
        }
        let long = "x".repeat(257);
        assert_eq!(portal.refresh(&long).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        assert!((questions(&service).await - before).abs() < 0.5, "{parts:?}: the store was asked");
    }
}
