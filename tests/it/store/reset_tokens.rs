//! Tokens in reset links: found good or not, three alive at most, swept when they are old.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::directory::{Contact, Relation};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::identifier::{Mobile, Region};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::password_reset::{EmailOnFile, LIVE_LINKS};
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{NewResetToken, PasswordResetStore, ResetTokenHolder};

use super::on_every_database;
use super::races::at_once;
use super::reset_facts::{ADDRESS, add_token, email, import_reachable, is_ended, reachable, token};
use super::world::{World, at, child, debtor_login, hash, organization, random, school};

async fn found(world: &World, digest: [u8; 32]) -> Option<ResetTokenHolder> {
    world.store.reset_token(&digest).await.expect("an answer")
}

async fn a_token_is_found_with_its_account_good_or_not(world: World) {
    let account = import_reachable(&world, "10042").await;
    add_token(&world, &account, [7; 32]).await;
    assert!(found(&world, [8; 32]).await.is_none());
    let holder = found(&world, [7; 32]).await.expect("a token");
    assert_eq!(holder.organization, organization("sunnanvik"));
    assert_eq!(holder.credential_epoch, account.credential_epoch);
    assert_eq!((holder.address_digest, holder.expires), ([42; 32], at(160)));
    assert!(!holder.is_ended && !holder.has_mobile);
    assert_eq!(holder.email, EmailOnFile::Usable(email(ADDRESS)));
    assert_eq!((&holder.account.guardian, holder.account.portal), (&account.guardian, Portal::Parent));
    assert_eq!(holder.account.password.expect("a password").hash, hash(1));
    assert_eq!(holder.account.login_names, account.login_names);

    world
        .change(
            "UPDATE guardian SET credential_epoch = credential_epoch + 1, mobile_canonical = '+46701740605'",
        )
        .await;
    world.change("UPDATE reset_token SET ended_ms = 5, end_reason = 'withdrawn'").await;
    let holder = found(&world, [7; 32]).await.expect("a token");
    assert!(holder.is_ended && holder.has_mobile);
    assert_eq!(holder.credential_epoch, account.credential_epoch);
    assert_eq!(holder.account.credential_epoch, account.credential_epoch + 1);
}

async fn a_token_is_of_one_portal(world: World) {
    let mut record = reachable("10042");
    record.logins.push(debtor_login(Portal::Childminder, "70042"));
    record.relations.push(Relation::Contract { confirmed: true });
    record.mobile = Some(Contact {
        delivered: "070-174 06 05".to_owned(),
        canonical: Some(Mobile::parse("+46701740605", Region::Se).expect("a mobile number")),
    });
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    let account = world.candidates(Portal::Childminder, "70042").await.here.expect("an account");
    add_token(&world, &account, [7; 32]).await;
    let holder = found(&world, [7; 32]).await.expect("a token");
    assert_eq!(holder.account.portal, Portal::Childminder);
    assert_eq!(holder.account.login_names, account.login_names);
    assert!(holder.account.password.is_none() && holder.has_mobile);
}

/// Of several made in one millisecond, the one with the lowest digest is the oldest.
async fn the_fourth_live_token_ends_the_oldest(world: World) {
    let account = import_reachable(&world, "10042").await;
    let made = |seed: u8, minute| NewResetToken { made: at(minute), ..token(&account, [seed; 32]) };
    let add = async |token: NewResetToken| world.store.add_reset_token(&token).await.expect("it is kept");
    let alive = async || {
        let mut alive = Vec::new();
        for seed in 1..=9 {
            if found(&world, [seed; 32]).await.is_some_and(|holder| !holder.is_ended) {
                alive.push(seed);
            }
        }
        alive
    };
    add(made(5, 100)).await;
    add(made(4, 101)).await;
    add(made(3, 102)).await;
    assert_eq!(alive().await, [3, 4, 5]);
    add(made(2, 103)).await;
    assert_eq!(alive().await, [2, 3, 4]);
    let replaced = "SELECT count(*) FROM reset_token WHERE end_reason = 'replaced' AND ended_ms = ";
    assert_eq!(world.number(&format!("{replaced}{}", at(103).as_millis())).await, 1);
    for seed in [6, 9, 7, 8] {
        add(made(seed, 104)).await;
    }
    assert_eq!(alive().await, [7, 8, 9]);
    // Those that ran out or were used take nobody's place.
    world.change("UPDATE reset_token SET ended_ms = 1, end_reason = 'used' WHERE ended_ms IS NULL").await;
    for seed in [1, 10, 11] {
        add(made(seed, 105)).await;
    }
    assert_eq!(alive().await, [1]);
    add(NewResetToken { made: at(160), expires: at(220), ..token(&account, [12; 32]) }).await;
    assert!(!is_ended(&world, [1; 32]).await, "it ran out at minute 160, and was not replaced");
}

async fn accounts_and_portals_do_not_end_each_others_tokens(world: World) {
    let account = import_reachable(&world, "10042").await;
    let other = import_reachable(&world, "10043").await;
    for seed in 1..=3 {
        add_token(&world, &account, [seed; 32]).await;
        add_token(&world, &other, [seed + 10; 32]).await;
        let there = NewResetToken { portal: Portal::Childminder, ..token(&account, [seed + 20; 32]) };
        world.store.add_reset_token(&there).await.expect("it is kept");
    }
    assert_eq!(world.number("SELECT count(*) FROM reset_token WHERE ended_ms IS NULL").await, 9);
}

async fn of_many_tokens_added_at_once_three_live(world: World) {
    let account = import_reachable(&world, "10042").await;
    let other = Arc::new(world.replica().await);
    at_once((0..30).map(|number| {
        let store = if number % 2 == 0 { Arc::clone(&world.store) } else { Arc::clone(&other) };
        let token = token(&account, random());
        async move { store.add_reset_token(&token).await.expect("it is kept") }
    }))
    .await;
    assert_eq!(world.number("SELECT count(*) FROM reset_token").await, 30);
    assert_eq!(world.number("SELECT count(*) FROM reset_token WHERE ended_ms IS NULL").await, LIVE_LINKS);
    other.close().await;
}

async fn a_token_of_nobody_is_not_kept(world: World) {
    let account = import_reachable(&world, "10042").await;
    let guardian = GuardianId::new(at(1), random());
    let token = NewResetToken { guardian, ..token(&account, [7; 32]) };
    let refused = world.store.add_reset_token(&token).await.expect_err("nobody's");
    assert!(matches!(refused, PortError::Conflict(_)), "{refused}");
    assert_eq!(world.number("SELECT count(*) FROM reset_token").await, 0);
}

async fn old_tokens_are_swept_used_or_not(world: World) {
    let account = import_reachable(&world, "10042").await;
    for seed in 1..=4 {
        add_token(&world, &account, [seed; 32]).await;
    }
    let just_after = at(160).plus(Duration::from_millis(1));
    assert_eq!(world.store.sweep_resets(at(160), at(0)).await.expect("an answer"), 0);
    assert_eq!(world.store.sweep_resets(just_after, at(0)).await.expect("an answer"), 4);
    assert_eq!(world.number("SELECT count(*) FROM reset_token").await, 0);
}

on_every_database! {
    a_token_is_found_with_its_account_good_or_not,
    a_token_is_of_one_portal,
    the_fourth_live_token_ends_the_oldest,
    accounts_and_portals_do_not_end_each_others_tokens,
    of_many_tokens_added_at_once_three_live,
    a_token_of_nobody_is_not_kept,
    old_tokens_are_swept_used_or_not,
}
