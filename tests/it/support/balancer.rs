//! A TCP balancer in front of replicas (`HAProxy`), which asks them for their readiness.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::ports::free_port;
use super::{Process, START_DEADLINE, eventually, find_program, log_tail};

/// The balancer. It ends with the value.
pub struct Balancer {
    address: SocketAddr,
    _process: Process,
    _directory: TempDir,
}

impl Balancer {
    /// In front of replicas: where each takes calls, and where it tells its readiness.
    pub async fn in_front_of(replicas: &[(SocketAddr, SocketAddr)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, configuration(address, replicas)).unwrap();
        let mut command = Command::new(find_program("haproxy", &[PathBuf::from("/usr/sbin")]));
        command.arg("-db").arg("-f").arg(&file);
        let log = directory.path().join("log");
        let mut process = Process::start(&mut command, &log);
        eventually(START_DEADLINE, "haproxy takes connections", async || {
            assert!(process.is_running(), "haproxy ended:\n{}", log_tail(&log));
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Self { address, _process: process, _directory: directory }
    }

    /// Where portals call.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Connections in turn to replicas that say they are ready; one that does not is sent no new ones, those it has go on.
fn configuration(address: SocketAddr, replicas: &[(SocketAddr, SocketAddr)]) -> String {
    let servers: String = replicas
        .iter()
        .enumerate()
        .map(|(number, (grpc, ops))| {
            format!("    server replica{number} {grpc} check addr {} port {}\n", ops.ip(), ops.port())
        })
        .collect();
    format!(
        "\
global
    maxconn 2000
defaults
    mode tcp
    timeout connect 1s
    timeout client 2m
    timeout server 2m
    timeout check 1s
    retries 3
    option redispatch
frontend portals
    bind {address}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /ready
    http-check expect status 200
    default-server inter 200ms fastinter 100ms downinter 100ms fall 1 rise 1
{servers}"
    )
}
