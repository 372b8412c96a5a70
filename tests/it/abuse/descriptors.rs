//! File descriptors run out: portals that are in go on, the others wait, and nothing spins.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::eventually;
use crate::support::process::serve_after;

use super::drivers::connect_from;
use super::target::{Installation, PortalBeside, Target};

fn limit_files(target: &Target, files: u64) {
    let pid = Pid::from_raw(i32::try_from(target.process.id()).unwrap());
    let limit = Rlimit { current: Some(files), maximum: Some(20_000) };
    prlimit(pid, Resource::Nofile, limit).expect("the limit of a process of ours may be lowered");
}

/// The numbers of the files that it has open.
fn open_files(target: &Target) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", target.process.id())).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Metrics over a connection that is kept: a new one would want a descriptor.
async fn accept_failures(ops: &mut TcpStream) -> u64 {
    ops.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (mut text, mut part) = (String::new(), vec![0; 64 * 1024]);
    loop {
        let read = ops.read(&mut part).await.unwrap();
        assert!(read > 0, "the connection is kept");
        text.push_str(std::str::from_utf8(&part[..read]).unwrap());
        if text.contains("# EOF") {
            let line =
                text.lines().find_map(|line| line.strip_prefix("guardian_auth_accept_failures_total "));
            return line.unwrap().parse().unwrap();
        }
    }
}

/// RUSTSEC-2024-0376: the loop that accepts outlives the want of descriptors.
#[tokio::test]
async fn b37_without_descriptors_nothing_spins_and_all_is_well_when_they_are_back() {
    let target = Target::start("").await;
    let mut ops = TcpStream::connect(target.process.ops).await.unwrap();
    assert_eq!(accept_failures(&mut ops).await, 0);
    let portal = target.portal().await;
    portal.log_in_again().await.unwrap();

    // The limit is on numbers: the first one that is free is the first one too many.
    let open = open_files(&target);
    limit_files(&target, (0..20_000).find(|number| !open.contains(number)).unwrap());
    let mut waiting = tokio::spawn({
        let (address, token) = (target.process.grpc, target.token.clone());
        async move { PortalBeside::log_in(address, &token, None).await.verify().await }
    });
    eventually(Duration::from_secs(10), "accepting fails", async || accept_failures(&mut ops).await > 0)
        .await;
    let (failures, work) = (accept_failures(&mut ops).await, target.worked());
    let let_in = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(let_in.is_err(), "nobody is let in");
    let spent = target.worked() - work;
    let tries = accept_failures(&mut ops).await - failures;
    assert!((2..=25).contains(&tries), "{tries} tries in a second");
    assert!(spent < Duration::from_millis(300), "{spent:?} of work in a second of waiting");
    for _ in 0..5 {
        portal.log_in_again().await.expect("who is in goes on, database included");
        portal.verify().await.unwrap();
    }
    assert!(!waiting.is_finished());
    assert_eq!(target.process.said("connections cannot be accepted"), 1, "said once");
    assert_eq!(target.process.said("connections are accepted again"), 0);

    limit_files(&target, 20_000);
    waiting.await.unwrap().expect("who waited is let in");
    eventually(Duration::from_secs(5), "the end is said", async || {
        target.process.said("connections are accepted again") == 1
    })
    .await;
}

/// The limit of the process leaves room for fewer connections than were configured: what is kept for the database stays kept.
#[tokio::test]
async fn a_low_limit_of_open_files_takes_places_from_connections_and_none_from_the_store() {
    let target = Target::start_by("", |config| serve_after("ulimit -n 256", config)).await;
    assert_eq!(
        target
            .process
            .said("the limit of open files leaves room for fewer connections than listen.max_connections"),
        1
    );
    let places = target.metric("guardian_auth_connections_max", "").await;
    assert!((50.0..200.0).contains(&places), "{places}");
    let portal = target.portal().await;
    let mut crowd = Vec::new();
    for number in 0..400_u32 {
        let from = Ipv4Addr::from(u32::from(super::drivers::ATTACKER) + number / 50);
        crowd.push(connect_from(from, target.process.grpc).await.unwrap());
    }
    eventually(Duration::from_secs(10), "those without a place are refused", async || {
        target.closed("max_connections").await >= 400.0 - places
    })
    .await;
    assert!(open_files(&target).len() < 256, "descriptors are left");
    for _ in 0..5 {
        portal.log_in_again().await.unwrap();
    }
    drop(crowd);
    eventually(Duration::from_secs(10), "places are free again", async || {
        target.metric("guardian_auth_connections_open", "").await < 3.0
    })
    .await;
    target.portal().await.verify().await.unwrap();
    assert!(target.metric("guardian_auth_accept_failures_total", "").await < 0.5);
}

#[tokio::test]
async fn a_limit_of_open_files_that_leaves_no_room_is_said_at_the_start() {
    let installation = Installation::make("");
    let command = serve_after("ulimit -n 100", &installation.config);
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output =
        tokio::time::timeout(Duration::from_secs(30), output).await.expect("it does not start").unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the limit of open files is 100") && text.contains("raise it to"), "{text}");
}
