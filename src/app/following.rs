//! Follows the files of the configuration: what changed in them is put into use, or refused as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
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
    /// The refusal that was logged last: a file that stays bad is told of once.
    refused: Option<String>,
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
        if held == self.taken {
            self.changed = None;
            self.refused = None;
            self.counts.is_refused.store(false, Ordering::Relaxed);
            return;
        }
        if !asked && self.changed.as_ref() != Some(&held) {
            self.changed = Some(held);
            return;
        }
        let Reading { config, seen, is_settled } = self.source.read();
        if !is_settled {
            self.changed = None;
            return;
        }
        let seen = without_certificates(&self.running, seen);
        self.files = seen.keys().cloned().collect();
        self.changed = Some(seen.clone());
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
                self.taken = seen;
                self.note_taken(log, &needs_restart);
            }
            Err(why) => self.note_refused(why),
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

    fn note_refused(&mut self, why: String) {
        self.counts.is_refused.store(true, Ordering::Relaxed);
        if self.refused.as_ref() != Some(&why) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            tracing::error!(error = why, "the changed configuration cannot be used: the old one goes on");
        }
        self.refused = Some(why);
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
