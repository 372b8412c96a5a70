//! Puts the events of the audit log into the chains of their organizations: one process for all, beside the logins.

mod gauges;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::audit_chain::ChainEnd;
use crate::domain::id::AuditEventId;
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{AuditChainStore, ChainGrowth, NewLink, StoredHead, UnchainedEvent, WorkLease};

use super::audit_head;

pub use gauges::SealerGauges;

/// The name of the work.
const WORK: &str = "audit-sealer";

/// Who died leaves the work to another after this time. Longer than two renewals.
const LEASE: Duration = Duration::from_secs(6);

/// The lease is made longer this often.
const RENEWAL: Duration = Duration::from_secs(2);

/// An event is chained within 1 s: three looks fit into it.
const TICK: Duration = Duration::from_millis(300);

/// Who does not have the work asks for it this often.
const ASK: Duration = Duration::from_secs(1);

/// Each look goes back this far behind the last one: transactions end later than their events' ids say, most of them within
/// this time.
const OVERLAP: Duration = Duration::from_secs(5);

/// A wider look is taken this often: a batch of an import may run for 30 s, and clocks of replicas differ.
const WIDE_INTERVAL: Duration = Duration::from_secs(30);

/// The wider look goes back this far.
const WIDE: Duration = Duration::from_mins(5);

/// Who takes the work over looks back this far behind what was chained last.
const TAKE_OVER: Duration = Duration::from_hours(24);

/// Events that are read at once, and links that are written in one transaction at most: a few milliseconds.
const PAGE: u32 = 2000;

/// Pages in a tick: a backlog must not keep the lease from being renewed, nor the store from its other work.
const PAGES_PER_TICK: u32 = 8;

/// What the sealer needs.
pub struct Parts {
    /// The store.
    pub store: Arc<dyn AuditChainStore>,
    /// Signs heads.
    pub vault: Arc<dyn KeyVault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Chains events.
pub struct AuditSealer {
    parts: Parts,
    /// Names this process.
    name: String,
    /// For metrics.
    pub gauges: SealerGauges,
}

/// What the sealer knows while it has the work.
struct Work {
    renewed: Instant,
    widened: Instant,
    chains: HashMap<OrganizationId, Chain>,
    /// Up to here everything is chained that was there when it was looked at.
    frontier: Timestamp,
    /// Where to go on with a backlog that was too much for one tick.
    ahead: Option<String>,
    /// A look further back that is under way: from where, and to where.
    back: Option<(String, Timestamp)>,
}

/// An organization's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    EndsAt(ChainEnd),
    /// Its head is not ours, or does not stand on its link: going on would make good what somebody did.
    Refused,
}

/// How a page came out.
enum Sealed {
    /// All events of it are chained, but for those of refused chains.
    All,
    /// Somebody else added to a chain.
    Overtaken,
}

impl AuditSealer {
    /// A sealer with a name of its own.
    pub fn new(parts: Parts) -> Self {
        let random = random_bytes::<10>(parts.entropy.as_ref());
        let name = AuditEventId::new(parts.clock.now(), random).as_str().to_owned();
        Self { parts, name, gauges: SealerGauges::default() }
    }

    /// Chains what comes, whenever this process has the work, until `stop`; then chains what is there and lets go.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticker = interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut work, mut asked, mut away) = (None, None, false);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticker.tick() => {}
            }
            let done = self.tick(&mut work, &mut asked).await;
            // Once an outage: at three looks a second, more would drown everything else.
            match &done {
                Err(error) if !away => tracing::warn!(error = %error, "audit events are not chained"),
                Ok(()) if away => tracing::info!("audit events are chained again"),
                Ok(()) | Err(_) => {}
            }
            away = done.is_err();
        }
        if let Some(mut work) = work {
            let last = async {
                self.follow(&mut work).await?;
                self.parts.store.release_work(&self.lease(self.parts.clock.now())).await
            };
            if let Err(error) = last.await {
                // Another takes over when the lease is over.
                tracing::warn!(error = %error, "the work on the audit log was not let go of");
            }
        }
    }

    /// Takes the work if nobody has it, and chains everything that is there. For commands and tests; false if another
    /// process has the work.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn seal_now(&self) -> Result<bool, PortError> {
        let Some(mut work) = self.take().await? else { return Ok(false) };
        loop {
            self.step(&mut work).await?;
            if work.back.is_none() && work.ahead.is_none() {
                break;
            }
        }
        self.parts.store.release_work(&self.lease(self.parts.clock.now())).await?;
        Ok(true)
    }

    fn lease(&self, now: Timestamp) -> WorkLease {
        WorkLease { name: WORK, holder: self.name.clone(), until: now.plus(LEASE) }
    }

    async fn tick(&self, work: &mut Option<Work>, asked: &mut Option<Instant>) -> Result<(), PortError> {
        let Some(held) = work else {
            if asked.is_some_and(|at| at.elapsed() < ASK) {
                return Ok(());
            }
            *asked = Some(Instant::now());
            *work = self.take().await?;
            if work.is_none() {
                // Another has it, and keeps it only as long as it works.
                self.gauges.elsewhere();
            }
            return Ok(());
        };
        // Asked before anything is written: what another has taken over is not ours any more. Should it be taken over right
        // after, both cannot add to one chain: the second one finds its end moved.
        if held.renewed.elapsed() >= RENEWAL {
            let now = self.parts.clock.now();
            if !self.parts.store.take_work(&self.lease(now), now).await? {
                *work = None;
                return Ok(());
            }
            held.renewed = Instant::now();
        }
        if let Err(error) = self.step(held).await {
            // What of it was written is not known.
            *work = None;
            return Err(error);
        }
        Ok(())
    }

    /// Takes the work and reads where the chains end.
    async fn take(&self) -> Result<Option<Work>, PortError> {
        let now = self.parts.clock.now();
        if !self.parts.store.take_work(&self.lease(now), now).await? {
            return Ok(None);
        }
        let heads = self.parts.store.audit_heads().await?;
        // Where the one before us stopped. Ids tell the time of events, and one from a clock that is ahead says nothing.
        let last = heads.iter().filter_map(|head| head.link.as_ref()).map(|(_, event)| event.as_str()).max();
        let last = last.and_then(AuditEventId::parse).map_or(Timestamp::from_millis(0), |id| id.made());
        let frontier = last.min(now);
        let mut work = Work {
            renewed: Instant::now(),
            widened: Instant::now(),
            chains: HashMap::new(),
            frontier,
            ahead: None,
            back: Some((before(frontier.minus(TAKE_OVER)), frontier)),
        };
        self.read_heads(&mut work, heads).await?;
        Ok(Some(work))
    }

    /// Notes where chains end, and signs anew what was signed with a master key that is to go.
    async fn read_heads(&self, work: &mut Work, heads: Vec<StoredHead>) -> Result<(), PortError> {
        let (vault, now) = (self.parts.vault.as_ref(), self.parts.clock.now());
        let mut anew = Vec::new();
        work.chains.clear();
        for stored in heads {
            let end = stored.head.end;
            let organization = stored.head.organization.clone();
            let chain = if audit_head::may_go_on(vault, &stored) {
                if stored.head.signature.key_id != vault.active_key_id() {
                    let head = audit_head::sign(vault, &organization, end, now);
                    anew.push(ChainGrowth { before: end, links: Vec::new(), head });
                }
                Chain::EndsAt(end)
            } else {
                let why =
                    format!("its head does not verify with master key {}", stored.head.signature.key_id);
                refusal(&organization, end, &why);
                Chain::Refused
            };
            work.chains.insert(organization, chain);
        }
        self.count_refused(work);
        if !anew.is_empty() && !self.parts.store.grow_chains(&anew).await? {
            tracing::info!("heads of audit chains moved while they were signed anew");
        }
        Ok(())
    }

    /// What is new, and then a piece of a look further back.
    async fn step(&self, work: &mut Work) -> Result<(), PortError> {
        self.follow(work).await?;
        if work.back.is_none() && work.widened.elapsed() >= WIDE_INTERVAL {
            work.widened = Instant::now();
            work.back = Some((before(work.frontier.minus(WIDE)), work.frontier));
        }
        if let Some((from, to)) = work.back.take() {
            let end = before(to);
            work.back = self.walk(work, from, Some(&end)).await?.map(|next| (next, to));
        }
        Ok(())
    }

    /// Chains what came since the last look.
    async fn follow(&self, work: &mut Work) -> Result<(), PortError> {
        // Read before the log is: what comes meanwhile is for the next look.
        let now = self.parts.clock.now();
        let from = work.ahead.take().unwrap_or_else(|| before(work.frontier.minus(OVERLAP)));
        work.ahead = self.walk(work, from, None).await?;
        if work.ahead.is_none() {
            work.frontier = now;
            self.gauges.caught_up();
        }
        Ok(())
    }

    /// Chains the events after an id, page by page; where to go on if the pages of a tick did not suffice.
    async fn walk(
        &self,
        work: &mut Work,
        mut after: String,
        end: Option<&str>,
    ) -> Result<Option<String>, PortError> {
        for _ in 0..PAGES_PER_TICK {
            let page = self.parts.store.unchained_events(&after, PAGE).await?;
            match self.seal(work, page.events).await? {
                Sealed::All => {}
                // Read again from the same place at the next tick, with the ends as they are now.
                Sealed::Overtaken => {
                    let heads = self.parts.store.audit_heads().await?;
                    self.read_heads(work, heads).await?;
                    return Ok(Some(after));
                }
            }
            match page.next_after {
                Some(next) if end.is_none_or(|end| next.as_str() < end) => after = next,
                Some(_) | None => return Ok(None),
            }
        }
        Ok(Some(after))
    }

    /// Chains events in their order, in one transaction.
    async fn seal(&self, work: &mut Work, events: Vec<UnchainedEvent>) -> Result<Sealed, PortError> {
        let (vault, now) = (self.parts.vault.as_ref(), self.parts.clock.now());
        let mut growing: Vec<(OrganizationId, ChainEnd, ChainEnd, Vec<NewLink>)> = Vec::new();
        let mut places: HashMap<OrganizationId, usize> = HashMap::new();
        for event in events {
            let chain = work.chains.get(&event.organization).copied();
            let before = match chain.unwrap_or(Chain::EndsAt(ChainEnd::NONE)) {
                Chain::EndsAt(end) => end,
                Chain::Refused => continue,
            };
            let place = *places.entry(event.organization.clone()).or_insert_with(|| {
                growing.push((event.organization.clone(), before, before, Vec::new()));
                growing.len() - 1
            });
            let (_, _, end, links) = &mut growing[place];
            *end = end.after(&event.bytes);
            links.push(NewLink { end: *end, event_id: event.id });
        }
        if growing.is_empty() {
            return Ok(Sealed::All);
        }
        let growths: Vec<ChainGrowth> = growing
            .into_iter()
            .map(|(organization, before, end, links)| ChainGrowth {
                before,
                links,
                head: audit_head::sign(vault, &organization, end, now),
            })
            .collect();
        match self.parts.store.grow_chains(&growths).await {
            Ok(true) => {
                for growth in growths {
                    self.grown(work, growth);
                }
                Ok(Sealed::All)
            }
            Ok(false) => Ok(Sealed::Overtaken),
            Err(PortError::Conflict(_) | PortError::Corrupt(_)) => self.seal_singly(work, growths).await,
            Err(error @ PortError::Unavailable { .. }) => Err(error),
        }
    }

    /// Where one of the chains has links behind its head, or links and no head, the others go on.
    async fn seal_singly(&self, work: &mut Work, growths: Vec<ChainGrowth>) -> Result<Sealed, PortError> {
        let mut outcome = Sealed::All;
        for growth in growths {
            match self.parts.store.grow_chains(std::slice::from_ref(&growth)).await {
                Ok(true) => self.grown(work, growth),
                Ok(false) => outcome = Sealed::Overtaken,
                Err(error @ (PortError::Conflict(_) | PortError::Corrupt(_))) => {
                    let organization = growth.head.organization;
                    refusal(&organization, growth.before, &error.to_string());
                    work.chains.insert(organization, Chain::Refused);
                    self.count_refused(work);
                }
                Err(error @ PortError::Unavailable { .. }) => return Err(error),
            }
        }
        Ok(outcome)
    }

    fn count_refused(&self, work: &Work) {
        self.gauges.refused(work.chains.values().filter(|chain| **chain == Chain::Refused).count());
    }

    fn grown(&self, work: &mut Work, growth: ChainGrowth) {
        self.gauges.chained(growth.links.len());
        work.chains.insert(growth.head.organization, Chain::EndsAt(growth.head.end));
    }
}

/// Somebody has to look at it.
fn refusal(organization: &OrganizationId, end: ChainEnd, why: &str) {
    let (organization, position) = (organization.as_str(), end.position);
    tracing::error!(organization, position, why, "an audit chain is refused: nothing is added to it");
}

/// An id before all ids of events since a time.
fn before(at: Timestamp) -> String {
    AuditEventId::new(at, [0; 10]).as_str().to_owned()
}
