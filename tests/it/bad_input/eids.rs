//! Bad values of `LoginOidcService` and `LoginBankIdService`.

use std::collections::BTreeMap;
use std::time::Duration;

use guardian_auth::config::Config;
use guardian_auth::domain::bankid::{BankIdPolicy, COLLECT_PAUSE, RiskPolicy};
use guardian_auth::domain::oidc::{Provider, ProviderId};
use guardian_auth::domain::organization::Portal;
use guardian_auth::proto;

use super::{Case, MARK, case, client, long};
use crate::support::service::KOMMUN;

const START_OIDC: &str = "LoginOidcService/StartOidcLogin";
const COMPLETE_OIDC: &str = "LoginOidcService/CompleteOidcLogin";
const START: &str = "LoginBankIdService/StartBankIdLogin";
const WATCH: &str = "LoginBankIdService/WatchBankIdLogin";
const COMPLETE: &str = "LoginBankIdService/CompleteBankIdLogin";
const CANCEL: &str = "LoginBankIdService/CancelBankIdLogin";

const OF_CLIENT: [&str; 3] =
    ["client.ip TOO_LONG", "client.user_agent TOO_LONG", "client.device_token TOO_LONG"];

fn bad_client() -> Option<proto::ClientContext> {
    client(&long(46), &long(4097), &long(1025))
}

/// The same organization and portal in each of the six.
pub(super) fn at(organization: &str, portal: i32, faults: &[&'static str]) -> Vec<Case> {
    let organization = organization.to_owned();
    let begun = proto::StartOidcLoginRequest {
        organization: organization.clone(),
        portal,
        provider: MARK.to_owned(),
        ..Default::default()
    };
    let returned = proto::CompleteOidcLoginRequest {
        organization: organization.clone(),
        portal,
        code: MARK.to_owned(),
        ..Default::default()
    };
    let started = proto::StartBankIdLoginRequest {
        organization: organization.clone(),
        portal,
        device_identifier: MARK.to_owned(),
        ..Default::default()
    };
    let mut cases = vec![
        case(START_OIDC, &begun, faults),
        case(COMPLETE_OIDC, &returned, faults),
        case(START, &started, faults),
    ];
    let order = Order { organization, portal, login_id: MARK.to_owned(), ..Order::default() };
    cases.extend(order.cases(faults));
    cases
}

/// What the three calls about an order have in common.
#[derive(Default)]
struct Order {
    organization: String,
    portal: i32,
    login_id: String,
    binding_secret: String,
    client: Option<proto::ClientContext>,
}

impl Order {
    fn of_kommun() -> Self {
        let (organization, portal) = (KOMMUN.to_owned(), proto::Portal::Parent.into());
        Self { organization, portal, ..Self::default() }
    }

    fn completed(&self) -> proto::CompleteBankIdLoginRequest {
        proto::CompleteBankIdLoginRequest {
            organization: self.organization.clone(),
            portal: self.portal,
            login_id: self.login_id.clone(),
            binding_secret: self.binding_secret.clone(),
            return_nonce: String::new(),
            client: self.client.clone(),
        }
    }

    fn cases(&self, faults: &[&'static str]) -> Vec<Case> {
        let watched = proto::WatchBankIdLoginRequest {
            organization: self.organization.clone(),
            portal: self.portal,
            login_id: self.login_id.clone(),
            binding_secret: self.binding_secret.clone(),
            client: self.client.clone(),
        };
        let cancelled = proto::CancelBankIdLoginRequest {
            organization: self.organization.clone(),
            portal: self.portal,
            login_id: self.login_id.clone(),
            binding_secret: self.binding_secret.clone(),
            client: self.client.clone(),
        };
        vec![
            case(WATCH, &watched, faults),
            case(COMPLETE, &self.completed(), faults),
            case(CANCEL, &cancelled, faults),
        ]
    }
}

/// BankID on another device only, and a provider that takes no hint; nobody is asked for either.
pub(super) fn offer(config: &mut Config) {
    let kommun = config.organizations.iter_mut().find(|one| one.id.as_str() == KOMMUN).unwrap();
    kommun.bankid = Some(BankIdPolicy {
        portals: vec![Portal::Parent],
        risk: RiskPolicy::default(),
        return_pages: BTreeMap::new(),
        referring_domain: "portal.example.se".to_owned(),
        intent: String::new(),
        evidence_retention: Duration::from_hours(24),
        collect_pause: COLLECT_PAUSE,
    });
    kommun.oidc = vec![Provider {
        id: ProviderId::parse("sample").unwrap(),
        display_name: "Sample".to_owned(),
        portals: vec![Portal::Parent, Portal::Staff],
        issuer: "https://provider.example".to_owned(),
        login_hint: false,
    }];
}

/// All of them, where the organization's parents have BankID without a page to return to and the provider `sample`,
/// which takes no hint.
pub(super) fn eids() -> Vec<Case> {
    [bankid(), orders(), oidc_starts(), oidc_returns()].into_iter().flatten().collect()
}

fn bankid() -> Vec<Case> {
    let start = |device: i32, device_identifier: String, client| proto::StartBankIdLoginRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        device,
        client,
        device_identifier,
    };
    let here = || client("192.0.2.7", "", "");
    let other = proto::BankIdDevice::Other.into();
    vec![
        case(START, &start(0, String::new(), None), &["device MISSING", "client.ip MISSING"]),
        case(
            START,
            &start(99, long(129), bad_client()),
            &[["device OUT_OF_RANGE", "device_identifier TOO_LONG"].as_slice(), &OF_CLIENT].concat(),
        ),
        case(
            START,
            &start(-1, "short".to_owned(), client(MARK, "", "")),
            &["device OUT_OF_RANGE", "device_identifier TOO_SHORT", "client.ip MALFORMED"],
        ),
        case(START, &start(proto::BankIdDevice::Same.into(), String::new(), here()), &["device NOT_ALLOWED"]),
        case(START, &start(other, format!("{MARK} and a space"), here()), &["device_identifier MALFORMED"]),
        case(START, &start(other, format!("{MARK}\n{MARK}"), here()), &["device_identifier MALFORMED"]),
        case(
            START,
            &proto::StartBankIdLoginRequest {
                portal: proto::Portal::Staff.into(),
                ..start(other, String::new(), here())
            },
            &["portal NOT_ALLOWED"],
        ),
    ]
}

fn orders() -> Vec<Case> {
    let mut cases = Vec::new();
    for (login_id, binding_secret, faults) in [
        (String::new(), String::new(), ["login_id MISSING", "binding_secret MISSING"]),
        (MARK.to_owned(), long(129), ["login_id MALFORMED", "binding_secret TOO_LONG"]),
        (long(27), long(4096), ["login_id MALFORMED", "binding_secret TOO_LONG"]),
        (
            "01kamxj7vq3s8z0h2t9b4c5d6\u{e5}".to_owned(),
            String::new(),
            ["login_id MALFORMED", "binding_secret MISSING"],
        ),
    ] {
        let order = Order { login_id, binding_secret, client: bad_client(), ..Order::of_kommun() };
        cases.extend(order.cases(&[faults.as_slice(), &OF_CLIENT].concat()));
    }
    let order = Order { client: bad_client(), ..Order::of_kommun() };
    let everything =
        [["login_id MISSING", "binding_secret MISSING", "return_nonce TOO_LONG"].as_slice(), &OF_CLIENT];
    let completed = proto::CompleteBankIdLoginRequest { return_nonce: long(129), ..order.completed() };
    cases.push(case(COMPLETE, &completed, &everything.concat()));
    let order = Order {
        login_id: "01KAMXJ7VQ3S8Z0H2T9B4C5D6E".to_owned(),
        binding_secret: MARK.to_owned(),
        ..Order::of_kommun()
    };
    let completed =
        proto::CompleteBankIdLoginRequest { return_nonce: format!("{MARK} {MARK}"), ..order.completed() };
    cases.push(case(COMPLETE, &completed, &["return_nonce MALFORMED"]));
    cases
}

fn oidc_starts() -> Vec<Case> {
    let start = |provider: &str, locale: String, login_hint: String, client| proto::StartOidcLoginRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        provider: provider.to_owned(),
        locale,
        login_hint,
        client,
    };
    vec![
        case(
            START_OIDC,
            &start("", long(36), long(201), bad_client()),
            &[["provider MISSING", "locale TOO_LONG", "login_hint TOO_LONG"].as_slice(), &OF_CLIENT].concat(),
        ),
        case(START_OIDC, &start(MARK, String::new(), String::new(), None), &["provider MALFORMED"]),
        case(START_OIDC, &start("xqzcanary", String::new(), String::new(), None), &["provider OUT_OF_RANGE"]),
        case(
            START_OIDC,
            &start("sample", format!("{MARK}_"), MARK.to_owned(), None),
            &["locale MALFORMED", "login_hint NOT_ALLOWED"],
        ),
    ]
}

fn oidc_returns() -> Vec<Case> {
    let usual = || proto::CompleteOidcLoginRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        ..Default::default()
    };
    let nothing = usual();
    let long_ones = proto::CompleteOidcLoginRequest {
        provider: long(41),
        binding_secret: long(129),
        state: long(129),
        code: long(2049),
        iss: long(256),
        client: bad_client(),
        ..usual()
    };
    let failed =
        proto::CompleteOidcLoginRequest { provider: "xqzcanary".to_owned(), error: long(129), ..usual() };
    vec![
        case(
            COMPLETE_OIDC,
            &nothing,
            &["provider MISSING", "binding_secret MISSING", "state MISSING", "code MISSING"],
        ),
        case(
            COMPLETE_OIDC,
            &long_ones,
            &[
                [
                    "provider MALFORMED",
                    "binding_secret TOO_LONG",
                    "state TOO_LONG",
                    "code TOO_LONG",
                    "iss TOO_LONG",
                ]
                .as_slice(),
                &OF_CLIENT,
            ]
            .concat(),
        ),
        case(
            COMPLETE_OIDC,
            &failed,
            &["provider OUT_OF_RANGE", "binding_secret MISSING", "state MISSING", "error TOO_LONG"],
        ),
    ]
}
