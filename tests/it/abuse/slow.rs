//! B37: peers that stand still, in each place where one can.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{eventually, full_size};
use crate::wire::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PREFACE, SETTINGS, block, frame, literal,
};
use crate::wire::raw::LOGIN;

use super::drivers::{attack, trickle};
use super::target::{TLS_NAME, Target};

/// As many connections as the port takes from one peer, and some beyond.
const ATTACKERS: usize = 120;

/// In a short run, times are as short as the configuration lets them be.
fn times() -> &'static str {
    if full_size() {
        ""
    } else {
        "handshake_timeout = \"1s\"\nheader_timeout = \"1s\"\nanswer_timeout = \"1s\""
    }
}

/// Calls of one connection: all that it may have, or what a binary that was built for tests answers in a second.
fn streams() -> u32 {
    if full_size() { 100 } else { 10 }
}

/// How long those times may take to pass.
fn soon() -> Duration {
    Duration::from_secs(if full_size() { 60 } else { 10 })
}

const BEGUN: &str = "a preface and silence";

#[tokio::test]
async fn b37_peers_that_begin_and_do_not_go_on_do_not_hold_up_others() {
    let mut target = Target::start(times()).await;
    let address = target.process.grpc;
    let half = block(LOGIN, &[("content-type", "application/grpc")])[..20].to_vec();
    let settings = frame(SETTINGS, 0, 0, &[]);
    let cases: [(&str, Vec<u8>, &[u8]); 5] = [
        ("silence", Vec::new(), b""),
        ("a preface, byte by byte", Vec::new(), PREFACE),
        (BEGUN, [PREFACE, &settings].concat(), b""),
        ("half a HEADERS", [PREFACE, &settings, &frame(HEADERS, 0, 1, &half)].concat(), b""),
        (
            "a head of HTTP/1.1, byte by byte",
            b"POST / HTTP/1.1\r\nhost: x\r\nx-long: ".to_vec(),
            &[b'x'; 4096],
        ),
    ];
    for (what, begin, crumbs) in cases {
        let before = target.closed("no_request").await;
        let once = move |tcp| trickle(tcp, begin.clone(), crumbs);
        target.withstands(what, || attack(ATTACKERS, address, once)).await;
        // Who has begun HTTP/2 may wait for its first call, in one of its places, for as long as it answers pings.
        assert!(what == BEGUN || target.closed("no_request").await > before, "{what}: closed by us");
    }
    assert!(target.closed("max_connections_per_peer").await > 0.0, "a hundred places for one peer");
}

#[tokio::test]
async fn b37_bodies_that_never_end_do_not_hold_up_others() {
    let mut target = Target::start(times()).await;
    let address = target.process.grpc;
    let bearer = format!("Bearer {}", target.token);
    let timeout = if full_size() { "5S" } else { "500m" };
    let headers =
        [("content-type", "application/grpc"), ("authorization", bearer.as_str()), ("grpc-timeout", timeout)];
    let head = block(LOGIN, &headers);
    let mut begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for number in 0..streams() {
        begin.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &head));
        begin.extend(frame(DATA, 0, 2 * number + 1, &[0, 0, 0, 0xff, 0]));
    }
    let over_http2 = move |tcp| trickle(tcp, begin.clone(), b"");
    target.withstands("a body that never ends", || attack(ATTACKERS, address, over_http2)).await;
    let expired = async || target.metric("guardian_auth_rpc_total", "code=\"DEADLINE_EXCEEDED\"").await;
    assert!(expired().await > 0.0, "each is given up at its deadline");

    let mut begin = format!("POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n");
    for (name, value) in [("content-type", "application/grpc-web+proto"), headers[1], headers[2]] {
        write!(begin, "{name}: {value}\r\n").unwrap();
    }
    begin.push_str("\r\n");
    let over_http1 = move |tcp| trickle(tcp, begin.clone().into_bytes(), &[0; 4096]);
    target.withstands("a page's body, byte by byte", || attack(ATTACKERS, address, over_http1)).await;
}

/// The answers are asked for and never taken: each connection keeps them until it is ended.
#[tokio::test]
async fn b37_answers_that_nobody_takes_end_the_connection() {
    let mut target = Target::start(times()).await;
    let address = target.process.grpc;
    let jwks = literal(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "guardian.example"),
        (":path", "/.well-known/jwks.json"),
    ]);
    // SETTINGS_INITIAL_WINDOW_SIZE.
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut begin = [PREFACE, &no_window].concat();
    for number in 0..streams() {
        begin.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &jwks));
    }
    // Alive and honest in every other respect: it answers pings, and ends with the connection.
    let stall = move |tcp| {
        let begin = begin.clone();
        answer_pings(tcp, begin)
    };
    let before = target.closed("answer_not_taken").await;
    let closed = async |target: &Target| target.closed("answer_not_taken").await;
    target.withstands("a window of zero", || attack(ATTACKERS, address, stall.clone())).await;
    // The turn in which a connection is ended may come after the end of a short attack.
    let attacking = tokio::spawn(attack(4, address, stall));
    eventually(soon(), "answers that nobody takes end a connection", async || closed(&target).await > before)
        .await;
    attacking.abort();
}

async fn answer_pings(stream: TcpStream, begin: Vec<u8>) {
    let mut frames = Frames { stream };
    if frames.stream.write_all(&begin).await.is_err() {
        return;
    }
    while let Some((kind, payload)) = frames.next().await {
        if kind == PING {
            frames.send(PING, ACK, 0, &payload).await;
        }
    }
}

#[tokio::test]
async fn b37_tls_handshakes_that_stall_do_not_hold_up_others() {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed([TLS_NAME.to_owned()]).unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("cert.pem"), key.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let listen = format!(
        "{}\ntls = {{ cert_file = \"{}\", key_file = \"{}\" }}",
        times(),
        path("cert.pem").display(),
        path("key.pem").display()
    );
    let mut target = Target::start(&listen).await;
    target.authority = Some(key.cert.pem());
    let address = target.process.grpc;
    let cases: [(&str, &[u8]); 3] = [
        ("silence before TLS", b""),
        ("half a ClientHello", b"\x16\x03\x01\x02\x00\x01"),
        ("plaintext where TLS is spoken", PREFACE),
    ];
    for (what, begin) in cases {
        let before = target.closed("handshake").await;
        let once = move |tcp| trickle(tcp, begin.to_vec(), b"");
        target.withstands(what, || attack(ATTACKERS, address, once)).await;
        assert!(target.closed("handshake").await > before, "{what}");
    }

    // Whoever does shake hands costs us a signature each time.
    let mut roots = rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let connector =
        TlsConnector::from(Arc::new(config.unwrap().with_root_certificates(roots).with_no_client_auth()));
    let shake_hands = move |tcp| {
        let connector = connector.clone();
        async move { drop(connector.connect(ServerName::try_from(TLS_NAME).unwrap(), tcp).await) }
    };
    target.withstands("handshakes without end", || attack(4, address, shake_hands)).await;
}
