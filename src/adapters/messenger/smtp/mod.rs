//! Mails by SMTP to the municipality's mail server, over a few connections that are kept for a moment.

mod conversation;
mod fault;
mod reply;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::adapters::client_tls::{TrustError, client_config, is_loopback};
use crate::domain::secret::Secret;
use crate::ports::messenger::{Mail, MailSender, SendError};

use super::mail_bytes::mail_bytes;
use conversation::{Conversation, Server};
use fault::{Fault, Stage, Trouble};

/// A connection that nothing went over for so long is not used again: servers hang up on silent clients after 30 s and
/// more, and firewalls forget them. It is closed when the next mail is sent.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// How the way to the server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS, without which nothing is sent: usually port 587.
    StartTls,
    /// TLS from the first byte: usually port 465.
    ImplicitTls,
    /// No TLS: to a server on this machine only, and without a login.
    None,
}

/// Who we are to the server.
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// Where mails go.
pub struct SmtpSettings {
    /// Name or IP address of the server; its certificate has to be for it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is secured.
    pub security: Security,
    /// What to log in with, if the server wants it.
    pub login: Option<Login>,
    /// PEM text of the certificate authorities that are trusted, and no others; those of the web if `None`.
    pub authorities_pem: Option<Vec<u8>>,
    /// What we call ourselves in EHLO; our IP address if `None`.
    pub hello_name: Option<String>,
    /// Connections at the same time; at least 1.
    pub connections: usize,
    /// Time for one mail, from the wait for a connection to the server's last answer.
    pub timeout: Duration,
}

impl SmtpSettings {
    /// Settings with what is usual: no login, the authorities of the web, 4 connections, 30 s.
    pub fn new(host: impl Into<String>, port: u16, security: Security) -> Self {
        Self {
            host: host.into(),
            port,
            security,
            login: None,
            authorities_pem: None,
            hello_name: None,
            connections: 4,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Why a sender cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The host is neither a name nor an IP address.
    #[error("the host of the mail server is neither a name nor an IP address")]
    Host,
    /// Without TLS everybody on the way reads the links.
    #[error("without TLS mails go to a server on this machine only")]
    PlaintextBeyondLoopback,
    /// Without TLS a password could be read on the way.
    #[error("without TLS there is no login")]
    LoginWithoutTls,
    /// The name for EHLO is none.
    #[error("the name for EHLO has a character that is not possible there")]
    HelloName,
    /// Without a connection nothing is sent.
    #[error("at least one connection is needed")]
    NoConnection,
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// A connection that waits for the next mail.
struct Kept {
    conversation: Conversation,
    since: Instant,
}

/// Sends mails to one server.
pub struct SmtpSender {
    server: Server,
    timeout: Duration,
    connections: usize,
    /// One permit for each connection that may be open.
    places: Semaphore,
    /// Used last stands last, and is used first.
    kept: Mutex<Vec<Kept>>,
}

impl SmtpSender {
    /// A sender with these settings. It connects when it has something to send.
    ///
    /// # Errors
    /// See [`SmtpError`].
    pub fn new(settings: SmtpSettings) -> Result<Self, SmtpError> {
        let SmtpSettings { host, port, security, login, authorities_pem, hello_name, connections, timeout } =
            settings;
        let name = ServerName::try_from(host.clone()).map_err(|_| SmtpError::Host)?;
        if security == Security::None && !is_loopback(&host) {
            return Err(SmtpError::PlaintextBeyondLoopback);
        }
        if security == Security::None && login.is_some() {
            return Err(SmtpError::LoginWithoutTls);
        }
        let is_word = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !hello_name.as_ref().is_none_or(is_word) {
            return Err(SmtpError::HelloName);
        }
        if connections == 0 {
            return Err(SmtpError::NoConnection);
        }
        let tls = TlsConnector::from(Arc::new(client_config(authorities_pem.as_deref())?));
        Ok(Self {
            server: Server { host, port, security, name, tls, login, hello_name },
            timeout,
            connections,
            places: Semaphore::new(connections.min(Semaphore::MAX_PERMITS)),
            kept: Mutex::default(),
        })
    }

    /// Tries whether the server lets us in: connects, TLS, EHLO, login, QUIT. Gives the time that it took.
    ///
    /// # Errors
    /// [`SendError`] of an unreachable server, with the stage in its detail.
    pub async fn probe(&self) -> Result<Duration, SendError> {
        let begin = Instant::now();
        let deadline = begin + self.timeout;
        Conversation::begin(&self.server, deadline).await?.end(deadline).await?;
        Ok(begin.elapsed())
    }

    /// A kept connection that may still be open. Those that were silent for too long are closed.
    fn kept(&self) -> Option<Conversation> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|connection| connection.since.elapsed() < KEPT_FOR);
        kept.pop().map(|connection| connection.conversation)
    }

    fn keep(&self, conversation: Conversation) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Kept { conversation, since: Instant::now() });
    }

    /// Sends over this connection, and keeps it if it can carry another mail.
    async fn send_over(
        &self,
        mut conversation: Conversation,
        mail: &Mail,
        content: &[u8],
        deadline: Instant,
    ) -> Result<(), Fault> {
        let (from, to) = (mail.from_address.as_str(), mail.to.as_str());
        let sent = conversation.send(from, to, content, deadline).await;
        if sent.as_ref().err().is_none_or(Fault::leaves_connection) {
            self.keep(conversation);
        }
        sent
    }
}

#[async_trait]
impl MailSender for SmtpSender {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let deadline = Instant::now() + self.timeout;
        let content = mail_bytes(mail)?;
        let no_place = || Fault { stage: Stage::Place, trouble: Trouble::TimedOut };
        // It is never closed.
        let Ok(Ok(_place)) = timeout_at(deadline, self.places.acquire()).await else {
            return Err(no_place().into());
        };
        if let Some(conversation) = self.kept() {
            match self.send_over(conversation, mail, &content, deadline).await {
                Err(fault) if fault.is_end_of_kept_connection() => {}
                done => return Ok(done?),
            }
        }
        let conversation = Conversation::begin(&self.server, deadline).await?;
        Ok(self.send_over(conversation, mail, &content, deadline).await?)
    }

    fn parallel(&self) -> usize {
        self.connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_was_silent_for_too_long_is_closed_and_not_used() {
        let sender = SmtpSender::new(SmtpSettings::new("localhost", 25, Security::None)).unwrap();
        let now = Instant::now();
        // Older than the process may be: then there is no such moment, and nothing to test.
        let Some(long_ago) = now.checked_sub(KEPT_FOR) else { return };
        for since in [long_ago, now] {
            let conversation = Conversation::over(tokio::io::duplex(1).0);
            sender.kept.lock().unwrap().push(Kept { conversation, since });
        }
        assert!(sender.kept().is_some());
        assert!(sender.kept().is_none());
    }

    #[test]
    fn settings_that_give_secrets_away_or_cannot_work_are_refused() {
        let refused = |change: fn(&mut SmtpSettings)| {
            let mut settings = SmtpSettings::new("mail.example.org", 587, Security::StartTls);
            change(&mut settings);
            SmtpSender::new(settings).err().map(|error| error.to_string())
        };
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|settings| settings.hello_name = Some("auth.example.org".to_owned())), None);
        for (change, reason) in [
            (
                (|settings| settings.security = Security::None) as fn(&mut SmtpSettings),
                "on this machine only",
            ),
            (
                |settings| {
                    settings.host = "127.0.0.1".to_owned();
                    settings.security = Security::None;
                    let password = Secret::new("x".to_owned());
                    settings.login = Some(Login { user: "user".to_owned(), password });
                },
                "there is no login",
            ),
            (|settings| settings.host = "mail example".to_owned(), "neither a name nor an IP address"),
            (|settings| settings.hello_name = Some("a\r\nRSET".to_owned()), "not possible there"),
            (|settings| settings.hello_name = Some(String::new()), "not possible there"),
            (|settings| settings.connections = 0, "at least one connection"),
            (|settings| settings.authorities_pem = Some(Vec::new()), "has none in it"),
        ] {
            let said = refused(change).unwrap_or_default();
            assert!(said.contains(reason), "{said:?} instead of {reason:?}");
        }
    }
}
