//! B37: floods of HTTP/2 frames.

use crate::wire::frames::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::wire::raw::LOGIN;

use super::drivers::{attack, pour};
use super::target::Target;

/// Connections at once: fewer than the port takes from one peer, more than there are cores.
const ATTACKERS: usize = 8;
/// Frames in one write.
const AT_ONCE: u32 = 64;

/// A stream of a client that opens them one after the other.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

fn login_headers(token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    block(LOGIN, &[("content-type", "application/grpc"), ("authorization", &bearer)])
}

/// CVE-2023-44487, by a caller that we know and by one that we do not.
#[tokio::test]
async fn b37_rapid_resets_do_not_hold_up_others() {
    let mut target = Target::start("").await;
    let (address, token) = (target.process.grpc, target.token.clone());
    for (who, token) in [("a caller", token.as_str()), ("a stranger", "nobody")] {
        let headers = login_headers(token);
        let pour = move |tcp| {
            let headers = headers.clone();
            pour(tcp, &[], move |number| {
                let first = number * AT_ONCE;
                let pair = |stream| {
                    let reset = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
                    [frame(HEADERS, END_HEADERS, stream, &headers), reset].concat()
                };
                (first..first + AT_ONCE).flat_map(|number| pair(stream(number))).collect()
            })
        };
        target.withstands(&format!("rapid resets by {who}"), || attack(ATTACKERS, address, pour)).await;
    }
}

/// RUSTSEC-2024-0332.
#[tokio::test]
async fn b37_headers_without_end_do_not_hold_up_others() {
    let mut target = Target::start("").await;
    let address = target.process.grpc;
    let pour = |tcp| {
        pour(tcp, &[], |number| {
            if number == 0 {
                return frame(HEADERS, 0, 1, &block(LOGIN, &[]));
            }
            let more: Vec<u8> = [0, 1, b'a', 1, b'b'].repeat(200);
            frame(CONTINUATION, 0, 1, &more)
        })
    };
    target.withstands("headers without end", || attack(ATTACKERS, address, pour)).await;
}

/// Frames that ask for nothing: `h2` reads and answers as many as come. Ours are counted.
#[tokio::test]
async fn b37_frames_that_ask_for_nothing_are_a_flood_and_end_the_connection() {
    // Each flood takes a place away for 10 s, and each kind of frame is to have its own.
    let mut target = Target::start("max_connections_per_peer = 2000").await;
    let address = target.process.grpc;
    let kinds: [(&str, Vec<u8>); 5] = [
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("large settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100].repeat(2000))),
        ("window updates", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("frames that nobody knows", frame(0x42, 0, 0, &[0; 100])),
    ];
    for (what, frame) in kinds {
        let before = target.closed("flood").await;
        let many = frame.repeat(AT_ONCE as usize);
        let pour = move |tcp| {
            let many = many.clone();
            pour(tcp, &[], move |_| many.clone())
        };
        target.withstands(what, || attack(ATTACKERS, address, pour)).await;
        assert!(target.closed("flood").await > before, "{what} were taken for a flood");
    }
}

/// An attacker whose floods are ended does not start afresh on the next connection: its places are gone for a while.
#[tokio::test]
async fn b37_who_floods_runs_out_of_places() {
    let mut target = Target::start("max_connections_per_peer = 10").await;
    let address = target.process.grpc;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(AT_ONCE as usize);
    let pour = move |tcp| {
        let pings = pings.clone();
        pour(tcp, &[], move |_| pings.clone())
    };
    target.withstands("pings from one address", || attack(ATTACKERS, address, pour)).await;
    let (floods, turned_away) =
        (target.closed("flood").await, target.closed("max_connections_per_peer").await);
    assert!(floods >= 10.0 && turned_away > floods, "{floods} floods, {turned_away} turned away");
    assert_eq!(target.process.said("connections are refused"), 1, "said once");
}

/// One byte a frame: cheap to send, dear to keep.
#[tokio::test]
async fn b37_crumbs_of_data_do_not_hold_up_others() {
    let mut target = Target::start("").await;
    let address = target.process.grpc;
    let headers = login_headers(&target.token);
    let pour = move |tcp| {
        let headers = headers.clone();
        pour(tcp, &[], move |number| {
            // A hundred bodies that are never whole, byte by byte, in turns.
            if number < 100 {
                let head = frame(HEADERS, END_HEADERS, stream(number), &headers);
                return [head, frame(DATA, 0, stream(number), &[0, 0, 0, 0xff, 0])].concat();
            }
            (0..100).flat_map(|number| frame(DATA, 0, stream(number), b"x")).collect()
        })
    };
    target.withstands("crumbs of data", || attack(ATTACKERS, address, pour)).await;
}
