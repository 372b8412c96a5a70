//! Faults that a test asks for, and the endpoints that they happen at.

use std::time::Duration;

/// An endpoint of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Begins an order to identify.
    Auth,
    /// Begins an order to sign.
    Sign,
    /// How far an order is.
    Collect,
    /// Gives an order up.
    Cancel,
}

impl Endpoint {
    /// The last part of its path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Sign => "sign",
            Self::Collect => "collect",
            Self::Cancel => "cancel",
        }
    }

    pub(super) fn of_path(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/rp/v6.0/")?;
        [Self::Auth, Self::Sign, Self::Collect, Self::Cancel].into_iter().find(|one| one.as_str() == name)
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This is answered instead; the request does nothing.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The media type.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// The request is done and answered after this long.
    Delay(Duration),
    /// The request is done, and nothing is ever answered.
    Silence,
    /// The request is done, and half of its answer comes.
    HalfJson,
    /// The connection ends before the request does anything.
    Dropped,
    /// The request is done, and the connection ends without an answer.
    Lost,
}

impl Fault {
    /// A refusal by BankID.
    pub fn error(status: u16, code: &str) -> Self {
        let body = serde_json::json!({"errorCode": code, "details": "Simulated"}).to_string();
        Self::Answer { status, content_type: "application/json", body }
    }

    /// A page of something that stands before BankID.
    pub fn gateway_page() -> Self {
        let body = "<html><head><title>403 Forbidden</title></head><body>Forbidden</body></html>".to_owned();
        Self::Answer { status: 403, content_type: "text/html", body }
    }

    /// Maintenance, spelled with a capital as it has been seen.
    pub fn maintenance() -> Self {
        Self::error(503, "Maintenance")
    }

    /// An answer of JSON instead of the right one.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::Answer { status: 200, content_type: "application/json", body: body.to_string() }
    }
}
