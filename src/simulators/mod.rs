//! Stand-ins for what is outside of the service, for `dev` and tests: a mailbox, a portal and a phone, as pages on
//! loopback; BankID; and an `OpenID` provider.

pub mod bankid;
mod failure;
mod frame;
mod guard;
mod mailbox;
pub mod oidc;
mod phone;
mod portal;
mod sample_staff;

pub use sample_staff::activate as activate_sample_staff;

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::domain::organization::{LinkPage, Portal};
use crate::domain::secret::Secret;
use bankid::BankIdSimulator;
use portal::Door;

/// Bytes of a form: a password of 256 code points, percent-encoded, is less than half of it.
const MOST_FORM_BYTES: usize = 16 * 1024;

/// What is under way when the service stops gets this long.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the pages need to know.
pub struct Settings {
    /// Where mails (`<unix ms>-<id>.eml`) and text messages (`<unix ms>-<id>.txt`) are written to.
    pub mailbox_dir: PathBuf,
    /// Where the service answers gRPC in plaintext.
    pub grpc: SocketAddr,
    /// The portals that can be clicked.
    pub portals: Vec<PortalAccess>,
    /// The BankID whose app is simulated.
    pub bankid: Option<Arc<BankIdSimulator>>,
    /// Where the simulated `OpenID` providers are.
    pub providers: Option<SocketAddr>,
}

/// A portal that is stood in for, and its right to call.
pub struct PortalAccess {
    /// The organization's short name.
    pub organization: String,
    /// Its name for people.
    pub display_name: String,
    /// Which portal.
    pub portal: Portal,
    /// The token of a caller that may act for this portal.
    pub token: Secret<String>,
}

/// The pages of the mailbox and of the portals.
pub struct Pages {
    mailbox_dir: PathBuf,
    doors: Vec<Arc<Door>>,
    channel: Channel,
    bankid: Option<Arc<BankIdSimulator>>,
    provider_origin: Option<String>,
}

impl Pages {
    /// Serves the pages on a listener, which should be one of loopback: requests from elsewhere are refused. Returns soon
    /// after `stop` is cancelled.
    pub async fn serve(listener: TcpListener, settings: Settings, stop: CancellationToken) {
        let service = Self::new(settings).router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        let farewell = async {
            stop.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            served = serving.into_future() => {
                if let Err(error) = served {
                    tracing::warn!(%error, "the simulators' pages ended");
                }
            }
            () = farewell => {}
        }
    }

    fn new(settings: Settings) -> Arc<Self> {
        // An address and a port are always a URL. Connects with the first call: the service may start later.
        let service = Endpoint::from_shared(format!("http://{}", settings.grpc));
        let service = service.unwrap_or_else(|_| Endpoint::from_static("http://127.0.0.1:50051"));
        Arc::new(Self {
            mailbox_dir: settings.mailbox_dir,
            doors: settings.portals.into_iter().map(Door::new).map(Arc::new).collect(),
            channel: service.connect_lazy(),
            bankid: settings.bankid,
            provider_origin: settings.providers.map(|address| format!("http://{address}")),
        })
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(frame::index))
            .route("/style.css", get(frame::stylesheet))
            .route("/mailbox", get(mailbox::list))
            .route("/mailbox/latest", get(mailbox::latest))
            .route("/mailbox/{file}", get(mailbox::show))
            .route("/mailbox/{file}/html", get(mailbox::html))
            .route("/portal", get(portal::list))
            .route("/portal/{organization}/{portal}", get(portal::login::page).post(portal::login::submit))
            .route(
                "/portal/{organization}/{portal}/forgot",
                get(portal::password_reset::forgot_page).post(portal::password_reset::forgot),
            )
            .route(
                "/portal/{organization}/{portal}/activate",
                get(portal::activate::activate_page).post(portal::activate::activate),
            )
            .route(
                "/portal/{organization}/{portal}/new-password",
                get(portal::password_reset::new_password_page).post(portal::password_reset::new_password),
            )
            .route(
                "/portal/{organization}/{portal}/bankid",
                get(portal::bankid::wait).post(portal::bankid::start),
            )
            .route("/portal/{organization}/{portal}/bankid/return", get(portal::bankid::returned))
            .route("/portal/{organization}/{portal}/bankid/cancel", post(portal::bankid::cancel))
            .route("/portal/{organization}/{portal}/oidc/{provider}", post(portal::oidc::start))
            .route("/portal/{organization}/{portal}/oidc/{provider}/callback", get(portal::oidc::callback))
            .route("/bankid", get(phone::page))
            .route("/bankid/{order}", get(phone::order).post(phone::decide))
            .fallback(|| async { frame::not_found() })
            .layer(DefaultBodyLimit::max(MOST_FORM_BYTES))
            .layer(middleware::from_fn(guard::guard))
            .with_state(self)
    }
}

/// Where a portal begins, with the pages on `address`: for `PortalPages::home`.
pub fn home_url(address: SocketAddr, organization: &str, portal: Portal) -> String {
    format!("http://{address}/portal/{organization}/{}", portal.as_str())
}

/// The page that takes a new password, with a place for the token: for `LinkPage::parse`. The token stands behind `#`:
/// browsers do not send that part, so it is in no log and in no `Referer`.
pub fn reset_url(address: SocketAddr, organization: &str, portal: Portal) -> String {
    format!("{}/new-password#token={}", home_url(address, organization, portal), LinkPage::PLACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_reset_page_is_one_that_messages_can_link_to() {
        let address = "127.0.0.1:8025".parse().unwrap();
        let page = LinkPage::parse(&reset_url(address, "sample-kommun", Portal::Parent)).unwrap();
        assert_eq!(
            page.link("abc"),
            "http://127.0.0.1:8025/portal/sample-kommun/parent/new-password#token=abc"
        );
    }
}
