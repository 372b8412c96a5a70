//! Redis for tests: the shared instance of this run, or a private one that may be killed, frozen and restarted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use redis::{ClientTlsConfig, FromRedisValue, RedisResult, TlsCertificates};
use rustix::process::Signal;
use tempfile::TempDir;

use super::ports::free_port;
use super::{Process, START_DEADLINE, eventually, find_program, log_tail, told_by_tests_run, unique_name};

/// The address of the instance that `tests/run` started for this run. Every test sees the keys of the others: use
/// an organization of your own, and no command that reaches further (`FLUSHALL`, `SCRIPT FLUSH`, `CONFIG SET`).
pub fn shared_redis() -> String {
    told_by_tests_run("GUARDIAN_AUTH_TEST_REDIS_URL")
}

/// A redis-server of one test: it keeps nothing, and ends with the value.
pub struct RedisServer {
    process: Process,
    port: u16,
    user: &'static str,
    password: String,
    tls: Option<Arc<TestTls>>,
    directory: TempDir,
}

/// What is not usual about a server.
pub struct Setup {
    /// The ordinary user; unless it is `default`, the default user is off.
    pub user: &'static str,
    /// Its ACL rules.
    pub rules: &'static str,
    /// Its password, and that of the user `harness`, who may do everything.
    pub password: String,
    /// More lines of its configuration.
    pub lines: String,
    /// TLS instead of clear text.
    pub tls: Option<Arc<TestTls>>,
    /// Whether it is a Sentinel.
    pub sentinel: bool,
}

impl Setup {
    /// A server whose default user has a password and may do everything.
    pub fn plain() -> Self {
        Self {
            user: "default",
            rules: "~* &* +@all",
            password: unique_name("password"),
            lines: String::new(),
            tls: None,
            sentinel: false,
        }
    }
}

impl RedisServer {
    /// Starts an instance whose default user has a password and may do everything.
    pub async fn start() -> Self {
        Self::start_with(Setup::plain()).await
    }

    /// Starts an instance whose one ordinary user, `guardian`, has these ACL rules, such as `~guardian:* +get`; the
    /// default user is off. [`Self::command`] is not bound by the rules.
    pub async fn start_with_acl(rules: &'static str) -> Self {
        Self::start_with(Setup { user: "guardian", rules, ..Setup::plain() }).await
    }

    /// Starts an instance with this setup.
    pub async fn start_with(setup: Setup) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let Setup { user, rules, password, lines, tls, sentinel } = setup;
        // A user starts without rights, but for `default`, which starts with all. ACL rules are taken from a file
        // only, not from the command line.
        let default = if user == "default" { "" } else { "user default off\n" };
        let keeps_nothing = if sentinel { "" } else { "save \"\"\nappendonly no\n" };
        let config = format!(
            "bind 127.0.0.1\n{keeps_nothing}dir {}\n{}{lines}\n\
             {default}user {user} on >{password} {rules}\nuser harness on >{password} ~* &* +@all\n",
            directory.path().display(),
            tls.as_ref().map_or_else(String::new, |tls| tls.lines()),
        );
        std::fs::write(directory.path().join("redis.conf"), config).expect("the configuration is written");
        for _ in 0..3 {
            let port = free_port();
            let mut arguments = port_arguments(port, tls.is_some());
            if sentinel {
                arguments.push("--sentinel".to_owned());
            }
            // None: another process was quicker to take the port.
            if let Some(process) = launch(directory.path(), &arguments, &password, port, tls.as_deref()).await
            {
                return Self { process, port, user, password, tls, directory };
            }
        }
        panic!("redis-server does not start:\n{}", log_tail(&directory.path().join("log")));
    }

    /// The address with the credentials of the ordinary user.
    pub fn url(&self) -> String {
        url(self.user, &self.password, self.port, self.tls.is_some())
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs one command over a connection of its own, as a user that may do everything.
    ///
    /// # Errors
    /// As the server or the connection answered.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let tls = self.tls.as_deref();
        query(&url("harness", &self.password, self.port, tls.is_some()), words, tls).await
    }

    /// Ends the server as a crash does: connections break, all data is lost. Returns when it is gone.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Freezes the server: the kernel still takes connections and bytes for it, and nothing answers.
    pub fn sigstop(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets a frozen server go on; it then answers what it was asked meanwhile.
    pub fn sigcont(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Starts the server again on the same port, empty, whether it runs or was killed. Returns when it answers.
    pub async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// The same with more arguments.
    pub async fn restart_with(&mut self, more: &[&str]) {
        self.kill9();
        let mut arguments = port_arguments(self.port, self.tls.is_some());
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let tls = self.tls.as_deref();
        let process = launch(self.directory.path(), &arguments, &self.password, self.port, tls).await;
        self.process = process.unwrap_or_else(|| {
            panic!("no restart of redis-server:\n{}", log_tail(&self.directory.path().join("log")))
        });
    }
}

/// An authority of a test, with a certificate for servers on loopback and one for clients.
pub struct TestTls {
    directory: TempDir,
}

impl TestTls {
    /// Makes the keys and the certificates.
    pub fn new() -> Arc<Self> {
        let tls = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        tls.renew();
        Arc::new(tls)
    }

    /// Another authority, with other certificates in the same files.
    pub fn renew(&self) {
        let mut authority = rcgen::CertificateParams::default();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let authority = rcgen::CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let write = |name: &str, content: String| {
            std::fs::write(self.file(name), content).expect("it is written");
        };
        write("ca.pem", authority.pem());
        for name in ["server", "client"] {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = rcgen::CertificateParams::new(names).expect("names");
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &authority).expect("a certificate");
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
    }

    /// A file by its name: `ca.pem`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a server is told: all connections by TLS, also those between servers, and none without a certificate.
    fn lines(&self) -> String {
        format!(
            "tls-ca-cert-file {0}/ca.pem\ntls-cert-file {0}/server.pem\ntls-key-file {0}/server.key\n\
             tls-auth-clients yes\ntls-replication yes\n",
            self.directory.path().display()
        )
    }

    fn read(&self) -> TlsCertificates {
        let read = |name| std::fs::read(self.file(name)).expect("it was written");
        let client_tls = ClientTlsConfig { client_cert: read("client.pem"), client_key: read("client.key") };
        TlsCertificates { client_tls: Some(client_tls), root_cert: Some(read("ca.pem")) }
    }
}

fn port_arguments(port: u16, tls: bool) -> Vec<String> {
    let words = if tls { vec!["--port", "0", "--tls-port"] } else { vec!["--port"] };
    words.into_iter().map(str::to_owned).chain([port.to_string()]).collect()
}

fn url(user: &str, password: &str, port: u16, tls: bool) -> String {
    let scheme = if tls { "rediss" } else { "redis" };
    format!("{scheme}://{user}:{password}@127.0.0.1:{port}/0")
}

/// Starts the server and waits until it answers; none if it ended instead. The password is its own, so the answer
/// is too; one that is loading its data answers as well.
async fn launch(
    directory: &Path,
    arguments: &[String],
    password: &str,
    port: u16,
    tls: Option<&TestTls>,
) -> Option<Process> {
    let mut command = Command::new(find_program("redis-server", &[]));
    command.arg(directory.join("redis.conf")).args(arguments);
    let mut process = Process::start(&mut command, &directory.join("log"));
    let url = url("harness", password, port, tls.is_some());
    eventually(START_DEADLINE, "redis-server answers", async || {
        !process.is_running()
            || match query::<String>(&url, &["PING"], tls).await {
                Ok(_) => true,
                Err(error) => error.code() == Some("LOADING"),
            }
    })
    .await;
    process.is_running().then_some(process)
}

async fn query<T: FromRedisValue>(url: &str, words: &[&str], tls: Option<&TestTls>) -> RedisResult<T> {
    let client = match tls {
        None => redis::Client::open(url)?,
        Some(tls) => redis::Client::build_with_tls(url, tls.read())?,
    };
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}

#[tokio::test]
async fn the_shared_redis_answers() {
    assert_eq!(query::<String>(&shared_redis(), &["PING"], None).await.expect("an answer"), "PONG");
}

#[tokio::test]
async fn a_killed_redis_is_gone_until_restarted_empty_on_its_port() {
    let mut server = RedisServer::start().await;
    let url = server.url();
    query::<()>(&url, &["SET", "key", "value"], None).await.expect("the ordinary user may write");
    assert_eq!(server.command::<String>(&["GET", "key"]).await.expect("an answer"), "value");

    server.kill9();
    assert!(server.command::<String>(&["PING"]).await.expect_err("it is gone").is_connection_refusal());

    server.restart().await;
    assert_eq!(server.url(), url);
    assert_eq!(server.command::<Option<String>>(&["GET", "key"]).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_frozen_redis_answers_when_it_goes_on() {
    let mut server = RedisServer::start().await;
    server.sigstop();
    let url = server.url();
    let answer = tokio::spawn(async move { query::<String>(&url, &["PING"], None).await });
    let frozen = server.command::<String>(&["PING"]).await.expect_err("nothing answers");
    assert!(frozen.is_timeout(), "{frozen}");
    assert!(answer.await.expect("no panic").expect_err("nothing answers").is_timeout());

    server.sigcont();
    eventually(START_DEADLINE, "the server answers again", async || {
        server.command::<String>(&["PING"]).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn an_acl_binds_the_ordinary_user_only() {
    let server = RedisServer::start_with_acl("~guardian:* resetchannels -@all +get +set +ping").await;
    query::<()>(&server.url(), &["SET", "guardian:a", "1"], None).await.expect("its own keys");
    let refused = query::<()>(&server.url(), &["SET", "other", "1"], None).await.expect_err("not its keys");
    assert_eq!(refused.code(), Some("NOPERM"), "{refused}");
    server.command::<()>(&["SET", "other", "1"]).await.expect("the harness may do everything");
}

#[tokio::test]
async fn a_dropped_redis_is_gone() {
    let server = RedisServer::start().await;
    let url = server.url();
    drop(server);
    assert!(query::<String>(&url, &["PING"], None).await.expect_err("it is gone").is_connection_refusal());
}
