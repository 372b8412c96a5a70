//! One connection: TLS handshake, HTTP/1.1 or HTTP/2 with their limits, age and end.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::frame_meter::Metered;
use super::tls;
use super::untaken::{Untaken, Watched};
use crate::domain::caller::SubjectName;

/// Time for the GOAWAY of a connection that has not sent a whole request.
const FAREWELL: Duration = Duration::from_secs(1);

/// What answers requests.
pub trait Answer: Send + Sync + 'static {
    /// Answers one. Never fails: a failure is an answer too.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What a request may know of its connection.
#[derive(Debug)]
pub struct Connection {
    /// The other end, IPv4-mapped addresses as IPv4.
    pub peer: IpAddr,
    /// The names of its verified client certificate; empty without one.
    pub names: Vec<SubjectName>,
}

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// A TLS handshake takes this long at most.
    pub handshake_timeout: Duration,
    /// So does the head of a request over HTTP/1.1. Over both, the first request has this long to come, or the whole
    /// beginning of HTTP/2: who has got so far may wait for its first call.
    pub header_timeout: Duration,
    /// Bytes of a request's head.
    pub max_header_bytes: u32,
    /// Requests in flight on an HTTP/2 connection.
    pub max_streams: u32,
    /// A silent HTTP/2 peer is asked for a sign of life after this time…
    pub keepalive_interval: Duration,
    /// …and given up after this one.
    pub keepalive_timeout: Duration,
    /// A peer that takes nothing of an answer for this long loses its connection, after twice this time at the latest.
    pub answer_timeout: Duration,
    /// A connection is asked to end after this time, so that clients spread over new replicas…
    pub max_age: Duration,
    /// …and up to this much later, so that they do not come back all at once…
    pub age_jitter: Duration,
    /// …and ended after this much more.
    pub age_grace: Duration,
}

impl Default for ConnectionLimits {
    /// Handshake 5 s, first request 10 s, keepalive 30 s and 10 s, answers 20 s, age 10 to 11 min and 30 s.
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
            max_streams: 100,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(20),
            max_age: Duration::from_mins(10),
            age_jitter: Duration::from_mins(1),
            age_grace: Duration::from_secs(30),
        }
    }
}

impl ConnectionLimits {
    /// The HTTP/1.1 and HTTP/2 server with these limits.
    pub(super) fn builder(&self) -> Builder<TokioExecutor> {
        // Our requests are small: a window that holds one whole request suffices and bounds what a peer can make us keep.
        const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
        const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            // hyper keeps 8 KiB at least.
            .max_buf_size(usize::try_from(self.max_header_bytes).unwrap_or(usize::MAX).max(8 * 1024));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(self.max_header_bytes)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout);
        builder
    }
}

/// Why we closed a connection, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The peer did, or the protocol ended it.
    ByPeer,
    /// No valid TLS handshake in time.
    Handshake,
    /// No request in time, nor the whole beginning of HTTP/2.
    NoRequest,
    /// It sent too many frames that ask for nothing.
    Flood,
    /// It did not take an answer in time.
    Untaken,
    /// It did not end in its grace after its age.
    Age,
    /// It did not end in the time that the drain gave it.
    Drain,
}

/// What a connection's task needs.
pub(super) struct Serving<A> {
    pub(super) answer: Arc<A>,
    pub(super) builder: Arc<Builder<TokioExecutor>>,
    pub(super) limits: ConnectionLimits,
    pub(super) tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    /// Asks connections to end.
    pub(super) drain: CancellationToken,
    /// Ends them.
    pub(super) kill: CancellationToken,
}

impl<A: Answer> Serving<A> {
    /// Serves a connection to its end. `max_age` has its jitter in it.
    pub(super) async fn serve(&self, stream: TcpStream, peer: IpAddr, max_age: Duration) -> Closed {
        let served = async {
            let Some(tls) = &self.tls else {
                return self.http(stream, Connection { peer, names: Vec::new() }, max_age).await;
            };
            // Read for each connection, so that a renewed certificate is used without a restart.
            let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
            let handshake = timeout(self.limits.handshake_timeout, acceptor.accept(stream));
            let Some(Ok(Ok(stream))) = self.drain.run_until_cancelled(handshake).await else {
                return Closed::Handshake;
            };
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let names = certificate.map(tls::subject_names).unwrap_or_default();
            self.http(stream, Connection { peer, names }, max_age).await
        };
        self.kill.run_until_cancelled(served).await.unwrap_or(Closed::Drain)
    }

    async fn http<S>(&self, stream: S, connection: Connection, max_age: Duration) -> Closed
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = Arc::new(connection);
        let first_request = CancellationToken::new();
        let untaken = Arc::new(Untaken::default());
        let (stream, dial) = Metered::new(stream);
        let service = service_fn(|request| {
            if !first_request.is_cancelled() {
                first_request.cancel();
            }
            let answer = Arc::clone(&self.answer).answer(request, Arc::clone(&connection));
            let (untaken, dial) = (Arc::clone(&untaken), Arc::clone(&dial));
            async move { Ok::<_, Infallible>(answer.await.map(|body| Watched::new(body, &untaken, &dial))) }
        });
        let ended = || if dial.is_flooded() { Closed::Flood } else { Closed::ByPeer };
        let mut served = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let began = Instant::now();
        // hyper has no timeout for a peer that sends nothing, half a preface or half a HEADERS frame.
        tokio::select! {
            _ = served.as_mut() => return ended(),
            () = first_request.cancelled() => {}
            () = self.drain.cancelled() => {}
            () = sleep_until(began + self.limits.header_timeout) => if !dial.is_between_frames() {
                // What comes after the GOAWAY that this sends is not looked at, and its client tries it elsewhere.
                served.as_mut().graceful_shutdown();
                if let Ok(_ended) = timeout(FAREWELL, served.as_mut()).await {
                    return if first_request.is_cancelled() { ended() } else { Closed::NoRequest };
                }
                if !first_request.is_cancelled() {
                    return Closed::NoRequest;
                }
                // The request was on its way when the time was over: it is in work, and may end.
                return match timeout(self.limits.age_grace, served).await {
                    Ok(_) => ended(),
                    Err(_) => Closed::Age,
                };
            }
        }
        let mut turns = interval_at(Instant::now() + self.limits.answer_timeout, self.limits.answer_timeout);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let draining = loop {
            tokio::select! {
                _ = served.as_mut() => return ended(),
                () = self.drain.cancelled() => break true,
                () = sleep_until(began + max_age) => break false,
                _ = turns.tick() => if untaken.turn() { return Closed::Untaken },
            }
        };
        served.as_mut().graceful_shutdown();
        if draining {
            // The drain has a limit of its own, after which this task is ended.
            drop(served.await);
            return ended();
        }
        match timeout(self.limits.age_grace, served).await {
            Ok(_) => ended(),
            Err(_) => Closed::Age,
        }
    }
}
