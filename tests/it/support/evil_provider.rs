//! An `OpenID` provider that is strict with its client, and answers well or badly as a test tells it.

pub mod behaviour;
mod endpoints;
pub mod keys;
mod tokens;
pub mod trap;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use guardian_auth::ports::clock::Clock;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use behaviour::Behaviour;
pub use endpoints::{Parameters, parameters};
pub use tokens::half_hash;

/// Our name at every evil provider.
pub const CLIENT_ID: &str = "guardian-auth-test";
/// Our secret there, with what form encoding must change.
pub const CLIENT_SECRET: &str = "b:yt + 100 % & mer=a";

/// A provider on a loopback port. It ends with the value.
pub struct EvilProvider {
    shared: Arc<Shared>,
    serving: AbortHandle,
}

/// What its endpoints know.
struct Shared {
    issuer: String,
    redirect_uri: String,
    clock: Arc<dyn Clock>,
    behaviour: Mutex<Behaviour>,
    hits: Mutex<BTreeMap<String, usize>>,
    complaints: Mutex<Vec<String>>,
    pushed: Mutex<BTreeMap<String, Parameters>>,
    codes: Mutex<BTreeMap<String, Parameters>>,
    access_tokens: Mutex<BTreeSet<String>>,
    assertions: Mutex<BTreeSet<String>>,
    last_request: Mutex<Parameters>,
}

/// A code or token that nobody guesses.
fn random() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    keys::base64url(bytes)
}

impl EvilProvider {
    /// A provider that behaves well, with one client that has this redirect address. Its tokens follow this clock.
    pub async fn start(clock: Arc<dyn Clock>, redirect_uri: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            issuer: format!("http://127.0.0.1:{port}"),
            redirect_uri: redirect_uri.to_owned(),
            clock,
            behaviour: Mutex::default(),
            hits: Mutex::default(),
            complaints: Mutex::default(),
            pushed: Mutex::default(),
            codes: Mutex::default(),
            access_tokens: Mutex::default(),
            assertions: Mutex::default(),
            last_request: Mutex::default(),
        });
        let router = Router::new().fallback(endpoints::serve).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { shared, serving }
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
    }

    /// A code, as if a browser had come with a request of this verifier and nonce.
    pub fn grant(&self, code_verifier: &str, nonce: &str) -> String {
        let challenge = keys::base64url(digest(&SHA256, code_verifier.as_bytes()));
        let request = [
            ("redirect_uri", self.shared.redirect_uri.as_str()),
            ("code_challenge", &challenge),
            ("nonce", nonce),
        ];
        let request = request.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let code = random();
        self.shared.codes.lock().unwrap().insert(code.clone(), Parameters::from(request));
        code
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.shared.hits.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// What it found wrong with requests of the client.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().unwrap().clone()
    }

    /// The parameters of the newest authorization request.
    pub fn last_request(&self) -> Parameters {
        self.shared.last_request.lock().unwrap().clone()
    }
}

impl Drop for EvilProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
