//! The port: accepts connections up to a number, and drains them within a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept_trouble::{AcceptTrouble, Full};
use super::client_address::TrustedProxies;
use super::connection::{Answer, Closed, ConnectionLimits, Serving};
use crate::domain::client::Network;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::telemetry::{self, ConnectionMetrics};

/// A peer gets the place of a connection that was a flood back after this time: to connect anew is not to start afresh.
const FLOOD_PENALTY: Duration = Duration::from_secs(10);

/// Settings of a port.
pub struct Settings {
    /// TLS; the newest value is used for each new connection. Plaintext without.
    pub tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    /// Limits of each connection.
    pub connection: ConnectionLimits,
    /// Connections at a time; those beyond are closed at once.
    pub max_connections: usize,
    /// Connections at a time from one IPv4 address or IPv6 /64.
    pub max_connections_per_peer: usize,
    /// Balancers and proxies, for which the limit per peer does not count: one is many people.
    pub balancers: TrustedProxies,
    /// After this long, a drain ends connections that have not ended.
    pub drain_timeout: Duration,
    /// For the jitter of ages.
    pub entropy: Arc<dyn Entropy>,
    /// Where connections are counted.
    pub metrics: ConnectionMetrics,
}

/// Serves until `drain` is cancelled, then lets calls in flight end, and is over after `drain_timeout` at the latest.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    answer: Arc<A>,
    settings: Settings,
    drain: CancellationToken,
) {
    let kill = CancellationToken::new();
    let serving = Arc::new(Serving {
        answer,
        builder: Arc::new(settings.connection.builder()),
        limits: settings.connection,
        tls: settings.tls.clone(),
        drain: drain.clone(),
        kill: kill.clone(),
    });
    let room = Room::new(&settings);
    let mut trouble = AcceptTrouble::new(settings.metrics.clone());
    let tasks = TaskTracker::new();
    while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
            Err(error) => {
                trouble.failed(&error, &drain).await;
                continue;
            }
        };
        trouble.accepted();
        let place = match room.place(peer) {
            Ok(place) => place,
            Err(full) => {
                trouble.refused(full);
                continue;
            }
        };
        // Answers are small and go out whole: nothing is won by waiting for more bytes.
        drop(stream.set_nodelay(true));
        let max_age = jittered(&settings);
        let (serving, metrics) = (Arc::clone(&serving), settings.metrics.clone());
        metrics.open.inc();
        tasks.spawn(async move {
            let closed = serving.serve(stream, peer, max_age).await;
            if let Some(why) = name(closed) {
                metrics.closed(why);
            }
            metrics.open.dec();
            if closed == Closed::Flood {
                place.penalty(&serving.drain).await;
            }
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(settings.drain_timeout, tasks.wait()).await.is_err() {
        tracing::warn!(target: telemetry::CONNECTION, connections = tasks.len(), "drain timed out; ending connections");
        kill.cancel();
        tasks.wait().await;
    }
}

/// `max_age` and up to `age_jitter` more, evenly.
fn jittered(settings: &Settings) -> Duration {
    let limits = &settings.connection;
    let share = u32::from(u16::from_be_bytes(random_bytes(&*settings.entropy)));
    limits.max_age + limits.age_jitter.mul_f64(f64::from(share) / f64::from(u16::MAX))
}

const fn name(closed: Closed) -> Option<&'static str> {
    match closed {
        Closed::ByPeer => None,
        Closed::Handshake => Some("handshake"),
        Closed::NoRequest => Some("no_request"),
        Closed::Flood => Some("flood"),
        Closed::Untaken => Some("answer_not_taken"),
        Closed::Age => Some("age"),
        Closed::Drain => Some("drain"),
    }
}

/// Connections now, by peer.
type PeerCounts = Arc<Mutex<HashMap<Network, usize>>>;

/// Places for connections.
struct Room {
    total: Arc<Semaphore>,
    by_peer: PeerCounts,
    per_peer: usize,
    balancers: TrustedProxies,
}

/// A place taken, given back when dropped.
struct Place {
    total: OwnedSemaphorePermit,
    peer: Option<PeerPlace>,
}

/// One of the places of a peer.
struct PeerPlace {
    network: Network,
    by_peer: PeerCounts,
}

impl Room {
    fn new(settings: &Settings) -> Self {
        Self {
            total: Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS))),
            by_peer: Arc::default(),
            per_peer: settings.max_connections_per_peer,
            balancers: settings.balancers.clone(),
        }
    }

    fn place(&self, peer: IpAddr) -> Result<Place, Full> {
        let total = Arc::clone(&self.total).try_acquire_owned().map_err(|_| Full::All)?;
        if self.balancers.contains(peer) {
            return Ok(Place { total, peer: None });
        }
        let network = Network::of(peer);
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(network).or_default();
        if *count >= self.per_peer {
            return Err(Full::Peer);
        }
        *count += 1;
        Ok(Place { total, peer: Some(PeerPlace { network, by_peer: Arc::clone(&self.by_peer) }) })
    }
}

impl Place {
    /// Gives the place back to others at once, and to its peer after a while.
    async fn penalty(self, drain: &CancellationToken) {
        let Self { total, peer } = self;
        drop(total);
        if peer.is_some() {
            drain.run_until_cancelled(tokio::time::sleep(FLOOD_PENALTY)).await;
        }
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let Self { network, by_peer } = self;
        let mut by_peer = by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_peer.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(total: usize, per_peer: usize) -> Room {
        Room {
            total: Arc::new(Semaphore::new(total)),
            by_peer: Arc::default(),
            per_peer,
            balancers: TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]),
        }
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_that_is_left_can_be_taken_again() {
        let room = room(2, 1);
        let place = room.place(peer("192.0.2.1")).ok();
        assert!(place.is_some());
        assert_eq!(room.place(peer("192.0.2.1")).err(), Some(Full::Peer));
        let _other = room.place(peer("192.0.2.2")).unwrap();
        assert_eq!(room.place(peer("192.0.2.3")).err(), Some(Full::All));
        drop(place);
        assert!(room.place(peer("192.0.2.1")).is_ok());
        assert_eq!(room.by_peer.lock().unwrap().len(), 1, "peers that left are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_of_a_flood_is_anothers_at_once_and_its_peers_after_ten_seconds() {
        let room = room(1, 1);
        let place = room.place(peer("192.0.2.1")).unwrap();
        let drain = CancellationToken::new();
        let penalty = tokio::spawn(async move { place.penalty(&drain).await });
        tokio::task::yield_now().await;
        assert_eq!(room.place(peer("192.0.2.1")).err(), Some(Full::Peer));
        assert!(room.place(peer("192.0.2.2")).is_ok());
        penalty.await.unwrap();
        assert!(room.place(peer("192.0.2.1")).is_ok());
    }

    #[test]
    fn all_hosts_of_a_64_are_one_peer_and_a_balancer_is_many() {
        let room = room(10, 1);
        let _place = room.place(peer("2001:db8::1")).unwrap();
        assert!(room.place(peer("2001:db8::2")).is_err());
        let _balanced = [room.place(peer("10.0.0.1")).unwrap(), room.place(peer("10.0.0.1")).unwrap()];
    }
}
