//! What BankID answers when it does not take a request.

use http::StatusCode;
use serde::Deserialize;

use crate::ports::bankid::BankIdError;

/// Characters of BankID's details for the operators' log.
const LONGEST_DETAIL: usize = 200;

/// Characters of a word of it: longer ones are values that were sent, such as tokens and links.
const LONGEST_WORD: usize = 24;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RefusalBody {
    error_code: String,
    details: String,
}

/// What a refusal means. The body may be missing, or a page of something on the way. Codes are compared without case, as
/// both have been seen; one that is not known means what the HTTP status means. Source: "Errors", RP API v6.0.
pub(super) fn of(status: StatusCode, body: &[u8]) -> BankIdError {
    let body: RefusalBody = serde_json::from_slice(body).unwrap_or_default();
    let detail = detail(status, &body);
    match body.error_code.to_ascii_lowercase().as_str() {
        "alreadyinprogress" => BankIdError::AlreadyInProgress,
        "invalidparameters" => BankIdError::InvalidParameters(detail),
        "unauthorized" | "notfound" | "methodnotallowed" | "unsupportedmediatype" => {
            BankIdError::Misconfigured(detail)
        }
        "requesttimeout" | "toomanyrequests" | "internalerror" | "maintenance" => {
            BankIdError::Unavailable(detail)
        }
        _ => of_status(status, detail),
    }
}

fn of_status(status: StatusCode, detail: String) -> BankIdError {
    match status {
        StatusCode::BAD_REQUEST => BankIdError::InvalidParameters(detail),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => BankIdError::Unavailable(detail),
        status if status.is_client_error() => BankIdError::Misconfigured(detail),
        _ => BankIdError::Unavailable(detail),
    }
}

/// The status, the code, and of the details what helps an operator and is nobody's: no digits (numbers of people,
/// addresses) and no long words (tokens, links).
fn detail(status: StatusCode, body: &RefusalBody) -> String {
    let code: String = body.error_code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let words = body.details.split_whitespace().map(|word| {
        if word.len() > LONGEST_WORD {
            return "...".to_owned();
        }
        let shown = |each: char| if each.is_ascii_digit() { '#' } else { each };
        word.chars().map(shown).filter(char::is_ascii_graphic).collect()
    });
    let mut text = format!("{} {code}", status.as_u16());
    for word in words.take(LONGEST_DETAIL) {
        text.push(' ');
        text.push_str(&word);
    }
    text.chars().take(LONGEST_DETAIL).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> BankIdError {
        of(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn details_are_short_and_hold_nothing_that_was_sent() {
        let body = serde_json::json!({
            "errorCode": "invalidParameters",
            "details": "Invalid returnUrl https://portal.example.se/bankid#n=0123456789abcdef\r\nfor 192.0.2.7 \
                        å 199908072391 67df3917-fa0d-44e5-b327-edcc928297f8",
        });
        let BankIdError::InvalidParameters(detail) = refused(400, &body.to_string()) else { panic!() };
        assert_eq!(detail, "400 invalidParameters Invalid returnUrl ... for ###.#.#.#  ############ ...");
        let body = serde_json::json!({"errorCode": "a".repeat(500), "details": "b ".repeat(500)});
        let BankIdError::Misconfigured(detail) = refused(403, &body.to_string()) else { panic!() };
        assert!(detail.len() <= 200 && detail.starts_with("403 aaa"), "{detail}");
    }

    #[test]
    fn what_is_no_refusal_of_bankids_is_read_by_its_status() {
        let is = |status: u16, body: &str| match refused(status, body) {
            BankIdError::AlreadyInProgress => "already",
            BankIdError::InvalidParameters(_) => "parameters",
            BankIdError::Misconfigured(_) => "us",
            BankIdError::Unavailable(_) => "them",
        };
        for body in ["", "<html>no</html>", "[]", "{", r#"{"errorCode":7}"#, r#"{"errorCode":"new"}"#] {
            for (status, expected) in [
                (400, "parameters"),
                (401, "us"),
                (403, "us"),
                (404, "us"),
                (405, "us"),
                (408, "them"),
                (415, "us"),
                (429, "them"),
                (500, "them"),
                (502, "them"),
                (503, "them"),
                (302, "them"),
            ] {
                assert_eq!(is(status, body), expected, "{status} {body}");
            }
        }
    }
}
