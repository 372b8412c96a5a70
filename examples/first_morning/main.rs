//! A school year's first morning, simulated: how many replicas does a town need?
//!
//! `cargo run --release --example first_morning -- --guardians 50000 --replicas 1,2,4`
//!
//! Guardians come as they do on such a day: most within an hour and a half, some from their school's one address, some
//! with a typo or the password of last year. The limits are the service's own code with its defaults and the simulated
//! time; the queues are those of its hashing pool; how long a hash takes is measured here and now, or given. Nothing else
//! is modelled: `docs/scale.md` says what else bounds a town.

mod town;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use guardian_auth::adapters::argon2::HashWorker;
use guardian_auth::domain::limits::{LimitPolicy, Quota};
use guardian_auth::domain::password::HashParameters;

use town::{Morning, Town};

/// Hashes for the measurement.
const HASHES: u32 = 20;

/// The share of a login's processor time that is the hash: `login_ratio` of README's figures.
const HASH_SHARE: f64 = 0.9;

/// A school year's first morning.
#[derive(Debug, Parser)]
struct Arguments {
    /// Guardians in the database.
    #[arg(long, default_value_t = 50_000)]
    guardians: usize,
    /// Organizations that they belong to, each with limits of its own.
    #[arg(long, default_value_t = 1)]
    organizations: usize,
    /// Of a hundred guardians, so many log in with a password this morning.
    #[arg(long, default_value_t = 30)]
    percent: usize,
    /// Minutes in which two thirds of them come.
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// Guardians of one school, who share its address when they are there.
    #[arg(long, default_value_t = 600)]
    school: usize,
    /// Of a hundred logins, so many come from the school's address.
    #[arg(long, default_value_t = 20)]
    at_school: usize,
    /// Of a hundred guardians, so many type a wrong password at first.
    #[arg(long, default_value_t = 12)]
    typos: usize,
    /// Failures that an organization takes at once (`organizations[].limits.organization.burst`).
    #[arg(long, default_value_t = LimitPolicy::default().organization.burst)]
    burst: u32,
    /// Further failures that it takes each second (one a `organizations[].limits.organization.refill`).
    #[arg(long, default_value_t = 1)]
    per_second: u32,
    /// Replicas to try, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    replicas: Vec<usize>,
    /// Hash workers of a replica (`hash.workers`), each with a processor of its own.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Milliseconds of a hash; measured here if not given.
    #[arg(long)]
    hash_ms: Option<f64>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let hash = arguments.hash_ms.map_or_else(measured, |ms| Ok(Duration::from_secs_f64(ms / 1000.0)))?;
    let each = hash.div_f64(HASH_SHARE);
    let comers = arguments.guardians * arguments.percent / 100;
    println!(
        "{} guardians of {} organizations, of whom {comers} log in with a password, two thirds of them within {} minutes",
        arguments.guardians, arguments.organizations, arguments.minutes
    );
    println!(
        "a hash takes {:.1} ms, so a replica with {} workers does {:.0} logins a second\n",
        hash.as_secs_f64() * 1000.0,
        arguments.workers,
        1.0 / (each / u32::try_from(arguments.workers)?).as_secs_f64()
    );
    println!(
        "{:>8} {:>11} {:>9} {:>9} {:>9} {:>10} {:>10} {:>12} {:>9}",
        "replicas",
        "most/s",
        "load",
        "p50 ms",
        "p99 ms",
        "overloaded",
        "turned off",
        "wrongly shut",
        "logged in"
    );
    for replicas in &arguments.replicas {
        let town = Town {
            comers,
            deviation: Duration::from_secs(u64::from(arguments.minutes) * 30),
            organizations: arguments.organizations.max(1),
            limits: LimitPolicy {
                organization: Quota::new(
                    arguments.burst.max(1),
                    Duration::from_secs(1) / arguments.per_second.clamp(1, 1000),
                ),
                ..LimitPolicy::default()
            },
            school: arguments.school.max(1),
            at_school: arguments.at_school,
            typos: arguments.typos,
            replicas: (*replicas).max(1),
            workers: arguments.workers.max(1),
            each,
        };
        let morning = Morning::of(&town)?;
        println!(
            "{replicas:>8} {:>11} {:>8.0}% {:>9.0} {:>9.0} {:>10} {:>10} {:>12} {:>9}",
            morning.most_in_a_second,
            100.0 * morning.load_at_the_peak,
            morning.wait_ms(0.50),
            morning.wait_ms(0.99),
            morning.overloaded,
            morning.turned_off,
            morning.wrongly_shut,
            morning.logged_in
        );
    }
    println!(
        "\nload: of the busiest minute. p50, p99: from the first try with the right password to the session. overloaded: \
         answers OVERLOADED, after\nwhich the portal tried again by itself. turned off: guardians whom it told to come \
         back in a minute. wrongly shut: right passwords that a\nlimit kept out: 0, or a limit is too narrow for the town."
    );
    Ok(())
}

/// The median of some hashes with the parameters of new passwords.
fn measured() -> anyhow::Result<Duration> {
    let parameters = HashParameters::default();
    let mut worker = HashWorker::new(parameters);
    let mut took = Vec::new();
    for _ in 0..HASHES {
        let (begun, mut output) = (Instant::now(), [0; 32]);
        worker
            .run(parameters, black_box(b"en morgon i augusti"), b"0123456789abcdef", &mut output)
            .map_err(|_| anyhow::anyhow!("the parameters are refused"))?;
        black_box(output);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}
