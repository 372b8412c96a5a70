//! B33: what was made under an old master key goes on under a new one, also while replicas differ.

use std::collections::HashSet;

use guardian_auth::config::Config;
use guardian_auth::domain::secret::Secret;

use super::access_tokens::{jwks, keys_of_document, verified};
use super::{PASSWORD, Pair, alma, assert_invalid, is_valid, list, number, service};
use crate::change_password::{change_with_session, change_with_ticket, ticket_of};
use crate::support::service::{Attempt, KOMMUN, Parts, Service};

const NEW_KEY: [u8; 32] = *b"another key of 32 bytes for test";

fn added(config: &mut Config, at: usize) {
    let key = guardian_auth::config::MasterKey { id: "new".to_owned(), key: Secret::new(NEW_KEY) };
    config.keys.master.insert(at, key);
}

/// The new key seals, the old one opens.
fn swapped(config: &mut Config) {
    added(config, 0);
}

/// The old key seals, the new one opens: the first step of a rotation.
fn prepared(config: &mut Config) {
    added(config, 1);
}

/// A service in the first step of a rotation, and a replica in the second.
async fn rolling(parts: Parts) -> Pair {
    let first = Service::start_with(parts, prepared).await;
    first.import(KOMMUN, &super::two_guardians().await).await;
    let second = first.replica_with(swapped).await;
    let (here, there) = (first.portal(KOMMUN).await, second.portal(KOMMUN).await);
    Pair { first, second, here, there }
}

#[tokio::test]
async fn b33_sessions_lists_and_devices_outlive_a_change_of_master_key() {
    for parts in Parts::ALL {
        let mut old = service(parts).await;
        let portal = old.portal(KOMMUN).await;
        let login = portal.log_in(Attempt::new("alma", PASSWORD)).await.unwrap();
        let device = login.device_token;
        let tokens = alma(&portal).await;
        let lost = alma(&portal).await;
        let answer = portal.refresh(&lost.refresh_token).await.unwrap();
        let page = list(&portal, &tokens.access_token, 1, "").await.unwrap().next_page_token;
        let keys = keys_of_document(&old).await;
        old.stop().await;

        let new = old.replica_with(swapped).await;
        let portal = new.portal(KOMMUN).await;
        assert_eq!(keys_of_document(&new).await, keys, "{parts:?}: the signing key opens");
        assert!(verified(&jwks(&new).await, &tokens.access_token).is_some());
        assert!(is_valid(&portal, &tokens.access_token).await);
        list(&portal, &tokens.access_token, 1, &page).await.unwrap();
        // A lost answer is asked for again across the change.
        let again = portal.refresh(&lost.refresh_token).await.unwrap();
        assert_eq!(again.refresh_token, answer.refresh_token, "{parts:?}");
        portal.refresh(&again.refresh_token).await.unwrap();

        let next = portal.refresh(&tokens.refresh_token).await.unwrap();
        let after = portal.refresh(&next.refresh_token).await.unwrap();
        // Reuse is noticed across the change too.
        assert_invalid(&portal.refresh(&tokens.refresh_token).await.unwrap_err());
        assert_invalid(&portal.refresh(&after.refresh_token).await.unwrap_err());

        let known = "SELECT count(*) FROM audit_event WHERE kind = 'logged_in' AND known_device = 1";
        let before = number(&new, known).await;
        portal.log_in(Attempt::new("alma", PASSWORD).with_device(&device)).await.unwrap();
        assert_eq!(number(&new, known).await, before + 1, "{parts:?}: the device is known");
    }
}

#[tokio::test]
async fn b33_replicas_with_different_active_keys_agree_on_the_successor() {
    for parts in Parts::ALL {
        let pair = rolling(parts).await;
        let mut token = alma(&pair.here).await.refresh_token;
        for round in 0..4 {
            let mut calls = tokio::task::JoinSet::new();
            for number in 0..40 {
                let portal = if number % 2 == 0 { pair.here.clone() } else { pair.there.clone() };
                let token = token.clone();
                calls.spawn(async move { portal.refresh(&token).await });
            }
            let answers: HashSet<String> = calls
                .join_all()
                .await
                .into_iter()
                .map(|answer| answer.unwrap_or_else(|status| panic!("{parts:?}, round {round}: {status:?}")))
                .map(|tokens| tokens.refresh_token)
                .collect();
            assert_eq!(answers.len(), 1, "{parts:?}, round {round}");
            token = answers.into_iter().next().unwrap();
        }
    }
}

#[tokio::test]
async fn b33_what_one_replica_makes_the_other_takes() {
    for parts in Parts::ALL {
        let pair = rolling(parts).await;
        for (maker, taker) in [(&pair.here, &pair.there), (&pair.there, &pair.here)] {
            let first = alma(maker).await;
            let second = taker.refresh(&first.refresh_token).await.unwrap();
            let repeated = maker.refresh(&first.refresh_token).await.unwrap();
            assert_eq!(repeated.refresh_token, second.refresh_token, "{parts:?}");
            maker.refresh(&second.refresh_token).await.unwrap();
        }
        let must_change = crate::change_password::must_change("g-9", "cleo").await;
        pair.first.import(KOMMUN, &must_change).await;
        let ticket = ticket_of(&pair.here, "cleo").await;
        change_with_ticket(&pair.there, &ticket, "mossa-kanel-segel-tratt").await.unwrap();
    }
}

#[tokio::test]
async fn b33_a_device_is_known_after_a_change_of_password() {
    for parts in Parts::ALL {
        let pair = rolling(parts).await;
        let login = pair.here.log_in(Attempt::new("alma", PASSWORD)).await.unwrap();
        let own = alma(&pair.here).await;
        change_with_session(&pair.here, &own, PASSWORD, "mossa-kanel-segel-tratt").await.unwrap();
        let known = "SELECT count(*) FROM audit_event WHERE kind = 'logged_in' AND known_device = 1";
        let before = number(&pair.first, known).await;
        let attempt = Attempt::new("alma", "mossa-kanel-segel-tratt").with_device(&login.device_token);
        pair.here.log_in(attempt).await.unwrap();
        pair.there.log_in(attempt).await.unwrap();
        assert_eq!(number(&pair.first, known).await, before + 2, "{parts:?}");
    }
}
