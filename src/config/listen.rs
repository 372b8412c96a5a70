//! `listen`: ports, TLS and the bounds of connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::form::{Count, Each, Flag, Parsed, ReadableFile, Span};
use super::reader::Reader;

/// Ports, TLS and the bounds of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// gRPC, gRPC-Web and JWKS. TLS if `tls` is given.
    pub grpc: SocketAddr,
    /// Health and `/metrics`, plaintext.
    pub ops: SocketAddr,
    /// Certificates of the gRPC port.
    pub tls: Option<Tls>,
    /// Whether a proxy before us speaks TLS, so that plaintext on a network address is meant.
    pub plaintext_behind_proxy: bool,
    /// Proxies whose `x-forwarded-for` is believed, for callers without `ClientContext`; hops are read from the right.
    pub trusted_proxies: Vec<IpNet>,
    /// Balancers and gateways of which one address is many clients; trusted proxies are such without being named.
    pub balancers: Vec<IpNet>,
    /// Whether gRPC reflection is served.
    pub reflection: bool,
    /// Open connections, all peers together.
    pub max_connections: usize,
    /// Open connections of one peer address; balancers and trusted proxies have no such bound.
    pub max_connections_per_peer: usize,
    /// HTTP/2 streams open at once on a connection.
    pub max_streams: u32,
    /// Largest request in bytes.
    pub max_request_bytes: usize,
    /// A TLS handshake may last this long.
    pub handshake_timeout: Duration,
    /// The headers of a request may take this long to arrive.
    pub header_timeout: Duration,
    /// An HTTP/2 ping after this long without a frame.
    pub keepalive_interval: Duration,
    /// The connection is closed if the ping is not answered within this time.
    pub keepalive_timeout: Duration,
    /// The connection is closed if the peer takes nothing of an answer for this long, and within twice this time.
    pub answer_timeout: Duration,
    /// A connection is asked to end (GOAWAY) after this time.
    pub max_connection_age: Duration,
    /// Random addition to the age of a connection, so that they do not all end at once.
    pub max_connection_age_jitter: Duration,
    /// Time for the calls of an ending connection.
    pub max_connection_age_grace: Duration,
    /// On shutdown, time from the end of readiness to the end of accepting.
    pub drain_delay: Duration,
    /// On shutdown, time for the calls in flight.
    pub drain_timeout: Duration,
}

/// Certificates of the gRPC port: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Our certificate chain.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// Authorities of client certificates; without it none are asked for.
    pub client_ca_file: Option<PathBuf>,
}

const ADDRESS: Parsed<SocketAddr> =
    Parsed { form: "an IP address and port", parse: |text| text.parse().ok() };
const NETWORK: Parsed<IpNet> =
    Parsed { form: "a network in CIDR form without host bits", parse: parse_network };

/// Host bits set are a slip (`10.0.0.1/8`): the network meant may be another one.
fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().filter(|network| network.trunc() == *network)
}

const fn seconds(range: std::ops::RangeInclusive<u64>) -> Span {
    Span(Duration::from_secs(*range.start())..=Duration::from_secs(*range.end()))
}

impl Listen {
    /// The defaults on loopback ports; sources: security notes §6 of the design.
    pub(super) fn on_loopback() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            grpc: SocketAddr::new(loopback, 50051),
            ops: SocketAddr::new(loopback, 9090),
            tls: None,
            plaintext_behind_proxy: false,
            trusted_proxies: Vec::new(),
            balancers: Vec::new(),
            reflection: false,
            max_connections: 2000,
            max_connections_per_peer: 100,
            max_streams: 100,
            max_request_bytes: 64 * 1024,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(20),
            max_connection_age: Duration::from_mins(10),
            max_connection_age_jitter: Duration::from_mins(1),
            max_connection_age_grace: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            // With what follows, a stop is over within 20 s, whoever hangs.
            drain_timeout: Duration::from_secs(15),
        }
    }
}

pub(super) fn read(listen: &mut Reader<'_>) -> Option<Listen> {
    let usual = Listen::on_loopback();
    let grpc = listen.or("grpc", "address of gRPC, gRPC-Web and JWKS", &ADDRESS, usual.grpc);
    let ops = listen.or("ops", "address of health and `/metrics`, plaintext", &ADDRESS, usual.ops);
    let tls = listen.optional_section("tls", read_tls);
    let tls_wanted = tls.is_some();
    let read = Listen {
        grpc,
        ops,
        tls: None,
        plaintext_behind_proxy: listen.or(
            "plaintext_behind_proxy",
            "says that a proxy speaks TLS for us; without TLS, needed for a `grpc` address other than loopback",
            &Flag,
            usual.plaintext_behind_proxy,
        ),
        trusted_proxies: listen.or(
            "trusted_proxies",
            "proxies whose `x-forwarded-for` is believed for web callers, hops read from right to left",
            &Each(NETWORK),
            usual.trusted_proxies,
        ),
        balancers: listen.or(
            "balancers",
            "balancers and gateways that many clients come through: `max_connections_per_peer` does not count there, nor for `trusted_proxies`",
            &Each(NETWORK),
            usual.balancers,
        ),
        reflection: listen.or("reflection", "whether gRPC reflection is served", &Flag, usual.reflection),
        max_connections: listen.or(
            "max_connections",
            "open connections, all peers together",
            &Count(1..=100_000),
            usual.max_connections,
        ),
        max_connections_per_peer: listen.or(
            "max_connections_per_peer",
            "open connections of one peer (an IPv4 address or an IPv6 /64), but for `balancers` and `trusted_proxies`",
            &Count(1..=100_000),
            usual.max_connections_per_peer,
        ),
        max_streams: listen.or(
            "max_streams",
            "HTTP/2 streams open at once on a connection",
            &Count(1..=1000),
            usual.max_streams,
        ),
        max_request_bytes: listen.or(
            "max_request_bytes",
            "largest request in bytes",
            &Count(1024..=4 * 1024 * 1024),
            usual.max_request_bytes,
        ),
        ..read_times(listen, Listen::on_loopback())
    };
    check(listen, &read, tls_wanted);
    match tls {
        Some(tls) => Some(Listen { tls: Some(tls?), ..read }),
        None => Some(read),
    }
}

/// How long a peer may take, and how old a connection may get.
fn read_times(listen: &mut Reader<'_>, usual: Listen) -> Listen {
    Listen {
        handshake_timeout: listen.or(
            "handshake_timeout",
            "time for a TLS handshake",
            &seconds(1..=60),
            usual.handshake_timeout,
        ),
        header_timeout: listen.or(
            "header_timeout",
            "time for the headers of a request to arrive",
            &seconds(1..=60),
            usual.header_timeout,
        ),
        keepalive_interval: listen.or(
            "keepalive_interval",
            "an idle connection is pinged this often",
            &seconds(1..=3600),
            usual.keepalive_interval,
        ),
        keepalive_timeout: listen.or(
            "keepalive_timeout",
            "time for the answer to a ping before the connection is closed",
            &seconds(1..=60),
            usual.keepalive_timeout,
        ),
        answer_timeout: listen.or(
            "answer_timeout",
            "a peer that takes nothing of an answer for this long loses its connection, after twice this time at the latest",
            &seconds(1..=300),
            usual.answer_timeout,
        ),
        max_connection_age: listen.or(
            "max_connection_age",
            "age at which a connection is asked to end, so that clients find new replicas",
            &seconds(10..=86_400),
            usual.max_connection_age,
        ),
        max_connection_age_jitter: listen.or(
            "max_connection_age_jitter",
            "most that is added to that age at random, so that connections do not all end at once",
            &seconds(0..=3600),
            usual.max_connection_age_jitter,
        ),
        max_connection_age_grace: listen.or(
            "max_connection_age_grace",
            "time for the calls of an ending connection",
            &seconds(1..=600),
            usual.max_connection_age_grace,
        ),
        drain_delay: read_drain_delay(listen, usual.drain_delay),
        drain_timeout: read_drain_timeout(listen, usual.drain_timeout),
        ..usual
    }
}

fn read_drain_delay(listen: &mut Reader<'_>, usual: Duration) -> Duration {
    let meaning = "on shutdown, readiness is false for this long before calls are refused, so that a balancer that asks for it \
                   sends them elsewhere; not needed with a `preStop`";
    listen.or("drain_delay", meaning, &seconds(0..=60), usual)
}

fn read_drain_timeout(listen: &mut Reader<'_>, usual: Duration) -> Duration {
    let meaning = "on shutdown, time for the calls in flight; less than the pod's grace period";
    listen.or("drain_timeout", meaning, &seconds(1..=600), usual)
}

fn read_tls(tls: &mut Reader<'_>) -> Option<Tls> {
    let cert_file = tls.required("cert_file", "our certificate chain, PEM", &ReadableFile);
    let key_file = tls.required("key_file", "the private key of the certificate, PEM", &ReadableFile);
    let meaning = "authorities of client certificates, PEM";
    let client_ca_given = tls.is_given("client_ca_file");
    let client_ca_file = tls.optional("client_ca_file", meaning, &ReadableFile, "none are asked for");
    if client_ca_given && client_ca_file.is_none() {
        return None;
    }
    Some(Tls { cert_file: cert_file?, key_file: key_file?, client_ca_file })
}

fn check(listen: &Reader<'_>, read: &Listen, tls_wanted: bool) {
    if !tls_wanted && !read.grpc.ip().is_loopback() && !read.plaintext_behind_proxy {
        listen.fault(
            "grpc",
            "would take passwords in plaintext from the network",
            "give [listen.tls], or say plaintext_behind_proxy = true if a proxy speaks TLS for us",
        );
    }
    if tls_wanted && read.plaintext_behind_proxy {
        listen.fault("plaintext_behind_proxy", "is said beside [listen.tls]", "keep one of the two");
    }
    if read.grpc == read.ops && read.grpc.port() != 0 {
        listen.fault("ops", "is the same address as `grpc`", "choose another port");
    }
    if read.max_connections_per_peer > read.max_connections {
        listen.fault(
            "max_connections_per_peer",
            "is over `max_connections`",
            "lower it, or raise `max_connections`",
        );
    }
}
