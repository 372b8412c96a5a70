//! A million guardians beside a thousand; and how long the million took to come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::bed::Bed;
use super::clients::Portal;
use super::figures::Results;
use super::guardians;
use super::login::seeded;
use super::service::{Backends, Installation};
use super::windows::{Timing, alternate, number, percentile_ms};

/// Steps through the guardians so that neighbours in a window are no neighbours in the database. Prime.
const STRIDE: usize = 611_953;

/// Imports, then measures logins one by one: p50 of each window. SQLite: its file holds everything, nothing else caches.
pub async fn run(bed: &Bed, timing: Timing, keys: &[&str], results: &mut Results) -> anyhow::Result<()> {
    let many = Installation::new(bed, Backends::Embedded).await?;
    let file = bed.directory("directory")?.join("guardians.jsonl");
    let rows = guardians::write(&file, timing.many)?;
    let (took, most_mib) = many.import(&file).await?;
    std::fs::remove_file(&file)?;
    let note = format!("{rows} rows in {:.1} s, SQLite", took.as_secs_f64());
    results.put("import_rows_per_s", number(rows as u64) / took.as_secs_f64(), note);
    results.put("import_peak_rss_mib", most_mib, "");
    if !keys.contains(&"login_scale_ratio") {
        return Ok(());
    }
    let few = seeded(bed, Backends::Embedded, timing.few).await?;
    let (many, few) = (many.start().await?, few.start().await?);
    let (of_many, of_few) = (many.portal(1).await?, few.portal(1).await?);
    let turn = Arc::new(AtomicUsize::new(0));
    let pairs = alternate(
        timing,
        async |window| p50_ms(window, &of_many, &turn, timing.many).await,
        async |window| p50_ms(window, &of_few, &turn, timing.few).await,
    )
    .await?;
    results.put("login_scale_ratio", pairs.ratio(), pairs.note("ms"));
    Ok(())
}

/// Median time of a login when there is one at a time.
async fn p50_ms(
    window: Duration,
    portal: &Portal,
    turn: &Arc<AtomicUsize>,
    guardians: usize,
) -> anyhow::Result<f64> {
    let end = Instant::now() + window;
    let mut times = Vec::new();
    while Instant::now() < end {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        portal
            .access_token(turn, turn.wrapping_mul(STRIDE) % guardians)
            .await
            .context("a login with the right password")?;
        times.push(begun.elapsed());
    }
    Ok(percentile_ms(&mut times, 0.50))
}
