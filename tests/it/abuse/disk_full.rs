//! The disk is full: said as an outage, nothing is half written, and all is well when there is room again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tonic::{Code, Status};

use crate::support::eventually;
use crate::support::process::{Process, serve, serve_after};
use crate::support::service::{Attempt, Calls, http_get, reason, sum_of};
use crate::support::sql::Sql;

use super::target::{Installation, PASSWORD};

const WRONG: &str = "a wrong guess, and no answer to it";
const SOON: Duration = Duration::from_secs(60);

/// A portal that counts what was acknowledged to it.
struct Counting {
    calls: Calls,
    logins: i64,
}

impl Counting {
    async fn log_in(&mut self, password: &str) -> Result<(), Status> {
        let result = self.calls.log_in(Attempt::new("user-0", password)).await.map(drop);
        self.logins += i64::from(result.is_ok());
        result
    }

    /// Logs in until the disk is full, and then tries both passwords: neither is called wrong, and neither gets in.
    async fn meets_a_full_disk(&mut self) {
        eventually(SOON, "a login meets the full disk", async || {
            let result = self.log_in(PASSWORD).await;
            result.is_err_and(|status| {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                true
            })
        })
        .await;
        for password in [PASSWORD, WRONG, PASSWORD, WRONG] {
            let status = self.log_in(password).await.expect_err("the disk is full");
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unavailable, "DEPENDENCY_UNAVAILABLE")
            );
        }
    }

    /// Nobody restarted anything.
    async fn recovers(&mut self) {
        eventually(SOON, "logins when there is room again", async || self.log_in(PASSWORD).await.is_ok())
            .await;
        for _ in 0..3 {
            self.log_in(PASSWORD).await.expect("there is room");
        }
        let wrong = self.log_in(WRONG).await.unwrap_err();
        assert_eq!(wrong.code(), Code::Unauthenticated, "a wrong password is one again");
    }

    /// What was acknowledged is there, with its event; what was not left nothing.
    async fn is_what_the_store_holds(&self, store: &Path) {
        let directory = tempfile::tempdir().unwrap();
        for end in ["", "-wal"] {
            let name = format!("store.sqlite{end}");
            fs::copy(store.with_file_name(&name), directory.path().join(&name)).unwrap();
        }
        let mut sql = Sql::at(&format!("sqlite://{}", directory.path().join("store.sqlite").display())).await;
        assert_eq!(sql.texts("PRAGMA integrity_check").await, ["ok"]);
        assert_eq!(sql.number("SELECT count(*) FROM session").await, self.logins);
        let events = "SELECT count(*) FROM audit_event WHERE kind = 'logged_in'";
        assert_eq!(sql.number(events).await, self.logins);
    }
}

/// Health, metrics and public keys need no disk.
async fn the_rest_answers(process: &Process) {
    for path in ["/ready", "/metrics"] {
        assert_eq!(http_get(process.ops, path).await.0, 200, "{path}");
    }
    assert_eq!(http_get(process.grpc, "/.well-known/jwks.json").await.0, 200);
    let metrics = http_get(process.ops, "/metrics").await.1;
    let away = sum_of(&metrics, "guardian_auth_rpc_total", "reason=\"DEPENDENCY_UNAVAILABLE\"");
    assert!(away >= 5.0, "and the metrics tell: {away}");
}

/// No file of the process may grow or be written (`RLIMIT_FSIZE`): every write to the database fails, from now to later.
#[tokio::test]
async fn a_database_file_that_cannot_be_written_is_an_outage_and_over_when_it_can() {
    let installation = Installation::make("");
    installation.import().await;
    let process = Process::start_by(serve(&installation.config));
    let mut portal = Counting { calls: process.calls(&installation.token).await, logins: 0 };
    portal.log_in(PASSWORD).await.unwrap();

    let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
    let largest_file = |bytes| {
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("it may be limited");
    };
    largest_file(Some(0));
    portal.meets_a_full_disk().await;
    the_rest_answers(&process).await;
    largest_file(None);
    portal.recovers().await;
    portal.is_what_the_store_holds(&installation.directory.path().join("store.sqlite")).await;
}

/// The database lies on a file system of 8 MiB, which somebody else fills up. A mount of one's own needs a namespace, which
/// some systems give to nobody but root: there the test above is all there is.
#[tokio::test]
async fn a_full_file_system_is_an_outage_and_over_when_there_is_room() {
    if !Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .status()
        .is_ok_and(|it| it.success())
    {
        println!("no mount namespace for this user: not tried on a file system of its own");
        return;
    }
    let installation = Installation::make("");
    installation.import().await;
    let path = |name: &str| installation.directory.path().join(name);
    let (disk, config) = (path("disk"), path("on-disk.toml"));
    fs::create_dir(&disk).unwrap();
    let text = fs::read_to_string(&installation.config).unwrap();
    let (before, after) = (path("store.sqlite"), disk.join("store.sqlite"));
    fs::write(&config, text.replace(before.to_str().unwrap(), after.to_str().unwrap())).unwrap();

    let mount = format!(
        "mount -t tmpfs -o size=8m tmpfs {disk} && cp {before}* {disk}/",
        disk = disk.display(),
        before = before.display()
    );
    let mut command = Command::new("unshare");
    let inner = serve_after(&mount, &config);
    command.arg("-rm").arg(inner.get_program()).args(inner.get_args());
    let process = Process::start_by(command);
    let mut portal = Counting { calls: process.calls(&installation.token).await, logins: 0 };
    portal.log_in(PASSWORD).await.unwrap();

    let as_it_sees = |path: &Path| PathBuf::from(format!("/proc/{}/root{}", process.id(), path.display()));
    let filler = as_it_sees(&disk.join("filler"));
    fill(&filler);
    portal.meets_a_full_disk().await;
    the_rest_answers(&process).await;
    fs::remove_file(&filler).unwrap();
    portal.recovers().await;
    portal.is_what_the_store_holds(&as_it_sees(&after)).await;
}

/// To the last byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [64 * 1024, 1] {
        let bytes = vec![0; size];
        let error = loop {
            if let Err(error) = file.write_all(&bytes) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}
