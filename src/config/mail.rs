//! `mail`: how mails leave this service.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::secret::Secret;

use super::form::{AnyPath, Choice, Count, Parsed, ReadableFile, Span, Text};
use super::reader::Reader;
use super::url::is_this_machine;

/// How mails leave this service.
#[derive(Debug)]
pub enum Mail {
    /// To a mail server.
    Smtp(Smtp),
    /// Into a directory, for try-outs: nothing leaves this machine.
    Folder {
        /// The directory; made if missing.
        path: PathBuf,
    },
}

/// A mail server and how to reach it.
#[derive(Debug)]
pub struct Smtp {
    /// Its name; its certificate must have it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// User name and password, if it asks for them.
    pub credentials: Option<(String, Secret<String>)>,
    /// The only authorities of its certificate, PEM; the public ones if `None`.
    pub ca_file: Option<PathBuf>,
    /// Most connections at a time.
    pub connections: usize,
    /// Longest time of the sending of one mail.
    pub timeout: Duration,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS after STARTTLS; no mail without it.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None: this machine only.
    None,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Smtp,
    Folder,
}

const HOST: Parsed<String> = Parsed { form: "a host name or an IP address", parse: parse_host };

pub(super) fn read(mail: &mut Reader<'_>) -> Option<Mail> {
    let kinds = Choice(&[("smtp", Kind::Smtp), ("folder", Kind::Folder)]);
    let kind = mail.required("backend", "how mails leave this service", &kinds);
    let smtp = mail.chosen_section("smtp", kind.map(|kind| kind == Kind::Smtp), read_smtp);
    let folder = mail.chosen_section("folder", kind.map(|kind| kind == Kind::Folder), |folder| {
        folder.required("path", "the directory that mails are written into, made if missing", &AnyPath)
    });
    match kind? {
        Kind::Smtp => smtp?.map(Mail::Smtp),
        Kind::Folder => folder?.map(|path| Mail::Folder { path }),
    }
}

fn read_smtp(smtp: &mut Reader<'_>) -> Option<Smtp> {
    let securities = Choice(&[
        ("starttls", SmtpSecurity::StartTls),
        ("tls", SmtpSecurity::Tls),
        ("none", SmtpSecurity::None),
    ]);
    let host = smtp.required("host", "the mail server; its certificate must have this name", &HOST);
    let security = smtp.or(
        "security",
        "TLS after STARTTLS, TLS from the first byte, or none (this machine only)",
        &securities,
        SmtpSecurity::StartTls,
    );
    let usual_port = match security {
        SmtpSecurity::StartTls => 587,
        SmtpSecurity::Tls => 465,
        SmtpSecurity::None => 25,
    };
    let port = smtp
        .optional("port", "its port", &Count(1..=65535_u16), "`587`; `465` with `tls`, `25` with `none`")
        .unwrap_or(usual_port);
    let user = smtp.optional("user", "user name, if it asks for one", &Text(1..=200), "none");
    let password = smtp.optional_secret("password", "the password of the user", &Text(1..=1000));
    let ca_file = smtp.optional(
        "ca_file",
        "the only authorities of its certificate, PEM",
        &ReadableFile,
        "the public authorities (Mozilla's list)",
    );
    let connections = smtp.or("connections", "most connections at a time, each replica", &Count(1..=50), 4);
    let timeout = smtp.or(
        "timeout",
        "longest time of the sending of one mail",
        &Span(Duration::from_secs(1)..=Duration::from_mins(1)),
        Duration::from_secs(30),
    );
    if user.is_some() != (password.is_some() || smtp.is_given("password") || smtp.is_given("password_file")) {
        smtp.fault("user", "and password come together", "give both or none");
    }
    if security == SmtpSecurity::None {
        let here = host.as_deref().is_none_or(is_this_machine);
        if !here {
            smtp.fault(
                "security",
                "is none for a server that is not on this machine",
                "links would travel in clear: use \"starttls\" or \"tls\"",
            );
        }
        if user.is_some() {
            smtp.fault(
                "user",
                "would travel in clear",
                "use \"starttls\" or \"tls\", or remove user and password",
            );
        }
    }
    Some(Smtp { host: host?, port, security, credentials: user.zip(password), ca_file, connections, timeout })
}

fn parse_host(text: &str) -> Option<String> {
    let formed = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
    formed.then(|| text.to_owned())
}
