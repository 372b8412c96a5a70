//! A mail server of one test: a process that takes mails, says which, and misbehaves on demand.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::ports::free_port;
use super::{Process, START_DEADLINE, eventually, log_tail, told_by_tests_run, unique_name};

/// How the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "STARTTLS is the protocol's word")]
pub enum Tls {
    /// Not at all.
    None,
    /// After STARTTLS, and it takes no mail before.
    StartTls,
    /// From the first byte.
    Implicit,
}

impl Tls {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        }
    }
}

/// Where in a conversation something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the first word.
    Greeting,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Recipient,
    /// DATA, before the content is asked for.
    Data,
    /// When the content is there, which is thrown away.
    Content,
    /// When the content is there and kept, before the answer.
    Answer,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Mail => "mail",
            Self::Recipient => "recipient",
            Self::Data => "data",
            Self::Content => "content",
            Self::Answer => "answer",
        }
    }
}

/// What the server does. At a stage that is not named it does what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes mails.
    Take,
    /// Gives this reply; after one of 421 it hangs up. A reply at a recipient or content quotes the recipient as well.
    Reply(Stage, &'static str),
    /// Says nothing until the behaviour changes.
    Stall(Stage),
    /// Cuts the connection.
    Drop(Stage),
}

impl Behaviour {
    /// There is no such recipient.
    pub const REFUSE_RECIPIENT: Self = Self::Reply(Stage::Recipient, "550 5.1.1 no such user");
    /// The message is not wanted, after its content.
    pub const REFUSE_MESSAGE: Self = Self::Reply(Stage::Content, "554 5.7.1 not wanted");
    /// The recipient is asked to come later.
    pub const DEFER_RECIPIENT: Self = Self::Reply(Stage::Recipient, "451 4.7.1 greylisted");
    /// The message is asked to come later, after its content.
    pub const DEFER_MESSAGE: Self = Self::Reply(Stage::Content, "451 4.3.0 later");
    /// The server has no time, and says so to MAIL FROM.
    pub const BUSY: Self = Self::Reply(Stage::Mail, "421 4.3.2 busy");
    /// The mail is kept, and the connection is cut before the answer.
    pub const TAKE_AND_DROP: Self = Self::Drop(Stage::Answer);

    fn as_json(self) -> Value {
        match self {
            Self::Take => Value::Null,
            Self::Reply(at, reply) => json!({"at": at.as_str(), "do": "answer", "reply": reply}),
            Self::Stall(at) => json!({"at": at.as_str(), "do": "stall"}),
            Self::Drop(at) => json!({"at": at.as_str(), "do": "drop"}),
        }
    }
}

/// A mail that was taken.
#[derive(Debug, Clone, Deserialize)]
pub struct ReceivedMail {
    /// The address of MAIL FROM.
    pub envelope_from: String,
    /// The addresses of RCPT TO.
    pub recipients: Vec<String>,
    /// Names and values, decoded and unfolded, in their order.
    pub headers: Vec<(String, String)>,
    /// The plain text, decoded; empty if it has none.
    pub plain: String,
    /// The HTML, decoded; empty if it has none.
    pub html: String,
    /// Headers and body as they came; a character is a byte.
    pub raw: String,
}

impl ReceivedMail {
    /// The value of the one header of this name.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => value,
            (None, _) => panic!("no header {name} in {:?}", self.headers),
            (Some(_), Some(_)) => panic!("more than one header {name} in {:?}", self.headers),
        }
    }
}

/// What a server is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How it speaks TLS.
    pub tls: Tls,
    /// User and password that it asks for before it takes mails.
    pub login: Option<(&'static str, &'static str)>,
    /// The mechanisms of AUTH that it offers, of PLAIN and LOGIN.
    pub mechanisms: &'static [&'static str],
}

impl Settings {
    /// A server that asks for no password.
    pub const fn of(tls: Tls) -> Self {
        Self { tls, login: None, mechanisms: &["LOGIN", "PLAIN"] }
    }
}

/// A mail server of one test on a port of its own. It ends with the value, and its mails are gone.
pub struct SmtpServer {
    /// None while it is stopped.
    process: Option<Process>,
    port: u16,
    settings: Settings,
    /// The certificate of the authority that signed the server's.
    ca_pem: String,
    all: Behaviour,
    recipients: BTreeMap<String, Behaviour>,
    directory: TempDir,
}

impl SmtpServer {
    /// Starts a server that asks for no password and takes mails.
    pub async fn start(tls: Tls) -> Self {
        Self::start_with(Settings::of(tls)).await
    }

    /// Starts a server that takes mails.
    pub async fn start_with(settings: Settings) -> Self {
        let mut directory = tempfile::tempdir().expect("a temporary directory");
        let ca_pem = make_certificate(directory.path());
        for _ in 0..3 {
            let mut server = Self {
                process: None,
                port: free_port(),
                settings,
                ca_pem: ca_pem.clone(),
                all: Behaviour::Take,
                recipients: BTreeMap::new(),
                directory,
            };
            // Not launched: another process was quicker to take the port.
            if server.launch().await {
                return server;
            }
            directory = server.directory;
        }
        panic!("the mail server does not start:\n{}", log_tail(&directory.path().join("log")));
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority to trust: its certificate is for `localhost` and `127.0.0.1`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What it does from now on, in open conversations too. Recipients with a behaviour of their own keep it.
    pub async fn set(&mut self, behaviour: Behaviour) {
        self.all = behaviour;
        self.write_behaviour().await;
    }

    /// What it does from now on where it knows that a mail is for this address: at RCPT TO and later.
    pub async fn set_for(&mut self, recipient: &str, behaviour: Behaviour) {
        self.recipients.insert(recipient.to_owned(), behaviour);
        self.write_behaviour().await;
    }

    /// All mails taken so far, in their order, from before a stop as well.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        let Ok(entries) = fs::read_dir(self.directory.path().join("taken")) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("a readable directory").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        let read = |file: &Path| fs::read_to_string(file).expect("a mail can be read");
        files.iter().map(|file| serde_json::from_str(&read(file)).expect("a mail has its form")).collect()
    }

    /// Waits until it has taken so many mails, and gives all.
    pub async fn wait_for(&self, count: usize) -> Vec<ReceivedMail> {
        eventually(START_DEADLINE, &format!("{count} mails are taken"), async || self.mails().len() >= count)
            .await;
        self.mails()
    }

    /// What it heard so far: for each command the number of its connection and the word, as in `3 EHLO`;
    /// `3 connected` comes first.
    pub fn journal(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.directory.path().join("journal")).unwrap_or_default();
        journal.lines().map(str::to_owned).collect()
    }

    /// How often the journal has this word: a command, or `connected`.
    pub fn heard(&self, word: &str) -> usize {
        self.journal().iter().filter(|line| line.split(' ').nth(1) == Some(word)).count()
    }

    /// Ends the server at once: connections break. Nothing happens when it is stopped.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server again on its port, with its mails and its behaviour. Returns when it takes connections.
    pub async fn start_again(&mut self) {
        self.stop();
        assert!(
            self.launch().await,
            "no restart of the mail server:\n{}",
            log_tail(&self.directory.path().join("log"))
        );
    }

    /// Starts the process and waits until it takes connections; false if it ended instead.
    async fn launch(&mut self) -> bool {
        let directory = self.directory.path();
        let settings = json!({
            "port": self.port,
            "tls": self.settings.tls.as_str(),
            "login": self.settings.login.map(|(user, password)| [user, password]),
            "mechanisms": self.settings.mechanisms,
        });
        fs::write(directory.join("settings.json"), settings.to_string()).expect("settings are written");
        self.write_behaviour().await;
        let ready = directory.join("ready");
        let _absent_at_first = fs::remove_file(&ready);

        let mut command = Command::new(told_by_tests_run("GUARDIAN_AUTH_TEST_PYTHON"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/smtp_server.py"));
        command.arg(directory);
        let mut process = Process::start(&mut command, &directory.join("log"));
        eventually(START_DEADLINE, "the mail server takes connections", async || {
            !process.is_running() || ready.exists()
        })
        .await;
        let is_up = process.is_running();
        self.process = is_up.then_some(process);
        is_up
    }

    /// The server reads the file at each stage of each conversation, so that it holds from now on.
    async fn write_behaviour(&self) {
        let recipients: BTreeMap<&str, Value> = self
            .recipients
            .iter()
            .map(|(address, behaviour)| (address.as_str(), behaviour.as_json()))
            .collect();
        let text = json!({"all": self.all.as_json(), "recipients": recipients}).to_string();
        let unfinished = self.directory.path().join("behaviour.unfinished");
        tokio::fs::write(&unfinished, text).await.expect("the behaviour is written");
        let file = self.directory.path().join("behaviour.json");
        tokio::fs::rename(&unfinished, file).await.expect("it takes its place");
    }
}

/// Writes a certificate for `localhost` and `127.0.0.1` and its key; gives the certificate of its authority.
fn make_certificate(directory: &Path) -> String {
    let mut authority = rcgen::CertificateParams::default();
    // Of one name, authorities would be taken for each other.
    authority.distinguished_name.push(rcgen::DnType::CommonName, unique_name("authority"));
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let authority_certificate = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(authority, authority_key);

    let key = rcgen::KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = rcgen::CertificateParams::new(names).expect("names of hosts");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    fs::write(directory.join("cert.pem"), certificate.pem()).expect("the certificate is written");
    fs::write(directory.join("key.pem"), key.serialize_pem()).expect("the key is written");
    authority_certificate.pem()
}

/// Says these lines over one connection, each after the answer to the one before; gives the codes of all answers.
async fn say(server: &SmtpServer, lines: &[&str]) -> Vec<String> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await.expect("a connection");
    let mut stream = BufReader::new(stream);
    let mut codes = Vec::new();
    for line in std::iter::once(&"").chain(lines) {
        if !line.is_empty() {
            stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("it is said");
        }
        loop {
            let mut reply = String::new();
            stream.read_line(&mut reply).await.expect("a reply");
            if reply.as_bytes().get(3) != Some(&b'-') {
                codes.push(reply.chars().take(3).collect());
                break;
            }
        }
    }
    codes
}

const CONTENT: &str = "Subject: =?utf-8?q?Hej_=C3=A5?=\r\n\r\n..line\r\n.";

#[tokio::test]
async fn a_mail_is_told_with_its_envelope() {
    let server = SmtpServer::start(Tls::None).await;
    let lines = ["EHLO me", "MAIL FROM:<a@x.se>", "RCPT TO:<b@x.se>", "DATA", CONTENT];
    assert_eq!(say(&server, &lines).await, ["220", "250", "250", "250", "354", "250"]);

    let mails = server.wait_for(1).await;
    assert_eq!(
        (mails[0].envelope_from.as_str(), &mails[0].recipients[..]),
        ("a@x.se", &["b@x.se".to_owned()][..])
    );
    assert_eq!(mails[0].header("subject"), "Hej å");
    assert_eq!(mails[0].plain.trim_end(), ".line");
    assert_eq!(mails[0].html, "");
    assert_eq!(server.journal()[..2], ["1 connected", "1 EHLO"]);
    assert_eq!((server.heard("connected"), server.heard("RCPT"), server.heard("QUIT")), (1, 1, 0));
}

#[tokio::test]
async fn a_recipient_may_have_a_behaviour_of_its_own() {
    let mut server = SmtpServer::start(Tls::None).await;
    server.set_for("poison@x.se", Behaviour::DEFER_RECIPIENT).await;
    let lines = ["EHLO me", "MAIL FROM:<a@x.se>", "RCPT TO:<poison@x.se>", "RCPT TO:<b@x.se>"];
    assert_eq!(say(&server, &lines).await, ["220", "250", "250", "451", "250"]);
    server.set(Behaviour::BUSY).await;
    assert_eq!(say(&server, &lines[..2]).await, ["220", "250", "421"]);
}

#[tokio::test]
async fn a_stopped_mail_server_is_gone_until_started_again_with_its_mails() {
    let mut server = SmtpServer::start(Tls::None).await;
    let lines = ["EHLO me", "MAIL FROM:<a@x.se>", "RCPT TO:<b@x.se>", "DATA", CONTENT];
    say(&server, &lines).await;
    server.stop();
    let address = (Ipv4Addr::LOCALHOST, server.port());
    TcpStream::connect(address).await.expect_err("it is gone");

    server.start_again().await;
    assert_eq!(server.port(), address.1);
    say(&server, &lines).await;
    assert_eq!(server.wait_for(2).await.len(), 2);
}
