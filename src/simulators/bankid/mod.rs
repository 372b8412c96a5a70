//! A BankID that anybody can run: the Relying Party API v6.0 over mutual TLS, with people who do as they are told.

mod body;
mod certificates;
mod fault;
mod order;
mod person;
mod server;
mod state;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use certificates::Authorities;
pub use certificates::ClientIdentity;
pub use fault::{Endpoint, Fault};
pub use person::Persona;
use server::Shared;
use state::State;

/// Why the simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS refuses the certificates.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// TLS refuses to ask for certificates.
    #[error("client certificates cannot be asked for: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The listener is none.
    #[error("the listener cannot be used: {0}")]
    Listener(#[from] io::Error),
}

/// Why a person cannot do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// BankID has no such order, or has forgotten it.
    #[error("there is no such order")]
    UnknownOrder,
    /// The text is no code of BankID's, or a forged one.
    #[error("this is no BankID code")]
    NoCode,
    /// The code is of another second: it was kept, or is shown too early.
    #[error("this code is no longer shown, or not yet")]
    StaleCode,
    /// The order is taken, or over.
    #[error("the order is not pending")]
    NotPending,
    /// No app has the order yet.
    #[error("the order was not opened")]
    NotOpened,
    /// The order is for another person.
    #[error("the order is for another person")]
    OtherPerson,
    /// Another order of this person is under way: both have failed.
    #[error("another order of this person is under way; both have failed")]
    AlreadyInProgress,
}

/// Requests in a time, before 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In what time.
    pub window: Duration,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub endpoint: Endpoint,
    /// How.
    pub method: http::Method,
    /// What it held; `Null` if that was no JSON.
    pub body: serde_json::Value,
    /// The status that was meant for it; 500 where the connection ended before.
    pub status: u16,
}

/// An order, for who drives.
#[derive(Clone, Debug)]
pub struct OrderView {
    /// Its name.
    pub order_ref: String,
    /// When it began.
    pub begun: Timestamp,
    /// `pending`, `complete` or `failed`.
    pub status: &'static str,
    /// The hint code of a pending or failed one.
    pub hint: Option<String>,
    /// Who has it in the app.
    pub person: Option<Persona>,
    /// The domain of the portal.
    pub referring_domain: String,
    /// What the app shows.
    pub intent: String,
    /// Whether only Mobile BankID may take it.
    pub is_mobile_only: bool,
    /// Where the app returns to.
    pub return_url: Option<String>,
}

/// A running BankID. It stops when it is dropped.
pub struct BankIdSimulator {
    address: SocketAddr,
    authorities: Authorities,
    client: ClientIdentity,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl BankIdSimulator {
    /// Starts on a listener, which should be one of loopback, with certificates of its own.
    ///
    /// # Errors
    /// See [`SimulatorError`].
    pub fn start(
        listener: TcpListener,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SimulatorError> {
        let authorities = Authorities::new()?;
        let acceptor = TlsAcceptor::from(Arc::new(authorities.server()?));
        let client = authorities.client("Simulated relying party")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(clock, State::new(entropy)));
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, acceptor, Arc::clone(&shared), stop.clone()));
        Ok(Self { address, authorities, client, shared, _stop: stop.drop_guard() })
    }

    /// The root that vouches for it, as PEM.
    pub fn authorities_pem(&self) -> Vec<u8> {
        self.authorities.root_pem().into_bytes()
    }

    /// The certificate of a relying party, as PEM; always the same one.
    pub const fn client_identity_pem(&self) -> &ClientIdentity {
        &self.client
    }

    /// The certificate of another relying party.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn another_client(&self, name: &str) -> Result<ClientIdentity, SimulatorError> {
        self.authorities.client(name)
    }

    /// Where it is: for `Environment::Other`.
    pub fn base_url(&self) -> String {
        format!("https://{}/rp/v6.0", self.address)
    }

    /// The app on a phone at this address scans a code.
    ///
    /// # Errors
    /// When it is no code of a waiting order, or not the code of about now.
    pub fn scan(&self, qr_text: &str, from: IpAddr) -> Result<String, DriverError> {
        let now = self.shared.clock.now();
        self.shared.state().scan(qr_text, from, now)
    }

    /// The app on a device at this address is opened by a launch link, or by the autostart token alone. What the link says
    /// of a return is not followed: the order's return URL wins.
    ///
    /// # Errors
    /// When no waiting order has this token.
    pub fn open(&self, link_or_token: &str, from: IpAddr) -> Result<String, DriverError> {
        let now = self.shared.clock.now();
        let named =
            link_or_token.split(['?', '&', '#']).find_map(|part| part.strip_prefix("autostarttoken="));
        self.shared.state().open(named.unwrap_or(link_or_token), from, now)
    }

    /// The person is chosen in the app, and is asked for the code.
    ///
    /// # Errors
    /// When the order is not open, or for another person. When another order of this person is under way, both fail.
    pub fn identify(&self, order_ref: &str, persona: &Persona) -> Result<(), DriverError> {
        let now = self.shared.clock.now();
        self.shared.state().identify(order_ref, persona, now).map(drop)
    }

    /// The person signs. Gives where the app returns to: whoever drives the browser goes there.
    ///
    /// # Errors
    /// See [`Self::identify`].
    pub fn sign(&self, order_ref: &str, persona: &Persona) -> Result<Option<String>, DriverError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let from = state.identify(order_ref, persona, now)?;
        let order = state.pending(order_ref, now)?;
        order.complete(persona, from, now);
        Ok(order.body.return_url.clone())
    }

    /// The person declines in the app.
    ///
    /// # Errors
    /// When the order is not pending.
    pub fn decline(&self, order_ref: &str) -> Result<(), DriverError> {
        self.fail(order_ref, "userCancel")
    }

    /// The order fails with a hint code.
    ///
    /// # Errors
    /// When the order is not pending.
    pub fn fail(&self, order_ref: &str, hint: &str) -> Result<(), DriverError> {
        let now = self.shared.clock.now();
        self.shared.state().pending(order_ref, now)?.fail(hint, now);
        Ok(())
    }

    /// The order stays pending, with this hint code instead of the usual one until an app takes it.
    ///
    /// # Errors
    /// When the order is not pending.
    pub fn show(&self, order_ref: &str, hint: &str) -> Result<(), DriverError> {
        let now = self.shared.clock.now();
        self.shared.state().pending(order_ref, now)?.hint = Some(hint.to_owned());
        Ok(())
    }

    /// What goes wrong with the next request to an endpoint; one after the other if asked for several times.
    pub fn inject(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().inject(endpoint, fault);
    }

    /// Limits requests, or lifts the limit.
    pub fn limit(&self, rate: Option<Rate>) {
        self.shared.state().rate = rate;
    }

    /// Takes codes that are this much older than the newest. Two seconds, until it is asked for more: who copies a code from
    /// one window to another is slower than a camera.
    pub fn forgive_codes(&self, slack: Duration) {
        self.shared.state().code_slack = slack;
    }

    /// Orders that BankID has not forgotten, the newest first.
    pub fn list_orders(&self) -> Vec<OrderView> {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        state.settle(now);
        let mut orders: Vec<OrderView> = state.orders.iter().map(OrderView::of).collect();
        orders.sort_by_key(|order| std::cmp::Reverse(order.begun));
        orders
    }

    /// The requests that came, the oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// How many requests came to an endpoint.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.shared.state().requests.iter().filter(|request| request.endpoint == endpoint).count()
    }

    /// When an order was asked for at an endpoint.
    pub fn times(&self, endpoint: Endpoint, order_ref: &str) -> Vec<Timestamp> {
        let of_order = |request: &&RecordedRequest| {
            request.endpoint == endpoint && request.body["orderRef"] == *order_ref
        };
        self.shared.state().requests.iter().filter(of_order).map(|request| request.at).collect()
    }
}

impl OrderView {
    fn of(order: &order::Order) -> Self {
        let domain = order.body.web.as_ref().and_then(|web| web.referring_domain.clone());
        Self {
            order_ref: order.order_ref.clone(),
            begun: order.begun,
            status: order.status(),
            hint: order.hint().map(str::to_owned),
            person: order.person().cloned(),
            referring_domain: domain.unwrap_or_default(),
            intent: order.body.intent(),
            is_mobile_only: order.body.requirement.is_mobile_only(),
            return_url: order.body.return_url.clone(),
        }
    }
}
