//! Logins with a password while a provider of eIDs takes connections and never answers.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::Code;

use super::bed::Bed;
use super::clients::Portal;
use super::figures::Results;
use super::login::seeded_with_provider;
use super::open_loop::open_loop;
use super::windows::{Pairs, Timing, percentile_ms};

/// Logins each second: a third of what two cores can hash.
const LOGINS_PER_S: f64 = 25.0;

/// Logins at the provider that are begun each second meanwhile: all who would rather use their eID.
const STARTS_PER_S: f64 = 50.0;

const GUARDIANS: usize = 1000;

/// Logins alone, and beside those who wait for the provider.
pub async fn measure(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let silence = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let installation = seeded_with_provider(bed, GUARDIANS, port).await?;
    let service = installation.start().await?;
    let portal = service.portal(4).await?;
    let (mut p50, mut p99) = (Pairs::default(), Pairs::default());
    let (mut next, mut begun) = (0, 0);
    for pair in 0..=timing.pairs {
        // The first pair is short, and does not count.
        let phase = if pair == 0 { timing.window / 5 } else { timing.window * 2 };
        let mut alone = logins(phase, &portal, &mut next).await?;
        let end = Instant::now() + phase;
        let waiting = tokio::spawn(starts(portal.clone(), end));
        let mut beside = logins(phase, &portal, &mut next).await?;
        begun += waiting.await??;
        if pair > 0 {
            p50.a.push(percentile_ms(&mut beside, 0.50));
            p50.b.push(percentile_ms(&mut alone, 0.50));
            p99.a.push(percentile_ms(&mut beside, 0.99));
            p99.b.push(percentile_ms(&mut alone, 0.99));
        }
    }
    silence.abort();
    let note = |pairs: &Pairs| {
        format!("{}; {LOGINS_PER_S} logins/s, {begun} at the provider in vain, SQLite", pairs.note("ms"))
    };
    results.put("login_provider_slow_p50_ratio", p50.ratio(), note(&p50));
    results.put("login_provider_slow_p99_ratio", p99.ratio(), note(&p99));
    Ok(())
}

async fn logins(phase: Duration, portal: &Portal, next: &mut usize) -> anyhow::Result<Vec<Duration>> {
    let first = *next;
    let calls = open_loop(LOGINS_PER_S, Instant::now() + phase, |number| {
        let (portal, turn) = (portal.clone(), first + number);
        async move { portal.log_in(turn, turn % GUARDIANS).await.map(drop) }
    })
    .await;
    *next += calls.len();
    let mut taken = Vec::with_capacity(calls.len());
    for call in calls {
        call.outcome.context("a login with the right password")?;
        taken.push(call.took);
    }
    Ok(taken)
}

/// Each is told that the provider is away; how many there were.
async fn starts(portal: Portal, end: Instant) -> anyhow::Result<usize> {
    let calls = open_loop(STARTS_PER_S, end, |turn| {
        let portal = portal.clone();
        async move { portal.start_oidc(turn, turn % GUARDIANS).await.map(drop) }
    })
    .await;
    for call in &calls {
        let code = call.outcome.as_ref().err().map(tonic::Status::code);
        anyhow::ensure!(code == Some(Code::Unavailable), "a silent provider was answered for: {code:?}");
    }
    Ok(calls.len())
}
