//! `sms`: how text messages leave this service.

use std::time::Duration;

use crate::domain::limits::Quota;
use crate::domain::secret::Secret;

use super::form::{Count, Each, Parsed, Span, Text};
use super::reader::Reader;
use super::url;

/// A gateway in the shape of 46elks' API, and what may be sent through it.
#[derive(Debug)]
pub struct Sms {
    /// Where the API is.
    pub base_url: String,
    /// User name at the gateway.
    pub user: String,
    /// Password at the gateway.
    pub password: Secret<String>,
    /// What text messages come from: up to 11 letters and digits, or a number.
    pub from: String,
    /// Country codes that may be sent to, such as `+46`.
    pub countries: Vec<String>,
    /// Text messages to one number.
    pub recipient: Quota,
    /// Text messages of one organization.
    pub organization: Quota,
    /// Longest time of the sending of one text message.
    pub timeout: Duration,
}

const URL: Parsed<String> = Parsed {
    form: "an https URL without query and closing slash; http on this machine only",
    parse: url::parse_base,
};

const SENDER: Parsed<String> = Parsed {
    form: "3 to 11 letters and digits beginning with a letter, or a number as +46…",
    parse: parse_sender,
};

const COUNTRY: Parsed<String> = Parsed { form: "a country code such as \"+46\"", parse: parse_country };

pub(super) fn read(sms: &mut Reader<'_>) -> Option<Sms> {
    let base_url = sms
        .optional("base_url", "where the gateway's API is", &URL, "`\"https://api.46elks.com\"`")
        .unwrap_or_else(|| "https://api.46elks.com".to_owned());
    let user = sms.required("user", "user name at the gateway", &Text(1..=200));
    let password = sms.secret("password", "password at the gateway", &Text(1..=1000), |_| Ok(()));
    let from = sms.required("from", "what text messages come from", &SENDER);
    let countries = sms
        .optional("countries", "country codes that may be sent to", &Each(COUNTRY), "`[\"+46\", \"+31\"]`")
        .unwrap_or_else(|| vec!["+46".to_owned(), "+31".to_owned()]);
    if countries.is_empty() {
        sms.fault("countries", "is empty", "name at least one, or remove the section");
    }
    let recipient = quota(sms, "recipient", Quota::new(5, Duration::from_mins(30)));
    let organization = quota(sms, "organization", Quota::new(500, Duration::from_secs(10)));
    let bounds = Span(Duration::from_secs(1)..=Duration::from_mins(1));
    let timeout = sms.or(
        "timeout",
        "longest time of the sending of one text message",
        &bounds,
        Duration::from_secs(15),
    );
    Some(Sms {
        base_url,
        user: user?,
        password: password?,
        from: from?,
        countries,
        recipient,
        organization,
        timeout,
    })
}

fn quota(sms: &mut Reader<'_>, name: &str, usual: Quota) -> Quota {
    sms.section(name, |quota| Quota {
        burst: quota.or("burst", "text messages at once", &Count(1..=1_000_000), usual.burst),
        refill: quota.or(
            "refill",
            "time after which there is room for one more",
            &Span(Duration::from_millis(1)..=Duration::from_hours(24)),
            usual.refill,
        ),
    })
}

fn parse_sender(text: &str) -> Option<String> {
    let name = (3..=11).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.starts_with(|first: char| first.is_ascii_alphabetic());
    let number = text.strip_prefix('+').is_some_and(|digits| {
        (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    (name || number).then(|| text.to_owned())
}

fn parse_country(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+')?;
    let formed = (1..=3).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    formed.then(|| text.to_owned())
}
