//! What goes on beside the calls: revocations come in, keys and parameters are read again, old rows go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::fallback_credential::ACTIVATION_RETENTION;
use crate::domain::session::ACCESS_TOKEN_LIFETIME;
use crate::ports::access_tokens::Revocations;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use crate::ports::store::{REQUEST_RETENTION, Store};

use super::last_done::LastDone;
use super::organizations::Organizations;
use super::signing_keys::SigningKeyFlow;

/// A revocation is seen by every replica within 1 s: three looks fit into it.
const FEED_INTERVAL: Duration = Duration::from_millis(300);

/// Positions are not committed in order: each look goes back this far, longer than any transaction may run (a batch of
/// an import, 30 s).
const FEED_OVERLAP: Duration = Duration::from_secs(45);

/// Rows of the feed in one look.
const FEED_PAGE: u32 = 5000;

/// Reset links stay visible to support for 30 days after their end.
const RESET_RETENTION: Duration = Duration::from_hours(30 * 24);

/// Messages stay visible to support for 90 days after they were settled.
const MESSAGE_RETENTION: Duration = Duration::from_hours(90 * 24);

/// Attempts and orders of logins with an eID are of no use after their end, and hold sealed numbers: an hour is for clocks
/// that differ.
const EID_RETENTION: Duration = Duration::from_hours(1);

/// Feed rows are kept for twice as long as an access token can live, for replicas that start or lag.
const FEED_RETENTION: Duration = Duration::from_secs(2 * ACCESS_TOKEN_LIFETIME.as_secs());

/// Sessions stay visible to support for 30 days after their end.
const SESSION_RETENTION: Duration = Duration::from_hours(30 * 24);

const KEYS_INTERVAL: Duration = Duration::from_secs(10);
const PARAMETERS_INTERVAL: Duration = Duration::from_secs(5);
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);

/// Sweeps of one kind in a row: one takes 10,000 rows, and a flood of requests for links leaves more than that in ten
/// minutes where a few organizations are flooded at once.
const MOST_SWEEPS: u32 = 10;

/// Times that names are folded in a row, a thousand people each: those of before there were folded names are through
/// within hours, a few seconds of work every ten minutes.
const MOST_FOLDS: u32 = 50;

/// What upkeep needs.
pub struct Upkeep {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Takes revocations.
    pub revocations: Arc<dyn Revocations>,
    /// Takes hash parameters.
    pub organizations: Arc<Organizations>,
    /// Loads signing keys.
    pub keys: Arc<SigningKeyFlow>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// When the feed was read last, for metrics.
    pub feed_read: LastDone,
}

/// Where the revocation feed was read up to.
#[derive(Default)]
pub struct FeedCursor {
    /// Highest position at a time; the front is the one that the next look starts from.
    seen: VecDeque<(Instant, i64)>,
}

impl FeedCursor {
    /// The position to read after: the highest one that was seen longer than the overlap ago.
    fn start(&mut self, now: Instant) -> i64 {
        while self.seen.len() > 1 && now.duration_since(self.seen[1].0) >= FEED_OVERLAP {
            self.seen.pop_front();
        }
        match self.seen.front() {
            Some((at, position)) if now.duration_since(*at) >= FEED_OVERLAP => *position,
            Some(_) | None => 0,
        }
    }

    fn reached(&mut self, now: Instant, position: i64) {
        if self.seen.back().is_none_or(|(_, last)| *last < position) {
            self.seen.push_back((now, position));
        }
    }
}

impl Upkeep {
    /// Reads everything once: before it is done, the service is not ready.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn prime(&self, cursor: &mut FeedCursor) -> Result<(), PortError> {
        self.keys.ensure().await?;
        self.organizations.note_parameters(self.store.hash_parameters_in_use().await?);
        self.read_feed(cursor).await
    }

    /// Runs until `stop`. A dependency that is away is asked again at the next tick.
    pub async fn run(self, cursor: FeedCursor, stop: CancellationToken) {
        // Side by side: a slow sweep must not keep revocations waiting.
        let work = async { tokio::join!(self.follow_feed(cursor), self.keep_house()) };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = work => {}
        }
    }

    async fn follow_feed(&self, mut cursor: FeedCursor) {
        let mut feed = ticker(FEED_INTERVAL);
        let mut away = false;
        loop {
            feed.tick().await;
            let failed = match self.read_feed(&mut cursor).await {
                Ok(()) => None,
                Err(error) => Some(error.to_string()),
            };
            // Once an outage and once its end: at three looks a second, more would drown everything else.
            match &failed {
                Some(error) if !away => tracing::warn!(error, "the revocation feed cannot be read"),
                None if away => tracing::info!("the revocation feed is read again"),
                Some(_) | None => {}
            }
            away = failed.is_some();
        }
    }

    async fn keep_house(&self) {
        let mut keys = ticker(KEYS_INTERVAL);
        let mut parameters = ticker(PARAMETERS_INTERVAL);
        let mut sweep = ticker(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                _ = keys.tick() => report("signing keys", self.keys.load().await),
                _ = parameters.tick() => report("hash parameters", self.read_parameters().await),
                _ = sweep.tick() => report("sweep", self.sweep().await),
            }
        }
    }

    async fn read_feed(&self, cursor: &mut FeedCursor) -> Result<(), PortError> {
        let now = Instant::now();
        let mut position = cursor.start(now);
        loop {
            let page = self.store.revocations_after(position, FEED_PAGE).await?;
            for revocation in &page {
                self.revocations.note(&revocation.session, revocation.at);
                position = position.max(revocation.position);
            }
            if page.len() < FEED_PAGE as usize {
                break;
            }
        }
        cursor.reached(now, position);
        self.feed_read.now();
        self.revocations.forget(self.clock.now().minus(FEED_RETENTION));
        Ok(())
    }

    async fn read_parameters(&self) -> Result<(), PortError> {
        self.organizations.note_parameters(self.store.hash_parameters_in_use().await?);
        Ok(())
    }

    async fn sweep(&self) -> Result<(), PortError> {
        let now = self.clock.now();
        self.store.sweep_sessions(now.minus(FEED_RETENTION), now.minus(SESSION_RETENTION)).await?;
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_resets(now.minus(RESET_RETENTION), now).await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_messages(now.minus(MESSAGE_RETENTION)).await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_oidc_attempts(now.minus(EID_RETENTION)).await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_bankid_orders(now.minus(EID_RETENTION)).await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_FOLDS {
            if self.store.fold_names().await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_evidence(now).await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_activations(now.minus(ACTIVATION_RETENTION)).await? == 0 {
                break;
            }
        }
        for _ in 0..MOST_SWEEPS {
            if self.store.sweep_staff_requests(now.minus(REQUEST_RETENTION)).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}

fn report(what: &str, result: Result<(), PortError>) {
    if let Err(error) = result {
        tracing::warn!(what, error = %error, "upkeep failed; it goes on at the next tick");
    }
}

fn ticker(period: Duration) -> tokio::time::Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feed_is_read_again_for_as_long_as_a_transaction_may_run() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut cursor = FeedCursor::default();
        cursor.reached(at(0), 10);
        cursor.reached(at(5), 20);
        assert_eq!(cursor.start(at(44)), 0);
        assert_eq!(cursor.start(at(45)), 10);
        assert_eq!(cursor.start(at(49)), 10);
        assert_eq!(cursor.start(at(50)), 20);
    }
}
