//! The port against clients that are slow, many, hostile or merely different.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use bytes::Bytes;
use guardian_auth::domain::caller::CallerKind;
use guardian_auth::proto;
use http::{Method, Request, StatusCode};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic_types::pb;

use crate::wire::frames::{self, Frames, GOAWAY, HEADERS};
use crate::wire::raw::{self, Answer, Client, bearer, framed, prefixed};
use crate::wire::{ORIGIN, Port, Setup};

/// Longer than anything here takes; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(50);

async fn login_as_portal(client: &Client, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let token = bearer(CallerKind::Portal);
    let headers = [&[("authorization", token.as_str())], headers].concat();
    client.call(raw::LOGIN, &headers, body).await.unwrap()
}

/// Writes, and reads to the end of the connection.
async fn until_closed(port: &Port, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the port closes the connection"));
    answer
}

/// A request over HTTP/1.1; the answer as text.
async fn http1(port: &Port, request: &str) -> String {
    String::from_utf8_lossy(&until_closed(port, request.as_bytes()).await).into_owned()
}

/// What it is, headers, body, and the violation.
type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], Bytes, &'c str);

#[tokio::test]
async fn bytes_that_do_not_decode_are_the_callers_fault() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let good = raw::login("name").encode_to_vec();
    let not_utf8 = [b"\x0a\x02\xff\xfe".as_slice(), &good].concat();
    let undecodable = " UNDECODABLE";
    let cases: [Case<'_>; 9] = [
        ("invalid UTF-8", &[], prefixed(0, &not_utf8), undecodable),
        ("a truncated field", &[], prefixed(0, b"\x0a\x7fabc"), undecodable),
        ("an illegal tag", &[], prefixed(0, b"\x07"), undecodable),
        ("an endless varint", &[], prefixed(0, &[0xff; 16]), undecodable),
        ("no message", &[], Bytes::new(), undecodable),
        ("half a message", &[], Bytes::from_static(b"\0\0\0\0\xffabc"), undecodable),
        ("10 MiB announced", &[], Bytes::from_static(b"\0\0\xa0\0\0"), " TOO_LONG"),
        ("compressed", &[("grpc-encoding", "gzip")], prefixed(1, b"\x1f\x8b\x08"), undecodable),
        ("compressed in secret", &[], prefixed(1, b"\x1f\x8b\x08"), undecodable),
    ];
    for (what, headers, body, violation) in cases {
        let answer = login_as_portal(&client, headers, body).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (3, "INVALID_REQUEST"), "{what}");
        assert_eq!(answer.violations(), [violation], "{what}");
    }
    assert_eq!(
        login_as_portal(&client, &[], framed(&raw::login("name"))).await.code(),
        0,
        "the connection lives"
    );
}

#[tokio::test]
async fn a_message_of_65_kib_is_refused_and_one_within_the_limit_is_not() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let padded = |bytes: usize| {
        framed(&proto::LoginWithPasswordRequest { password: "x".repeat(bytes), ..raw::login("name") })
    };
    assert_eq!(login_as_portal(&client, &[], padded(60 * 1024)).await.code(), 0);
    assert_eq!(login_as_portal(&client, &[], padded(65 * 1024)).await.violations(), [" TOO_LONG"]);
}

#[tokio::test]
async fn a_panic_is_answered_with_an_incident_and_ends_nothing_else() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    for name in ["panic", "foreign"] {
        let answer = login_as_portal(&client, &[], framed(&raw::login(name))).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (13, "INTERNAL"), "{name}");
        let infos: Vec<pb::ErrorInfo> = answer.details_of("ErrorInfo");
        assert_eq!(infos[0].metadata["incident_id"].len(), 26);
        assert!(!format!("{:?}", answer.details()).contains("hunter2"), "{name} quotes the password");
    }
    assert_eq!(login_as_portal(&client, &[], framed(&raw::login("name"))).await.code(), 0);
}

#[tokio::test]
async fn a_deadline_that_passes_is_said_to_have_passed() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    for timeout in ["20m", "0S", "1n"] {
        let answer =
            login_as_portal(&client, &[("grpc-timeout", timeout)], framed(&raw::login("wait"))).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (4, "DEADLINE_EXCEEDED"), "{timeout}");
    }
    for timeout in ["", "1", "S", "123456789S", "1s", "-1S"] {
        let answer =
            login_as_portal(&client, &[("grpc-timeout", timeout)], framed(&raw::login("name"))).await;
        assert_eq!(answer.violations(), ["grpc-timeout MALFORMED"], "{timeout}");
    }
    let answer = client.call(raw::LOGIN, &[("grpc-timeout", "nonsense")], framed(&raw::login("name"))).await;
    assert_eq!(answer.unwrap().reason(), "CALLER_UNKNOWN", "access before validation");
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up_at_the_deadline() {
    let port = Port::usual().await;
    let mut slow = Frames::connect(port.address).await;
    let token = bearer(CallerKind::Portal);
    let headers = [("content-type", "application/grpc"), ("authorization", &token), ("grpc-timeout", "20m")];
    slow.headers(1, raw::LOGIN, &headers).await;
    slow.send(frames::DATA, 0, 1, b"\0\0\0").await;
    assert_eq!(timeout(PATIENCE, slow.first_of(&[HEADERS])).await.unwrap(), Some(HEADERS));
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let mut setup = Setup::usual().await;
    setup.settings.connection.header_timeout = SOON;
    let port = setup.open().await;
    until_closed(&port, b"").await;
    until_closed(&port, b"PRI * HTTP/2.0\r\n").await;
    until_closed(&port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    until_closed(&port, b"POST / HTTP/1.1\r\nhost: x\r\nx-half: ").await;
    // Half of a request's headers, and then silence.
    let mut slow = Frames::connect(port.address).await;
    let block = frames::block(raw::LOGIN, &[("content-type", "application/grpc")]);
    slow.send(HEADERS, 0, 1, &block[..20]).await;
    assert_eq!(timeout(PATIENCE, slow.first_of(&[HEADERS])).await.unwrap(), None);
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_is_ended() {
    let key = rcgen::generate_simple_self_signed(["guardian.example".to_owned()]).unwrap();
    let config = guardian_auth::grpc::tls::server_config(
        key.cert.pem().as_bytes(),
        key.signing_key.serialize_pem().as_bytes(),
        None,
    );
    let mut setup = Setup::usual().await;
    let (_renew, newest) = watch::channel(std::sync::Arc::new(config.unwrap()));
    setup.settings.tls = Some(newest);
    setup.settings.connection.handshake_timeout = SOON;
    let port = setup.open().await;
    until_closed(&port, b"").await;
    // The head of a ClientHello record.
    until_closed(&port, b"\x16\x03\x01\x02\x00\x01").await;
    // Plaintext where TLS is spoken.
    until_closed(&port, b"GET /.well-known/jwks.json HTTP/1.1\r\n\r\n").await;
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed() {
    for per_peer in [true, false] {
        let mut setup = Setup::usual().await;
        let cap = if per_peer {
            &mut setup.settings.max_connections_per_peer
        } else {
            &mut setup.settings.max_connections
        };
        *cap = 2;
        let port = setup.open().await;
        let (first, second) = (Client::connect(port.address).await, Client::connect(port.address).await);
        assert!(until_closed(&port, b"").await.is_empty());
        for client in [first, second] {
            assert_eq!(login_as_portal(&client, &[], framed(&raw::login("name"))).await.code(), 0);
        }
    }
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_then_ended() {
    let mut setup = Setup::usual().await;
    setup.settings.connection.max_age = SOON;
    setup.settings.connection.age_jitter = Duration::ZERO;
    setup.settings.connection.age_grace = SOON;
    let port = setup.open().await;
    let mut old = Frames::connect(port.address).await;
    let token = bearer(CallerKind::Portal);
    old.headers(1, raw::LOGIN, &[("content-type", "application/grpc"), ("authorization", &token)]).await;
    old.data(1, &framed(&raw::login("wait"))).await;
    assert_eq!(timeout(PATIENCE, old.first_of(&[GOAWAY])).await.unwrap(), Some(GOAWAY));
    assert_eq!(timeout(PATIENCE, old.first_of(&[HEADERS])).await.unwrap(), None);
}

#[tokio::test]
async fn b29_a_drain_lets_calls_in_flight_end() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { login_as_portal(&client, &[], framed(&raw::login("wait"))).await }
    });
    port.gate.arrived.acquire().await.unwrap().forget();
    port.drain.cancel();
    port.gate.open.add_permits(1);
    assert_eq!(call.await.unwrap().code(), 0);
    drop(client);
    timeout(PATIENCE, port.served).await.expect("the port is closed").unwrap();
    assert!(TcpStream::connect(port.address).await.is_err(), "nobody else is let in");
}

#[tokio::test]
async fn b29_a_drain_ends_in_time_even_with_a_hung_client() {
    let mut setup = Setup::usual().await;
    setup.settings.drain_timeout = SOON;
    let port = setup.open().await;
    let client = Client::connect(port.address).await;
    let silent = TcpStream::connect(port.address).await.unwrap();
    let call = tokio::spawn(async move {
        let token = bearer(CallerKind::Portal);
        client.call(raw::LOGIN, &[("authorization", &token)], framed(&raw::login("wait"))).await
    });
    port.gate.arrived.acquire().await.unwrap().forget();
    port.drain.cancel();
    timeout(PATIENCE, port.served).await.expect("the port is closed").unwrap();
    assert!(call.await.unwrap().is_err());
    drop(silent);
}

#[tokio::test]
async fn heads_beyond_16_kib_are_refused() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let token = bearer(CallerKind::Portal);
    let long = "x".repeat(20 * 1024);
    let headers = [("authorization", token.as_str()), ("x-long", long.as_str())];
    match client.call(raw::LOGIN, &headers, framed(&raw::login("name"))).await {
        Ok(answer) => assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
    }
    let answer = http1(&port, &format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_page_calls_over_http_1_after_a_preflight() {
    let port = Port::usual().await;
    let preflight = |origin: &str| {
        format!(
            "OPTIONS {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: content-type,x-grpc-web\r\n\r\n",
            raw::LOGIN
        )
    };
    let answer = http1(&port, &preflight(ORIGIN)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("access-control-allow-origin: {ORIGIN}\r\n")), "{answer}");
    assert!(answer.contains("access-control-allow-methods: POST\r\n"), "{answer}");
    assert!(answer.contains("x-grpc-web"), "{answer}");
    let answer = http1(&port, &preflight("https://evil.example")).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");

    let page = |origin: &str, login_name: &str| {
        let body = framed(&raw::login(login_name));
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\nx-grpc-web: 1\r\n\
             content-type: application/grpc-web+proto\r\ncontent-length: {}\r\n\r\n",
            raw::LOGIN,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    };
    let answer = until_closed(&port, &page(ORIGIN, "name")).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains(&format!("access-control-allow-origin: {ORIGIN}\r\n")), "{text}");
    assert!(text.contains("content-type: application/grpc-web+proto\r\n"), "{text}");
    assert!(text.contains("127.0.0.1|V4(127.0.0.1)||"), "the answer's message: {text}");
    assert!(text.contains("grpc-status:0"), "the trailers in the body: {text}");

    let answer = String::from_utf8_lossy(&until_closed(&port, &page(ORIGIN, "denied")).await).into_owned();
    for part in
        ["grpc-status: 16", "grpc-status-details-bin: ", "access-control-expose-headers: grpc-status,"]
    {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    let answer = String::from_utf8_lossy(&until_closed(&port, &page("https://evil.example", "name")).await)
        .into_owned();
    assert!(
        answer.contains("grpc-status: 16") && !answer.contains("access-control-allow-origin"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_public_keys_are_served_to_anybody() {
    let port = Port::usual().await;
    let get = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = http1(&port, get).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/jwk-set+json\r\n"), "{answer}");
    assert!(answer.contains("cache-control: public, max-age=300\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let set: serde_json::Value = serde_json::from_str(body).unwrap();
    let key = serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "new",
        "x": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
    });
    assert_eq!((set["keys"].as_array().unwrap().len(), &set["keys"][0]), (2, &key));

    let client = Client::connect(port.address).await;
    for (method, status) in
        [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 405), (Method::DELETE, 405)]
    {
        let request =
            Request::builder().method(&method).uri("http://x/.well-known/jwks.json").body(()).unwrap();
        let answer = client.send(request, Bytes::new()).await.unwrap();
        assert_eq!(answer.status, status, "{method}");
    }
}

#[tokio::test]
async fn what_is_neither_grpc_nor_a_page_is_told_so() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    for (kind, status) in [("application/json", 415), ("application/grpcx", 415), ("", 415)] {
        let answer = client.post(raw::LOGIN, &[("content-type", kind)], Bytes::new()).await.unwrap();
        assert_eq!(answer.status, status, "{kind}");
    }
    let get = Request::get("http://x/").body(()).unwrap();
    assert_eq!(client.send(get, Bytes::new()).await.unwrap().status, StatusCode::NOT_FOUND);
    // gRPC itself needs the trailers of HTTP/2.
    let answer = http1(
        &port,
        &format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n",
            raw::LOGIN
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
}

#[tokio::test]
async fn b37_rapid_resets_end_the_connection_and_not_the_port() {
    let port = Port::usual().await;
    let mut attacker = Frames::connect(port.address).await;
    let token = bearer(CallerKind::Portal);
    let headers = [("content-type", "application/grpc"), ("authorization", token.as_str())];
    for index in 0..5000 {
        let stream = 2 * index + 1;
        attacker.headers(stream, raw::LOGIN, &headers).await;
        attacker.send(frames::RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
    }
    assert_eq!(timeout(PATIENCE, attacker.first_of(&[GOAWAY])).await.unwrap(), Some(GOAWAY));
    let client = Client::connect(port.address).await;
    assert_eq!(login_as_portal(&client, &[], framed(&raw::login("name"))).await.code(), 0);
}

#[tokio::test]
async fn b37_headers_without_end_are_refused() {
    let port = Port::usual().await;
    let mut attacker = Frames::connect(port.address).await;
    attacker.send(HEADERS, 0, 1, &frames::block(raw::LOGIN, &[])).await;
    for _ in 0..2000 {
        attacker.send(frames::CONTINUATION, 0, 1, &[0; 1024]).await;
    }
    assert_ne!(timeout(PATIENCE, attacker.first_of(&[HEADERS])).await.unwrap(), Some(HEADERS));
    let client = Client::connect(port.address).await;
    assert_eq!(login_as_portal(&client, &[], framed(&raw::login("name"))).await.code(), 0);
}
