//! `VerifySession` beside bare unary calls of the same sizes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::bare::BareServer;
use super::bed::Bed;
use super::clients::Portal;
use super::figures::Results;
use super::login::{IN_FLIGHT, seeded};
use super::service::Backends;
use super::windows::{Spent, Timing, alternate, closed_loop};

/// Connections of the portal, to either server.
const CONNECTIONS: usize = 4;
/// Calls at a time, to either server.
const CALLS_IN_FLIGHT: usize = 64;

/// Beside SQLite.
pub async fn sqlite(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    measure(bed, Backends::Embedded, "verify_ratio_sqlite", timing, results).await
}

/// Beside PostgreSQL and Redis.
pub async fn postgres(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    measure(bed, Backends::Shared, "verify_ratio_postgres", timing, results).await
}

async fn measure(
    bed: &Bed,
    backends: Backends,
    key: &'static str,
    timing: Timing,
    results: &mut Results,
) -> anyhow::Result<()> {
    let installation = seeded(bed, backends, timing.tokens).await?;
    let service = installation.start().await?;
    let bare = BareServer::start(bed)?;
    let portal = service.portal(CONNECTIONS).await?;
    let other = Portal::connect(bare.address, CONNECTIONS, &installation.token).await?;
    let tokens: Arc<[String]> = live_tokens(&portal, timing.tokens).await?.into();
    let turn = Arc::new(AtomicUsize::new(0));
    let verify = async |window, portal: &Portal| {
        let (portal, tokens) = (portal.clone(), Arc::clone(&tokens));
        closed_loop(window, CALLS_IN_FLIGHT, &turn, move |turn| {
            let (portal, tokens) = (portal.clone(), Arc::clone(&tokens));
            async move {
                portal.verify(turn, &tokens[turn % tokens.len()]).await?;
                Ok(())
            }
        })
        .await
    };
    let (mut of_ours, mut of_bare) = (Spent::default(), Spent::default());
    let pairs = alternate(
        timing,
        async |window| of_ours.on(window, &service.process, verify(window, &portal)).await,
        async |window| of_bare.on(window, &bare.process, verify(window, &other)).await,
    )
    .await?;
    let costs = format!("a call {}, a bare one {}", of_ours.note(), of_bare.note());
    results.put(key, pairs.ratio(), format!("{}; {costs}", pairs.note("/s")));
    Ok(())
}

/// Access tokens of as many guardians; they live for five minutes.
pub async fn live_tokens(portal: &Portal, count: usize) -> anyhow::Result<Vec<String>> {
    let turn = Arc::new(AtomicUsize::new(0));
    let mut logins = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (turn, portal) = (Arc::clone(&turn), portal.clone());
        logins.spawn(async move {
            let mut tokens = Vec::new();
            loop {
                let guardian = turn.fetch_add(1, Ordering::Relaxed);
                if guardian >= count {
                    return anyhow::Ok(tokens);
                }
                tokens.push(portal.access_token(guardian, guardian).await?);
            }
        });
    }
    let mut tokens = Vec::with_capacity(count);
    while let Some(ended) = logins.join_next().await {
        tokens.append(&mut ended??);
    }
    Ok(tokens)
}
