//! Guardians, replicas and their queues, in simulated time.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and microseconds of one day"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use guardian_auth::adapters::limiter::{BucketKeys, LimiterKey, LimiterMetrics, MemoryLimiter};
use guardian_auth::domain::client::Network;
use guardian_auth::domain::identifier::{LeadingZeros, LoginName};
use guardian_auth::domain::limits::{Lane, LimitPolicy, password_reservation};
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::clock::Clock;
use guardian_auth::ports::rate_limiter::{RateLimiter as _, Receipt, reserve};
use prometheus_client::registry::Registry;

/// Waiting requests for each worker (`docs/configuration.md`).
const PLACES_PER_WORKER: usize = 8;

/// After an `OVERLOADED`, the portal tries so many times more by itself.
const PORTAL_TRIES: u32 = 4;

/// Somebody who mistyped types again after so long.
const TYPES_AGAIN_US: u64 = 15_000_000;

/// Somebody who was turned off comes back after so long.
const COMES_BACK_US: u64 = 60_000_000;

/// The middle of the morning, from the start of the simulation.
const MIDDLE_US: f64 = 4.0 * 3600.0 * 1e6;

/// What a town and its service are like.
pub struct Town {
    pub comers: usize,
    pub organizations: usize,
    /// Standard deviation of the arrivals.
    pub deviation: Duration,
    pub limits: LimitPolicy,
    pub school: usize,
    pub at_school: usize,
    pub typos: usize,
    pub replicas: usize,
    pub workers: usize,
    /// Processor time of a login.
    pub each: Duration,
}

/// What came of it.
#[derive(Default)]
pub struct Morning {
    pub most_in_a_second: u32,
    pub load_at_the_peak: f64,
    pub overloaded: u64,
    pub turned_off: u64,
    pub wrongly_shut: u64,
    pub logged_in: u64,
    waits_us: Vec<u64>,
}

impl Morning {
    /// A share of the waits is no longer.
    pub fn wait_ms(&self, share: f64) -> f64 {
        let place = (self.waits_us.len() as f64 * share) as usize;
        self.waits_us
            .get(place.min(self.waits_us.len().saturating_sub(1)))
            .map_or(0.0, |us| *us as f64 / 1000.0)
    }

    /// Lives through it.
    pub fn of(town: &Town) -> anyhow::Result<Self> {
        let mut simulation = Simulation::new(town)?;
        while let Some(Reverse((at, _, event))) = simulation.coming.pop() {
            simulation.clock.0.store(at, Ordering::Relaxed);
            match event {
                Event::Comes(attempt) => simulation.comes(at, attempt)?,
                Event::Done(replica) => simulation.done(at, replica),
            }
        }
        Ok(simulation.finish())
    }
}

/// Microseconds since the start.
struct SimulatedClock(AtomicU64);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(
            1_786_000_000_000 + i64::try_from(self.0.load(Ordering::Relaxed) / 1000).unwrap_or(0),
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    guardian: usize,
    /// Whether the password is right this time.
    is_right: bool,
    /// When the guardian pressed the button, in microseconds.
    pressed: u64,
    /// How often the portal tried by itself.
    tries: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(Attempt),
    Done(usize),
}

#[derive(Default)]
struct Replica {
    running: VecDeque<(Attempt, Receipt)>,
    waiting: VecDeque<(Attempt, Receipt)>,
}

struct Simulation<'t> {
    town: &'t Town,
    clock: Arc<SimulatedClock>,
    limiter: MemoryLimiter,
    organizations: Vec<OrganizationId>,
    replicas: Vec<Replica>,
    next_replica: usize,
    coming: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    dice: u64,
    each_us: u64,
    in_seconds: HashMap<u64, u32>,
    busy_us: HashMap<u64, u64>,
    morning: Morning,
}

impl<'t> Simulation<'t> {
    fn new(town: &'t Town) -> anyhow::Result<Self> {
        let clock = Arc::new(SimulatedClock(AtomicU64::new(0)));
        let keys = BucketKeys::new(LimiterKey::new([7; 32]));
        let metrics = LimiterMetrics::register(&mut Registry::default());
        let limiter = MemoryLimiter::new(keys, Arc::clone(&clock) as _, 1, metrics);
        let mut simulation = Self {
            town,
            clock,
            limiter,
            organizations: (0..town.organizations)
                .map(|number| OrganizationId::parse(&format!("town-{number}")).context("a name"))
                .collect::<anyhow::Result<_>>()?,
            replicas: (0..town.replicas).map(|_| Replica::default()).collect(),
            next_replica: 0,
            coming: BinaryHeap::new(),
            number: 0,
            dice: 2026,
            each_us: u64::try_from(town.each.as_micros())?,
            in_seconds: HashMap::new(),
            busy_us: HashMap::new(),
            morning: Morning::default(),
        };
        for guardian in 0..town.comers {
            let at = simulation.arrival();
            let is_right = simulation.percent() >= town.typos;
            simulation.push(at, Event::Comes(Attempt { guardian, is_right, pressed: at, tries: 0 }));
        }
        Ok(simulation)
    }

    fn push(&mut self, at: u64, event: Event) {
        self.number += 1;
        self.coming.push(Reverse((at, self.number, event)));
    }

    /// As the service does it: room first, then the limits, then a place in line.
    fn comes(&mut self, at: u64, attempt: Attempt) -> anyhow::Result<()> {
        *self.in_seconds.entry(at / 1_000_000).or_default() += 1;
        let number = self.next_replica;
        self.next_replica = (number + 1) % self.replicas.len();
        let (waiting, running) = (self.replicas[number].waiting.len(), self.replicas[number].running.len());
        if waiting >= self.town.workers * PLACES_PER_WORKER {
            self.refuse(at, attempt, waiting + running);
            return Ok(());
        }
        let Some(receipt) = self.charge(attempt)? else {
            if attempt.is_right {
                self.morning.wrongly_shut += 1;
            }
            self.push(at + COMES_BACK_US, Event::Comes(Attempt { is_right: true, ..attempt }));
            return Ok(());
        };
        if running < self.town.workers {
            self.start(at, number, attempt, receipt);
        } else {
            self.replicas[number].waiting.push_back((attempt, receipt));
        }
        Ok(())
    }

    fn refuse(&mut self, at: u64, attempt: Attempt, ahead: usize) {
        self.morning.overloaded += 1;
        let retry_after = self.each_us * (ahead as u64 + 1) / self.town.workers as u64;
        let jitter = self.roll() % (retry_after + 1);
        if attempt.tries < PORTAL_TRIES {
            self.push(
                at + retry_after + jitter,
                Event::Comes(Attempt { tries: attempt.tries + 1, ..attempt }),
            );
        } else {
            self.morning.turned_off += 1;
            self.push(at + COMES_BACK_US + jitter, Event::Comes(Attempt { tries: 0, ..attempt }));
        }
    }

    fn charge(&self, attempt: Attempt) -> anyhow::Result<Option<Receipt>> {
        let name =
            LoginName::parse(&format!("{:08}", 10_000_000 + attempt.guardian), LeadingZeros::default())
                .map_err(|_| anyhow::anyhow!("a login name"))?;
        let network = self.network(attempt.guardian);
        // A school's guardians belong to one organization.
        let organization = &self.organizations[attempt.guardian / self.town.school % self.town.organizations];
        let reservation = password_reservation(
            &self.town.limits,
            organization,
            &name,
            network,
            "portal",
            &Lane::UnknownDevice,
        );
        // The limiter in the process answers at once.
        let answer = reserve(&self.limiter, reservation).now_or_never().context("the limiter waits")?;
        Ok(answer.ok().map(|(_, receipt)| receipt))
    }

    fn network(&self, guardian: usize) -> Network {
        let guardian_bits = u32::try_from(guardian).unwrap_or(0);
        if guardian % 100 < self.town.at_school {
            let school = u32::try_from(guardian / self.town.school).unwrap_or(0);
            Network::V4(Ipv4Addr::from(0x0A00_0000 + school))
        } else {
            Network::V4(Ipv4Addr::from(0x2000_0000 + guardian_bits))
        }
    }

    fn start(&mut self, at: u64, number: usize, attempt: Attempt, receipt: Receipt) {
        *self.busy_us.entry(at / 60_000_000).or_default() += self.each_us;
        self.replicas[number].running.push_back((attempt, receipt));
        self.push(at + self.each_us, Event::Done(number));
    }

    fn done(&mut self, at: u64, number: usize) {
        if let Some((attempt, receipt)) = self.replicas[number].running.pop_front() {
            if attempt.is_right {
                self.limiter.give_back(receipt);
                self.morning.logged_in += 1;
                self.morning.waits_us.push(at - attempt.pressed);
            } else {
                let again = at + TYPES_AGAIN_US;
                let again = Attempt { is_right: true, pressed: again, tries: 0, ..attempt };
                self.push(again.pressed, Event::Comes(again));
            }
        }
        if let Some((attempt, receipt)) = self.replicas[number].waiting.pop_front() {
            self.start(at, number, attempt, receipt);
        }
    }

    fn finish(mut self) -> Morning {
        let capacity = (self.town.replicas * self.town.workers) as f64 * 60e6;
        let busiest = self.busy_us.values().copied().max().unwrap_or(0);
        self.morning.load_at_the_peak = busiest as f64 / capacity;
        self.morning.waits_us.sort_unstable();
        self.morning.most_in_a_second = self.in_seconds.values().copied().max().unwrap_or(0);
        self.morning
    }

    /// Around the middle of the morning (a sum of uniform chances is close to normal).
    fn arrival(&mut self) -> u64 {
        let sum: f64 = (0..12).map(|_| (self.roll() >> 11) as f64 / (1_u64 << 53) as f64).sum();
        (MIDDLE_US + (sum - 6.0) * self.town.deviation.as_secs_f64() * 1e6).max(0.0) as u64
    }

    fn percent(&mut self) -> usize {
        usize::try_from(self.roll() % 100).unwrap_or(0)
    }

    /// Chance that is the same in each run (splitmix64).
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.dice;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}
