//! The log as an interface: its lines through the wire, and docs/logging.md.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use guardian_auth::config::LogLevel;
use guardian_auth::domain::audit::{Cause, Eid, EidCause, Fact, Reuse, SessionEnd};
use guardian_auth::domain::bankid::{BankIdFault, Signal};
use guardian_auth::domain::caller::CallerKind;
use guardian_auth::domain::message::DeliveryFault;
use guardian_auth::domain::oidc::OidcFault;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::telemetry::spans::Tracer;
use guardian_auth::{proto, telemetry};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, Value};
use serde_json::Value as Json;

use crate::support::collector::KeptSpans;
use crate::wire::raw::{self, Client, bearer, framed, prefixed};
use crate::wire::{ORGANIZATION, Port, Setup};

const DOCUMENT: &str = include_str!("../../docs/logging.md");
/// Stands for a secret: it is nowhere in the log.
const CANARY: &str = "CANARY";
/// Everything that ends a line somewhere, forges one, or steers a terminal.
const HOSTILE: &str =
    "\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{202e}\u{2066}\u{2028}\u{2029}\u{85}\u{0}\u{7f}\u{feff}\"\\";

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

/// Runs something on a runtime of one thread whose log is kept, at the level that shows most.
pub(crate) fn logged(work: impl Future<Output = ()>) -> String {
    let kept = Kept::default();
    let now = Box::new(|| Timestamp::from_millis(1_795_286_400_123));
    let (subscriber, guard) =
        telemetry::json_lines(tracing::Level::TRACE, now, Box::new(kept.clone())).unwrap();
    // With one dispatcher in the process, tracing asks the thread that meets an event first whether anybody listens, and
    // remembers its "no": a second one makes it ask them all.
    let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let default = tracing::subscriber::set_default(subscriber);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    drop((default, second));
    drop(guard);
    String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
}

/// Traces every call.
fn tracer(spans: &KeptSpans) -> Tracer {
    let random = Arc::new(|bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).unwrap());
    Tracer::new(spans.clone(), 1.0, random)
}

/// Each line as an object.
pub(crate) fn objects(log: &str) -> Vec<Json> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
        .collect()
}

fn requests(log: &str) -> Vec<Json> {
    objects(log).into_iter().filter(|line| line["target"] == "guardian_auth::request").collect()
}

fn assert_one_object_a_line(log: &str) {
    // Splits wherever any reader might.
    for line in log
        .split(['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'])
    {
        if !line.is_empty() {
            let value: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
            assert!(value.is_object());
        }
    }
    let steering =
        |c: char| (c.is_control() && c != '\n') || ('\u{200b}'..='\u{206f}').contains(&c) || c == '\u{feff}';
    assert!(!log.contains(steering), "{log:?}");
}

/// A message of this rpc with this text in all its text fields.
fn filled(descriptor: &prost_reflect::MessageDescriptor, text: &str) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|field: &FieldDescriptor| !field.is_list()) {
        match field.kind() {
            Kind::String => message.set_field(&field, Value::String(text.to_owned())),
            Kind::Message(inner) if inner.package_name() == "guardian.auth.v1" => {
                message.set_field(&field, Value::Message(filled(&inner, text)));
            }
            Kind::Message(_)
            | Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bool
            | Kind::Bytes
            | Kind::Enum(_) => {}
        }
    }
    message
}

#[test]
fn b35_no_value_forges_a_line_and_b34_none_is_in_the_log() {
    let spans = KeptSpans::default();
    let log = logged(async {
        let mut setup = Setup::usual().await;
        setup.parts.tracer = Some(tracer(&spans));
        let port = setup.open().await;
        let client = Client::connect(port.address).await;
        let token = bearer(CallerKind::Portal);
        let text = format!("{CANARY}{HOSTILE}");
        let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let mut message = filled(&method.input(), &text);
            for authorized in [false, true] {
                if authorized && message.has_field_by_name("organization") {
                    message.set_field_by_name("organization", Value::String(ORGANIZATION.to_owned()));
                    message.set_field_by_name("portal", Value::EnumNumber(1));
                }
                let body = prefixed(0, &message.encode_to_vec());
                let headers =
                    [("authorization", token.as_str()), ("user-agent", CANARY), ("traceparent", CANARY)];
                client.call(&path, &headers, body).await.unwrap();
            }
        }
        for name in ["panic", "foreign"] {
            let message = proto::LoginWithPasswordRequest { password: text.clone(), ..raw::login(name) };
            client.call(raw::LOGIN, &[("authorization", &token)], framed(&message)).await.unwrap();
        }
        let headers = [("authorization", "Bearer CANARY")];
        client.call("/CANARY/CANARY", &headers, framed(&raw::login(&text))).await.unwrap();
        client.call(raw::LOGIN, &[("authorization", &token)], prefixed(0, text.as_bytes())).await.unwrap();
    });
    assert_one_object_a_line(&log);
    assert!(!log.contains(CANARY) && !log.contains("gat_"), "{log}");
    let spans = spans.text();
    assert!(spans.contains("guardian.auth.v1.SessionService/VerifySession"), "they were kept");
    assert!(!spans.contains(CANARY) && !spans.contains("gat_"), "{spans}");
    assert!(requests(&log).len() > 10, "{log}");
}

#[test]
fn b35_values_that_we_do_log_are_escaped() {
    let log = logged(async {
        tracing::warn!(target: "guardian_auth::test", text = HOSTILE, debug = ?HOSTILE, display = %HOSTILE, "{HOSTILE}");
        tracing::info!(target: "guardian_auth::test", time = "forged", level = 1, target = "forged", number = f64::NAN);
    });
    assert_one_object_a_line(&log);
    let lines = objects(&log);
    assert_eq!(lines.len(), 2);
    for field in ["text", "display", "message"] {
        assert_eq!(lines[0][field], HOSTILE, "{field} reads back");
    }
    assert_eq!((&lines[1]["level"], &lines[1]["field_level"]), (&"INFO".into(), &1.into()));
    assert_eq!(lines[1]["time"], "2026-11-21T18:40:00.123Z");
    assert!(lines[1]["number"].is_null());
}

#[test]
fn lines_of_a_traced_call_have_its_trace_id() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let log = logged(async {
        let mut setup = Setup::usual().await;
        setup.parts.tracer = Some(tracer(&KeptSpans::default()));
        let port = setup.open().await;
        let client = Client::connect(port.address).await;
        let token = bearer(CallerKind::Portal);
        // Also where the portal does not trace the call: it logs the id nonetheless.
        for flags in ["01", "00"] {
            let parent = format!("00-{TRACE}-b7ad6b7169203331-{flags}");
            for name in ["name", "panic"] {
                let headers = [("authorization", token.as_str()), ("traceparent", parent.as_str())];
                client.call(raw::LOGIN, &headers, framed(&raw::login(name))).await.unwrap();
            }
        }
        client.call("/no/such", &[], framed(&())).await.unwrap();
    });
    let lines = objects(&log);
    let mut of_calls = lines.iter().filter(|line| {
        ["guardian_auth::request", "guardian_auth::incident"].contains(&line["target"].as_str().unwrap())
    });
    let ids: Vec<Option<&str>> = of_calls.by_ref().map(|line| line["trace_id"].as_str()).collect();
    assert_eq!(ids.len(), 7, "{log}");
    assert_eq!(ids[..6], [Some(TRACE); 6], "{log}");
    assert!(ids[6].is_some_and(|id| id.len() == 32 && id != TRACE), "a trace of its own: {log}");
}

#[test]
fn the_level_changes_while_the_log_is_written() {
    let kept = Kept::default();
    let now = Box::new(|| Timestamp::from_millis(1_795_286_400_123));
    let (subscriber, guard) =
        telemetry::json_lines(tracing::Level::INFO, now, Box::new(kept.clone())).unwrap();
    let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let default = tracing::subscriber::set_default(subscriber);
    let handle = guard.level().clone();
    let say = |word: &'static str| {
        tracing::debug!(target: "guardian_auth::test", word, "ours");
        tracing::info!(target: "h2::codec", word, "headers with a token");
    };
    say("before");
    handle.set(LogLevel::Debug);
    say("louder");
    handle.set(LogLevel::Error);
    tracing::warn!(target: "guardian_auth::test", word = "quieter", "ours");
    handle.set(LogLevel::Info);
    say("after");
    drop((default, second, guard));
    // The log is gone: nothing to change, and no reason to fall over.
    handle.set(LogLevel::Trace);
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let words: Vec<_> = objects(&log).iter().map(|line| line["word"].clone()).collect();
    assert_eq!(words, ["louder"], "{log}");
}

#[test]
fn libraries_are_not_heard_below_warn() {
    let log = logged(async {
        tracing::info!(target: "h2::codec", "headers with a token");
        tracing::trace!(target: "guardian_auth::test", "ours");
    });
    assert_eq!(objects(&log).len(), 1, "{log}");
}

#[test]
fn a_call_leaves_one_line_with_the_documented_fields() {
    let log = logged(async {
        let port = Port::usual().await;
        let client = Client::connect(port.address).await;
        let token = bearer(CallerKind::Portal);
        for name in ["name", "denied", "panic"] {
            client.call(raw::LOGIN, &[("authorization", &token)], framed(&raw::login(name))).await.unwrap();
        }
        client.call("/no/such", &[], framed(&())).await.unwrap();
        let health = tonic_health::pb::HealthCheckRequest::default();
        client.call("/grpc.health.v1.Health/Check", &[], framed(&health)).await.unwrap();
        // A client that goes away.
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.call(raw::LOGIN, &[("authorization", &token)], framed(&raw::login("wait"))).await }
        });
        port.gate.arrived.acquire().await.unwrap().forget();
        waiting.abort();
        drop(waiting.await);
        drop(client);
        port.drain.cancel();
        port.served.await.unwrap();
    });
    let mut lines = requests(&log);
    assert_eq!(lines.len(), 5, "{log}");
    let (_, table) = DOCUMENT.split_once("## The request log").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let documented = names(table);
    for line in &mut lines {
        let fields = line.as_object_mut().unwrap();
        assert!(fields.remove("duration_us").unwrap().is_u64());
        for field in ["time", "level", "target"] {
            fields.remove(field).unwrap();
        }
        assert!(fields.keys().all(|field| documented.contains(field.as_str())), "{fields:?}");
    }
    let rpc = &raw::LOGIN[1..];
    let incident = lines[2]["incident_id"].clone();
    let expected = serde_json::json!([
        {"rpc": rpc, "code": "OK", "caller": "portal", "organization": ORGANIZATION},
        {"rpc": rpc, "code": "UNAUTHENTICATED", "reason": "INVALID_CREDENTIALS", "caller": "portal",
         "organization": ORGANIZATION, "reference_code": "33333333"},
        {"rpc": rpc, "code": "INTERNAL", "reason": "INTERNAL", "caller": "portal", "organization": ORGANIZATION,
         "incident_id": incident},
        {"rpc": "unknown", "code": "UNAUTHENTICATED", "reason": "CALLER_UNKNOWN"},
        {"rpc": rpc, "code": "CANCELLED", "caller": "portal", "organization": ORGANIZATION},
    ]);
    assert_eq!(Json::Array(lines), expected);
    let incidents = objects(&log).into_iter().filter(|line| line["target"] == "guardian_auth::incident");
    assert_eq!(incidents.map(|line| line["incident_id"].clone()).collect::<Vec<_>>(), [incident]);
}

/// The names in the first column of the tables of a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

fn section(from: &str) -> BTreeSet<&'static str> {
    let (_, rest) = DOCUMENT.split_once(from).unwrap_or_else(|| panic!("{from}"));
    names(rest.split("\n#").next().unwrap())
}

/// One of each kind; a new kind does not compile until it has an arm, and then a row here.
#[expect(clippy::too_many_lines, reason = "two lines for each kind of event")]
fn facts() -> [Fact; 48] {
    const fn exhaustive(fact: Fact) -> Fact {
        match fact {
            Fact::LoggedIn
            | Fact::ChangeRequired
            | Fact::LoginDenied(_)
            | Fact::LoggedInWithEid(_)
            | Fact::EidLoginDenied(_)
            | Fact::BankIdSignal(_)
            | Fact::NumberChangeProposed
            | Fact::ChangeDenied(_)
            | Fact::PasswordChanged
            | Fact::PasswordClosed
            | Fact::ResetLinkQueued
            | Fact::ResetDenied(_)
            | Fact::ResetLinkRefused(_)
            | Fact::PasswordReset
            | Fact::MessageUndelivered(_)
            | Fact::SessionEnded(_)
            | Fact::RefreshReused(_)
            | Fact::DirectoryImported
            | Fact::CredentialRemoved
            | Fact::SigningKeyRotated
            | Fact::ActivationDenied(_)
            | Fact::StaffBootstrapped
            | Fact::StaffInvited
            | Fact::StaffRoleChanged
            | Fact::StaffDeactivated
            | Fact::StaffReactivated
            | Fact::CredentialIssued
            | Fact::CredentialRevoked
            | Fact::CredentialActivated
            | Fact::IssuingApproved
            | Fact::ChildLinkAdded
            | Fact::ChildLinkConfirmed
            | Fact::ChildLinkRemoved
            | Fact::ContractConfirmed
            | Fact::ContractRemoved
            | Fact::IdentifierChanged
            | Fact::IdentifierTaken
            | Fact::IdentifiersShown
            | Fact::NumberProposalRejected
            | Fact::GuardianLocked
            | Fact::GuardianUnlocked
            | Fact::GuardiansMerged
            | Fact::MergeUndone
            | Fact::ChildrenMerged
            | Fact::ChildMergeUndone
            | Fact::GuardianExported
            | Fact::GuardianErased
            | Fact::DataResealed => fact,
        }
    }
    [
        exhaustive(Fact::LoggedIn),
        Fact::ChangeRequired,
        Fact::LoginDenied(Cause::WrongPassword),
        Fact::LoggedInWithEid(Eid::BankId),
        Fact::EidLoginDenied(EidCause::Account(Cause::UnknownNationalId)),
        Fact::BankIdSignal(Signal::RiskHigh),
        Fact::NumberChangeProposed,
        Fact::ChangeDenied(Cause::WrongPassword),
        Fact::PasswordChanged,
        Fact::PasswordClosed,
        Fact::ResetLinkQueued,
        Fact::ResetDenied(Cause::UnknownEmail),
        Fact::ResetLinkRefused(Cause::ResetTokenUnknown),
        Fact::PasswordReset,
        Fact::MessageUndelivered(DeliveryFault::NoAddress),
        Fact::SessionEnded(SessionEnd::LoggedOut),
        Fact::RefreshReused(Reuse::StaleLineage),
        Fact::DirectoryImported,
        Fact::CredentialRemoved,
        Fact::SigningKeyRotated,
        Fact::ActivationDenied(Cause::WrongActivationCode),
        Fact::StaffBootstrapped,
        Fact::StaffInvited,
        Fact::StaffRoleChanged,
        Fact::StaffDeactivated,
        Fact::StaffReactivated,
        Fact::CredentialIssued,
        Fact::CredentialRevoked,
        Fact::CredentialActivated,
        Fact::IssuingApproved,
        Fact::ChildLinkAdded,
        Fact::ChildLinkConfirmed,
        Fact::ChildLinkRemoved,
        Fact::ContractConfirmed,
        Fact::ContractRemoved,
        Fact::IdentifierChanged,
        Fact::IdentifierTaken,
        Fact::IdentifiersShown,
        Fact::NumberProposalRejected,
        Fact::GuardianLocked,
        Fact::GuardianUnlocked,
        Fact::GuardiansMerged,
        Fact::MergeUndone,
        Fact::ChildrenMerged,
        Fact::ChildMergeUndone,
        Fact::GuardianExported,
        Fact::GuardianErased,
        Fact::DataResealed,
    ]
}

#[test]
fn every_audit_event_and_cause_has_a_row() {
    assert_eq!(section("## The audit log"), facts().iter().map(|fact| fact.kind()).collect());
    let causes: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    assert_eq!(section("### Causes of"), causes);
    let ends: BTreeSet<_> = SessionEnd::ALL.iter().map(|end| end.as_str()).collect();
    assert_eq!(section("### Ends of"), ends);
    let of_providers: BTreeSet<_> = OidcFault::ALL.iter().map(|fault| fault.as_str()).collect();
    assert_eq!(section("### Faults of OpenID providers"), of_providers);
    let of_bankid: BTreeSet<_> = BankIdFault::ALL.iter().map(|fault| fault.as_str()).collect();
    assert_eq!(section("### Faults of BankID"), of_bankid);
    let signals: BTreeSet<_> = Signal::ALL.iter().map(|signal| signal.as_str()).collect();
    assert_eq!(section("### Signals of"), signals);
    let faults: BTreeSet<_> = DeliveryFault::ALL.iter().map(|fault| fault.as_str()).collect();
    assert_eq!(section("### Faults of `message_undelivered`"), faults);
    let classes = [Reuse::RecentPrevious, Reuse::StaleLineage];
    assert_eq!(section("### Classes of"), classes.iter().map(|class| class.as_str()).collect());
}

#[test]
fn every_target_has_a_row() {
    let targets = [
        telemetry::REQUEST,
        telemetry::INCIDENT,
        telemetry::DEPENDENCY,
        telemetry::CONNECTION,
        telemetry::PANIC,
    ];
    let (_, table) = DOCUMENT.split_once("| target | what |").unwrap();
    assert_eq!(names(table.split("\n## ").next().unwrap()), BTreeSet::from(targets));
}
