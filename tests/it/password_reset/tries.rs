//! What becomes of one mail that the server has at fault: taken without an answer, refused, put off, too old. Rather two
//! mails than none, and never a message that is tried for ever.

use super::{
    Bed, MINUTE, NEW, OLD, SECOND, SOON, by_email, confirm, has_link, inspect, of, on_all_parts, parents,
    token_in,
};
use crate::change_password::change_with_session;
use crate::session::number;
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, NOON_MS, reason};
use crate::support::smtp::Behaviour;
use crate::support::sql::Sql;

const BO: &str = "bo@exempel.se";

/// Changes the password of `alma`: the notice is a mail to somebody else, and wakes the outbox at once.
async fn change_alma(bed: &Bed, turn: usize) {
    let (old, new) = if turn.is_multiple_of(2) { (OLD, NEW) } else { (NEW, OLD) };
    let session = bed.portal.session(Attempt::new("alma", old)).await;
    change_with_session(&bed.portal, &session, old, new).await.unwrap();
}

/// State, fault and counted tries of the message that answers a request.
async fn message(bed: &Bed, code: &str) -> String {
    let query = format!(
        "SELECT state || ' ' || coalesce(error, '-') || ' ' || attempts FROM message WHERE reference_code = '{code}'"
    );
    Sql::open(&bed.service).await.texts(&query).await.join(",")
}

async fn becomes(bed: &Bed, code: &str, expected: &str) {
    eventually(SOON, expected, async || message(bed, code).await == expected).await;
}

/// How many events say with this cause that the answer to a request was not delivered.
async fn undelivered(bed: &Bed, code: &str, cause: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM audit_event WHERE kind = 'message_undelivered' AND cause = '{cause}' \
         AND reference_code = '{code}' AND guardian_id IS NOT NULL"
    );
    number(&bed.service, &query).await
}

async fn live_links(bed: &Bed) -> i64 {
    number(&bed.service, "SELECT count(*) FROM reset_token WHERE ended_ms IS NULL").await
}

#[tokio::test]
async fn a_mail_that_was_taken_without_an_answer_comes_again_and_both_links_are_good_until_one_is_used() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start(parts).await;
        bed.smtp.set(Behaviour::TAKE_AND_DROP).await;
        let code = bed.ask(by_email("bo", BO)).await.unwrap();
        bed.smtp.wait_for(1).await;
        // It may have arrived: such a try counts always.
        becomes(&bed, &code, "queued broken_off 1").await;
        bed.smtp.set(Behaviour::Take).await;
        bed.service.clock.advance(MINUTE);
        let mails = bed.smtp.wait_for(2).await;
        becomes(&bed, &code, "sent - 1").await;
        assert_eq!(bed.smtp.mails().len(), 2);
        assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"), "{parts:?}");
        assert_eq!(
            (&mails[0].recipients, &mails[1].recipients),
            (&vec![BO.to_owned()], &vec![BO.to_owned()])
        );
        let tokens = [token_in(&mails[0]), token_in(&mails[1])];
        assert_ne!(tokens[0], tokens[1]);
        for token in &tokens {
            inspect(&bed.portal, token).await.unwrap();
        }
        confirm(&bed.portal, &tokens[0], NEW).await.unwrap();
        for token in &tokens {
            let refused = confirm(&bed.portal, token, OLD).await.unwrap_err();
            assert_eq!(reason(&refused), "RESET_TOKEN_INVALID", "{parts:?}");
        }
    })
    .await;
}

/// Both the recipient and the message may be refused for good.
#[tokio::test]
async fn a_refused_mail_is_failed_with_its_cause_and_reference_code_and_its_link_is_withdrawn() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start(parts).await;
        let cases = [
            (Behaviour::REFUSE_RECIPIENT, "recipient_refused", 1),
            (Behaviour::REFUSE_MESSAGE, "message_refused", 2),
        ];
        for (behaviour, cause, withdrawn) in cases {
            bed.smtp.set_for(BO, behaviour).await;
            let code = bed.ask(by_email("bo", BO)).await.unwrap();
            becomes(&bed, &code, &format!("failed {cause} 0")).await;
            assert_eq!(undelivered(&bed, &code, cause).await, 1, "{parts:?}");
            let ended = "SELECT count(*) FROM reset_token WHERE end_reason = 'withdrawn'";
            assert_eq!(number(&bed.service, ended).await, withdrawn);
        }
        assert_eq!(live_links(&bed).await, 0);
        assert!(bed.smtp.mails().is_empty());
        // It is not tried again, and the next request is.
        bed.smtp.set_for(BO, Behaviour::Take).await;
        let token = bed.token_of("bo", BO).await;
        inspect(&bed.portal, &token).await.unwrap();
        assert_eq!(bed.smtp.mails().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_recipient_that_is_put_off_while_others_get_mail_is_dead_after_ten_counted_tries() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start(parts).await;
        bed.smtp.set_for(BO, Behaviour::DEFER_RECIPIENT).await;
        let code = bed.ask(by_email("bo", BO)).await.unwrap();
        // Nobody got a mail before: this one does not count.
        becomes(&bed, &code, "queued deferred 0").await;
        for turn in 0..=10 {
            change_alma(&bed, turn).await;
            bed.messages("sent", i64::try_from(turn + 1).unwrap()).await;
            let state = if turn < 10 { "queued" } else { "dead" };
            becomes(&bed, &code, &format!("{state} deferred {turn}")).await;
            bed.service.clock.advance(4 * MINUTE);
        }
        assert_eq!(bed.smtp.heard("RCPT"), 11 + 11, "{parts:?}: each try was one");
        assert_eq!(undelivered(&bed, &code, "deferred").await, 1);
        assert_eq!(live_links(&bed).await, 0, "no link is left of a mail that nobody has");
        // Dead is dead, and the others go on.
        change_alma(&bed, 11).await;
        bed.messages("sent", 12).await;
        assert!(bed.smtp.mails().iter().all(|mail| mail.recipients == ["alma.berg@exempel.se"]));
        assert_eq!(message(&bed, &code).await, "dead deferred 10");
    })
    .await;
}

/// The second half of the rule: a server that puts everybody off is not the fault of a message.
#[tokio::test]
async fn b28_a_server_that_puts_everybody_off_for_an_hour_kills_nothing() {
    const TURNS: usize = 12;
    on_all_parts(async |parts| {
        let mut bed = Bed::start(parts).await;
        bed.service.import(KOMMUN, &parents(3).await).await;
        bed.smtp.set(Behaviour::DEFER_MESSAGE).await;
        bed.ask_for(0..3).await;
        bed.settled().await;
        for turn in 0..TURNS {
            let tried = format!(
                "SELECT count(*) FROM message WHERE error = 'deferred' AND tried_ms >= {}",
                NOON_MS + i64::try_from(turn).unwrap() * 300_000
            );
            change_alma(&bed, turn).await;
            let all = i64::try_from(3 + turn + 1).unwrap();
            eventually(SOON, "all were tried again", async || number(&bed.service, &tried).await == all)
                .await;
            bed.service.clock.advance(5 * MINUTE);
        }
        let unhurt = "SELECT count(*) FROM message WHERE state = 'queued' AND attempts = 0";
        assert_eq!(number(&bed.service, unhurt).await, i64::try_from(3 + TURNS).unwrap(), "{parts:?}");
        bed.smtp.set(Behaviour::Take).await;
        bed.messages("sent", i64::try_from(3 + TURNS).unwrap()).await;
        let mails = bed.smtp.mails();
        let links: Vec<_> = mails.iter().filter(|mail| has_link(mail)).collect();
        assert_eq!((mails.len(), links.len()), (3 + TURNS, 3));
        for mail in links {
            inspect(&bed.portal, &token_in(mail)).await.unwrap();
        }
    })
    .await;
}

/// Who asked yesterday has asked again or called the school.
#[tokio::test]
async fn a_mail_that_waited_for_a_day_is_dead_and_a_new_request_is_not() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start(parts).await;
        bed.service.import(KOMMUN, &parents(1).await).await;
        bed.smtp.set(Behaviour::DEFER_RECIPIENT).await;
        let code = bed.ask(by_email("bo", BO)).await.unwrap();
        becomes(&bed, &code, "queued deferred 0").await;
        let tries = bed.tries("again").await;
        bed.service.clock.advance(24 * 60 * MINUTE - SECOND);
        eventually(SOON, "it is tried shortly before", async || bed.tries("again").await > tries).await;
        becomes(&bed, &code, "queued deferred 0").await;
        bed.service.clock.advance(5 * MINUTE);
        becomes(&bed, &code, "dead too_old 0").await;
        assert_eq!(undelivered(&bed, &code, "too_old").await, 1, "{parts:?}");
        bed.smtp.set(Behaviour::Take).await;
        bed.ask(of(0)).await.unwrap();
        let mails = bed.smtp.wait_for(1).await;
        inspect(&bed.portal, &token_in(&mails[0])).await.unwrap();
        assert_eq!((mails.len(), live_links(&bed).await), (1, 1));
    })
    .await;
}
