//! The server that `VerifySession` is compared with: tonic as it comes, answering the same messages with one that it
//! has ready. A process of its own, as the service is.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use guardian_auth::proto;
use guardian_auth::proto::session_service_server::{SessionService, SessionServiceServer};
use rustix::process::Signal;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::bed::Bed;
use super::process::Process;

/// The bare server as a process. It ends with the value.
pub struct BareServer {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl BareServer {
    /// Starts it.
    pub fn start(bed: &Bed) -> anyhow::Result<Self> {
        let log = bed.directory("bare")?.join("log");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare-server");
        let mut process = Process::start(&mut command, Stdio::piped(), &log, Signal::TERM)?;
        let mut line = String::new();
        BufReader::new(process.output().context("no pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| process.log_tail())?;
        Ok(Self { process, address })
    }
}

/// Serves until it is ended.
pub async fn serve() -> anyhow::Result<()> {
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .map_err(|error| anyhow::anyhow!("no port: {error}"))?
        .with_nodelay(Some(true));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", incoming.local_addr()?)?;
    drop(out);
    // The windows of the service.
    Server::builder()
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .add_service(SessionServiceServer::new(Ready))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

struct Ready;

/// As long as the service's own answer.
fn answer() -> proto::VerifySessionResponse {
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 123_000_000 });
    proto::VerifySessionResponse {
        guardian_id: "01k0000000000000000000000a".to_owned(),
        session_id: "01k0000000000000000000000b".to_owned(),
        authentication_methods: vec!["pwd".to_owned()],
        authentication_class: "urn:example:acr:password".to_owned(),
        authentication_time: time(1_795_262_400),
        expire_time: time(1_795_262_700),
    }
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the bare server answers VerifySession only"))
}

#[tonic::async_trait]
impl SessionService for Ready {
    async fn verify_session(
        &self,
        _: Request<proto::VerifySessionRequest>,
    ) -> Result<Response<proto::VerifySessionResponse>, Status> {
        Ok(Response::new(answer()))
    }

    async fn refresh_session(
        &self,
        _: Request<proto::RefreshSessionRequest>,
    ) -> Result<Response<proto::RefreshSessionResponse>, Status> {
        not_here()
    }

    async fn end_session(
        &self,
        _: Request<proto::EndSessionRequest>,
    ) -> Result<Response<proto::EndSessionResponse>, Status> {
        not_here()
    }

    async fn end_all_sessions(
        &self,
        _: Request<proto::EndAllSessionsRequest>,
    ) -> Result<Response<proto::EndAllSessionsResponse>, Status> {
        not_here()
    }

    async fn list_sessions(
        &self,
        _: Request<proto::ListSessionsRequest>,
    ) -> Result<Response<proto::ListSessionsResponse>, Status> {
        not_here()
    }

    async fn get_signing_keys(
        &self,
        _: Request<proto::GetSigningKeysRequest>,
    ) -> Result<Response<proto::GetSigningKeysResponse>, Status> {
        not_here()
    }
}
