//! Requests that cannot be right, at every rpc: each fault is named, no value comes back, nothing is worked for.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails should stop there")]
#![expect(clippy::wildcard_enum_match_arm, reason = "kinds of fields that are not ours")]

mod eids;
mod resets;
mod staff;

use std::collections::BTreeSet;

use bytes::Bytes;
use guardian_auth::domain::password_reset::ResetMethod;
use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::change_password_request::Proof;
use guardian_auth::proto::end_session_request::Token;
use prost::Message;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

use crate::support::service::{Attempt, KOMMUN, Parts, Service};
use crate::support::staff::{STAFF_TOKEN, hire};
use crate::wire::raw::{Answer, Client, framed, prefixed};

/// In every value that is refused, and in no answer.
const MARK: &str = "XQZCANARY";

/// One bad request: the rpc, the message, and all that is wrong with it.
struct Case(&'static str, Bytes, Vec<&'static str>);

fn case(rpc: &'static str, message: &impl Message, faults: &[&'static str]) -> Case {
    Case(rpc, framed(message), faults.to_vec())
}

fn long(bytes: usize) -> String {
    format!("{MARK}{}", "x".repeat(bytes - MARK.len()))
}

#[expect(clippy::unnecessary_wraps, reason = "as the messages hold it")]
fn client(ip: &str, user_agent: &str, device_token: &str) -> Option<proto::ClientContext> {
    let [ip, user_agent, device_token] = [ip, user_agent, device_token].map(str::to_owned);
    Some(proto::ClientContext { ip, user_agent, device_token })
}

fn organization_and_portal() -> Vec<Case> {
    let values = [
        ("", 0, ["organization MISSING", "portal MISSING"]),
        ("XQZCANARY", 99, ["organization MALFORMED", "portal OUT_OF_RANGE"]),
        ("sample kommun", -1, ["organization MALFORMED", "portal OUT_OF_RANGE"]),
        (
            "xqzcanary-xqzcanary-xqzcanary-xqzcanary-x",
            i32::MAX,
            ["organization MALFORMED", "portal OUT_OF_RANGE"],
        ),
    ];
    let mut cases = Vec::new();
    for (organization, portal, faults) in values {
        let organization = organization.to_owned();
        let usual = Attempt::new("alma", MARK).request();
        let login = proto::LoginWithPasswordRequest { organization: organization.clone(), portal, ..usual };
        cases.push(case("LoginService/LoginWithPassword", &login, &faults));
        let list = proto::ListLoginMethodsRequest {
            organization: organization.clone(),
            portal,
            locale: String::new(),
        };
        cases.push(case("LoginService/ListLoginMethods", &list, &faults));
        let verify = proto::VerifySessionRequest { access_token: MARK.to_owned(), organization, portal };
        cases.push(case("SessionService/VerifySession", &verify, &faults));
        cases.extend(resets::at(&verify.organization, portal, &faults));
        cases.extend(eids::at(&verify.organization, portal, &faults));
    }
    cases
}

/// All of them.
fn cases() -> Vec<Case> {
    [
        organization_and_portal(),
        logins(),
        sessions(),
        changes(),
        resets::resets(),
        eids::eids(),
        staff::staff(),
        staff::activations(),
    ]
    .concat_all()
}

fn logins() -> Vec<Case> {
    const LOGIN: &str = "LoginService/LoginWithPassword";
    let login = |login_name: &str, password: &str, client| {
        let usual = Attempt::new(login_name, password).request();
        proto::LoginWithPasswordRequest { client, ..usual }
    };
    let mut cases = vec![
        case(LOGIN, &login("", "", None), &["login_name MISSING", "password MISSING"]),
        case(
            LOGIN,
            &login(&long(33), &long(257), client(&long(46), &long(4097), &long(1025))),
            &[
                "login_name TOO_LONG",
                "password TOO_LONG",
                "client.ip TOO_LONG",
                "client.user_agent TOO_LONG",
                "client.device_token TOO_LONG",
            ],
        ),
        case(LOGIN, &login("alma", &"\u{1f511}".repeat(257), None), &["password TOO_LONG"]),
        case(LOGIN, &login("alma", &long(1025), None), &["password TOO_LONG"]),
        case(
            LOGIN,
            &login("xqzcanary@example.se", MARK, client(MARK, "", "")),
            &["login_name MALFORMED", "client.ip MALFORMED"],
        ),
    ];
    for name in [
        "XQZCANARY\u{0}",
        "XQZCANARY\u{200b}",
        "\u{202e}XQZCANARY",
        "-",
        " ",
        "XQZCANARY_",
        "XQZCANARY\n",
        "\u{ff21}",
    ] {
        cases.push(case(LOGIN, &login(name, MARK, None), &["login_name MALFORMED"]));
    }
    for ip in [
        "192.0.2",
        "192.0.2.7:80",
        "192.0.2.07",
        "[2001:db8::1]",
        "fe80::1%XQZCANARY",
        "::ffff:192.0.2.256",
        "localhost",
    ] {
        cases.push(case(LOGIN, &login("alma", MARK, client(ip, "", "")), &["client.ip MALFORMED"]));
    }
    let list = proto::ListLoginMethodsRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        locale: long(36),
    };
    cases.push(case("LoginService/ListLoginMethods", &list, &["locale TOO_LONG"]));
    cases
}

fn sessions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (access_token, refresh_token, access_faults, refresh_faults) in [
        (String::new(), String::new(), ["access_token MISSING"], ["refresh_token MISSING"]),
        (long(2049), long(257), ["access_token TOO_LONG"], ["refresh_token TOO_LONG"]),
    ] {
        let verify = proto::VerifySessionRequest {
            access_token: access_token.clone(),
            organization: KOMMUN.to_owned(),
            portal: proto::Portal::Parent.into(),
        };
        cases.push(case("SessionService/VerifySession", &verify, &access_faults));
        let end = proto::EndAllSessionsRequest { access_token: access_token.clone() };
        cases.push(case("SessionService/EndAllSessions", &end, &access_faults));
        let refresh = proto::RefreshSessionRequest {
            refresh_token: refresh_token.clone(),
            client: client(MARK, &long(4097), &long(1025)),
        };
        let of_client = ["client.ip MALFORMED", "client.user_agent TOO_LONG", "client.device_token TOO_LONG"];
        cases.push(case(
            "SessionService/RefreshSession",
            &refresh,
            &[refresh_faults.as_slice(), &of_client].concat(),
        ));
        for (page_size, page_token, of_page) in [
            (-1, String::new(), vec!["page_size OUT_OF_RANGE"]),
            (201, long(513), vec!["page_size OUT_OF_RANGE", "page_token TOO_LONG"]),
            (i32::MIN, long(512), vec!["page_size OUT_OF_RANGE"]),
        ] {
            let list =
                proto::ListSessionsRequest { access_token: access_token.clone(), page_size, page_token };
            let faults = [access_faults.as_slice(), &of_page].concat();
            cases.push(case("SessionService/ListSessions", &list, &faults));
        }
        for (token, faults) in [
            (Some(Token::AccessToken(access_token.clone())), access_faults.as_slice()),
            (Some(Token::RefreshToken(refresh_token.clone())), refresh_faults.as_slice()),
            (None, &["token MISSING"]),
        ] {
            for session_id in [MARK.to_owned(), long(27), "01kamxj7vq3s8z0h2t9b4c5d6\u{e5}".to_owned()] {
                let end = proto::EndSessionRequest { token: token.clone(), session_id };
                let faults = [faults, &["session_id MALFORMED"]].concat();
                cases.push(case("SessionService/EndSession", &end, &faults));
            }
        }
    }
    cases
}

fn changes() -> Vec<Case> {
    let current = |access_token: String, password: String| {
        Some(Proof::Current(proto::CurrentPassword { access_token, password }))
    };
    let token = |text: String| Some(Proof::ChangeToken(text));
    let all: [(Option<Proof>, String, &[&'static str]); 5] = [
        (None, String::new(), &["proof MISSING", "new_password MISSING"]),
        (
            current(String::new(), String::new()),
            long(257),
            &["current.access_token MISSING", "current.password MISSING", "new_password TOO_LONG"],
        ),
        (
            current(long(2049), long(257)),
            long(1025),
            &["current.access_token TOO_LONG", "current.password TOO_LONG", "new_password TOO_LONG"],
        ),
        (token(String::new()), long(257), &["change_token MISSING", "new_password TOO_LONG"]),
        (token(long(257)), String::new(), &["change_token TOO_LONG", "new_password MISSING"]),
    ];
    all.into_iter()
        .map(|(proof, new_password, faults)| {
            let client = client(&long(46), &long(4097), &long(1025));
            let change = proto::ChangePasswordRequest { proof, new_password, client };
            let of_client =
                ["client.ip TOO_LONG", "client.user_agent TOO_LONG", "client.device_token TOO_LONG"];
            case("PasswordService/ChangePassword", &change, &[faults, &of_client].concat())
        })
        .collect()
}

struct Bench {
    service: Service,
    client: Client,
    token: String,
    /// What the admin portal shows, with the token of a staff member who may do everything.
    staff: [String; 2],
}

impl Bench {
    async fn start(parts: Parts) -> Self {
        let service = Service::start_with(parts, |config| {
            for reset in config.organizations.iter_mut().filter_map(|it| it.reset.as_mut()) {
                reset.methods = ResetMethod::ALL.to_vec();
            }
            eids::offer(config);
        });
        let service = service.await;
        let client = Client::connect(service.grpc()).await;
        let token = format!("Bearer {}", service.token(&format!("{KOMMUN}-portal")));
        let member = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let admin = format!("Bearer {}", service.token(&format!("{KOMMUN}-admin")));
        Self { service, client, token, staff: [admin, member.token] }
    }

    async fn call(&self, rpc: &str, body: Bytes) -> Answer {
        let path = format!("/guardian.auth.v1.{rpc}");
        let [admin, member] = &self.staff;
        if staff::is_of_staff(rpc) {
            let headers = [("authorization", admin.as_str()), (STAFF_TOKEN, member.as_str())];
            return self.client.call(&path, &headers, body).await.unwrap();
        }
        self.client.call(&path, &[("authorization", &self.token)], body).await.unwrap()
    }

    async fn work(&self) -> String {
        let metrics = self.service.metrics().await;
        let worked = ["guardian_auth_hash_runs_total", "guardian_auth_limiter_decisions_total"];
        let lines = metrics.lines().filter(|line| worked.iter().any(|name| line.starts_with(name)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn assert_refused(answer: &Answer, faults: &[&str], what: &str) {
    assert_eq!((answer.code(), answer.reason().as_str()), (3, "INVALID_REQUEST"), "{what}: {answer:?}");
    let found: BTreeSet<String> = answer.violations().into_iter().collect();
    let expected: BTreeSet<String> = faults.iter().map(|&fault| fault.to_owned()).collect();
    assert_eq!(found, expected, "{what}");
    let details = answer.details().unwrap().encode_to_vec();
    let text = format!("{answer:?}{}", String::from_utf8_lossy(&details)).to_lowercase();
    assert!(!text.contains(&MARK.to_lowercase()), "{what}: a value came back: {text}");
}

#[tokio::test]
async fn every_fault_of_a_request_is_named_at_once_and_no_value_comes_back() {
    let cases = cases();
    for parts in Parts::ALL {
        let bench = Bench::start(parts).await;
        let before = bench.work().await;
        for Case(rpc, body, faults) in &cases {
            let answer = bench.call(rpc, body.clone()).await;
            assert_refused(&answer, faults, &format!("{parts:?} {rpc} {body:?}"));
        }
        assert_eq!(bench.work().await, before, "{parts:?}: nothing is worked or charged for");
    }
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Case>;
}

impl<const N: usize> ConcatAll for [Vec<Case>; N] {
    fn concat_all(self) -> Vec<Case> {
        self.into_iter().flatten().collect()
    }
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap()
}

/// `Service/Rpc` and the request of each rpc.
fn rpcs() -> Vec<(String, MessageDescriptor)> {
    let services = pool();
    let services = services.services().filter(|service| service.package_name() == "guardian.auth.v1");
    services
        .flat_map(|service| {
            let name = service.name().to_owned();
            let methods: Vec<_> = service.methods().collect();
            methods.into_iter().map(move |method| (format!("{name}/{}", method.name()), method.input()))
        })
        .collect()
}

/// The paths of all fields; of a message's fields with its own path before, of a `oneof` without.
fn paths(message: &MessageDescriptor, before: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for field in message.fields() {
        let path = format!("{before}{}", field.name());
        match field.kind() {
            // Every point in time and every flag can be meant.
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {}
            Kind::Bool => {}
            Kind::Message(inner) if inner.package_name() != "google.protobuf" => {
                paths.extend(paths_below(&inner, &path));
            }
            _ => paths.push(path),
        }
    }
    paths
}

fn paths_below(message: &MessageDescriptor, path: &str) -> Vec<String> {
    paths(message, &format!("{path}."))
}

#[test]
fn no_field_of_a_request_is_left_out() {
    let cases = cases();
    let tried: BTreeSet<String> = cases
        .iter()
        .flat_map(|Case(rpc, _, faults)| {
            faults.iter().map(move |fault| format!("{rpc} {}", fault.split(' ').next().unwrap_or_default()))
        })
        .collect();
    assert_eq!(rpcs().len(), 53);
    for (rpc, request) in rpcs() {
        for path in paths(&request, "") {
            assert!(tried.contains(&format!("{rpc} {path}")), "no bad value is tried for {path} of {rpc}");
        }
    }
}

/// Bytes with the tag of each field and what cannot be its value, below the messages that hold it.
fn undecodable(message: &MessageDescriptor) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for field in message.fields() {
        let tag = u8::try_from(field.number()).unwrap() << 3;
        let mut wrapped = |inner: Vec<u8>| {
            all.push([&[tag | 2, u8::try_from(inner.len()).unwrap()], inner.as_slice()].concat());
        };
        match field.kind() {
            Kind::String => {
                wrapped(vec![0xff, 0xfe]);
                wrapped(vec![b'X', 0xc3]);
                wrapped(b"\xed\xa0\x80".to_vec());
                // Longer than what follows, and a number where a text belongs.
                all.push(vec![tag | 2, 100, b'X']);
                all.push(vec![tag, 1]);
            }
            Kind::Message(inner) => undecodable(&inner).into_iter().for_each(wrapped),
            _ => all.push([&[tag], [0xff; 11].as_slice()].concat()),
        }
    }
    all
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused_as_such() {
    let bench = Bench::start(Parts::Embedded).await;
    let before = bench.work().await;
    for (rpc, request) in rpcs() {
        let mut bad = undecodable(&request);
        // A group that never ends, field number 0, wire type 7.
        bad.extend([vec![0x0b], vec![0x02, 0x00], vec![0x0f]]);
        for bytes in bad {
            let answer = bench.call(&rpc, prefixed(0, &bytes)).await;
            assert_refused(&answer, &[" UNDECODABLE"], &format!("{rpc} {bytes:?}"));
        }
        let answer = bench.call(&rpc, prefixed(1, b"XQZCANARY")).await;
        assert_refused(&answer, &[" UNDECODABLE"], &format!("{rpc} compressed"));
        let answer = bench.call(&rpc, prefixed(0, &vec![0; 70_000])).await;
        assert_refused(&answer, &[" TOO_LONG"], &format!("{rpc} too long"));
    }
    assert_eq!(bench.work().await, before);
}

#[tokio::test]
async fn fields_that_nobody_knows_and_fields_given_twice_change_nothing() {
    let bench = Bench::start(Parts::Embedded).await;
    let request = Attempt::new("nobody", "wrong").request().encode_to_vec();
    let with_unknown = [request.as_slice(), &[0xfa, 0x3f, 0x02, 0xff, 0xfe]].concat();
    let twice = [request.as_slice(), &request].concat();
    for bytes in [with_unknown, twice] {
        let answer = bench.call("LoginService/LoginWithPassword", prefixed(0, &bytes)).await;
        assert_eq!(answer.reason(), "INVALID_CREDENTIALS");
    }
}
