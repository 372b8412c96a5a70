//! B32: the process is killed under what staff write. What was acknowledged is there, nothing is there by half, and a
//! request that is sent again is carried out once.

use std::path::PathBuf;
use std::process::Command;

use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::cli::callers::new_token;
use guardian_auth::proto;
use guardian_auth::proto::activate_credential_request::Proof;
use guardian_auth::proto::change_identifier_request::NewNumber;
use guardian_auth::proto::fallback_credential_service_client::FallbackCredentialServiceClient;
use guardian_auth::proto::guardian_service_client::GuardianServiceClient;
use guardian_auth::proto::{IdentifierChange, LinkEvidence, LockReason, Portal};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::fallback_credential::{NEW, sheet};
use crate::support::full_size;
use crate::support::postgres::TestDatabase;
use crate::support::process::{Process, minimal_config};
use crate::support::service::{Attempt, KOMMUN, Parts, school_and_child};
use crate::support::sql::Sql;
use crate::support::staff::{AsStaff, StaffTokens};

/// Guardians that are written about at once.
const AT_ONCE: usize = 4;

/// What is written about each guardian, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Confirm,
    Issue,
    ChangeIdentifier,
    Lock,
}

const WRITES: [Write; 4] = [Write::Confirm, Write::Issue, Write::ChangeIdentifier, Write::Lock];

impl Write {
    /// The event that stands for it, and how often its fact is in the tables of guardian `$1`.
    const fn event_and_fact(self) -> (&'static str, &'static str) {
        match self {
            Self::Confirm => (
                "child_link_confirmed",
                "SELECT count(*) FROM child_link WHERE guardian_id = '$1' AND confirmed_by = 'staff'",
            ),
            Self::Issue => ("credential_issued", "SELECT count(*) FROM activation WHERE guardian_id = '$1'"),
            Self::ChangeIdentifier => (
                "identifier_changed",
                "SELECT count(*) FROM guardian_identifier WHERE guardian_id = '$1' AND retired_ms IS NULL",
            ),
            Self::Lock => {
                ("guardian_locked", "SELECT count(*) FROM guardian WHERE id = '$1' AND state = 'locked'")
            }
        }
    }

    /// Another one each time: it makes a secret.
    const fn may_be_repeated(self) -> bool {
        matches!(self, Self::Issue)
    }
}

/// A test number: a birthday of 1970 or later, and one of the serial numbers that are for tests.
fn test_number(number: usize) -> String {
    let (serial, day, month, year) =
        (980 + number % 20, 1 + number / 20 % 28, 1 + number / 560 % 12, 1970 + number / 6720);
    let digits = format!("{:02}{month:02}{day:02}{serial}", year % 100);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| {
            let product = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
            product / 10 + product % 10
        })
        .sum();
    format!("{year}{month:02}{day:02}{serial}{}", (10 - sum % 10) % 10)
}

/// An installation whose process can be killed.
struct Installation {
    directory: TempDir,
    database: Option<TestDatabase>,
    token: String,
}

impl Installation {
    async fn new(parts: Parts, guardians: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (token, digest) = new_token(&SystemEntropy);
        let mut config = minimal_config(directory.path()).replace(&"0".repeat(64), &digest.to_string());
        config.push_str(
            "[organizations.staff]\nissues_per_hour = 10000\n\
             password_is_enough_because = \"a test logs in as simply as it can\"\n",
        );
        let database = match parts {
            Parts::Embedded => None,
            Parts::Shared => {
                let database = TestDatabase::create().await;
                let url = directory.path().join("postgres-url");
                std::fs::write(&url, database.url()).unwrap();
                config = config.replace("backend = \"sqlite\"", "backend = \"postgres\"");
                let sqlite =
                    format!("[store.sqlite]\npath = \"{}/guardian-auth.sqlite\"", directory.path().display());
                assert!(config.contains(&sqlite));
                let postgres = format!("[store.postgres]\nurl_file = \"{}\"", url.display());
                config = config.replace(&sqlite, &postgres);
                Some(database)
            }
        };
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let installation = Self { directory, database, token: token.expose().clone() };
        installation.run(&["migrate"]);
        let mut rows = school_and_child();
        rows.extend((0..guardians).map(|number| {
            json!({
                "type": "guardian", "key": format!("g-{number}"), "given_name": "Kim", "family_name": "Ek",
                "user_names": [{"portal": "parent", "name": format!("kim{number}")}],
                "child_links": [{"child": "c-1", "confirmed": false}],
            })
        }));
        let file = installation.directory.path().join("directory.jsonl");
        std::fs::write(&file, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        installation.run(&["import", "--organization", KOMMUN, &file.display().to_string()]);
        installation
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// A command of the program, which must succeed; what it prints.
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-auth"));
        let done = command.arg("--config").arg(self.config()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    async fn sql(&self) -> Sql {
        let file = self.directory.path().join("guardian-auth.sqlite");
        let url = match &self.database {
            Some(database) => database.url(),
            None => format!("sqlite://{}", file.display()),
        };
        Sql::at(&url).await
    }

    /// The first administrator's first session.
    async fn log_in(&self, process: &Process) -> proto::SessionTokens {
        let printed = self.run(&[
            "staff",
            "bootstrap",
            "--organization",
            KOMMUN,
            "--role",
            "organization_administrator",
            "--given-name",
            "Alex",
            "--family-name",
            "Exempel",
            "--email",
            "alex@example.se",
            "--mobile",
            "+46701740605",
        ]);
        let (_, rest) = printed.split_once("gak_").unwrap();
        let token: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let calls = process.calls(&self.token).await;
        let request = proto::ActivateCredentialRequest {
            organization: KOMMUN.to_owned(),
            portal: Portal::Staff.into(),
            proof: Some(Proof::LinkToken(format!("gak_{token}"))),
            new_password: NEW.to_owned(),
            client: None,
        };
        let activated = calls.login.clone().activate_credential(request).await.unwrap().into_inner();
        let attempt = Attempt { portal: Portal::Staff, ip: "", ..Attempt::new(&activated.user_name, NEW) };
        calls.session(attempt).await
    }
}

/// The clients of an administrator at one process.
#[derive(Clone)]
struct Clients {
    guardians: GuardianServiceClient<AsStaff>,
    credentials: FallbackCredentialServiceClient<AsStaff>,
}

impl Clients {
    async fn connect(process: &Process, caller: &str, staff: &str) -> Self {
        let channel =
            Endpoint::from_shared(format!("http://{}", process.grpc)).unwrap().connect().await.unwrap();
        let through = || InterceptedService::new(channel.clone(), StaffTokens::new(caller, Some(staff)));
        Self {
            guardians: GuardianServiceClient::new(through()),
            credentials: FallbackCredentialServiceClient::new(through()),
        }
    }

    async fn send(&self, write: Write, about: &About) -> Result<(), Status> {
        let (organization, guardian_id) = (KOMMUN.to_owned(), about.id.clone());
        let request_id = about.request_id(write);
        let mut calls = self.guardians.clone();
        match write {
            Write::Confirm => {
                let (child_id, evidence) = (about.child.clone(), LinkEvidence::KnownPerson.into());
                let request = proto::ConfirmChildLinkRequest {
                    organization,
                    guardian_id,
                    child_id,
                    evidence,
                    request_id,
                };
                calls.confirm_child_link(request).await.map(|_| ())
            }
            Write::Issue => {
                let request = crate::fallback_credential::request(&about.id, sheet());
                self.credentials.clone().issue_fallback_credential(request).await.map(|_| ())
            }
            Write::ChangeIdentifier => {
                let request = proto::ChangeIdentifierRequest {
                    organization,
                    guardian_id,
                    new_number: Some(NewNumber::NationalId(test_number(about.number))),
                    replaced_national_id: String::new(),
                    change: IdentifierChange::First.into(),
                    request_id,
                };
                calls.change_identifier(request).await.map(|_| ())
            }
            Write::Lock => {
                let reason = LockReason::Misuse.into();
                let request = proto::LockGuardianRequest { organization, guardian_id, reason, request_id };
                calls.lock_guardian(request).await.map(|_| ())
            }
        }
    }
}

/// Whom is written about.
#[derive(Clone)]
struct About {
    number: usize,
    id: String,
    child: String,
}

impl About {
    fn request_id(&self, write: Write) -> String {
        format!("0191d9a0-5b1c-7cc2-9a77-{:08x}{:04x}", self.number, write as u8)
    }
}

/// Writes until the process is gone, and tells what was acknowledged.
async fn write_on(clients: Clients, about: About, acknowledged: UnboundedSender<(usize, Write)>) {
    for write in WRITES {
        match clients.send(write, &about).await {
            Ok(()) => drop(acknowledged.send((about.number, write))),
            Err(status) => {
                let cut = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled);
                assert!(cut, "{write:?}: {status:?}");
                return;
            }
        }
    }
}

/// How often the event of a write about a guardian is there, and its fact.
async fn found(sql: &mut Sql, write: Write, about: &About) -> (i64, i64) {
    let (kind, fact) = write.event_and_fact();
    let events =
        format!("SELECT count(*) FROM audit_event WHERE kind = '{kind}' AND guardian_id = '{}'", about.id);
    (sql.number(&events).await, sql.number(&fact.replace("$1", &about.id)).await)
}

async fn killed_under_writes(parts: Parts, rounds: usize) {
    let installation = Installation::new(parts, rounds * AT_ONCE).await;
    let mut sql = installation.sql().await;
    let child = sql.texts("SELECT id FROM child").await.remove(0);
    let mut process = Process::start(&installation.config());
    let mut session = installation.log_in(&process).await;
    let (mut acknowledged_at_all, mut lost_answers) = (0, 0);
    for round in 0..rounds {
        session = process.calls(&installation.token).await.refresh(&session.refresh_token).await.unwrap();
        let mut persons = Vec::new();
        for number in round * AT_ONCE..(round + 1) * AT_ONCE {
            let query = format!("SELECT id FROM guardian WHERE source_key = 'g-{number}'");
            persons.push(About { number, id: sql.texts(&query).await.remove(0), child: child.clone() });
        }
        let clients = Clients::connect(&process, &installation.token, &session.access_token).await;
        let (sender, mut receiver) = unbounded_channel();
        let mut writers = JoinSet::new();
        for about in &persons {
            writers.spawn(write_on(clients.clone(), about.clone(), sender.clone()));
        }
        drop(sender);
        let mut acknowledged = Vec::new();
        for _ in 0..round * 5 % (AT_ONCE * WRITES.len() - 1) {
            acknowledged.push(receiver.recv().await.unwrap());
        }
        process.kill();
        writers.join_all().await;
        while let Some(one) = receiver.recv().await {
            acknowledged.push(one);
        }
        acknowledged_at_all += acknowledged.len();

        process = Process::start(&installation.config());
        let clients = Clients::connect(&process, &installation.token, &session.access_token).await;
        for about in &persons {
            for write in WRITES {
                let what = format!("{parts:?}, round {round}, {write:?}");
                let (events, facts) = found(&mut sql, write, about).await;
                assert_eq!(events, facts, "{what}: a fact without its event, or the other way round");
                let was_acknowledged = acknowledged.contains(&(about.number, write));
                assert!(
                    events == 1 || (events == 0 && !was_acknowledged),
                    "{what}: {events}, {was_acknowledged}"
                );
                lost_answers += usize::from(events == 1 && !was_acknowledged);
            }
            let is_locked = found(&mut sql, Write::Lock, about).await.0 == 1;
            for write in WRITES {
                let what = format!("{parts:?}, round {round}, {write:?} again");
                if write.may_be_repeated() && is_locked {
                    continue;
                }
                clients.send(write, about).await.unwrap_or_else(|status| panic!("{what}: {status:?}"));
                let (events, facts) = found(&mut sql, write, about).await;
                let expected = if write.may_be_repeated() { events } else { 1 };
                assert_eq!((events, facts), (expected, expected), "{what}");
            }
        }
        installation.run(&["audit", "verify"]);
    }
    assert!(
        acknowledged_at_all > 0,
        "{parts:?}: nothing was acknowledged ({lost_answers} answers were lost)"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b32_a_kill_under_staff_writes_on_sqlite_loses_and_tears_nothing() {
    killed_under_writes(Parts::Embedded, if full_size() { 200 } else { 8 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b32_a_kill_under_staff_writes_on_postgresql_loses_and_tears_nothing() {
    killed_under_writes(Parts::Shared, if full_size() { 200 } else { 8 }).await;
}
