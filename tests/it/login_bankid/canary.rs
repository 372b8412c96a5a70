//! What BankID tells us in confidence leaves by no answer, log line, metric, span or clear column.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use guardian_auth::config::Config;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::proto::BankIdDevice;
use guardian_auth::simulators::bankid::{Endpoint, Fault};
use guardian_auth::telemetry;
use prost::Message as _;
use serde_json::{Value, json};

use super::bed::{Bed, autostart_token, bent, nonce_of, with_number};
use crate::login_password::secrets::dump;
use crate::support::collector::Collector;
use crate::support::service::{NOON_MS, Parts};

const NUMBER: &str = "197001019806";
const UNKNOWN_NUMBER: &str = "198001011371";
const SURNAME: &str = "KANARIE";
const SIGNATURE: &str = "Y2FuYXJ5LXNpZ25hdHVyZQ==";
const OCSP: &str = "Y2FuYXJ5LW9jc3A=";

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What BankID says of one order, in its own words.
struct Told {
    order_ref: String,
    autostart_token: String,
    qr_start_token: String,
    qr_start_secret: String,
}

impl Told {
    fn new(name: &str) -> Self {
        let of = |what: &str| format!("canary-{what}-{name}");
        Self {
            order_ref: of("order-ref"),
            autostart_token: of("autostart"),
            qr_start_token: of("qr-start-token"),
            qr_start_secret: of("qr-start-secret"),
        }
    }

    /// BankID says this to the next beginning and the next questions.
    fn inject(&self, bed: &Bed, ends: &[Value]) {
        let begun = json!({
            "orderRef": self.order_ref,
            "autoStartToken": self.autostart_token,
            "qrStartToken": self.qr_start_token,
            "qrStartSecret": self.qr_start_secret,
        });
        bed.bankid.inject(Endpoint::Auth, Fault::json(&begun));
        let pending = |hint: &str| json!({"orderRef": self.order_ref, "status": "pending", "hintCode": hint});
        bed.bankid.inject(Endpoint::Collect, Fault::json(&pending("outstandingTransaction")));
        bed.bankid.inject(Endpoint::Collect, Fault::json(&pending("userSign")));
        for end in ends {
            bed.bankid.inject(Endpoint::Collect, Fault::json(end));
        }
    }

    fn complete(&self, number: &str) -> Value {
        json!({
            "orderRef": self.order_ref,
            "status": "complete",
            "completionData": {
                "user": {
                    "personalNumber": number,
                    "name": format!("KIM {SURNAME}"),
                    "givenName": "KIM",
                    "surname": SURNAME,
                },
                "device": {"ipAddress": "192.0.2.7"},
                "bankIdIssueDate": "2025-03-03Z",
                "signature": SIGNATURE,
                "ocspResponse": OCSP,
                "risk": "low",
            },
        })
    }
}

/// All that was answered, and what may be in it of what was told.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
    /// Known to the browser, so in answers by design, and nowhere else.
    shared: Vec<String>,
}

async fn log_in(bed: &Bed, device: BankIdDevice, told: &Told, ends: &[Value], answers: &mut Answers) {
    told.inject(bed, ends);
    let browser = bed.begin(device).await;
    browser.started.encode(&mut answers.bytes).unwrap();
    for frame in browser.watch_to_the_end().await {
        frame.encode(&mut answers.bytes).unwrap();
    }
    answers.shared.push(browser.started.binding_secret.clone());
    let nonce = match device {
        BankIdDevice::Same => {
            assert_eq!(autostart_token(&browser.link()), told.autostart_token);
            answers.shared.push(told.autostart_token.clone());
            let requests = bed.bankid.requests();
            let begun = requests.iter().rfind(|request| request.endpoint == Endpoint::Auth).unwrap();
            nonce_of(begun.body["returnUrl"].as_str().unwrap())
        }
        _ => String::new(),
    };
    for wrong in [browser.with_secret(&bent(&browser.started.binding_secret)), browser.clone()] {
        let status = wrong.complete("gbn_a-wrong-one").await.unwrap_err();
        answers.bytes.extend_from_slice(status.message().as_bytes());
        answers.bytes.extend_from_slice(status.details());
    }
    match browser.complete(&nonce).await {
        Ok(session) => {
            session.encode(&mut answers.bytes).unwrap();
            answers.shared.extend([session.access_token, session.refresh_token]);
        }
        Err(status) => {
            answers.bytes.extend_from_slice(status.message().as_bytes());
            answers.bytes.extend_from_slice(status.details());
        }
    }
    if !nonce.is_empty() {
        answers.shared.push(nonce);
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn leaks(secrets: &[String], places: &[(String, String)]) -> Vec<String> {
    let mut leaks = Vec::new();
    for secret in secrets {
        let forms = [secret.to_lowercase(), hex(secret)];
        for (place, text) in places {
            let text = text.to_lowercase();
            if forms.iter().any(|form| text.contains(form.as_str())) {
                leaks.push(format!("{secret} in {place}"));
            }
        }
    }
    leaks
}

async fn story(parts: Parts) -> (Vec<String>, Answers, Vec<(String, String)>) {
    let collector = Collector::start().await;
    let traced = |config: &mut Config| config.traces = Some(collector.settings());
    let mut bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], traced).await;
    let mut answers = Answers::default();
    let all: Vec<Told> = ["one", "two", "three", "four"].map(Told::new).into();
    for (told, device, number) in [
        (&all[0], BankIdDevice::Other, NUMBER),
        (&all[1], BankIdDevice::Same, NUMBER),
        (&all[2], BankIdDevice::Other, UNKNOWN_NUMBER),
    ] {
        log_in(&bed, device, told, &[told.complete(number)], &mut answers).await;
    }
    let failed = json!({"orderRef": all[3].order_ref, "status": "failed", "hintCode": "userCancel"});
    log_in(&bed, BankIdDevice::Other, &all[3], &[failed], &mut answers).await;
    // One that is left in the store with its result.
    let left = Told::new("five");
    left.inject(&bed, &[left.complete(NUMBER)]);
    let browser = bed.begin(BankIdDevice::Same).await;
    browser.watch_to_the_end().await;
    let mut confidential = vec![SIGNATURE.to_owned(), OCSP.to_owned(), SURNAME.to_owned()];
    confidential.extend([NUMBER, &NUMBER[2..], UNKNOWN_NUMBER, &UNKNOWN_NUMBER[2..]].map(str::to_owned));
    for told in all.iter().chain([&left]) {
        confidential.extend([told.order_ref.clone(), told.qr_start_secret.clone()]);
    }
    // On another device nobody needs the token that starts the app.
    confidential.extend([&all[0], &all[2], &all[3]].map(|told| told.autostart_token.clone()));
    answers.shared.extend([left.autostart_token.clone(), left.qr_start_token.clone()]);
    answers.shared.extend(all.iter().map(|told| told.qr_start_token.clone()));
    let mut places = vec![(format!("{parts:?} metrics"), bed.service.metrics().await)];
    bed.service.stop().await;
    let spans = collector.text();
    assert!(spans.contains("CompleteBankIdLogin") && spans.contains("server.address"), "spans were exported");
    places.push((format!("{parts:?} spans"), spans));
    dump(&bed.service, parts, &mut places).await;
    (confidential, answers, places)
}

#[test]
fn b34_bankid_secrets_canary() {
    for parts in Parts::ALL {
        let kept = Kept::default();
        let now = Box::new(|| Timestamp::from_millis(NOON_MS));
        let (subscriber, guard) =
            telemetry::json_lines(tracing::Level::TRACE, now, Box::new(kept.clone())).unwrap();
        // With one dispatcher in the process, tracing remembers a "no" of the thread that meets an event first.
        let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        let default = tracing::subscriber::set_default(subscriber);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (confidential, answers, mut places) = runtime.block_on(story(parts));
        drop((default, second, guard));
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("CompleteBankIdLogin"), "the log was kept: {log}");
        places.push((format!("{parts:?} log"), log));
        assert!(
            places.iter().any(|(place, text)| place.ends_with("bankid_order.state") && text.contains("used"))
        );
        assert!(
            places.iter().any(|(place, text)| place.ends_with("eid_evidence.sealed") && !text.is_empty())
        );
        let answered = String::from_utf8_lossy(&answers.bytes).into_owned();
        assert!(answered.contains("canary-qr-start-token-one"), "what is shown by design is found");
        let answered = vec![("answers".to_owned(), answered)];
        assert_eq!(leaks(&confidential, &answered), Vec::<String>::new());
        let everything = [confidential, answers.shared].concat();
        assert_eq!(leaks(&everything, &places), Vec::<String>::new());
    }
}
