//! A TCP proxy on loopback that fails on demand, as networks do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// What the line does to connections, to those that are open as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes go through.
    Pass,
    /// Every packet takes this long, in both directions.
    Latency(Duration),
    /// Connections are taken and stay open; nothing goes through. What was sent arrives when the mode changes.
    Blackhole,
    /// Open connections are reset, and new ones as soon as they are taken.
    Reset,
    /// One byte a second in each direction.
    OneBytePerSecond,
    /// Each connection is closed in both directions after this many more bytes of answers.
    CutAfter(usize),
}

/// A mode, and how often it was switched before: the same mode again counts afresh.
type Setting = (u64, Mode);

/// The proxy. It closes with the value, and all its connections with it.
pub struct FaultProxy {
    address: SocketAddr,
    upstream: String,
    setting: watch::Sender<Setting>,
    accepting: AbortHandle,
}

impl FaultProxy {
    /// Opens a proxy in front of the server that a URL names, such as `redis://user:password@127.0.0.1:6379/0`, or of
    /// a bare `host:port`. It starts as [`Mode::Pass`].
    pub async fn in_front_of(upstream: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound port");
        let (setting, settings) = watch::channel((0, Mode::Pass));
        let server = host_and_port(upstream).to_owned();
        let accepting = tokio::spawn(accept(listener, server, settings)).abort_handle();
        Self { address, upstream: upstream.to_owned(), setting, accepting }
    }

    /// What was given to [`Self::in_front_of`], with the address of the proxy in it.
    pub fn url(&self) -> String {
        self.upstream.replacen(host_and_port(&self.upstream), &self.address.to_string(), 1)
    }

    /// The address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches the mode, for open connections too.
    pub fn set(&self, mode: Mode) {
        self.setting.send_modify(|(switched, current)| {
            *switched += 1;
            *current = mode;
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // Takes the listener and the set of connections with it.
        self.accepting.abort();
    }
}

fn host_and_port(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, server)| server)
}

async fn accept(listener: TcpListener, server: String, settings: watch::Receiver<Setting>) {
    // Aborts its tasks when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.expect("the proxy can take connections");
                connections.spawn(carry(client, server.clone(), settings.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// How a connection ends.
#[derive(PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

/// Carries one connection until either side ends it or the mode does.
async fn carry(mut client: TcpStream, server: String, mut settings: watch::Receiver<Setting>) {
    let mut resets = settings.clone();
    let mut upstream = None;
    let transfer = async {
        // Nobody is called through a hole.
        if not_blackhole(&mut settings).await.is_err() {
            return End::Close;
        }
        // Refused there, broken here: a proxy cannot refuse what the kernel has taken.
        let Ok(connection) = TcpStream::connect(&server).await else { return End::Reset };
        let server = upstream.insert(connection);
        // One byte is one packet.
        if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
            return End::Reset;
        }
        let (mut client_read, mut client_write) = client.split();
        let (mut server_read, mut server_write) = server.split();
        let questions = pump(&mut client_read, &mut server_write, Flow::Questions, settings.clone());
        let answers = pump(&mut server_read, &mut client_write, Flow::Answers, settings.clone());
        // A side that has ended its half may still listen; a fault or a cut ends both.
        match tokio::try_join!(questions, answers) {
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionReset => End::Reset,
            Ok(_) | Err(_) => End::Close,
        }
    };
    let end = tokio::select! {
        biased;
        _ = resets.wait_for(|(_, mode)| *mode == Mode::Reset) => End::Reset,
        end = transfer => end,
    };
    if end == End::Reset {
        // Closing then sends RST instead of FIN. A connection that is gone already needs neither.
        for connection in std::iter::once(&client).chain(&upstream) {
            let _gone = connection.set_zero_linger();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Questions,
    Answers,
}

/// Moves bytes one way as the mode says. Ends well when the reading side ended.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    flow: Flow,
    mut settings: watch::Receiver<Setting>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    // What went through since the last switch.
    let mut carried = 0;
    let mut last_switch = 0;
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            not_blackhole(&mut settings).await?;
            return to.shutdown().await;
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let (switched, mode) = *settings.borrow_and_update();
            if switched != last_switch {
                (last_switch, carried) = (switched, 0);
            }
            let now = match mode {
                Mode::Pass => rest.len(),
                Mode::Latency(delay) => {
                    tokio::time::sleep(delay).await;
                    rest.len()
                }
                Mode::OneBytePerSecond => {
                    // A new mode need not wait for the second to pass.
                    if tokio::time::timeout(Duration::from_secs(1), settings.changed()).await.is_ok() {
                        continue;
                    }
                    1
                }
                Mode::CutAfter(limit) => match flow {
                    Flow::Questions => rest.len(),
                    Flow::Answers => rest.len().min(limit - carried),
                },
                // Of a reset, `carry` takes care.
                Mode::Blackhole | Mode::Reset => {
                    settings.changed().await.map_err(closed)?;
                    continue;
                }
            };
            to.write_all(&rest[..now]).await?;
            rest = &rest[now..];
            carried += now;
            if flow == Flow::Answers && mode == Mode::CutAfter(carried) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }
}

async fn not_blackhole(settings: &mut watch::Receiver<Setting>) -> io::Result<()> {
    settings.wait_for(|(_, mode)| *mode != Mode::Blackhole).await.map_err(closed)?;
    Ok(())
}

/// The proxy is gone.
fn closed(_: watch::error::RecvError) -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// Longer than anything takes on loopback, shorter than anybody's patience.
const A_MOMENT: Duration = Duration::from_millis(200);

/// A server that says back what it hears, a proxy in front of it, and a connection through that.
async fn connected_to_echo() -> (FaultProxy, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let server = listener.local_addr().expect("a bound port").to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = connection.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    let proxy = FaultProxy::in_front_of(&server).await;
    let mut connection = TcpStream::connect(proxy.address()).await.expect("a connection");
    assert_eq!(ask(&mut connection, "first").await.expect("an echo"), "first");
    (proxy, connection)
}

async fn ask(connection: &mut TcpStream, words: &str) -> io::Result<String> {
    connection.write_all(words.as_bytes()).await?;
    hear(connection, words.len()).await
}

async fn hear(connection: &mut TcpStream, length: usize) -> io::Result<String> {
    let mut answer = vec![0; length];
    connection.read_exact(&mut answer).await?;
    Ok(String::from_utf8(answer).expect("an echo of text"))
}

#[tokio::test]
async fn latency_delays_both_directions() {
    let (proxy, mut connection) = connected_to_echo().await;
    proxy.set(Mode::Latency(A_MOMENT));
    let begin = tokio::time::Instant::now();
    assert_eq!(ask(&mut connection, "slow").await.expect("an echo"), "slow");
    assert!(begin.elapsed() >= 2 * A_MOMENT);
}

#[tokio::test]
async fn a_blackhole_swallows_until_it_is_lifted() {
    let (proxy, mut open) = connected_to_echo().await;
    proxy.set(Mode::Blackhole);
    let mut new = TcpStream::connect(proxy.address()).await.expect("connections are taken");
    tokio::time::timeout(A_MOMENT, ask(&mut open, "one")).await.expect_err("nothing comes back");
    tokio::time::timeout(A_MOMENT, ask(&mut new, "two")).await.expect_err("nothing comes back");

    proxy.set(Mode::Pass);
    assert_eq!(hear(&mut open, 3).await.expect("the late echo"), "one");
    assert_eq!(hear(&mut new, 3).await.expect("the late echo"), "two");
}

#[tokio::test]
async fn reset_breaks_open_connections_and_new_ones() {
    let (proxy, mut open) = connected_to_echo().await;
    proxy.set(Mode::Reset);
    let broken = hear(&mut open, 1).await.expect_err("it is reset");
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    // The reset may come before the connection call has returned.
    if let Ok(mut new) = TcpStream::connect(proxy.address()).await {
        let broken = hear(&mut new, 1).await.expect_err("it is reset");
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn one_byte_a_second_is_that_slow_and_ends_with_the_mode() {
    let (proxy, mut connection) = connected_to_echo().await;
    proxy.set(Mode::OneBytePerSecond);
    let begin = tokio::time::Instant::now();
    assert_eq!(ask(&mut connection, "x").await.expect("an echo"), "x");
    assert!(begin.elapsed() >= Duration::from_secs(2), "a second each way");

    connection.write_all(b"rest").await.expect("it is sent");
    proxy.set(Mode::Pass);
    assert_eq!(hear(&mut connection, 4).await.expect("the rest at once"), "rest");
}

#[tokio::test]
async fn a_cut_lets_so_many_bytes_of_answers_through() {
    let (proxy, mut connection) = connected_to_echo().await;
    proxy.set(Mode::CutAfter(3));
    connection.write_all(b"abcdef").await.expect("it is sent");
    assert_eq!(hear(&mut connection, 3).await.expect("the first part"), "abc");
    let mut nothing = [0];
    assert_eq!(connection.read(&mut nothing).await.expect("a clean end"), 0);
}

#[tokio::test]
async fn a_server_that_refuses_breaks_the_connection() {
    let proxy = FaultProxy::in_front_of(&format!("127.0.0.1:{}", super::ports::free_port())).await;
    let mut connection = TcpStream::connect(proxy.address()).await.expect("the proxy takes it");
    let broken = hear(&mut connection, 1).await.expect_err("nobody behind it");
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_proxy_closes_its_connections() {
    let (proxy, mut connection) = connected_to_echo().await;
    let address = proxy.address();
    drop(proxy);
    assert!(hear(&mut connection, 1).await.is_err());
    super::eventually(super::START_DEADLINE, "the port is closed", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn the_url_of_a_proxy_differs_in_host_and_port_only() {
    let upstream = "postgres://guardian:secret@localhost:5432/postgres?sslmode=disable";
    let proxy = FaultProxy::in_front_of(upstream).await;
    let expected = format!("postgres://guardian:secret@{}/postgres?sslmode=disable", proxy.address());
    assert_eq!(proxy.url(), expected);
}
