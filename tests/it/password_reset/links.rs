//! What a link is worth: forged, cut, used, late, for another purpose, organization, portal, account or address.

use std::collections::BTreeSet;
use std::sync::Arc;

use guardian_auth::proto;
use prost_reflect::DescriptorPool;
use tokio::sync::Barrier;
use tonic::Status;

use super::{Bed, MINUTE, NEW, OLD, SECOND, SOON, confirm, guardians, inspect, with_email};
use crate::change_password::{change_with_session, change_with_ticket, roomy};
use crate::login_password::secrets::dump;
use crate::session::{SEEN_WITHIN, bent, number};
use crate::support::service::{Attempt, Calls, KOMMUN, OPVANG, Parts, guardian, hash, reason};
use crate::support::sql::Sql;
use crate::support::{eventually, full_size};

const BO: (&str, &str) = ("bo", "bo@exempel.se");

fn assert_dead<T: std::fmt::Debug>(answer: Result<T, Status>) {
    assert_eq!(reason(&answer.unwrap_err()), "RESET_TOKEN_INVALID");
}

async fn causes(bed: &Bed) -> BTreeSet<String> {
    let mut sql = Sql::open(&bed.service).await;
    sql.texts("SELECT cause FROM audit_event WHERE kind = 'reset_link_refused'").await.into_iter().collect()
}

/// Zitadel CVE-2026-27840: truncated tokens were valid.
#[tokio::test]
async fn b15_zitadel_cve_2026_27840_no_bent_or_cut_reset_token_is_taken() {
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, roomy).await;
        let token = bed.token_of(BO.0, BO.1).await;
        assert_eq!(token.len(), 4 + 43, "256 bits behind the prefix");
        for forged in bent(&token) {
            assert_dead(inspect(&bed.portal, &forged).await);
        }
        for forged in bent(&token).iter().step_by(37) {
            assert_dead(confirm(&bed.portal, forged, NEW).await);
        }
        confirm(&bed.portal, &token, NEW).await.unwrap();
    }
}

#[tokio::test]
async fn b15_the_database_holds_no_token() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of(BO.0, BO.1).await;
        let secret = token.strip_prefix("grt_").unwrap();
        let mut places = Vec::new();
        dump(&bed.service, parts, &mut places).await;
        assert!(places.iter().any(|(place, _)| place.contains("reset_token.digest")));
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (place, text) in places {
            assert!(!text.contains(secret) && !text.to_lowercase().contains(&hex), "{place}");
        }
    }
}

/// authentik CVE-2022-23555: a token of one flow was good in another.
#[tokio::test]
async fn authentik_cve_2022_23555_a_token_is_for_its_purpose() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of(BO.0, BO.1).await;
        let session = bed.portal.session(Attempt::new("bo", OLD)).await;
        let as_ticket = change_with_ticket(&bed.portal, &token, NEW).await.unwrap_err();
        assert_eq!(reason(&as_ticket), "CHANGE_TOKEN_INVALID");
        let renamed = token.replace("grt_", "gct_");
        assert_eq!(
            reason(&change_with_ticket(&bed.portal, &renamed, NEW).await.unwrap_err()),
            "CHANGE_TOKEN_INVALID"
        );
        assert_eq!(reason(&bed.portal.refresh(&token).await.unwrap_err()), "SESSION_INVALID");
        for foreign in [&session.access_token, &session.refresh_token, &renamed] {
            let refused = inspect(&bed.portal, foreign).await.unwrap_err();
            assert!(["RESET_TOKEN_INVALID", "INVALID_REQUEST"].contains(&reason(&refused).as_str()));
        }
        inspect(&bed.portal, &token).await.unwrap();
    }
}

async fn redeem_at_once(portals: &[Calls], token: &str, times: usize) -> usize {
    let barrier = Arc::new(Barrier::new(times));
    let tries: Vec<_> = (0..times)
        .map(|index| {
            let (portal, token) = (portals[index % portals.len()].clone(), token.to_owned());
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                confirm(&portal, &token, &format!("{NEW}-{index}")).await
            })
        })
        .collect();
    let mut successes = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => successes += 1,
            Err(status) => assert_eq!(reason(&status), "RESET_TOKEN_INVALID", "{status:?}"),
        }
    }
    successes
}

/// Zitadel CVE-2025-46815, Gitea CVE-2026-20779, fosite CVE-2020-15222: one-time tokens were taken twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_zitadel_cve_2025_46815_gitea_cve_2026_20779_of_many_parallel_confirmations_on_two_replicas_one_succeeds()
 {
    let (rounds, times) = if full_size() { (100, 1000) } else { (3, 60) };
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, roomy).await;
        let replica = bed.replica_with(roomy).await;
        let portals = [bed.portal.clone(), replica.portal(KOMMUN).await];
        for round in 0..rounds {
            // Three mails at once, then one in 20 minutes.
            bed.service.clock.advance(20 * MINUTE);
            let token = bed.token_of(BO.0, BO.1).await;
            assert_eq!(redeem_at_once(&portals, &token, times).await, 1, "{parts:?} round {round}");
        }
    }
}

/// authentik CVE-2025-64708: expiry was left to a clean-up task. Here nothing is cleaned up in between.
#[tokio::test]
async fn b17_authentik_cve_2025_64708_a_link_lives_its_hour_to_the_millisecond_without_any_sweep() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let (early, late) = (bed.token_of(BO.0, BO.1).await, bed.token_of(BO.0, BO.1).await);
        bed.service.clock.advance(60 * MINUTE - SECOND);
        inspect(&bed.portal, &late).await.unwrap();
        confirm(&bed.portal, &early, NEW).await.unwrap();
        let other = bed.token_of(BO.0, BO.1).await;
        bed.service.clock.advance(60 * MINUTE + SECOND);
        assert_dead(inspect(&bed.portal, &other).await);
        assert_dead(confirm(&bed.portal, &other, OLD).await);
        assert_eq!(number(&bed.service, "SELECT count(*) FROM reset_token").await, 3, "nothing swept them");
        eventually(SOON, "the cause is in the audit log", async || {
            causes(&bed).await.contains("reset_token_expired")
        })
        .await;
    }
}

/// Mattermost CVE-2016-11074: old links survived.
#[tokio::test]
async fn mattermost_cve_2016_11074_a_used_link_ends_its_siblings() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let tokens =
            [bed.token_of(BO.0, BO.1).await, bed.token_of(BO.0, BO.1).await, bed.token_of(BO.0, BO.1).await];
        for token in &tokens {
            inspect(&bed.portal, token).await.unwrap();
        }
        confirm(&bed.portal, &tokens[1], NEW).await.unwrap();
        for token in &tokens {
            assert_dead(inspect(&bed.portal, token).await);
            assert_dead(confirm(&bed.portal, token, OLD).await);
        }
        bed.portal.session(Attempt::new("bo", NEW)).await;
    }
}

#[tokio::test]
async fn a_fourth_link_ends_the_oldest_and_no_other() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(bed.token_of(BO.0, BO.1).await);
            bed.service.clock.advance(14 * MINUTE);
        }
        assert_dead(inspect(&bed.portal, &tokens[0]).await);
        for token in &tokens[1..] {
            inspect(&bed.portal, token).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_change_of_password_ends_all_links() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of(BO.0, BO.1).await;
        let session = bed.portal.session(Attempt::new("bo", OLD)).await;
        change_with_session(&bed.portal, &session, OLD, NEW).await.unwrap();
        assert_dead(inspect(&bed.portal, &token).await);
        assert_dead(confirm(&bed.portal, &token, OLD).await);
    }
}

/// Devise CVE-2026-32700: token and address came apart when the address changed.
#[tokio::test]
async fn devise_cve_2026_32700_a_link_dies_with_the_address_that_it_was_sent_to() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of(BO.0, BO.1).await;
        let row = with_email(guardian("g-2", "bo", Some(&hash(OLD).await)), "00123", "new@exempel.se");
        bed.service.import(KOMMUN, &[row]).await;
        assert_dead(inspect(&bed.portal, &token).await);
        assert_dead(confirm(&bed.portal, &token, NEW).await);
        let fresh = bed.token_of("bo", "new@exempel.se").await;
        assert_eq!(bed.smtp.mails().last().unwrap().recipients, ["new@exempel.se"]);
        confirm(&bed.portal, &fresh, NEW).await.unwrap();
    }
}

/// Decidim CVE-2026-45414, Zitadel CVE-2026-55670: tokens were good in another tenant.
#[tokio::test]
async fn decidim_cve_2026_45414_zitadel_cve_2026_55670_a_link_is_for_its_organization_and_portal() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of(BO.0, BO.1).await;
        let foreign = bed.service.portal(OPVANG).await;
        for (organization, portal) in [(OPVANG, proto::Portal::Parent), (OPVANG, proto::Portal::Childminder)]
        {
            let request = proto::ConfirmPasswordResetRequest {
                organization: organization.to_owned(),
                portal: portal.into(),
                reset_token: token.clone(),
                new_password: NEW.to_owned(),
                client: None,
            };
            assert_dead(foreign.reset.clone().confirm_password_reset(request).await);
        }
        let own = proto::InspectResetTokenRequest {
            organization: KOMMUN.to_owned(),
            portal: proto::Portal::Staff.into(),
            reset_token: token.clone(),
            ..Default::default()
        };
        assert_dead(bed.portal.reset.clone().inspect_reset_token(own).await);
        confirm(&bed.portal, &token, NEW).await.unwrap();
    }
}

/// authentik CVE-2023-26481: who held a link chose whose password it set. Mattermost CVE-2017-18908: the request said where
/// the mail goes.
#[test]
fn authentik_cve_2023_26481_mattermost_cve_2017_18908_no_request_names_an_account_or_a_recipient() {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap();
    let fields = |name: &str| -> BTreeSet<String> {
        let message = pool.get_message_by_name(&format!("guardian.auth.v1.{name}")).unwrap();
        message.fields().map(|field| field.name().to_owned()).collect()
    };
    let expected = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        fields("ConfirmPasswordResetRequest"),
        expected(&["organization", "portal", "reset_token", "new_password", "client"])
    );
    assert_eq!(
        fields("RequestPasswordResetRequest"),
        expected(&[
            "organization",
            "portal",
            "debtor_number_and_bsn",
            "debtor_number_and_email",
            "email",
            "locale",
            "client"
        ])
    );
}

#[tokio::test]
async fn b20_a_reset_is_seen_on_the_other_replica_within_a_second() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let replica = bed.replica().await;
        let there = replica.portal(KOMMUN).await;
        let session = bed.portal.session(Attempt::new("bo", OLD)).await;
        there.verify(&session.access_token, KOMMUN, proto::Portal::Parent).await.unwrap();
        let token = bed.token_of(BO.0, BO.1).await;
        confirm(&bed.portal, &token, NEW).await.unwrap();
        let told = "the session is over on the other replica";
        eventually(SEEN_WITHIN, told, async || {
            there.verify(&session.access_token, KOMMUN, proto::Portal::Parent).await.is_err()
        })
        .await;
        there.refresh(&session.refresh_token).await.unwrap_err();
    }
}

/// A wrong token is charged to its network like a wrong password; a right one is not.
#[tokio::test]
async fn wrong_tokens_are_limited_per_network_and_right_ones_are_not_charged() {
    let bed = Bed::start(Parts::Embedded).await;
    let token = bed.token_of(BO.0, BO.1).await;
    let from = |ip: &str, token: &str| proto::InspectResetTokenRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        reset_token: token.to_owned(),
        locale: String::new(),
        client: Some(proto::ClientContext { ip: ip.to_owned(), ..Default::default() }),
    };
    let inspect =
        async |ip: &str, token: &str| bed.portal.reset.clone().inspect_reset_token(from(ip, token)).await;
    for _ in 0..100 {
        inspect("192.0.2.7", &token).await.unwrap();
    }
    let wrong = format!("grt_{}", "A".repeat(43));
    for _ in 0..60 {
        assert_dead(inspect("192.0.2.7", &wrong).await);
    }
    let refused = inspect("192.0.2.7", &wrong).await.unwrap_err();
    assert_eq!(reason(&refused), "RATE_LIMITED");
    assert_dead(inspect("192.0.2.8", &wrong).await);
}

/// The mails of two accounts do not mix up, and what is imported later does not lose them.
#[tokio::test]
async fn a_link_sets_the_password_of_its_account_alone() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let token = bed.token_of("alma", "alma.berg@exempel.se").await;
        confirm(&bed.portal, &token, NEW).await.unwrap();
        bed.portal.session(Attempt::new("bo", OLD)).await;
        bed.portal.log_in(Attempt::new("bo", NEW)).await.unwrap_err();
        bed.service.import(KOMMUN, &guardians().await).await;
        bed.portal.session(Attempt::new("alma", NEW)).await;
    }
}
