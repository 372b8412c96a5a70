//! Several replicas and one outbox: no mail comes twice, and what a replica had when it stopped or died is sent by
//! another.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use guardian_auth::config::{Config, Mail};

use super::{
    Bed, MINUTE, NEW, SECOND, SOON, ask, by_email, confirm, inspect, of, offer_everything, on_all_parts,
    parents, token_in,
};
use crate::session::number;
use crate::support::eventually;
use crate::support::service::{KOMMUN, NOON_MS, Service};
use crate::support::smtp::{Behaviour, Stage};
use crate::support::sql::Sql;

const BO: &str = "bo@exempel.se";

/// Longer than the lease of a message.
const LEASE_OVER: Duration = Duration::from_mins(4);

fn without_workers(config: &mut Config) {
    config.workers.enabled = false;
}

/// A mail may take longer than a shutdown waits.
fn patient(config: &mut Config) {
    if let Some(Mail::Smtp(smtp)) = &mut config.mail {
        smtp.timeout = MINUTE;
    }
}

/// Waits until the mail server has heard this word from somebody.
async fn heard(bed: &Bed, word: &str) {
    eventually(SOON, "a mail is under way", async || bed.smtp.heard(word) > 0).await;
}

#[tokio::test]
async fn two_replicas_mail_each_of_sixty_messages_once() {
    const COUNT: usize = 60;
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        bed.service.import(KOMMUN, &parents(COUNT).await).await;
        let replica = bed.replica().await;
        let portals = [bed.portal.clone(), replica.portal(KOMMUN).await];
        for number in 0..COUNT {
            ask(&portals[number % 2], of(number)).await.unwrap();
        }
        bed.settled().await;
        bed.messages("sent", i64::try_from(COUNT).unwrap()).await;
        let mails = bed.smtp.mails();
        assert_eq!(mails.len(), COUNT, "{parts:?}");
        let ids: BTreeSet<_> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
        let recipients: BTreeSet<_> = mails.iter().map(|mail| &mail.recipients[0]).collect();
        assert_eq!((ids.len(), recipients.len()), (COUNT, COUNT));
        let live = number(&bed.service, "SELECT count(*) FROM reset_token WHERE ended_ms IS NULL").await;
        assert_eq!(live, i64::try_from(COUNT).unwrap());
    })
    .await;
}

/// A stop waits 5 s for what is under way, then gives it up: when the lease is over, another replica has it.
#[tokio::test]
async fn a_stop_during_a_stalled_mail_is_bounded_and_another_replica_sends_it() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start_with(parts, patient).await;
        bed.smtp.set(Behaviour::Stall(Stage::Recipient)).await;
        bed.ask(by_email("bo", BO)).await.unwrap();
        heard(&bed, "RCPT").await;
        let began = Instant::now();
        bed.service.stop().await;
        let took = began.elapsed();
        assert!(
            took < 8 * SECOND,
            "{parts:?}: the stop took {took:?}, of which 6 s are allowed on a quiet machine"
        );
        bed.smtp.set(Behaviour::Take).await;
        let replica = bed.replica().await;
        bed.service.clock.advance(LEASE_OVER);
        let mails = bed.smtp.wait_for(1).await;
        bed.messages("sent", 1).await;
        assert_eq!(bed.smtp.mails().len(), 1, "{parts:?}");
        inspect(&replica.portal(KOMMUN).await, &token_in(&mails[0])).await.unwrap();
    })
    .await;
}

/// A replica on a runtime of its own, which can end without any of its tasks coming to an end, as by SIGKILL.
fn mortal_replica(bed: &Bed) -> (Service, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let start = || runtime.block_on(bed.replica_with(patient));
    let service = thread::scope(|scope| scope.spawn(start).join()).unwrap();
    (service, runtime)
}

/// The worst moment: the mail server has the mail, and nobody is left to hear of it.
#[tokio::test]
async fn what_a_replica_had_when_it_died_is_sent_by_another_after_its_lease() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start_with(parts, without_workers).await;
        bed.service.import(KOMMUN, &parents(3).await).await;
        bed.smtp.set_for(BO, Behaviour::Stall(Stage::Answer)).await;
        let (dying, runtime) = mortal_replica(&bed);
        bed.ask(by_email("bo", BO)).await.unwrap();
        bed.smtp.wait_for(1).await;
        runtime.shutdown_background();
        bed.ask_for(0..3).await;

        bed.smtp.set_for(BO, Behaviour::Take).await;
        let _replica = bed.replica_with(offer_everything).await;
        bed.messages("sent", 3).await;
        assert_eq!(bed.smtp.mails().len(), 4, "{parts:?}: nobody takes it while it is leased");
        bed.service.clock.advance(LEASE_OVER);
        bed.messages("sent", 4).await;
        let mails = bed.smtp.mails();
        let own: Vec<_> = mails.iter().filter(|mail| mail.recipients == [BO]).collect();
        assert_eq!((mails.len(), own.len()), (5, 2), "{parts:?}: rather two than none");
        assert_eq!(own[0].header("Message-ID"), own[1].header("Message-ID"));
        for mail in &own {
            inspect(&bed.portal, &token_in(mail)).await.unwrap();
        }
        confirm(&bed.portal, &token_in(own[0]), NEW).await.unwrap();
        inspect(&bed.portal, &token_in(own[1])).await.unwrap_err();
        drop(dying);
    })
    .await;
}

/// Requests too are leased: one that a dead replica had taken is looked at by another.
#[tokio::test]
async fn a_request_that_a_dead_replica_had_leased_is_settled_by_another() {
    on_all_parts(async |parts| {
        let bed = Bed::start_with(parts, without_workers).await;
        bed.ask(by_email("bo", BO)).await.unwrap();
        // As the worker leaves it when it dies between the lease and the settlement.
        let mut sql = Sql::open(&bed.service).await;
        let leased = format!("UPDATE reset_request SET due_ms = {}", NOON_MS + 30_000);
        assert_eq!(sql.run(&leased).await, 1);
        let _replica = bed.replica().await;
        bed.service.clock.advance(29 * SECOND);
        let other = bed.ask(by_email("alma", "alma.berg@exempel.se")).await.unwrap();
        let mails = bed.smtp.wait_for(1).await;
        assert!(mails[0].plain.contains(&other), "{parts:?}: a lease is respected");
        bed.service.clock.advance(2 * SECOND);
        let mails = bed.smtp.wait_for(2).await;
        assert_eq!(mails[1].recipients, [BO]);
    })
    .await;
}
