//! Begin an order; how far is it; give it up: the questions to BankID's Relying Party API v6.0.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::domain::bankid::{HintCode, Risk};
use crate::domain::bankid_message::Situation;
use crate::domain::identifier::PersonalNumber;
use crate::domain::secret::Secret;

/// What an order begins with.
pub struct AuthRequest<'a> {
    /// The address of the end user's device, as the portal saw it. An IPv4-mapped one is sent as IPv4.
    pub end_user_ip: IpAddr,
    /// The portal's domain.
    pub referring_domain: &'a str,
    /// The browser's user agent; 256 characters of it are sent.
    pub user_agent: &'a str,
    /// By what the browser's device is known again.
    pub device_identifier: Option<&'a Secret<String>>,
    /// To which page the app returns: on the same device. Without it BankID is on another device.
    pub return_url: Option<&'a Secret<String>>,
    /// What the app shows: names the portal.
    pub intent: &'a str,
}

/// An order that BankID has begun. None of it leaves the service but the autostart token, to the same device.
pub struct StartedOrder {
    /// BankID's name for the order.
    pub order_ref: Secret<String>,
    /// For the link that starts the app.
    pub autostart_token: Secret<String>,
    /// The visible part of the QR code.
    pub qr_start_token: Secret<String>,
    /// The key of the QR code.
    pub qr_start_secret: Secret<String>,
}

/// How far an order is.
pub enum Collected {
    /// Under way.
    Pending(HintCode),
    /// Failed for good.
    Failed(HintCode),
    /// Signed.
    Complete(Box<Completion>),
}

/// What a person who signed leaves behind.
pub struct Completion {
    /// Who; `None` if what BankID said is no personnummer.
    pub personal_number: Option<PersonalNumber>,
    /// The family name, as the bank writes it.
    pub family_name: String,
    /// The address of the device with the app.
    pub app_address: Option<IpAddr>,
    /// BankID's judgement, if there is one.
    pub risk: Option<Risk>,
    /// The signature, base64, as it came.
    pub signature: Secret<String>,
    /// The answer that the certificate was good then, base64, as it came.
    pub ocsp_response: Secret<String>,
}

/// Why BankID did not answer what was asked. A variant exists because a flow acts on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BankIdError {
    /// Another order of the person was under way; both are given up.
    #[error("an order of this person was under way")]
    AlreadyInProgress,
    /// The order is not known (any more), or a parameter is wrong. Never tried again.
    #[error("BankID refuses the parameters: {0}")]
    InvalidParameters(String),
    /// The certificate is not accepted, or we ask what there is not: operators must act.
    #[error("BankID refuses us: {0}")]
    Misconfigured(String),
    /// Too many requests, or maintenance, or it cannot be reached: ask less often.
    #[error("BankID is unavailable: {0}")]
    Unavailable(String),
}

impl BankIdError {
    /// What a guardian is told of it. What is wrong with us is none of theirs: an unknown failure.
    pub const fn situation(&self) -> Situation {
        match self {
            Self::AlreadyInProgress => Situation::Rfa4,
            Self::Unavailable(_) => Situation::Rfa5,
            Self::InvalidParameters(_) | Self::Misconfigured(_) => Situation::Rfa22,
        }
    }
}

/// BankID, by one relying party's certificate.
#[async_trait]
pub trait BankId: Send + Sync {
    /// Begins an order. Never tried again by itself: a second order of a person ends both.
    ///
    /// # Errors
    /// [`BankIdError`].
    async fn auth(&self, request: &AuthRequest<'_>) -> Result<StartedOrder, BankIdError>;

    /// How far an order is. A terminal answer is given once.
    ///
    /// # Errors
    /// [`BankIdError`].
    async fn collect(&self, order_ref: &Secret<String>) -> Result<Collected, BankIdError>;

    /// Gives an order up.
    ///
    /// # Errors
    /// [`BankIdError`].
    async fn cancel(&self, order_ref: &Secret<String>) -> Result<(), BankIdError>;

    /// The text of an order's QR code in its whole second `second`, counted from the answer to [`Self::auth`].
    fn qr_text(&self, order: &StartedOrder, second: u64) -> Secret<String>;

    /// Whether TLS, certificate and route are in order, without beginning anything: `GET /auth` answers 405.
    ///
    /// # Errors
    /// [`BankIdError`].
    async fn probe(&self) -> Result<(), BankIdError>;
}
