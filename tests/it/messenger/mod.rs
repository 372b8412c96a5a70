//! Senders of messages, against servers that take, refuse, defer, stall and break off.

mod elks;
mod folder;
mod smtp;
mod smtp_faults;
mod smtp_tls;

use std::time::Duration;

use guardian_auth::adapters::messenger::{Security, SmtpSender, SmtpSettings};
use guardian_auth::domain::id::MessageId;
use guardian_auth::domain::identifier::Email;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::messenger::Mail;

use crate::support::smtp::{Settings, SmtpServer, Tls};

/// The local part of the recipient, which no fault may hold.
const ANNA: &str = "anna.berg";

const AT: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// Longer than anything takes, on a busy machine as well: what does not end by itself fails.
const PATIENT: Duration = Duration::from_secs(30);

/// A mail to Anna; mails of different numbers have different ids.
fn mail(number: u8) -> Mail {
    Mail {
        id: MessageId::new(AT, [number; 10]),
        from_name: "Förskolan Ängen".to_owned(),
        from_address: Email::parse("skola@kommun.example").expect("an address"),
        to: Email::parse(&format!("{ANNA}@hem.example")).expect("an address"),
        language: "sv",
        subject: "Ditt nya lösenord".to_owned(),
        plain: "Hej Anna!\n.\nhttps://portal.example/r#t0ken\n".to_owned(),
        html: "<p>Hej Anna å!</p>".to_owned(),
        at: AT,
    }
}

fn mail_to(number: u8, to: &str) -> Mail {
    Mail { to: Email::parse(to).expect("an address"), ..mail(number) }
}

/// Settings that fit the server.
fn settings(server: &SmtpServer, security: Security) -> SmtpSettings {
    let mut settings = SmtpSettings::new("127.0.0.1", server.port(), security);
    settings.authorities_pem = Some(server.ca_pem().as_bytes().to_vec());
    settings.timeout = PATIENT;
    settings
}

fn sender(server: &SmtpServer) -> SmtpSender {
    SmtpSender::new(settings(server, Security::StartTls)).expect("usable settings")
}

/// A server with STARTTLS that asks for this login.
const WITH_LOGIN: Settings =
    Settings { login: Some(("mailer", "correct horse")), ..Settings::of(Tls::StartTls) };
