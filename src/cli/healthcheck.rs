//! `healthcheck`: asks a running service whether it is ready, as a probe does; for images without a shell.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Uri;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The connection and the answer may take this long; probes of Kubernetes wait 1 s by default, people a little longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whom to ask for what.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Address of health and metrics, plaintext: `listen.ops` of the service.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "HOST:PORT")]
    pub address: String,
    /// What is asked for: `liveness` or `readiness`.
    #[arg(long, default_value = "readiness")]
    pub service: String,
}

/// Asks once.
///
/// # Errors
/// If there is no answer within three seconds, or another than "serving".
pub async fn run(args: HealthcheckArgs) -> anyhow::Result<()> {
    let address = args.address.clone();
    let status = tokio::time::timeout(PATIENCE, ask(args))
        .await
        .with_context(|| format!("{address} does not answer within {} s", PATIENCE.as_secs()))??;
    if status != ServingStatus::Serving {
        bail!("{address} says {}", status.as_str_name());
    }
    println!("{}", status.as_str_name());
    Ok(())
}

async fn ask(args: HealthcheckArgs) -> anyhow::Result<ServingStatus> {
    let address = args.address;
    let origin: Uri =
        format!("http://{address}").parse().with_context(|| format!("{address} is no host and port"))?;
    let stream =
        TcpStream::connect(&address).await.with_context(|| format!("{address} cannot be reached"))?;
    let (sender, connection) = http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .with_context(|| format!("{address} does not speak HTTP/2"))?;
    // Ends with the runtime, which ends with this command.
    tokio::spawn(connection);
    let service = tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut health = HealthClient::with_origin(service, origin);
    let answer = health
        .check(HealthCheckRequest { service: args.service })
        .await
        .map_err(|status| anyhow::anyhow!("{address} answers {:?}: {}", status.code(), status.message()))?;
    Ok(answer.into_inner().status())
}
