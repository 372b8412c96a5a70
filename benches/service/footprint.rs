//! Start and rest: how soon the service serves, and what it holds when nobody calls.

use std::time::Duration;

use super::bed::Bed;
use super::figures::Results;
use super::login::seeded;
use super::service::Backends;
use super::windows::{Timing, median};

/// Starts of which the median is taken.
const STARTS: usize = 5;

/// Measures both backends at rest, and cold starts of the embedded one. The database is there already: migrating it is
/// no part of a start.
pub async fn run(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let rest = (timing.window * 2).min(Duration::from_secs(5));
    let embedded = seeded(bed, Backends::Embedded, timing.few).await?;
    let (mut starts, mut resident) = (Vec::new(), 0.0);
    for _ in 0..STARTS {
        let service = embedded.start().await?;
        starts.push(service.started_in.as_secs_f64() * 1000.0);
        if starts.len() == STARTS {
            tokio::time::sleep(rest).await;
            resident = service.process.memory_mib("VmRSS")?;
        }
    }
    results.put("cold_start_ms", median(starts), format!("median of {STARTS}, SQLite"));
    results.put("idle_rss_mib", resident, "SQLite");
    let shared = seeded(bed, Backends::Shared, timing.few).await?;
    let service = shared.start().await?;
    tokio::time::sleep(rest).await;
    results.put("idle_rss_mib_postgres", service.process.memory_mib("VmRSS")?, "");
    Ok(())
}
