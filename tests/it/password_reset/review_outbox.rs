//! Messages that cannot be sent keep nobody else waiting, and arrive neither late nor for ever.

use guardian_auth::domain::message::MOST_ATTEMPTS;

use super::{Bed, MINUTE, SOON, by_email, has_link};
use crate::support::eventually;
use crate::support::service::Parts;
use crate::support::smtp::Behaviour;
use crate::support::sql::Sql;

/// A bed whose service is stopped, with a link for `bo` in the outbox that was sent once and is queued again.
async fn with_a_queued_link(parts: Parts) -> (Bed, Sql) {
    let mut bed = Bed::start(parts).await;
    bed.token_of("bo", "bo@exempel.se").await;
    let mut sql = Sql::open(&bed.service).await;
    bed.service.stop().await;
    assert_eq!(
        sql.run("UPDATE message SET state = 'queued', due_ms = created_ms, settled_ms = NULL").await,
        1
    );
    (bed, sql)
}

async fn state(sql: &mut Sql) -> String {
    sql.texts("SELECT state || ' ' || COALESCE(error, '') FROM message").await.concat()
}

#[tokio::test]
async fn a_message_of_a_newer_version_keeps_nobody_else_waiting() {
    for parts in Parts::ALL {
        let (bed, mut sql) = with_a_queued_link(parts).await;
        let newer = "INSERT INTO message (id, organization, portal, guardian_id, channel, template, idempotency_key, \
             state, attempts, created_ms, due_ms, tried_ms) \
             SELECT '0', organization, portal, guardian_id, channel, 'of_a_newer_version', 'another', 'queued', 0, \
             created_ms, due_ms, tried_ms FROM message";
        assert_eq!(sql.run(newer).await, 1);
        let _replica = bed.replica().await;
        eventually(SOON, "the link is sent again", async || bed.smtp.mails().len() == 2).await;
        let states = "SELECT state FROM message ORDER BY state";
        eventually(SOON, "the other one waits", async || sql.texts(states).await == ["queued", "sent"]).await;
    }
}

#[tokio::test]
async fn a_link_whose_organization_resets_no_more_is_given_up() {
    for parts in Parts::ALL {
        let (bed, mut sql) = with_a_queued_link(parts).await;
        let _replica = bed
            .replica_with(|config| {
                config.organizations.iter_mut().for_each(|organization| organization.reset = None);
            })
            .await;
        eventually(SOON, "it is given up", async || state(&mut sql).await == "failed not_configured").await;
        assert_eq!(bed.smtp.mails().len(), 1);
    }
}

#[tokio::test]
async fn a_message_that_waited_for_a_day_is_not_sent_any_more() {
    for parts in Parts::ALL {
        let (bed, mut sql) = with_a_queued_link(parts).await;
        bed.service.clock.advance(24 * 60 * MINUTE);
        let _replica = bed.replica().await;
        eventually(SOON, "it is given up", async || state(&mut sql).await == "dead too_old").await;
        assert_eq!(bed.smtp.mails().len(), 1);
    }
}

/// A server that takes longer to answer for the content than we wait has the mail each time.
#[tokio::test]
async fn a_mail_whose_answer_is_always_lost_does_not_arrive_for_ever() {
    let mut bed = Bed::start(Parts::Embedded).await;
    bed.smtp.set(Behaviour::TAKE_AND_DROP).await;
    bed.ask(by_email("bo", "bo@exempel.se")).await.unwrap();
    let most = usize::try_from(MOST_ATTEMPTS).unwrap();
    for number in 1..=most {
        eventually(SOON, "the mail arrives", async || bed.smtp.mails().len() == number).await;
        let mut sql = Sql::open(&bed.service).await;
        let tried = format!("SELECT count(*) FROM message WHERE attempts = {number}");
        eventually(SOON, "the try is written", async || sql.number(&tried).await == 1).await;
        bed.service.clock.advance(4 * MINUTE);
    }
    let mut sql = Sql::open(&bed.service).await;
    assert_eq!(state(&mut sql).await, "dead broken_off");
    assert_eq!(bed.smtp.mails().iter().filter(|mail| has_link(mail)).count(), most);
}

/// Each request that sends nothing leaves a budget of its own, for twenty minutes, and a message that says nothing.
#[tokio::test]
async fn what_a_flood_of_requests_left_is_swept_in_one_go() {
    for parts in Parts::ALL {
        let mut bed = Bed::start(parts).await;
        let mut sql = Sql::open(&bed.service).await;
        bed.service.stop().await;
        let flood = "INSERT INTO message_budget (subject, full_at_ms) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) \
             SELECT 'reset:' || i, 1 FROM n";
        assert_eq!(sql.run(flood).await, 25_000);
        let _replica = bed.replica().await;
        eventually(SOON, "all are gone", async || {
            sql.number("SELECT count(*) FROM message_budget").await == 0
        })
        .await;
    }
}
