//! Free loopback ports for servers that must be told theirs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below the ports that the kernel hands to outgoing connections (32768 and up on Linux), so that none of those
/// takes the port before the server does, or while the server is down.
const FIRST: u16 = 10_240;
const LAST: u16 = 31_999;

/// A loopback port on which nothing listens. No two calls in this process give the same one, so a server may be
/// down for a while without losing its port to another test. Another process can still take it before it is used:
/// who starts a server tries again.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..10_000 {
        let mut random = [0_u8; 2];
        aws_lc_rs::rand::fill(&mut random).expect("the system's random source works");
        let port = FIRST + u16::from_be_bytes(random) % (LAST - FIRST + 1);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return port;
        }
    }
    panic!("no free loopback port between {FIRST} and {LAST}");
}

#[test]
fn a_free_port_can_be_bound_and_is_given_once() {
    let (one, other) = (free_port(), free_port());
    assert_ne!(one, other);
    TcpListener::bind((Ipv4Addr::LOCALHOST, one)).expect("the port is free");
}
