//! Requests for links that cannot be settled keep nobody else waiting, and none for ever.

use std::time::Duration;

use super::{Bed, MINUTE, SOON, by_email};
use crate::support::eventually;
use crate::support::service::Parts;
use crate::support::sql::Sql;

/// Takes requests in and leaves them.
async fn without_workers(parts: Parts) -> (Bed, Sql) {
    let bed = Bed::start_with(parts, |config| config.workers.enabled = false).await;
    let sql = Sql::open(&bed.service).await;
    (bed, sql)
}

/// Asks for links in this order: batches are settled in the order of ids.
async fn ask_for(bed: &Bed, accounts: &[(&str, &str)]) {
    for (name, email) in accounts {
        bed.ask(by_email(name, email)).await.unwrap();
        bed.service.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_settled_keeps_nobody_else_waiting() {
    for parts in Parts::ALL {
        let (bed, mut sql) = without_workers(parts).await;
        // As when a newer version reads fewer addresses.
        let bent =
            "UPDATE guardian SET email_canonical = 'BO@exempel.se' WHERE email_canonical = 'bo@exempel.se'";
        assert_eq!(sql.run(bent).await, 1);
        ask_for(&bed, &[("bo", "bo@exempel.se"), ("alma", "alma.berg@exempel.se")]).await;
        let _working = bed.replica().await;
        eventually(SOON, "alma gets a mail", async || bed.smtp.mails().len() == 1).await;
        assert_eq!(sql.number("SELECT count(*) FROM reset_request").await, 1, "the other one waits");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_keeps_nobody_else_waiting() {
    for parts in Parts::ALL {
        let (bed, mut sql) = without_workers(parts).await;
        ask_for(&bed, &[("bo", "bo@exempel.se")]).await;
        // As a newer version may write it.
        sql.run("UPDATE reset_request SET locale = 'tlh'").await;
        ask_for(&bed, &[("alma", "alma.berg@exempel.se")]).await;
        let _working = bed.replica().await;
        eventually(SOON, "alma gets a mail", async || bed.smtp.mails().len() == 1).await;
        assert_eq!(sql.number("SELECT count(*) FROM reset_request").await, 1, "the other one waits");
    }
}

#[tokio::test]
async fn a_request_that_waited_for_a_day_is_mailed_nobody_whether_it_opens_or_not() {
    for parts in Parts::ALL {
        let (bed, mut sql) = without_workers(parts).await;
        ask_for(&bed, &[("bo", "bo@exempel.se"), ("per", "per@exempel.se")]).await;
        sql.run("UPDATE reset_request SET key_id = 'gone' WHERE id = (SELECT max(id) FROM reset_request)")
            .await;
        bed.service.clock.advance(24 * 60 * MINUTE);
        ask_for(&bed, &[("alma", "alma.berg@exempel.se")]).await;
        let _working = bed.replica().await;
        eventually(SOON, "all requests are settled", async || {
            sql.number("SELECT count(*) FROM reset_request").await == 0
        })
        .await;
        eventually(SOON, "alma gets a mail", async || bed.smtp.mails().len() == 1).await;
        assert_eq!(bed.smtp.mails()[0].recipients, ["alma.berg@exempel.se"]);
        let given_up = "SELECT count(*) FROM audit_event WHERE cause = 'request_too_old'";
        assert_eq!(sql.number(given_up).await, 2);
    }
}
