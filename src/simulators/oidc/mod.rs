//! An `OpenID` provider that anybody can run: several brokers by path, with people who click.

mod authorize;
mod broker;
mod key;
mod metadata;
mod once;
mod parameters;
mod person;
mod request;
mod token;

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path};
use axum::middleware;
use axum::response::Html;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::request::Parts;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{frame, guard};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
pub use broker::Broker;
use key::SigningKey;
use once::Once;
pub use person::Person;
use request::{Grant, Request};

/// Bytes of a form at most: a pushed request and a client's secret are much less.
const MOST_FORM_BYTES: usize = 16 * 1024;

/// Why the simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum OidcSimulatorError {
    /// A key cannot be made.
    #[error("a key cannot be made")]
    Key,
    /// The listener is none.
    #[error("the listener cannot be used: {0}")]
    Listener(#[from] io::Error),
}

/// A relying party, as a broker has registered it.
pub struct RelyingParty {
    /// At which broker.
    pub broker: Broker,
    /// `client_id`.
    pub client_id: String,
    /// The secret of `client_secret_basic`.
    pub client_secret: Secret<String>,
    /// Where the broker may send browsers back to, to the letter.
    pub redirect_uris: Vec<String>,
}

/// A running provider. It stops when it is dropped.
pub struct OidcSimulator {
    address: SocketAddr,
    _stop: DropGuard,
}

impl OidcSimulator {
    /// Starts on a listener, which should be one of loopback, with keys of its own.
    ///
    /// # Errors
    /// See [`OidcSimulatorError`].
    pub fn start(
        listener: TcpListener,
        relying_parties: Vec<RelyingParty>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, OidcSimulatorError> {
        let address = listener.local_addr()?;
        let mut providers: BTreeMap<&'static str, Provider> = BTreeMap::new();
        for broker in Broker::ALL {
            let key = SigningKey::new(broker.is_rsa()).map_err(|_| OidcSimulatorError::Key)?;
            let provider = Provider {
                broker,
                issuer: issuer(address, broker),
                key,
                clients: Vec::new(),
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
                state: Mutex::default(),
            };
            providers.insert(broker.path(), provider);
        }
        for party in relying_parties {
            if let Some(provider) = providers.get_mut(party.broker.path()) {
                provider.clients.push(party);
            }
        }
        let providers = providers.into_iter().map(|(path, provider)| (path, Arc::new(provider))).collect();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router(Arc::new(providers)), stop.clone()));
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    /// The issuer of a broker.
    pub fn issuer(&self, broker: Broker) -> String {
        issuer(self.address, broker)
    }
}

/// The issuer of a broker with the simulator on `address`.
pub fn issuer(address: SocketAddr, broker: Broker) -> String {
    format!("http://{address}/{}", broker.path())
}

type Providers = Arc<BTreeMap<&'static str, Arc<Provider>>>;

/// What browsers ask for passes the guard of pages; what relying parties ask for has no browser to vouch for it, and a
/// secret or a token instead.
fn router(providers: Providers) -> Router {
    let pages = Router::new()
        .route("/{provider}/authorize", get(authorize::page).post(authorize::decide))
        .route("/style.css", get(frame::stylesheet))
        .fallback(|| async { frame::not_found() })
        .layer(middleware::from_fn(guard::guard));
    let calls = Router::new()
        .route("/{provider}/.well-known/openid-configuration", get(metadata::discovery))
        .route("/{provider}/jwks", get(metadata::keys))
        .route("/{provider}/par", post(token::push))
        .route("/{provider}/token", post(token::exchange))
        .route("/{provider}/userinfo", get(token::userinfo))
        .route_layer(middleware::from_fn(guard::here_only));
    pages.merge(calls).layer(DefaultBodyLimit::max(MOST_FORM_BYTES)).with_state(providers)
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, service).into_future() => {
            if let Err(error) = served {
                tracing::warn!(%error, "the simulated OpenID provider ended");
            }
        }
        () = stop.cancelled() => {}
    }
}

/// One broker.
struct Provider {
    broker: Broker,
    issuer: String,
    key: SigningKey,
    clients: Vec<RelyingParty>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

/// What waits for its next step.
#[derive(Default)]
struct State {
    /// By `request_uri`.
    pushed: Once<Request>,
    /// Whose page was shown, by the name in its form.
    shown: Once<Request>,
    /// By code.
    codes: Once<Grant>,
    /// By access token.
    tokens: Once<Grant>,
}

impl Provider {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// 256 bits that nobody guesses.
    fn random(&self) -> String {
        URL_SAFE_NO_PAD.encode(random_bytes::<32>(self.entropy.as_ref()))
    }

    fn at(&self, endpoint: &str) -> String {
        format!("{}/{endpoint}", self.issuer)
    }
}

/// The broker that a path names.
struct Asked(Arc<Provider>);

impl FromRequestParts<Providers> for Asked {
    type Rejection = (StatusCode, Html<String>);

    async fn from_request_parts(parts: &mut Parts, providers: &Providers) -> Result<Self, Self::Rejection> {
        let Ok(Path(name)) = Path::<String>::from_request_parts(parts, providers).await else {
            return Err(frame::not_found());
        };
        providers.get(name.as_str()).cloned().map(Self).ok_or_else(frame::not_found)
    }
}
