//! Sealing numbers anew, alone and beside logins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use guardian_auth::adapters::store::SqlStore;
use guardian_auth::adapters::system::{SystemClock, SystemEntropy};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::staff::Realm;
use guardian_auth::flows::national_id;
use guardian_auth::flows::reseal::{Pace, Reseal};
use guardian_auth::ports::store::SealedKind;
use sqlx::PgPool;
use tokio::time::Instant;

use super::audit::{store, vault};
use super::bed::Bed;
use super::clients::Portal;
use super::figures::Results;
use super::login::seeded;
use super::open_loop::open_loop;
use super::service::{Backends, Location, ORGANIZATION};
use super::windows::{Pairs, Timing, number, percentile_ms};

/// Logins each second: a third of what two cores can hash.
const LOGINS_PER_S: f64 = 25.0;

/// Each guardian has so many numbers, most of them replaced ones.
const NUMBERS_OF_EACH: usize = 50;

/// Rows a second, and what logins notice of it. PostgreSQL.
pub async fn run(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let installation = seeded(bed, Backends::Shared, timing.few).await?;
    let store = store(&installation.location).await?;
    let rows = fill(&installation.location).await?;
    let mut rates = Vec::new();
    for (pace, keys) in [(Pace::Full, ["k2", "k1"]), (Pace::BesideLogins, ["k1", "k2"])] {
        let begun = Instant::now();
        anyhow::ensure!(resealed(&store, keys, pace).await? == rows, "not every row was sealed anew");
        rates.push(number(rows) / begun.elapsed().as_secs_f64());
    }
    let note = format!("{rows} rows, PostgreSQL; {:.0} with --full-speed", rates[0]);
    results.put("reseal_rows_per_s", rates[1], note);

    let service = installation.start().await?;
    let portal = service.portal(4).await?;
    let (mut p99, mut next, mut resealed_beside) = (Pairs::default(), 0, 0);
    for pair in 0..=timing.pairs {
        // The first pair is short, and does not count.
        let phase = if pair == 0 { timing.window / 5 } else { timing.window * 2 };
        let mut alone = logins(phase, &portal, &mut next, timing.few).await?;
        let over = AtomicBool::new(false);
        let coming = async {
            let taken = logins(phase, &portal, &mut next, timing.few).await;
            over.store(true, Ordering::Relaxed);
            taken
        };
        let (resealed, taken) = tokio::join!(reseal_until(&store, &over), coming);
        resealed_beside += resealed?;
        let mut beside = taken?;
        if pair > 0 {
            p99.a.push(percentile_ms(&mut beside, 0.99));
            p99.b.push(percentile_ms(&mut alone, 0.99));
        }
    }
    let note = format!("{}; {LOGINS_PER_S} logins/s, {resealed_beside} rows meanwhile", p99.note("ms"));
    results.put("login_reseal_p99_ratio", p99.ratio(), note);
    Ok(())
}

async fn logins(
    phase: Duration,
    portal: &Portal,
    next: &mut usize,
    guardians: usize,
) -> anyhow::Result<Vec<Duration>> {
    let first = *next;
    let calls = open_loop(LOGINS_PER_S, Instant::now() + phase, |number| {
        let (portal, turn) = (portal.clone(), first + number);
        async move { portal.log_in(turn, turn % guardians).await.map(drop) }
    })
    .await;
    *next += calls.len();
    let mut taken = Vec::with_capacity(calls.len());
    for call in calls {
        call.outcome.context("a login with the right password")?;
        taken.push(call.took);
    }
    Ok(taken)
}

/// From one key to the other and back.
async fn reseal_until(store: &Arc<SqlStore>, over: &AtomicBool) -> anyhow::Result<u64> {
    let mut rows = 0;
    for keys in [["k2", "k1"], ["k1", "k2"]].into_iter().cycle() {
        rows += resealed(store, keys, Pace::BesideLogins).await?;
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(rows)
}

/// Seals everything anew with the first key; how many numbers there were. The service's own keys are not the benchmark's, so what they
/// have sealed stays.
async fn resealed(store: &Arc<SqlStore>, keys: [&str; 2], pace: Pace) -> anyhow::Result<u64> {
    let reseal = Reseal {
        store: Arc::clone(store) as _,
        vault: vault(&keys)?,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let summary = reseal.run(pace, &mut |_| {}).await?;
    Ok(summary.resealed_of(SealedKind::Identifier))
}

/// Gives each guardian numbers that are sealed with the first of the benchmark's keys.
async fn fill(location: &Location) -> anyhow::Result<u64> {
    let Location::Postgres(url) = location else { anyhow::bail!("this is measured on PostgreSQL") };
    let pool = PgPool::connect(url).await?;
    let vault = vault(&["k1"])?;
    let organization = OrganizationId::parse(ORGANIZATION).context("a name")?;
    let guardians: Vec<String> = sqlx::query_scalar("SELECT id FROM guardian").fetch_all(&pool).await?;
    let mut rows = 0;
    for number in 0..NUMBERS_OF_EACH {
        let (mut ids, mut indexes, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (place, id) in guardians.iter().enumerate() {
            let guardian = GuardianId::parse(id).context("an id")?;
            let canonical = format!("se.pnr:{place:06}{number:06}");
            let value = ("se.pnr", canonical.as_str());
            let value =
                national_id::seal_for(vault.as_ref(), &organization, Realm::Guardians, &guardian, value);
            ids.push(id.clone());
            indexes.push(value.index.to_vec());
            sealed.push(value.sealed);
        }
        let retired = (number > 0).then_some(1_i64);
        let done = sqlx::query(
            "INSERT INTO guardian_identifier (organization, guardian_id, scheme, blind_index, sealed, key_id, source, \
                 added_ms, retired_ms) \
             SELECT $1, t.id, 'se.pnr', t.blind_index, t.sealed, 'k1', 'import', 0, $2 \
             FROM UNNEST($3::text[], $4::bytea[], $5::bytea[]) AS t (id, blind_index, sealed)",
        )
        .bind(ORGANIZATION)
        .bind(retired)
        .bind(ids)
        .bind(indexes)
        .bind(sealed)
        .execute(&pool)
        .await?;
        rows += done.rows_affected();
    }
    pool.close().await;
    Ok(rows)
}
