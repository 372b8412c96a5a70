//! B37: requests that are none, again and again; answered as the callers' fault, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::wire::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, frame, literal};
use crate::wire::raw::{self, Client, LOGIN, prefixed};

use super::drivers::{attack, pour_by};
use super::target::Target;

const ATTACKERS: usize = 4;
/// What a well-behaved server lets a connection have open; the answers make room.
const AT_ONCE: u32 = 8;
/// Between them, so that it is what they hold that counts, and not how many they are: 1,600 a second in all.
const PAUSE: Duration = Duration::from_millis(20);

/// A call in two frames, numbered.
fn calls(number: u32, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let call = |stream| {
        let head = frame(HEADERS, END_HEADERS, stream, headers);
        [head, frame(DATA, END_STREAM, stream, body)].concat()
    };
    (number * AT_ONCE..(number + 1) * AT_ONCE).flat_map(|number| call(2 * number + 1)).collect()
}

async fn flood_of(target: &mut Target, what: &str, headers: Vec<u8>, body: Vec<u8>) {
    let address = target.process.grpc;
    let pour = move |tcp| {
        let (headers, body) = (headers.clone(), body.clone());
        pour_by(PAUSE, tcp, &[], move |number| calls(number, &headers, &body))
    };
    target.withstands(what, || attack(ATTACKERS, address, pour)).await;
}

#[tokio::test]
async fn b37_bytes_that_do_not_decode_do_not_hold_up_others() {
    let mut target = Target::start("").await;
    let bearer = format!("Bearer {}", target.token);
    let not_utf8 = [b"\x0a\x02\xff\xfe".as_slice(), &raw::login("name").encode_to_vec()].concat();
    let cases: [(&str, Option<&str>, Bytes); 3] = [
        ("invalid UTF-8", None, prefixed(0, &not_utf8)),
        ("a length of 10 MiB", None, Bytes::from_static(b"\0\0\xa0\0\0")),
        ("gzip", Some("gzip"), prefixed(1, b"\x1f\x8b\x08")),
    ];
    for (what, encoding, body) in cases {
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(encoding.map(|encoding| ("grpc-encoding", encoding)));
        let client = Client::connect(target.process.grpc).await;
        let answer = client.call(LOGIN, &headers, body.clone()).await.unwrap();
        assert_eq!((answer.code(), answer.reason().as_str()), (3, "INVALID_REQUEST"), "{what}");
        drop(client);
        headers.push(("content-type", "application/grpc"));
        let block = crate::wire::frames::block(LOGIN, &headers);
        flood_of(&mut target, what, block, body.to_vec()).await;
    }
}

#[tokio::test]
async fn b37_bent_pseudo_headers_do_not_hold_up_others() {
    let mut target = Target::start("").await;
    let bearer = format!("Bearer {}", target.token);
    let usual = [(":method", "POST"), (":scheme", "http"), (":authority", "guardian.example")];
    let path = (":path", LOGIN);
    let rest = [("content-type", "application/grpc"), ("authorization", bearer.as_str())];
    let no_slash = (":path", LOGIN.strip_prefix('/').unwrap());
    let cases: [(&str, Vec<(&str, &str)>); 3] = [
        ("a path without its slash", [&usual[..], &[no_slash], &rest].concat()),
        ("two paths", [&usual[..], &[path, (":path", "/")], &rest].concat()),
        ("a pseudo-header behind the others", [&usual[..], &rest, &[path]].concat()),
    ];
    let body = raw::framed(&raw::login("user-0")).to_vec();
    for (what, headers) in cases {
        let before = target.metric("guardian_auth_hash_runs_total", "").await;
        // The portal's own logins are the only ones that reach a handler: of the attacker's none does.
        let client = crate::wire::frames::Frames::connect(target.process.grpc).await;
        let reached = reaches_a_handler(client, &headers, &body).await;
        assert!(!reached, "{what}");
        assert!((target.metric("guardian_auth_hash_runs_total", "").await - before).abs() < 0.5, "{what}");
        flood_of(&mut target, what, literal(&headers), body.clone()).await;
    }
}

/// Whether a call is answered with anything but a refusal before its handler.
async fn reaches_a_handler(
    mut client: crate::wire::frames::Frames,
    headers: &[(&str, &str)],
    body: &[u8],
) -> bool {
    use crate::wire::frames::{GOAWAY, RST_STREAM};
    client.send(HEADERS, END_HEADERS, 1, &literal(headers)).await;
    client.data(1, body).await;
    match client.first_of(&[HEADERS, RST_STREAM, GOAWAY]).await {
        // Answered: then as a method that nobody knows, without a look at the password.
        Some(HEADERS) => client.first_of(&[DATA]).await == Some(DATA),
        _ => false,
    }
}
