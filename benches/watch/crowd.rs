//! Browsers that watch: each reads its frames and notes how late they came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::ports::clock::Clock as _;
use guardian_auth::proto;
use guardian_auth::proto::bank_id_view::Start;
use guardian_auth::proto::login_bank_id_service_client::LoginBankIdServiceClient;
use guardian_auth::simulators::bankid::Endpoint as At;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::installation::{Installation, ORGANIZATION, SLOWER};

/// An order lives so long from its second 0, which no answer says.
const ORDER_LIFETIME: Duration = Duration::from_mins(10);

type Client = LoginBankIdServiceClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// An order, as its browser knows it.
#[derive(Clone)]
struct Order {
    started: proto::StartBankIdLoginResponse,
    /// Its second 0, in milliseconds.
    second_0_ms: i64,
}

/// All browsers.
pub struct Crowd {
    lateness: Arc<Mutex<Histogram<u64>>>,
    watching: JoinSet<()>,
}

/// What was measured.
pub struct Measured {
    pub frames_per_s: f64,
    pub lateness_p50_ms: f64,
    pub lateness_p99_ms: f64,
    pub collect_off_p99_ms: f64,
    pub connections: f64,
}

impl Crowd {
    /// Begins the orders and opens the watches; returns when all are open.
    pub async fn gather(
        installation: &Installation,
        orders: usize,
        watches: usize,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let bearer = Bearer(format!("Bearer {}", installation.token).parse()?);
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..connections {
            let channel = installation.connect().await?;
            clients.push(LoginBankIdServiceClient::with_interceptor(channel, bearer.clone()));
        }
        let begun = begin(&clients, orders).await?;
        let lateness = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 600_000, 3)?));
        let mut watching = JoinSet::new();
        let (opened, mut all_opened) = tokio::sync::mpsc::unbounded_channel::<Result<(), Status>>();
        for index in 0..watches {
            let client = clients[index % clients.len()].clone();
            let order = begun[index % begun.len()].clone();
            let (lateness, opened) = (Arc::clone(&lateness), opened.clone());
            watching.spawn(watch(client, order, lateness, opened));
            // People do not all come in the same instant.
            if index % 100 == 99 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        for _ in 0..watches {
            all_opened.recv().await.context("a watch is missing")?.context("a watch did not open")?;
        }
        Ok(Self { lateness, watching })
    }

    /// Watches for this long.
    pub async fn measure(mut self, installation: &Installation, span: Duration) -> anyhow::Result<Measured> {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner).reset();
        let mut connections = 0;
        let collects = installation.bankid.requests().len();
        for _ in 0..span.as_secs() {
            sleep(Duration::from_secs(1)).await;
            connections = connections.max(installation.upstream_connections()?);
            if let Some(ended) = self.watching.try_join_next() {
                ended.context("a watch ended before its time")?;
                anyhow::bail!("a watch ended before its time");
            }
        }
        let collect_off = collect_off(installation, collects)?;
        self.watching.abort_all();
        let lateness = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let number = |value: u64| value as f64;
        Ok(Measured {
            frames_per_s: number(lateness.len()) / span.as_secs_f64(),
            lateness_p50_ms: number(lateness.value_at_quantile(0.50)),
            lateness_p99_ms: number(lateness.value_at_quantile(0.99)),
            collect_off_p99_ms: number(collect_off.value_at_quantile(0.99)),
            connections: number(connections as u64),
        })
    }
}

async fn begin(clients: &[Client], orders: usize) -> anyhow::Result<Vec<Order>> {
    let mut begun = Vec::with_capacity(orders);
    for index in 0..orders {
        let mut client = clients[index % clients.len()].clone();
        let request = proto::StartBankIdLoginRequest {
            organization: ORGANIZATION.to_owned(),
            portal: proto::Portal::Parent.into(),
            device: proto::BankIdDevice::Other.into(),
            client: Some(proto::ClientContext {
                ip: "192.0.2.7".to_owned(),
                ..proto::ClientContext::default()
            }),
            device_identifier: String::new(),
        };
        let started =
            client.start_bank_id_login(request).await.context("an order did not begin")?.into_inner();
        let ends = started.expire_time.context("an order has an end")?;
        let ends_ms = ends.seconds * 1000 + i64::from(ends.nanos) / 1_000_000;
        let second_0_ms = ends_ms - i64::try_from(ORDER_LIFETIME.as_millis())?;
        begun.push(Order { started, second_0_ms });
    }
    Ok(begun)
}

async fn watch(
    mut client: Client,
    order: Order,
    lateness: Arc<Mutex<Histogram<u64>>>,
    opened: tokio::sync::mpsc::UnboundedSender<Result<(), Status>>,
) {
    let request = proto::WatchBankIdLoginRequest {
        organization: ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        login_id: order.started.login_id.clone(),
        binding_secret: order.started.binding_secret.clone(),
        client: Some(proto::ClientContext { ip: "192.0.2.7".to_owned(), ..proto::ClientContext::default() }),
    };
    let mut frames = match client.watch_bank_id_login(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            drop(opened.send(Err(status)));
            return;
        }
    };
    // The first one comes at once, whatever part of its second is over.
    match frames.message().await {
        Ok(_) => drop(opened.send(Ok(()))),
        Err(status) => {
            drop(opened.send(Err(status)));
            return;
        }
    }
    while let Ok(Some(frame)) = frames.message().await {
        let Some(Start::QrText(text)) = frame.view.and_then(|view| view.start) else { continue };
        let second = text.split('.').nth(2).and_then(|second| second.parse::<i64>().ok()).unwrap_or_default();
        let late = SystemClock.now().as_millis() - order.second_0_ms - second * 1000;
        let late = u64::try_from(late).unwrap_or_default().max(1);
        lateness.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(late);
    }
}

/// How far from 2 s the questions for an order were apart, since so many requests.
fn collect_off(installation: &Installation, since: usize) -> anyhow::Result<Histogram<u64>> {
    let mut last: HashMap<String, i64> = HashMap::new();
    let mut off = Histogram::new_with_bounds(1, 600_000, 3)?;
    for request in installation.bankid.requests().iter().skip(since) {
        if request.endpoint != At::Collect {
            continue;
        }
        let order = request.body["orderRef"].as_str().unwrap_or_default().to_owned();
        // BankID's clock is slow.
        let at = request.at.as_millis() * SLOWER;
        if let Some(before) = last.insert(order, at) {
            off.saturating_record((at - before - 2000).unsigned_abs().max(1));
        }
    }
    anyhow::ensure!(!off.is_empty(), "no order was asked for twice");
    Ok(off)
}
