//! Redis for tests: the shared instance of this run, or a private one that may be killed, frozen and restarted.

use std::path::Path;
use std::process::Command;

use redis::{FromRedisValue, RedisResult};
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
    directory: TempDir,
}

impl RedisServer {
    /// Starts an instance whose default user has a password and may do everything.
    pub async fn start() -> Self {
        Self::start_as("default", "~* &* +@all").await
    }

    /// Starts an instance whose one ordinary user, `guardian`, has these ACL rules, such as `~guardian:* +get`; the
    /// default user is off. [`Self::command`] is not bound by the rules.
    pub async fn start_with_acl(rules: &str) -> Self {
        Self::start_as("guardian", rules).await
    }

    async fn start_as(user: &'static str, rules: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let password = unique_name("password");
        // A user starts without rights, but for `default`, which starts with all. ACL rules are taken from a file
        // only, not from the command line.
        let default = if user == "default" { "" } else { "user default off\n" };
        let config = format!(
            "bind 127.0.0.1\nsave \"\"\nappendonly no\ndir {}\n\
             {default}user {user} on >{password} {rules}\nuser harness on >{password} ~* &* +@all\n",
            directory.path().display(),
        );
        std::fs::write(directory.path().join("redis.conf"), config).expect("the configuration is written");
        for _ in 0..3 {
            let port = free_port();
            // None: another process was quicker to take the port.
            if let Some(process) = launch(directory.path(), port, &password).await {
                return Self { process, port, user, password, directory };
            }
        }
        panic!("redis-server does not start:\n{}", log_tail(&directory.path().join("log")));
    }

    /// The address with the credentials of the ordinary user.
    pub fn url(&self) -> String {
        url(self.user, &self.password, self.port)
    }

    /// Runs one command over a connection of its own, as a user that may do everything.
    ///
    /// # Errors
    /// As the server or the connection answered.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        query(&url("harness", &self.password, self.port), words).await
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
        self.kill9();
        let process = launch(self.directory.path(), self.port, &self.password).await;
        self.process = process.unwrap_or_else(|| {
            panic!("no restart of redis-server:\n{}", log_tail(&self.directory.path().join("log")))
        });
    }
}

fn url(user: &str, password: &str, port: u16) -> String {
    format!("redis://{user}:{password}@127.0.0.1:{port}/0")
}

/// Starts the server and waits until it answers; none if it ended instead. The password is its own, so the answer
/// is too.
async fn launch(directory: &Path, port: u16, password: &str) -> Option<Process> {
    let mut command = Command::new(find_program("redis-server", &[]));
    command.arg(directory.join("redis.conf")).arg("--port").arg(port.to_string());
    let mut process = Process::start(&mut command, &directory.join("log"));
    let url = url("harness", password, port);
    eventually(START_DEADLINE, "redis-server answers", async || {
        !process.is_running() || query::<String>(&url, &["PING"]).await.is_ok()
    })
    .await;
    process.is_running().then_some(process)
}

async fn query<T: FromRedisValue>(url: &str, words: &[&str]) -> RedisResult<T> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}

#[tokio::test]
async fn the_shared_redis_answers() {
    assert_eq!(query::<String>(&shared_redis(), &["PING"]).await.expect("an answer"), "PONG");
}

#[tokio::test]
async fn a_killed_redis_is_gone_until_restarted_empty_on_its_port() {
    let mut server = RedisServer::start().await;
    let url = server.url();
    query::<()>(&url, &["SET", "key", "value"]).await.expect("the ordinary user may write");
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
    let answer = tokio::spawn(async move { query::<String>(&url, &["PING"]).await });
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
    query::<()>(&server.url(), &["SET", "guardian:a", "1"]).await.expect("its own keys");
    let refused = query::<()>(&server.url(), &["SET", "other", "1"]).await.expect_err("not its keys");
    assert_eq!(refused.code(), Some("NOPERM"), "{refused}");
    server.command::<()>(&["SET", "other", "1"]).await.expect("the harness may do everything");
}

#[tokio::test]
async fn a_dropped_redis_is_gone() {
    let server = RedisServer::start().await;
    let url = server.url();
    drop(server);
    assert!(query::<String>(&url, &["PING"]).await.expect_err("it is gone").is_connection_refusal());
}
