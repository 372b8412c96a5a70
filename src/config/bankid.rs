//! `organizations.bankid`: how an organization uses BankID, and by which certificate.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::bankid::{
    BankIdPolicy, COLLECT_PAUSE, LONGEST_INTENT_BYTES, ReturnPage, Risk, RiskPolicy,
};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::secret::Secret;

use super::form::{BinaryFile, Choice, Count, Each, Flag, Parsed, ReadableFile, Span, Text};
use super::organizations::PORTAL;
use super::reader::Reader;
use super::url;

/// One relying party's access to BankID.
#[derive(Debug)]
pub struct BankIdAccess {
    /// Whose.
    pub organization: OrganizationId,
    /// Which of BankID's servers.
    pub environment: BankIdEnvironment,
    /// The root of its certificate, PEM: trusted alone.
    pub ca_file: PathBuf,
    /// Who we are.
    pub identity: BankIdIdentity,
    /// Longest time of a request.
    pub timeout: Duration,
    /// Most requests at a time.
    pub connections: usize,
}

/// Which of BankID's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankIdEnvironment {
    /// Where people log in.
    Production,
    /// BankID's test environment.
    Test,
    /// Another that speaks the same, at this URL.
    Other(String),
}

/// A relying party's certificate and key.
#[derive(Debug)]
pub enum BankIdIdentity {
    /// PEM.
    Pem {
        /// The chain.
        certificate_file: PathBuf,
        /// The key.
        key_file: PathBuf,
    },
    /// PKCS#12.
    Pkcs12 {
        /// The file.
        file: PathBuf,
        /// Its password.
        password: Secret<String>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Environment {
    Production,
    Test,
    Other,
}

#[derive(Clone, Copy, PartialEq)]
enum Refuse {
    High,
    Moderate,
    Never,
}

const URL: Parsed<String> = Parsed { form: "an https URL whose path is /rp/v6.0", parse: parse_url };

const RETURN_PAGE: Parsed<ReturnPage> = Parsed {
    form: "an https URL of at most 460 characters with `{nonce}` once, behind the host",
    parse: |text| url::parse_page(text).and_then(|url| ReturnPage::parse(&url)),
};

const INTENT: Parsed<String> =
    Parsed { form: "a text of 1 to 1125 bytes without control characters", parse: parse_intent };

const DOMAIN: Parsed<String> =
    Parsed { form: "a domain, an internationalized one in punycode", parse: parse_domain };

/// Signatures prove a login for as long as somebody may dispute it; the default is two school years.
const RETENTION: Duration = Duration::from_hours(2 * 365 * 24);

/// What an organization's section holds.
pub(super) struct ReadBankId {
    pub(super) policy: BankIdPolicy,
    pub(super) access: Option<BankIdAccess>,
}

pub(super) fn read(
    bankid: &mut Reader<'_>,
    organization: Option<&OrganizationId>,
    portals: &[Portal],
) -> Option<ReadBankId> {
    let environments = Choice(&[
        ("production", Environment::Production),
        ("test", Environment::Test),
        ("other", Environment::Other),
    ]);
    let environment = bankid.required("environment", "which of BankID's servers", &environments);
    let is_other = environment == Some(Environment::Other);
    let address =
        bankid.optional("url", "where the API is, with environment \"other\"", &URL, "BankID's own");
    if is_other && address.is_none() && !bankid.is_given("url") {
        bankid.fault("url", "is required with environment \"other\"", "write where the API is");
    }
    if !is_other && environment.is_some() && bankid.is_given("url") {
        bankid.fault("url", "is given, and the environment has its own", "remove it");
    }
    let ca_file = bankid.required(
        "ca_file",
        "the root that BankID's certificate comes from, PEM; no other is trusted",
        &ReadableFile,
    );
    let identity = read_identity(bankid);
    let connections =
        bankid.or("connections", "most requests to BankID at a time, each replica", &Count(1..=200), 32);
    let timeout = bankid.or(
        "timeout",
        "longest time of a request to BankID",
        &Span(Duration::from_secs(1)..=Duration::from_secs(20)),
        Duration::from_secs(5),
    );
    let policy = read_policy(bankid, portals)?;
    let access = organization.cloned().zip(environment).zip(ca_file).zip(identity).and_then(
        |(((organization, environment), ca_file), identity)| {
            let environment = match environment {
                Environment::Production => BankIdEnvironment::Production,
                Environment::Test => BankIdEnvironment::Test,
                Environment::Other => BankIdEnvironment::Other(address?),
            };
            Some(BankIdAccess { organization, environment, ca_file, identity, timeout, connections })
        },
    );
    Some(ReadBankId { policy, access })
}

fn read_identity(bankid: &mut Reader<'_>) -> Option<BankIdIdentity> {
    const OR_P12: &str = "required, or `p12_file`";
    let certificate_file =
        bankid.optional("certificate_file", "our certificate with its chain, PEM", &ReadableFile, OR_P12);
    let key_file = bankid.optional("key_file", "its key, PEM", &ReadableFile, OR_P12);
    let p12_file =
        bankid.optional("p12_file", "certificate and key as PKCS#12", &BinaryFile, "required, or PEM files");
    let p12_password =
        bankid.optional_secret("p12_password", "the password of the PKCS#12 file", &Text(0..=200));
    let pem = bankid.is_given("certificate_file") || bankid.is_given("key_file");
    let p12 = bankid.is_given("p12_file");
    if pem == p12 {
        let what = if pem { "is given beside `p12_file`" } else { "is required, or `p12_file`" };
        bankid.fault(
            "certificate_file",
            what,
            "give certificate_file and key_file, or p12_file and p12_password",
        );
    } else if pem && bankid.is_given("certificate_file") != bankid.is_given("key_file") {
        bankid.fault("key_file", "and certificate_file come together", "give both");
    }
    if p12 {
        let (file, password) = (p12_file?, p12_password.unwrap_or_else(|| Secret::new(String::new())));
        return Some(BankIdIdentity::Pkcs12 { file, password });
    }
    Some(BankIdIdentity::Pem { certificate_file: certificate_file?, key_file: key_file? })
}

fn read_policy(bankid: &mut Reader<'_>, portals: &[Portal]) -> Option<BankIdPolicy> {
    let guardians = || portals.iter().copied().filter(|portal| *portal != Portal::Staff).collect();
    let offered = bankid
        .optional("portals", "the portals that offer it", &Each(PORTAL), "all portals of guardians")
        .unwrap_or_else(guardians);
    if offered.iter().any(|portal| !portals.contains(portal)) {
        bankid.fault("portals", "names one that the organization has not", "name its portals only");
    }
    let return_pages: BTreeMap<Portal, ReturnPage> = bankid.section("return_pages", |pages| {
        let mut read = BTreeMap::new();
        for portal in Portal::ALL {
            let meaning =
                "the portal's page that BankID's app returns to; without it BankID is on another device only";
            if let Some(page) = pages.optional(portal.as_str(), meaning, &RETURN_PAGE, "none") {
                read.insert(portal, page);
            }
            if pages.is_given(portal.as_str()) && !portals.contains(&portal) {
                pages.fault(
                    portal.as_str(),
                    "is no portal of this organization",
                    "remove it, or add it to `portals`",
                );
            }
        }
        read
    });
    let referring_domain =
        bankid.required("referring_domain", "the portal's domain, as BankID is told", &DOMAIN);
    let intent = bankid
        .optional(
            "intent",
            "what BankID's app shows: names the portal, so that who was led astray can notice",
            &INTENT,
            "nothing",
        )
        .unwrap_or_default();
    let refuse = bankid.or(
        "refuse_risk",
        "orders of this risk and above are refused",
        &Choice(&[("high", Refuse::High), ("moderate", Refuse::Moderate), ("never", Refuse::Never)]),
        Refuse::High,
    );
    let risk = RiskPolicy {
        refuse_from: match refuse {
            Refuse::High => Some(Risk::High),
            Refuse::Moderate => Some(Risk::Moderate),
            Refuse::Never => None,
        },
        refuse_unknown: bankid.or(
            "refuse_unknown_risk",
            "whether orders without a known risk are refused",
            &Flag,
            false,
        ),
        refuse_other_address: bankid.or(
            "refuse_other_address",
            "whether an order on the same device is refused whose app had another address than the browser",
            &Flag,
            false,
        ),
    };
    let evidence_retention = bankid.or(
        "evidence_retention",
        "how long signatures are kept as evidence of logins",
        &Span(Duration::from_hours(24)..=Duration::from_hours(10 * 365 * 24)),
        RETENTION,
    );
    Some(BankIdPolicy {
        portals: offered,
        risk,
        return_pages,
        referring_domain: referring_domain?,
        intent,
        evidence_retention,
        collect_pause: COLLECT_PAUSE,
    })
}

fn parse_intent(text: &str) -> Option<String> {
    let formed = (1..=LONGEST_INTENT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    formed.then(|| text.to_owned())
}

fn parse_url(text: &str) -> Option<String> {
    let (_, path) = text.strip_prefix("https://")?.split_once('/')?;
    url::parse_base(text).filter(|_| path == "rp/v6.0")
}

/// BankID takes `[a-z0-9.-]`.
fn parse_domain(text: &str) -> Option<String> {
    let formed = (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    formed.then(|| text.to_owned())
}
