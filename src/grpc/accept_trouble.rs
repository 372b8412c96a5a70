//! What goes wrong when connections are taken: counted each time, said once.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{self, ConnectionMetrics};

/// When there is no file descriptor left, accepting waits this long for one instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What has not happened for this long is said again when it does.
const QUIET: Duration = Duration::from_mins(1);

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All places are taken.
    All,
    /// The peer has as many as one may have.
    Peer,
}

impl Full {
    /// The name in metrics, which is that of the limit in the configuration.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "max_connections",
            Self::Peer => "max_connections_per_peer",
        }
    }
}

/// A time without accepting.
#[derive(Debug)]
struct Failing {
    since: Instant,
    failures: u64,
}

/// Says and counts the troubles of one port.
pub(super) struct AcceptTrouble {
    metrics: ConnectionMetrics,
    failing: Option<Failing>,
    last_full: [Option<Instant>; 2],
}

impl AcceptTrouble {
    pub(super) const fn new(metrics: ConnectionMetrics) -> Self {
        Self { metrics, failing: None, last_full: [None; 2] }
    }

    /// A connection was accepted.
    pub(super) fn accepted(&mut self) {
        self.metrics.accepted.inc();
        if let Some(Failing { since, failures }) = self.failing.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(target: telemetry::CONNECTION, failures, seconds, "connections are accepted again");
        }
    }

    /// A connection that was accepted has no place.
    pub(super) fn refused(&mut self, full: Full) {
        self.metrics.closed(full.as_str());
        if self.is_news(full, Instant::now()) {
            tracing::warn!(target: telemetry::CONNECTION, limit = full.as_str(), "connections are refused");
        }
    }

    fn is_news(&mut self, full: Full, now: Instant) -> bool {
        let [all, peer] = &mut self.last_full;
        let last = match full {
            Full::All => all,
            Full::Peer => peer,
        };
        let before = last.replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) >= QUIET)
    }

    /// Accepting failed. Errors of one connection are forgotten; those of the process (no descriptors, no memory) are
    /// waited out. The loop ends for neither (RUSTSEC-2024-0376).
    pub(super) async fn failed(&mut self, error: &io::Error, drain: &CancellationToken) {
        let of_one_connection = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        );
        if of_one_connection {
            return;
        }
        self.metrics.accept_failures.inc();
        if let Some(failing) = &mut self.failing {
            failing.failures += 1;
        } else {
            tracing::warn!(target: telemetry::CONNECTION, %error, "connections cannot be accepted");
            self.failing = Some(Failing { since: Instant::now(), failures: 1 });
        }
        drain.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_port_is_said_once_until_it_was_not_full_for_a_minute() {
        let mut trouble = AcceptTrouble::new(ConnectionMetrics::default());
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(trouble.is_news(Full::All, at(0)));
        assert!(!trouble.is_news(Full::All, at(59)));
        assert!(!trouble.is_news(Full::All, at(118)), "it went on");
        assert!(trouble.is_news(Full::Peer, at(118)), "another limit");
        assert!(trouble.is_news(Full::All, at(178)));
    }
}
