//! What BankID is asked, as JSON.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::settings::Environment;
use crate::domain::bankid::LONGEST_INTENT_BYTES;
use crate::ports::bankid::{AuthRequest, BankIdError};

/// Of the user agent, BankID takes this many characters and refuses the order otherwise. Browsers inside of other apps
/// send more.
const USER_AGENT_LENGTH: usize = 256;

/// The policy of Mobile BankID.
const MOBILE: &str = "1.2.752.78.1.5";

/// The policies of Mobile BankID in the test environment, and of what some banks issue there for tests.
const TEST_MOBILE: [&str; 2] = ["1.2.3.4.25", "1.2.752.60.1.6"];

/// The body of `/auth`. Neither `requirement.risk`, which BankID no longer takes, nor a personnummer: an order is begun
/// by who holds the device, not by who types a number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthBody<'a> {
    end_user_ip: IpAddr,
    return_risk: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<&'a str>,
    web: Web<'a>,
    // Plain text, which needs no `userVisibleDataFormat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_visible_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requirement: Option<Requirement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Web<'a> {
    referring_domain: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_identifier: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Requirement {
    certificate_policies: &'static [&'static str],
}

impl<'a> AuthBody<'a> {
    /// The body. Without a return URL the app is on another device: a code is scanned by a phone, so the order is for
    /// Mobile BankID alone, and a code that is relayed to a computer's BankID is worth nothing.
    pub(super) fn new(request: &AuthRequest<'a>, environment: &Environment) -> Result<Self, BankIdError> {
        if request.intent.len() > LONGEST_INTENT_BYTES {
            let why = format!("the text for the app has more than {LONGEST_INTENT_BYTES} bytes");
            return Err(BankIdError::Misconfigured(why));
        }
        let policies: &'static [&'static str] = match environment {
            // Who speaks as BankID does is to be spoken to as BankID is.
            Environment::Production | Environment::Other(_) => &[MOBILE],
            Environment::Test => &TEST_MOBILE,
        };
        let is_other_device = request.return_url.is_none();
        Ok(Self {
            // BankID refuses IPv4 in the form of IPv6.
            end_user_ip: request.end_user_ip.to_canonical(),
            return_risk: true,
            return_url: request.return_url.map(|url| url.expose().as_str()),
            web: Web {
                referring_domain: request.referring_domain,
                user_agent: shortened(request.user_agent),
                device_identifier: request.device_identifier.map(|device| device.expose().as_str()),
            },
            user_visible_data: (!request.intent.is_empty()).then(|| BASE64_STANDARD.encode(request.intent)),
            requirement: is_other_device.then_some(Requirement { certificate_policies: policies }),
        })
    }
}

/// The body of `/collect` and `/cancel`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderBody<'a> {
    pub(super) order_ref: &'a str,
}

/// The beginning of a user agent, counted as UTF-16 does: no way of counting finds more.
fn shortened(user_agent: &str) -> &str {
    let mut length = 0;
    let end = user_agent.char_indices().find_map(|(at, character)| {
        length += character.len_utf16();
        (length > USER_AGENT_LENGTH).then_some(at)
    });
    end.and_then(|end| user_agent.get(..end)).unwrap_or(user_agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(request: &AuthRequest<'_>, environment: &Environment) -> serde_json::Value {
        serde_json::to_value(AuthBody::new(request, environment).unwrap()).unwrap()
    }

    fn request<'a>() -> AuthRequest<'a> {
        AuthRequest {
            end_user_ip: "::ffff:192.0.2.7".parse().unwrap(),
            referring_domain: "portal.example.se",
            user_agent: "",
            device_identifier: None,
            return_url: None,
            intent: "",
        }
    }

    #[test]
    fn a_code_is_for_mobile_bankid_alone() {
        for (environment, policies) in [
            (Environment::Production, serde_json::json!([MOBILE])),
            (Environment::Test, serde_json::json!(TEST_MOBILE)),
            (Environment::Other(String::new()), serde_json::json!([MOBILE])),
        ] {
            let body = serde_json::json!({
                "endUserIp": "192.0.2.7",
                "returnRisk": true,
                "web": {"referringDomain": "portal.example.se"},
                "requirement": {"certificatePolicies": policies},
            });
            assert_eq!(json(&request(), &environment), body);
        }
    }

    #[test]
    fn a_user_agent_is_cut_between_characters() {
        for (long, length) in [("a".repeat(300), 256), ("å".repeat(300), 256), ("😀".repeat(300), 128)] {
            let cut = shortened(&long);
            assert_eq!(cut.chars().count(), length);
            assert!(long.starts_with(cut));
        }
        assert_eq!(shortened(&"a".repeat(256)).len(), 256);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn a_text_that_is_too_long_is_not_sent() {
        let text = |bytes| "a".repeat(bytes);
        let (fits, too_long) = (text(LONGEST_INTENT_BYTES), text(LONGEST_INTENT_BYTES + 1));
        let body = json(&AuthRequest { intent: &fits, ..request() }, &Environment::Production);
        assert_eq!(body["userVisibleData"].as_str().unwrap().len(), 1500);
        let refused =
            AuthBody::new(&AuthRequest { intent: &too_long, ..request() }, &Environment::Production);
        assert!(matches!(refused, Err(BankIdError::Misconfigured(_))));
    }
}
