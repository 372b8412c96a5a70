//! Ten times the logins that the service can do, sent on the hour whether or not it keeps up; and what goes on beside.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;

use super::bed::Bed;
use super::figures::Results;
use super::login::{logins, seeded};
use super::open_loop::{Call, open_loop};
use super::service::Backends;
use super::verify::live_tokens;
use super::windows::{Timing, number, percentile_ms};

/// How far beyond the peak.
const TIMES_PEAK: f64 = 10.0;
/// Connections that the logins come over: more streams than one may have open.
const CONNECTIONS: usize = 8;
/// Health checks each second.
const HEALTH_PER_S: f64 = 50.0;
/// `VerifySession` calls each second.
const VERIFY_PER_S: f64 = 200.0;
/// Guardians whose tokens are verified.
const TOKENS: usize = 100;

/// What became of a login.
enum Fate {
    /// A session.
    Session,
    /// `RESOURCE_EXHAUSTED`.
    Refused,
    /// `DEADLINE_EXCEEDED`: its turn did not come in 5 s. On a machine that does nothing else, none is.
    Expired,
}

/// Measures the peak before and after, and the overload between.
pub async fn run(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let installation = seeded(bed, Backends::Embedded, timing.few).await?;
    let service = installation.start().await?;
    let portal = service.portal(CONNECTIONS).await?;
    let other = service.portal(1).await?;
    let health = service.health().await?;
    let turn = Arc::new(AtomicUsize::new(0));
    let tokens: Arc<[String]> = live_tokens(&portal, TOKENS).await?.into();

    let before = logins(timing.window * 2, &portal, &turn, timing.few).await?;
    let (end, few) = (Instant::now() + timing.overload, timing.few);
    let attempts = open_loop(before * TIMES_PEAK, end, {
        let portal = portal.clone();
        move |number| {
            let portal = portal.clone();
            async move {
                match portal.log_in(number, number % few).await {
                    Ok(_) => Ok(Fate::Session),
                    Err(status) if status.code() == Code::ResourceExhausted => Ok(Fate::Refused),
                    Err(status) if status.code() == Code::DeadlineExceeded => Ok(Fate::Expired),
                    Err(status) => Err(status),
                }
            }
        }
    });
    let checks = open_loop(HEALTH_PER_S, end, move |_| {
        let mut health = health.clone();
        async move { health.check(HealthCheckRequest { service: String::new() }).await.map(drop) }
    });
    let verifications = open_loop(VERIFY_PER_S, end, move |number| {
        let (other, tokens) = (other.clone(), Arc::clone(&tokens));
        async move { other.verify(number, &tokens[number % tokens.len()]).await.map(drop) }
    });
    let (attempts, checks, verifications) = tokio::join!(attempts, checks, verifications);
    let most_mib = service.process.memory_mib("VmHWM")?;
    let after = logins(timing.window * 2, &portal, &turn, timing.few).await?;

    let peak = f64::midpoint(before, after);
    let good = attempts.iter().filter(|call| matches!(call.outcome, Ok(Fate::Session)) && call.ended <= end);
    let goodput = number(good.count() as u64) / timing.overload.as_secs_f64();
    let mut refusals: Vec<Duration> = attempts
        .iter()
        .filter(|call| matches!(call.outcome, Ok(Fate::Refused)))
        .map(|call| call.took)
        .collect();
    // Anything but a session or a refusal is a fault of the service.
    if let Some(status) = attempts.iter().find_map(|call| call.outcome.as_ref().err()) {
        anyhow::bail!("a login under overload was answered {:?}: {}", status.code(), status.message());
    }
    let note = format!("{goodput:.1} ÷ {peak:.1} /s ({before:.1} before, {after:.1} after), SQLite");
    results.put("overload_goodput_ratio", goodput / peak, note);
    let expired = attempts.iter().filter(|call| matches!(call.outcome, Ok(Fate::Expired))).count();
    let note = format!("{} of {} logins, {expired} expired", refusals.len(), attempts.len());
    results.put("overload_refusal_p99_ms", percentile_ms(&mut refusals, 0.99), note);
    results.put("overload_health_p99_ms", p99(&checks)?, format!("{} calls", checks.len()));
    results.put("overload_verify_p99_ms", p99(&verifications)?, format!("{} calls", verifications.len()));
    results.put("overload_rss_mib", most_mib, "");
    Ok(())
}

/// The 99th percentile, if every call went well.
fn p99(calls: &[Call<()>]) -> anyhow::Result<f64> {
    if let Some(status) = calls.iter().find_map(|call| call.outcome.as_ref().err()) {
        anyhow::bail!("a call under overload was answered {:?}: {}", status.code(), status.message());
    }
    Ok(percentile_ms(&mut calls.iter().map(|call| call.took).collect::<Vec<_>>(), 0.99))
}
