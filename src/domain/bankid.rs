//! BankID orders: what they can come to, how long they live, and what a guardian is told meanwhile.

use std::net::IpAddr;
use std::time::Duration;

/// Orders are asked for every 2 s, as BankID demands ("Collect", RP API v6.0).
pub const COLLECT_PAUSE: Duration = Duration::from_secs(2);

/// BankID gives up after 30 s without an app (`startFailed`). For this long since the beginning a new order replaces the
/// old one unseen, so that who looks for the phone need not begin anew.
pub const RESTART_WINDOW: Duration = Duration::from_mins(3);

/// An order that was begun lives this long at the latest: the window, and the 3 min that BankID gives a started one, and
/// then some for a portal to come back.
pub const ORDER_LIFETIME: Duration = Duration::from_mins(10);

/// A terminal result waits this long for the portal to fetch the session: app to browser and back takes seconds.
pub const RESULT_LIFETIME: Duration = Duration::from_mins(3);

/// Bytes of the text that the app shows: BankID takes 1,500 characters of it in base64 (`userVisibleData` of `/auth`).
pub const LONGEST_INTENT_BYTES: usize = 1125;

/// On which device BankID is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// On the browser's: started by a link, and the app brings a nonce back to the browser.
    Same,
    /// On another: it scans an animated QR code.
    Other,
}

impl Device {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Other => "other",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Same, Self::Other].into_iter().find(|device| device.as_str() == text)
    }
}

/// What BankID says of an order besides its status. An open set: codes come with releases of the app, and an unknown one
/// changes a text, never the outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HintCode(String);

impl HintCode {
    /// The app has not been opened, or the code not been scanned.
    pub const OUTSTANDING: &str = "outstandingTransaction";
    /// The person did not finish in time.
    pub const EXPIRED: &str = "expiredTransaction";
    /// Nobody opened the app in time: another order may take its place.
    pub const START_FAILED: &str = "startFailed";

    /// Reads a code; one that is no word of 1 to 64 letters and digits is read as `unknown`.
    pub fn new(code: &str) -> Self {
        let formed = (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Self(if formed { code } else { "unknown" }.to_owned())
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far an order is, in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// Under way.
    Pending,
    /// The guardian has signed; the result waits for the portal.
    Complete,
    /// BankID, or asking it, failed.
    Failed,
    /// Given up by the portal.
    Cancelled,
    /// It became a session, or was denied one. Never again.
    Used,
}

impl OrderState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Complete, Self::Failed, Self::Cancelled, Self::Used];

    /// The name in the store and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Used => "used",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// BankID's judgement of how likely it is that somebody else led the guardian to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Low.
    Low,
    /// Moderate.
    Moderate,
    /// High.
    High,
}

impl Risk {
    /// BankID's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
        }
    }

    /// Reads BankID's word. One that we do not know is none: missing is not low.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "low" => Some(Self::Low),
            "moderate" => Some(Self::Moderate),
            "high" => Some(Self::High),
            _ => None,
        }
    }
}

/// What an organization does with signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskPolicy {
    /// Orders of this risk and above are refused. Default high. `None`: none is.
    pub refuse_from: Option<Risk>,
    /// Whether an order without a known risk is refused. Default not: BankID cannot always tell.
    pub refuse_unknown: bool,
    /// Whether a same-device order is refused whose app had another address than the browser. Default not: phones have
    /// several, and others built this and took it out again.
    pub refuse_other_address: bool,
}

impl Default for RiskPolicy {
    fn default() -> Self {
        Self { refuse_from: Some(Risk::High), refuse_unknown: false, refuse_other_address: false }
    }
}

/// Something about an order that staff may want to know, and that a policy may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The app had another address than the browser, at the same device.
    OtherAddress,
    /// The risk is moderate.
    RiskModerate,
    /// The risk is high.
    RiskHigh,
    /// BankID did not tell the risk.
    RiskUnknown,
}

impl Signal {
    /// All signals, for documentation tests.
    pub const ALL: [Self; 4] = [Self::OtherAddress, Self::RiskModerate, Self::RiskHigh, Self::RiskUnknown];

    /// The name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherAddress => "other_address",
            Self::RiskModerate => "risk_moderate",
            Self::RiskHigh => "risk_high",
            Self::RiskUnknown => "risk_unknown",
        }
    }
}

impl RiskPolicy {
    /// The signals of an order, and whether one of them is refused.
    pub fn judge(
        &self,
        device: Device,
        browser: Option<IpAddr>,
        app: Option<IpAddr>,
        risk: Option<Risk>,
    ) -> (Vec<Signal>, Option<BankIdFault>) {
        let mut signals = Vec::new();
        let mut refused = None;
        let differs =
            browser.zip(app).is_some_and(|(browser, app)| browser.to_canonical() != app.to_canonical());
        if device == Device::Same && differs {
            signals.push(Signal::OtherAddress);
            refused = self.refuse_other_address.then_some(BankIdFault::OtherAddress);
        }
        match risk {
            None => signals.push(Signal::RiskUnknown),
            Some(Risk::Low) => {}
            Some(Risk::Moderate) => signals.push(Signal::RiskModerate),
            Some(Risk::High) => signals.push(Signal::RiskHigh),
        }
        let too_high = match (risk, self.refuse_from) {
            (Some(risk), Some(from)) => risk >= from,
            (Some(_), None) => false,
            (None, _) => self.refuse_unknown,
        };
        if too_high {
            refused = Some(BankIdFault::Risk);
        }
        (signals, refused)
    }
}

/// Why a BankID order became no session. Read by audit and diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankIdFault {
    /// There is no such order here.
    OrderUnknown,
    /// The call came from another browser than the one that began the order.
    OtherBrowser,
    /// The app brought no nonce to this browser, or another one: the person who signed may be elsewhere.
    ReturnNonce,
    /// The order, or its result, is too old.
    OrderExpired,
    /// The portal had given it up.
    Cancelled,
    /// It became a session already, or was denied one.
    OrderUsed,
    /// BankID says that it failed; the hint code tells why.
    Failed,
    /// BankID did not take the order or the question for it.
    BankIdError,
    /// BankID no longer knows the order, or its result was given to a process that died with it.
    ResultLost,
    /// The risk is refused.
    Risk,
    /// The app had another address than the browser, and the policy refuses that.
    OtherAddress,
    /// What BankID said of the person is no personnummer.
    PersonMalformed,
}

impl BankIdFault {
    /// All faults, for documentation tests.
    pub const ALL: [Self; 12] = [
        Self::OrderUnknown,
        Self::OtherBrowser,
        Self::ReturnNonce,
        Self::OrderExpired,
        Self::Cancelled,
        Self::OrderUsed,
        Self::Failed,
        Self::BankIdError,
        Self::ResultLost,
        Self::Risk,
        Self::OtherAddress,
        Self::PersonMalformed,
    ];

    /// The name in the store and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderUnknown => "order_unknown",
            Self::OtherBrowser => "other_browser",
            Self::ReturnNonce => "return_nonce",
            Self::OrderExpired => "order_expired",
            Self::Cancelled => "cancelled",
            Self::OrderUsed => "order_used",
            Self::Failed => "failed",
            Self::BankIdError => "bankid_error",
            Self::ResultLost => "result_lost",
            Self::Risk => "risk",
            Self::OtherAddress => "other_address",
            Self::PersonMalformed => "person_malformed",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == text)
    }
}

/// The URL of the portal's page to which BankID's app returns, with a place for the nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPage(String);

impl ReturnPage {
    /// What stands for the nonce.
    pub const PLACE: &str = "{nonce}";
    /// BankID takes 512 characters; the nonce has 47.
    const LONGEST: usize = 460;

    /// Reads a URL that has the place for the nonce once, behind the host; `None` if it is none.
    pub fn parse(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let formed =
            !host.contains('{') && path.matches(Self::PLACE).count() == 1 && url.len() <= Self::LONGEST;
        formed.then(|| Self(url.to_owned()))
    }

    /// The address with a nonce.
    pub fn with_nonce(&self, nonce: &str) -> String {
        self.0.replace(Self::PLACE, nonce)
    }
}

/// How an organization uses BankID. How it is talked to is the adapter's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankIdPolicy {
    /// The portals that offer it.
    pub portals: Vec<super::organization::Portal>,
    /// What is done with signals.
    pub risk: RiskPolicy,
    /// To which page of each portal the app returns.
    pub return_pages: std::collections::BTreeMap<super::organization::Portal, ReturnPage>,
    /// The domain that BankID is told as the portal's (`web.referringDomain`).
    pub referring_domain: String,
    /// What the app shows above the code, up to [`LONGEST_INTENT_BYTES`]: names the portal, so that a guardian who was
    /// led astray can notice. Empty: nothing.
    pub intent: String,
    /// How long signatures are kept as evidence.
    pub evidence_retention: Duration,
    /// The pause between two questions how far an order is: [`COLLECT_PAUSE`], which tests cannot wait for.
    pub collect_pause: Duration,
}
