//! Somebody at a portal: which one, who asks, and calls in its name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::response::Html;
use http::header::{ACCEPT_LANGUAGE, COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use maud::Render;
use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::domain::organization::Portal;
use crate::proto;
use crate::proto::login_service_client::LoginServiceClient;
use crate::simulators::{Pages, PortalAccess, frame};

/// The longest of the deadlines that the proto files advise.
const DEADLINE: Duration = Duration::from_secs(10);

/// The cookie that keeps the device token.
const DEVICE_COOKIE: &str = "device";

/// As long as a device token lives.
const DEVICE_COOKIE_SECONDS: u64 = 180 * 24 * 60 * 60;

/// One portal of one organization, with the right to call for it.
pub(in crate::simulators) struct Door {
    pub(super) organization: String,
    pub(super) display_name: String,
    pub(super) portal: Portal,
    /// `None` if the token cannot be put into a header; then the service refuses the calls.
    bearer: Option<MetadataValue<Ascii>>,
}

impl Door {
    pub(in crate::simulators) fn new(access: PortalAccess) -> Self {
        let mut bearer = MetadataValue::try_from(format!("Bearer {}", access.token.expose())).ok();
        if let Some(bearer) = &mut bearer {
            bearer.set_sensitive(true);
        }
        let PortalAccess { organization, display_name, portal, token: _ } = access;
        Self { organization, display_name, portal, bearer }
    }

    pub(super) fn path(&self) -> String {
        format!("/portal/{}/{}", self.organization, self.portal.as_str())
    }

    /// On the wire.
    pub(super) const fn proto_portal(&self) -> proto::Portal {
        match self.portal {
            Portal::Parent => proto::Portal::Parent,
            Portal::Childminder => proto::Portal::Childminder,
            Portal::Staff => proto::Portal::Staff,
        }
    }

    fn title(&self, what: &str) -> String {
        format!("{what} – {}, {}", self.display_name, self.portal.as_str())
    }
}

/// Somebody at a portal.
pub(in crate::simulators) struct Visit {
    pages: Arc<Pages>,
    pub(super) door: Arc<Door>,
    pub(super) client: proto::ClientContext,
    /// Of the browser, for the suggested passphrase.
    language: String,
    cookies: Vec<(String, String)>,
}

/// Which portal a path names.
#[derive(Deserialize)]
struct Place {
    organization: String,
    portal: String,
}

impl FromRequestParts<Arc<Pages>> for Visit {
    type Rejection = (StatusCode, Html<String>);

    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Self::Rejection> {
        let place = Path::<Place>::from_request_parts(parts, pages).await;
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, pages).await;
        let (Ok(Path(Place { organization, portal })), Ok(ConnectInfo(peer))) = (place, peer) else {
            return Err(frame::not_found());
        };
        let is_here = |door: &&Arc<Door>| door.organization == organization && door.portal.as_str() == portal;
        let door = pages.doors.iter().find(is_here).cloned().ok_or_else(frame::not_found)?;
        let header = |name: HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let cookies = cookies(&parts.headers);
        let client = proto::ClientContext {
            ip: peer.ip().to_canonical().to_string(),
            user_agent: header(USER_AGENT),
            device_token: cookie(&cookies, DEVICE_COOKIE).unwrap_or_default(),
        };
        let language = header(ACCEPT_LANGUAGE).split([',', ';']).next().unwrap_or_default().trim().to_owned();
        Ok(Self { pages: Arc::clone(pages), door, client, language, cookies })
    }
}

impl Visit {
    /// The connection to the service.
    pub(super) fn channel(&self) -> Channel {
        self.pages.channel.clone()
    }

    /// A call in the name of this portal.
    pub(super) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(DEADLINE);
        if let Some(bearer) = &self.door.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    /// What the portal offers, with the rule for new passwords.
    pub(super) async fn offered(&self) -> Result<proto::ListLoginMethodsResponse, Status> {
        let request = proto::ListLoginMethodsRequest {
            organization: self.door.organization.clone(),
            portal: self.door.proto_portal().into(),
            locale: self.locale(),
        };
        let mut login = LoginServiceClient::new(self.channel());
        Ok(login.list_login_methods(self.call(request)).await?.into_inner())
    }

    /// The language of the browser.
    pub(super) fn locale(&self) -> String {
        self.language.chars().take(35).collect()
    }

    /// A cookie that this browser has.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        cookie(&self.cookies, name).filter(|value| !value.is_empty())
    }

    /// Where forms lead besides this server: the simulated providers.
    pub(super) fn provider_origin(&self) -> Option<&str> {
        self.pages.provider_origin.as_deref()
    }

    /// A page of this portal that is loaded again by itself.
    pub(super) fn page_again(&self, what: &str, seconds: u32, content: impl Render) -> Html<String> {
        frame::page(&self.door.title(what), Some(seconds), content)
    }

    /// A page of this portal.
    pub(super) fn page(&self, what: &str, content: impl Render) -> Html<String> {
        frame::page(&self.door.title(what), None, content)
    }
}

fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn cookie(cookies: &[(String, String)], name: &str) -> Option<String> {
    cookies.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone())
}

/// A real portal adds `Secure`; this one is not reached by https.
pub(super) fn device_cookie(door: &Door, token: &str) -> Option<HeaderValue> {
    let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte));
    let cookie = format!(
        "{DEVICE_COOKIE}={token}; Path={}; Max-Age={DEVICE_COOKIE_SECONDS}; HttpOnly; SameSite=Lax",
        door.path()
    );
    if token.is_empty() || !is_plain {
        return None;
    }
    HeaderValue::try_from(cookie).ok()
}
