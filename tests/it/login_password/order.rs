//! Two logins in one packet: which is answered first tells nothing of which name exists.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{PASSWORD, service_with, without_limits};
use crate::support::full_size;
use crate::support::service::{Attempt, Parts, Service, guardian, hash};
use crate::wire::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, block};
use crate::wire::raw::{LOGIN, framed};

/// Pairs on one connection, before it is old enough to be pinged.
const PAIRS: u32 = 50;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends both names in one write; the stream that is answered first.
async fn first_answered(frames: &mut Frames, token: &str, streams: [u32; 2], names: [&str; 2]) -> u32 {
    let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", token)];
    let block = block(LOGIN, &headers);
    let mut packet = Vec::new();
    for stream in streams {
        packet.extend(frame(HEADERS, END_HEADERS, stream, &block));
    }
    for (stream, name) in streams.into_iter().zip(names) {
        let body = framed(&Attempt::new(name, "wrong").request());
        packet.extend(frame(DATA, END_STREAM, stream, &body));
    }
    frames.stream.write_all(&packet).await.unwrap();
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let mut head = [0; 9];
        frames.stream.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[1]) * 256 + usize::from(head[2]);
        frames.stream.read_exact(&mut vec![0; length]).await.unwrap();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if head[3] == HEADERS {
            answered.push(stream);
        }
    }
    assert_ne!(answered[0], answered[1], "each is answered once");
    answered[0]
}

/// The share of pairs in which the name that exists is answered first; each order of sending equally often.
async fn share_of_known_first(service: &Service, pairs: u32) -> f64 {
    let token = format!("Bearer {}", service.token("sample-kommun-portal"));
    let mut known_first = 0;
    for _ in 0..pairs / PAIRS {
        let mut frames = Frames::connect(service.grpc()).await;
        for pair in 0..PAIRS {
            let streams = [4 * pair + 1, 4 * pair + 3];
            let known_at = usize::from(pair % 2 == 0);
            let names = if known_at == 0 { ["alma", "olga"] } else { ["olga", "alma"] };
            let answer = first_answered(&mut frames, &token, streams, names);
            let first = tokio::time::timeout(Duration::from_secs(30), answer).await.expect("an answer");
            known_first += u32::from(first == streams[known_at]);
        }
    }
    f64::from(known_first) / f64::from(pairs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn b13_order_oracle() {
    // Five standard deviations of a fair coin, and the bar's ±0.03 at full size.
    let (pairs, tolerance) = if full_size() { (4000, 0.03) } else { (200, 0.18) };
    for parts in Parts::ALL {
        let rows = [guardian("g-1", "alma", Some(&hash(PASSWORD).await))];
        let service = service_with(parts, without_limits, &rows).await;
        let share = share_of_known_first(&service, pairs).await;
        assert!(
            (share - 0.5).abs() <= tolerance,
            "{parts:?}: the known name is first in {share} of the pairs"
        );
    }
}
