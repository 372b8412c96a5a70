//! Mails that arrive: what they look like, and over which connections they go.

use guardian_auth::adapters::messenger::{Login, Security, SmtpSender};
use guardian_auth::domain::message::DeliveryFault;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::messenger::{Mail, MailSender};

use super::{ANNA, PATIENT, WITH_LOGIN, mail, mail_to, sender, settings};
use crate::support::smtp::{Behaviour, Settings, SmtpServer, Stage, Tls};

fn login(user: &str, password: &str) -> Login {
    Login { user: user.to_owned(), password: Secret::new(password.to_owned()) }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_to_its_one_recipient() {
    let server = SmtpServer::start(Tls::StartTls).await;
    sender(&server).send(&mail(1)).await.expect("it is taken");

    let received = &server.mails()[0];
    assert_eq!(received.envelope_from, "skola@kommun.example");
    assert_eq!(received.recipients, [format!("{ANNA}@hem.example")]);
    assert_eq!(received.header("From"), "Förskolan Ängen <skola@kommun.example>");
    assert_eq!(received.header("To"), format!("{ANNA}@hem.example"));
    assert_eq!(received.header("Subject"), "Ditt nya lösenord");
    assert_eq!(received.header("Date"), "Wed, 18 Nov 2026 11:06:40 +0000");
    assert_eq!(received.header("Message-ID"), format!("<{}@kommun.example>", mail(1).id));
    assert_eq!(received.header("Content-Language"), "sv");
    assert_eq!(received.header("Auto-Submitted"), "auto-generated");
    assert_eq!(received.header("X-Auto-Response-Suppress"), "All");
    assert!(received.header("Content-Type").starts_with("multipart/alternative;"));
    assert_eq!(received.plain.trim_end(), "Hej Anna!\n.\nhttps://portal.example/r#t0ken");
    assert_eq!(received.html.trim_end(), "<p>Hej Anna å!</p>");
    assert!(received.raw.is_ascii());
}

#[tokio::test]
async fn a_mail_arrives_over_implicit_tls_and_over_none_on_this_machine() {
    for (tls, security) in [(Tls::Implicit, Security::ImplicitTls), (Tls::None, Security::None)] {
        let server = SmtpServer::start(tls).await;
        let sender = SmtpSender::new(settings(&server, security)).expect("usable settings");
        sender.send(&mail(1)).await.expect("it is taken");
        assert_eq!(server.mails().len(), 1, "{tls:?}");
    }
}

#[tokio::test]
async fn a_login_goes_by_plain_and_where_that_is_not_offered_by_login() {
    for mechanisms in [&["PLAIN"][..], &["LOGIN"], &["LOGIN", "PLAIN"]] {
        let server = SmtpServer::start_with(Settings { mechanisms, ..WITH_LOGIN }).await;
        let mut settings = settings(&server, Security::StartTls);
        settings.login = Some(login("mailer", "correct horse"));
        let sender = SmtpSender::new(settings).expect("usable settings");
        sender.send(&mail(1)).await.expect("it is taken");
        assert_eq!((server.mails().len(), server.heard("AUTH")), (1, 1), "{mechanisms:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_login_that_is_not_offered_are_unreachable() {
    let wanting = SmtpServer::start_with(WITH_LOGIN).await;
    let indifferent = SmtpServer::start(Tls::StartTls).await;
    let told = [(&wanting, "AUTH: 535 5.7.8"), (&indifferent, "AUTH: not offered")];
    for (server, detail) in told {
        let mut settings = settings(server, Security::StartTls);
        settings.login = Some(login("mailer", "wrong"));
        let sender = SmtpSender::new(settings).expect("usable settings");
        for error in [sender.send(&mail(1)).await.unwrap_err(), sender.probe().await.unwrap_err()] {
            assert_eq!((error.fault, error.detail.as_str()), (DeliveryFault::Unreachable, detail));
        }
        assert_eq!(server.heard("MAIL"), 0);
    }
    // Without a login the server says so, and it is not the sender's or the recipient's fault.
    let error = sender(&wanting).send(&mail(1)).await.unwrap_err();
    assert_eq!((error.fault, error.detail.as_str()), (DeliveryFault::Unreachable, "MAIL FROM: 530 5.7.0"));
}

#[tokio::test]
async fn a_probe_logs_in_and_takes_leave_without_a_mail() {
    let server = SmtpServer::start_with(WITH_LOGIN).await;
    let mut settings = settings(&server, Security::StartTls);
    settings.login = Some(login("mailer", "correct horse"));
    let took = SmtpSender::new(settings).expect("usable settings").probe().await.expect("it is let in");
    assert!(!took.is_zero() && took < PATIENT);
    assert_eq!(
        server.journal(),
        ["1 connected", "1 EHLO", "1 STARTTLS", "1 EHLO", "1 AUTH", "1 QUIT"],
        "STARTTLS, and a second EHLO within TLS"
    );
}

#[tokio::test]
async fn many_mails_go_over_no_more_connections_than_set() {
    let server = SmtpServer::start(Tls::StartTls).await;
    let mut settings = settings(&server, Security::StartTls);
    settings.connections = 3;
    let sender = SmtpSender::new(settings).expect("usable settings");
    assert_eq!(sender.parallel(), 3);
    let mails: Vec<Mail> = (0..20).map(mail).collect();
    for sent in futures_util::future::join_all(mails.iter().map(|mail| sender.send(mail))).await {
        sent.expect("it is taken");
    }
    assert_eq!(server.mails().len(), 20);
    assert!((1..=3).contains(&server.heard("connected")), "{}", server.heard("connected"));
}

#[tokio::test]
async fn a_refused_mail_leaves_its_connection_to_the_next() {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    server.set_for("poison@hem.example", Behaviour::DEFER_RECIPIENT).await;
    server.set_for("unwanted@hem.example", Behaviour::REFUSE_MESSAGE).await;
    let sender = sender(&server);
    for (number, to) in [(1, "poison@hem.example"), (2, "unwanted@hem.example"), (3, "poison@hem.example")] {
        sender.send(&mail_to(number, to)).await.expect_err("it is not taken");
    }
    sender.send(&mail(4)).await.expect("it is taken");
    assert_eq!(server.mails().len(), 1);
    assert_eq!((server.heard("connected"), server.heard("RSET")), (1, 3));
}

#[tokio::test]
async fn a_kept_connection_that_has_ended_costs_nothing() {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    let sender = sender(&server);
    sender.send(&mail(1)).await.expect("it is taken");
    server.stop();
    server.start_again().await;
    sender.send(&mail(2)).await.expect("it is taken over a new connection");
    assert_eq!((server.mails().len(), server.heard("connected")), (2, 2));

    // The same for one that the server ends when it is used again.
    server.set(Behaviour::BUSY).await;
    let busy = sender.send(&mail(3)).await.unwrap_err();
    assert_eq!((busy.fault, busy.detail.as_str()), (DeliveryFault::Unreachable, "MAIL FROM: 421 4.3.2"));
    assert_eq!(server.heard("connected"), 3, "one more try, on a new connection, and no other");
}

#[tokio::test]
async fn a_kept_connection_that_breaks_with_a_recipient_is_not_tried_again() {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    let sender = sender(&server);
    sender.send(&mail(1)).await.expect("it is taken");
    server.set(Behaviour::Drop(Stage::Recipient)).await;
    sender.send(&mail(2)).await.expect_err("it breaks");
    assert_eq!(server.heard("connected"), 1);
}

#[tokio::test]
async fn two_tries_of_a_mail_have_one_message_id_and_the_same_bytes() {
    let mut server = SmtpServer::start(Tls::StartTls).await;
    server.set(Behaviour::TAKE_AND_DROP).await;
    let sender = sender(&server);
    sender.send(&mail(1)).await.expect_err("no answer");
    server.set(Behaviour::Take).await;
    sender.send(&mail(1)).await.expect("it is taken");
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert_eq!(mails[0].raw, mails[1].raw);
}

#[tokio::test]
async fn a_line_break_in_a_name_or_subject_makes_no_header_and_no_recipient() {
    let server = SmtpServer::start(Tls::StartTls).await;
    let evil = "Hej\r\nBcc: eve@evil.example\r\n\r\nBody\r\n.\r\nRCPT TO:<eve@evil.example>\r\n";
    let mail = Mail { from_name: evil.to_owned(), subject: evil.to_owned(), ..mail(1) };
    sender(&server).send(&mail).await.expect("it is taken");
    let received = &server.mails()[0];
    assert_eq!(received.recipients, [format!("{ANNA}@hem.example")]);
    assert!(received.headers.iter().all(|(name, _)| name != "Bcc"), "{:?}", received.headers);
    let words = "Hej Bcc: eve@evil.example Body . RCPT TO:<eve@evil.example>";
    assert_eq!(received.header("Subject"), words);
    assert!(received.header("From").ends_with("<skola@kommun.example>"));
    assert_eq!(received.plain.trim_end(), "Hej Anna!\n.\nhttps://portal.example/r#t0ken");
}
