//! Nothing that is secret or personal leaves by the log, the metrics, spans, the counters or the database.

mod resets;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use guardian_auth::config::Config;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::proto;
use guardian_auth::proto::change_password_request::Proof;
use guardian_auth::proto::end_session_request::Token;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::telemetry;
use serde_json::json;

use super::{change_password, service_with};
use crate::support::collector::Collector;
use crate::support::redis::shared_redis;
use crate::support::service::{Attempt, Calls, KOMMUN, Parts, Service, guardian, hash};
use crate::support::sql::Sql;
use crate::wire::raw::{Client, LOGIN, prefixed};

const OLD: &str = "canary-lösen-ettan-i-skogen";
const NEW: &str = "canary-lösen-tvåan-i-skogen";
const SHORT: &str = "kanari7";
const GUESS: &str = "canary-gissning";
const UNKNOWN_NAME: &str = "KNR.4711.X";
const EMAIL: &str = "canary.mail@example.se";
const NATIONAL_ID: &str = "198112189876";
const ALL_PARTS_OF_NUMBER: &str = "8112189876";
const BENT_TOKEN: &str = "gat_canary-of-a-caller";
const NEWEST: &str = "canary-lösen-trean-i-skogen";
const EMAIL_OF_NOBODY: &str = "canary.nobody@example.se";
const UNKNOWN_BSN: &str = "999990019";
const BENT_RESET_TOKEN: &str = "grt_canary0123456789012345678901234567890123456";
const NAME: &str = "KNR.0815.Y";
const NAME_OF_CHANGE: &str = "KNR.0816.Z";

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

/// What is known after every rpc was called: text that may be nowhere, and what there is to look through.
#[derive(Default)]
struct Haul {
    secrets: Vec<String>,
    /// Where it was found, and the text.
    places: Vec<(String, String)>,
}

async fn start(parts: Parts, collector: &Collector) -> Service {
    let mut rows = vec![
        guardian("g-1", NAME, Some(&hash(OLD).await)),
        guardian("g-2", NAME_OF_CHANGE, Some(&hash(SHORT).await)),
    ];
    rows[0]["email"] = json!(EMAIL);
    rows[0]["national_id"] = json!(NATIONAL_ID);
    rows[1]["password"]["must_change"] = json!(true);
    let change = |config: &mut Config| {
        resets::offer_everything(config);
        config.traces = Some(collector.settings());
    };
    service_with(parts, change, &rows).await
}

fn keep(secrets: &mut Vec<String>, tokens: &proto::SessionTokens) {
    secrets.extend([tokens.access_token.clone(), tokens.refresh_token.clone()]);
}

/// Calls every rpc, well and badly, with all that is secret.
async fn call_everything(service: &Service, secrets: &mut Vec<String>) {
    let calls = service.portal(KOMMUN).await;
    let answer = calls.log_in(Attempt::new(NAME, OLD)).await.unwrap();
    let device = answer.device_token.clone();
    let Some(Outcome::Session(tokens)) = answer.outcome else { panic!("a session") };
    keep(secrets, &tokens);
    secrets.push(device.clone());
    for name in [NAME, UNKNOWN_NAME] {
        for _ in 0..8 {
            calls.log_in(Attempt::new(name, GUESS).with_device(&device)).await.unwrap_err();
        }
    }
    calls.log_in(Attempt::new(EMAIL, GUESS)).await.unwrap_err();
    calls.log_in(Attempt::new(NATIONAL_ID, GUESS).with_device("gdt_dev.canary")).await.unwrap_err();
    let undecodable = [b"\x1a\x0aKNR.4711.X\x22\xff\xff".as_slice(), GUESS.as_bytes()].concat();
    let authorization = format!("Bearer {}", service.token("sample-kommun-portal"));
    let raw = Client::connect(service.grpc()).await;
    raw.call(LOGIN, &[("authorization", &authorization)], prefixed(0, &undecodable)).await.unwrap();
    let stranger = Calls::new(service.channel().await, BENT_TOKEN);
    stranger.log_in(Attempt::new(NAME, OLD)).await.unwrap_err();

    let methods = proto::ListLoginMethodsRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        locale: "sv".to_owned(),
    };
    let methods = calls.login.clone().list_login_methods(methods).await.unwrap().into_inner();
    secrets.push(methods.suggested_passphrase);
    sessions(&calls, &tokens, secrets).await;

    let tokens = calls.session(Attempt::new(NAME, OLD).with_device(&device)).await;
    keep(secrets, &tokens);
    change_password(&calls, &tokens.access_token, GUESS, NEW).await.unwrap_err();
    change_password(&calls, &tokens.access_token, OLD, SHORT).await.unwrap_err();
    change_password(&calls, &tokens.access_token, OLD, NEW).await.unwrap();
    let answer = calls.log_in(Attempt::new(NAME_OF_CHANGE, SHORT)).await.unwrap();
    let Some(Outcome::PasswordChangeRequired(required)) = answer.outcome else { panic!("a change") };
    secrets.extend([required.change_token.clone(), answer.device_token]);
    for _ in 0..2 {
        let proof = Some(Proof::ChangeToken(required.change_token.clone()));
        let request = proto::ChangePasswordRequest { proof, new_password: NEW.to_owned(), client: None };
        drop(calls.password.clone().change_password(request).await);
    }
    resets::reset(service, &calls, secrets).await;
}

async fn sessions(calls: &Calls, tokens: &proto::SessionTokens, secrets: &mut Vec<String>) {
    let mut session = calls.session.clone();
    calls.verify(&tokens.access_token, KOMMUN, proto::Portal::Parent).await.unwrap();
    calls.verify(&tokens.refresh_token, KOMMUN, proto::Portal::Parent).await.unwrap_err();
    let refreshed = calls.refresh(&tokens.refresh_token).await.unwrap();
    keep(secrets, &refreshed);
    calls.refresh(&refreshed.access_token[..200]).await.unwrap_err();
    let access_token = refreshed.access_token.clone();
    let list = proto::ListSessionsRequest {
        access_token: access_token.clone(),
        page_size: 1,
        page_token: String::new(),
    };
    session.list_sessions(list.clone()).await.unwrap();
    let bent = proto::ListSessionsRequest { page_token: GUESS.to_owned(), ..list };
    session.list_sessions(bent).await.unwrap_err();
    session.get_signing_keys(proto::GetSigningKeysRequest {}).await.unwrap();
    let end = proto::EndSessionRequest {
        token: Some(Token::RefreshToken(refreshed.refresh_token.clone())),
        session_id: String::new(),
    };
    session.end_session(end).await.unwrap();
    session.end_all_sessions(proto::EndAllSessionsRequest { access_token }).await.unwrap_err();
}

/// Every column of every table as text, bytes in hex.
pub(crate) async fn dump(service: &Service, parts: Parts, places: &mut Vec<(String, String)>) {
    let mut sql = Sql::open(service).await;
    let columns = match parts {
        Parts::Embedded => {
            "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        }
        Parts::Shared => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    for place in sql.texts(columns).await {
        let (table, column) = place.split_once('.').unwrap();
        let as_text = match parts {
            Parts::Embedded => format!(
                "CASE WHEN typeof({column}) = 'blob' THEN lower(hex({column})) ELSE CAST({column} AS TEXT) END"
            ),
            Parts::Shared => format!("CAST({column} AS TEXT)"),
        };
        let text = sql.texts(&format!("SELECT {as_text} FROM {table}")).await.join("\n");
        places.push((format!("{parts:?} {place}"), text));
    }
}

/// Every key of Redis with its value, if that is a text.
pub(crate) async fn redis_dump() -> String {
    let client = redis::Client::open(shared_redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut text = String::new();
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1000).query_async(&mut connection).await.unwrap();
        for key in keys {
            let value: redis::RedisResult<Option<Vec<u8>>> =
                redis::cmd("GET").arg(&key).query_async(&mut connection).await;
            text.push_str(&String::from_utf8_lossy(&key));
            text.push_str(&String::from_utf8_lossy(&value.unwrap_or_default().unwrap_or_default()));
            text.push('\n');
        }
        cursor = next;
        if cursor == 0 {
            return text;
        }
    }
}

async fn haul(parts: Parts) -> Haul {
    let mut haul = Haul::default();
    let collector = Collector::start().await;
    let mut service = start(parts, &collector).await;
    call_everything(&service, &mut haul.secrets).await;
    for caller in ["portal", "admin", "sync"] {
        haul.secrets.push(service.token(&format!("{KOMMUN}-{caller}")));
    }
    haul.places.push((format!("{parts:?} metrics"), service.metrics().await));
    if parts == Parts::Shared {
        haul.places.push(("redis".to_owned(), redis_dump().await));
    }
    service.stop().await;
    let spans = collector.text();
    for name in ["LoginService/LoginWithPassword", "PasswordResetService/ConfirmPasswordReset", "argon2"] {
        assert!(spans.contains(name), "{parts:?}: spans were exported: {name}");
    }
    assert!(!spans.contains(Attempt::new(NAME, OLD).ip), "the address of a person is in no span");
    haul.places.push((format!("{parts:?} spans"), spans));
    dump(&service, parts, &mut haul.places).await;
    haul
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// The places that hold a secret, but for those where it is kept by design.
fn leaks(haul: &Haul) -> Vec<String> {
    let planted = [
        OLD,
        NEW,
        SHORT,
        GUESS,
        UNKNOWN_NAME,
        EMAIL,
        NATIONAL_ID,
        ALL_PARTS_OF_NUMBER,
        BENT_TOKEN,
        NEWEST,
        EMAIL_OF_NOBODY,
        UNKNOWN_BSN,
        BENT_RESET_TOKEN,
        NAME,
        NAME_OF_CHANGE,
    ];
    let secrets = haul.secrets.iter().map(String::as_str).chain(planted);
    let mut leaks = Vec::new();
    for secret in secrets {
        let forms = [secret.to_lowercase(), hex(secret)];
        for (place, text) in &haul.places {
            let kept_by_design = (secret == EMAIL && place.contains(".email_"))
                || ([NAME, NAME_OF_CHANGE].contains(&secret) && place.ends_with("guardian_login.login_name"));
            let text = text.to_lowercase();
            if !kept_by_design && forms.iter().any(|form| text.contains(form.as_str())) {
                leaks.push(format!("{secret} in {place}"));
            }
        }
    }
    leaks
}

#[test]
fn b34_secrets_canary() {
    for parts in Parts::ALL {
        let kept = Kept::default();
        let now = Box::new(|| Timestamp::from_millis(1_795_262_400_000));
        let (subscriber, guard) =
            telemetry::json_lines(tracing::Level::TRACE, now, Box::new(kept.clone())).unwrap();
        // With one dispatcher in the process, tracing remembers a "no" of the thread that meets an event first.
        let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        let default = tracing::subscriber::set_default(subscriber);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut haul = runtime.block_on(haul(parts));
        drop((default, second, guard));
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.lines().count() >= 30, "the log was kept: {log}");
        assert!(log.contains("LoginWithPassword"), "{log}");
        haul.places.push((format!("{parts:?} log"), log));
        let of_accounts =
            |(place, text): &&(String, String)| place.contains("guardian.email_") && text.contains(EMAIL);
        assert!(haul.places.iter().any(|place| of_accounts(&place)), "the dump holds what is kept by design");
        assert!(haul.secrets.len() >= 13, "{}", haul.secrets.len());
        assert_eq!(leaks(&haul), Vec::<String>::new());

        // Positive control: it finds what is there.
        haul.places.push(("a leak".to_owned(), hex(OLD)));
        assert_eq!(leaks(&haul), [format!("{OLD} in a leak")]);
    }
}
