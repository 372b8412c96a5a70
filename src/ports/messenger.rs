//! Send this mail. Send this text message.

use async_trait::async_trait;

use crate::domain::id::MessageId;
use crate::domain::identifier::{Email, Mobile};
use crate::domain::message::DeliveryFault;
use crate::domain::time::Timestamp;

/// A mail to one recipient. Its texts may hold a token: no Debug.
pub struct Mail {
    /// The message; the Message-ID header of each of its tries is the same.
    pub id: MessageId,
    /// The name that it comes from; from configuration.
    pub from_name: String,
    /// The address that it comes from; from configuration.
    pub from_address: Email,
    /// The one recipient: the address on file.
    pub to: Email,
    /// BCP 47 tag of its language.
    pub language: &'static str,
    /// The subject; no line break.
    pub subject: String,
    /// The text for readers without HTML.
    pub plain: String,
    /// The text for readers with HTML.
    pub html: String,
    /// The time in its header.
    pub at: Timestamp,
}

/// A text message to one recipient.
pub struct TextMessage {
    /// The one recipient: the number on file.
    pub to: Mobile,
    /// What it says.
    pub text: String,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault:?}: {detail}")]
pub struct SendError {
    /// What it means for the message.
    pub fault: DeliveryFault,
    /// For the log: the stage and the reply's code. Never the reply's text, which may quote the address.
    pub detail: String,
}

/// Hands mails to the next hop.
#[async_trait]
pub trait MailSender: Send + Sync {
    /// Hands one mail over; when it returns, the next hop has answered for it. Ends within the sender's own deadline.
    ///
    /// # Errors
    /// [`SendError`] with [`DeliveryFault::Unreachable`] if the server does not let us in or does not get to the message,
    /// `RecipientRefused` or `MessageRefused` if it refuses for good, `Deferred` if it refuses for now, `BrokenOff` if
    /// it had the content and gave no answer: then the mail may arrive.
    async fn send(&self, mail: &Mail) -> Result<(), SendError>;

    /// Mails that may be under way at the same time; at least 1.
    fn parallel(&self) -> usize;
}

/// Hands text messages to a gateway.
#[async_trait]
pub trait TextSender: Send + Sync {
    /// Hands one text message over.
    ///
    /// # Errors
    /// [`SendError`], as [`MailSender::send`]; `CountryNotAllowed` before anything is sent.
    async fn send(&self, message: &TextMessage) -> Result<(), SendError>;
}
