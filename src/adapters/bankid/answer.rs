//! What BankID answers when it takes a request: JSON, read for what we need of it.

use jiff::civil::Date;
use serde::Deserialize;

use crate::domain::bankid::{HintCode, Risk};
use crate::domain::identifier::{PersonalNumber, SwedishNumber};
use crate::domain::secret::Secret;
use crate::ports::bankid::{BankIdError, Collected, Completion, StartedOrder};

/// Characters of a name or token at most: BankID's have 36. Longer ones would fit no QR code.
const LONGEST_TOKEN: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartedBody {
    order_ref: String,
    auto_start_token: String,
    qr_start_token: String,
    qr_start_secret: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CollectedBody {
    order_ref: Option<String>,
    status: String,
    hint_code: Option<String>,
    completion_data: Option<CompletionBody>,
}

/// What is missing here loses no login: the flow judges what it got. `stepUp`, `bankIdIssueDate` and the other names are
/// not asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CompletionBody {
    #[serde(default)]
    user: UserBody,
    #[serde(default)]
    device: DeviceBody,
    risk: Option<serde_json::Value>,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    ocsp_response: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UserBody {
    personal_number: String,
    surname: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeviceBody {
    ip_address: String,
}

/// Reads the answer to `/auth`.
pub(super) fn started(body: &[u8]) -> Result<StartedOrder, BankIdError> {
    let body: StartedBody = serde_json::from_slice(body).map_err(|_| unreadable())?;
    Ok(StartedOrder {
        order_ref: token(body.order_ref)?,
        autostart_token: token(body.auto_start_token)?,
        qr_start_token: token(body.qr_start_token)?,
        qr_start_secret: token(body.qr_start_secret)?,
    })
}

/// Reads the answer to `/collect` for an order. Hint codes are an open set; statuses are not: what an order of an unknown
/// one has come to is not ours to guess.
pub(super) fn collected(body: &[u8], order_ref: &str) -> Result<Collected, BankIdError> {
    let body: CollectedBody = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if body.order_ref.is_some_and(|answered| answered != order_ref) {
        return Err(BankIdError::Unavailable("the answer is another order's".to_owned()));
    }
    let hint = HintCode::new(&body.hint_code.unwrap_or_default());
    match body.status.as_str() {
        "pending" => Ok(Collected::Pending(hint)),
        "failed" => Ok(Collected::Failed(hint)),
        "complete" => {
            let completion = body.completion_data.ok_or_else(unreadable)?;
            Ok(Collected::Complete(Box::new(completion.into())))
        }
        _ => Err(unreadable()),
    }
}

impl From<CompletionBody> for Completion {
    fn from(body: CompletionBody) -> Self {
        Self {
            personal_number: personal_number(&body.user.personal_number),
            family_name: body.user.surname,
            app_address: body.device.ip_address.parse().ok(),
            risk: body.risk.as_ref().and_then(serde_json::Value::as_str).and_then(Risk::parse),
            signature: Secret::new(body.signature),
            ocsp_response: Secret::new(body.ocsp_response),
        }
    }
}

/// Twelve digits and nothing else, so no century is guessed; then the day does not matter.
fn personal_number(text: &str) -> Option<PersonalNumber> {
    if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match SwedishNumber::parse(text, Date::MAX) {
        Ok(SwedishNumber::Personal(number)) => Some(number),
        Ok(SwedishNumber::Coordination(_) | SwedishNumber::Temporary(_)) | Err(_) => None,
    }
}

/// A name or token goes into links, codes and headers: visible ASCII only.
fn token(text: String) -> Result<Secret<String>, BankIdError> {
    let formed =
        (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let text = Secret::new(text);
    if formed { Ok(text) } else { Err(unreadable()) }
}

fn unreadable() -> BankIdError {
    BankIdError::Unavailable("the answer cannot be read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_does_not_fit_a_link_is_refused() {
        let body = |token: &str| {
            serde_json::json!({
                "orderRef": "a", "autoStartToken": token, "qrStartToken": "b", "qrStartSecret": "c", "new": 1,
            })
            .to_string()
        };
        assert!(started(body("67df3917-fa0d-44e5-b327-edcc928297f8").as_bytes()).is_ok());
        let long = "a".repeat(201);
        for wrong in ["", "a b", "a\r\nb", "å", "a\u{7f}", &long] {
            assert!(started(body(wrong).as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(started(body(&"a".repeat(200)).as_bytes()).is_ok());
        for wrong in ["", "{", "[]", "null", r#"{"orderRef":"a"}"#, "<html></html>"] {
            assert!(started(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_a_personnummer_of_twelve_digits_is_one() {
        assert_eq!(personal_number("199908072391").unwrap().as_str(), "se.pnr:199908072391");
        for wrong in [
            "9908072391",
            "19990807-2391",
            "199908072392",
            "197302889931",
            "19990807239١",
            "",
            " 99908072391",
        ] {
            assert!(personal_number(wrong).is_none(), "{wrong}");
        }
    }

    fn complete(completion: &serde_json::Value) -> Completion {
        let body = serde_json::json!({"orderRef": "a", "status": "complete", "completionData": completion});
        match collected(body.to_string().as_bytes(), "a") {
            Ok(Collected::Complete(completion)) => *completion,
            Ok(_) | Err(_) => panic!("it is complete"),
        }
    }

    #[test]
    fn a_risk_that_is_missing_or_unknown_is_none() {
        for (risk, read) in [
            (serde_json::json!("low"), Some(Risk::Low)),
            (serde_json::json!("moderate"), Some(Risk::Moderate)),
            (serde_json::json!("high"), Some(Risk::High)),
            (serde_json::json!("extreme"), None),
            (serde_json::json!(""), None),
            (serde_json::json!(null), None),
            (serde_json::json!({"level": "high"}), None),
        ] {
            assert_eq!(complete(&serde_json::json!({"risk": risk})).risk, read, "{risk}");
        }
        assert_eq!(complete(&serde_json::json!({})).risk, None);
    }

    #[test]
    fn what_cannot_be_read_is_no_outcome() {
        for wrong in [
            r#"{"orderRef":"a","status":"complete"}"#,
            r#"{"orderRef":"a","status":"COMPLETE","completionData":{}}"#,
            r#"{"orderRef":"a","status":"paused","hintCode":"userSign"}"#,
            r#"{"orderRef":"b","status":"pending"}"#,
            r#"{"orderRef":"a"}"#,
            r#"{"orderRef":"a","status":"pend"#,
            "",
        ] {
            assert!(matches!(collected(wrong.as_bytes(), "a"), Err(BankIdError::Unavailable(_))), "{wrong}");
        }
        let bare = collected(br#"{"status":"pending","hintCode":null}"#, "a");
        assert!(matches!(bare, Ok(Collected::Pending(hint)) if hint.as_str() == "unknown"));
    }
}
