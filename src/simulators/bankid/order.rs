//! One order: from begun to collected, by the clock and by what the person does.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::body::StartBody;
use super::person::Persona;
use crate::domain::time::Timestamp;

/// An order that no app takes fails after this time. Source for this and the next four: "Collect", RP API v6.0.
const START_TIME: Duration = Duration::from_secs(30);

/// An order that an app has taken fails after this time without a signature.
const SIGN_TIME: Duration = Duration::from_mins(3);

/// A completed order is there for this long.
const COMPLETE_KEPT: Duration = Duration::from_mins(3);

/// A failed order is there for this long.
const FAILED_KEPT: Duration = Duration::from_mins(5);

/// An order that no app took is there for this long since it began.
const NOT_STARTED_KEPT: Duration = Duration::from_secs(190);

/// A code is taken that is this many seconds from the newest: it was on the way from BankID to the portal's screen.
pub(super) const CODE_SLACK: Duration = Duration::from_secs(2);

/// Whether the app on the phone could take a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeCheck {
    Good,
    /// The code is of another second: old, or kept.
    Stale,
    /// It is no code of this order.
    Wrong,
}

/// How far an order is.
pub(super) enum Stage {
    /// No app has it.
    Waiting,
    /// An app has it.
    Open { since: Timestamp, from: IpAddr, person: Option<Persona> },
    /// Signed.
    Complete { since: Timestamp, completion: Value },
    /// Failed.
    Failed { hint: String, kept_until: Timestamp },
}

/// An order.
#[expect(clippy::struct_field_names, reason = "BankID's names")]
pub(super) struct Order {
    pub(super) order_ref: String,
    pub(super) autostart_token: String,
    pub(super) qr_start_token: String,
    pub(super) qr_start_secret: String,
    /// The certificate that began it: no other may ask for it.
    pub(super) owner: Vec<u8>,
    pub(super) begun: Timestamp,
    pub(super) body: StartBody,
    pub(super) stage: Stage,
    /// What is told of a pending order instead of what is usual.
    pub(super) hint: Option<String>,
}

impl Order {
    /// Lets time pass: what has waited too long fails.
    pub(super) fn settle(&mut self, now: Timestamp) {
        match &self.stage {
            Stage::Waiting if now >= self.begun.plus(START_TIME) => {
                let kept_until = self.begun.plus(NOT_STARTED_KEPT);
                self.stage = Stage::Failed { hint: "startFailed".to_owned(), kept_until };
            }
            Stage::Open { since, .. } if now >= since.plus(SIGN_TIME) => {
                let since = since.plus(SIGN_TIME);
                self.fail("expiredTransaction", since);
            }
            Stage::Waiting | Stage::Open { .. } | Stage::Complete { .. } | Stage::Failed { .. } => {}
        }
    }

    /// Fails now.
    pub(super) fn fail(&mut self, hint: &str, now: Timestamp) {
        self.stage = Stage::Failed { hint: hint.to_owned(), kept_until: now.plus(FAILED_KEPT) };
    }

    /// Whether BankID has forgotten it.
    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        match &self.stage {
            Stage::Waiting | Stage::Open { .. } => false,
            Stage::Complete { since, .. } => now > since.plus(COMPLETE_KEPT),
            Stage::Failed { kept_until, .. } => now > *kept_until,
        }
    }

    /// Whether it can still become something.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Open { .. })
    }

    /// Who has it in the app.
    pub(super) fn person(&self) -> Option<&Persona> {
        match &self.stage {
            Stage::Open { person, .. } => person.as_ref(),
            Stage::Waiting | Stage::Complete { .. } | Stage::Failed { .. } => None,
        }
    }

    /// The hint code of now.
    pub(super) fn hint(&self) -> Option<&str> {
        match &self.stage {
            Stage::Waiting => Some(self.hint.as_deref().unwrap_or("outstandingTransaction")),
            Stage::Open { person, .. } => {
                let usual = if person.is_some() { "userSign" } else { "started" };
                Some(self.hint.as_deref().unwrap_or(usual))
            }
            Stage::Complete { .. } => None,
            Stage::Failed { hint, .. } => Some(hint),
        }
    }

    /// The answer to `/collect`.
    pub(super) fn collected(&self) -> Value {
        let mut answer = json!({ "orderRef": self.order_ref, "status": self.status() });
        if let Some(hint) = self.hint() {
            answer["hintCode"] = json!(hint);
        }
        if let Stage::Complete { completion, .. } = &self.stage {
            answer["completionData"] = completion.clone();
        }
        answer
    }

    /// The status, as BankID calls it.
    pub(super) const fn status(&self) -> &'static str {
        match &self.stage {
            Stage::Waiting | Stage::Open { .. } => "pending",
            Stage::Complete { .. } => "complete",
            Stage::Failed { .. } => "failed",
        }
    }

    /// Whether a code is this order's, and of about now.
    pub(super) fn check_code(&self, second: &str, code: &str, slack: Duration, now: Timestamp) -> CodeCheck {
        let key = Key::new(HMAC_SHA256, self.qr_start_secret.as_bytes());
        let expected = sign(&key, second.as_bytes());
        let expected: String = expected.as_ref().iter().fold(String::new(), |mut text, byte| {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
            text
        });
        let Ok(second) = second.parse::<u64>() else { return CodeCheck::Wrong };
        if code != expected {
            return CodeCheck::Wrong;
        }
        let newest = now.since(self.begun).as_secs();
        if newest.abs_diff(second) <= slack.as_secs() { CodeCheck::Good } else { CodeCheck::Stale }
    }

    /// The person signs.
    pub(super) fn complete(&mut self, persona: &Persona, from: IpAddr, now: Timestamp) {
        let mut completion = json!({
            "user": {
                "personalNumber": persona.personal_number,
                "name": format!("{} {}", persona.given_name, persona.surname),
                "givenName": persona.given_name,
                "surname": persona.surname,
            },
            "device": { "ipAddress": from.to_string(), "uhi": "c2ltdWxhdGVkLWRldmljZQ==" },
            "bankIdIssueDate": "2025-03-03Z",
            "stepUp": { "mrtd": self.body.requirement.mrtd },
            "signature": self.signature(persona),
            "ocspResponse": BASE64_STANDARD.encode(format!("simulated OCSP response {}", now.as_millis())),
        });
        if let Some(risk) = persona.risk.filter(|_| self.body.return_risk) {
            completion["risk"] = json!(format!("{risk:?}").to_lowercase());
        }
        self.stage = Stage::Complete { since: now, completion };
    }

    /// XML of the form of a signature, with what the person saw; nothing verifies it.
    fn signature(&self, persona: &Persona) -> String {
        BASE64_STANDARD.encode(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?><Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
             <Object><bankIdSignedData xmlns=\"http://www.bankid.com/signature/v1.0.0/types\"><usrVisibleData charset=\"UTF-8\">{}\
             </usrVisibleData><simulated order=\"{}\" subject=\"{}\"/></bankIdSignedData></Object></Signature>",
            self.body.user_visible_data.as_deref().unwrap_or_default(),
            self.order_ref,
            persona.personal_number,
        ))
    }
}
