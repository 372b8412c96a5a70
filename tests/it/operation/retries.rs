//! The retry policy that callers are given: sound in itself, and what the tests of restarts follow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use prost_reflect::DescriptorPool;
use serde_json::Value;
use tonic::{Code, Status};

/// How one rpc is tried again.
#[derive(Clone, Debug)]
struct Policy {
    attempts: u32,
    pause: Duration,
    longest_pause: Duration,
    multiplier: f64,
}

/// The policy of each rpc that may be tried again: `package.Service/Method`.
#[derive(Clone, Debug)]
pub(super) struct Policies(BTreeMap<String, Policy>);

impl Policies {
    /// Those of `examples/service-config.json`, which portals load into their gRPC library.
    pub(super) fn documented() -> Self {
        let mut policies = BTreeMap::new();
        for group in service_config()["methodConfig"].as_array().unwrap() {
            let retry = &group["retryPolicy"];
            if retry.is_null() {
                continue;
            }
            assert_eq!(retry["retryableStatusCodes"], serde_json::json!(["UNAVAILABLE"]));
            let policy = Policy {
                attempts: u32::try_from(retry["maxAttempts"].as_u64().unwrap()).unwrap(),
                pause: span(&retry["initialBackoff"]),
                longest_pause: span(&retry["maxBackoff"]),
                multiplier: retry["backoffMultiplier"].as_f64().unwrap(),
            };
            for name in group["name"].as_array().unwrap() {
                let name = format!("{}/{}", text(&name["service"]), text(&name["method"]));
                assert!(policies.insert(name.clone(), policy.clone()).is_none(), "{name} stands twice");
            }
        }
        Self(policies)
    }

    /// The tries of one call.
    pub(super) fn tries(&self, rpc: &str) -> Tries {
        let policy = self.0.get(rpc).cloned();
        let pause = policy.as_ref().map_or(Duration::ZERO, |policy| policy.pause);
        Tries { policy, pause, made: 0 }
    }
}

/// The tries of one call.
pub(super) struct Tries {
    policy: Option<Policy>,
    pause: Duration,
    /// Failed ones so far.
    pub(super) made: u32,
}

impl Tries {
    /// Whether to call again after this answer, and if so, when it is time.
    pub(super) async fn again(&mut self, status: &Status) -> bool {
        self.made += 1;
        match &self.policy {
            Some(policy) if is_unavailable(status) && self.made < policy.attempts => {
                // The pause is part of the policy that is tested. Libraries shorten or lengthen it by chance.
                tokio::time::sleep(self.pause).await;
                self.pause = self.pause.mul_f64(policy.multiplier).min(policy.longest_pause);
                true
            }
            Some(_) | None => false,
        }
    }
}

/// What gRPC calls UNAVAILABLE. `tonic` tells a connection that ended under a call by other codes, without details of ours.
fn is_unavailable(status: &Status) -> bool {
    use std::error::Error as _;
    let of_the_connection = status.source().is_some() || status.message().contains("transport error");
    status.code() == Code::Unavailable || (of_the_connection && status.details().is_empty())
}

fn span(value: &Value) -> Duration {
    Duration::from_secs_f64(text(value).strip_suffix('s').unwrap().parse().unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn service_config() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/service-config.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Rpcs by what their comment says of repeating them: `true` if a repetition does no harm.
fn rpcs() -> BTreeMap<String, bool> {
    let pool = DescriptorPool::decode(guardian_auth::proto::DESCRIPTOR_SET).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/guardian/auth/v1");
    let mut rpcs = BTreeMap::new();
    for service in pool.services().filter(|service| service.full_name().starts_with("guardian.")) {
        let file = Path::new(service.parent_file().name()).file_name().unwrap().to_owned();
        let proto = fs::read_to_string(folder.join(file)).unwrap();
        for method in service.methods() {
            let at = proto.find(&format!("rpc {}(", method.name())).unwrap();
            let comment = &proto[..at];
            let told = &comment[comment.rfind("Idempotency: ").unwrap()..];
            let harmless = !told.starts_with("Idempotency: none:") && !told.starts_with("Idempotency: none;");
            rpcs.insert(format!("{}/{}", service.full_name(), method.name()), harmless);
        }
    }
    rpcs
}

/// A login is an attempt: a second one costs a session that nobody has, or a wrong password counted twice.
const COUNTED_TWICE_AT_WORST: [&str; 1] = ["guardian.auth.v1.LoginService/LoginWithPassword"];

#[test]
fn the_retry_policy_names_every_rpc_that_may_be_repeated_and_no_other() {
    let mut may: BTreeSet<String> =
        rpcs().into_iter().filter(|(_, harmless)| *harmless).map(|(name, _)| name).collect();
    may.extend(COUNTED_TWICE_AT_WORST.map(str::to_owned));
    let named: BTreeSet<String> = Policies::documented().0.into_keys().collect();
    // A stream is not repeated by a library once it has begun.
    may.remove("guardian.auth.v1.LoginBankIdService/WatchBankIdLogin");
    let forgotten: Vec<_> = may.difference(&named).collect();
    assert!(forgotten.is_empty(), "may be repeated, and not in examples/service-config.json: {forgotten:#?}");
    let harmful: Vec<_> = named.difference(&may).collect();
    assert!(harmful.is_empty(), "in examples/service-config.json, and may not be repeated: {harmful:#?}");
}

#[test]
fn retries_are_few_and_throttled() {
    for (rpc, policy) in Policies::documented().0 {
        assert!((2..=4).contains(&policy.attempts), "{rpc}: {policy:?}");
        assert!(policy.multiplier >= 2.0, "{rpc}: {policy:?}");
    }
    let throttling = &service_config()["retryThrottling"];
    // An outage is not made worse: every ten answers allow one retry.
    assert!(throttling["tokenRatio"].as_f64().unwrap() <= 0.1);
    assert!(throttling["maxTokens"].as_u64().unwrap() <= 1000, "more is not allowed by gRPC");
}
