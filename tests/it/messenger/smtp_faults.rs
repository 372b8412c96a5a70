//! What each way of a mail server not to take a mail means for the mail.

use std::time::Duration;

use guardian_auth::adapters::messenger::{Security, SmtpSender};
use guardian_auth::domain::message::DeliveryFault::{
    self, BrokenOff, Deferred, MessageRefused, RecipientRefused, Unreachable,
};
use guardian_auth::ports::messenger::MailSender;
use tokio::time::Instant;

use super::{ANNA, PATIENT, mail, mail_to, sender, settings};
use crate::support::smtp::{Behaviour, SmtpServer, Stage, Tls};

/// Long enough to come to the end of a conversation on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a mail to a server that does this, and says what came of it. No mail stays there, unless `kept`.
async fn meaning(behaviour: Behaviour, kept: usize) -> (DeliveryFault, String) {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    server.set(behaviour).await;
    let error = sender(&server).send(&mail(1)).await.expect_err("it is not taken");
    assert_eq!(server.mails().len(), kept);
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains(ANNA) && !shown.contains("hem.example"), "{shown}");
    }
    (error.fault, error.detail)
}

async fn means(behaviour: Behaviour, fault: DeliveryFault, detail: &str) {
    assert_eq!(meaning(behaviour, 0).await, (fault, detail.to_owned()), "{behaviour:?}");
}

#[tokio::test]
async fn a_recipient_refused_for_good_is_refused() {
    means(Behaviour::REFUSE_RECIPIENT, RecipientRefused, "RCPT TO: 550 5.1.1").await;
}

#[tokio::test]
async fn a_message_refused_after_its_content_is_refused() {
    means(Behaviour::REFUSE_MESSAGE, MessageRefused, "content: 554 5.7.1").await;
}

#[tokio::test]
async fn a_message_refused_before_its_content_is_refused() {
    means(Behaviour::Reply(Stage::Data, "554 no"), MessageRefused, "DATA: 554").await;
}

#[tokio::test]
async fn a_recipient_deferred_is_deferred() {
    means(Behaviour::DEFER_RECIPIENT, Deferred, "RCPT TO: 451 4.7.1").await;
}

#[tokio::test]
async fn a_message_deferred_before_its_content_is_deferred() {
    means(Behaviour::Reply(Stage::Data, "451 4.3.0 later"), Deferred, "DATA: 451 4.3.0").await;
}

#[tokio::test]
async fn a_message_deferred_after_its_content_is_deferred() {
    means(Behaviour::DEFER_MESSAGE, Deferred, "content: 451 4.3.0").await;
    means(Behaviour::Reply(Stage::Content, "421 4.3.2 busy"), Deferred, "content: 421 4.3.2").await;
}

#[tokio::test]
async fn a_server_that_hangs_up_before_the_content_is_unreachable() {
    means(Behaviour::Reply(Stage::Greeting, "421 busy"), Unreachable, "greeting: 421").await;
    means(Behaviour::BUSY, Unreachable, "MAIL FROM: 421 4.3.2").await;
    means(Behaviour::Reply(Stage::Recipient, "421 4.3.2 busy"), Unreachable, "RCPT TO: 421 4.3.2").await;
    means(Behaviour::Reply(Stage::Data, "421 busy"), Unreachable, "DATA: 421").await;
}

#[tokio::test]
async fn a_server_that_does_not_want_us_is_unreachable() {
    means(Behaviour::Reply(Stage::Greeting, "554 no service"), Unreachable, "greeting: 554").await;
    means(Behaviour::Reply(Stage::Mail, "530 5.7.0 log in"), Unreachable, "MAIL FROM: 530 5.7.0").await;
    means(Behaviour::Reply(Stage::Recipient, "530 5.7.0 log in"), Unreachable, "RCPT TO: 530 5.7.0").await;
}

/// The address that is refused is one organization's; the server may take the mails of the others.
#[tokio::test]
async fn a_sender_refused_is_deferred() {
    means(Behaviour::Reply(Stage::Mail, "550 5.7.1 not you"), Deferred, "MAIL FROM: 550 5.7.1").await;
    means(Behaviour::Reply(Stage::Mail, "451 4.7.1 slowly"), Deferred, "MAIL FROM: 451 4.7.1").await;
}

#[tokio::test]
async fn a_server_that_speaks_no_smtp_is_unreachable_and_after_the_content_it_broke_off() {
    means(Behaviour::Reply(Stage::Recipient, "hello"), Unreachable, "RCPT TO: no answer of SMTP").await;
    means(Behaviour::Reply(Stage::Content, "hello"), BrokenOff, "content: no answer of SMTP").await;
}

#[tokio::test]
async fn a_connection_lost_before_the_content_is_unreachable() {
    for stage in [Stage::Greeting, Stage::Mail, Stage::Recipient, Stage::Data] {
        let (fault, detail) = meaning(Behaviour::Drop(stage), 0).await;
        assert_eq!(fault, Unreachable, "{stage:?}: {detail}");
    }
}

#[tokio::test]
async fn a_connection_lost_after_the_content_has_broken_off_whether_the_mail_was_kept_or_not() {
    for (behaviour, kept) in [(Behaviour::Drop(Stage::Content), 0), (Behaviour::TAKE_AND_DROP, 1)] {
        let (fault, detail) = meaning(behaviour, kept).await;
        assert_eq!(fault, BrokenOff, "{behaviour:?}: {detail}");
        assert!(detail.starts_with("content: "), "{detail}");
    }
}

/// Sends to a server that says nothing more from this stage on.
async fn stalls(stage: Stage, fault: DeliveryFault, detail: &str) {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    server.set(Behaviour::Stall(stage)).await;
    let mut settings = settings(&server, Security::StartTls);
    settings.timeout = TIMEOUT;
    let sender = SmtpSender::new(settings).expect("usable settings");
    let begin = Instant::now();
    let error = sender.send(&mail(1)).await.expect_err("it is not taken");
    let took = begin.elapsed();
    assert!(TIMEOUT <= took && took < PATIENT, "{took:?}");
    assert_eq!((error.fault, error.detail.as_str()), (fault, detail));
}

#[tokio::test]
async fn a_stall_before_the_greeting_ends_in_time_and_is_unreachable() {
    stalls(Stage::Greeting, Unreachable, "greeting: no answer in time").await;
}

#[tokio::test]
async fn a_stall_at_the_recipient_ends_in_time_and_is_unreachable() {
    stalls(Stage::Recipient, Unreachable, "RCPT TO: no answer in time").await;
}

#[tokio::test]
async fn a_stall_after_the_content_ends_in_time_and_has_broken_off() {
    stalls(Stage::Content, BrokenOff, "content: no answer in time").await;
}

#[tokio::test]
async fn a_mail_that_finds_no_connection_free_ends_in_time() {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    server.set_for("slow@hem.example", Behaviour::Stall(Stage::Recipient)).await;
    let mut settings = settings(&server, Security::StartTls);
    settings.connections = 1;
    settings.timeout = TIMEOUT;
    let sender = SmtpSender::new(settings).expect("usable settings");
    let slow = mail_to(1, "slow@hem.example");
    let next = mail(2);
    let (first, second) = tokio::join!(sender.send(&slow), sender.send(&next));
    assert_eq!(first.unwrap_err().detail, "RCPT TO: no answer in time");
    // Its turn comes when its time ends: it is never taken.
    assert_eq!(second.unwrap_err().fault, Unreachable);
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_is_unreachable_until_it_is_up() {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    server.stop();
    let sender = sender(&server);
    let error = sender.send(&mail(1)).await.expect_err("it is down");
    assert_eq!((error.fault, error.detail.as_str()), (Unreachable, "connect: ConnectionRefused"));
    sender.probe().await.expect_err("it is down");
    server.start_again().await;
    sender.send(&mail(1)).await.expect("it is taken");
}

/// `.invalid` is never a name (RFC 2606); a machine whose resolver gives no answer at all runs out of time.
#[tokio::test]
async fn a_host_without_an_address_is_named_as_what_it_is() {
    let mut settings =
        guardian_auth::adapters::messenger::SmtpSettings::new("smtp.invalid", 587, Security::StartTls);
    settings.timeout = TIMEOUT;
    let error = SmtpSender::new(settings).expect("usable settings").probe().await.expect_err("no such host");
    assert_eq!(error.fault, Unreachable);
    let said = ["name look-up: the host has no address", "name look-up: no answer in time"];
    assert!(said.contains(&error.detail.as_str()), "{}", error.detail);
}
