//! One conversation with a mail server (RFC 5321), which knows at each moment where it is.
//!
//! Written here because a message's fate depends on the stage, and because after STARTTLS nothing may count that came
//! before it: the client of `lettre` keeps what was read ahead (see `Cargo.toml`).

use std::future::Future;
use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::fault::{Fault, Stage, Trouble};
use super::reply::{Reply, read_reply};
use super::{Login, Security};

/// What the server is reached by.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) name: ServerName<'static>,
    pub(super) tls: TlsConnector,
    pub(super) login: Option<Login>,
    /// What we call ourselves; our address on that connection if `None`.
    pub(super) hello_name: Option<String>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// A connection that was greeted, and logged in if there is a login.
pub(super) struct Conversation {
    line: Line<Box<dyn Wire>>,
    /// A mail was begun and not taken.
    needs_reset: bool,
}

impl Conversation {
    /// Connects, and goes as far as MAIL FROM may be said.
    pub(super) async fn begin(server: &Server, deadline: Instant) -> Result<Self, Fault> {
        let socket = connect(server, deadline).await?;
        let hello = server.hello_name.clone().unwrap_or_else(|| address_literal(&socket));
        let mut line = match server.security {
            Security::None => Line::new(Box::new(socket) as Box<dyn Wire>),
            Security::ImplicitTls => Line::new(encrypted(server, socket, deadline).await?),
            Security::StartTls => {
                let socket = start_tls(socket, &hello, deadline).await?;
                Line::new(encrypted(server, socket, deadline).await?)
            }
        };
        if server.security != Security::StartTls {
            line.hear(Stage::Greeting, deadline).await?.expect(Stage::Greeting, &[220])?;
        }
        let offered = line.hello(&hello, deadline).await?;
        if let Some(login) = &server.login {
            line.log_in(login, &offered, deadline).await?;
        }
        Ok(Self { line, needs_reset: false })
    }

    /// Hands over one mail. Addresses and content are canonical: nothing in them ends a line early.
    pub(super) async fn send(
        &mut self,
        from: &str,
        to: &str,
        content: &[u8],
        deadline: Instant,
    ) -> Result<(), Fault> {
        let line = &mut self.line;
        if self.needs_reset {
            line.ask(Stage::Reset, "RSET", &[250], deadline).await?;
        }
        self.needs_reset = true;
        line.ask(Stage::Sender, &format!("MAIL FROM:<{from}>"), &[250], deadline).await?;
        line.ask(Stage::Recipient, &format!("RCPT TO:<{to}>"), &[250, 251, 252], deadline).await?;
        line.ask(Stage::Data, "DATA", &[354], deadline).await?;
        line.say(Stage::Content, &with_dots(content), deadline).await?;
        line.hear(Stage::Content, deadline).await?.expect(Stage::Content, &[250])?;
        self.needs_reset = false;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn over(wire: tokio::io::DuplexStream) -> Self {
        Self { line: Line::new(Box::new(wire)), needs_reset: false }
    }

    /// Takes leave.
    pub(super) async fn end(mut self, deadline: Instant) -> Result<(), Fault> {
        self.line.ask(Stage::Quit, "QUIT", &[221], deadline).await.map(drop)
    }
}

/// Ends by the deadline, or says where it was then.
async fn within<T>(
    stage: Stage,
    deadline: Instant,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Fault> {
    let done = timeout_at(deadline, work).await.unwrap_or(Err(Trouble::TimedOut));
    done.map_err(|trouble| Fault { stage, trouble })
}

/// Tries the addresses of the host in their order; each may take an equal part of the time that is left, so that one
/// that does not answer leaves some to the next.
async fn connect(server: &Server, deadline: Instant) -> Result<TcpStream, Fault> {
    let host = (server.host.as_str(), server.port);
    let look_up = async { tokio::net::lookup_host(host).await.map_err(Trouble::Lost) };
    let addresses: Vec<_> = within(Stage::LookUp, deadline, look_up).await?.collect();
    within(Stage::Connect, deadline, async {
        let mut last = Trouble::Lost(io::ErrorKind::NotFound.into());
        for (position, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let parts = u32::try_from(addresses.len() - position).unwrap_or(u32::MAX);
            match timeout_at(Instant::now() + left / parts, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    // A conversation is questions and answers: none waits for more to say.
                    socket.set_nodelay(true).map_err(Trouble::Lost)?;
                    return Ok(socket);
                }
                Ok(Err(error)) => last = Trouble::Lost(error),
                Err(_) => last = Trouble::TimedOut,
            }
        }
        Err(last)
    })
    .await
}

/// What a client without a name calls itself (RFC 5321 §4.1.3).
fn address_literal(socket: &TcpStream) -> String {
    match socket.local_addr().map(|address| address.ip().to_canonical()) {
        Ok(std::net::IpAddr::V4(address)) => format!("[{address}]"),
        Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => "[127.0.0.1]".to_owned(),
    }
}

/// The words before TLS. What the server offers there may be anybody's words and is not kept.
async fn start_tls(socket: TcpStream, hello: &str, deadline: Instant) -> Result<TcpStream, Fault> {
    let mut line = Line::new(socket);
    line.hear(Stage::Greeting, deadline).await?.expect(Stage::Greeting, &[220])?;
    let offered = line.hello(hello, deadline).await?;
    if !offered.iter().any(|keyword| keyword.eq_ignore_ascii_case("STARTTLS")) {
        return Err(Fault { stage: Stage::StartTls, trouble: Trouble::NotOffered });
    }
    line.ask(Stage::StartTls, "STARTTLS", &[220], deadline).await?;
    // What came with the answer came before TLS, from whoever is on the line, and would pass for an answer within it.
    if !line.stream.buffer().is_empty() {
        return Err(Fault { stage: Stage::StartTls, trouble: Trouble::Garbled });
    }
    Ok(line.stream.into_inner())
}

async fn encrypted(server: &Server, socket: TcpStream, deadline: Instant) -> Result<Box<dyn Wire>, Fault> {
    let handshake = server.tls.connect(server.name.clone(), socket);
    let stream = within(Stage::Tls, deadline, async { handshake.await.map_err(Trouble::Lost) }).await?;
    Ok(Box::new(stream))
}

/// Lines there and back.
struct Line<S> {
    stream: BufReader<S>,
}

impl<S: Wire> Line<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    async fn say(&mut self, stage: Stage, bytes: &[u8], deadline: Instant) -> Result<(), Fault> {
        within(stage, deadline, async {
            self.stream.write_all(bytes).await.map_err(Trouble::Lost)?;
            self.stream.flush().await.map_err(Trouble::Lost)
        })
        .await
    }

    async fn hear(&mut self, stage: Stage, deadline: Instant) -> Result<Reply, Fault> {
        within(stage, deadline, read_reply(&mut self.stream)).await
    }

    /// Says one line and expects one of these codes.
    async fn ask(
        &mut self,
        stage: Stage,
        words: &str,
        expected: &[u16],
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        // May be a password.
        let line = Zeroizing::new(format!("{words}\r\n"));
        self.say(stage, line.as_bytes(), deadline).await?;
        self.hear(stage, deadline).await?.expect(stage, expected)
    }

    /// EHLO; gives a line for each extension that the server offers.
    async fn hello(&mut self, name: &str, deadline: Instant) -> Result<Vec<String>, Fault> {
        let reply = self.ask(Stage::Hello, &format!("EHLO {name}"), &[250], deadline).await?;
        // The first line is a greeting.
        Ok(reply.lines.into_iter().skip(1).map(|line| line.trim_end().to_owned()).collect())
    }

    /// AUTH by PLAIN, else by LOGIN, which is all that some large servers offer beside OAuth.
    async fn log_in(&mut self, login: &Login, offered: &[String], deadline: Instant) -> Result<(), Fault> {
        let secret = |text: &str| Zeroizing::new(BASE64_STANDARD.encode(text));
        if offers_mechanism(offered, "PLAIN") {
            let both = Zeroizing::new(format!("\0{}\0{}", login.user, login.password.expose()));
            let words = Zeroizing::new(format!("AUTH PLAIN {}", secret(&both).as_str()));
            self.ask(Stage::Login, &words, &[235], deadline).await?;
        } else if offers_mechanism(offered, "LOGIN") {
            self.ask(Stage::Login, "AUTH LOGIN", &[334], deadline).await?;
            self.ask(Stage::Login, &secret(&login.user), &[334], deadline).await?;
            self.ask(Stage::Login, &secret(login.password.expose()), &[235], deadline).await?;
        } else {
            return Err(Fault { stage: Stage::Login, trouble: Trouble::NotOffered });
        }
        Ok(())
    }
}

impl Reply {
    fn expect(self, stage: Stage, expected: &[u16]) -> Result<Self, Fault> {
        if expected.contains(&self.code.number()) {
            Ok(self)
        } else {
            Err(Fault { stage, trouble: Trouble::Reply(self.code) })
        }
    }
}

fn offers_mechanism(offered: &[String], mechanism: &str) -> bool {
    offered.iter().any(|line| {
        let mut words = line.split(' ');
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"))
            && words.any(|word| word.eq_ignore_ascii_case(mechanism))
    })
}

/// The content with a dot before each line that begins with one, and the line that ends it (RFC 5321 §4.5.2). Its own
/// last line has its end already.
fn with_dots(content: &[u8]) -> Vec<u8> {
    let mut dotted = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            dotted.push(b'.');
        }
        dotted.extend(line);
    }
    dotted.extend(b".\r\n");
    dotted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_one_dot_does_not_end_the_content() {
        assert_eq!(with_dots(b".\r\na\r\n..b\r\n"), b"..\r\na\r\n...b\r\n.\r\n");
    }

    #[test]
    fn a_mechanism_is_a_word_of_the_auth_line() {
        let offered = ["SIZE 1", "AUTH LOGIN XPLAIN", "PLAIN"].map(str::to_owned);
        assert!(offers_mechanism(&offered, "LOGIN"));
        assert!(!offers_mechanism(&offered, "PLAIN"));
        assert!(offers_mechanism(&["auth plain".to_owned()], "PLAIN"));
    }
}
