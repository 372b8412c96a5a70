//! PostgreSQL for tests: a database of one's own on the shared server, or a private server that may go down.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use super::ports::free_port;
use super::{
    Process, START_DEADLINE, eventually, find_program, log_tail, send_signal, told_by_tests_run, unique_name,
};

/// The address of the server that `tests/run` started for this run, as a user that may do everything. Tests use a
/// [`TestDatabase`] on it.
pub fn shared_postgres() -> String {
    told_by_tests_run("GUARDIAN_AUTH_TEST_POSTGRES_URL")
}

/// A database of one test on the shared server. It is dropped with the value, whoever is still connected.
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// Creates an empty database.
    pub async fn create() -> Self {
        Self::create_from("template1").await
    }

    /// Creates a copy of the database `template`, to which nobody may be connected meanwhile.
    pub async fn create_from(template: &str) -> Self {
        let name = unique_name("test");
        let statement = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
        execute(&shared_postgres(), statement).await.expect("the database is created");
        Self { name }
    }

    /// The name, fit for [`Self::create_from`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address, as a user that may do everything.
    pub fn url(&self) -> String {
        with_database(&shared_postgres(), &self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        // A drop cannot wait on the runtime that it may run on: this one has a thread of its own.
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(execute(&shared_postgres(), statement))
        });
        let result = dropped.join().expect("no panic");
        // A second panic would hide the first.
        if !std::thread::panicking() {
            result.expect("the database is dropped");
        }
    }
}

/// A server of one test, for outages. It ends with the value, and so does its data.
pub struct PostgresServer {
    /// None while it is stopped.
    process: Option<Process>,
    port: u16,
    directory: TempDir,
}

impl PostgresServer {
    /// Makes a new, empty server; about a second.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = directory.path().join("home");
        fs::create_dir(&home).expect("a directory");
        if let Some((user, group)) = other_user() {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))
                .expect("it may be passed");
            chown(&home, Some(user), Some(group)).expect("it may be given away");
        }
        let log = directory.path().join("initdb.log");
        let mut initdb = as_other_user(&program("initdb"));
        initdb.args(["--username=guardian", "--auth=trust", "--encoding=UTF8", "--no-sync"]);
        initdb.arg("--pgdata").arg(home.join("data")).current_dir(&home);
        let mut initdb = Process::start(&mut initdb, &log);
        assert!(initdb.wait().success(), "initdb failed:\n{}", log_tail(&log));

        for _ in 0..3 {
            let port = free_port();
            // None: another process was quicker to take the port.
            if let Some(process) = launch(directory.path(), port).await {
                return Self { process: Some(process), port, directory };
            }
        }
        panic!("postgres does not start:\n{}", log_tail(&directory.path().join("log")));
    }

    /// The address of a database that is there from the beginning, as a user that may do everything.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Stops the server at once (`pg_ctl stop -m immediate`): connections break, what was acknowledged is kept. Returns
    /// when it is gone. Nothing happens when it is stopped.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A frozen process would not hear the end.
            for member in family(process.id()) {
                send_signal(member, Signal::CONT);
            }
            send_signal(process.id(), Signal::QUIT);
            process.wait();
        }
    }

    /// Starts the stopped server on its port and with its data. Returns when it answers.
    pub async fn restart(&mut self) {
        self.stop();
        let process = launch(self.directory.path(), self.port).await;
        assert!(
            process.is_some(),
            "no restart of postgres:\n{}",
            log_tail(&self.directory.path().join("log"))
        );
        self.process = process;
    }

    /// Freezes the server with all its connections: the kernel still takes connections and bytes for it, and nothing
    /// answers.
    pub fn sigstop(&mut self) {
        let process = self.process.as_mut().expect("the server was not stopped");
        // First the one that makes the others.
        process.signal(Signal::STOP);
        for member in family(process.id()) {
            send_signal(member, Signal::STOP);
        }
    }

    /// Lets a frozen server go on.
    pub fn sigcont(&mut self) {
        let process = self.process.as_mut().expect("the server was not stopped");
        for member in family(process.id()) {
            send_signal(member, Signal::CONT);
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Not a kill: that would leave its shared memory behind.
        self.stop();
    }
}

/// Starts the server and waits until it answers; none if it ended instead.
async fn launch(directory: &Path, port: u16) -> Option<Process> {
    let home = directory.join("home");
    let data = home.join("data");
    let mut command = as_other_user(&program("postgres"));
    command.arg("-D").arg(&data).arg("-p").arg(port.to_string()).current_dir(&home);
    // The machine does not lose its power, so nothing need reach the disk. What was acknowledged must outlive the server
    // all the same: `synchronous_commit` stays on.
    for setting in
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "full_page_writes=off"]
    {
        command.arg("-c").arg(setting);
    }
    let mut process = Process::start(&mut command, &directory.join("log"));
    eventually(START_DEADLINE, "postgres answers", async || {
        !process.is_running() || is_served_from(port, &data).await.unwrap_or(false)
    })
    .await;
    process.is_running().then_some(process)
}

/// Whether the server on the port is the one with this data, not another that was quicker.
async fn is_served_from(port: u16, data: &Path) -> sqlx::Result<bool> {
    let mut connection = PgConnection::connect(&url(port)).await?;
    let served: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(Path::new(&served) == data)
}

async fn execute(url: &str, statement: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

fn url(port: u16) -> String {
    format!("postgres://guardian@127.0.0.1:{port}/postgres?sslmode=disable")
}

/// The same address with another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = address.rsplit_once('/').expect("the address names a database");
    format!("{server}/{name}?{options}")
}

/// Looks on PATH, then where Debian keeps the programs, the highest version first.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let directories: Vec<PathBuf> =
        versions.iter().map(|version| format!("/usr/lib/postgresql/{version}/bin").into()).collect();
    find_program(name, &directories)
}

/// User and group to run PostgreSQL as: it refuses to run as root.
fn other_user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the list of users can be read");
    let ids_of = |name: &str| {
        let fields: Vec<&str> = users
            .lines()
            .map(|line| line.split(':').collect())
            .find(|fields: &Vec<&str>| fields[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let ids = ids_of("postgres").or_else(|| ids_of("nobody"));
    Some(ids.expect("a user postgres or nobody: PostgreSQL refuses to run as root"))
}

fn as_other_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// The server process and those that serve its connections, from `/proc`.
fn family(server: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("freezing PostgreSQL needs /proc, as Linux has it");
    let children = processes.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        // "pid (any name) state parent …"
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (Pid::from_raw(parent) == Some(server)).then(|| Pid::from_raw(pid))?
    });
    std::iter::once(server).chain(children).collect()
}

async fn answer(url: &str) -> sqlx::Result<i32> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar("SELECT 1").fetch_one(&mut connection).await
}

async fn databases_named(name: &str) -> i64 {
    let mut connection = PgConnection::connect(&shared_postgres()).await.expect("a connection");
    let count = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1").bind(name);
    count.fetch_one(&mut connection).await.expect("a count")
}

#[tokio::test]
async fn a_test_database_is_a_copy_of_its_template_and_is_dropped_while_in_use() {
    let template = TestDatabase::create().await;
    execute(&template.url(), "CREATE TABLE a (b text)".to_owned()).await.expect("a table");

    let copy = TestDatabase::create_from(template.name()).await;
    let mut connection = PgConnection::connect(&copy.url()).await.expect("a connection");
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM a").fetch_one(&mut connection).await.expect("the table");
    assert_eq!(rows, 0);

    let name = copy.name().to_owned();
    assert_eq!(databases_named(&name).await, 1);
    drop(copy);
    assert_eq!(databases_named(&name).await, 0);
}

#[tokio::test]
async fn a_stopped_postgres_is_gone_until_restarted_with_its_data() {
    let mut server = PostgresServer::start().await;
    let url = server.url();
    execute(&url, "CREATE TABLE a (b text)".to_owned()).await.expect("a table");

    server.stop();
    answer(&url).await.expect_err("it is gone");

    server.restart().await;
    assert_eq!(server.url(), url);
    execute(&url, "INSERT INTO a VALUES ('kept')".to_owned()).await.expect("the table is still there");
}

#[tokio::test]
async fn a_frozen_postgres_does_not_answer_even_on_open_connections() {
    let mut server = PostgresServer::start().await;
    let mut connection = PgConnection::connect(&server.url()).await.expect("a connection");
    server.sigstop();
    let question = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&mut connection);
    tokio::time::timeout(Duration::from_millis(200), question).await.expect_err("nothing answers");

    server.sigcont();
    assert_eq!(answer(&server.url()).await.expect("an answer"), 1);
}
