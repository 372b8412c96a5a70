//! B31: more connections than there are places, most of them idle.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::eventually;
use crate::wire::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, PREFACE, SETTINGS, frame, literal};

use super::drivers::{ATTACKER, connect_from};
use super::target::{PortalBeside, Target};

const OPEN: &str = "guardian_auth_connections_open";
/// Of an idle connection, at most: docs/operations.md, Capacity.
const CONNECTION_KIB: u64 = 40;
/// How long it may take the kernel and a busy machine to tell us that a connection is closed.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A connection that has asked for something small, and is idle since.
async fn idle_connection(from: Ipv4Addr, to: SocketAddr) -> Option<Frames> {
    use tokio::io::AsyncWriteExt as _;
    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "guardian.example"),
        (":path", "/.well-known/jwks.json"),
    ];
    let mut frames = Frames { stream: connect_from(from, to).await.unwrap() };
    let ask = frame(HEADERS, END_HEADERS | END_STREAM, 1, &literal(&get));
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &ask].concat();
    frames.stream.write_all(&begin).await.ok()?;
    frames.first_of(&[HEADERS]).await.map(|_| frames)
}

/// Whether the other side closes a connection at once, without a word.
async fn is_refused(from: Ipv4Addr, to: SocketAddr) -> bool {
    let mut stream: TcpStream = connect_from(from, to).await.unwrap();
    let mut answer = [0; 1];
    // A reset is an end too.
    matches!(tokio::time::timeout(AT_ONCE, stream.read(&mut answer)).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b31_two_thousand_idle_connections_leave_room_for_work_and_none_for_more() {
    let target = Target::start("").await;
    let address = target.process.grpc;
    assert_eq!(target.metric("guardian_auth_connections_max", "").await.to_string(), "2000");
    let portal = target.portal().await;
    let alone = target.memory_mib("VmRSS:");

    // One is the portal's. A hundred of one address, as many addresses as it takes.
    let mut idle = Vec::new();
    for number in 0..1999_u32 {
        let from = Ipv4Addr::from(u32::from(ATTACKER) + number / 100);
        idle.push(idle_connection(from, address).await.expect("there is a place"));
    }
    let asked = 1.0;
    assert!((target.metric(OPEN, "").await - 2000.0 - asked).abs() < 0.5);

    let began = Instant::now();
    assert!(is_refused(Ipv4Addr::new(127, 0, 67, 1), address).await, "the port is full");
    assert!(target.closed("max_connections").await > 0.5);
    for _ in 0..20 {
        portal.verify().await.unwrap();
    }
    portal.log_in_again().await.unwrap();
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{took:?} for a refusal, a login and twenty verifications");
    let grown = target.memory_mib("VmRSS:").saturating_sub(alone);
    assert!(grown <= 2000 * CONNECTION_KIB / 1024, "{grown} MiB more than {alone}");
    println!("2,000 connections: +{grown} MiB, a refusal, a login and twenty verifications in {took:?}");

    drop(idle);
    eventually(AT_ONCE, "places are free again", async || target.metric(OPEN, "").await < 3.0).await;
    PortalBeside::log_in(address, &target.token, None).await.verify().await.unwrap();
    assert_eq!(target.process.said("connections are refused"), 1);
}

#[tokio::test]
async fn a_peer_has_its_own_places_and_a_balancer_is_many_peers() {
    let listen = "max_connections_per_peer = 3\nmax_connections = 20\nbalancers = [\"127.0.66.2/32\"]\n\
                  trusted_proxies = [\"127.0.66.3/32\"]";
    let target = Target::start(listen).await;
    let address = target.process.grpc;
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(idle_connection(ATTACKER, address).await.expect("there is a place"));
    }
    assert!(is_refused(ATTACKER, address).await, "three for one peer");
    for from in [Ipv4Addr::new(127, 0, 66, 2), Ipv4Addr::new(127, 0, 66, 3)] {
        for _ in 0..7 {
            kept.push(idle_connection(from, address).await.expect("a balancer is many peers"));
        }
    }
    target.portal().await.verify().await.unwrap();
    assert!((target.closed("max_connections_per_peer").await - 1.0).abs() < 0.5);

    // Who leaves gives the place to the next one.
    kept.truncate(2);
    eventually(AT_ONCE, "a place is free again", async || idle_connection(ATTACKER, address).await.is_some())
        .await;
}

/// Probes get in when the port of the portals is full.
#[tokio::test]
async fn the_ops_port_answers_when_the_grpc_port_is_full() {
    let target = Target::start("max_connections = 4\nmax_connections_per_peer = 4").await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(idle_connection(ATTACKER, target.process.grpc).await.expect("there is a place"));
    }
    assert!(is_refused(ATTACKER, target.process.grpc).await);
    let ready = crate::support::service::http_get(target.process.ops, "/ready").await;
    assert_eq!(ready.0, 200);
}
