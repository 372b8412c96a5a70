//! Text messages by an HTTP gateway that speaks as 46elks does.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::adapters::http_client::{HttpAnswer, HttpClient, HttpClientError, HttpFault, is_safe};
use crate::domain::message::DeliveryFault;
use crate::domain::secret::Secret;
use crate::ports::messenger::{SendError, TextMessage, TextSender};

/// Where text messages go. Source of the form: <https://46elks.com/docs/send-sms>.
pub struct ElksSettings {
    /// The address of the gateway, before `/a1/sms`; over TLS, unless it is on this machine.
    pub base_url: String,
    /// The user name of the account.
    pub user: String,
    /// Its password.
    pub password: Secret<String>,
    /// What the message comes from: a name of up to 11 letters and digits, or a number in E.164.
    pub from: String,
    /// Beginnings of the numbers to which messages may go, as in `+46`: calls to far countries cost a fortune, and
    /// thieves own numbers there.
    pub dial_prefixes: Vec<String>,
    /// PEM text of the certificate authorities that are trusted, and no others; those of the web if `None`.
    pub authorities_pem: Option<Vec<u8>>,
    /// Time for one message.
    pub timeout: Duration,
}

impl ElksSettings {
    /// Settings with what is usual: 46elks itself, Sweden and the Netherlands, the authorities of the web, 10 s.
    pub fn new(user: impl Into<String>, password: Secret<String>, from: impl Into<String>) -> Self {
        Self {
            base_url: "https://api.46elks.com".to_owned(),
            user: user.into(),
            password,
            from: from.into(),
            dial_prefixes: vec!["+46".to_owned(), "+31".to_owned()],
            authorities_pem: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why a sender cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ElksError {
    /// The address of the gateway is none.
    #[error("the address of the text message gateway is no URL without query")]
    BaseUrl,
    /// Without TLS everybody on the way reads the password.
    #[error("without TLS text messages go to a gateway on this machine only")]
    PlaintextBeyondLoopback,
    /// A prefix is none.
    #[error("a dial prefix is + and digits, as in +46")]
    DialPrefix,
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// Sends text messages to one gateway.
pub struct ElksSender {
    client: HttpClient,
    url: Url,
    user: String,
    password: Secret<String>,
    from: String,
    dial_prefixes: Vec<String>,
}

impl ElksSender {
    /// A sender with these settings.
    ///
    /// # Errors
    /// See [`ElksError`].
    pub fn new(settings: ElksSettings) -> Result<Self, ElksError> {
        let ElksSettings { base_url, user, password, from, dial_prefixes, authorities_pem, timeout } =
            settings;
        let base = Url::parse(&base_url).map_err(|_| ElksError::BaseUrl)?;
        let is_bare = base.has_host() && base.query().is_none() && base.fragment().is_none();
        if !is_bare || !base.username().is_empty() || base.password().is_some() {
            return Err(ElksError::BaseUrl);
        }
        if !is_safe(&base) {
            return Err(ElksError::PlaintextBeyondLoopback);
        }
        if !dial_prefixes.iter().all(|prefix| is_dial_prefix(prefix)) {
            return Err(ElksError::DialPrefix);
        }
        let url = format!("{}/a1/sms", base_url.trim_end_matches('/'));
        Ok(Self {
            client: HttpClient::new(authorities_pem.as_deref(), timeout)?,
            url: Url::parse(&url).map_err(|_| ElksError::BaseUrl)?,
            user,
            password,
            from,
            dial_prefixes,
        })
    }
}

fn is_dial_prefix(prefix: &str) -> bool {
    prefix
        .strip_prefix('+')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[async_trait]
impl TextSender for ElksSender {
    async fn send(&self, message: &TextMessage) -> Result<(), SendError> {
        let to = message.to.as_str();
        if !self.dial_prefixes.iter().any(|prefix| to.starts_with(prefix.as_str())) {
            let detail = "no allowed dial prefix".to_owned();
            return Err(SendError { fault: DeliveryFault::CountryNotAllowed, detail });
        }
        let request = self
            .client
            .request(Method::POST, self.url.clone())
            .basic_auth(&self.user, Some(self.password.expose()))
            .form(&[("from", self.from.as_str()), ("to", to), ("message", message.text.as_str())]);
        let fault = match self.client.send(request).await {
            Ok(answer) => match meaning(&answer) {
                None => return Ok(()),
                Some(fault) => {
                    return Err(SendError { fault, detail: format!("gateway: {}", answer.status.as_u16()) });
                }
            },
            Err(fault) => fault,
        };
        let detail = format!("gateway: {fault}");
        Err(match fault {
            HttpFault::NotConnected => SendError { fault: DeliveryFault::Unreachable, detail },
            HttpFault::NoAnswer | HttpFault::AnswerTooLong => {
                SendError { fault: DeliveryFault::BrokenOff, detail }
            }
        })
    }
}

/// The one field of a taken message that counts.
#[derive(Deserialize)]
struct Taken {
    id: String,
}

/// What an answer means for the message; nothing if it was taken.
fn meaning(answer: &HttpAnswer) -> Option<DeliveryFault> {
    let status = answer.status;
    if status.is_success() {
        let taken = serde_json::from_slice(&answer.body).is_ok_and(|taken: Taken| !taken.id.is_empty());
        // It says yes, and not to what: the message may be on its way.
        return (!taken).then_some(DeliveryFault::BrokenOff);
    }
    // Too many at once or no time; the account, its credits or the address of the gateway: nothing is wrong with the
    // message, and for the latter the operator has to act.
    let is_about_us = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
    ) || !status.is_client_error()
        || mentions_credits(&answer.body);
    Some(if is_about_us { DeliveryFault::Unreachable } else { DeliveryFault::MessageRefused })
}

/// The gateway says `Not enough credits` with more than one status.
fn mentions_credits(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("credit")
}
