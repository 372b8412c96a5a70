//! Logins with every call traced and exported beside logins without traces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::bed::Bed;
use super::figures::Results;
use super::login::{logins, seeded};
use super::service::Backends;
use super::windows::{Spent, Timing, alternate};

/// A collector that reads what comes, keeps nothing and says that it took it. On the same cores as everything else.
struct Collector {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
    serving: AbortHandle,
}

impl Collector {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let take = move |body: Bytes| {
            count.fetch_add(body.len() as u64, Ordering::Relaxed);
            std::future::ready(Bytes::new())
        };
        let router = Router::new().fallback(take);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { address, bytes, serving })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Two processes on one PostgreSQL and one Redis, in turns: one traces every call, the other none.
pub async fn measure(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let installation = seeded(bed, Backends::Shared, timing.few).await?;
    let traced = installation.traced(collector.address)?;
    let (without, with) = (installation.start().await?, traced.start().await?);
    let (portal, traced_portal) = (without.portal(1).await?, with.portal(1).await?);
    let turn = Arc::new(AtomicUsize::new(0));
    let (mut of_with, mut of_without) = (Spent::default(), Spent::default());
    let pairs = alternate(
        timing,
        async |window| {
            of_with.on(window, &with.process, logins(window, &traced_portal, &turn, timing.few)).await
        },
        async |window| {
            of_without.on(window, &without.process, logins(window, &portal, &turn, timing.few)).await
        },
    )
    .await?;
    let bytes = collector.bytes.load(Ordering::Relaxed);
    anyhow::ensure!(bytes > 0, "no span was exported");
    let exported = usize::try_from(bytes).context("bytes")? / turn.load(Ordering::Relaxed).max(1) * 2;
    let costs = format!(
        "a login {} with, {} without; about {exported} bytes exported each",
        of_with.note(),
        of_without.note()
    );
    results.put("trace_ratio", pairs.ratio(), format!("{}; {costs}", pairs.note("/s")));
    Ok(())
}
