//! Follows the files of the configuration: what changed in them is put into use, or refused as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::running::Running;
use crate::config::{Log, Reading, Seen, Source, look};
use crate::ports::clock::Clock;
use crate::telemetry::watched::{
    CONFIGURATION_REFUSED, CONFIGURATION_RELOADS, CONFIGURATION_RESTART_NEEDED, CONFIGURATION_TAKEN,
    watch_counters, watch_gauge,
};

/// How often the files are looked at. What changed is taken at the next look that finds it unchanged since: who writes
/// several files is given time to finish.
const TICK: Duration = Duration::from_secs(5);

/// What was refused is tried again after [`TICK`], after twice that time, and so on up to this: a database may come to know
/// a password later than we do, and should not be asked for it for ever at the pace of a guesser.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Files to follow.
pub struct Followed {
    /// Where the configuration comes from.
    pub source: Source,
    /// What the files held when the configuration in use was read.
    pub seen: Seen,
    /// Told what to log when a configuration is put into use.
    pub set_log: Box<dyn Fn(Log) + Send + Sync>,
}

/// What became of changes, for metrics.
#[derive(Default)]
pub(super) struct FollowingCounts {
    taken: AtomicU64,
    refused: AtomicU64,
    /// Whether the files hold something that is refused.
    is_refused: AtomicBool,
    /// Whether they say something that needs a restart.
    restart_needed: AtomicBool,
    /// When the configuration in use was put into use, milliseconds since the epoch.
    taken_ms: AtomicI64,
}

impl FollowingCounts {
    /// Of a configuration that is put into use now.
    pub(super) fn since(clock: &dyn Clock) -> Arc<Self> {
        Arc::new(Self { taken_ms: AtomicI64::new(clock.now().as_millis()), ..Self::default() })
    }

    pub(super) fn watch(counts: &Arc<Self>, registry: &mut Registry) {
        let (taken, refused) = (Arc::clone(counts), Arc::clone(counts));
        let taken =
            Box::new(move || taken.taken.load(Ordering::Relaxed)) as Box<dyn Fn() -> u64 + Send + Sync>;
        let refused = Box::new(move || refused.refused.load(Ordering::Relaxed)) as _;
        let samples = [
            (vec![("result", "taken".to_owned())], taken),
            (vec![("result", "refused".to_owned())], refused),
        ];
        let help = "Changed configurations that were read while the service ran";
        watch_counters(registry, CONFIGURATION_RELOADS, help, samples);
        let flag = |read: fn(&Self) -> &AtomicBool| {
            let counts = Arc::clone(counts);
            move || if read(&counts).load(Ordering::Relaxed) { 1.0 } else { 0.0 }
        };
        let help = "1 while the files hold a configuration that is refused";
        watch_gauge(registry, CONFIGURATION_REFUSED, help, flag(|counts| &counts.is_refused));
        let help = "1 while the files say something that needs a restart";
        watch_gauge(registry, CONFIGURATION_RESTART_NEEDED, help, flag(|counts| &counts.restart_needed));
        let counts = Arc::clone(counts);
        let help = "When the configuration in use was put into use, seconds since 1970";
        #[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are far away")]
        watch_gauge(registry, CONFIGURATION_TAKEN, help, move || {
            counts.taken_ms.load(Ordering::Relaxed) as f64 / 1000.0
        });
    }
}

/// Looks at the files.
pub(super) struct Following {
    pub(super) running: Arc<Running>,
    pub(super) counts: Arc<FollowingCounts>,
    pub(super) look_now: Arc<Notify>,
    source: Source,
    set_log: Box<dyn Fn(Log) + Send + Sync>,
    /// What is looked at.
    files: Vec<PathBuf>,
    /// What the files held when the configuration in use was read.
    taken: Seen,
    /// What they held at the last look, if that was something else.
    changed: Option<Seen>,
    /// What they held when it was refused, if it was.
    refused: Option<Refused>,
}

/// A change that cannot be used.
struct Refused {
    /// What was logged of it: a file that stays bad is told of once.
    why: String,
    held: Seen,
    pause: Duration,
    since: Instant,
}

impl Refused {
    /// Refused now; `before`: what was refused then.
    fn new(before: Option<&Self>, why: String, held: Seen, now: Instant) -> Self {
        let pause = match before {
            Some(before) if before.held == held => (2 * before.pause).min(LONGEST_PAUSE),
            Some(_) | None => TICK,
        };
        Self { why, held, pause, since: now }
    }

    /// Whether there is nothing to be done about what the files hold now.
    fn waits(&self, held: &Seen, now: Instant) -> bool {
        self.held == *held && now < self.since + self.pause
    }
}

impl Following {
    pub(super) fn new(
        running: Arc<Running>,
        counts: Arc<FollowingCounts>,
        look_now: Arc<Notify>,
        followed: Followed,
    ) -> Self {
        let Followed { source, seen, set_log } = followed;
        let taken = without_certificates(&running, seen);
        let files: Vec<PathBuf> = taken.keys().cloned().collect();
        Self { running, counts, look_now, source, set_log, files, taken, changed: None, refused: None }
    }

    /// Looks until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let look_now = Arc::clone(&self.look_now);
        loop {
            let asked = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = look_now.notified() => true,
                _ = tick.tick() => false,
            };
            // A reload that has begun is ended: what it started is not left behind.
            self.look(asked).await;
        }
    }

    async fn look(&mut self, asked: bool) {
        let held = look(&self.files);
        // What else is looked at was named by what was refused.
        if self.taken.iter().all(|(file, taken)| held.get(file) == Some(taken)) {
            self.files = self.taken.keys().cloned().collect();
            self.changed = None;
            self.refused = None;
            self.counts.is_refused.store(false, Ordering::Relaxed);
            return;
        }
        if !asked {
            if self.refused.as_ref().is_some_and(|refused| refused.waits(&held, Instant::now())) {
                return;
            }
            if self.changed.as_ref() != Some(&held) {
                self.changed = Some(held);
                return;
            }
        }
        let Reading { config, seen, is_settled } = self.source.read_again();
        if !is_settled {
            self.changed = None;
            return;
        }
        let seen = without_certificates(&self.running, seen);
        let put_into_use = match config {
            Err(faults) => Err(faults.to_string()),
            Ok(config) => {
                let log = config.log;
                let used = self.running.reload(config).await;
                used.map(|needs_restart| (log, needs_restart)).map_err(|error| format!("{error:#}"))
            }
        };
        match put_into_use {
            Ok((log, needs_restart)) => {
                self.files = seen.keys().cloned().collect();
                self.taken = seen;
                self.note_taken(log, &needs_restart);
            }
            Err(why) => self.note_refused(why, seen),
        }
    }

    fn note_taken(&mut self, log: Log, needs_restart: &[&'static str]) {
        (self.set_log)(log);
        self.refused = None;
        self.changed = None;
        self.counts.is_refused.store(false, Ordering::Relaxed);
        self.counts.restart_needed.store(!needs_restart.is_empty(), Ordering::Relaxed);
        let now = self.running.lasting.outside.clock.now();
        self.counts.taken_ms.store(now.as_millis(), Ordering::Relaxed);
        self.counts.taken.fetch_add(1, Ordering::Relaxed);
        tracing::info!("the configuration was read again: requests from now on see it");
        if !needs_restart.is_empty() {
            let sections = needs_restart.join(", ");
            tracing::warn!(sections, "the configuration says something that needs a restart");
        }
    }

    fn note_refused(&mut self, why: String, seen: Seen) {
        self.counts.is_refused.store(true, Ordering::Relaxed);
        if self.refused.as_ref().is_none_or(|refused| refused.why != why) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            tracing::error!(error = why, "the changed configuration cannot be used: the old one goes on");
        }
        // Those of the configuration in use as well: they may be put back as they were.
        let mut held = look(self.taken.keys().filter(|file| !seen.contains_key(*file)));
        held.extend(seen);
        self.files = held.keys().cloned().collect();
        self.changed = Some(held.clone());
        self.refused = Some(Refused::new(self.refused.as_ref(), why, held, Instant::now()));
    }
}

/// Certificates of the port are followed on their own: a renewal makes nothing else anew.
fn without_certificates(running: &Running, mut seen: Seen) -> Seen {
    if let Some(tls) = &running.lasting.fixed.listen.tls {
        for file in [Some(&tls.cert_file), Some(&tls.key_file), tls.client_ca_file.as_ref()] {
            file.map(|file| seen.remove(file));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_again_and_again_is_tried_at_growing_pauses() {
        let bad = Seen::from([(PathBuf::from("database-url"), Some([1; 32]))]);
        let mended = Seen::from([(PathBuf::from("database-url"), Some([2; 32]))]);
        let (mut now, mut refused, mut pauses) = (Instant::now(), None, Vec::new());
        for _ in 0..9 {
            let again = Refused::new(refused.as_ref(), "no such user".to_owned(), bad.clone(), now);
            pauses.push(again.pause.as_secs());
            assert!(again.waits(&bad, now + again.pause - Duration::from_millis(1)));
            assert!(!again.waits(&mended, now), "what changed does not wait");
            now += again.pause;
            assert!(!again.waits(&bad, now));
            refused = Some(again);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(Refused::new(refused.as_ref(), String::new(), mended, now).pause, TICK, "and begins anew");
    }
}
