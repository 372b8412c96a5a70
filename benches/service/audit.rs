//! Verifying the audit log, from the first link to the signed head.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::store::{SqlStore, StoreConfig, StoreMetrics};
use guardian_auth::adapters::system::{SystemClock, SystemEntropy};
use guardian_auth::domain::audit::{Cause, Event, Fact};
use guardian_auth::domain::id::{AuditEventId, GuardianId};
use guardian_auth::domain::organization::{OrganizationId, Portal};
use guardian_auth::domain::secret::Secret;
use guardian_auth::flows::audit_sealer::{AuditSealer, Parts};
use guardian_auth::flows::audit_verify::AuditVerify;
use guardian_auth::ports::clock::Clock as _;
use guardian_auth::ports::store::AuditStore as _;
use prometheus_client::registry::Registry;

use super::bed::Bed;
use super::figures::Results;
use super::guardians;
use super::service::{Location, ORGANIZATION};
use super::windows::{Timing, number};

/// Events of a log: at full size a month of a large town.
const EVENTS: usize = 300_000;

/// Events that are written at once.
const BATCH: usize = 1000;

/// The log on SQLite and on PostgreSQL. The best of three, since nothing is compared.
pub async fn run(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let sqlite = Location::Sqlite(bed.directory("audit")?.join("audit.sqlite"));
    let postgres = Location::Postgres(bed.database().await?);
    for (key, location) in
        [("audit_verify_events_per_s", sqlite), ("audit_verify_events_per_s_postgres", postgres)]
    {
        let events = EVENTS.min(timing.many);
        let (per_s, took) = verified(&location, events).await?;
        results.put(key, per_s, format!("{events} events in {:.2} s", took.as_secs_f64()));
    }
    Ok(())
}

/// The store at a place, with its tables.
pub async fn store(location: &Location) -> anyhow::Result<Arc<SqlStore>> {
    let config = match location {
        Location::Sqlite(path) => StoreConfig::Sqlite { path: path.clone() },
        Location::Postgres(url) => {
            StoreConfig::Postgres { url: Secret::new(url.clone()), pool_size: StoreConfig::DEFAULT_POOL_SIZE }
        }
    };
    let store = SqlStore::connect(&config, &StoreMetrics::register(&mut Registry::default())).await?;
    store.migrate().await?;
    Ok(Arc::new(store))
}

/// A vault over keys of the benchmark's own, the first one active; a key's id says its bytes.
pub fn vault(ids: &[&str]) -> anyhow::Result<Arc<DerivedKeyVault>> {
    let key = |id: &&str| {
        let byte = id.bytes().last().unwrap_or_default();
        MasterKey { id: (*id).to_owned(), key: Secret::new([byte; 32]) }
    };
    Ok(Arc::new(DerivedKeyVault::new(&ids.iter().map(key).collect::<Vec<_>>())?))
}

async fn verified(location: &Location, events: usize) -> anyhow::Result<(f64, Duration)> {
    let (store, vault) = (store(location).await?, vault(&["k1"])?);
    let organization = OrganizationId::parse(ORGANIZATION).context("a name")?;
    for first in (0..events).step_by(BATCH) {
        let batch = (first..events.min(first + BATCH)).map(|number| event(&organization, number));
        store.record_events(&batch.collect::<anyhow::Result<Vec<_>>>()?).await?;
    }
    let sealer = AuditSealer::new(Parts {
        store: Arc::clone(&store) as _,
        vault: Arc::clone(&vault) as _,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    });
    anyhow::ensure!(sealer.seal_now().await?, "somebody else seals");
    let verify = AuditVerify { store: Arc::clone(&store) as _, vault, clock: Arc::new(SystemClock) };
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let reports = verify.run(&[]).await?;
        best = best.min(begun.elapsed());
        let sound = reports.iter().all(|report| report.faults_in_all == 0);
        anyhow::ensure!(sound && reports[0].events == events as u64, "the log does not verify: {reports:?}");
    }
    store.close().await;
    Ok((number(events as u64) / best.as_secs_f64(), best))
}

/// As a failed login writes it.
fn event(organization: &OrganizationId, number: usize) -> anyhow::Result<Event> {
    let at = SystemClock.now();
    let mut random = [0; 10];
    aws_lc_rs::rand::fill(&mut random).context("the system's random source")?;
    Ok(Event {
        id: AuditEventId::new(at, random),
        at,
        organization: organization.clone(),
        portal: Some(Portal::Parent),
        fact: Fact::LoginDenied(Cause::WrongPassword),
        guardian: Some(GuardianId::new(at, random)),
        session: None,
        reference: None,
        caller: "sample-portal".to_owned(),
        address: guardians::address(number).parse().ok(),
        user_agent: guardians::USER_AGENT.to_owned(),
        known_device: false,
        staff: None,
        child: None,
        detail: None,
    })
}
