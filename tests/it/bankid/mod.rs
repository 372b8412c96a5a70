//! BankID: the client against a simulator of the Relying Party API, and the simulator against a client of somebody else.

mod collecting;
mod ordering;
mod public_client;
mod refusals;
mod transport;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::bankid::{BankIdClient, BankIdSettings, Environment, Identity};
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::bankid::{AuthRequest, BankId as _, BankIdError, Collected, StartedOrder};
use guardian_auth::ports::clock::Clock;
use guardian_auth::simulators::bankid::{BankIdSimulator, ClientIdentity};
use tokio::net::TcpListener;

use crate::support::service::TestClock;

/// Where phones are.
const PHONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));

/// Time for a request in tests that do not wait for it to go by.
const AMPLE: Duration = Duration::from_secs(30);

/// A BankID, its clock, and a relying party.
struct World {
    simulator: BankIdSimulator,
    clock: Arc<TestClock>,
    client: BankIdClient,
}

impl World {
    async fn new() -> Self {
        Self::with(AMPLE, 4).await
    }

    /// With this time for a request, and so many at the same time.
    async fn with(timeout: Duration, connections: usize) -> Self {
        let clock = TestClock::at_noon();
        let simulator = simulator(Arc::clone(&clock) as Arc<dyn Clock>).await;
        let settings = BankIdSettings { timeout, connections, ..settings(&simulator) };
        let client = BankIdClient::new(settings).unwrap();
        Self { simulator, clock, client }
    }

    /// An order for the device of the browser.
    async fn by_link(&self) -> StartedOrder {
        let url = Secret::new("https://portal.example.se/bankid#nonce=abc".to_owned());
        self.client.auth(&AuthRequest { return_url: Some(&url), ..request() }).await.unwrap()
    }

    /// An order for another device.
    async fn by_code(&self) -> StartedOrder {
        self.client.auth(&request()).await.unwrap()
    }

    /// An order that an app has taken.
    async fn opened(&self) -> StartedOrder {
        let order = self.by_link().await;
        self.simulator.open(order.autostart_token.expose(), PHONE).unwrap();
        order
    }

    /// What comes of asking: `pending <hint>`, `failed <hint>`, `complete`, or the error.
    async fn collect(&self, order: &StartedOrder) -> Result<String, BankIdError> {
        Ok(match self.client.collect(&order.order_ref).await? {
            Collected::Pending(hint) => format!("pending {}", hint.as_str()),
            Collected::Failed(hint) => format!("failed {}", hint.as_str()),
            Collected::Complete(_) => "complete".to_owned(),
        })
    }
}

async fn simulator(clock: Arc<dyn Clock>) -> BankIdSimulator {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    BankIdSimulator::start(listener, clock, Arc::new(SystemEntropy)).unwrap()
}

fn settings(simulator: &BankIdSimulator) -> BankIdSettings {
    BankIdSettings {
        environment: Environment::Other(simulator.base_url()),
        authorities_pem: simulator.authorities_pem(),
        identity: pem(simulator.client_identity_pem()),
        timeout: AMPLE,
        connections: 4,
    }
}

fn pem(identity: &ClientIdentity) -> Identity {
    Identity::Pem { chain: identity.chain_pem.clone(), key: Secret::new(identity.key_pem.expose().clone()) }
}

fn request<'a>() -> AuthRequest<'a> {
    AuthRequest {
        end_user_ip: "192.0.2.7".parse().unwrap(),
        referring_domain: "portal.example.se",
        user_agent: "Mozilla/5.0",
        device_identifier: None,
        return_url: None,
        intent: "",
    }
}

/// Which kind of error it is.
const fn kind(error: &BankIdError) -> &'static str {
    match error {
        BankIdError::AlreadyInProgress => "already in progress",
        BankIdError::InvalidParameters(_) => "invalid parameters",
        BankIdError::Misconfigured(_) => "misconfigured",
        BankIdError::Unavailable(_) => "unavailable",
    }
}

fn outcome<T>(result: Result<T, BankIdError>) -> &'static str {
    result.map_or_else(|error| kind(&error), |_| "taken")
}
