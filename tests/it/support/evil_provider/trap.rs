//! A listener that nobody may call: where redirects of the evil provider lead.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Counts who came. It ends with the value.
pub struct Trap {
    port: u16,
    calls: Arc<AtomicUsize>,
    serving: AbortHandle,
}

impl Trap {
    /// On a loopback port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::<AtomicUsize>::default();
        let count = |State(calls): State<Arc<AtomicUsize>>| {
            calls.fetch_add(1, Ordering::SeqCst);
            std::future::ready("{}")
        };
        let router = Router::new().fallback(count).with_state(Arc::clone(&calls));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { port, calls, serving }
    }

    /// An address at it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/latest/meta-data", self.port)
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
