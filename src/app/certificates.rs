//! Our certificate and the authorities of callers, read again when their files change: renewals need no restart.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Tls;
use crate::domain::secret::Secret;
use crate::grpc::tls;
use crate::telemetry::watched::{CERTIFICATE_END, CERTIFICATE_RELOADS, watch_counters, watch_gauge};

/// How often the files are looked at. Renewals come days before the end of a certificate.
const TICK: Duration = Duration::from_secs(5);

/// What the files held.
struct Loaded {
    settings: ServerConfig,
    /// The end of our certificate, seconds since the epoch.
    ends: i64,
    /// Of all files together.
    fingerprint: Vec<u8>,
}

/// What became of reading the files again, for metrics.
#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    refused: AtomicU64,
    ends: AtomicI64,
}

/// The files, and who is told of what they hold.
pub(super) struct Certificates {
    files: Tls,
    told: watch::Sender<Arc<ServerConfig>>,
    counts: Arc<Counts>,
    fingerprint: Vec<u8>,
}

impl Certificates {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// If they cannot be read or do not fit together.
    pub(super) fn load(files: &Tls) -> anyhow::Result<Self> {
        let Loaded { settings, ends, fingerprint } = read(files)?;
        let counts = Counts { ends: AtomicI64::new(ends), ..Counts::default() };
        let told = watch::Sender::new(Arc::new(settings));
        Ok(Self { files: files.clone(), told, counts: Arc::new(counts), fingerprint })
    }

    /// What new connections use.
    pub(super) fn settings(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.told.subscribe()
    }

    pub(super) fn watch(&self, registry: &mut Registry) {
        let counts = Arc::clone(&self.counts);
        let help = "When our certificate ends, seconds since 1970";
        #[expect(clippy::cast_precision_loss, reason = "2^53 seconds are far away")]
        watch_gauge(registry, CERTIFICATE_END, help, move || counts.ends.load(Ordering::Relaxed) as f64);
        let (taken, refused) = (Arc::clone(&self.counts), Arc::clone(&self.counts));
        let taken =
            Box::new(move || taken.taken.load(Ordering::Relaxed)) as Box<dyn Fn() -> u64 + Send + Sync>;
        let refused = Box::new(move || refused.refused.load(Ordering::Relaxed)) as _;
        let samples = [
            (vec![("result", "taken".to_owned())], taken),
            (vec![("result", "refused".to_owned())], refused),
        ];
        watch_counters(
            registry,
            CERTIFICATE_RELOADS,
            "Changed certificate files that were read again",
            samples,
        );
    }

    /// Looks at the files until `stop`. What cannot be used is refused, and the old certificate goes on.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The refusal that was logged last: a file that stays bad is told of once.
        let mut refused = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match read(&self.files) {
                Ok(loaded) if loaded.fingerprint == self.fingerprint => refused = None,
                Ok(loaded) => {
                    self.fingerprint = loaded.fingerprint;
                    self.counts.ends.store(loaded.ends, Ordering::Relaxed);
                    self.counts.taken.fetch_add(1, Ordering::Relaxed);
                    self.told.send_replace(Arc::new(loaded.settings));
                    refused = None;
                    tracing::info!(
                        ends = loaded.ends,
                        "the certificate was read again: new connections use it"
                    );
                }
                Err(error) => {
                    let said = format!("{error:#}");
                    if refused.as_ref() != Some(&said) {
                        self.counts.refused.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(
                            error = said,
                            "the changed certificate cannot be used: the old one goes on"
                        );
                    }
                    refused = Some(said);
                }
            }
        }
    }
}

fn read(files: &Tls) -> anyhow::Result<Loaded> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("listen.tls: reading {}", path.display()));
    let chain = read(&files.cert_file)?;
    let key = Secret::new(read(&files.key_file)?);
    let authorities = files.client_ca_file.as_deref().map(read).transpose()?;
    let settings = tls::server_config(&chain, key.expose(), authorities.as_deref()).context("listen.tls")?;
    let ends = tls::end_of_certificate(&chain).context("listen.tls")?;
    let digests = [Some(&chain), Some(key.expose()), authorities.as_ref()]
        .map(|file| file.map(|bytes| digest(&SHA256, bytes).as_ref().to_vec()).unwrap_or_default());
    Ok(Loaded { settings, ends, fingerprint: digests.concat() })
}
