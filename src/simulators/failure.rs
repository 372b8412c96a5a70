//! What a portal shows of an error: words for the reason, the reference code, what is wrong with which field.

use maud::{Markup, Render, html};
use prost::Message as _;
use tonic::Status;
use tonic_types::pb;

use super::frame;
use crate::domain::organization::Portal;

/// An error as the wire tells it.
pub(super) struct Failure {
    reason: String,
    reference_code: Option<String>,
    retry_after_seconds: Option<u64>,
    right_portal: Option<Portal>,
    faults: Vec<pb::bad_request::FieldViolation>,
    /// Where the portals of this organization are; empty on the page of one.
    portals: String,
}

impl Failure {
    pub(super) fn of(status: &Status) -> Self {
        let details = pb::Status::decode(status.details()).unwrap_or_default().details;
        let info: pb::ErrorInfo = detail(&details, "ErrorInfo").unwrap_or_default();
        let retry = detail::<pb::RetryInfo>(&details, "RetryInfo").and_then(|retry| retry.retry_delay);
        let request: pb::BadRequest = detail(&details, "BadRequest").unwrap_or_default();
        Self {
            // A status without reason was not made by the service: it was not reached.
            reason: if info.reason.is_empty() { format!("{:?}", status.code()) } else { info.reason },
            reference_code: info.metadata.get("reference_code").cloned(),
            right_portal: info.metadata.get("portal").and_then(|name| Portal::parse(name)),
            // Rounded up: who comes too early is refused again.
            retry_after_seconds: retry
                .map(|delay| u64::try_from(delay.seconds + i64::from(delay.nanos > 0)).unwrap_or(0)),
            faults: request.field_violations,
            portals: String::new(),
        }
    }

    /// Shown deeper than on the page of a portal, whose siblings are its neighbours.
    pub(super) fn among(self, organization: &str) -> Self {
        Self { portals: format!("/portal/{organization}/"), ..self }
    }

    /// Whether this is the reason.
    pub(super) fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// What is wrong with a field, by its path or by the last part of it.
    pub(super) fn faults_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = String> + 'a {
        let faults = self.faults.iter().filter(move |fault| last_part(&fault.field) == field);
        faults.map(|fault| words_for_fault(&fault.reason, &fault.description))
    }

    fn words(&self) -> &'static str {
        match self.reason.as_str() {
            "INVALID_CREDENTIALS" => "The login failed. Check the login name and the password.",
            "EID_LOGIN_FAILED" => "The login with the eID did not come about. Begin again.",
            "EID_LOGIN_DENIED" => {
                "This eID opens nothing here. Ask the school, and give it the reference code."
            }
            "LOGIN_ATTEMPT_INVALID" => "This login is over, or was begun elsewhere. Begin again.",
            "WRONG_PORTAL" => "Your account is at another portal. Log in there.",
            "RATE_LIMITED" => "There were too many tries. Wait a little, then try again.",
            "OVERLOADED" | "DEPENDENCY_UNAVAILABLE" | "DEADLINE_EXCEEDED" | "Unavailable" => {
                "It does not work right now. Try again soon."
            }
            "INVALID_REQUEST" => "Something is missing or cannot be read.",
            "PASSWORD_REFUSED" => "This password cannot be used. Choose another one.",
            "RESET_TOKEN_INVALID" => "This link does not work any more. Ask for a new one.",
            _ => "It did not work.",
        }
    }
}

impl Render for Failure {
    fn render(&self) -> Markup {
        html! {
            section.alert role="alert" {
                p { strong { (self.words()) } }
                dl {
                    @if let Some(code) = &self.reference_code {
                        dt { "Reference code" } dd.code { (code) }
                    }
                    @if let Some(portal) = self.right_portal {
                        dt { "Right portal" } dd { a href={ (self.portals) (portal.as_str()) } { (portal.as_str()) } }
                    }
                    @if let Some(seconds) = self.retry_after_seconds {
                        dt { "Try again after" } dd { (frame::duration(seconds)) }
                    }
                    dt { "Reason (for developers)" } dd { (self.reason) }
                }
                @if !self.faults.is_empty() {
                    ul {
                        @for fault in &self.faults {
                            li { code { (fault.field) } ": " (words_for_fault(&fault.reason, &fault.description)) }
                        }
                    }
                }
            }
        }
    }
}

fn last_part(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

fn words_for_fault(reason: &str, description: &str) -> String {
    let words = match reason {
        "MISSING" => "Fill this in.",
        "TOO_SHORT" => "It is too short.",
        "TOO_LONG" => "It is too long.",
        "COMMON_PASSWORD" => "It is one of the most common passwords.",
        "ORGANIZATION_WORD" => "It is a word that many here would guess.",
        "ACCOUNT_NAME" => "It is a name of your account.",
        "CONTROL_CHARACTER" => "It holds a character that cannot be typed everywhere.",
        "MALFORMED" => "It does not look right. Check what you typed.",
        _ => description,
    };
    words.to_owned()
}

/// The first detail of a kind.
fn detail<T: prost::Message + Default>(details: &[prost_types::Any], name: &str) -> Option<T> {
    let url = format!("type.googleapis.com/google.rpc.{name}");
    let found = details.iter().find(|detail| detail.type_url == url)?;
    T::decode(found.value.as_slice()).ok()
}
