//! Validation as parsing: each field becomes a domain type or a fault, and all faults go into one answer.
//!
//! Each helper answers `None` if, and only if, it noted a fault:
//! ```text
//! let mut faults = Faults::default();
//! let name = faults.text("login_name", message.login_name, 32);
//! let client = faults.client(&context, message.client);
//! let (Some(name), Some(client)) = (name, client) else { return Err(faults.refuse()) };
//! ```

use std::net::IpAddr;

use tonic::Status;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use super::context::CallerContext;
use super::status::{self, FaultReason, FieldFault};
use crate::domain::caller::CallerKind;
use crate::domain::client::ClientContext;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::secret::Secret;
use crate::proto;

/// Longest text of an address: IPv6 with an embedded IPv4 address.
const MAX_ADDRESS_BYTES: usize = 45;
/// Longest user agent that is taken at all.
const MAX_USER_AGENT_BYTES: usize = 4096;
/// Characters of a user agent that are kept.
const KEPT_USER_AGENT_CHARS: usize = 256;
/// Longest device token; ours have less than half of it.
const MAX_DEVICE_TOKEN_BYTES: usize = 1024;
/// Rows on a page if the caller does not say.
const DEFAULT_PAGE_SIZE: u16 = 50;
/// Rows on a page at most.
const MAX_PAGE_SIZE: u16 = 200;

/// Gathers what is wrong with a request.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// Notes a fault. `field` is the path in the request message, `description` a fixed text.
    pub fn add(&mut self, field: &'static str, reason: FaultReason, description: &'static str) {
        self.0.push(FieldFault { field, reason, description });
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer with all faults.
    pub fn refuse(&self) -> Status {
        status::invalid_request(&self.0)
    }

    fn none<T>(&mut self, field: &'static str, reason: FaultReason, description: &'static str) -> Option<T> {
        self.add(field, reason, description);
        None
    }

    /// A required part of a message, such as a `oneof`.
    pub fn required<T>(&mut self, field: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(field, FaultReason::Missing, "required");
        }
        value
    }

    /// The short name of an organization. Whether it exists is asked by [`super::access::authorize`].
    pub fn organization(&mut self, field: &'static str, value: &str) -> Option<OrganizationId> {
        if value.is_empty() {
            return self.none(field, FaultReason::Missing, "required");
        }
        match OrganizationId::parse(value) {
            Some(organization) => Some(organization),
            None => self.none(field, FaultReason::Malformed, "an organization is 1 to 40 of a-z, 0-9 and -"),
        }
    }

    /// A portal.
    pub fn portal(&mut self, field: &'static str, value: i32) -> Option<Portal> {
        match proto::Portal::try_from(value) {
            Ok(proto::Portal::Parent) => Some(Portal::Parent),
            Ok(proto::Portal::Childminder) => Some(Portal::Childminder),
            Ok(proto::Portal::Staff) => Some(Portal::Staff),
            Ok(proto::Portal::Unspecified) => self.none(field, FaultReason::Missing, "required"),
            Err(_) => self.none(field, FaultReason::OutOfRange, "no such portal"),
        }
    }

    /// A required text of at most `max_bytes`.
    pub fn text(&mut self, field: &'static str, value: String, max_bytes: usize) -> Option<String> {
        if value.is_empty() {
            return self.none(field, FaultReason::Missing, "required");
        }
        self.optional_text(field, value, max_bytes)
    }

    /// An optional text of at most `max_bytes`; empty if it was not sent.
    pub fn optional_text(&mut self, field: &'static str, value: String, max_bytes: usize) -> Option<String> {
        if value.len() > max_bytes {
            return self.none(field, FaultReason::TooLong, "longer than the proto file says");
        }
        Some(value)
    }

    /// A required secret of at most `max_bytes`.
    pub fn secret(&mut self, field: &'static str, value: String, max_bytes: usize) -> Option<Secret<String>> {
        let value = Secret::new(value);
        if value.expose().is_empty() {
            return self.none(field, FaultReason::Missing, "required");
        }
        if value.expose().len() > max_bytes {
            return self.none(field, FaultReason::TooLong, "longer than the proto file says");
        }
        Some(value)
    }

    /// A required value that a domain parser reads, e.g. `faults.parsed("session_id", &text, SessionId::parse)`.
    pub fn parsed<T>(
        &mut self,
        field: &'static str,
        value: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if value.is_empty() {
            return self.none(field, FaultReason::Missing, "required");
        }
        match parse(value) {
            Some(parsed) => Some(parsed),
            None => self.none(field, FaultReason::Malformed, "not of the form that the proto file says"),
        }
    }

    /// An optional value that a domain parser reads; `Some(None)` if it was not sent.
    pub fn optional_parsed<T>(
        &mut self,
        field: &'static str,
        value: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if value.is_empty() { Some(None) } else { self.parsed(field, value, parse).map(Some) }
    }

    /// Rows on a page: 50 if 0, 200 at most.
    pub fn page_size(&mut self, field: &'static str, value: i32) -> Option<u16> {
        match u16::try_from(value) {
            Ok(0) => Some(DEFAULT_PAGE_SIZE),
            Ok(size) if size <= MAX_PAGE_SIZE => Some(size),
            Ok(_) | Err(_) => self.none(field, FaultReason::OutOfRange, "a page has 1 to 200 rows"),
        }
    }

    /// The end user's side, as far as this caller is believed.
    pub fn client(
        &mut self,
        context: &CallerContext,
        client: Option<proto::ClientContext>,
    ) -> Option<ClientContext> {
        let client = client.unwrap_or_default();
        let device_token = Secret::new(client.device_token);
        let address = self.client_address(context, &client.ip);
        let user_agent = self.optional_text("client.user_agent", client.user_agent, MAX_USER_AGENT_BYTES);
        let device_token = if device_token.expose().is_empty() {
            Some(None)
        } else if device_token.expose().len() > MAX_DEVICE_TOKEN_BYTES {
            self.none("client.device_token", FaultReason::TooLong, "longer than the proto file says")
        } else {
            Some(Some(device_token))
        };
        Some(ClientContext {
            address: address?,
            user_agent: cleaned_user_agent(&user_agent?),
            device_token: device_token?,
        })
    }

    #[expect(
        clippy::option_option,
        reason = "the outer one says whether it was well-formed, as in all helpers"
    )]
    fn client_address(&mut self, context: &CallerContext, ip: &str) -> Option<Option<IpAddr>> {
        const FIELD: &str = "client.ip";
        if ip.is_empty() {
            return Some(context.client_address);
        }
        if context.caller.kind == CallerKind::Web || !context.caller.may_assert_client_address {
            return self.none(
                FIELD,
                FaultReason::NotAllowed,
                "this caller may not assert addresses: leave it empty",
            );
        }
        if ip.len() > MAX_ADDRESS_BYTES {
            return self.none(FIELD, FaultReason::TooLong, "longer than the proto file says");
        }
        match ip.parse::<IpAddr>() {
            Ok(address) => Some(Some(address.to_canonical())),
            Err(_) => self.none(FIELD, FaultReason::Malformed, "neither an IPv4 nor an IPv6 address"),
        }
    }
}

/// Without characters that steer a terminal, a log viewer or the direction of text.
fn cleaned_user_agent(text: &str) -> String {
    text.chars().filter(|c| !is_steering(*c)).take(KEPT_USER_AGENT_CHARS).collect()
}

fn is_steering(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_loses_what_steers_and_is_cut_at_256_characters() {
        let agent = format!("Mozilla/5.0\r\n\u{1b}[31m\u{202e}\u{2028}\u{feff} (é){}", "x".repeat(300));
        let cleaned = cleaned_user_agent(&agent);
        assert!(cleaned.starts_with("Mozilla/5.0[31m (é)xxx"), "{cleaned:?}");
        assert_eq!(cleaned.chars().count(), 256);
    }

    #[test]
    fn all_faults_go_into_one_answer() {
        let mut faults = Faults::default();
        assert_eq!(faults.organization("organization", "No Such"), None);
        assert_eq!(faults.portal("portal", 0), None);
        assert_eq!(faults.portal("portal", 9), None);
        assert_eq!(faults.page_size("page_size", -1), None);
        assert_eq!(faults.page_size("page_size", 0), Some(50));
        assert_eq!(faults.text("text", "x".repeat(33), 32), None);
        assert_eq!(faults.optional_parsed("session_id", "", |_| None::<()>), Some(None));
        assert_eq!(faults.0.len(), 5);
    }
}
