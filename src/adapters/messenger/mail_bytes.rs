//! A mail as the bytes that go over the line and into a folder: the same ones at each try.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use crate::domain::identifier::Email;
use crate::domain::message::DeliveryFault;
use crate::domain::time::Timestamp;
use crate::ports::messenger::{Mail, SendError};

const CONTENT_LANGUAGE: HeaderName = HeaderName::new_from_ascii_str("Content-Language");
/// RFC 3834: keeps programs from answering, as on holidays.
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");
/// Exchange does not heed RFC 3834 in all versions, but this.
const SUPPRESS_RESPONSES: HeaderName = HeaderName::new_from_ascii_str("X-Auto-Response-Suppress");

/// The last second of the year 9999: a date header has room for no later one.
const LAST_SECOND: i64 = 253_402_300_799;

/// Headers and body: lines ended by CR LF, ASCII only, without the dots that SMTP adds.
///
/// # Errors
/// [`DeliveryFault::MessageRefused`] when no message can be built from it.
pub(super) fn mail_bytes(mail: &Mail) -> Result<Vec<u8>, SendError> {
    // The error may hold parts of the mail.
    let not_built = |_| SendError {
        fault: DeliveryFault::MessageRefused,
        detail: "no mail can be built from it".to_owned(),
    };
    Ok(with_whole_line_ends(&message(mail).map_err(not_built)?.formatted()))
}

fn message(mail: &Mail) -> Result<Message, lettre::error::Error> {
    let from = address(&mail.from_address);
    let to = address(&mail.to);
    let name = one_line(&mail.from_name);
    Message::builder()
        // Without it the builder would read the headers again.
        .envelope(Envelope::new(Some(from.clone()), vec![to.clone()])?)
        .message_id(Some(format!("<{}@{}>", mail.id, from.domain())))
        .date(date(mail.at))
        .from(Mailbox::new((!name.is_empty()).then_some(name), from))
        .to(Mailbox::new(None, to))
        .subject(one_line(&mail.subject))
        .raw_header(HeaderValue::new(CONTENT_LANGUAGE, mail.language.to_owned()))
        .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
        .raw_header(HeaderValue::new(SUPPRESS_RESPONSES, "All".to_owned()))
        .multipart(
            MultiPart::alternative()
                // Made from the id instead of by chance: two tries are the same bytes.
                .boundary(format!("=_{}", mail.id))
                .singlepart(SinglePart::plain(mail.plain.clone()))
                .singlepart(SinglePart::html(mail.html.clone())),
        )
}

/// The builder's own parser knows fewer addresses than [`Email`], which lets through nothing that means something in
/// a header or a command.
fn address(email: &Email) -> Address {
    let (local_part, domain) = email.as_str().split_once('@').unwrap_or((email.as_str(), ""));
    Address::new_dangerous(local_part, domain)
}

/// A line break in a header would begin another header.
fn one_line(text: &str) -> String {
    let words = text.split(|character: char| character.is_control() || character.is_whitespace());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn date(at: Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_seconds().clamp(0, LAST_SECOND)).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Servers do not agree on what a lone CR or LF is: one may see the end of the content there (SMTP smuggling).
fn with_whole_line_ends(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(bytes.len() + 64);
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\r' => {
                rest.next_if_eq(&b'\n');
                whole.extend(b"\r\n");
            }
            b'\n' => whole.extend(b"\r\n"),
            other => whole.push(other),
        }
    }
    if !whole.ends_with(b"\r\n") {
        whole.extend(b"\r\n");
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::MessageId;

    fn mail(from_name: &str, subject: &str, text: &str) -> Mail {
        Mail {
            id: MessageId::new(Timestamp::from_millis(1_795_000_000_000), [7; 10]),
            from_name: from_name.to_owned(),
            from_address: Email::parse("skola@kommun.example").unwrap(),
            to: Email::parse("{anna}'s+tag@xn--sknk-noa.example").unwrap(),
            language: "sv",
            subject: subject.to_owned(),
            plain: text.to_owned(),
            html: format!("<p>{text}</p>"),
            at: Timestamp::from_millis(1_795_000_000_000),
        }
    }

    fn text_of(mail: &Mail) -> String {
        String::from_utf8(mail_bytes(mail).unwrap()).unwrap()
    }

    /// Names of the headers before the body.
    fn header_names(text: &str) -> Vec<&str> {
        let (headers, _) = text.split_once("\r\n\r\n").unwrap();
        let is_new = |line: &&str| !line.starts_with([' ', '\t']);
        headers.split("\r\n").filter(is_new).map(|line| line.split(':').next().unwrap()).collect()
    }

    const NAMES: [&str; 10] = [
        "Message-ID",
        "Date",
        "From",
        "To",
        "Subject",
        "Content-Language",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "MIME-Version",
        "Content-Type",
    ];

    #[test]
    fn a_mail_has_its_headers_once_and_two_texts() {
        let text = text_of(&mail("Skolan", "Hello", "Hi"));
        assert_eq!(header_names(&text), NAMES);
        assert!(text.contains("\r\nDate: Wed, 18 Nov 2026 11:06:40 +0000\r\n"), "{text}");
        assert!(text.contains("\r\nFrom: Skolan <skola@kommun.example>\r\n"), "{text}");
        assert!(text.contains("\r\nTo: {anna}'s+tag@xn--sknk-noa.example\r\n"), "{text}");
        assert!(text.contains("\r\nSubject: Hello\r\n"), "{text}");
        assert_eq!(text.matches("\r\nContent-Type: text/plain; charset=utf-8\r\n").count(), 1, "{text}");
        assert_eq!(text.matches("\r\nContent-Type: text/html; charset=utf-8\r\n").count(), 1, "{text}");
    }

    #[test]
    fn two_tries_are_the_same_bytes_with_one_message_id() {
        let one = text_of(&mail("Skolan", "Hej å", "Hej å"));
        assert_eq!(one, text_of(&mail("Skolan", "Hej å", "Hej å")));
        let id = mail("", "", "").id;
        assert!(one.starts_with(&format!("Message-ID: <{id}@kommun.example>\r\n")), "{one}");
    }

    #[test]
    fn no_line_break_reaches_a_header() {
        for bad in ["x\r\nBcc: eve@x.se", "x\nBcc: eve@x.se", "x\rBcc: eve@x.se", "å\r\n\r\nbody", "\r\n"] {
            for mail in [mail(bad, "Hello", "Hi"), mail("Skolan", bad, "Hi")] {
                assert_eq!(header_names(&text_of(&mail)), NAMES, "{bad:?}");
            }
        }
    }

    #[test]
    fn a_date_outside_of_the_calendar_is_its_nearest_day() {
        for (ms, shown) in [(i64::MAX, "Fri, 31 Dec 9999 23:59:59"), (i64::MIN, "Thu, 01 Jan 1970 00:00:00")]
        {
            let mail = Mail { at: Timestamp::from_millis(ms), ..mail("", "", "") };
            assert!(text_of(&mail).contains(shown));
        }
    }

    #[test]
    fn a_lone_cr_or_lf_becomes_a_line_end() {
        assert_eq!(with_whole_line_ends(b"a\rb\nc\r\nd\r\r\n\n"), b"a\r\nb\r\nc\r\nd\r\n\r\n\r\n");
        assert_eq!(with_whole_line_ends(b"a"), b"a\r\n");
    }

    proptest! {
        #[test]
        fn whatever_the_texts_the_bytes_are_ascii_in_short_lines(
            name in any::<String>(), subject in any::<String>(), text in any::<String>()
        ) {
            let mail = mail(&name, &subject, &text);
            let bytes = mail_bytes(&mail).unwrap();
            prop_assert!(bytes.is_ascii());
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(header_names(&text), NAMES);
            for line in text.split("\r\n") {
                prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n']));
            }
        }
    }
}
