//! The same answer and the same work, whatever is the matter with an account.

use std::collections::BTreeMap;
use std::time::Duration;

use guardian_auth::domain::password::HashParameters;
use guardian_auth::proto::Portal;

use super::{PASSWORD, RUNS, childminder, count};
use crate::support::eventually;
use crate::support::service::{
    Attempt, KOMMUN, OPVANG, Parts, Service, guardian, hash, hash_with, school_and_child,
};
use crate::support::sql::Sql;
use crate::wire::raw::{Client, LOGIN, framed};
use tonic_types::pb;

const STATEMENTS: &str = "guardian_auth_sql_statements_total";
const SOON: Duration = Duration::from_secs(30);

/// Statements that run by the clock, beside the calls.
const UPKEEP: &[&str] = &[
    "next_hash_parameters",
    "read_revocations",
    "find_newest_signing_key",
    "list_signing_keys",
    "take_named_lock",
    "sweep_sessions",
    "sweep_revocations",
    "sweep_change_tickets",
    "retire_signing_keys",
    "sweep_reset_tokens",
    "sweep_message_budgets",
    "sweep_messages",
    "sweep_oidc_attempts",
    "sweep_bankid_orders",
    "sweep_eid_evidence",
    "find_guardians_to_fold",
    "find_children_to_fold",
    "sweep_staff_requests",
    "sweep_activations",
    "sweep_merges",
    "count_queued_messages",
    "lease_reset_requests",
    "lease_messages",
    "find_recipient",
    "find_untold_failures",
    "settle_message",
    "find_work_lease",
    "take_work_lease",
    "list_audit_heads",
    "find_audit_stretch",
    "find_unchained_events",
    "add_audit_link",
    "begin_audit_chain",
    "move_audit_head",
];

/// The last one of a sweep.
pub const LAST_SWEEP: &str = "sweep_merges";

/// What an attempt made the service do, and what came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How often each: hash runs by parameters and purpose, SQL statements by name, decisions of the limiter.
    pub counts: BTreeMap<String, u64>,
    /// The answer without its reference code and date.
    pub answer: Vec<String>,
}

/// The counters of work in a text of metrics.
pub fn counters(metrics: &str) -> BTreeMap<String, u64> {
    let counted = [RUNS, STATEMENTS, "guardian_auth_limiter_decisions_total"];
    let lines = metrics.lines().filter(|line| counted.iter().any(|name| line.starts_with(name)));
    let lines = lines.filter(|line| !UPKEEP.iter().any(|name| line.contains(name)));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(sample, value)| (sample.to_owned(), value.parse().unwrap()))
        .collect()
}

/// What was counted between two looks.
pub fn between(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = after.iter().map(|(name, value)| (name, value - before.get(name).unwrap_or(&0)));
    grown.filter(|(_, value)| *value > 0).map(|(name, value)| (name.clone(), value)).collect()
}

/// The classes whose work or answer is not that of the first one.
pub fn differences(classes: &[(&'static str, Work)]) -> Vec<String> {
    let (first, expected) = &classes[0];
    let others = classes.iter().filter(|(_, work)| work != expected);
    others.map(|(name, work)| format!("{name}: {work:#?}\n{first}: {expected:#?}")).collect()
}

struct Bench {
    /// Read the parameters of imported hashes before it took its first call.
    service: Service,
    client: Client,
    token: String,
    _imported_into: Service,
}

impl Bench {
    async fn start(parts: Parts) -> Self {
        let first = Service::start(parts).await;
        let live = hash(PASSWORD).await;
        let old = hash_with(HashParameters::new(128, 2, 1).unwrap(), PASSWORD).await;
        let mut rows = school_and_child();
        for state in ["ok", "locked", "merged", "expired", "closed", "change"] {
            rows.push(guardian(state, state, Some(&live)));
        }
        rows.extend([guardian("old", "old", Some(&old)), guardian("none", "none", None)]);
        rows.push(childminder("minder", "minder", &live));
        first.import(OPVANG, &rows).await;
        let elsewhere = [school_and_child(), vec![guardian("g-1", "elsewhere", Some(&live))]].concat();
        first.import(KOMMUN, &elsewhere).await;
        let mut sql = Sql::open(&first).await;
        for state in ["locked", "merged"] {
            let set = format!("UPDATE guardian SET state = '{state}' WHERE source_key = '{state}'");
            assert_eq!(sql.run(&set).await, 1);
        }
        for (state, set) in [
            ("expired", "expires_ms = 1"),
            ("closed", "failures_unknown = 100, closed_unknown_ms = 1"),
            ("change", "must_change = 1"),
        ] {
            let whose = format!("(SELECT id FROM guardian WHERE source_key = '{state}')");
            assert_eq!(sql.run(&format!("UPDATE credential SET {set} WHERE guardian_id = {whose}")).await, 1);
        }
        // What workers do beside the calls is not the calls' work.
        let service = first.replica_with(|config| config.workers.enabled = false).await;
        eventually(SOON, "upkeep has swept and rests for ten minutes", async || {
            let of = async |name| count(&service, STATEMENTS, &format!("\"{name}\"")).await;
            of(LAST_SWEEP).await >= 1 && of("begin").await == of("commit").await + of("rollback").await
        })
        .await;
        let client = Client::connect(service.grpc()).await;
        let token = format!("Bearer {}", service.token(&format!("{OPVANG}-portal")));
        Self { service, client, token, _imported_into: first }
    }

    async fn work(&self, login_name: &str, password: &str) -> Work {
        let attempt =
            Attempt { organization: OPVANG, portal: Portal::Parent, ..Attempt::new(login_name, password) };
        let before = counters(&self.service.metrics().await);
        let headers = [("authorization", self.token.as_str())];
        let answer = self.client.call(LOGIN, &headers, framed(&attempt.request())).await.unwrap();
        let after = counters(&self.service.metrics().await);
        let mut seen = vec![format!("{} {} bytes", answer.status, answer.body.len())];
        for (name, value) in &answer.headers {
            let value = value.to_str().unwrap();
            match name.as_str() {
                "date" => seen.push("date".to_owned()),
                "grpc-status-details-bin" => seen.push(format!("{name}: {} bytes", value.len())),
                _ => seen.push(format!("{name}: {value}")),
            }
        }
        let mut infos: Vec<pb::ErrorInfo> = answer.details_of("ErrorInfo");
        for info in &mut infos {
            if let Some(code) = info.metadata.get_mut("reference_code") {
                "?".repeat(code.len()).clone_into(code);
            }
        }
        let kinds: Vec<_> =
            answer.details().unwrap_or_default().details.into_iter().map(|any| any.type_url).collect();
        seen.push(format!("{infos:?} {kinds:?} {:?}", answer.violations()));
        Work { counts: between(&before, &after), answer: seen }
    }

    async fn of_all(&self, password: impl Fn(&str) -> String) -> Vec<(&'static str, Work)> {
        let mut classes = Vec::new();
        for name in CLASSES {
            classes.push((name, self.work(name, &password(name)).await));
        }
        classes
    }
}

/// Login names after what is the matter with them; `nobody` does not exist, `elsewhere` is another organization's.
const CLASSES: [&str; 11] =
    ["nobody", "ok", "none", "locked", "merged", "expired", "closed", "change", "minder", "elsewhere", "old"];
/// Those that a right password does not help, the reason aside.
const HOPELESS: [&str; 5] = ["locked", "merged", "expired", "closed", "elsewhere"];

#[tokio::test]
async fn b11_work_equality_and_b14_error_equality_over_all_states_of_an_account() {
    for parts in Parts::ALL {
        let bench = Bench::start(parts).await;
        let right_where_hopeless =
            |name: &str| if HOPELESS.contains(&name) { PASSWORD } else { "not the password" }.to_owned();
        let mut all = bench.of_all(|_| "not the password".to_owned()).await;
        all.extend(bench.of_all(right_where_hopeless).await);
        assert_eq!(differences(&all), Vec::<String>::new(), "{parts:?}");

        let Work { counts, answer } = &all[0].1;
        let runs: Vec<_> = counts.iter().filter(|(name, _)| name.contains("hash_runs")).collect();
        assert_eq!(runs.len(), 2, "the live set and the imported one: {counts:?}");
        let statements: u64 =
            counts.iter().filter(|(name, _)| name.contains("sql_statements")).map(|(_, n)| n).sum();
        assert_eq!(statements, 5, "look-up, and counter and event in a transaction: {counts:?}");
        assert_eq!(
            counts.iter().filter(|(name, _)| name.contains("limiter")).map(|(_, n)| n).sum::<u64>(),
            1
        );
        // Golden: who writes a portal relies on it.
        for line in ["grpc-status: 16", "grpc-message: login%20name%20or%20password%20is%20wrong"] {
            assert!(answer.iter().any(|seen| seen == line), "{answer:?}");
        }
        let keys: Vec<_> = answer.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(
            keys[1..keys.len() - 1],
            ["content-type", "grpc-status", "grpc-message", "grpc-status-details-bin", "date"],
            "{answer:?}"
        );
        let info = r#"[ErrorInfo { reason: "INVALID_CREDENTIALS", domain: "guardian-auth", metadata: {"reference_code": "????????"} }]"#;
        assert!(answer.last().unwrap().starts_with(info), "{answer:?}");
    }
}

#[tokio::test]
async fn b11_a_password_that_cannot_be_one_is_refused_before_any_work_for_everybody() {
    for parts in Parts::ALL {
        let bench = Bench::start(parts).await;
        for password in [String::new(), "x".repeat(257), "\u{e5}".repeat(513), "x".repeat(60_000)] {
            let classes = bench.of_all(|_| password.clone()).await;
            assert_eq!(differences(&classes), Vec::<String>::new(), "{parts:?}");
            assert_eq!(classes[0].1.counts, BTreeMap::new(), "{parts:?}");
            assert!(classes[0].1.answer.last().unwrap().contains("password "), "{classes:?}");
        }
    }
}

#[tokio::test]
async fn b11_positive_control_a_login_that_succeeds_is_seen() {
    let bench = Bench::start(Parts::Embedded).await;
    // Other statements, another answer.
    let classes = [("nobody", bench.work("nobody", "wrong").await), ("ok", bench.work("ok", PASSWORD).await)];
    assert_eq!(differences(&classes).len(), 1);
}
