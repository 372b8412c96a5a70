//! What happened to the password resets of others, tried here. Each test carries the advisories that it stands for; more
//! of them stand where they belong: in `links`, `recipients`, `equal_work` and in `configuration`.
//!
//! No test, because there is nothing to try: Zitadel CVE-2026-55669 (JWTs of other identity providers were taken without
//! audience, expiry and issue time). No such token is taken yet; the tests come with the login by other providers.

use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;
use tonic::Status;

use super::equal_work::{classes, vector, without_workers};
use super::outage::impatient;
use super::{
    Bed, KOMMUN, MINUTE, NEW, OLD, by_email, confirm, has_link, inspect, on_all_parts, request, token_in,
};
use crate::login_password::equal_work::{between, counters};
use crate::session::number;
use crate::support::service::{Attempt, NOON_MS, Service, reason};
use crate::support::smtp::{Behaviour, Stage};
use crate::support::sql::Sql;

const BO: &str = "bo@exempel.se";

/// What the answer to every request is, with dots for its reference code: the link works for 3600 s. If this changes, it
/// changes for everybody.
fn golden() -> Vec<u8> {
    let code = "········".as_bytes();
    [&[0x0a, 16], code, &[0x12, 0x03, 0x08, 0x90, 0x1c]].concat()
}

async fn set(bed: &Bed, statement: &str) {
    assert_eq!(Sql::open(&bed.service).await.run(statement).await, 1, "{statement}");
}

/// `bo` is locked, `alma` merged into another account, the password of `eva2` ran out before it was ever used.
async fn change_states(bed: &Bed) {
    set(bed, "UPDATE guardian SET state = 'locked' WHERE email_canonical = 'bo@exempel.se'").await;
    set(bed, "UPDATE guardian SET state = 'merged' WHERE email_canonical = 'alma.berg@exempel.se'").await;
    expire(bed, "g-4", NOON_MS).await;
}

async fn expire(bed: &Bed, key: &str, at: i64) {
    let guardian = format!("(SELECT id FROM guardian WHERE source_key = '{key}')");
    set(bed, &format!("UPDATE credential SET expires_ms = {at} WHERE guardian_id = {guardian}")).await;
}

fn changed_classes() -> Vec<(&'static str, Identification)> {
    let email = |text: &str| Identification::Email(text.to_owned());
    vec![
        ("locked", by_email("bo", BO)),
        ("locked, by address", email(BO)),
        ("merged", by_email("alma", "alma.berg@exempel.se")),
        ("merged, by address", email("alma.berg@exempel.se")),
        ("expired password", by_email("eva2", "familjen@exempel.se")),
    ]
}

/// "User not found", told in words or in bytes, and in Zitadel again after it was mended.
#[tokio::test]
async fn grafana_cve_2022_39307_authentik_cve_2023_39522_zitadel_cve_2024_41952_every_answer_is_the_golden_one()
 {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let service = without_workers(&bed).await;
        for (class, identification) in classes() {
            assert_eq!(vector(&service, identification).await.1, golden(), "{parts:?} {class}");
        }
        change_states(&bed).await;
        for (class, identification) in changed_classes() {
            assert_eq!(vector(&service, identification).await.1, golden(), "{parts:?} {class}");
        }
    })
    .await;
}

/// Users without a usable password (Django) and locked ones (Spring) were answered after less work.
#[tokio::test]
async fn django_cve_2024_39329_spring_cve_2026_22746_no_state_of_an_account_makes_less_work() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let service = without_workers(&bed).await;
        let expected = vector(&service, by_email("bo", BO)).await;
        let without_password = vector(&service, by_email("per", "per@exempel.se")).await;
        assert_eq!(without_password, expected, "{parts:?} no password");
        change_states(&bed).await;
        for (class, identification) in changed_classes() {
            assert_eq!(vector(&service, identification).await, expected, "{parts:?} {class}");
        }
    })
    .await;
}

/// A locked account is told by mail whom to call, and that is all. A merged one has no mail of its own.
#[tokio::test]
async fn spring_cve_2026_22746_locked_and_merged_accounts_get_no_link_and_a_link_dies_with_the_state() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let sent_before = bed.token_of("bo", BO).await;
        change_states(&bed).await;
        assert_eq!(reason(&inspect(&bed.portal, &sent_before).await.unwrap_err()), "RESET_TOKEN_INVALID");
        let refused = confirm(&bed.portal, &sent_before, NEW).await.unwrap_err();
        assert_eq!(reason(&refused), "RESET_TOKEN_INVALID", "{parts:?}");
        let locked = bed.ask(by_email("bo", BO)).await.unwrap();
        let merged = bed.ask(by_email("alma", "alma.berg@exempel.se")).await.unwrap();
        bed.settled().await;
        let mails = bed.smtp.wait_for(2).await;
        bed.messages("sent", 2).await;
        assert_eq!((bed.smtp.mails().len(), &mails[1].recipients), (2, &vec![BO.to_owned()]), "{parts:?}");
        assert!(!has_link(&mails[1]) && mails[1].plain.contains(&locked));
        assert_eq!(cause(&bed, &locked).await, ["account_locked"]);
        assert_eq!(cause(&bed, &merged).await, ["account_merged"]);
    })
    .await;
}

async fn cause(bed: &Bed, code: &str) -> Vec<String> {
    let query =
        format!("SELECT cause FROM audit_event WHERE kind = 'reset_denied' AND reference_code = '{code}'");
    Sql::open(&bed.service).await.texts(&query).await
}

/// The answer without its code. The workers run: this is about words, and `b12_…` about work.
async fn words(bed: &Bed, identification: Identification) -> proto::RequestPasswordResetResponse {
    let asked = bed.portal.reset.clone().request_password_reset(request(identification)).await;
    let mut answer = asked.unwrap().into_inner();
    answer.reference_code.clear();
    answer
}

/// An error of the mail server became an error of the form, for those who have an account.
#[tokio::test]
async fn django_cve_2024_45231_no_fault_of_the_mail_server_shows_in_an_answer() {
    on_all_parts(async |parts| {
        let mut bed = Bed::start_with(parts, |config| {
            impatient(config);
            crate::change_password::roomy(config);
        })
        .await;
        let expected = words(&bed, by_email("nobody", "nobody@exempel.se")).await;
        let faults = [
            Behaviour::REFUSE_RECIPIENT,
            Behaviour::DEFER_RECIPIENT,
            Behaviour::REFUSE_MESSAGE,
            Behaviour::BUSY,
            Behaviour::Stall(Stage::Greeting),
            Behaviour::TAKE_AND_DROP,
        ];
        for fault in faults {
            bed.smtp.set(fault).await;
            bed.service.clock.advance(20 * MINUTE);
            for (class, identification) in classes() {
                assert_eq!(words(&bed, identification).await, expected, "{parts:?} {fault:?} {class}");
            }
        }
        bed.settled().await;
        bed.smtp.stop();
        for (class, identification) in classes() {
            assert_eq!(words(&bed, identification).await, expected, "{parts:?} no server, {class}");
        }
    })
    .await;
}

/// A reset brought an invitation to life that had run out. Here: a password that the school gave and nobody used in time.
#[tokio::test]
async fn decidim_cve_2023_48220_a_reset_brings_no_expired_password_to_life() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        expire(&bed, "g-2", NOON_MS + 30 * 60_000).await;
        let token = bed.token_of("bo", BO).await;
        inspect(&bed.portal, &token).await.unwrap();
        bed.service.clock.advance(30 * MINUTE);
        // The link has 30 minutes left, and the password has none.
        assert_eq!(reason(&inspect(&bed.portal, &token).await.unwrap_err()), "RESET_TOKEN_INVALID");
        assert_eq!(reason(&confirm(&bed.portal, &token, NEW).await.unwrap_err()), "RESET_TOKEN_INVALID");
        let code = bed.ask(by_email("bo", BO)).await.unwrap();
        let mails = bed.smtp.wait_for(2).await;
        assert!(!has_link(&mails[1]) && mails[1].plain.contains(&code), "{parts:?}: told to call the school");
        assert_eq!(cause(&bed, &code).await, ["credential_expired"]);
        for password in [OLD, NEW] {
            bed.portal.log_in(Attempt::new("bo", password)).await.unwrap_err();
        }
        assert_eq!(
            number(&bed.service, "SELECT count(*) FROM credential WHERE expires_ms IS NOT NULL").await,
            1
        );
    })
    .await;
}

/// The SQL statements of a call that fails. Events of refused calls are written later, for many at once: they are not
/// the call's.
async fn statements<T>(
    service: &Service,
    call: impl Future<Output = Result<T, Status>>,
) -> (Status, Vec<String>) {
    let before = counters(&service.metrics().await);
    let Err(status) = call.await else { panic!("it was taken") };
    let work = between(&before, &counters(&service.metrics().await));
    let of_the_log = ["\"begin\"", "\"commit\"", "\"add_audit_event\""];
    let is_its_own =
        |name: &String| name.contains("statement=") && !of_the_log.iter().any(|it| name.contains(it));
    (status, work.into_keys().filter(is_its_own).collect())
}

/// A token of nothing matched a column of nothing.
#[tokio::test]
async fn devise_cve_2019_16109_a_blank_token_is_refused_before_the_database_is_asked() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        bed.token_of("bo", BO).await;
        let service = without_workers(&bed).await;
        let portal = service.portal(KOMMUN).await;
        for blank in ["", " ", "\t\n", "\u{a0}", "\0", "grt_", "null", "grt_ "] {
            let (inspected, asked) = statements(&service, inspect(&portal, blank)).await;
            let (confirmed, set) = statements(&service, confirm(&portal, blank, NEW)).await;
            for status in [inspected, confirmed] {
                assert!(
                    ["INVALID_REQUEST", "RESET_TOKEN_INVALID"].contains(&reason(&status).as_str()),
                    "{blank:?}"
                );
            }
            assert!(asked.is_empty() && set.is_empty(), "{parts:?} {blank:?}: {asked:?} {set:?}");
        }
        bed.portal.session(Attempt::new("bo", OLD)).await;
    })
    .await;
}

/// The length of a password was judged only where there was a user. Here every fault of a request comes before any work.
#[tokio::test]
async fn spring_cve_2025_22234_an_over_long_password_is_refused_before_the_link_is_looked_at() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let good = bed.token_of("bo", BO).await;
        let service = without_workers(&bed).await;
        let portal = service.portal(KOMMUN).await;
        let unknown = format!("grt_{}", "A".repeat(43));
        let mut answers = Vec::new();
        for token in [good.as_str(), &unknown, "grt_cut"] {
            for password in ["a".repeat(257), "å".repeat(257), "a".repeat(1025)] {
                let (status, ran) = statements(&service, confirm(&portal, token, &password)).await;
                assert_eq!(reason(&status), "INVALID_REQUEST");
                assert!(ran.is_empty(), "{parts:?}: {ran:?}");
                answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{parts:?}: {answers:?}");
        let (_, ran) = statements(&service, confirm(&portal, &unknown, NEW)).await;
        assert!(!ran.is_empty(), "a look-up is seen");
        confirm(&bed.portal, &good, NEW).await.unwrap();
    })
    .await;
}

/// Whoever held a link chose whose password it set. Here the link knows: no request names an account (`links`).
#[tokio::test]
async fn authentik_cve_2023_26481_a_link_sets_the_password_of_its_own_account_only() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let bo = bed.token_of("bo", BO).await;
        let alma = bed.token_of("alma", "alma.berg@exempel.se").await;
        assert_eq!(bed.smtp.mails().iter().map(token_in).collect::<Vec<_>>(), [bo.clone(), alma.clone()]);
        confirm(&bed.portal, &bo, NEW).await.unwrap();
        let of_bo = "SELECT count(*) FROM audit_event a JOIN guardian g ON g.id = a.guardian_id \
                     WHERE a.kind = 'password_reset' AND g.email_canonical = 'bo@exempel.se'";
        assert_eq!(number(&bed.service, of_bo).await, 1, "{parts:?}");
        bed.portal.session(Attempt::new("alma", OLD)).await;
        bed.portal.log_in(Attempt::new("alma", NEW)).await.unwrap_err();
        inspect(&bed.portal, &alma).await.unwrap();
        bed.portal.session(Attempt::new("bo", NEW)).await;
        assert_eq!(
            number(&bed.service, "SELECT count(*) FROM audit_event WHERE kind = 'password_reset'").await,
            1,
            "{parts:?}"
        );
    })
    .await;
}
