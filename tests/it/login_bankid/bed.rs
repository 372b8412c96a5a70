//! A service whose municipality uses the simulated BankID, and a browser and a phone at it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::config::{BankIdAccess, BankIdEnvironment, BankIdIdentity, Config};
use guardian_auth::domain::bankid::{BankIdPolicy, ReturnPage, RiskPolicy};
use guardian_auth::domain::organization::{Organization, OrganizationId, Portal};
use guardian_auth::proto;
use guardian_auth::proto::bank_id_view::Start as ViewStart;
use guardian_auth::simulators::bankid::{BankIdSimulator, Endpoint, Persona, RecordedRequest};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::{Status, Streaming};

use crate::support::fault_proxy::FaultProxy;
use crate::support::service::{Calls, KOMMUN, Parts, Service, TestClock, guardian, school_and_child};

/// The address of the browser, and of the phone.
pub(crate) const HERE: &str = "192.0.2.7";

/// A user agent of a phone.
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148";

/// How long a test waits for what must come, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The service with its BankID.
pub(crate) struct Bed {
    pub(crate) service: Service,
    pub(crate) bankid: Arc<BankIdSimulator>,
    /// Between the service and BankID.
    pub(crate) line: FaultProxy,
    pub(crate) portal: Calls,
    bankid_clock: Arc<TestClock>,
    files: TempDir,
}

impl Bed {
    /// On these parts, with the given guardians beside a school and a child.
    pub(crate) async fn start(parts: Parts, guardians: &[Value]) -> Self {
        Self::start_with(parts, guardians, |_| {}).await
    }

    /// The same with changes to the configuration.
    pub(crate) async fn start_with(parts: Parts, guardians: &[Value], change: impl Fn(&mut Config)) -> Self {
        let mut rows = school_and_child();
        rows.extend_from_slice(guardians);
        Self::start_on_directory(parts, &rows, change).await
    }

    /// The same with a whole directory.
    pub(crate) async fn start_on_directory(
        parts: Parts,
        rows: &[Value],
        change: impl Fn(&mut Config),
    ) -> Self {
        let bankid_clock = TestClock::at_noon();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clock = Arc::clone(&bankid_clock) as _;
        let bankid = Arc::new(BankIdSimulator::start(listener, clock, Arc::new(SystemEntropy)).unwrap());
        let line = FaultProxy::in_front_of(&bankid.base_url()).await;
        let files = TempDir::new().unwrap();
        let with_bankid = |config: &mut Config| {
            use_bankid(config, access(&bankid, &line.url(), &files));
            change(config);
        };
        let service = Service::start_with(parts, &with_bankid).await;
        let mut config = service.config();
        with_bankid(&mut config);
        service.import_with(&config, KOMMUN, rows).await;
        let portal = service.portal(KOMMUN).await;
        Self { service, bankid, line, portal, bankid_clock, files }
    }

    /// Another replica.
    pub(crate) async fn replica(&self) -> Service {
        self.replica_with(|_| {}).await
    }

    /// The same with changes to its configuration.
    pub(crate) async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Service {
        let access = access(&self.bankid, &self.line.url(), &self.files);
        let with_bankid = |config: &mut Config| {
            use_bankid(config, access);
            change(config);
        };
        self.service.replica_with(with_bankid).await
    }

    /// The configuration of the service, for commands beside it.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.service.config();
        use_bankid(&mut config, access(&self.bankid, &self.line.url(), &self.files));
        config
    }

    /// Moves the clocks of the service and of BankID.
    pub(crate) fn advance(&self, span: Duration) {
        self.service.clock.advance(span);
        self.bankid_clock.advance(span);
    }

    /// Begins an order in a new browser.
    pub(crate) async fn begin(&self, device: proto::BankIdDevice) -> Browser {
        self.try_begin(device).await.unwrap()
    }

    /// The same where it may be refused.
    pub(crate) async fn try_begin(&self, device: proto::BankIdDevice) -> Result<Browser, Status> {
        begin_at(&self.portal, device, HERE).await
    }

    /// The phone scans what the browser shows.
    pub(crate) fn scan(&self, qr_text: &str) -> String {
        self.bankid.scan(qr_text, address()).unwrap()
    }

    /// The app is opened by a link of the browser.
    pub(crate) fn open(&self, url: &str) -> String {
        self.bankid.open(&autostart_token(url), address()).unwrap()
    }

    /// How many orders BankID was asked to begin. A `GET` begins none.
    pub(crate) fn begun(&self) -> usize {
        let requests = self.bankid.requests();
        let begins = |it: &&RecordedRequest| it.endpoint == Endpoint::Auth && it.method == "POST";
        requests.iter().filter(begins).count()
    }

    /// A browser whose order somebody has signed, on another device or on this one, and what its app brought back.
    pub(crate) async fn signed(&self, device: proto::BankIdDevice, who: &Persona) -> (Browser, String) {
        let browser = self.begin(device).await;
        let order = match device {
            proto::BankIdDevice::Same => self.open(&browser.link()),
            _ => self.scan(&browser.qr_text()),
        };
        let return_url = self.bankid.sign(&order, who).unwrap();
        let frames = browser.watch_to_the_end().await;
        assert_eq!(outcome(&frames), proto::BankIdStatus::Complete);
        (browser, return_url.map_or_else(String::new, |url| nonce_of(&url)))
    }
}

/// Begins an order through a portal, for a browser at an address.
pub(crate) async fn begin_at(
    portal: &Calls,
    device: proto::BankIdDevice,
    ip: &str,
) -> Result<Browser, Status> {
    let request = proto::StartBankIdLoginRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        device: device.into(),
        client: client(ip),
        device_identifier: "2f1b7c1e-0f2c-4e0f-9d3c-6f0a4b5c7d8e".to_owned(),
    };
    let started = portal.clone().bankid.start_bank_id_login(request).await?.into_inner();
    Ok(Browser {
        portal: portal.clone(),
        organization: KOMMUN.to_owned(),
        at: proto::Portal::Parent,
        ip: ip.to_owned(),
        started,
    })
}

/// A browser with its order.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) portal: Calls,
    pub(crate) organization: String,
    pub(crate) at: proto::Portal,
    pub(crate) ip: String,
    pub(crate) started: proto::StartBankIdLoginResponse,
}

impl Browser {
    /// The QR code of the beginning.
    pub(crate) fn qr_text(&self) -> String {
        match self.started.view.as_ref().unwrap().start.as_ref() {
            Some(ViewStart::QrText(text)) => text.clone(),
            other => panic!("no QR code: {other:?}"),
        }
    }

    /// The link for phones of the beginning.
    pub(crate) fn link(&self) -> String {
        match self.started.view.as_ref().unwrap().start.as_ref() {
            Some(ViewStart::Links(links)) => links.mobile_url.clone(),
            other => panic!("no links: {other:?}"),
        }
    }

    /// The same order in a browser that calls through another portal or replica.
    pub(crate) fn through(&self, portal: &Calls) -> Self {
        Self { portal: portal.clone(), ..self.clone() }
    }

    /// The same order in a browser with another secret.
    pub(crate) fn with_secret(&self, binding_secret: &str) -> Self {
        let mut other = self.clone();
        binding_secret.clone_into(&mut other.started.binding_secret);
        other
    }

    /// Watches the order.
    pub(crate) async fn watch(&self) -> Result<Streaming<proto::WatchBankIdLoginResponse>, Status> {
        let request = proto::WatchBankIdLoginRequest {
            organization: self.organization.clone(),
            portal: self.at.into(),
            login_id: self.started.login_id.clone(),
            binding_secret: self.started.binding_secret.clone(),
            client: client(&self.ip),
        };
        Ok(self.portal.clone().bankid.watch_bank_id_login(request).await?.into_inner())
    }

    /// Watches to the end: every frame.
    pub(crate) async fn watch_to_the_end(&self) -> Vec<proto::WatchBankIdLoginResponse> {
        let mut frames = Vec::new();
        let mut stream = self.watch().await.unwrap();
        let all = async {
            while let Some(frame) = stream.message().await.unwrap() {
                frames.push(frame);
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the stream has an end");
        frames
    }

    /// Asks for the session.
    pub(crate) async fn complete(&self, return_nonce: &str) -> Result<proto::SessionTokens, Status> {
        let request = proto::CompleteBankIdLoginRequest {
            organization: self.organization.clone(),
            portal: self.at.into(),
            login_id: self.started.login_id.clone(),
            binding_secret: self.started.binding_secret.clone(),
            return_nonce: return_nonce.to_owned(),
            client: client(&self.ip),
        };
        let answer = self.portal.clone().bankid.complete_bank_id_login(request).await?;
        Ok(answer.into_inner().session.unwrap())
    }

    /// Gives the order up.
    pub(crate) async fn cancel(&self) -> Result<(), Status> {
        let request = proto::CancelBankIdLoginRequest {
            organization: self.organization.clone(),
            portal: self.at.into(),
            login_id: self.started.login_id.clone(),
            binding_secret: self.started.binding_secret.clone(),
            client: client(&self.ip),
        };
        self.portal.clone().bankid.cancel_bank_id_login(request).await.map(|_| ())
    }
}

/// The last frame of an outcome; panics if the stream ends before.
pub(crate) async fn until(
    stream: &mut Streaming<proto::WatchBankIdLoginResponse>,
    what: &str,
    mut wanted: impl FnMut(&proto::WatchBankIdLoginResponse) -> bool,
) -> proto::WatchBankIdLoginResponse {
    let found = async {
        loop {
            let frame = stream.message().await.unwrap().unwrap_or_else(|| panic!("the stream ended: {what}"));
            if wanted(&frame) {
                return frame;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// The QR code of a frame, if it shows one.
pub(crate) fn qr_of(frame: &proto::WatchBankIdLoginResponse) -> Option<String> {
    match frame.view.as_ref()?.start.as_ref()? {
        ViewStart::QrText(text) => Some(text.clone()),
        ViewStart::Links(_) => None,
    }
}

/// The link for phones of a frame, if it shows one.
pub(crate) fn link_of(frame: &proto::WatchBankIdLoginResponse) -> Option<String> {
    match frame.view.as_ref()?.start.as_ref()? {
        ViewStart::Links(links) => Some(links.mobile_url.clone()),
        ViewStart::QrText(_) => None,
    }
}

/// The status of the last frame.
pub(crate) fn outcome(frames: &[proto::WatchBankIdLoginResponse]) -> proto::BankIdStatus {
    frames.last().unwrap().status()
}

/// The id of the message of a frame.
pub(crate) fn message_id(frame: &proto::WatchBankIdLoginResponse) -> String {
    frame.view.as_ref().unwrap().message.as_ref().unwrap().message_id.clone()
}

/// A guardian with a personnummer and a child.
pub(crate) fn with_number(key: &str, number: &str) -> Value {
    let mut row = guardian(key, &format!("user-{key}"), None);
    row["national_id"] = json!(number);
    row
}

/// Somebody with a BankID.
pub(crate) fn persona(number: &str) -> Persona {
    Persona::new(number, "Kim", "Ek")
}

/// The nonce that the app brings back.
pub(crate) fn nonce_of(return_url: &str) -> String {
    return_url.split_once("nonce=").unwrap().1.to_owned()
}

/// Another token of the same form.
pub(crate) fn bent(token: &str) -> String {
    let other = if token.as_bytes()[8] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..8], &token[9..])
}

/// What a link starts the app with.
pub(crate) fn autostart_token(url: &str) -> String {
    let (_, rest) = url.split_once("autostarttoken=").unwrap();
    rest.split('&').next().unwrap().to_owned()
}

pub(crate) fn address() -> IpAddr {
    HERE.parse().unwrap()
}

fn client(ip: &str) -> Option<proto::ClientContext> {
    Some(proto::ClientContext {
        ip: ip.to_owned(),
        user_agent: PHONE.to_owned(),
        device_token: String::new(),
    })
}

fn policy() -> BankIdPolicy {
    let page = ReturnPage::parse("https://portal.example.se/bankid#nonce={nonce}").unwrap();
    BankIdPolicy {
        portals: vec![Portal::Parent],
        risk: RiskPolicy::default(),
        return_pages: BTreeMap::from([(Portal::Parent, page)]),
        referring_domain: "portal.example.se".to_owned(),
        intent: "Logga in hos Sample kommun".to_owned(),
        evidence_retention: Duration::from_hours(24 * 365),
        // BankID wants two seconds, the simulated one has time.
        collect_pause: Duration::from_millis(50),
    }
}

/// The Swedish organization uses BankID.
fn use_bankid(config: &mut Config, access: BankIdAccess) {
    kommun(config).bankid = Some(policy());
    config.bankid = vec![access];
}

/// The Swedish organization of a configuration.
pub(crate) fn kommun(config: &mut Config) -> &mut Organization {
    config.organizations.iter_mut().find(|one| one.id.as_str() == KOMMUN).unwrap()
}

/// How the Swedish organization of a configuration uses BankID.
pub(crate) fn bankid_of(config: &mut Config) -> &mut BankIdPolicy {
    kommun(config).bankid.as_mut().unwrap()
}

fn access(bankid: &BankIdSimulator, url: &str, files: &TempDir) -> BankIdAccess {
    let write = |name: &str, bytes: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let client = bankid.client_identity_pem();
    BankIdAccess {
        organization: OrganizationId::parse(KOMMUN).unwrap(),
        environment: BankIdEnvironment::Other(url.to_owned()),
        ca_file: write("ca.pem", &bankid.authorities_pem()),
        identity: BankIdIdentity::Pem {
            certificate_file: write("client.pem", &client.chain_pem),
            key_file: write("key.pem", client.key_pem.expose()),
        },
        timeout: Duration::from_secs(5),
        connections: 8,
    }
}
