//! The hashing pool: bounded, fair, at equal cost for every account, and right about passwords.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails should stop there")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guardian_auth::adapters::argon2::{Argon2Pool, HasherMetrics, PoolSettings, Purpose, Reason};
use guardian_auth::domain::limits::Reservation;
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::password::{Blocklist, HashParameters, NewPassword, PasswordHash, PasswordPolicy};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::entropy::Entropy;
use guardian_auth::ports::password_hasher::{Comparison, HasherError, PasswordHasher, Verdict};
use guardian_auth::ports::rate_limiter::{Admitted, Decision, Ledger, RateLimiter, Receipt, reserve};
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use tokio::time::Instant;

/// Admits everybody: here the hasher is under test, not the limiter.
struct OpenLimiter;

#[async_trait]
impl RateLimiter for OpenLimiter {
    async fn decide(&self, _: &Reservation) -> Decision {
        Decision::Admitted(Ledger::Local)
    }

    fn give_back(&self, _: Receipt) {}
}

pub async fn admitted() -> Admitted {
    let organization = OrganizationId::parse("test").unwrap();
    reserve(&OpenLimiter, Reservation { organization, charges: Vec::new() }).await.unwrap().0
}

/// A predictable source whose use can be held up: a thread that makes a salt stands still until the gate opens. What it
/// counts out differs from call to call.
#[derive(Default)]
pub struct GatedEntropy {
    counter: Mutex<u8>,
    shut: AtomicBool,
    opened: Condvar,
}

impl GatedEntropy {
    fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        let _counter = self.counter.lock().unwrap();
        self.shut.store(false, Ordering::SeqCst);
        self.opened.notify_all();
    }
}

impl Entropy for GatedEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let counter = self.counter.lock().unwrap();
        let mut counter = self.opened.wait_while(counter, |_| self.shut.load(Ordering::SeqCst)).unwrap();
        *counter = counter.wrapping_add(1);
        buffer.fill(*counter);
    }
}

pub struct Pool {
    pub hasher: Arc<Argon2Pool>,
    pub metrics: HasherMetrics,
    entropy: Arc<GatedEntropy>,
}

pub fn parameters(memory_kib: u32, passes: u32) -> HashParameters {
    HashParameters::new(memory_kib, passes, 1).unwrap()
}

/// Cheap, so that thousands of runs take no time.
pub fn cheap() -> HashParameters {
    parameters(64, 1)
}

pub fn start(live: HashParameters, workers: usize, places: usize) -> Pool {
    let entropy = Arc::new(GatedEntropy::default());
    let metrics = HasherMetrics::register(&mut Registry::default());
    let settings = PoolSettings { parameters: live, workers: workers.try_into().unwrap(), places };
    let hasher =
        Argon2Pool::start(settings, Arc::clone(&entropy) as Arc<dyn Entropy>, metrics.clone()).unwrap();
    Pool { hasher: Arc::new(hasher), metrics, entropy }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

pub fn new_password(text: &str) -> NewPassword {
    let policy = PasswordPolicy { min_length: 8, blocked_words: Vec::new() };
    policy.accept(Secret::new(text.to_owned()), &Blocklist::embedded(), &[]).unwrap()
}

impl Pool {
    pub async fn verify(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
        foreign: &[HashParameters],
    ) -> Verdict {
        let comparison = Comparison { stored: stored.cloned(), foreign_parameters: foreign.to_vec() };
        let password = Secret::new(password.to_owned());
        self.hasher.verify(admitted().await, password, comparison, soon()).await.unwrap()
    }

    pub async fn hash(&self, password: &str) -> PasswordHash {
        self.hasher.hash(&new_password(password), soon()).await.unwrap()
    }

    /// A set that runs by itself, for filling the pool.
    fn hash_in_background(&self) -> tokio::task::JoinHandle<Result<PasswordHash, HasherError>> {
        let pool = Arc::clone(&self.hasher);
        tokio::spawn(async move { pool.hash(&new_password("zebra kabel moln"), soon()).await })
    }

    async fn until(&self, running: usize, waiting: usize) {
        while (self.hasher.running(), self.hasher.waiting()) != (running, waiting) {
            tokio::task::yield_now().await;
        }
    }

    fn verify_runs(&self, set: HashParameters) -> u64 {
        self.metrics.runs(set, Purpose::Verify)
    }
}

const MATCH: Verdict = Verdict::Match { outdated: false };
const OUTDATED: Verdict = Verdict::Match { outdated: true };

#[tokio::test]
async fn a_password_matches_its_own_hash_and_no_other() {
    let pool = start(cheap(), 1, 16);
    let hash = pool.hash("zebra kabel moln").await;
    assert!(hash.as_str().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    assert_eq!(pool.verify("zebra kabel moln", Some(&hash), &[]).await, MATCH);
    assert_eq!(pool.verify("zebra kabel mola", Some(&hash), &[]).await, Verdict::Mismatch);
    assert_ne!(pool.hash("zebra kabel moln").await, hash, "each hash has a salt of its own");
    let read_back = PasswordHash::parse(hash.as_str()).unwrap();
    assert_eq!(pool.verify("zebra kabel moln", Some(&read_back), &[]).await, MATCH);
}

#[tokio::test]
async fn a_password_in_use_is_hashed_anew_whatever_the_policy_says() {
    let pool = start(cheap(), 1, 16);
    let short = NewPassword::already_in_use(Secret::new("kort a\u{30a}".to_owned()));
    let hash = pool.hasher.hash(&short, soon()).await.unwrap();
    assert_eq!(pool.verify("kort \u{e5}", Some(&hash), &[]).await, MATCH);
}

#[tokio::test]
async fn a_hash_of_another_implementation_is_verified() {
    let pool = start(cheap(), 1, 16);
    // From the tests of the reference implementation: password "password", salt "somesalt".
    let imported = PasswordHash::parse(
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    );
    let imported = imported.unwrap();
    let foreign = [imported.parameters()];
    assert_eq!(pool.verify("password", Some(&imported), &foreign).await, OUTDATED);
    assert_eq!(pool.verify("Password", Some(&imported), &foreign).await, Verdict::Mismatch);
}

/// B11, layer 1: the runs, and their order, are the same for an account that exists and for one that does not.
#[tokio::test]
async fn work_is_equal_for_stored_absent_and_foreign_hashes() {
    let (live, slower, cheaper) = (cheap(), parameters(256, 2), parameters(32, 1));
    let makers = [start(live, 1, 16), start(slower, 1, 16), start(cheaper, 1, 16)];
    let mut stored = vec![None];
    for maker in &makers {
        stored.push(Some(maker.hash("zebra kabel moln").await));
    }
    let pool = start(live, 1, 16);
    for (done, hash) in (1..).zip(&stored) {
        let foreign = if done % 2 == 0 { vec![slower, cheaper] } else { vec![cheaper, live, slower, slower] };
        let expected = match hash {
            None => Verdict::Mismatch,
            Some(hash) => Verdict::Match { outdated: hash.parameters() != live },
        };
        assert_eq!(pool.verify("zebra kabel moln", hash.as_ref(), &foreign).await, expected);
        for set in [live, slower, cheaper] {
            assert_eq!(pool.verify_runs(set), done, "{set} after {hash:?}");
        }
    }
    // Positive control: without the list of foreign sets the work does tell accounts apart, and the count shows it.
    pool.verify("zebra kabel moln", None, &[]).await;
    assert_eq!((pool.verify_runs(live), pool.verify_runs(slower)), (5, 4));
}

#[tokio::test]
async fn a_hash_with_untold_parameters_is_verified_by_one_more_run() {
    let slower = parameters(256, 2);
    let hash = start(slower, 1, 16).hash("zebra kabel moln").await;
    let pool = start(cheap(), 1, 16);
    assert_eq!(pool.verify("zebra kabel moln", Some(&hash), &[]).await, OUTDATED);
    assert_eq!((pool.verify_runs(cheap()), pool.verify_runs(slower)), (1, 1));
}

/// teleport#3794: a decoy made from a known password could be logged in to with it. Ours is no password's hash, and a
/// match would not count.
#[tokio::test]
async fn the_decoy_matches_no_password() {
    let pool = start(cheap(), 1, 16);
    for guess in
        ["", " ", "\0", "password", "fake password hash", "decoy", "barbaz", "argon2id", "zebra kabel moln"]
    {
        assert_eq!(pool.verify(guess, None, &[]).await, Verdict::Mismatch, "{guess:?}");
        assert_eq!(pool.verify(guess, None, &[parameters(256, 2)]).await, Verdict::Mismatch, "{guess:?}");
    }
}

#[tokio::test]
async fn one_edit_from_a_password_never_verifies() {
    let pool = start(cheap(), 2, 16);
    let long = format!("{}é-ø", "zebra kabel moln ".repeat(6));
    let hash = pool.hash(&long).await;
    assert_eq!(pool.verify(&long, Some(&hash), &[]).await, MATCH);
    let letters: Vec<char> = long.chars().collect();
    assert!(letters.len() > 73, "bcrypt would stop at byte 72");
    let mut edits = vec![
        format!("{long} "),
        format!(" {long}"),
        format!("{long}\0"),
        format!("{long}\n"),
        long.to_uppercase(),
    ];
    for at in 0..letters.len() {
        for put in [None, Some('x'), Some('\0'), Some(' '), Some('é')] {
            let mut edit = letters.clone();
            let _ = edit.splice(at..=at, put);
            edits.push(edit.iter().collect());
            let mut edit = letters.clone();
            let _ = edit.splice(at..at, put);
            edits.push(edit.into_iter().collect());
        }
    }
    for edit in edits.into_iter().filter(|edit| *edit != long) {
        assert_eq!(pool.verify(&edit, Some(&hash), &[]).await, Verdict::Mismatch, "{edit:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_password_verifies_and_its_neighbours_do_not(
        password in "[a-zåäö0-9 ]{20,60}", at in any::<proptest::sample::Index>(), other in "[A-Z!\0\u{301}]",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pool = start(cheap(), 1, 16);
            let hash = pool.hash(&password).await;
            prop_assert_eq!(pool.verify(&password, Some(&hash), &[]).await, MATCH);
            let letters: Vec<char> = password.chars().collect();
            let at = at.index(letters.len());
            for (from, to) in [(at, at), (at, at + 1)] {
                let mut edit = letters.clone();
                edit.splice(from..to, other.chars());
                let edit: String = edit.into_iter().collect();
                prop_assert_eq!(pool.verify(&edit, Some(&hash), &[]).await, Verdict::Mismatch);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn no_more_hashes_run_at_once_than_there_are_workers_and_no_more_wait_than_there_are_places() {
    let pool = start(cheap(), 2, 3);
    pool.entropy.shut();
    let mut tasks: Vec<_> = (0..2).map(|_| pool.hash_in_background()).collect();
    pool.until(2, 0).await;
    assert!(pool.hasher.has_room());
    tasks.extend((0..3).map(|_| pool.hash_in_background()));
    pool.until(2, 3).await;
    assert!(!pool.hasher.has_room());
    // Both workers stand still: the time to wait is that of the requests ahead, two at a time.
    assert!(pool.hasher.expected_wait() > Duration::ZERO);

    let refused = pool.hasher.hash(&new_password("zebra kabel moln"), soon()).await;
    assert_eq!(refused.err(), Some(HasherError::Overloaded));
    let comparison = Comparison { stored: None, foreign_parameters: Vec::new() };
    let refused = pool.hasher.verify(admitted().await, Secret::new("x".to_owned()), comparison, soon()).await;
    assert_eq!(refused, Err(HasherError::Overloaded));
    assert_eq!(pool.metrics.refused(Reason::Overloaded), 2);
    assert_eq!((pool.hasher.running(), pool.hasher.waiting()), (2, 3));

    pool.entropy.open();
    for task in tasks {
        assert!(task.await.unwrap().is_ok());
    }
    assert_eq!(pool.metrics.runs(cheap(), Purpose::Set), 5);
    assert_eq!(pool.verify_runs(cheap()), 0);
    pool.until(0, 0).await;
    assert_eq!(pool.hasher.expected_wait(), Duration::ZERO);
}

#[tokio::test]
async fn an_expired_request_is_dropped_before_hashing() {
    let pool = start(cheap(), 1, 16);
    let comparison = || Comparison { stored: None, foreign_parameters: Vec::new() };
    let password = || Secret::new("zebra kabel moln".to_owned());

    let past = pool.hasher.verify(admitted().await, password(), comparison(), Instant::now()).await;
    assert_eq!(past, Err(HasherError::Expired));

    pool.entropy.shut();
    let busy = pool.hash_in_background();
    pool.until(1, 0).await;
    let deadline = Instant::now() + Duration::from_millis(5);
    let (hasher, admission) = (Arc::clone(&pool.hasher), admitted().await);
    let waiting =
        tokio::spawn(async move { hasher.verify(admission, password(), comparison(), deadline).await });
    pool.until(1, 1).await;
    tokio::time::sleep_until(deadline).await;
    pool.entropy.open();

    assert_eq!(waiting.await.unwrap(), Err(HasherError::Expired));
    assert!(busy.await.unwrap().is_ok());
    assert_eq!((pool.verify_runs(cheap()), pool.metrics.refused(Reason::Expired)), (0, 2));
}

#[tokio::test]
async fn shutdown_answers_what_waits_and_takes_nothing_new() {
    let pool = start(cheap(), 1, 16);
    pool.entropy.shut();
    let tasks: Vec<_> = (0..3).map(|_| pool.hash_in_background()).collect();
    pool.until(1, 2).await;
    let hasher = Arc::clone(&pool.hasher);
    let shutdown = tokio::spawn(async move { hasher.shutdown().await });
    tokio::task::yield_now().await;
    let late = pool.hasher.hash(&new_password("zebra kabel moln"), soon()).await;
    assert!(matches!(late, Err(HasherError::Failed(_))), "{late:?}");
    assert!(!shutdown.is_finished());
    pool.entropy.open();
    shutdown.await.unwrap();
    for task in tasks {
        assert!(task.await.unwrap().is_ok());
    }
    pool.hasher.shutdown().await;
    assert_eq!(pool.metrics.refused(Reason::Stopping), 1);
}

/// B31: a pool keeps what it was given; glibc would keep 240 MB after eight fresh hashes.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn resident_memory_stays_flat_over_many_hashes() {
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
    let (live, larger) = (parameters(8 * 1024, 1), parameters(16 * 1024, 1));
    let pool = start(live, 2, 16);
    let round = || async {
        for _ in 0..8 {
            pool.verify("zebra kabel moln", None, &[larger]).await;
        }
    };
    round().await;
    let before = resident_kib();
    for _ in 0..8 {
        round().await;
    }
    // Other tests run in this process: a leak of one block memory a hash would be 1.5 GB.
    assert!(resident_kib() < before + 256 * 1024, "{before} KiB before, {} KiB after", resident_kib());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_threads_have_a_name_and_give_way_to_others() {
    let pool = start(cheap(), 1, 16);
    pool.hash("zebra kabel moln").await;
    let mut niceness = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // Threads of other tests may end while this one looks.
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let (name, rest) = stat.rsplit_once(") ").unwrap();
        if name.contains("(argon2-") {
            niceness.push(rest.split(' ').nth(16).unwrap().to_owned());
        }
    }
    assert!(niceness.iter().any(|nice| nice == "10"), "{niceness:?}");
}
