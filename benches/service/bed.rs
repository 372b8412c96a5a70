//! What the service stands on: a directory of temporary files, and a PostgreSQL and a Redis of the benchmark's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use rustix::process::{Signal, geteuid};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::process::{Process, eventually, find_program, free_port};

/// Everything here ends with the value.
pub struct Bed {
    // Servers first: fields are dropped in this order, and their files must outlive them.
    postgres: OnceCell<Postgres>,
    redis: OnceCell<Redis>,
    directory: TempDir,
    count: AtomicUsize,
    /// The service that is measured.
    pub program: PathBuf,
}

struct Postgres {
    _process: Process,
    port: u16,
}

struct Redis {
    _process: Process,
    port: u16,
}

impl Bed {
    /// For a program. Without servers: they start when they are asked for.
    pub fn new(program: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("no temporary directory")?;
        // Another user runs PostgreSQL in it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let program = program.to_owned();
        Ok(Self {
            postgres: OnceCell::new(),
            redis: OnceCell::new(),
            directory,
            count: AtomicUsize::new(0),
            program,
        })
    }

    /// An empty directory.
    pub fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.path().join(format!("{name}-{number}"));
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// The URL of an empty database.
    pub async fn database(&self) -> anyhow::Result<String> {
        let server = self.postgres.get_or_try_init(|| self.start_postgres()).await?;
        let name = format!("bench_{}", self.count.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&url(server.port, "postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(url(server.port, &name))
    }

    /// The port of Redis.
    pub async fn redis_port(&self) -> anyhow::Result<u16> {
        Ok(self.redis.get_or_try_init(|| self.start_redis()).await?.port)
    }

    /// The server as it is installed: `fsync` and `synchronous_commit` are on, and said once more.
    async fn start_postgres(&self) -> anyhow::Result<Postgres> {
        let (initdb, postgres) = (postgres_program("initdb")?, postgres_program("postgres")?);
        let directory = self.directory("postgres")?;
        let (home, port) = (directory.join("home"), free_port()?);
        fs::create_dir(&home)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o711))?;
        let user = other_user()?;
        if let Some((user, group)) = user {
            chown(&home, Some(user), Some(group))?;
        }
        let data = home.join("data");
        let mut command = as_user(&initdb, user);
        command.args(["--username=guardian", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata"]);
        command.arg(&data).current_dir(&home);
        let made = command.output().context("initdb does not start")?;
        anyhow::ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));

        let mut command = as_user(&postgres, user);
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string()).current_dir(&home);
        for setting in
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on", "synchronous_commit=on"]
        {
            command.arg("-c").arg(setting);
        }
        let log = directory.join("log");
        // SIGINT: the fast shutdown, which gives back its shared memory.
        let mut process = Process::start(&mut command, Stdio::null(), &log, Signal::INT)?;
        eventually("postgres answers", async || {
            process.must_run().context("postgres")?;
            Ok(PgConnection::connect(&url(port, "postgres")).await.is_ok())
        })
        .await?;
        Ok(Postgres { _process: process, port })
    }

    async fn start_redis(&self) -> anyhow::Result<Redis> {
        let program = find_program("redis-server", &[], "redis-server")?;
        let (directory, port) = (self.directory("redis")?, free_port()?);
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(port.to_string()).arg("--dir").arg(&directory);
        let mut process = Process::start(&mut command, Stdio::null(), &directory.join("log"), Signal::TERM)?;
        eventually("redis-server answers", async || {
            process.must_run().context("redis-server")?;
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        })
        .await?;
        Ok(Redis { _process: process, port })
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://guardian@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// Looks on PATH, then where Debian keeps the programs, the highest version first.
fn postgres_program(name: &str) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let directories: Vec<PathBuf> =
        versions.iter().map(|version| format!("/usr/lib/postgresql/{version}/bin").into()).collect();
    find_program(name, &directories, "postgresql")
}

/// User and group to run PostgreSQL as: it refuses to run as root.
fn other_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("the list of users")?;
    let ids_of = |name: &str| {
        let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let fields = lines.find(|fields| fields[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let ids = ids_of("postgres").or_else(|| ids_of("nobody"));
    ids.map(Some).context("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}
