//! What requests may hold: unknown members, and values that BankID refuses, are refused.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// The body of `/auth` and `/sign`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StartBody {
    end_user_ip: String,
    pub(super) user_visible_data: Option<String>,
    user_visible_data_format: Option<String>,
    user_non_visible_data: Option<String>,
    pub(super) return_url: Option<String>,
    #[serde(default)]
    pub(super) return_risk: bool,
    pub(super) web: Option<Web>,
    app: Option<App>,
    #[serde(default)]
    pub(super) requirement: Requirement,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Web {
    pub(super) referring_domain: Option<String>,
    user_agent: Option<String>,
    device_identifier: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "BankID's names")]
struct App {
    app_identifier: Option<String>,
    #[serde(rename = "deviceOS")]
    device_os: Option<String>,
    device_model_name: Option<String>,
    device_identifier: Option<String>,
}

/// `risk` was a member until 2025 and is none now.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Requirement {
    #[serde(rename = "pinCode")]
    _pin_code: Option<bool>,
    #[serde(default)]
    pub(super) mrtd: bool,
    card_reader: Option<String>,
    certificate_policies: Option<Vec<String>>,
    pub(super) personal_number: Option<String>,
}

/// The body of `/collect` and `/cancel`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrderBody {
    pub(super) order_ref: String,
}

impl StartBody {
    /// Reads a body; why it is refused otherwise. `/sign` needs a text and takes longer ones.
    pub(super) fn read(bytes: &[u8], is_sign: bool) -> Result<Self, &'static str> {
        let body: Self = serde_json::from_slice(bytes).map_err(|_| "Invalid or unknown member")?;
        let (visible, non_visible) = if is_sign { (40_000, 200_000) } else { (1_500, 1_500) };
        let checks = [
            (is_address(&body.end_user_ip), "Invalid endUserIp"),
            (is_data(body.user_visible_data.as_deref(), visible), "Invalid userVisibleData"),
            (!is_sign || body.user_visible_data.is_some(), "Missing userVisibleData"),
            (body.has_format(), "Invalid userVisibleDataFormat"),
            (is_data(body.user_non_visible_data.as_deref(), non_visible), "Invalid userNonVisibleData"),
            (has_length(body.return_url.as_deref(), 512), "Invalid returnUrl"),
            (body.web.is_none() || body.app.is_none(), "Both web and app"),
            (body.web.as_ref().is_none_or(Web::is_formed), "Invalid web"),
            (body.app.as_ref().is_none_or(App::is_formed), "Invalid app"),
            (body.requirement.is_formed(), "Invalid requirement"),
        ];
        checks.iter().find_map(|(holds, why)| (!holds).then_some(*why)).map_or(Ok(body), Err)
    }

    fn has_format(&self) -> bool {
        match self.user_visible_data_format.as_deref() {
            None | Some("plaintext") => true,
            Some("simpleMarkdownV1") => self.user_visible_data.is_some(),
            Some(_) => false,
        }
    }

    /// The text that the app shows.
    pub(super) fn intent(&self) -> String {
        let bytes = self.user_visible_data.as_ref().and_then(|data| BASE64_STANDARD.decode(data).ok());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }
}

impl Web {
    fn is_formed(&self) -> bool {
        let members = [&self.referring_domain, &self.user_agent, &self.device_identifier];
        let is_domain = self.referring_domain.as_ref().is_none_or(|domain| {
            let of_domains =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
            !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(of_domains)
        });
        members.iter().any(|member| member.is_some())
            && is_domain
            && has_length(self.user_agent.as_deref(), 256)
            && has_length(self.device_identifier.as_deref(), 256)
    }
}

impl App {
    fn is_formed(&self) -> bool {
        let members =
            [&self.app_identifier, &self.device_os, &self.device_model_name, &self.device_identifier];
        members.iter().any(|member| member.is_some())
            && members.iter().all(|member| has_length(member.as_deref(), 256))
    }
}

impl Requirement {
    fn is_formed(&self) -> bool {
        let is_reader = matches!(self.card_reader.as_deref(), None | Some("class1" | "class2"));
        let is_number = self
            .personal_number
            .as_ref()
            .is_none_or(|number| number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit()));
        let are_policies = self
            .certificate_policies
            .as_ref()
            .is_none_or(|policies| !policies.is_empty() && policies.iter().all(|policy| is_policy(policy)));
        is_reader && is_number && are_policies
    }

    /// Whether only Mobile BankID may take the order.
    pub(super) fn is_mobile_only(&self) -> bool {
        self.certificate_policies
            .as_ref()
            .is_some_and(|policies| policies.iter().all(|policy| policy == "1.2.752.78.1.5"))
    }
}

/// Numbers with dots between, and at most one `*` as the last.
fn is_policy(policy: &str) -> bool {
    let numbers = policy.strip_suffix(".*").unwrap_or(policy);
    numbers.len() < 64
        && numbers.split('.').count() >= 4
        && numbers.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// IPv4 in the form of IPv6 is refused.
fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|address| address == address.to_canonical())
}

fn is_data(data: Option<&str>, longest: usize) -> bool {
    has_length(data, longest) && data.is_none_or(|data| BASE64_STANDARD.decode(data).is_ok())
}

/// UTF-16 units, as Java and JavaScript count.
fn has_length(text: Option<&str>, longest: usize) -> bool {
    text.is_none_or(|text| (1..=longest).contains(&text.encode_utf16().count()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(members: &Value, is_sign: bool) -> Result<StartBody, &'static str> {
        let mut body = json!({"endUserIp": "192.0.2.7"});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        StartBody::read(body.to_string().as_bytes(), is_sign)
    }

    #[test]
    fn what_bankid_takes_is_taken() {
        for members in [
            json!({}),
            json!({"endUserIp": "2001:db8::1"}),
            json!({"web": {"userAgent": "a".repeat(256)}}),
            json!({"app": {"deviceOS": "iOS 26"}}),
            json!({"userVisibleData": "aGVq", "userVisibleDataFormat": "simpleMarkdownV1"}),
            json!({"userVisibleData": "AAAA".repeat(375)}),
            json!({"returnUrl": "a".repeat(512)}),
            json!({"requirement": {"pinCode": true, "certificatePolicies": ["1.2.752.78.*"], "personalNumber": "199908072391"}}),
        ] {
            assert!(read(&members, false).is_ok(), "{members}");
        }
    }

    #[test]
    fn what_bankid_refuses_is_refused() {
        for members in [
            json!({"endUserIp": "::ffff:192.0.2.7"}),
            json!({"endUserIp": "portal"}),
            json!({"personalNumber": "199908072391"}),
            json!({"requirement": {"risk": "low"}}),
            json!({"requirement": {"cardReader": "class3"}}),
            json!({"requirement": {"certificatePolicies": []}}),
            json!({"requirement": {"certificatePolicies": ["mobile"]}}),
            json!({"requirement": {"personalNumber": "9908072391"}}),
            json!({"web": {}}),
            json!({"web": {"userAgent": "a".repeat(257)}}),
            json!({"web": {"referringDomain": "Åre.se"}}),
            json!({"web": {"referringDomain": "a.se"}, "app": {"deviceOS": "iOS"}}),
            json!({"returnUrl": "a".repeat(513)}),
            json!({"userVisibleData": ""}),
            json!({"userVisibleData": "hej!"}),
            json!({"userVisibleData": "AAAA".repeat(376)}),
            json!({"userVisibleDataFormat": "simpleMarkdownV1"}),
            json!({"userVisibleData": "aGVq", "userVisibleDataFormat": "html"}),
        ] {
            assert!(read(&members, false).is_err(), "{members}");
        }
        assert!(read(&json!({}), true).is_err());
        assert!(StartBody::read(b"{}", false).is_err());
        assert!(StartBody::read(b"", false).is_err());
    }
}
