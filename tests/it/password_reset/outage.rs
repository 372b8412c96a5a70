//! B28: the mail server is away, stalls, has no time or does not let us in: what was taken in is mailed when it is back,
//! with links that work, and no message is lost or charged for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use guardian_auth::config::{Config, Mail, StoreBackend};
use guardian_auth::domain::secret::Secret;

use super::{
    Bed, LATEST, MINUTE, SECOND, SOON, address, by_email, guardians, has_link, inspect, mail,
    offer_everything, on_all_parts, parents, token_in,
};
use crate::change_password::roomy;
use crate::session::number;
use crate::support::postgres::PostgresServer;
use crate::support::service::{KOMMUN, Parts, Service, reason};
use crate::support::smtp::{Behaviour, ReceivedMail, Settings, SmtpServer, Stage, Tls};
use crate::support::{eventually, full_size};

/// Gives a mail only so long; shorter than the default, for servers that stall.
pub(super) fn impatient(config: &mut Config) {
    if let Some(Mail::Smtp(smtp)) = &mut config.mail {
        smtp.timeout = 2 * SECOND;
    }
}

/// Waits for the first try after `before` that came to nothing.
async fn tried_in_vain(bed: &Bed, before: f64) {
    eventually(SOON, "a try comes to nothing", async || bed.tries("again").await > before).await;
}

/// The mails by their one recipient.
fn by_recipient(mails: &[ReceivedMail]) -> BTreeMap<&str, Vec<&ReceivedMail>> {
    let mut found: BTreeMap<&str, Vec<&ReceivedMail>> = BTreeMap::new();
    for mail in mails {
        assert_eq!(mail.recipients.len(), 1);
        found.entry(&mail.recipients[0]).or_default().push(mail);
    }
    found
}

/// Each of these got one mail, whose link is good.
async fn each_has_a_good_link(bed: &Bed, numbers: std::ops::Range<usize>) {
    let mails = bed.smtp.mails();
    let mails = by_recipient(&mails);
    for number in numbers {
        let own = &mails[address(number).as_str()];
        assert_eq!(own.len(), 1, "one mail for {}", address(number));
        inspect(&bed.portal, &token_in(own[0])).await.unwrap();
    }
}

/// 40 accounts, or 1,000: all requests are accepted during an hour without a mail server, and all are mailed when it is
/// back. The first account asks six times in that hour.
#[tokio::test]
async fn b28_what_was_asked_in_an_hour_without_a_mail_server_is_mailed_when_it_is_back() {
    on_all_parts(async |parts| {
        let count = if full_size() { 1000 } else { 40 };
        let mut bed = Bed::start_with(parts, roomy).await;
        bed.service.import(KOMMUN, &parents(count).await).await;
        bed.smtp.stop();
        bed.ask_for(0..count).await;
        for _ in 0..4 {
            bed.ask_for(0..1).await;
        }
        bed.settled().await;
        tried_in_vain(&bed, 0.0).await;
        bed.service.clock.advance(60 * MINUTE);
        bed.ask_for(0..1).await;
        bed.settled().await;
        assert!(bed.smtp.mails().is_empty());

        bed.smtp.start_again().await;
        let back = Instant::now();
        let all = count + 3;
        bed.messages("sent", i64::try_from(all).unwrap()).await;
        assert!(back.elapsed() < LATEST);
        bed.messages("queued", 0).await;
        let mails = bed.smtp.mails();
        assert_eq!(mails.len(), all, "{parts:?}: none is lost and none comes twice");
        each_has_a_good_link(&bed, 1..count).await;
        let own = by_recipient(&mails).remove(address(0).as_str()).unwrap();
        assert_eq!(own.len(), 4, "three at once, two folded, one an hour later");
        let mut good = 0;
        for mail in own {
            match inspect(&bed.portal, &token_in(mail)).await {
                Ok(_) => good += 1,
                Err(status) => assert_eq!(reason(&status), "RESET_TOKEN_INVALID"),
            }
        }
        assert_eq!(good, 3, "three links of an account are good, not four");
        let too_many = "SELECT count(*) FROM (SELECT guardian_id FROM reset_token WHERE ended_ms IS NULL \
                        GROUP BY guardian_id HAVING count(*) > 3) AS too_many";
        assert_eq!(number(&bed.service, too_many).await, 0);
        let live = number(&bed.service, "SELECT count(*) FROM reset_token WHERE ended_ms IS NULL").await;
        assert_eq!(live, i64::try_from(count + 2).unwrap(), "no token lives that nobody has");
    })
    .await;
}

/// A server that stalls or says 421 refuses nobody's mail: none is charged, lost or doubled.
#[tokio::test]
async fn b28_a_mail_server_that_stalls_or_has_no_time_loses_and_doubles_no_mail() {
    const EACH: usize = 5;
    on_all_parts(async |parts| {
        let mut bed = Bed::start_with(parts, impatient).await;
        let faults = [
            Behaviour::Stall(Stage::Greeting),
            Behaviour::Stall(Stage::Recipient),
            Behaviour::BUSY,
            Behaviour::Reply(Stage::Greeting, "421 4.3.2 closing"),
            Behaviour::Reply(Stage::Recipient, "421 4.7.0 too many connections"),
            Behaviour::Drop(Stage::Greeting),
        ];
        let count = faults.len() * EACH;
        bed.service.import(KOMMUN, &parents(count).await).await;
        for (turn, fault) in faults.into_iter().enumerate() {
            let before = bed.tries("again").await;
            bed.smtp.set(fault).await;
            // Connections that were kept from the last turn are past the greeting.
            bed.smtp.start_again().await;
            bed.ask_for(turn * EACH..(turn + 1) * EACH).await;
            tried_in_vain(&bed, before).await;
            assert_eq!(bed.smtp.mails().len(), turn * EACH, "{fault:?}");
            bed.smtp.set(Behaviour::Take).await;
            bed.messages("sent", i64::try_from((turn + 1) * EACH).unwrap()).await;
        }
        assert_eq!(bed.smtp.mails().len(), count, "{parts:?}: none comes twice");
        each_has_a_good_link(&bed, 0..count).await;
        let charged = "SELECT count(*) FROM message WHERE attempts <> 0";
        assert_eq!(number(&bed.service, charged).await, 0, "it was no message's fault");
        let live = number(&bed.service, "SELECT count(*) FROM reset_token WHERE ended_ms IS NULL").await;
        assert_eq!(live, i64::try_from(count).unwrap(), "links that did not leave are withdrawn");
    })
    .await;
}

/// The password of the mail account is changed in the configuration: what waited goes out.
#[tokio::test]
async fn b28_a_mail_server_that_does_not_let_us_in_gets_all_mails_when_it_does() {
    on_all_parts(async |parts| {
        let login = Some(("guardian-auth", "right"));
        let smtp = SmtpServer::start_with(Settings { login, ..Settings::of(Tls::StartTls) }).await;
        let with = |password: &'static str| {
            move |config: &mut Config| {
                if let Some(Mail::Smtp(smtp)) = &mut config.mail {
                    smtp.credentials = Some(("guardian-auth".to_owned(), Secret::new(password.to_owned())));
                }
            }
        };
        let mut bed = Bed::start_at(parts, smtp, with("wrong")).await;
        bed.service.import(KOMMUN, &parents(5).await).await;
        bed.ask_for(0..5).await;
        bed.settled().await;
        tried_in_vain(&bed, 0.0).await;
        bed.messages("queued", 5).await;
        let replica = bed.replica_with(with("right")).await;
        bed.service.stop().await;
        bed.messages("sent", 5).await;
        bed.portal = replica.portal(KOMMUN).await;
        assert_eq!(bed.smtp.mails().len(), 5, "{parts:?}");
        each_has_a_good_link(&bed, 0..5).await;
    })
    .await;
}

/// PostgreSQL only: its mails wait in the database, which is killed and comes back.
#[tokio::test]
async fn b28_mails_that_wait_outlive_a_restart_of_the_database() {
    let mut postgres = PostgresServer::start().await;
    let mut smtp = SmtpServer::start(Tls::StartTls).await;
    let ca = tempfile::tempdir().unwrap();
    let url = postgres.url();
    let on_postgres = |config: &mut Config| {
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url.clone()), max_connections: 6 };
    };
    let service = Service::start_with(Parts::Embedded, |config| {
        config.mail = Some(mail(&smtp, &ca));
        offer_everything(config);
        on_postgres(config);
    })
    .await;
    let mut import = service.config();
    on_postgres(&mut import);
    service.import_with(&import, KOMMUN, &guardians().await).await;
    let portal = service.portal(KOMMUN).await;
    smtp.stop();
    for (name, email) in
        [("bo", "bo@exempel.se"), ("alma", "alma.berg@exempel.se"), ("eva", "familjen@exempel.se")]
    {
        super::ask(&portal, by_email(name, email)).await.unwrap();
    }
    let again = async || {
        let labels = "channel=\"email\",result=\"again\"";
        service.metric("guardian_auth_message_tries_total", labels).await
    };
    eventually(SOON, "a try comes to nothing", async || again().await > 0.5).await;
    postgres.stop();
    let refused = super::ask(&portal, by_email("per", "per@exempel.se")).await.unwrap_err();
    assert_eq!(reason(&refused), "DEPENDENCY_UNAVAILABLE", "what is not kept is not accepted");
    postgres.restart().await;
    smtp.start_again().await;
    // Messages whose settlement was cut off wait for the end of their lease.
    service.clock.advance(Duration::from_mins(3));
    let mails = smtp.wait_for(3).await;
    let recipients: Vec<_> = by_recipient(&mails).into_keys().collect();
    assert_eq!(recipients, ["alma.berg@exempel.se", "bo@exempel.se", "familjen@exempel.se"]);
    for mail in mails.iter().filter(|mail| has_link(mail)) {
        inspect(&portal, &token_in(mail)).await.unwrap();
    }
}
