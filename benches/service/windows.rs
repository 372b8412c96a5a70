//! Windows of time that alternate between two things, and the figures made of them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::process::{Process, own_cpu};

/// How long to measure, and on how much.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// One window.
    pub window: Duration,
    /// Pairs of windows.
    pub pairs: usize,
    /// The overload.
    pub overload: Duration,
    /// Tokens to verify in turn.
    pub tokens: usize,
    /// Guardians of a large database.
    pub many: usize,
    /// Guardians of a small one.
    pub few: usize,
    /// Mails of an outbox.
    pub mails: usize,
}

impl Timing {
    /// As the targets ask for.
    pub const fn whole() -> Self {
        Self {
            window: Duration::from_secs(5),
            pairs: 6,
            overload: Duration::from_secs(30),
            tokens: 1000,
            many: 1_000_000,
            few: 1000,
            mails: 2000,
        }
    }

    /// To see that it works.
    pub const fn quick() -> Self {
        Self {
            window: Duration::from_secs(1),
            pairs: 2,
            overload: Duration::from_secs(5),
            tokens: 100,
            many: 20_000,
            few: 1000,
            mails: 200,
        }
    }
}

/// Measurements of two things, window by window.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Of the one.
    pub a: Vec<f64>,
    /// Of the other.
    pub b: Vec<f64>,
}

impl Pairs {
    /// The median of the ratios of the pairs.
    pub fn ratio(&self) -> f64 {
        median(self.a.iter().zip(&self.b).map(|(a, b)| a / b).collect())
    }

    /// The two medians and the spread of the ratios, for people.
    pub fn note(&self, unit: &str) -> String {
        let ratios: Vec<f64> = self.a.iter().zip(&self.b).map(|(a, b)| a / b).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let (a, b) = (median(self.a.clone()), median(self.b.clone()));
        format!("{a:.1} ÷ {b:.1} {unit}, pairs {least:.2}–{most:.2}")
    }
}

/// Alternates: A, B, A, B, … Each gives its measurement of a window. A short one of each goes before, uncounted.
pub async fn alternate(
    timing: Timing,
    mut a: impl AsyncFnMut(Duration) -> anyhow::Result<f64>,
    mut b: impl AsyncFnMut(Duration) -> anyhow::Result<f64>,
) -> anyhow::Result<Pairs> {
    a(timing.window / 5).await?;
    b(timing.window / 5).await?;
    let mut pairs = Pairs::default();
    for _ in 0..timing.pairs {
        pairs.a.push(a(timing.window).await?);
        pairs.b.push(b(timing.window).await?);
    }
    Ok(pairs)
}

/// Processor time spent on calls, by a server and by us: steadier than time on a busy machine.
#[derive(Debug, Default)]
pub struct Spent {
    server: Duration,
    client: Duration,
    calls: f64,
}

impl Spent {
    /// Measures a window, which gives calls per second.
    pub async fn on(
        &mut self,
        window: Duration,
        server: &Process,
        work: impl Future<Output = anyhow::Result<f64>>,
    ) -> anyhow::Result<f64> {
        let (of_server, of_client) = (server.cpu()?, own_cpu()?);
        let per_s = work.await?;
        self.server += server.cpu()?.saturating_sub(of_server);
        self.client += own_cpu()?.saturating_sub(of_client);
        self.calls += per_s * window.as_secs_f64();
        Ok(per_s)
    }

    /// What a call costs, for people.
    pub fn note(&self) -> String {
        let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / self.calls;
        format!("{:.0} + {:.0} µs CPU of server and client", micros(self.server), micros(self.client))
    }
}

/// A closed loop: `in_flight` calls at a time for a window; calls per second. `turn` goes on from window to window, and
/// each call gets the next number of it.
///
/// The window ends when the last call that began in it does: nothing reaches into the next one.
pub async fn closed_loop<C, F>(
    window: Duration,
    in_flight: usize,
    turn: &Arc<AtomicUsize>,
    call: C,
) -> anyhow::Result<f64>
where
    C: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let begun = Instant::now();
    let end = begun + window;
    let mut loops = JoinSet::new();
    for _ in 0..in_flight {
        let (turn, call) = (Arc::clone(turn), call.clone());
        loops.spawn(async move {
            let mut done = 0_u64;
            while Instant::now() < end {
                call(turn.fetch_add(1, Ordering::Relaxed)).await?;
                if Instant::now() <= end {
                    done += 1;
                }
            }
            anyhow::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(ended) = loops.join_next().await {
        done += ended??;
    }
    Ok(number(done) / window.as_secs_f64())
}

/// The middle, or the mean of the two in the middle; NaN of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The value that this share of the durations does not exceed, in milliseconds; NaN of nothing.
pub fn percentile_ms(durations: &mut [Duration], share: f64) -> f64 {
    durations.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is an index"
    )]
    let rank = (number(durations.len() as u64) * share).ceil() as usize;
    durations.get(rank.saturating_sub(1)).map_or(f64::NAN, |found| found.as_secs_f64() * 1000.0)
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub fn number(count: u64) -> f64 {
    count as f64
}
