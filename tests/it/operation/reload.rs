//! What changes in the files of the configuration is used without a restart, or refused as a whole.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::cli::callers::new_token;
use guardian_auth::domain::caller::TokenDigest;
use guardian_auth::proto::Portal;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::is_known;
use crate::support::process::{Process, minimal_config};
use crate::support::service::{Attempt, KOMMUN, Parts, Service, guardian, hash, reason, school_and_child};
use crate::support::{START_DEADLINE, eventually};

pub(super) const RELOADS: &str = "guardian_auth_configuration_reloads_total";
pub(super) const REFUSED: &str = "guardian_auth_configuration_refused";
const RESTART_NEEDED: &str = "guardian_auth_configuration_restart_needed";
const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
/// The files are looked at every 5 s, and changes are taken at the second look.
const NOTICED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(5);

/// A replica whose files are mounted as Kubernetes does it: links to a directory that is replaced by moving a link.
pub(super) struct Mounted {
    pub(super) directory: TempDir,
    /// Everything but the callers.
    config: String,
    versions: usize,
}

impl Mounted {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = minimal_config(directory.path());
        let (config, _) = config.split_once("[[callers]]").unwrap();
        let mounted = Self { config: config.to_owned(), directory, versions: 0 };
        symlink("..data/config.toml", mounted.file()).unwrap();
        mounted
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// Replaces everything at one moment, as the kubelet does.
    pub(super) fn mount(&mut self, content: &str) {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        let folder = self.directory.path().join(&version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), content).unwrap();
        let link = self.directory.path().join("..data_tmp");
        symlink(&version, &link).unwrap();
        std::fs::rename(link, self.directory.path().join("..data")).unwrap();
    }

    /// With these callers.
    pub(super) fn with_callers(&self, digests: &[&TokenDigest]) -> String {
        let caller = |(number, digest): (usize, &&TokenDigest)| {
            format!(
                "[[callers]]\nname = \"caller-{number}\"\nkind = \"portal\"\ntoken_sha256 = [\"{digest}\"]\n\
                 organizations = [\"sample-kommun\"]\nportals = [\"parent\"]\n"
            )
        };
        let callers: String = digests.iter().enumerate().map(caller).collect();
        format!("{}{callers}", self.config)
    }
}

pub(super) fn token() -> (String, TokenDigest) {
    let (token, digest) = new_token(&SystemEntropy);
    (token.expose().clone(), digest)
}

async fn taken(process: &Process, count: f64) {
    process.hang_up();
    eventually(START_DEADLINE, "the configuration is read again", async || {
        process.metric(RELOADS, "\"taken\"").await >= count - 0.5
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_configuration_is_used_when_it_changes_without_any_signal() {
    let mut mounted = Mounted::new();
    let ((old, old_digest), (new, new_digest)) = (token(), token());
    mounted.mount(&mounted.with_callers(&[&old_digest]));
    let file = mounted.file();
    let process = tokio::task::block_in_place(|| Process::start(&file));
    let (by_old, by_new) = (process.calls(&old).await, process.calls(&new).await);
    assert!(is_known(&by_old).await && !is_known(&by_new).await);

    mounted.mount(&mounted.with_callers(&[&old_digest, &new_digest]));
    eventually(NOTICED, "the new caller is known", async || is_known(&by_new).await).await;
    assert!(is_known(&by_old).await, "on the same connection");
    mounted.mount(&mounted.with_callers(&[&new_digest]));
    eventually(NOTICED, "the old caller is not known any more", async || !is_known(&by_old).await).await;
    assert!(is_known(&by_new).await);
    assert!((process.metric(RELOADS, "\"taken\"").await - 2.0).abs() < 0.5);
}

/// Who writes several files one after the other is given time to finish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_goes_on_changing_is_not_taken() {
    let mut mounted = Mounted::new();
    let (secret, digest) = token();
    let text = mounted.with_callers(&[&digest]);
    mounted.mount(&text);
    let file = mounted.file();
    let process = tokio::task::block_in_place(|| Process::start(&file));
    let began = Instant::now();
    eventually(START_DEADLINE, "it was looked at twice and more", async || {
        mounted.mount(&format!("{text}# {:?}\n", began.elapsed()));
        began.elapsed() > 2 * LOOK
    })
    .await;
    assert!(process.metric(RELOADS, "").await < 0.5, "while it changed");
    eventually(NOTICED, "it is taken", async || process.metric(RELOADS, "\"taken\"").await > 0.5).await;
    assert!(is_known(&process.calls(&secret).await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_configuration_is_refused_as_a_whole_and_told_of_once() {
    let mut mounted = Mounted::new();
    let ((old, old_digest), (new, new_digest)) = (token(), token());
    mounted.mount(&mounted.with_callers(&[&old_digest]));
    let file = mounted.file();
    let process = tokio::task::block_in_place(|| Process::start(&file));
    let (by_old, by_new) = (process.calls(&old).await, process.calls(&new).await);
    assert!(is_known(&by_old).await);

    // A caller that would be good, beside a key that is none, and a secret where no secret belongs.
    let faulty = mounted.with_callers(&[&new_digest]).replace("[[keys.master]]", "[[keys.masters]]");
    mounted.mount(&faulty.replace("display_name = \"Sample kommun\"", "display_name = 7"));
    for _ in 0..3 {
        process.hang_up();
        eventually(START_DEADLINE, "the faults are told", async || process.metric(REFUSED, "").await > 0.5)
            .await;
    }
    let told = process.logged("the changed configuration cannot be used");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("keys.masters") && told[0].contains("display_name"), "all faults: {told:?}");
    assert!(is_known(&by_old).await && !is_known(&by_new).await, "nothing of it is used");
    assert!((process.metric(RELOADS, "\"refused\"").await - 1.0).abs() < 0.5);

    // What only shows when it is put together is refused as well: the key of the tokens that are out is gone.
    let other_key = mounted.directory.path().join("other-key");
    std::fs::write(&other_key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let original = mounted.directory.path().join("master-key");
    let text = mounted.with_callers(&[&new_digest]);
    mounted.mount(&text.replace(original.to_str().unwrap(), other_key.to_str().unwrap()));
    process.hang_up();
    eventually(START_DEADLINE, "a key that opens nothing is refused", async || {
        process.metric(RELOADS, "\"refused\"").await > 1.5
    })
    .await;
    assert!(is_known(&by_old).await && !is_known(&by_new).await);

    mounted.mount(&mounted.with_callers(&[&new_digest]));
    taken(&process, 1.0).await;
    assert!(process.metric(REFUSED, "").await < 0.5);
    let told = process.logged("the changed configuration cannot be used");
    assert_eq!(told.len(), 2, "each refusal once, however often it was looked at: {told:?}");
    assert!(is_known(&by_new).await && !is_known(&by_old).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_level_follows_and_what_needs_a_restart_is_said() {
    let mut mounted = Mounted::new();
    let (secret, digest) = token();
    mounted.mount(&mounted.with_callers(&[&digest]));
    let file = mounted.file();
    let process = tokio::task::block_in_place(|| Process::start(&file));
    let calls = process.calls(&secret).await;
    let lines = || process.logged("ListLoginMethods").len();
    assert!(is_known(&calls).await);
    eventually(START_DEADLINE, "a call is logged", async || lines() == 1).await;

    mounted.config = format!("{}\n[log]\nlevel = \"error\"\n", mounted.config);
    mounted.mount(&mounted.with_callers(&[&digest]));
    taken(&process, 1.0).await;
    calls.verify("no token", KOMMUN, Portal::Parent).await.unwrap_err();
    mounted.config = mounted.config.replace("\"error\"", "\"info\"");
    mounted.config = mounted.config.replace("[listen]\n", "[listen]\nmax_streams = 7\n");
    mounted.mount(&mounted.with_callers(&[&digest]));
    taken(&process, 2.0).await;
    assert!(is_known(&calls).await);
    eventually(START_DEADLINE, "calls are logged again", async || lines() == 2).await;
    assert_eq!(process.logged("VerifySession"), [""; 0], "not while the level was another");
    let told = process.logged("needs a restart");
    assert!(told.len() == 1 && told[0].contains("\"sections\":\"listen\""), "{told:?}");
    assert!(process.metric(RESTART_NEEDED, "").await > 0.5);

    mounted.config = mounted.config.replace("max_streams = 7\n", "");
    mounted.mount(&mounted.with_callers(&[&digest]));
    taken(&process, 3.0).await;
    assert!(process.metric(RESTART_NEEDED, "").await < 0.5, "the files say again what runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_and_sessions_go_on_while_configurations_come_and_go() {
    const CONFIGURATIONS: usize = 12;
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        let hash = hash(PASSWORD).await;
        let mut rows = school_and_child();
        rows.extend(
            (0..4).map(|number| guardian(&format!("g-{number}"), &format!("user-{number}"), Some(&hash))),
        );
        service.import(KOMMUN, &rows).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let rounds = Arc::new(AtomicUsize::new(0));
        let mut load = JoinSet::new();
        for lane in 0..4 {
            let (portal, stop, rounds) = (service.portal(KOMMUN).await, stop.clone(), Arc::clone(&rounds));
            load.spawn(async move {
                while !stop.is_cancelled() {
                    let name = format!("user-{lane}");
                    let tokens = portal.session(Attempt::new(&name, PASSWORD)).await;
                    portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await.unwrap();
                    let next = portal.refresh(&tokens.refresh_token).await.unwrap();
                    portal.verify(&next.access_token, KOMMUN, Portal::Parent).await.unwrap();
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..CONFIGURATIONS {
            assert_eq!(service.reload(|_| {}).await.unwrap(), [""; 0], "{parts:?}");
            let before = rounds.load(Ordering::Relaxed);
            eventually(START_DEADLINE, "logins with it", async || rounds.load(Ordering::Relaxed) > before)
                .await;
        }
        stop.cancel();
        // Panics if one of them did: then a call failed.
        load.join_all().await;
    }
}

/// A budget that was used up is not handed out anew because somebody changed a caller.
#[tokio::test]
async fn counters_of_limits_go_on_across_a_reload() {
    let service = Service::start(Parts::Embedded).await;
    let portal = service.portal(KOMMUN).await;
    let limited = async || {
        let status = portal.log_in(Attempt::new("nobody", "a wrong guess")).await.unwrap_err();
        reason(&status) == "RATE_LIMITED"
    };
    // The clock stands still: nothing is refilled.
    eventually(START_DEADLINE, "the budget is used up", limited).await;
    service.reload(|_| {}).await.unwrap();
    assert!(limited().await, "and stays used up");
    // With other numbers of replicas the counters are others.
    service.reload(|config| config.limits.replicas = 2).await.unwrap();
    assert!(!limited().await);
}

#[tokio::test]
async fn a_service_that_stops_takes_no_other_configuration_and_leaves_nothing_behind() {
    let mut service = Service::start(Parts::Embedded).await;
    service.reload(|_| {}).await.unwrap();
    service.stop().await;
    assert!(Path::new(&service.store_location()).exists());
}
