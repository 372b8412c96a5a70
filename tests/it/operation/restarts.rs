//! B29: replicas are replaced behind a balancer under load, and callers who keep to the retry policy notice nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use guardian_auth::proto::GetSigningKeysRequest;
use h2::client::SendRequest;
use http::Request;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Door, Load, Portals, furnished, is_known};
use crate::support::balancer::Balancer;
use crate::support::installation::{Replica, Settings};
use crate::support::process::{PROGRAM, Process};
use crate::support::service::Calls;
use crate::support::{START_DEADLINE, eventually, full_size, previous_program};

/// B29.
const ENDED_WITHIN: Duration = Duration::from_secs(20);
const RPCS: &str = "guardian_auth_rpc_total";

/// A client that sends a call and takes no answer: it grants no byte of room for it.
struct Hung {
    _sender: SendRequest<Bytes>,
    _answer: h2::RecvStream,
    connection: JoinHandle<()>,
}

impl Hung {
    async fn at(replica: &Replica, token: &str) -> Self {
        let stream = TcpStream::connect(replica.grpc).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (mut sender, connection) =
            builder.initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request =
            Request::post(format!("http://{}/guardian.auth.v1.SessionService/GetSigningKeys", replica.grpc))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("authorization", format!("Bearer {token}"))
                .body(())
                .unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        let message = GetSigningKeysRequest::default().encode_to_vec();
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap());
        frame.put_slice(&message);
        body.send_data(frame.freeze(), true).unwrap();
        let answer = response.await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { _sender: sender, _answer: answer.into_body(), connection }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b29_replicas_are_replaced_under_load_and_no_call_fails() {
    let (rounds, rate, drain) = if full_size() { (20, 100, 15) } else { (4, 60, 3) };
    let previous = previous_program();
    let (installation, staff) = furnished().await;
    let replicas = ["one", "two"].map(|name| installation.replica(name));
    let mut listen = format!("drain_timeout = \"{drain}s\"");
    if previous.is_none() {
        listen.push_str("\ndrain_delay = \"1s\"");
    }
    for replica in &replicas {
        installation.configure(replica, &Settings { listen: &listen, ..Settings::default() });
    }
    let mut processes = replicas.each_ref().map(Replica::start);
    let balancer = Balancer::in_front_of(&replicas.each_ref().map(|it| (it.grpc, it.ops))).await;
    let door = Door { address: balancer.address(), authority_pem: None };
    let load = Load::start(Portals::new(&installation, &staff, std::slice::from_ref(&door)).await, rate);
    let token = load.portals.portal_token.clone();
    eventually(START_DEADLINE, "calls are answered", async || load.report.answered() > 20).await;

    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    for round in 0..rounds {
        // Both replicas become the version before, and this one again.
        let program = match &previous {
            Some(previous) if round / 2 % 2 == 0 => previous.as_path(),
            Some(_) | None => Path::new(PROGRAM),
        };
        let (replica, process) = (&replicas[round % 2], &mut processes[round % 2]);
        let hung = Hung::at(replica, &token).await;
        let told = Instant::now();
        process.terminate();
        let status = process.ended(ENDED_WITHIN).await;
        let taken = told.elapsed();
        assert!(status.success(), "round {round}: {status}");
        assert!(
            previous.is_some() || taken >= Duration::from_secs(drain),
            "the hung client was waited for: {taken:?}"
        );
        longest = longest.max(taken);
        drop(hung);
        *process = replica.start_program(program);
        takes_part(process, &door, &token).await;
        load.portals.renew_staff().await;
    }
    let elapsed = began.elapsed();
    let report = load.finish().await;
    report.assert_nobody_noticed();
    let retried = report.retried.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{rounds} restarts in {elapsed:?}, the longest in {longest:?}; {} calls, {retried} of them after a retry",
        report.answered()
    );
}

/// The balancer sends it new connections: the next replica may go.
async fn takes_part(process: &Process, door: &Door, token: &str) {
    eventually(START_DEADLINE, "the new replica is called", async || {
        let calls = Calls::new(door.endpoint().connect().await.unwrap(), token);
        assert!(is_known(&calls).await);
        process.metric(RPCS, "code=\"OK\"").await > 0.5
    })
    .await;
}
