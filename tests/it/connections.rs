//! Connections that watch, wait for their first call, or stop in the middle of a request.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::caller::CallerKind;
use guardian_auth::grpc::front::Front;
use guardian_auth::grpc::fronts::Fronts;
use guardian_auth::grpc::health::Health;
use guardian_auth::grpc::listener;
use guardian_auth::grpc::ops::Ops;
use guardian_auth::proto;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::wire::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, Frames, GOAWAY, HEADERS, PING, WINDOW_UPDATE, block,
};
use crate::wire::raw::{self, bearer, framed};
use crate::wire::{Port, Setup, WATCHED};

/// Longer than anything here takes; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(50);

const WATCH: &str = "/guardian.auth.v1.LoginBankIdService/WatchBankIdLogin";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Opens so many streams that tell [`WATCHED`] times of something.
async fn watch(frames: &mut Frames, streams: u32) {
    let token = bearer(CallerKind::Portal);
    let headers = [("content-type", "application/grpc"), ("authorization", token.as_str())];
    let message = framed(&proto::WatchBankIdLoginRequest::default());
    for number in 0..streams {
        frames.headers(2 * number + 1, WATCH, &headers).await;
        frames.data(2 * number + 1, &message).await;
    }
}

/// Reads messages until there are so many, and answers each; `None` if the connection ends before.
async fn answer_each(frames: &mut Frames, messages: u32, answer: impl AsyncFn(&mut Frames)) -> Option<()> {
    let mut told = 0;
    while told < messages {
        if frames.next().await?.0 == DATA {
            told += 1;
            answer(frames).await;
        }
    }
    Some(())
}

/// Whether the port reads what was sent, and answers a ping after it.
async fn has_read(frames: &mut Frames) -> bool {
    const OURS: &[u8] = b"all read";
    frames.send(PING, 0, 0, OURS).await;
    while let Some((_, payload)) = frames.next().await {
        if payload == OURS {
            return true;
        }
    }
    false
}

/// gRPC for Go answers a message by window updates for its stream and for the connection, and by a ping.
#[tokio::test]
async fn a_client_that_answers_what_it_watches_is_no_flood() {
    const STREAMS: u32 = 100;
    let port = Port::usual().await;
    let mut frames = Frames::connect(port.address).await;
    watch(&mut frames, STREAMS).await;
    let answered = answer_each(&mut frames, STREAMS * WATCHED, async |frames| {
        frames.send(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 7]).await;
        frames.send(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 7]).await;
        frames.send(PING, 0, 0, &[7; 8]).await;
    });
    assert_eq!(timeout(PATIENCE, answered).await.unwrap(), Some(()), "all was told");
    assert!(timeout(PATIENCE, has_read(&mut frames)).await.unwrap(), "and all answers are read");
}

#[tokio::test]
async fn who_watches_and_pings_a_hundred_times_for_a_message_is_a_flood() {
    let port = Port::usual().await;
    let mut frames = Frames::connect(port.address).await;
    watch(&mut frames, 5).await;
    let answered = answer_each(&mut frames, u32::MAX, async |frames| {
        for _ in 0..100 {
            frames.send(PING, 0, 0, &[7; 8]).await;
        }
    });
    assert_eq!(timeout(PATIENCE, answered).await.unwrap(), None);
}

#[tokio::test]
async fn half_a_request_that_needs_no_caller_is_given_up() {
    let mut setup = Setup::usual().await;
    setup.parts.deadlines.default = SOON;
    let port = setup.open().await;
    for rpc in ["Check", "List", "Watch"] {
        let mut half = Frames::connect(port.address).await;
        let path = format!("/grpc.health.v1.Health/{rpc}");
        half.headers(1, &path, &[("content-type", "application/grpc")]).await;
        let answered = timeout(PATIENCE, half.first_of(&[HEADERS])).await;
        assert_eq!(answered.expect(rpc), Some(HEADERS), "{rpc}");
    }
}

#[tokio::test]
async fn half_a_request_to_the_ops_port_is_given_up() {
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = tcp.local_addr().unwrap();
    let ops = Arc::new(Ops::new(Registry::default(), Health::starting().await));
    tokio::spawn(listener::serve(tcp, ops, Setup::usual().await.settings, CancellationToken::new()));
    let mut half = Frames::connect(address).await;
    half.headers(1, HEALTH_WATCH, &[("content-type", "application/grpc")]).await;
    assert_eq!(timeout(PATIENCE, half.first_of(&[HEADERS])).await.unwrap(), Some(HEADERS));
}

/// Half a request to health that has come, on a connection that answers pings from now on.
async fn half_open(port: &Port) -> tokio::task::JoinHandle<()> {
    let mut half = Frames::connect(port.address).await;
    half.headers(1, HEALTH_WATCH, &[("content-type", "application/grpc")]).await;
    assert!(has_read(&mut half).await);
    tokio::spawn(async move {
        while let Some((kind, payload)) = half.next().await {
            if kind == PING {
                half.send(PING, ACK, 0, &payload).await;
            }
        }
    })
}

#[tokio::test]
async fn b29_half_a_request_does_not_use_up_the_time_of_a_drain() {
    let mut setup = Setup::usual().await;
    setup.settings.drain_timeout = 2 * PATIENCE;
    setup.parts.deadlines.default = SOON;
    let port = setup.open().await;
    let client = half_open(&port).await;
    port.drain.cancel();
    timeout(PATIENCE, port.served).await.expect("the port is closed").unwrap();
    client.await.unwrap();
}

#[tokio::test]
async fn half_a_request_does_not_keep_a_configuration_that_was_replaced() {
    let mut setup = Setup::usual().await;
    setup.parts.deadlines.default = SOON;
    let fronts = Arc::new(Fronts::new(Front::new(setup.parts).unwrap()));
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = tcp.local_addr().unwrap();
    let drain = CancellationToken::new();
    let served = listener::serve(tcp, Arc::clone(&fronts), setup.settings, drain.clone());
    let port = Port { address, drain, served: tokio::spawn(served), gate: setup.gate };
    let _client = half_open(&port).await;
    let requests = fronts.replace(Front::new(Setup::usual().await.parts).unwrap());
    assert_eq!(requests.len(), 1, "it is under way");
    timeout(PATIENCE, requests.wait()).await.expect("it was given up");
}

/// How long the time for a first request is, seen from a connection that sends none.
async fn the_time_is_over(port: &Port) {
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    let end = timeout(PATIENCE, silent.read(&mut [0; 1])).await.expect("the port closes the connection");
    assert!(!matches!(end, Ok(1..)));
}

/// Balancing clients open a connection to each replica ahead of its first call, and anew when it ends.
#[tokio::test]
async fn a_connection_that_is_opened_ahead_of_its_first_call_is_kept() {
    let mut setup = Setup::usual().await;
    setup.settings.connection.header_timeout = SOON;
    let port = setup.open().await;
    let mut early = Frames::connect(port.address).await;
    for _ in 0..3 {
        the_time_is_over(&port).await;
    }
    let token = bearer(CallerKind::Portal);
    early.headers(1, raw::LOGIN, &[("content-type", "application/grpc"), ("authorization", &token)]).await;
    early.data(1, &framed(&raw::login("name"))).await;
    let first = timeout(PATIENCE, early.first_of(&[HEADERS, GOAWAY])).await.unwrap();
    assert_eq!(first, Some(HEADERS));
}

#[tokio::test]
async fn a_connection_that_waits_for_its_first_call_and_answers_no_ping_is_closed() {
    let mut setup = Setup::usual().await;
    setup.settings.connection.header_timeout = SOON;
    setup.settings.connection.keepalive_interval = SOON;
    setup.settings.connection.keepalive_timeout = SOON;
    let port = setup.open().await;
    let mut dead = Frames::connect(port.address).await;
    assert_eq!(timeout(PATIENCE, dead.first_of(&[HEADERS])).await.unwrap(), None);
}

/// The first request is whole when the time for it is just over.
#[tokio::test]
async fn a_request_that_crosses_the_farewell_is_answered() {
    // Longer than the farewell of 1 s.
    const WORK: Duration = Duration::from_millis(1500);
    let mut setup = Setup::usual().await;
    setup.settings.connection.header_timeout = SOON;
    let port = setup.open().await;
    let mut slow = Frames::connect(port.address).await;
    let token = bearer(CallerKind::Portal);
    let headers = [("content-type", "application/grpc"), ("authorization", token.as_str())];
    let head = block(raw::LOGIN, &headers);
    slow.send(HEADERS, 0, 1, &head[..20]).await;
    assert_eq!(timeout(PATIENCE, slow.first_of(&[GOAWAY])).await.unwrap(), Some(GOAWAY));
    slow.send(CONTINUATION, END_HEADERS, 1, &head[20..]).await;
    slow.data(1, &framed(&raw::login("wait"))).await;
    timeout(PATIENCE, port.gate.arrived.acquire()).await.expect("it is in work").unwrap().forget();
    assert!(timeout(WORK, slow.first_of(&[HEADERS])).await.is_err(), "the connection is kept");
    port.gate.open.add_permits(1);
    assert_eq!(timeout(PATIENCE, slow.first_of(&[HEADERS])).await.unwrap(), Some(HEADERS));
    drop(slow.stream.shutdown().await);
}
