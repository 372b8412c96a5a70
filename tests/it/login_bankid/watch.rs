//! What a guardian sees while BankID is under way, whoever watches and however often the stream breaks.

use std::time::{Duration, Instant};

use guardian_auth::domain::bankid::{ORDER_LIFETIME, RESTART_WINDOW};
use guardian_auth::proto::{BankIdDevice, BankIdStatus, WatchBankIdLoginResponse};
use guardian_auth::simulators::bankid::Endpoint;
use tokio::task::JoinSet;

use super::bed::{
    Bed, Browser, PATIENCE, address, autostart_token, bankid_of, link_of, message_id, nonce_of, outcome,
    persona, qr_of, until, with_number,
};
use super::{audited_code, sessions};
use crate::support::eventually;
use crate::support::service::{Parts, reason};

const NUMBER: &str = "197001019806";
const SECOND: Duration = Duration::from_secs(1);
const ORDERS: &str = "guardian_auth_bankid_orders_total";

/// Watches from tasks of their own; each frame of each.
fn watchers(browser: &Browser, count: usize) -> JoinSet<Vec<WatchBankIdLoginResponse>> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let browser = browser.clone();
        tasks.spawn(async move { browser.watch_to_the_end().await });
    }
    tasks
}

#[tokio::test]
async fn each_second_shows_its_own_code_until_the_app_has_the_order() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        assert!(browser.qr_text().contains(".0."), "second 0 is the beginning");
        let mut stream = browser.watch().await.unwrap();
        let mut last = String::new();
        for second in 1..=4 {
            bed.advance(SECOND);
            let of_second = format!(".{second}.");
            let frame = until(&mut stream, &of_second, |frame| {
                assert_eq!(frame.status(), BankIdStatus::Pending);
                assert_eq!(message_id(frame), "RFA1");
                qr_of(frame).expect("a code while the app has not the order").contains(&of_second)
            })
            .await;
            last = qr_of(&frame).unwrap();
        }
        assert_eq!(bed.bankid.scan(&browser.qr_text(), address()).unwrap_err().to_string(), {
            use guardian_auth::simulators::bankid::DriverError;
            DriverError::StaleCode.to_string()
        });
        let order = bed.scan(&last);
        let frame = until(&mut stream, "no code", |frame| qr_of(frame).is_none()).await;
        assert_eq!(message_id(&frame), "RFA15B");
        bed.bankid.identify(&order, &persona(NUMBER)).unwrap();
        until(&mut stream, "the code of the person is asked for", |frame| {
            assert_eq!(
                frame.view.as_ref().unwrap().start,
                None,
                "{parts:?}: a code of an order that is taken"
            );
            message_id(frame) == "RFA9"
        })
        .await;
    }
}

#[tokio::test]
async fn every_hint_has_its_message_and_none_breaks_a_login() {
    // On another device, on the same phone.
    let pending = [
        ("noClient", "RFA1", "RFA1"),
        ("started", "RFA15B", "RFA15B"),
        ("userMrtd", "RFA23", "RFA23"),
        ("processing", "RFA21", "RFA21"),
        ("userSign", "RFA9", "RFA9"),
        ("userStepUp", "RFA25", "RFA25"),
        ("userFace", "RFA24", "RFA24"),
        ("userCallConfirm", "RFA21", "RFA21"),
        ("userSign", "RFA9", "RFA9"),
        ("aCodeOfTomorrow", "RFA21", "RFA21"),
    ];
    let bed = Bed::start(Parts::Embedded, &[with_number("g-1", NUMBER)]).await;
    for device in [BankIdDevice::Other, BankIdDevice::Same] {
        let (browser, nonce) = {
            let browser = bed.begin(device).await;
            let mut stream = browser.watch().await.unwrap();
            let first = until(&mut stream, "the first", |_| true).await;
            let (other, same) = (device == BankIdDevice::Other, device == BankIdDevice::Same);
            assert_eq!((qr_of(&first).is_some(), link_of(&first).is_some()), (other, same));
            assert_eq!(message_id(&first), if other { "RFA1" } else { "RFA13" }, "what to do at first");
            let order = if other { bed.scan(&browser.qr_text()) } else { bed.open(&browser.link()) };
            for (hint, on_other, on_same) in pending {
                bed.bankid.show(&order, hint).unwrap();
                let id = if other { on_other } else { on_same };
                let frame = until(&mut stream, hint, |frame| message_id(frame) == id).await;
                assert_eq!(frame.status(), BankIdStatus::Pending);
            }
            let return_url = bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
            (browser, return_url.map_or_else(String::new, |url| nonce_of(&url)))
        };
        assert_eq!(outcome(&browser.watch_to_the_end().await), BankIdStatus::Complete);
        browser.complete(&nonce).await.unwrap();
    }
}

#[tokio::test]
async fn every_failure_has_its_message_and_a_code_that_support_finds() {
    let bed = Bed::start(Parts::Embedded, &[]).await;
    for (hint, id) in [
        ("expiredTransaction", "RFA8"),
        ("certificateErr", "RFA16"),
        ("userCancel", "RFA6"),
        ("cancelled", "RFA3"),
        ("userDeclinedCall", "RFA22"),
        ("notSupportedByUserApp", "RFA22"),
        ("transactionRiskBlocked", "RFA22"),
        ("mrtdVerificationFailed", "RFA26"),
        ("facialRecognitionFailed", "RFA27"),
        ("nfcNotSupportedByDevice", "RFA28"),
        ("multipleBankIdsOnDevice", "RFA29"),
        ("stepUpFailed", "RFA30"),
        ("aCodeOfTomorrow", "RFA22"),
    ] {
        let browser = bed.begin(BankIdDevice::Other).await;
        let order = bed.scan(&browser.qr_text());
        bed.bankid.fail(&order, hint).unwrap();
        let frames = browser.watch_to_the_end().await;
        let last = frames.last().unwrap();
        assert_eq!((last.status(), message_id(last).as_str()), (BankIdStatus::Failed, id), "{hint}");
        assert_eq!(audited_code(&bed.service, &last.reference_code).await, "eid_login_denied failed");
        // Whoever opens it again, and whoever asks for the session, is told the same.
        let again = browser.watch_to_the_end().await;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0], *last);
        assert_eq!(reason(&browser.complete("").await.unwrap_err()), "EID_LOGIN_FAILED");
    }
}

#[tokio::test]
async fn a_stream_that_is_opened_again_goes_on_where_the_order_is() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let mut stream = browser.watch().await.unwrap();
        let order = bed.scan(&browser.qr_text());
        bed.bankid.identify(&order, &persona(NUMBER)).unwrap();
        until(&mut stream, "asked for the code", |frame| message_id(frame) == "RFA9").await;
        drop(stream);
        let mut stream = browser.watch().await.unwrap();
        let first = until(&mut stream, "the first", |_| true).await;
        assert_eq!((message_id(&first).as_str(), qr_of(&first)), ("RFA9", None), "{parts:?}");
        drop(stream);
        // Nobody watches, and it goes on.
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        eventually(PATIENCE, "the session", async || browser.complete("").await.is_ok()).await;
    }
}

#[tokio::test]
async fn fifty_watchers_see_the_outcome_of_one_question_at_a_time() {
    const PAUSE: Duration = Duration::from_millis(250);
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], |config| {
            bankid_of(config).collect_pause = PAUSE;
        })
        .await;
        let began = Instant::now();
        let browser = bed.begin(BankIdDevice::Other).await;
        let watching = watchers(&browser, 50);
        let order = bed.scan(&browser.qr_text());
        let asked = async || bed.bankid.count(Endpoint::Collect) >= 6;
        eventually(PATIENCE, "some questions", asked).await;
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        for frames in watching.join_all().await {
            assert_eq!(outcome(&frames), BankIdStatus::Complete, "{parts:?}");
            assert_eq!(frames.last().unwrap().reference_code, "");
        }
        let most = began.elapsed().as_millis() / PAUSE.as_millis();
        let asked = bed.bankid.count(Endpoint::Collect);
        assert!(asked as u128 <= most, "{parts:?}: {asked} questions, {most} pauses");
        browser.complete("").await.unwrap();
        eventually(PATIENCE, "nothing is collected any more", async || {
            bed.service.metric("guardian_auth_bankid_orders_collected", "").await < 0.5
        })
        .await;
        assert_eq!(bed.bankid.count(Endpoint::Collect), asked, "nothing is asked after the end");
    }
}

#[tokio::test]
async fn a_cancellation_ends_all_streams_and_the_order_at_bankid() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let order = bed.scan(&browser.qr_text());
        let mut watching = watchers(&browser, 5);
        let mut stream = browser.watch().await.unwrap();
        until(&mut stream, "under way", |frame| message_id(frame) == "RFA15B").await;
        browser.cancel().await.unwrap();
        let mut codes = Vec::new();
        while let Some(frames) = watching.join_next().await {
            let last = frames.unwrap().pop().unwrap();
            assert_eq!(
                (last.status(), message_id(&last).as_str()),
                (BankIdStatus::Failed, "RFA3"),
                "{parts:?}"
            );
            codes.push(last.reference_code);
        }
        codes.dedup();
        assert_eq!(codes.len(), 1);
        assert_eq!(audited_code(&bed.service, &codes[0]).await, "eid_login_denied cancelled");
        assert_eq!(bed.bankid.count(Endpoint::Cancel), 1);
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap_err();
        assert_eq!(reason(&browser.complete("").await.unwrap_err()), "LOGIN_ATTEMPT_INVALID");
        assert_eq!(sessions(&bed.service).await, 0);
    }
}

#[tokio::test]
async fn streams_end_when_the_service_stops_and_do_not_keep_it() {
    for parts in Parts::ALL {
        let mut bed = Bed::start(parts, &[]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let mut stream = browser.watch().await.unwrap();
        until(&mut stream, "the first", |_| true).await;
        let rest = tokio::spawn(async move {
            while let Some(frame) = stream.message().await? {
                assert_eq!(frame.status(), BankIdStatus::Pending);
            }
            Ok::<_, tonic::Status>(())
        });
        let began = Instant::now();
        bed.service.stop().await;
        let took = began.elapsed();
        assert!(took < 10 * SECOND, "{parts:?}: the stop took {took:?} of the 20 s that calls may have");
        rest.await.unwrap().expect("an end, not an error");
    }
}

/// The clocks stand still: no lease runs out, so the order is handed over, and what was counted counts on.
#[tokio::test]
async fn an_order_goes_on_across_a_change_of_the_configuration_and_streams_of_it_begin_anew() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let mut stream = browser.watch().await.unwrap();
        until(&mut stream, "the first", |_| true).await;
        let order = bed.scan(&browser.qr_text());
        until(&mut stream, "under way", |frame| message_id(frame) == "RFA15B").await;
        let asked = bed.service.metric(ORDERS, "event=\"collected\"").await;
        bed.service.reload(|config| *config = bed.config()).await.unwrap();
        let rest = async { while stream.message().await.expect("an end, not an error").is_some() {} };
        tokio::time::timeout(PATIENCE, rest).await.expect("the stream of before ends");

        let mut stream = browser.watch().await.unwrap();
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
        until(&mut stream, "signed", |frame| frame.status() == BankIdStatus::Complete).await;
        browser.complete("").await.unwrap();
        assert_eq!(sessions(&bed.service).await, 1, "{parts:?}");
        assert!(bed.service.metric(ORDERS, "event=\"collected\"").await > asked, "{parts:?}");
    }
}

/// The frame with the links or the code of a new order in place of the one with this token.
async fn replaced(
    stream: &mut tonic::Streaming<WatchBankIdLoginResponse>,
    before: &str,
) -> WatchBankIdLoginResponse {
    until(stream, "another order", |frame| {
        assert_eq!(frame.status(), BankIdStatus::Pending, "{frame:?}");
        token(frame).is_some_and(|token| token != before)
    })
    .await
}

/// What names the order at BankID in a frame.
fn token(frame: &WatchBankIdLoginResponse) -> Option<String> {
    link_of(frame)
        .map(|link| autostart_token(&link))
        .or_else(|| Some(qr_of(frame)?.split('.').nth(1)?.to_owned()))
}

#[tokio::test]
async fn an_app_that_is_not_opened_in_time_gets_another_order_unseen() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        for (device, failed) in [(BankIdDevice::Other, "RFA17B"), (BankIdDevice::Same, "RFA17A")] {
            let browser = bed.begin(device).await;
            let mut stream = browser.watch().await.unwrap();
            let first = until(&mut stream, "the first", |_| true).await;
            bed.advance(30 * SECOND);
            let second = replaced(&mut stream, &token(&first).unwrap()).await;
            // The person comes at last.
            let order = match device {
                BankIdDevice::Same => bed.open(&link_of(&second).unwrap()),
                _ => bed.scan(&qr_of(&second).unwrap()),
            };
            let return_url = bed.bankid.sign(&order, &persona(NUMBER)).unwrap();
            until(&mut stream, "signed", |frame| frame.status() == BankIdStatus::Complete).await;
            let nonce = return_url.map_or_else(String::new, |url| nonce_of(&url));
            browser.complete(&nonce).await.unwrap();

            // Nobody comes: so often, and no longer.
            let begun = bed.begun();
            let browser = bed.begin(device).await;
            let mut stream = browser.watch().await.unwrap();
            let mut frame = until(&mut stream, "the first", |_| true).await;
            let restarts = usize::try_from(RESTART_WINDOW.as_secs() / 30).unwrap() - 1;
            for _ in 0..restarts {
                bed.advance(30 * SECOND);
                frame = replaced(&mut stream, &token(&frame).unwrap()).await;
            }
            bed.advance(30 * SECOND);
            let last = until(&mut stream, "the end", |frame| frame.status() == BankIdStatus::Failed).await;
            assert_eq!(message_id(&last), failed, "{parts:?}");
            assert_eq!(bed.begun(), begun + 1 + restarts);
        }
        let restarted = bed.service.metric(ORDERS, "event=\"restarted\"").await;
        assert!((restarted - 12.0).abs() < 0.5, "{restarted}");
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_replaced_fails_once() {
    use guardian_auth::simulators::bankid::Fault;
    let bed = Bed::start(Parts::Embedded, &[]).await;
    let browser = bed.begin(BankIdDevice::Other).await;
    let begun = bed.begun();
    bed.bankid.inject(Endpoint::Auth, Fault::maintenance());
    bed.advance(30 * SECOND);
    let frames = browser.watch_to_the_end().await;
    assert_eq!(outcome(&frames), BankIdStatus::Failed);
    let code = &frames.last().unwrap().reference_code;
    assert_eq!(audited_code(&bed.service, code).await, "eid_login_denied bankid_error");
    assert_eq!(bed.begun(), begun + 1, "not tried again");
}

#[tokio::test]
async fn an_order_ends_with_its_time_and_says_so() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let browser = bed.begin(BankIdDevice::Other).await;
        let order = bed.scan(&browser.qr_text());
        let mut stream = browser.watch().await.unwrap();
        until(&mut stream, "under way", |frame| message_id(frame) == "RFA15B").await;
        bed.advance(ORDER_LIFETIME);
        let last = until(&mut stream, "the end", |frame| frame.status() == BankIdStatus::Failed).await;
        assert_eq!(message_id(&last), "RFA8", "{parts:?}");
        assert_eq!(audited_code(&bed.service, &last.reference_code).await, "eid_login_denied order_expired");
        bed.bankid.sign(&order, &persona(NUMBER)).unwrap_err();
        let status = browser.complete("").await.unwrap_err();
        assert_eq!(reason(&status), "EID_LOGIN_FAILED");
        assert_eq!(crate::support::service::metadata(&status, "message_id").as_deref(), Some("RFA8"));
    }
}
